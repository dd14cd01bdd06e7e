"""Stage ledger: the rare rows of a batch: corrections, contradictions, the other bank's word.

Answers what they change, by the rules of tellings.py. Changes nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.corrections import (
    Amendment,
    Corrections,
    Joined,
    Known,
    Planned,
    content_of,
    id_of,
    past,
    place_in,
    revision_of,
)
from openaoc.ledger.encode import Prepared
from openaoc.ledger.kernels_intern import (
    BOTH,
    DIFFERS,
    JOINED,
    OTHER_BANK,
    REPORTER,
    REVISED,
    Incoming,
)
from openaoc.ledger.model import Revision, TransferConflict, UnknownCorrection
from openaoc.ledger.store import Store
from openaoc.ledger.tellings import (
    NEVER_TOLD,
    Chain,
    Content,
    Contradiction,
    Name,
    Renaming,
    Said,
    judge,
    newest_place,
    targets,
)

_NOTHING = Known()


class Judgement:
    """One batch beside what the ledger knows; its new rows are written already."""

    def __init__(
        self,
        store: Store,
        corrections: Corrections,
        batch: Prepared,
        incoming: Incoming,
        planned: Planned,
    ) -> None:
        self._store, self._corrections = store, corrections
        self._batch, self._incoming, self._planned = batch, incoming, planned
        self._families: dict[str, dict[int, Chain]] = {}
        """By transfer id and reporter, what was told."""
        self._rows: dict[tuple[str, int], int] = {}

    def run(self, codes: NDArray[np.uint8]) -> None:
        """Plan all that the rows change which are neither new nor plain repeats.

        Raises TransferConflict or UnknownCorrection with the place in the batch.
        """
        for place in np.flatnonzero((codes == OTHER_BANK) | (codes == DIFFERS)).tolist():
            name = id_of(self._batch, place)
            chain = self._chain(name, int(self._incoming.reporter[place]))
            if codes[place] == DIFFERS:
                chain.again.append(self._said(place))
                self._planned.repeated += 1
            else:
                chain.said[0] = self._said(place)
        self._take_corrections()
        for name, family in self._families.items():
            self._complete(name, family)
            try:
                payers = judge(family)
            except Contradiction as found:
                place = found.place if found.place >= 0 else newest_place(family.values())
                reason = found.reason or (
                    "was told before with other content; a correction names in `corrects` what"
                    " it corrects"
                )
                raise TransferConflict(f"{name!r}: {reason}", where=place_in(place)) from found
            self._plan(name, family, payers)

    def _take_corrections(self) -> None:
        words = self._store.institutions.words
        told = sorted(self._batch.corrections, key=lambda c: (c.revision, c.index))
        renamings = []
        for item in told:
            who = words[int(self._incoming.reporter[item.index])]
            own = (who, id_of(self._batch, item.index))
            renamings.append(Renaming(own, (who, item.corrects), item.index))
        try:
            rows = targets(renamings, self._known)
        except Contradiction as found:
            raise self._misled(found) from found
        for item, renaming, row in zip(told, renamings, rows, strict=True):
            name, reporter = self._store.transfer_id(row), int(self._incoming.reporter[item.index])
            chain = self._chain(name, reporter)
            counts = chain.partner < 0 and item.revision > max(chain.said)
            try:
                chain.correct(item.revision, self._said(item.index))
            except Contradiction as found:
                raise TransferConflict(
                    f"{item.corrects!r}: {found.reason}", where=place_in(item.index)
                ) from found
            self._planned.corrected += counts
            self._planned.repeated += not counts
            if self._known(renaming.name) < 0:
                reporter_word, own_id = renaming.name
                self._planned.renamed[str(reporter_word), str(own_id)] = row

    def _misled(self, found: Contradiction) -> TransferConflict | UnknownCorrection:
        where, item = place_in(found.place), id_of(self._batch, found.place)
        if found.reason == NEVER_TOLD:
            who = self._store.institutions.words[int(self._incoming.reporter[found.place])]
            wanted = next(c.corrects for c in self._batch.corrections if c.index == found.place)
            return UnknownCorrection(f"{who} corrects {wanted!r}, which it never told", where=where)
        return TransferConflict(f"{item!r}: {found.reason}", where=where)

    def _known(self, name: Name) -> int:
        """The row that has this name, or -1."""
        who, what = str(name[0]), str(name[1])
        for names in (self._planned.renamed, self._corrections.renamed, self._planned.told):
            if (who, what) in names:
                return names[who, what]
        return self._store.find_row(who, what, visible=self._store.rows)

    def _chain(self, name: str, reporter: int) -> Chain:
        """What the reporter told under this id, which is a transfer's own."""
        family = self._families.setdefault(name, {})
        if reporter not in family:
            row = self._find(name, reporter)
            assert row >= 0, "the reporter told of it"
            family[reporter] = self._read(row, reporter)
            self._rows[name, reporter] = row
        return family[reporter]

    def _find(self, name: str, reporter: int) -> int:
        who = self._store.institutions.words[reporter]
        row = self._planned.told.get((who, name), -1)
        return row if row >= 0 else self._store.find_row(who, name, visible=self._store.rows)

    def _read(self, row: int, reporter: int) -> Chain:
        own = self._reporter(row)
        known = self._corrections.known.get(row, _NOTHING)
        if own & REPORTER != reporter:
            said = {item.revision: self._told(past(item)) for item in known.other}
            return Chain(reporter=reporter, said=said, partner=own & REPORTER)
        said = {item.revision: self._told(past(item)) for item in known.history}
        said[known.revision] = self._told(self._content(row))
        return Chain(reporter=reporter, said=said)

    def _complete(self, name: str, family: dict[int, Chain]) -> None:
        """Add what the banks at the other ends told under this id."""
        waiting = [*family.values()]
        while waiting:
            chain = waiting.pop()
            others = {chain.partner}
            for said in chain.said.values():
                if chain.reporter in (said.payer, said.payee):
                    others |= {said.payer, said.payee}
            waiting += [
                self._chain(name, other)
                for other in sorted(others - family.keys() - {-1})
                if self._find(name, other) >= 0
            ]

    def _plan(self, name: str, family: Mapping[int, Chain], payers: Mapping[int, int]) -> None:
        for payee, payer in payers.items():
            self._plan_both(name, payer=family[payer], payee=family[payee])
        paired = payers.keys() | set(payers.values())
        for reporter, chain in family.items():
            if reporter in paired:
                continue
            row, known = self._rows[name, reporter], _kept(chain)
            bits = reporter | (REVISED if known.history else 0)
            self._set(row, self._stands(chain), bits, known)

    def _plan_both(self, name: str, *, payer: Chain, payee: Chain) -> None:
        """One payment that both banks told: the debtor's bank stands, at the earlier place."""
        numbers = self._store.numbers
        rows = {self._rows[name, chain.reporter]: chain.reporter for chain in (payee, payer)}
        into = min(rows, key=numbers.sequence)
        known = _kept(payer, payee)
        bits = payer.reporter | BOTH | (REVISED if known.history or known.other else 0)
        for row in rows.keys() - {into}:
            content = self._content(row)
            moves_nothing = content._replace(named=content.debtor, channel=0)
            self._planned.amendments.append(
                Amendment(row=row, content=moves_nothing, reporter=JOINED)
            )
            self._planned.known.pop(row, None)
            self._planned.joined.append(
                Joined(row=row, into=into, reporter=rows[row], transfer_id=name)
            )
            for names in (self._corrections.renamed, self._planned.renamed):
                moved = {key: into for key, was in names.items() if was == row}
                self._planned.renamed.update(moved)
        self._set(into, self._stands(payer), bits, known)

    def _stands(self, chain: Chain) -> Content:
        standing = chain.standing
        assert standing is not None, "a bank that stands said something"
        return standing.content

    def _set(self, row: int, content: Content, reporter: int, known: Known) -> None:
        """The row says this from now on, unless it does already."""
        planned = self._planned
        if known != self._corrections.known.get(row, _NOTHING):
            planned.known[row] = known
        if (content, reporter) != (self._content(row), self._reporter(row)):
            planned.now[row], planned.reporters[row] = content, reporter
            planned.amendments.append(Amendment(row=row, content=content, reporter=reporter))

    def _content(self, row: int) -> Content:
        return self._planned.now.get(row) or self._corrections.content(row)

    def _reporter(self, row: int) -> int:
        return self._planned.reporters.get(row, int(self._store.facts.reporter[row]))

    def _said(self, place: int) -> Said:
        return self._told(content_of(self._incoming, place))._replace(place=place)

    def _told(self, content: Content) -> Said:
        kind = self._store.names.kind
        payee = int(kind[content.named]) >> 16 if content.named >= 0 else -1
        return Said(content, int(kind[content.debtor]) >> 16, payee)


def _kept(chain: Chain, payee: Chain | None = None) -> Known:
    """What is kept of a chain beside the statement that stands, and of the other bank's."""
    stands = max(chain.said)
    history = _revisions(chain, leave=stands)
    other: tuple[Revision, ...] = ()
    if payee is not None and not (
        payee.said.keys() <= {0} and payee.payments() <= chain.payments()
    ):
        other = _revisions(payee, leave=-1)
    return Known(revision=stands, history=history, other=other)


def _revisions(chain: Chain, *, leave: int) -> tuple[Revision, ...]:
    return tuple(
        revision_of(number, said.content, chain.reporter)
        for number, said in chain.said.items()
        if number != leave
    )
