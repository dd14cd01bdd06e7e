"""Exchange, TAXII 2.1: fills collections with what the ledger of releases lets each partner have.

Reads the partner's view in its order and writes each release once, as STIX of the partner's
profile. Decides nothing about what may leave.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from openaoc.exchange import release_store
from openaoc.exchange.agreement import Agreement, Minimisation
from openaoc.exchange.ledger_model import Received
from openaoc.exchange.objects import ObjectKind
from openaoc.exchange.service import Exchange
from openaoc.exchange.stix.model import (
    DomainObject,
    Identity,
    Lost,
    MarkingDefinition,
    StixObject,
    encode,
)
from openaoc.exchange.stix.observables import Observing
from openaoc.exchange.stix.reading import LOST_MAX
from openaoc.exchange.stix.writing import Writing, supporting, write_object
from openaoc.exchange.taxii import feed_store, store
from openaoc.exchange.taxii.model import Collection, CollectionKind, Receipt
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import parse_time
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying

WRITTEN_AT_ONCE_MAX: Final = 500
SWEEP_EVERY: Final = timedelta(minutes=10)
"""What may not be kept any longer, or is confirmed again without a new release, shows by then."""
_PURPOSE: Final = "fill collections"
_LOG = structlog.get_logger(__name__)


class Filling:
    """Fills released collections. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        exchange: Exchange,
        producer: Identity,
        country: str,
        surrogates: bool = True,
    ) -> None:
        """`producer`: the centre as an identity; `country`: of accounts that name none.

        `surrogates`: whether accounts without an IBAN get what stands for one.
        """
        self._uow = uow
        self._exchange = exchange
        self._producer = producer
        self._country = country
        self._surrogates = surrogates

    def fill_due(self) -> int:
        """One step for each collection that has something to write; how many rows were looked at.

        WRITTEN_AT_ONCE_MAX or more: there may be more at once.
        """
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            found = store.list_collections(tx.connection, kinds=(CollectionKind.RELEASED,))
            force = {one.partner: one for one in self._exchange.agreements.all_in_force(tx)}
        counts = [
            retrying(functools.partial(self._step, one.id)) for one in found if one.partner in force
        ]
        return max(counts, default=0)

    def _step(self, collection_id: str) -> int:
        with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
            one = store.find_collection(tx.connection, collection_id, lock=True)
            agreement = None if one is None else self._exchange.agreements.in_force(tx, one.partner)
            if one is None or agreement is None or not self._judged(tx, one, agreement):
                return 0
            if one.agreement != agreement.id or _is_due(one, tx.now):
                one = self._sweep(tx, one, agreement)
            page = self._exchange.view(tx, one.partner, after=one.cursor, limit=WRITTEN_AT_ONCE_MAX)
            if page.objects:
                self._write(tx, one, agreement, page.objects)
            return len(page.objects)

    def _judged(self, tx: Transaction, one: Collection, agreement: Agreement) -> bool:
        """Whether all there is was offered under this agreement, or had SWEEP_EVERY to be.

        Before, what a newer version still grants looks like what it does not, and would be taken
        out of its place.
        """
        since = max(agreement.changed_at, agreement.terms.starts_at)
        if one.agreement in (None, agreement.id) or tx.now - since >= SWEEP_EVERY:
            return True
        for publisher in self._exchange.catalogue.publishers:
            mark = release_store.mark_of(
                tx.connection, one.partner, publisher=publisher.name, agreement=agreement.id
            )
            if publisher.changed(tx, after=mark, limit=1).mark != mark:
                return False
        return True

    def _sweep(self, tx: Transaction, one: Collection, agreement: Agreement) -> Collection:
        """Take out what is over, and look at everything once more from the beginning."""
        if one.agreement is None:
            store.delete_written(tx.connection, one.id)
        gone = store.sweep(tx.connection, one.id, agreement=agreement.id)
        how = self._writing(one, agreement)
        rows = [
            _row(found, now=tx.now)
            for found in supporting(how, highest=agreement.terms.highest_marking)
        ]
        _, last = store.add_rows(tx.connection, one, rows, now=tx.now)
        swept = msgspec.structs.replace(
            one, agreement=agreement.id, cursor=0, swept_at=tx.now, last_added=last
        )
        store.update_collection(
            tx.connection, swept, "agreement", "cursor", "swept_at", "last_added"
        )
        _LOG.info("exchange.collection.swept", partner=one.partner, gone=gone)
        return swept

    def _writing(self, one: Collection, agreement: Agreement) -> Writing:
        grant = agreement.terms.grants.get(ObjectKind.INDICATOR)
        form = Minimisation.AS_IS if grant is None else grant.fields.get("value")
        return Writing(
            producer=self._producer,
            observing=Observing(
                profile=one.profile, country=self._country, surrogates=self._surrogates
            ),
            value_form=form or Minimisation.DROPPED,
        )

    def _write(
        self,
        tx: Transaction,
        one: Collection,
        agreement: Agreement,
        found: Sequence[Received],
    ) -> None:
        how = self._writing(one, agreement)
        origins = [received.object.id for received in found]
        there = store.releases_of(tx.connection, one.id, origins)
        fresh = [r for r in found if there.get(r.object.id) != r.sequence]
        store.delete_origins(tx.connection, one.id, [r.object.id for r in fresh])
        rows: dict[tuple[str, datetime], store.NewRow] = {}
        kept = 0
        lost: Counter[tuple[str, str]] = Counter()
        for received in fresh:
            written = write_object(received.object, how)
            kind = received.object.kind.value
            lost.update((f"{kind}.{part.path}", part.reason) for part in written.lost)
            kept += bool(written.objects)
            for single in written.objects:
                row = _row(single, now=tx.now, origin=received.object.id, release=received.sequence)
                rows[row.object_id, row.version] = row
        _, last = store.add_rows(tx.connection, one, list(rows.values()), now=tx.now)
        after = msgspec.structs.replace(one, cursor=found[-1].sequence, last_added=last)
        store.update_collection(tx.connection, after, "cursor", "last_added")
        if lost:
            _report(tx, one, lost, objects=len(fresh), kept=kept)


def _report(
    tx: Transaction,
    one: Collection,
    lost: Counter[tuple[str, str]],
    *,
    objects: int,
    kept: int,
) -> None:
    """Keep what the partner's profile has no place for: each field with how many lost it."""
    counted = lost.most_common(LOST_MAX)
    feed_store.add_receipt(
        tx.connection,
        Receipt(
            sequence=0,
            collection=one.id,
            partner=one.partner,
            at=tx.now,
            objects=objects,
            kept=kept,
            lost=lost.total(),
            report=tuple(
                Lost(path=path, reason=f"{reason} ({count} objects)")
                for (path, reason), count in counted
            ),
        ),
    )


def _is_due(one: Collection, now: datetime) -> bool:
    return one.swept_at is None or now - one.swept_at >= SWEEP_EVERY


def _row(
    one: StixObject, *, now: datetime, origin: str | None = None, release: int | None = None
) -> store.NewRow:
    version = now
    if isinstance(one, DomainObject):
        version = parse_time(one.modified)
    elif isinstance(one, MarkingDefinition):
        version = parse_time(one.created)
    kind = one.id.partition("--")[0]
    return store.NewRow(
        object_id=one.id,
        version=version,
        type=kind,
        body=encode(one),
        origin=origin,
        release=release,
    )
