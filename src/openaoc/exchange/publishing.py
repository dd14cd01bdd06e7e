"""Exchange: what stages publish goes to everybody whose agreement lets it, by itself.

Each partner is offered everything from the beginning of its agreement's history on; a newer version
of the agreement is a new beginning, in which what is not granted any more is taken back.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

import structlog

from openaoc.exchange import release_store
from openaoc.exchange.agreement import Agreement
from openaoc.exchange.canaries import Canaries
from openaoc.exchange.catalogue import Publisher
from openaoc.exchange.objects import SharedObject, check_object
from openaoc.exchange.release import Reason, Withheld
from openaoc.exchange.service import Exchange
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput
from openaoc.storage.unit_of_work import UnitOfWork, retrying

OFFERED_PER_ROUND: Final = 500
"""Objects offered to one partner in one transaction."""
_LOG = structlog.get_logger(__name__)


class Publishing:
    """Offers what is new to every partner. One instance per centre."""

    def __init__(self, *, uow: UnitOfWork, exchange: Exchange, canaries: Canaries) -> None:
        self._uow = uow
        self._exchange = exchange
        self._canaries = canaries

    def publish_due(self) -> int:
        """Offer each partner what it was not offered yet, a bounded part of it; how many objects.

        Work is left when it is more than nothing.
        """
        with self._uow.read(SYSTEM, purpose="whom to publish to") as tx:
            partners = [one.partner for one in self._exchange.agreements.all_in_force(tx)]
        return sum(self._publish(partner) for partner in partners)

    def _publish(self, partner: str) -> int:
        offered = 0
        for publisher in self._exchange.catalogue.publishers:
            count = retrying(functools.partial(self._offer, partner, publisher))
            offered += count
            if count >= OFFERED_PER_ROUND:
                # What comes later may refer to these: a reference leaves only after its object.
                break
        return offered + retrying(functools.partial(self._offer_canaries, partner))

    def _offer(self, partner: str, publisher: Publisher) -> int:
        """One publisher's next objects; how many."""
        with self._uow.begin(SYSTEM, purpose="publish by agreement") as tx:
            self._exchange.agreements.partners.found(tx, partner, lock=True)
            agreement = self._exchange.agreements.in_force(tx, partner)
            if agreement is None:
                return 0
            mark = release_store.mark_of(
                tx.connection, partner, publisher=publisher.name, agreement=agreement.id
            )
            changed = publisher.changed(tx, after=mark, limit=OFFERED_PER_ROUND)
            outcomes = self._exchange.offer(tx, _sound(changed.objects), partner=partner)
            full = any(
                isinstance(one.result, Withheld) and Reason.VOLUME_REACHED in one.result.reasons
                for one in outcomes
            )
            if full or changed.mark == mark:
                return 0
            # At the volume of the day the mark stays: the rest is offered again tomorrow.
            release_store.set_mark(
                tx.connection,
                partner,
                publisher=publisher.name,
                agreement=agreement.id,
                mark=changed.mark,
            )
            return len(changed.objects)

    def _offer_canaries(self, partner: str) -> int:
        """Canaries are offered once under each agreement, and when they end, like anything else."""
        with self._uow.begin(SYSTEM, purpose="publish by agreement") as tx:
            agreement: Agreement | None = self._exchange.agreements.in_force(tx, partner)
            if agreement is None:
                return 0
            objects = self._canaries.objects(tx, partner)
            over = sum(one.revoked for one in objects)
            name, mark = self._canaries.name, f"{len(objects)}-{over}"
            before = release_store.mark_of(
                tx.connection, partner, publisher=name, agreement=agreement.id
            )
            if not objects or before == mark:
                return 0
            self._exchange.offer(tx, objects, partner=partner)
            release_store.set_mark(
                tx.connection, partner, publisher=name, agreement=agreement.id, mark=mark
            )
            return len(objects)


def _sound(objects: Sequence[SharedObject]) -> list[SharedObject]:
    """Those that are as they must be: a fault in one stage's object keeps no other back."""
    found = []
    for one in objects:
        try:
            found.append(check_object(one))
        except BadInput as error:
            _LOG.error("exchange.object.unsound", kind=one.kind.value, where=error.where)
    return found
