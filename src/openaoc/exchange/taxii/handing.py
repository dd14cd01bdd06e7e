"""Exchange, TAXII 2.1: hands what partners wrote, or what was read from them, to its receiver.

In order, each batch in one transaction with how far it got: after a crash nothing is missing and
nothing was handed on twice. What could not be kept is kept as a report.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import structlog

from openaoc.exchange.agreeing import Agreements
from openaoc.exchange.agreement import Agreement
from openaoc.exchange.model import check_partner_code
from openaoc.exchange.receiving import RECEIVED_AT_ONCE_MAX, NotTaken, Receiver
from openaoc.exchange.stix.model import Lost, StixObject
from openaoc.exchange.stix.reading import LOST_MAX, NotKept, check_object, read_objects
from openaoc.exchange.taxii import feed_store, store
from openaoc.exchange.taxii.model import Collection, CollectionKind, Receipt, ReceiptPage
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput, Conflict, NotFound, Refused
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.markings import Marking
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying

UNMARKED: Final = Marking.AMBER
"""How what carries no marking is treated: it was sent to us, and to nobody else."""
_ITS_OWN: Final = (BadInput, Conflict, NotFound, Refused)
"""Errors that come from an object and will come again; others pass."""
_PURPOSE: Final = "take what partners sent"
_LOG = structlog.get_logger(__name__)


class ReceiptMark(msgspec.Struct, frozen=True, kw_only=True):
    """A batch in the journal: counts alone."""

    collection: str
    objects: int
    kept: int
    lost: int


class Handing:
    """Hands on what came in. One instance per centre."""

    def __init__(
        self, *, uow: UnitOfWork, agreements: Agreements, receiver: Receiver, country: str
    ) -> None:
        self._uow = uow
        self._agreements = agreements
        self._receiver = receiver
        self._country = country

    def hand_due(self) -> int:
        """One batch of each collection with something new; the largest batch's size."""
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            found = store.list_collections(
                tx.connection, kinds=(CollectionKind.INBOX, CollectionKind.FEED)
            )
        new = [one for one in found if one.last_added > one.handed]
        return max((self._batch(one.id) for one in new), default=0)

    def received(self, tx: Transaction, *, partner: str | None, after: int = 0) -> ReceiptPage:
        """What came in and what of it could not be kept, in order, at most PAGE_MAX batches."""
        require(tx.actor, Permission.EXCHANGE_READ)
        code = None if partner is None else check_partner_code(partner)
        found = feed_store.list_receipts(tx.connection, partner=code, after=after, limit=PAGE_MAX)
        return ReceiptPage(receipts=found)

    def _batch(self, collection_id: str) -> int:
        for limit in (RECEIVED_AT_ONCE_MAX, 1):
            try:
                return retrying(functools.partial(self._take, collection_id, limit=limit))
            except _ITS_OWN as error:
                # One object must not keep the others waiting: alone, it is reported as not kept.
                _LOG.warning("exchange.handing.refused", objects=limit, code=error.code)
                reason = error.title
        return retrying(functools.partial(self._take, collection_id, limit=1, refused=reason))

    def _take(self, collection_id: str, *, limit: int, refused: str | None = None) -> int:
        with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
            # Its own lock: who writes into the collection does not wait for its receiver.
            tx.lock(f"exchange.handing.{collection_id}")
            one = store.find_collection(tx.connection, collection_id)
            agreement = None if one is None else self._agreements.in_force(tx, one.partner)
            if one is None or agreement is None:
                return 0
            rows = store.waiting(tx.connection, one, limit=limit)
            if not rows:
                self._reached(tx, one, one.last_added)
                return 0
            lost, kept = [Lost(path="$", reason=refused or "")], 0
            if refused is None:
                lost, kept = self._believed(tx, agreement, [body for _, body in rows])
            record_batch(tx, one, objects=len(rows), kept=kept, lost=lost)
            self._reached(tx, one, rows[-1][0])
            return len(rows)

    def _believed(
        self, tx: Transaction, agreement: Agreement, bodies: Sequence[bytes]
    ) -> tuple[list[Lost], int]:
        lost: list[Lost] = []
        objects: list[StixObject] = []
        for body in bodies:
            try:
                checked = check_object(body)
            except NotKept as error:
                lost.append(Lost(path=error.where, reason=error.detail))
                continue
            number = checked.object.id
            lost += [Lost(path=number + part.path[1:], reason=part.reason) for part in checked.lost]
            objects.append(checked.object)
        reading = read_objects(objects, country=self._country, otherwise=UNMARKED)
        lost += reading.lost
        refused: Sequence[NotTaken] = ()
        if reading.objects:
            refused = self._receiver.receive(tx, agreement=agreement, objects=reading.objects)
            lost += [Lost(path=part.path, reason=part.reason) for part in refused]
        gone = {part.path for part in refused}
        return lost, sum(one.id not in gone for one in reading.objects)

    @staticmethod
    def _reached(tx: Transaction, one: Collection, place: datetime) -> None:
        after = msgspec.structs.replace(one, handed=place)
        store.update_collection(tx.connection, after, "handed")


def record_batch(
    tx: Transaction, one: Collection, *, objects: int, kept: int, lost: Sequence[Lost]
) -> None:
    """Keep what became of a batch, and enter its counts in the journal."""
    feed_store.add_receipt(
        tx.connection,
        Receipt(
            sequence=0,
            collection=one.id,
            partner=one.partner,
            at=tx.now,
            objects=objects,
            kept=kept,
            lost=len(lost),
            report=tuple(lost[:LOST_MAX]),
        ),
    )
    mark = ReceiptMark(collection=one.id, objects=objects, kept=kept, lost=len(lost))
    tx.journal(action="exchange.objects.taken", subject=one.partner, after=mark)
