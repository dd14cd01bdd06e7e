"""Exchange, MISP: a partner's feed as its MISP fetches it: written from its view each time asked.

Decides nothing about what may leave, and keeps no file: what is withdrawn is gone with the next
request. An event that is not there and one of another partner are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from openaoc.exchange.agreement import Agreement
from openaoc.exchange.ledger_model import Received
from openaoc.exchange.misp.feed import (
    Part,
    event_uuid,
    hashes_of,
    manifest_of,
    org_of,
    parts_of,
)
from openaoc.exchange.misp.writing import CARRIED, OBJECTS_PER_EVENT_MAX, encode_event, event_of
from openaoc.exchange.service import VIEW_PAGE_MAX, Exchange
from openaoc.kernel.errors import NotFound, TooLarge
from openaoc.storage.unit_of_work import Transaction

FEED_OBJECTS_MAX: Final = 100_000
"""A larger exchange goes by TAXII, in pages."""
SETTLED_AFTER: Final = timedelta(minutes=1)
"""A reader compares whole seconds, and what is released may be committed a little later: for so
long after a release its event counts as changed at each request."""
FILLED_AFTER: Final = timedelta(minutes=10)
"""Under a new agreement what was released before comes back without a new release, by then."""


class NoSuchEvent(NotFound):
    """There is no such event."""


class MispServing:
    """What partners fetch. One instance per centre."""

    def __init__(self, exchange: Exchange, *, name: str) -> None:
        """`name`: the code under which partners know this centre."""
        self._exchange = exchange
        self._name = name
        self._org = org_of(name)

    def manifest(self, tx: Transaction) -> bytes:
        """The partner's events with when each last changed; none without an agreement in force.

        Raises TooLarge above FEED_OBJECTS_MAX objects.
        """
        agreement = self._agreement(tx)
        found = [] if agreement is None else self._view(tx)

        def changed(part: Part) -> datetime:
            assert agreement is not None, "there is nothing without one"
            return _changed(tx, part, found=released, agreement=agreement)

        released = {one.object.id: one.released_at for one in found}
        return manifest_of(self._parts(tx, found), org=self._org, at=changed)

    def event(self, tx: Transaction, number: str) -> bytes:
        """One event of the manifest. Raises NoSuchEvent."""
        agreement, scope = self._agreement(tx), self._scope(tx)
        days = self._exchange.view_days(tx, _partner(tx), kinds=CARRIED)
        for day, objects in days.items():
            for place in range(-(-objects // OBJECTS_PER_EVENT_MAX)):
                named = event_uuid(self._org, scope=scope, day=day, part=place)
                if named == number and agreement is not None:
                    return self._written(tx, number, day=day, agreement=agreement)
        raise NoSuchEvent

    def hashes(self, tx: Transaction) -> bytes:
        """MISP's quick lookup over what this partner has: for itself alone."""
        lines: list[str] = []
        for part in self._parts(tx, self._view(tx)):
            written = event_of(
                part.objects, event_uuid=part.uuid, info=part.info, org=self._org, now=tx.now
            )
            lines += hashes_of(written.event)
        return "".join(lines).encode("ascii")

    def _written(self, tx: Transaction, number: str, *, day: str, agreement: Agreement) -> bytes:
        found = self._view(tx, day=day)
        released = {one.object.id: one.released_at for one in found}
        for part in self._parts(tx, found):
            if part.uuid == number:
                at = _changed(tx, part, found=released, agreement=agreement)
                written = event_of(
                    part.objects, event_uuid=number, info=part.info, org=self._org, now=at
                )
                return encode_event(written.event)
        raise NoSuchEvent

    def _view(self, tx: Transaction, *, day: str | None = None) -> list[Received]:
        """All of it, or what was created on one day. Raises TooLarge."""
        found: list[Received] = []
        more = True
        while more:
            after = found[-1].sequence if found else 0
            page = self._exchange.view(
                tx, _partner(tx), after=after, limit=VIEW_PAGE_MAX, kinds=CARRIED, day=day
            )
            found += page.objects
            more = page.more
            if len(found) > FEED_OBJECTS_MAX:
                raise TooLarge(f"more than {FEED_OBJECTS_MAX} objects: use TAXII")
        return found

    def _parts(self, tx: Transaction, found: list[Received]) -> Iterator[Part]:
        objects = [one.object for one in found]
        return parts_of(objects, name=self._name, org=self._org, scope=self._scope(tx))

    def _agreement(self, tx: Transaction) -> Agreement | None:
        return self._exchange.agreements.in_force(tx, _partner(tx))

    def _scope(self, tx: Transaction) -> str:
        """Two partners' events of one day are two events, and have two ids."""
        return f"{self._name}/{_partner(tx)}"


def _partner(tx: Transaction) -> str:
    assert tx.actor.partner is not None, "only a partner's own user comes here"
    return tx.actor.partner


def _changed(
    tx: Transaction, part: Part, *, found: dict[str, datetime], agreement: Agreement
) -> datetime:
    """When the event last changed for its reader; now, as long as that is not settled."""
    newest = max(found[one.id] for one in part.objects)
    since = max(agreement.changed_at, agreement.terms.starts_at)
    return min(tx.now, max(newest + SETTLED_AFTER, since + FILLED_AFTER))
