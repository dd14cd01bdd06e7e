"""The hot log in memory: a batch is staged, then applied or undone.

Answers what a batch would change and changes it. Writes no log and takes no lock: service.py does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, SELF
from openaoc.ledger.corrections import Amendment, Corrections, Joined, Planned
from openaoc.ledger.encode import Prepared, Words
from openaoc.ledger.judging import Judgement
from openaoc.ledger.kernels_amend import amend_row
from openaoc.ledger.kernels_intern import (
    AGAIN,
    BOTH,
    DIFFERS,
    REPEAT,
    REVISED,
    SECOND,
    Incoming,
    id_tag,
    stage_rows,
)
from openaoc.ledger.kernels_lines import apply_rows
from openaoc.ledger.kernels_slots import clear_slots, intern_accounts, move_slot, put_slot
from openaoc.ledger.line_limits import LineLimits
from openaoc.ledger.model import LedgerFull
from openaoc.ledger.store import SLICE_ROWS_MAX, Store
from openaoc.ledger.tellings import Content

SLICE_ROWS_MIN: Final = 512
"""Rows applied while no reader is inside: a fraction of a millisecond."""
LATE_WORK_FACTOR: Final = 4
"""A slice that repairs more rows than this times its own is followed by one twice as long, so
that a backfill repairs a busy account some dozens of times and not thousands."""

Rows = NDArray[np.int32]


@dataclass(kw_only=True)
class Mark:
    """Where the store ended before a batch: all that is needed to undo it."""

    rows: int
    id_bytes: int
    exits: int
    accounts: int
    name_bytes: int
    institutions: int
    currencies: int
    amount_total: int
    account_slots: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    id_slots: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    flagged: list[tuple[Rows, NDArray[np.uint16]]] = field(default_factory=list)
    """Rows of earlier batches noted as told by both banks, with the reporters they had."""


@dataclass(kw_only=True)
class Staged:
    """A batch that is in the tables but on no line yet."""

    mark: Mark
    written: int
    """New rows, with those that turned out to be the other bank's report of a known one."""
    first_row: int
    accepted: int
    repeated: int
    corrected: int
    planned: Planned

    @property
    def changes(self) -> bool:
        """Whether the batch says anything new at all."""
        plan = self.planned
        return bool(
            self.accepted or plan.amendments or plan.known or plan.renamed or self.mark.flagged
        )


