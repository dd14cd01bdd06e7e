"""Exchange, MISP: a feed: a manifest, one file per event, and hashes within the trust group.

Pure: files by name in and out; who writes and fetches them stands elsewhere.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from openaoc.exchange.misp.model import Lost, ManifestEntry, MispEvent, MispOrg
from openaoc.exchange.misp.reading import LOST_MAX, Reading, read_event
from openaoc.exchange.misp.writing import OBJECTS_PER_EVENT_MAX, encode_event, event_of, head_of
from openaoc.exchange.objects import ReleasedObject
from openaoc.kernel.errors import BadInput
from openaoc.kernel.markings import Marking

MANIFEST: Final = "manifest.json"
HASHES: Final = "hashes.csv"
EVENTS_MAX: Final = 10_000
MANIFEST_BYTES_MAX: Final = 16 << 20
ORG_NAMESPACE: Final = uuid.UUID("0a6f4f0e-5a3d-4a86-9d4c-4a0c2f7d1b11")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A feed's files by name, and what had no place in them."""

    files: dict[str, bytes]
    lost: tuple[Lost, ...]


class Part(NamedTuple):
    """The objects of one event, under the id and name it always has."""

    uuid: str
    info: str
    objects: Sequence[ReleasedObject]


def org_of(name: str) -> MispOrg:
    """The centre of this code as MISP sees it, always the same."""
    return MispOrg(name=name, uuid=str(uuid.uuid5(ORG_NAMESPACE, name)))


def day_of(one: ReleasedObject) -> str:
    """The day on which it was created, by which objects are put into events."""
    return one.created.strftime("%Y-%m-%d")


def event_uuid(org: MispOrg, *, scope: str, day: str, part: int) -> str:
    """The id of a day's event: where a day needs several, the first is 0."""
    return str(uuid.uuid5(uuid.UUID(org.uuid), f"{scope}/{day}/{part}"))


def parts_of(
    objects: Sequence[ReleasedObject], *, name: str, org: MispOrg, scope: str
) -> Iterator[Part]:
    """The events these objects make, by day. `scope`: another one gives the events other ids."""
    days: dict[str, list[ReleasedObject]] = {}
    for one in sorted(objects, key=lambda one: (one.created, one.id)):
        days.setdefault(day_of(one), []).append(one)
    for day, found in days.items():
        for part, start in enumerate(range(0, len(found), OBJECTS_PER_EVENT_MAX)):
            yield Part(
                uuid=event_uuid(org, scope=scope, day=day, part=part),
                info=f"{name} {day}" if not part else f"{name} {day} ({part + 1})",
                objects=found[start : start + OBJECTS_PER_EVENT_MAX],
            )


def manifest_of(parts: Iterator[Part], *, org: MispOrg, at: Callable[[Part], datetime]) -> bytes:
    """The manifest of these events. `at`: when an event last changed for its reader."""
    entries = {}
    for part in parts:
        event = head_of(part.objects, event_uuid=part.uuid, info=part.info, org=org, now=at(part))
        entries[event.uuid] = _entry(event)
    return msgspec.json.encode(entries)


def feed_of(
    objects: Sequence[ReleasedObject],
    *,
    name: str,
    org: MispOrg,
    now: datetime,
    hashes: bool = False,
) -> Feed:
    """The objects, one event for each day on which some were created.

    The same objects give the same events, so that a reader updates what it has. `hashes`: also
    MISP's quick lookup, plain MD5 that anybody can try numbers against: for the trust group alone.
    """
    files: dict[str, bytes] = {}
    lost: list[Lost] = []
    manifest: dict[str, ManifestEntry] = {}
    lines: list[str] = []
    for part in parts_of(objects, name=name, org=org, scope=name):
        written = event_of(part.objects, event_uuid=part.uuid, info=part.info, org=org, now=now)
        lost += written.lost
        event = written.event
        manifest[event.uuid] = _entry(event)
        files[f"{event.uuid}.json"] = encode_event(event)
        lines += hashes_of(event) if hashes else []
    files[MANIFEST] = msgspec.json.encode(manifest)
    if hashes:
        files[HASHES] = "".join(lines).encode("ascii")
    return Feed(files=files, lost=tuple(lost))


def _entry(event: MispEvent) -> ManifestEntry:
    return ManifestEntry(
        info=event.info,
        date=event.date,
        timestamp=event.timestamp,
        analysis=event.analysis,
        threat_level_id=event.threat_level_id,
        orgc=event.orgc,
        tags=event.tags,
    )


def hashes_of(event: MispEvent) -> list[str]:
    """`md5(value),event` for what may be looked for, as MISP's own feeds have it."""
    return [
        f"{hashlib.md5(one.value.encode(), usedforsecurity=False).hexdigest()},{event.uuid}\n"
        for found in event.objects
        for one in found.attributes
        if one.to_ids and not one.deleted
    ]


def events_in(manifest: bytes) -> dict[str, int]:
    """The events of a feed's manifest with their times: which have changed is the reader's to see.

    Raises BadInput for what is no manifest, and for names that are no events.
    """
    if len(manifest) > MANIFEST_BYTES_MAX:
        raise BadInput(f"more than {MANIFEST_BYTES_MAX} bytes", where=MANIFEST)
    try:
        found = msgspec.json.decode(manifest, type=dict[str, _Stamp], strict=False)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput(str(error), where=MANIFEST) from error
    if len(found) > EVENTS_MAX:
        raise BadInput(f"more than {EVENTS_MAX} events", where=MANIFEST)
    for name in found:
        if not _UUID.fullmatch(name):
            raise BadInput(f"{name[:80]!r} is no event", where=MANIFEST)
    return {name: one.timestamp for name, one in found.items()}


class _Stamp(msgspec.Struct, frozen=True, kw_only=True):
    timestamp: int = 0


def read_feed(files: Mapping[str, bytes], *, region: str, otherwise: Marking) -> Reading:
    """Every event a feed's manifest names; one that is missing or broken is lost by itself.

    Raises BadInput for a manifest that is none.
    """
    objects: list[ReleasedObject] = []
    lost: list[Lost] = []
    count = 0
    for name in events_in(files.get(MANIFEST, b"")):
        data = files.get(f"{name}.json")
        try:
            if data is None:
                # As unreadable as a broken one.
                raise BadInput("in the manifest, but not there")  # noqa: TRY301 - see above
            read = read_event(data, region=region, otherwise=otherwise)
        except BadInput as error:
            lost.append(Lost(path=name, reason=error.detail))
            count += 1
            continue
        objects += read.objects
        lost += [Lost(path=f"{name}: {one.path}", reason=one.reason) for one in read.lost]
        count += read.lost_count
    return Reading(objects=tuple(objects), lost=tuple(lost[:LOST_MAX]), lost_count=count)
