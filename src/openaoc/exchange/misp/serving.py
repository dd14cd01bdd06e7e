"""Exchange, MISP: a partner's feed as its MISP fetches it: written from its view each time asked.

Decides nothing about what may leave, and keeps no file: what is withdrawn is gone with the next
request. An event that is not there and one of another partner are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from openaoc.exchange.ledger_model import Received
from openaoc.exchange.misp.feed import (
    event_uuid,
    hashes_of,
    manifest_of,
    org_of,
    parts_of,
)
from openaoc.exchange.misp.writing import CARRIED, OBJECTS_PER_EVENT_MAX, encode_event, event_of
from openaoc.exchange.objects import ReleasedObject
from openaoc.exchange.service import VIEW_PAGE_MAX, Exchange
from openaoc.kernel.errors import NotFound, TooLarge
from openaoc.storage.unit_of_work import Transaction

FEED_OBJECTS_MAX: Final = 100_000
"""A larger exchange goes by TAXII, in pages."""


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
        found = self._view(tx)
        changed = {one.object.id: one.released_at for one in found}
        parts = parts_of(_objects(found), name=self._name, org=self._org, scope=self._scope(tx))
        return manifest_of(parts, org=self._org, changed=changed)

    def event(self, tx: Transaction, number: str) -> bytes:
        """One event of the manifest. Raises NoSuchEvent."""
        for day, objects in self._exchange.view_days(tx, _partner(tx), kinds=CARRIED).items():
            several = range(-(-objects // OBJECTS_PER_EVENT_MAX))
            scope = self._scope(tx)
            named = {event_uuid(self._org, scope=scope, day=day, part=n) for n in several}
            if number in named:
                return self._written(tx, number, day=day)
        raise NoSuchEvent

    def hashes(self, tx: Transaction) -> bytes:
        """MISP's quick lookup over what this partner has: for itself alone."""
        found = self._view(tx)
        lines: list[str] = []
        for part in parts_of(
            _objects(found), name=self._name, org=self._org, scope=self._scope(tx)
        ):
            written = event_of(
                part.objects, event_uuid=part.uuid, info=part.info, org=self._org, now=tx.now
            )
            lines += hashes_of(written.event)
        return "".join(lines).encode("ascii")

    def _written(self, tx: Transaction, number: str, *, day: str) -> bytes:
        found = self._view(tx, day=day)
        changed = {one.object.id: one.released_at for one in found}
        scope = self._scope(tx)
        for part in parts_of(_objects(found), name=self._name, org=self._org, scope=scope):
            if part.uuid == number:
                now = max(changed[one.id] for one in part.objects)
                written = event_of(
                    part.objects, event_uuid=number, info=part.info, org=self._org, now=now
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

    def _scope(self, tx: Transaction) -> str:
        """Two partners' events of one day are two events, and have two ids."""
        return f"{self._name}/{_partner(tx)}"


def _partner(tx: Transaction) -> str:
    assert tx.actor.partner is not None, "only a partner's own user comes here"
    return tx.actor.partner


def _objects(found: Sequence[Received]) -> list[ReleasedObject]:
    return [one.object for one in found]