class HotLog:
    """The ledger's newest days; see docs/internals/ledger.md."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.corrections = Corrections(store)
        self.limits = LineLimits(store)
        self.note: Callable[[Rows], None] = _ignore
        """Told of rows whose facts are about to change."""

    def stage(self, batch: Prepared, *, applied: bool) -> Staged:
        """Number the batch's names and write its new rows behind the end, visible to nobody.

        `applied` says that all earlier batches are on their lines; without it LineLimits may ask
        for it. Raises TransferConflict, UnknownCorrection, LineTooLong, LedgerFull; then nothing
        has changed.
        """
        store = self.store
        mark = Mark(
            rows=store.rows,
            id_bytes=store.id_bytes,
            exits=store.exits,
            accounts=store.accounts,
            name_bytes=store.name_bytes,
            institutions=len(store.institutions.words),
            currencies=len(store.currencies.words),
            amount_total=self.limits.amount_total,
        )
        try:
            return self._stage(batch, mark, applied=applied)
        except BaseException:
            self.undo(mark)
            raise

    def _stage(self, batch: Prepared, mark: Mark, *, applied: bool) -> Staged:
        incoming = self._number(batch, mark)
        self.limits.check(incoming, applied=applied, total=batch.amount_total)
        codes = np.zeros(batch.rows, np.uint8)
        matched = np.full(batch.rows, -1, np.int32)
        self._write(incoming, codes, matched, mark)
        _settle_again(incoming, codes, matched)
        planned = Planned()
        retimed = self._seconds(incoming, codes, matched, mark)
        self.corrections.retime(batch, incoming, retimed, matched, planned)
        if (codes > SECOND).any() or batch.corrections:
            Judgement(self.store, self.corrections, batch, incoming, planned).run(codes)
            self.corrections.ensure_room(planned)
            self._join(planned.joined, mark)
        if self.corrections.renamed:
            self.corrections.refuse_reused(batch, incoming, codes)
        written = self.store.rows - mark.rows
        known = {joined.row for joined in planned.joined if joined.row >= mark.rows}
        first = next((row for row in range(mark.rows, self.store.rows) if row not in known), -1)
        return Staged(
            mark=mark,
            written=written,
            first_row=first,
            accepted=written - len(known),
            repeated=int(np.count_nonzero(codes == REPEAT))
            + int(np.count_nonzero(codes == SECOND))
            + len(known)
            + planned.repeated,
            corrected=planned.corrected,
            planned=planned,
        )

    def _number(self, batch: Prepared, mark: Mark) -> Incoming:
        """Names to numbers, new ones for new names."""
        store = self.store
        banks = _numbers(batch.debtor_bank, store.institutions.number)
        payees = _numbers(batch.creditor_bank, store.institutions.number)
        reporters = _numbers(batch.reporter, store.institutions.number)
        currency = _numbers(batch.currency, store.currencies.number)
        slots = np.zeros(2 * batch.rows, np.int64)
        taken = 0
        accounts = []
        sides = (
            (banks, batch.debtor_account, np.zeros(batch.rows, np.bool_)),
            (payees, batch.creditor_account, batch.no_creditor),
        )
        for bank, text, absent in sides:
            kinds = ((bank.astype(np.uint32) << np.uint32(16)) | currency.astype(np.uint32)).astype(
                np.uint32
            )
            out = np.zeros(batch.rows, np.int32)
            before = store.accounts
            count, end = intern_accounts(
                store.account_slots, store.names, before, store.name_bytes, kinds, text.hashes,
                text.offsets, text.data, absent, out, slots[taken:],
            )  # fmt: skip
            store.accounts, store.name_bytes = int(count), int(end)
            taken += store.accounts - before
            store.begin_lines(before)
            mark.account_slots = slots[:taken]
            if batch.rows and int(out.min()) == -2:  # noqa: PLR2004 - the kernel's word for full
                raise LedgerFull(f"the hot ledger holds {store.accounts_max:,} accounts")
            accounts.append(out)
        return Incoming(
            time_us=batch.time_us,
            debtor=accounts[0],
            named=accounts[1],
            amount=batch.amount,
            channel=batch.channel,
            reporter=reporters.astype(np.uint16),
            payer=banks.astype(np.uint16),
            payee=payees.astype(np.uint16),
            correction=_flags(batch),
            id_hash=batch.transfer_id.hashes,
            id_offset=batch.transfer_id.offsets,
            id_data=batch.transfer_id.data,
        )

    def _write(
        self,
        incoming: Incoming,
        codes: NDArray[np.uint8],
        matched: NDArray[np.int32],
        mark: Mark,
    ) -> None:
        store = self.store
        slots = np.zeros(codes.size, np.int64)
        rows, id_bytes, exits, taken = stage_rows(
            store.id_slots, store.facts, store.names, store.ends, incoming, codes, matched, slots
        )
        store.rows, store.id_bytes, store.exits = int(rows), int(id_bytes), int(exits)
        mark.id_slots = slots[: int(taken)]
        store.id_count += int(taken)

    def _seconds(
        self,
        incoming: Incoming,
        codes: NDArray[np.uint8],
        matched: NDArray[np.int32],
        mark: Mark,
    ) -> NDArray[np.int64]:
        """Note both banks on their row; the batch rows that change its time or channel."""
        store = self.store
        places: NDArray[np.int64] = np.flatnonzero(codes == SECOND)
        if not places.size:
            return places
        by_payer = incoming.payer[places] == incoming.reporter[places]
        met = matched[places]
        other_channel = by_payer & (incoming.channel[places] != store.facts.channel[met])
        left = (met < mark.rows) | other_channel
        places, by_payer, other_channel = places[left], by_payer[left], other_channel[left]
        other_time = incoming.time_us[places] != store.facts.time_us[matched[places]]
        moved = other_channel | (by_payer & other_time)
        rows = matched[places[~moved]]
        own = store.facts.reporter[rows]
        payers = incoming.reporter[places[~moved]] | (own & np.uint16(REVISED))
        self._flag(rows, np.where(by_payer[~moved], payers, own), mark)
        chosen: NDArray[np.int64] = places[moved]
        return chosen

    def _join(self, joined: list[Joined], mark: Mark) -> None:
        """Give earlier rows the other bank's name, too."""
        store, slots = self.store, []
        for item in joined:
            tag = int(id_tag(np.uint64(store.id_hash(item.transfer_id)), item.reporter))
            if item.row >= mark.rows:
                move_slot(store.id_slots, tag, item.row, item.into)
            else:
                slots.append(int(put_slot(store.id_slots, tag, item.into)))
        mark.id_slots = np.append(mark.id_slots, np.array(slots, np.int64))
        store.id_count += len(slots)

    def _flag(self, rows: Rows, reporters: NDArray[np.uint16], mark: Mark) -> None:
        """Note on rows of any batch that both banks told them."""
        earlier = rows[rows < mark.rows]
        if earlier.size:
            self.note(earlier)
            mark.flagged.append((earlier, self.store.facts.reporter[earlier]))
        self.store.facts.reporter[rows] = reporters | np.uint16(BOTH)

    def undo(self, mark: Mark) -> None:
        """Put everything back to where it was before the batch; the newest batch first."""
        store = self.store
        clear_slots(store.id_slots, mark.id_slots)
        clear_slots(store.account_slots, mark.account_slots)
        store.id_count -= mark.id_slots.size
        for rows, reporters in reversed(mark.flagged):
            # A row named twice had the same reporter both times.
            store.facts.reporter[rows] = reporters
        store.rows, store.id_bytes, store.exits = mark.rows, mark.id_bytes, mark.exits
        store.accounts, store.name_bytes = mark.accounts, mark.name_bytes
        store.institutions.cut(mark.institutions)
        store.currencies.cut(mark.currencies)
        self.limits.amount_total = mark.amount_total

    def order(self, staged: Staged) -> NDArray[np.int32]:
        """The batch's new rows in ledger order."""
        first, last = staged.mark.rows, staged.mark.rows + staged.written
        rows = np.arange(first, last, dtype=np.int32)
        times = self.store.facts.time_us[first:last]
        if (times[1:] >= times[:-1]).all():
            return rows
        return rows[np.argsort(times, kind="stable")]

    def apply(self, rows: NDArray[np.int32], start: int, size: int) -> tuple[int, int]:
        """Put the next `size` rows on their lines; (where to go on, size of the next slice).

        No reader may be inside.
        """
        stop = min(start + size, rows.size)
        steps = int(apply_rows(self.store.lines, rows, start, stop, self.store.dirty))
        busy = steps > LATE_WORK_FACTOR * (stop - start)
        wanted = size * 2 if busy else size // 2
        return stop, min(max(wanted, SLICE_ROWS_MIN), SLICE_ROWS_MAX)

    def amend(self, change: Amendment) -> None:
        """Give a row its corrected content at its own place. No reader may be inside."""
        store = self.store
        self.note(np.array([change.row], np.int32))
        flags, creditor = 0, change.content.named
        if change.content.channel or creditor < 0:
            flags = EXIT
            store.name_creditor(change.row, creditor)
            creditor = -1
        elif creditor == change.content.debtor:
            flags = SELF
        amend_row(
            store.lines, change.row, change.content.time_us, change.content.debtor, creditor,
            change.content.amount_minor, np.uint8(flags), np.uint8(change.content.channel),
            store.dirty,
        )  # fmt: skip
        store.facts.reporter[change.row] = change.reporter

    def rewrite(self, row: int, content: Content, reporter: int) -> None:
        """Set the facts of a row that is on no line yet (a snapshot is being read)."""
        facts = self.store.facts
        creditor, flags = content.named, 0
        if content.channel or creditor < 0:
            flags = EXIT
            self.store.name_creditor(row, creditor)
            creditor = -1
        elif creditor == content.debtor:
            flags = SELF
        facts.time_us[row], facts.amount[row] = content.time_us, content.amount_minor
        facts.debtor[row], facts.creditor[row] = content.debtor, creditor
        facts.flags[row], facts.channel[row] = flags, content.channel
        facts.reporter[row] = reporter


