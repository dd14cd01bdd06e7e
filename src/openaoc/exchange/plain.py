"""Exchange: plain JSON for companies: what a partner knows, said without any standard.

The same receiver as every other channel: the partner's word within its agreement, nothing more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange.agreement import Agreement
from openaoc.exchange.files.model import FileMark
from openaoc.exchange.files.objects import EARLIEST, LATEST, check_received
from openaoc.exchange.line import Agreed, Line
from openaoc.exchange.model import NoAgreement
from openaoc.exchange.objects import (
    Fields,
    ObjectId,
    ObjectKind,
    ReleasedObject,
    keyed_object_id,
)
from openaoc.exchange.receiving import RECEIVED_AT_ONCE_MAX, NotTaken, Receiver
from openaoc.exchange.service import Exchange
from openaoc.exchange.sightings import REF
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.markings import Marking
from openaoc.storage.unit_of_work import Transaction

PATH: Final = "/v1/exchange/objects"
LABEL: Final = "openaoc plain objects v1"
TAKEN: Final = "exchange.json.taken"
SCAM_TYPES_MAX: Final = 20

Ref = Annotated[str, Meta(min_length=1, max_length=80)]
Moment = Annotated[datetime, Meta(tz=True)]


class PlainIndicator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An identifier the partner holds to be used for scams.

    `ref`: the partner's own name of this word; said again under the same name it takes the place
    of the first, and `revoked` takes it back.
    """

    ref: Ref
    identifier_kind: Annotated[str, Meta(max_length=40)]
    value: Annotated[str, Meta(min_length=1, max_length=2_000)]
    scam_types: Annotated[
        tuple[Annotated[str, Meta(max_length=80)], ...], Meta(max_length=SCAM_TYPES_MAX)
    ] = ()
    first_seen: Moment | None = None
    last_seen: Moment | None = None
    valid_until: Moment | None = None
    marking: Marking = Marking.AMBER
    revoked: bool = False


class PlainSighting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The partner saw something we gave it: `of` is its id in the partner's view."""

    ref: Ref
    of: ObjectId
    last_seen: Moment
    first_seen: Moment | None = None
    count: Annotated[int, Meta(ge=1, le=10**9)] = 1
    revoked: bool = False


class PlainBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a partner tells at once: at most RECEIVED_AT_ONCE_MAX of each."""

    indicators: Annotated[tuple[PlainIndicator, ...], Meta(max_length=RECEIVED_AT_ONCE_MAX)] = ()
    sightings: Annotated[tuple[PlainSighting, ...], Meta(max_length=RECEIVED_AT_ONCE_MAX)] = ()


class PlainNotTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What was not kept, by the partner's own name, and why."""

    ref: str
    reason: str


class PlainReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it; all of it is on disk."""

    partner: str
    objects: int
    taken: int
    not_taken: list[PlainNotTaken]
    signed_by: str | None


class Plain:
    """The verb. One instance per centre."""

    def __init__(
        self, *, exchange: Exchange, agreed: Agreed, line: Line, receiver: Receiver, key: bytes
    ) -> None:
        """`key`: of the ids that objects get here; nobody without it can try them out."""
        self._exchange = exchange
        self._agreed = agreed
        self._line = line
        self._receiver = receiver
        self._key = key

    def take(
        self, tx: Transaction, partner: str, *, body: bytes, signature: str | None, by: str
    ) -> PlainReceipt:
        """Take what a partner tells, each object as its word.

        `signature`: of the request, by a verified key of the partner. Raises NoAgreement,
        BadSignature, BadInput with the place for what is no batch.
        """
        agreement = self._exchange.agreements.in_force(tx, partner)
        if agreement is None:
            raise NoAgreement
        signed_by = None
        if signature is not None:
            peer = self._agreed.peer(tx, partner)
            signed_by = self._line.accept(tx, peer, header=signature, body=body, path=PATH).kid
        objects = self._objects(tx, agreement, read_batch(body))
        names = {one.id: ref for ref, one in objects}
        refused = self._received(tx, agreement, [one for _, one in objects])
        tx.journal(
            action=TAKEN,
            subject=agreement.partner,
            after=FileMark(
                partner=agreement.partner,
                form="json",
                objects=len(objects),
                digest=hashlib.sha256(body).hexdigest(),
                signed_by=signed_by,
                taken=len(objects) - len(refused),
            ),
            authority=f"brought by {by}",
        )
        return PlainReceipt(
            partner=agreement.partner,
            objects=len(objects),
            taken=len(objects) - len(refused),
            not_taken=[
                PlainNotTaken(ref=names.get(one.path, one.path), reason=one.reason)
                for one in refused
            ],
            signed_by=signed_by,
        )

    def _received(
        self, tx: Transaction, agreement: Agreement, objects: Sequence[ReleasedObject]
    ) -> list[NotTaken]:
        refused: dict[str, NotTaken] = {}
        for start in range(0, len(objects), RECEIVED_AT_ONCE_MAX):
            part = objects[start : start + RECEIVED_AT_ONCE_MAX]
            for one in self._receiver.receive(tx, agreement=agreement, objects=part):
                refused[one.path] = one
        return list(refused.values())

    def _objects(
        self, tx: Transaction, agreement: Agreement, batch: PlainBatch
    ) -> list[tuple[str, ReleasedObject]]:
        found = [
            (one.ref, _indicator(one, now=tx.now, object_id=self._id(agreement, one)))
            for one in batch.indicators
        ]
        found += [
            (one.ref, _sighting(one, now=tx.now, object_id=self._id(agreement, one)))
            for one in batch.sightings
        ]
        if len({one.id for _, one in found}) != len(found):
            raise BadInput("each ref once", where="ref")
        return found

    def _id(self, agreement: Agreement, one: PlainIndicator | PlainSighting) -> str:
        plain = isinstance(one, PlainIndicator)
        kind = ObjectKind.INDICATOR if plain else ObjectKind.SIGHTING
        return keyed_object_id(kind, key=self._key, name=f"{agreement.partner}\0{one.ref}")


def read_batch(body: bytes) -> PlainBatch:
    """A batch's JSON. Raises BadInput with the place."""
    try:
        batch = msgspec.json.decode(body, type=PlainBatch)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(str(error), where="$") from error
    if b"\\u0000" in body or b"\0" in body:
        raise BadInput("contains a NUL character", where="$")
    for one in (*batch.indicators, *batch.sightings):
        for name in ("first_seen", "last_seen", "valid_until"):
            moment: datetime | None = getattr(one, name, None)
            if moment is not None and not EARLIEST <= moment < LATEST:
                raise BadInput("not between the years 1970 and 2200", where=name)
    return batch


def _indicator(one: PlainIndicator, *, now: datetime, object_id: str) -> ReleasedObject:
    fields: Fields = {
        "identifier_kind": one.identifier_kind,
        "value": one.value,
        "scam_types": one.scam_types,
    }
    for name in ("first_seen", "last_seen", "valid_until"):
        moment: datetime | None = getattr(one, name)
        if moment is not None:
            fields[name] = format_time(moment)
    return check_received(
        ReleasedObject(
            id=object_id,
            kind=ObjectKind.INDICATOR,
            created=now,
            modified=now,
            marking=one.marking,
            fields=fields,
            revoked=one.revoked,
        )
    )


def _sighting(one: PlainSighting, *, now: datetime, object_id: str) -> ReleasedObject:
    return check_received(
        ReleasedObject(
            id=object_id,
            kind=ObjectKind.SIGHTING,
            created=now,
            modified=now,
            marking=Marking.AMBER,
            fields={
                "first_seen": format_time(one.first_seen or one.last_seen),
                "last_seen": format_time(one.last_seen),
                "count": one.count,
            },
            refs={REF: (one.of,)},
            revoked=one.revoked,
        )
    )
