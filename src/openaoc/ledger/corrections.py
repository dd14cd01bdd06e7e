"""Corrections, and what both banks of a payment told: the rare rows of a batch.

Answers which rows change to what, and which contradict. Changes nothing but its own history, and
that only when told that the batch is durable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.encode import Correction, Prepared
from openaoc.ledger.kernels_intern import (
    BOTH,
    DIFFERS,
    NEW,
    OTHER_BANK,
    REPORTER,
    REVISED,
    Incoming,
)
from openaoc.ledger.model import (
    REVISIONS_PER_TRANSFER_MAX,
    Revision,
    TransferConflict,
    UnknownCorrection,
)
from openaoc.ledger.store import Store


class Content(NamedTuple):
    """What a transfer says, in numbers; `named` is the named creditor, also of an exit, or -1."""

    time_us: int
    debtor: int
    named: int
    amount_minor: int
    channel: int


@dataclass(frozen=True, kw_only=True)
class Amendment:
    """Row `row` gets this content; `reporter` is its whole new reporter field."""

    row: int
    content: Content
    reporter: int


@dataclass(kw_only=True)
class Known:
    """What is known of one corrected row: its revision now and everything it said before."""

    revision: int
    history: tuple[Revision, ...]


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
    merged: dict[int, int] = field(default_factory=dict)
    """Rows that the other bank told too, as they were before a correction; the batch row each."""
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
            content = _content(incoming, place)
            reporter = int(incoming.reporter[place]) | BOTH | (own & REVISED)
            planned.now[row], planned.reporters[row] = content, reporter
            who = self._store.institutions.words[int(incoming.reporter[place])]
            planned.told[who, _id(batch, place)] = row
            planned.amendments.append(Amendment(row=row, content=content, reporter=reporter))

    def plan(
        self,
        batch: Prepared,
        incoming: Incoming,
        codes: NDArray[np.uint8],
        matched: NDArray[np.int32],
        planned: Planned,
    ) -> None:
        """Decide every row that is neither new nor a plain repeat.

        Raises TransferConflict or UnknownCorrection with the place in the batch.
        """
        for place in np.flatnonzero(codes == DIFFERS).tolist():
            row = int(matched[place])
            own = int(self._store.facts.reporter[row]) & REPORTER == int(incoming.reporter[place])
            if not self._once_said(row, _content(incoming, place), exact=own):
                raise TransferConflict(
                    f"{_id(batch, place)!r} was told before with other content; a correction "
                    "names in `corrects` what it corrects",
                    where=_where(place),
                )
            planned.repeated += 1
        for place in np.flatnonzero(codes == OTHER_BANK).tolist():
            self._other_bank(batch, incoming, place, int(matched[place]), planned)
        for correction in sorted(batch.corrections, key=lambda c: (c.revision, c.index)):
            self._correct(batch, incoming, correction, planned)

    def refuse_reused(self, batch: Prepared, incoming: Incoming, codes: NDArray[np.uint8]) -> None:
        """Refuse a new transfer under an id that its reporter used for a correction."""
        names = self._store.institutions.words
        for place in np.flatnonzero(codes == NEW).tolist():
            who = names[int(incoming.reporter[place])]
            if (who, _id(batch, place)) in self.renamed:
                raise TransferConflict(
                    f"{_id(batch, place)!r} is the id of a correction", where=_where(place)
                )

    def _once_said(self, row: int, content: Content, *, exact: bool) -> bool:
        """Whether the row said this before a correction; unless exact, at any time and channel."""
        known = self.known.get(row)
        if known is None:
            return False
        for past in known.history:
            said = _past(past)
            if not exact:
                said = said._replace(time_us=content.time_us, channel=content.channel)
            if said == content:
                return True
        return False

    def _other_bank(
        self, batch: Prepared, incoming: Incoming, place: int, row: int, planned: Planned
    ) -> None:
        """The other bank's report of a payment that was corrected since."""
        payer = int(incoming.payer[place])
        same = self._once_said(row, _content(incoming, place), exact=False)
        if not same or payer == int(incoming.reporter[place]):
            raise TransferConflict(
                f"{_id(batch, place)!r}: the other bank told and corrected a different payment "
                "under this id",
                where=_where(place),
            )
        planned.merged[row] = place
        planned.repeated += 1

    def _correct(
        self, batch: Prepared, incoming: Incoming, told: Correction, planned: Planned
    ) -> None:
        place, where = told.index, _where(told.index)
        who = self._store.institutions.words[int(incoming.reporter[place])]
        row = self._target(who, told.corrects, planned)
        if row < 0:
            raise UnknownCorrection(
                f"{who} corrects {told.corrects!r}, which it never told", where=where
            )
        own = planned.reporters.get(row, int(self._store.facts.reporter[row]))
        if own & REPORTER != int(incoming.reporter[place]):
            raise TransferConflict(
                f"both banks told {told.corrects!r}; the debtor's bank corrects it", where=where
            )
        name = _id(batch, place)
        under_name = self._target(who, name, planned)
        if under_name not in (-1, row):
            raise TransferConflict(f"{name!r} is another transfer's id", where=where)
        content = _content(incoming, place)
        now = planned.now.get(row) or self.content(row)
        if own & BOTH and self._banks(content) != self._banks(now):
            raise TransferConflict(
                f"{told.corrects!r} was told by both its banks; its banks cannot change",
                where=where,
            )
        if under_name < 0:
            planned.renamed[(who, name)] = row
        self._revise(row, own, now, content, told.revision, planned, where=where)

    def _revise(
        self,
        row: int,
        own: int,
        now: Content,
        content: Content,
        revision: int,
        planned: Planned,
        *,
        where: str,
    ) -> None:
        known = planned.known.get(row) or self.known.get(row) or Known(revision=0, history=())
        if len(known.history) >= REVISIONS_PER_TRANSFER_MAX:
            raise TransferConflict(
                f"corrected {REVISIONS_PER_TRANSFER_MAX} times already", where=where
            )
        if revision > known.revision:
            past = _revision(known.revision, now, own & REPORTER)
            planned.known[row] = Known(revision=revision, history=(*known.history, past))
            planned.now[row], planned.reporters[row] = content, own | REVISED
            planned.amendments.append(Amendment(row=row, content=content, reporter=own | REVISED))
            planned.corrected += 1
            return
        told = {past.revision: _past(past) for past in known.history} | {known.revision: now}
        if revision in told:
            if told[revision] != content:
                raise TransferConflict(
                    f"revision {revision} was told before with other content", where=where
                )
        else:
            past = _revision(revision, content, own & REPORTER)
            planned.known[row] = Known(revision=known.revision, history=(*known.history, past))
        planned.repeated += 1

    def _target(self, who: str, transfer_id: str, planned: Planned) -> int:
        key = (who, transfer_id)
        if key in planned.renamed:
            return planned.renamed[key]
        if key in self.renamed:
            return self.renamed[key]
        if key in planned.told:
            return planned.told[key]
        return self._store.find_row(who, transfer_id, visible=self._store.rows)

    def _banks(self, content: Content) -> tuple[int, int]:
        kind = self._store.names.kind
        payee = int(kind[content.named]) >> 16 if content.named >= 0 else -1
        return int(kind[content.debtor]) >> 16, payee


def _content(incoming: Incoming, place: int) -> Content:
    return Content(
        int(incoming.time_us[place]),
        int(incoming.debtor[place]),
        int(incoming.named[place]),
        int(incoming.amount[place]),
        int(incoming.channel[place]),
    )


def _past(revision: Revision) -> Content:
    return Content(
        revision.time_us,
        revision.debtor,
        revision.creditor,
        revision.amount_minor,
        revision.channel,
    )


def _revision(number: int, content: Content, reporter: int) -> Revision:
    return Revision(
        revision=number,
        time_us=content.time_us,
        debtor=content.debtor,
        creditor=content.named,
        amount_minor=content.amount_minor,
        channel=content.channel,
        reporter=reporter,
    )


def _id(batch: Prepared, place: int) -> str:
    return batch.transfer_id.value(place).decode()


def _where(place: int) -> str:
    """The place in the batch; the service puts file and row in its stead."""
    return f"row {place + 1}"
