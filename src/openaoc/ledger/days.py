"""Stage ledger: which days are cold. Moves older rows out, and keeps lines right when they change.

Answers what a batch does to transfers that left. Works for the one writer, under its locks; writes
no log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, suppress
from typing import Final

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from openaoc.ledger.archive import Archive
from openaoc.ledger.arrays import EXIT, SELF
from openaoc.ledger.batches import Batches
from openaoc.ledger.cold import ColdStore
from openaoc.ledger.corrections import Amendment, Planned
from openaoc.ledger.encode import Prepared
from openaoc.ledger.extract import Extract
from openaoc.ledger.hot import HotLog, Staged
from openaoc.ledger.kernels_cold import line_ends
from openaoc.ledger.kernels_lines import repair
from openaoc.ledger.model import DiskRefused
from openaoc.ledger.numbers import Numbers
from openaoc.ledger.recall import also_named, named_again, recall, undo_recall
from openaoc.ledger.renewal import renew, swap
from openaoc.ledger.snapshot import Changes, Renumbered
from openaoc.ledger.tellings import Content

SEGMENT_ROWS: Final = 2_000_000
"""Transfers written as one cold segment: some 600 MB while it is written."""
_FIRST: Final = -(2**63)

_log = structlog.get_logger(__name__)
Writing = Callable[[], AbstractContextManager[None]]


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """What the log keeps of a cut: rows booked before `before_us` are cold from here on.

    But for those that came later (arrival numbers from `until` on) or were told of again while
    their segments were written: `kept`; `written` are those of them that a segment has too.
    """

    number: int
    before_us: int
    until: int
    kept: tuple[int, ...]
    written: tuple[int, ...]


class Draft:
    """A cut whose segments are being written while the ledger goes on."""

    def __init__(self, *, number: int, before_us: int, until: int, extract: Extract) -> None:
        self.number, self.before_us, self.until, self.extract = number, before_us, until, extract
        self.touched: set[int] = set()
        """Arrival numbers of rows told of again meanwhile."""
        self.fresh = self.again = np.zeros(0, np.int32)
        """Rows to be written: for the first time, and in place of what segments have."""
        self.void = False
        """The rows were numbered anew before it was closed."""

    @property
    def rows(self) -> int:
        """How many rows leave."""
        return self.fresh.size + self.again.size

    def close(self, numbers: Numbers) -> Cut:
        """As it is logged. No batch is half done. Raises Renumbered when it is void."""
        if self.void:
            raise Renumbered
        written = set(numbers.sequences(np.concatenate((self.fresh, self.again))).tolist())
        return Cut(
            number=self.number,
            before_us=self.before_us,
            until=self.until,
            kept=tuple(sorted(self.touched)),
            written=tuple(sorted(self.touched & written)),
        )


class Days:
    """The cold side of one hot log."""

    def __init__(
        self,
        hot: HotLog,
        cold: ColdStore,
        *,
        batches: Batches,
        changes: Changes,
        writing: Writing,
    ) -> None:
        self._hot, self._cold, self._batches = hot, cold, batches
        self._changes, self._writing = changes, writing
        self.archive = Archive(hot.store, cold)
        self._draft: Draft | None = None
        self.rebased: set[int] | None = None
        """Accounts of which something older is told while bases are made (expiry.py)."""
        hot.note = self._note

    @property
    def divided(self) -> bool:
        """Whether any day is cold."""
        return self._hot.store.hot_from_us > 0

    def _note(self, rows: NDArray[np.int32]) -> None:
        self._changes.note(rows)
        self._touch(rows.tolist())

    def _touch(self, rows: Iterable[int]) -> None:
        if self._draft is not None:
            numbers = self._hot.store.numbers
            self._draft.touched.update(numbers.sequence(row) for row in rows)

    def planned(self, planned: Planned) -> None:
        """The batch is durable; what it says of rows may change no fact of them."""
        self._touch((*planned.known, *planned.renamed.values()))

    def named_again(self, batch: Prepared) -> list[tuple[str, str]]:
        """Names by which the batch may speak of cold transfers; mostly none."""
        return named_again(batch, self._cold, self._hot) if self.divided else []

    def stage(self, batch: Prepared, names: Collection[tuple[str, str]]) -> Staged:
        """Stage a batch that speaks of cold transfers; everything before it is applied.

        Those come back, and go again when nothing new is told of them. Raises as `HotLog.stage`.
        """
        hot, store = self._hot, self._hot.store
        table = self._cold.find_names(list(names))
        further = also_named(batch, table)
        if further:
            table = self._cold.find_names([*names, *further])
        absent = store.numbers.rows(table["sequence"].to_numpy(), end=store.rows) < 0
        table = table.filter(absent)
        if not table.num_rows:
            return hot.stage(batch, applied=True)
        undo = recall(hot, table.sort_by("sequence"))
        try:
            staged = hot.stage(batch, applied=True)
        except BaseException:
            undo_recall(hot, undo)
            raise
        if not staged.changes:
            undo_recall(hot, undo)
            mark = staged.mark
            mark.rows, mark.id_bytes, mark.exits = store.rows, store.id_bytes, store.exits
        return staged

    def contents(self, changes: Iterable[Amendment]) -> list[Content]:
        """What rows say before they are amended."""
        return [self._hot.corrections.content(change.row) for change in changes]

    def applied(
        self, rows: NDArray[np.int32], changes: list[Amendment], before: list[Content]
    ) -> None:
        """New rows are applied and rows amended: lines that begin later begin right."""
        store, cut = self._hot.store, self._hot.store.hot_from_us
        if not cut:
            return
        line = store.lines
        late = rows[line.time_us[rows] < cut]
        accounts: set[int] = set()
        if late.size:
            store.old_rows.update(late.tolist())
            moving = late[(line.flags[late] & SELF) == 0]
            accounts.update(line.debtor[moving].tolist())
            accounts.update(line.creditor[moving[(line.flags[moving] & EXIT) == 0]].tolist())
        for change, was in zip(changes, before, strict=True):
            for content in (was, change.content):
                if content.time_us < cut:
                    accounts.update(n for n in (content.debtor, content.named) if n >= 0)
            if change.content.time_us < cut:
                store.old_rows.add(change.row)
            else:
                store.old_rows.discard(change.row)
        self.rebase(accounts)
        if any(self._misplaced(change) for change in changes):
            self._renew(np.ones(store.rows, np.bool_), store.hot_from_us)

    def _misplaced(self, change: Amendment) -> bool:
        """Whether a row that came back stands among others of its instant, out of order."""
        store = self._hot.store
        if change.row not in store.numbers.recalled or change.row in store.old_rows:
            return False
        line = store.lines
        for number in {change.content.debtor, change.content.named} - {-1}:
            for pool, offsets, lengths in (
                (line.out_rows, line.out_off, line.out_len),
                (line.in_rows, line.in_off, line.in_len),
            ):
                rows = pool[offsets[number] :][: lengths[number]]
                same = rows[line.time_us[rows] == change.content.time_us]
                if (same != change.row).any():
                    return True
        return False

    def rebase(self, accounts: Collection[int]) -> None:
        """Begin these accounts' lines where everything booked before the cut leaves them."""
        store = self._hot.store
        wanted = [n for n in sorted(accounts) if store.opened_from[n] < store.hot_from_us]
        if not wanted or not self.divided:
            return
        if self.rebased is not None:
            self.rebased.update(wanted)
        self.archive.fetch(wanted)
        older = self.archive.older(wanted)
        order = np.lexsort((older.sequence, older.time_us))
        older = older.take(order)
        for number in wanted:
            mine = (older.debtor == number) | (older.creditor == number)
            mine &= older.time_us >= store.opened_from[number]
            some = older.take(mine)
            opening = int(store.opened_minor[number])
            ends = line_ends(
                number, some.debtor, some.creditor, some.amount, some.flags,
                (opening, 0, int(store.opened_bare[number])),
            )  # fmt: skip
            line = store.lines
            with self._writing():
                line.base_in[number], line.base_out[number], store.bare[number] = ends
                store.unseen[number] += 1
                repair(line, number, _FIRST, -1)

    def opened(self, accounts: NDArray[np.int32]) -> None:
        """Openings were set: those before the cut begin their lines in cold days."""
        if self.divided:
            self.rebase(set(accounts.tolist()))

    def draft(self, before_us: int) -> Draft:
        """Begin a cut: which rows leave. No batch is half done."""
        store = self._hot.store
        before_us = max(before_us, store.hot_from_us)
        draft = Draft(
            number=store.cuts + 1,
            before_us=before_us,
            until=store.numbers.sequence(store.rows),
            extract=Extract(store, self._hot.corrections, self._batches),
        )
        rows = np.flatnonzero(store.facts.time_us[: store.rows] < before_us).astype(np.int32)
        again = np.zeros(rows.size, np.bool_)
        if store.stored:
            stored = np.fromiter(store.stored, np.int64, len(store.stored))
            again = np.isin(store.numbers.sequences(rows), stored)
        draft.fresh, draft.again = rows[~again], rows[again]
        self._draft = draft
        return draft

    def write(self, draft: Draft) -> None:
        """Write a draft's segments, beside the running ledger.

        Raises DiskRefused, TooLarge, and Renumbered when it is void.
        """
        # What a cut that failed could not take back goes first: it had the same number.
        self._cold.forget_after(self._hot.store.cuts)
        for rows, amends in ((draft.fresh, False), (draft.again, True)):
            for start in range(0, rows.size, SEGMENT_ROWS):
                part = rows[start : start + SEGMENT_ROWS]
                table, aliases = draft.extract.table(part), draft.extract.aliases(part)
                if draft.void:
                    raise Renumbered
                self._cold.write_segment(table, aliases=aliases, amends=amends, cut=draft.number)

    def ensure_room(self) -> None:
        """See to disk space for what `carry_out` writes. Raises DiskRefused."""
        store = self._hot.store
        ids = store.id_file(store.generation + 1)
        try:
            ids.ensure(store.id_bytes)
        finally:
            ids.let_go()

    def give_up(self) -> None:
        """The cut is not made: its segments go, now or where the disk is full before the next."""
        self._draft = None
        with suppress(DiskRefused):
            self._cold.forget_after(self._hot.store.cuts)

    def carry_out(self, cut: Cut) -> None:
        """Make a cut that is logged; no batch is half done."""
        self._draft = None
        store, numbers = self._hot.store, self._hot.store.numbers
        hot = store.facts.time_us[: store.rows] >= cut.before_us
        stays = hot.copy()
        came_since = numbers.row(cut.until, end=store.rows)
        if came_since >= 0:
            stays[came_since:] = True
        for row in numbers.recalled:
            stays[row] = hot[row]
        kept = numbers.rows(np.array(cut.kept, np.int64), end=store.rows)
        stays[kept[kept >= 0]] = True
        store.stored |= set(cut.written)
        store.cuts = cut.number
        self._cold.adopt(cut.number)
        self._renew(stays, cut.before_us)
        _log.info("ledger.cut", cut=cut.number, left=int(stays.size - stays.sum()))

    def _renew(self, stays: NDArray[np.bool_], cut_us: int) -> None:
        store = self._hot.store
        if self._draft is not None:
            self._draft.void = True
        back = [row for row in store.numbers.recalled if row not in store.old_rows]
        line = store.lines
        moved = {int(line.debtor[row]) for row in back} | {int(line.creditor[row]) for row in back}
        new = renew(self._hot, self._batches, stays=stays, cut_us=cut_us)
        with self._writing():
            swap(self._hot, self._batches, new)
            self._order_lists(moved - {-1})
            self.archive.forget()
        self._changes.renumber()

    def _order_lists(self, accounts: Collection[int]) -> None:
        """Rows that came back have their places among others of their instant now."""
        line = self._hot.store.lines
        for number in accounts:
            for pool, offsets, lengths in (
                (line.out_rows, line.out_off, line.out_len),
                (line.in_rows, line.in_off, line.in_len),
            ):
                rows = pool[offsets[number] :][: lengths[number]]
                rows[:] = rows[np.lexsort((rows, line.time_us[rows]))]
            repair(line, number, _FIRST, -1)
