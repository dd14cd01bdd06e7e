"""Exchange: sightings on their way in: a partner saw what we had given it. What it is worth to us.

A sighting of something that partner was not given is not kept, in the same words as one of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from openaoc.exchange import release_store, sighting_store
from openaoc.exchange.agreement import Agreement
from openaoc.exchange.objects import ObjectKind, ReleasedObject
from openaoc.exchange.receiving import NotTaken, Receiver
from openaoc.exchange.sighting_store import Sighting
from openaoc.kernel.clock import parse_time
from openaoc.kernel.errors import BadInput
from openaoc.storage.unit_of_work import Transaction

REF: Final = "sighting_of"
COUNT_MAX: Final = 10**9


class SightingReceiver:
    """Takes partners' sightings. One instance per centre."""

    def receive(
        self, tx: Transaction, *, agreement: Agreement, objects: Sequence[ReleasedObject]
    ) -> Sequence[NotTaken]:
        """Keep each sighting of what was given to this partner; what was not kept, and why."""
        wanted = sorted({ref for one in objects for ref in one.refs.get(REF, ())})
        given = release_store.held(tx.connection, agreement.partner, wanted)
        refused: list[NotTaken] = []
        for one in objects:
            try:
                sighting = _sighting(one, partner=agreement.partner, given=given, now=tx.now)
            except BadInput as error:
                refused.append(NotTaken(path=one.id, reason=error.detail or error.title))
            else:
                sighting_store.put(tx.connection, sighting)
        return refused


class ByKind:
    """Hands each object to who receives its kind; others are reported as not kept."""

    def __init__(self, receivers: Mapping[ObjectKind, Receiver], *, otherwise: Receiver) -> None:
        self._receivers = dict(receivers)
        self._otherwise = otherwise

    def receive(
        self, tx: Transaction, *, agreement: Agreement, objects: Sequence[ReleasedObject]
    ) -> Sequence[NotTaken]:
        """Every object once, in the order of the kinds."""
        refused: list[NotTaken] = []
        for kind in dict.fromkeys(one.kind for one in objects):
            receiver = self._receivers.get(kind, self._otherwise)
            part = [one for one in objects if one.kind is kind]
            refused += receiver.receive(tx, agreement=agreement, objects=part)
        return refused


def _sighting(
    one: ReleasedObject, *, partner: str, given: Mapping[str, object], now: datetime
) -> Sighting:
    refs = one.refs.get(REF, ())
    if len(refs) != 1 or refs[0] not in given:
        raise BadInput("of nothing that was given to you")
    last = _time(one, "last_seen", otherwise=one.modified)
    first = _time(one, "first_seen", otherwise=last)
    count = one.fields.get("count", 1)
    if not isinstance(count, int) or not 1 <= count <= COUNT_MAX:
        raise BadInput("not a count")
    if not first <= last <= now:
        raise BadInput("seen first, then last, by now")
    return Sighting(
        partner=partner,
        id=one.id,
        object_id=refs[0],
        first_seen=first,
        last_seen=last,
        count=count,
        said_at=min(one.modified, now),
        taken_at=now,
        revoked=one.revoked,
    )


def _time(one: ReleasedObject, name: str, *, otherwise: datetime) -> datetime:
    value = one.fields.get(name)
    return parse_time(value, where=name) if isinstance(value, str) else otherwise