def _ignore(rows: Rows) -> None:
    """Nobody needs to know."""


def _numbers(words: Words, number: Callable[[str], int]) -> NDArray[np.int64]:
    """The vocabulary number of every row; 0 where the row says nothing."""
    table = np.array([number(word) for word in words.values] or [0], np.int64)
    return table[np.maximum(words.codes, 0)]


def _settle_again(incoming: Incoming, codes: NDArray[np.uint8], matched: NDArray[np.int32]) -> None:
    """What a reporter told again in this batch, beside its own first telling further up."""
    places = np.flatnonzero(codes == AGAIN)
    if not places.size:
        return
    seconds = np.flatnonzero(codes == SECOND)
    keys = (matched.astype(np.int64) << 16) | incoming.reporter
    order = seconds[np.argsort(keys[seconds])]
    told = order[np.searchsorted(keys[order], keys[places])]
    same = np.ones(places.size, np.bool_)
    for values in (
        incoming.time_us, incoming.debtor, incoming.named, incoming.amount, incoming.channel,
    ):  # fmt: skip
        same &= values[places] == values[told]
    codes[places] = np.where(same, REPEAT, DIFFERS)


def _flags(batch: Prepared) -> NDArray[np.uint8]:
    flags = np.zeros(batch.rows, np.uint8)
    for correction in batch.corrections:
        flags[correction.index] = 1
    return flags
