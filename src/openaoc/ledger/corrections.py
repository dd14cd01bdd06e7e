"""Corrections, and what both banks of a payment told: the history behind the ledger's rows.

Answers what a row said before, and what a batch changes beside its new rows. Changes nothing but
its own history, and that only when told that the batch is durable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.encode import Prepared
from openaoc.ledger.kernels_intern import BOTH, NEW, OTHER_BANK, REVISED, Incoming
from openaoc.ledger.model import LedgerFull, Revision, TransferConflict
from openaoc.ledger.store import Store
from openaoc.ledger.tellings import Content

JOINED_MAX: Final = 1_000_000
"""Rows that turned out to be the other bank's report of an earlier one; their numbers are kept."""


@dataclass(frozen=True, kw_only=True)
class Amendment:
    """Row `row` gets this content; `reporter` is its whole new reporter field."""

    row: int
    content: Content
    reporter: int


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of one corrected row: its revision now and everything it said before.

    other: what the creditor's bank told of a payment that the debtor's bank told, too, where it
    ever told something else.
    """

    revision: int = 0
    history: tuple[Revision, ...] = ()
    other: tuple[Revision, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Row `row` is the same transfer as the earlier row `into`; (reporter, id) is its name."""

    row: int
    into: int
    reporter: int
    transfer_id: str


@dataclass(kw_only=True)
class Planned:
    """What a batch will change beside its new rows, in this order."""

    amendments: list[Amendment] = field(default_factory=list)
    known: dict[int, Known] = field(default_factory=dict)
    now: dict[int, Content] = field(default_factory=dict)
    reporters: dict[int, int] = field(default_factory=dict)
    told: dict[tuple[str, str], int] = field(default_factory=dict)
    """Names under which the debtor's bank told rows that do not carry its name yet."""
    renamed: dict[tuple[str, str], int] = field(default_factory=dict)
    joined: list[Joined] = field(default_factory=list)
    corrected: int = 0
    repeated: int = 0


class Corrections:
    """The history of corrected rows and the further names corrections gave them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.known: dict[int, Known] = {}
        self.renamed: dict[tuple[str, str], int] = {}
        """(reporter, id of a correction told under an id of its own) to the row it corrects."""

    def keep(self, planned: Planned) -> None:
        """The batch is durable: its history counts from now on."""
        self.known.update(planned.known)
        self.renamed.update(planned.renamed)
        numbers = self._store.numbers
        for joined in planned.joined:
            self.known.pop(joined.row, None)
            numbers.join(numbers.sequence(joined.row), numbers.sequence(joined.into))

    def content(self, row: int) -> Content:
        """What the row says now."""
        facts = self._store.facts
        return Content(
            int(facts.time_us[row]),
            int(facts.debtor[row]),
            self._store.named_creditor(row),
            int(facts.amount[row]),
            int(facts.channel[row]),
        )

    def retime(
        self,
        batch: Prepared,
        incoming: Incoming,
        places: NDArray[np.int64],
        matched: NDArray[np.int32],
        planned: Planned,
    ) -> None:
        """The debtor bank tells after the creditor bank: its time and channel stand."""
        for place in places.tolist():
            row = int(matched[place])
            own = int(self._store.facts.reporter[row])
            content = content_of(incoming, place)
            reporter = int(incoming.reporter[place]) | BOTH | (own & REVISED)
            planned.now[row], planned.reporters[row] = content, reporter
            who = self._store.institutions.words[int(incoming.reporter[place])]
            planned.told[who, id_of(batch, place)] = row
            planned.amendments.append(Amendment(row=row, content=content, reporter=reporter))

    def refuse_reused(self, batch: Prepared, incoming: Incoming, codes: NDArray[np.uint8]) -> None:
        """Refuse a new transfer under an id that its reporter used for a correction."""
        names = self._store.institutions.words
        for place in np.flatnonzero((codes == NEW) | (codes == OTHER_BANK)).tolist():
            who = names[int(incoming.reporter[place])]
            if (who, id_of(batch, place)) in self.renamed:
                raise TransferConflict(
                    f"{id_of(batch, place)!r} is the id of a correction", where=place_in(place)
                )

    def ensure_room(self, planned: Planned) -> None:
        """Raises LedgerFull when too many rows turned out to be others."""
        if len(self._store.numbers.joined) + len(planned.joined) > JOINED_MAX:
            raise LedgerFull(f"more than {JOINED_MAX:,} transfers turned out to be another's")


def content_of(incoming: Incoming, place: int) -> Content:
    """What a row of a batch says."""
    return Content(
        int(incoming.time_us[place]),
        int(incoming.debtor[place]),
        int(incoming.named[place]),
        int(incoming.amount[place]),
        int(incoming.channel[place]),
    )


def past(revision: Revision) -> Content:
    """What a revision said."""
    return Content(
        revision.time_us,
        revision.debtor,
        revision.creditor,
        revision.amount_minor,
        revision.channel,
    )


def revision_of(number: int, content: Content, reporter: int) -> Revision:
    """A statement as it is kept."""
    return Revision(
        revision=number,
        time_us=content.time_us,
        debtor=content.debtor,
        creditor=content.named,
        amount_minor=content.amount_minor,
        channel=content.channel,
        reporter=reporter,
    )


def id_of(batch: Prepared, place: int) -> str:
    """The transfer id of a row of a batch."""
    return batch.transfer_id.value(place).decode()


def place_in(place: int) -> str:
    """The place in the batch; the service puts file and row in its stead."""
    return f"row {place + 1}"
