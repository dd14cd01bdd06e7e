"""Exchange, files: a MISP event or feed, or a STIX bundle, as a partner sent it in one file."""

from __future__ import annotations

import io
import zipfile
from typing import Final

import msgspec

from openaoc.exchange.files.model import OBJECTS_MAX, Lost, broken
from openaoc.exchange.misp.feed import EVENTS_MAX, read_feed
from openaoc.exchange.misp.reading import Reading as MispReading
from openaoc.exchange.misp.reading import read_event
from openaoc.exchange.objects import ReleasedObject
from openaoc.exchange.stix.model import StixObject
from openaoc.exchange.stix.reading import NotKept, check_object, read_objects
from openaoc.kernel.errors import BadInput
from openaoc.kernel.markings import Marking

UNMARKED: Final = Marking.AMBER
"""How what carries no marking is treated: it was sent to us, and to nobody else."""
UNPACKED_BYTES_MAX: Final = 512 << 20
_ZIP: Final = b"PK"

Read = tuple[list[ReleasedObject], list[Lost]]


class _Bundle(msgspec.Struct, frozen=True, kw_only=True):
    objects: list[msgspec.Raw]
    type: str = ""


def read_misp(data: bytes, *, country: str) -> Read:
    """The objects of an event, or of a feed in an archive. Raises BadFile."""
    try:
        found = (
            _feed(data, country=country)
            if data.startswith(_ZIP)
            else read_event(data, region=country, otherwise=UNMARKED)
        )
    except BadInput as error:
        raise broken("misp", error.detail, column=error.where) from error
    if len(found.objects) > OBJECTS_MAX:
        raise broken("misp", f"more than {OBJECTS_MAX} objects")
    return list(found.objects), [Lost(path=one.path, reason=one.reason) for one in found.lost]


def _feed(data: bytes, *, country: str) -> MispReading:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            items = archive.infolist()
            unpacked = sum(item.file_size for item in items)
            if len(items) > EVENTS_MAX or unpacked > UNPACKED_BYTES_MAX:
                raise BadInput(f"unpacked more than {UNPACKED_BYTES_MAX} bytes or {EVENTS_MAX}")
            files = {item.filename.rpartition("/")[2]: archive.read(item) for item in items}
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise BadInput("not an archive") from error
    return read_feed(files, region=country, otherwise=UNMARKED)


def read_stix(data: bytes, *, country: str) -> Read:
    """The objects of a bundle. Raises BadFile."""
    try:
        bundle = msgspec.json.decode(data, type=_Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise broken("stix", str(error)) from error
    if bundle.type != "bundle" or len(bundle.objects) > 5 * OBJECTS_MAX:
        raise broken("stix", f"not a bundle of at most {5 * OBJECTS_MAX} objects")
    lost: list[Lost] = []
    objects: list[StixObject] = []
    for number, raw in enumerate(bundle.objects):
        try:
            checked = check_object(raw)
        except NotKept as error:
            lost.append(Lost(path=f"objects[{number}]{error.where[1:]}", reason=error.detail))
            continue
        objects.append(checked.object)
        lost += [
            Lost(path=checked.object.id + one.path[1:], reason=one.reason) for one in checked.lost
        ]
    reading = read_objects(objects, country=country, otherwise=UNMARKED)
    lost += [Lost(path=one.path, reason=one.reason) for one in reading.lost]
    return list(reading.objects), lost
