"""One batch after the other becomes durable, then visible: group commit, replay, snapshots.

Answers when a batch is acknowledged. Two locks in one order: `_commit` (staging and the log), then
`_apply` (the lines), so that one group is applied while the next is written.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray

from openaoc.kernel.clock import from_us, to_us
from openaoc.kernel.errors import Corrupt, OpenAOCError
from openaoc.ledger import openings, snapshot
from openaoc.ledger.batches import Batches
from openaoc.ledger.cold import ColdStore
from openaoc.ledger.copying import STAGING_PREFIX, HeldCopy, hold_files
from openaoc.ledger.days import Cut, Days
from openaoc.ledger.encode import digest, from_logged
from openaoc.ledger.expiry import Expiry
from openaoc.ledger.gate import Gate
from openaoc.ledger.hot import SLICE_ROWS_MIN, HotLog, Staged
from openaoc.ledger.line_limits import NeedsApplied
from openaoc.ledger.model import IngestReceipt, LedgerStopped
from openaoc.ledger.tickets import Opened, Ticket, Told, needs, place_of, read_table, write_table
from openaoc.ledger.wal import BATCH, CUT, EXPIRED, JOURNALLED, OPENINGS, Entry, Outgoing, Wal

GROUP_ROWS_MAX: Final = 1_000_000
"""Rows that one write to disk may carry, unless a single batch is larger."""

_log = structlog.get_logger(__name__)


class Committer:
    """The one writer; every caller may be it for a moment."""

    def __init__(
        self,
        path: Path,
        *,
        manifest: snapshot.Manifest,
        wal: Wal,
        hot: HotLog,
        batches: Batches,
        gate: Gate,
        changes: snapshot.Changes,
        cold: ColdStore,
    ) -> None:
        self._path, self._manifest = path, manifest
        self._wal, self._hot, self._batches = wal, hot, batches
        self._gate, self._changes = gate, changes
        self.days = Days(hot, cold, batches=batches, changes=changes, writing=gate.writing)
        self.expiry = Expiry(hot, cold, self.days, batches, writing=gate.writing)
        self._queue: deque[Ticket] = deque()
        self._drawn: list[Ticket] = []
        """Taken from the queue for the group at hand."""
        self._commit, self._apply = threading.Lock(), threading.Lock()
        self._snapshotting = threading.Lock()
        self._journalled: list[int] = []
        self._stopped: str = ""
        self.confirm: Callable[[int], None] = _nobody_follows
        """Returns when a follower has the entries up to this one too. Raises LedgerStopped."""
        self.log_bytes = 0
        """Written to the log since the last snapshot."""

    @property
    def snapshotting(self) -> bool:
        """Whether a snapshot or a cut is under way."""
        return self._snapshotting.locked()

    @property
    def position(self) -> int:
        """Sequence number of the last durable entry."""
        return self._wal.sequence

    @property
    def snapshot_position(self) -> int:
        """Sequence number up to which the snapshot reaches."""
        return self._manifest.position

    def replay(self) -> None:
        """Bring the hot log to the end of the log after a start. Raises Corrupt."""
        for entry in self._wal.replay(after=self._manifest.position):
            try:
                self._replay_entry(entry)
            except OpenAOCError as error:
                raise Corrupt(
                    f"entry {entry.sequence} of the ledger's log contradicts what stands before "
                    f"it ({error}); put the ledger's folder back from a backup",
                    where=str(self._path),
                ) from error
        self.log_bytes = self._wal.bytes_on_disk

    def _replay_entry(self, entry: Entry) -> None:
        if entry.kind == JOURNALLED:
            for position in msgspec.msgpack.decode(entry.head, type=list[int]):
                self._batches.waiting.pop(position, None)
                self._batches.expired.pop(position, None)
            return
        head, payload = entry.head, entry.payload
        if entry.kind == OPENINGS:
            opened = msgspec.msgpack.decode(head, type=Opened)
            accounts, amounts = openings.number(self._hot, read_table(payload))
            self._apply_openings(accounts, amounts, opened.from_us)
            return
        if entry.kind == EXPIRED:
            self.expiry.replay(head, payload, position=entry.sequence)
            return
        if entry.kind == CUT:
            self.days.carry_out(msgspec.msgpack.decode(head, type=Cut))
            return
        if entry.kind != BATCH:
            raise Corrupt(f"unknown kind of entry {entry.kind}; a newer version wrote this log")
        told = msgspec.msgpack.decode(head, type=Told)
        ticket = Ticket(
            batch=from_logged(payload, seed=self._hot.store.seed),
            payload=b"",
            digest=digest(payload),
            told_at=from_us(told.told_at_us),
            told_by=told.told_by,
            locate=lambda row: f"row {row + 1}",
            position=entry.sequence,
        )
        self._ensure_room([ticket])
        names = self.days.named_again(ticket.batch)
        ticket.staged = self.days.stage(ticket.batch, names)
        self._keep(ticket)
        self._apply_ticket(ticket)

    def commit(self, ticket: Ticket) -> IngestReceipt:
        """Durable and applied, or an error and nothing."""
        self._queue.append(ticket)
        while not ticket.taken:
            with self._commit:
                # Whoever waited for the lock may find the batch taken along by the one before.
                group = [] if ticket.taken else self._take_group()
            if group:
                self._apply_group(group)
        ticket.done.wait()
        return ticket.receipt()

    def _take_group(self) -> list[Ticket]:
        """Stage and log what waits; returns with `_apply` held unless the list is empty."""
        if self._stopped:
            self._refuse_all(LedgerStopped(self._stopped))
            return []
        staged: list[Ticket] = []
        try:
            alone = self._stage_group(staged)
            if staged:
                self._log_group(staged)
        except OpenAOCError as error:
            self._take_back(staged, error)
            staged = []
        except BaseException as error:
            failure = LedgerStopped(f"a batch failed: {error!r}")
            self._take_back(staged, failure)
            for ticket in self._drawn:
                if not ticket.done.is_set():
                    ticket.taken, ticket.error = True, failure
                    ticket.done.set()
            raise
        if staged:
            self._apply.acquire()
            if alone:
                self._apply_group(staged)
                return []
        return staged

    def _stage_group(self, staged: list[Ticket]) -> bool:
        """Stage what waits into `staged`; whether it must be applied before the next group."""
        waiting = self._drawn = self._next_tickets()
        alone = False
        for ticket in waiting:
            alone = self._stage(ticket, first=not staged)
            if ticket.taken and ticket.error is None:
                staged.append(ticket)
            if alone or not ticket.taken:
                break
        for ticket in reversed(waiting):
            if not ticket.taken:
                self._queue.appendleft(ticket)
        return alone

    def _next_tickets(self) -> list[Ticket]:
        """What one group may carry and there is room for; a batch without room gets its error."""
        group: list[Ticket] = []
        rows = 0
        while self._queue:
            ticket = self._queue[0]
            rows += ticket.batch.rows
            if group and rows > GROUP_ROWS_MAX:
                break
            try:
                self._ensure_room([*group, ticket])
            except OpenAOCError as error:
                if group:
                    break
                self._queue.popleft()
                ticket.taken, ticket.error = True, error
                ticket.done.set()
                rows = 0
                continue
            group.append(self._queue.popleft())
        return group

    def _ensure_room(self, group: Sequence[Ticket]) -> None:
        rows, ids, names = needs(group)
        self._hot.store.ensure_room(rows=rows, accounts=2 * rows, id_bytes=ids, name_bytes=names)

    def _stage(self, ticket: Ticket, *, first: bool) -> bool:
        """Stage one ticket; whether its group must end here and be applied before the next."""
        exact = False
        try:
            names = self.days.named_again(ticket.batch)
            ticket.staged = None if names else self._stage_ahead(ticket)
            if ticket.staged is None:
                if not first:
                    return True
                exact = True
                with self._apply:
                    ticket.staged = self.days.stage(ticket.batch, names)
        except OpenAOCError as error:
            error.where = place_of(ticket, error.where)
            ticket.taken, ticket.error = True, error
            ticket.done.set()
            return False
        ticket.taken = True
        planned = ticket.staged.planned
        return exact or bool(planned.amendments or planned.known or planned.renamed)

    def _stage_ahead(self, ticket: Ticket) -> Staged | None:
        """Stage while earlier batches wait to be applied; None when that cannot be."""
        try:
            return self._hot.stage(ticket.batch, applied=False)
        except NeedsApplied:
            return None

    def _log_group(self, staged: list[Ticket]) -> None:
        entries: list[Outgoing] = []
        sequence = self._wal.sequence
        for ticket in staged:
            ticket.position = sequence
            if ticket.staged is not None and ticket.staged.changes:
                told = Told(told_by=ticket.told_by, told_at_us=to_us(ticket.told_at))
                head, sha = msgspec.msgpack.encode(told), bytes.fromhex(ticket.digest)
                entries.append(Outgoing(BATCH, head, ticket.payload, sha))
                sequence = ticket.position = sequence + 1
        if entries:
            self._append(entries)
        for ticket in staged:
            self._keep(ticket)
            ticket.payload = b""

    def _append(self, entries: list[Outgoing]) -> None:
        """Log the entries, and behind them which batches were journalled since."""
        journalled = self._journalled.copy()  # others add to it meanwhile
        if journalled:
            entries.append(Outgoing(JOURNALLED, msgspec.msgpack.encode(journalled)))
        try:
            self._wal.append(entries)
            self.confirm(self._wal.sequence)
        except LedgerStopped as error:
            self._stopped = error.detail or error.title
            raise
        del self._journalled[: len(journalled)]
        self.log_bytes += sum(len(entry.payload) + len(entry.head) for entry in entries)

    def _keep(self, ticket: Ticket) -> None:
        staged = ticket.staged
        assert staged is not None, "only staged tickets are kept"
        self._hot.corrections.keep(staged.planned)
        self.days.planned(staged.planned)
        if not staged.changes:
            return
        if staged.accepted:
            ticket.first = self._hot.store.numbers.sequence(staged.first_row)
        told_at_us = to_us(ticket.told_at)
        self._batches.add(ticket.record(), first_row=staged.first_row, told_at_us=told_at_us)

    def _take_back(self, staged: list[Ticket], error: OpenAOCError) -> None:
        for ticket in reversed(staged):
            assert ticket.staged is not None, "only staged tickets are taken back"
            self._hot.undo(ticket.staged.mark)
        for ticket in staged:
            ticket.error = error
            ticket.done.set()

    def _refuse_all(self, error: OpenAOCError) -> None:
        while self._queue:
            ticket = self._queue.popleft()
            ticket.taken, ticket.error = True, error
            ticket.done.set()

    def _apply_group(self, group: list[Ticket]) -> None:
        """Put the group on its lines and let the callers go; `_apply` is held and released."""
        try:
            for ticket in group:
                self._apply_ticket(ticket)
                ticket.done.set()
        except BaseException as error:
            # Durable but not applied: only a restart brings memory and log together again.
            self._stopped = f"a batch could not be applied ({error!r}); start the centre again"
            raise
        finally:
            for ticket in group:
                if not ticket.done.is_set():
                    ticket.error = LedgerStopped(self._stopped)
                    ticket.done.set()
            self._apply.release()

    def _apply_ticket(self, ticket: Ticket) -> None:
        staged, store = ticket.staged, self._hot.store
        assert staged is not None, "only staged tickets are applied"
        rows = self._hot.order(staged)
        store.length = max(store.length, staged.mark.rows + staged.written)
        done, size = 0, SLICE_ROWS_MIN
        while done < rows.size:
            with self._gate.writing():
                done, size = self._hot.apply(rows, done, size)
        changes = staged.planned.amendments
        before = self.days.contents(changes)
        for change in changes:
            with self._gate.writing():
                self._hot.amend(change)
        self.days.applied(rows, changes, before)
        store.applied = store.length

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within, neither a cut nor a snapshot is under way."""
        with self._snapshotting:
            yield

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Within, no batch is half done. Raises LedgerStopped."""
        with self._commit, self._apply:
            self.check()
            yield

    def log_expired(self, head: bytes, payload: bytes) -> int:
        """Make an expiry durable; its position."""
        position = self._wal.sequence + 1
        self._append([Outgoing(EXPIRED, head, payload, hashlib.sha256(payload).digest())])
        return position

    def openings(self, table: pa.Table, from_us: int) -> int:
        """Log and apply dated openings, between two groups."""
        with self.quiet():
            accounts, amounts = openings.number(self._hot, table)
            openings.check(self._hot, accounts, amounts)
            head = Opened(from_us=from_us)
            payload = write_table(table)
            sha = hashlib.sha256(payload).digest()
            self._append([Outgoing(OPENINGS, msgspec.msgpack.encode(head), payload, sha)])
            self._apply_openings(accounts, amounts, from_us)
        return int(accounts.size)

    def _apply_openings(
        self, accounts: NDArray[np.int32], amounts: NDArray[np.int64], from_us: int
    ) -> None:
        openings.apply(self._hot, accounts, amounts, from_us, writing=self._gate.writing)
        self.days.opened(accounts)

    def journalled(self, positions: list[int]) -> None:
        """Remember that the batches have their journal rows; logged with the next group."""
        for position in positions:
            known = self._batches.waiting.pop(position, None)
            if known or self._batches.expired.pop(position, None):
                self._journalled.append(position)

    def snapshot(self) -> int:
        """Write a snapshot unless nothing is new; the position it reaches. Raises DiskRefused."""
        with self._snapshotting:
            with self.quiet():
                position = self._wal.sequence
                if position == self._manifest.position:
                    return position
                self._wal.rotate()
                self.log_bytes, before = 0, self.log_bytes
                taken = snapshot.capture(
                    self._hot, self._batches, self._changes, self._manifest, position=position
                )
                self._journalled.clear()
            try:
                self._manifest = snapshot.write(
                    self._path, taken, self._hot, self._batches, self._changes,
                    reading=self._gate.reading,
                )  # fmt: skip
            except snapshot.Renumbered:
                # The last snapshot stands; the next one writes all rows under their new numbers.
                self.log_bytes += before
                return self._manifest.position
            except BaseException:
                self.log_bytes += before
                raise
            self._wal.drop_before(position)
            return position

    def cut(self, before_us: int) -> int:
        """Move what was booked before out of the hot arrays; how many transfers left.

        Their segments are written beside the running ledger; batches wait while the arrays are made
        anew. Raises DiskRefused, TooLarge: nothing has changed; LedgerStopped: a start will tell.
        """
        with self._snapshotting:
            with self.quiet():
                draft = self.days.draft(before_us)
            try:
                self.days.write(draft)
                with self._commit, self._apply:
                    cut = draft.close(self._hot.store.numbers)
                    if draft.rows:
                        self.days.ensure_room()
                        self._append([Outgoing(CUT, msgspec.msgpack.encode(cut))])
                        self._carry_out(cut)
            except snapshot.Renumbered:
                self.days.give_up()
                return 0
            except LedgerStopped:  # it may be in the log: the next start makes it, from these
                raise
            except BaseException:  # whatever it is, what was written for it counts for nothing
                self.days.give_up()
                raise
        self.snapshot()
        return draft.rows

    def _carry_out(self, cut: Cut) -> None:
        try:
            self.days.carry_out(cut)
        except BaseException as error:
            # Logged but not made: only a restart brings memory and log together again.
            self._stopped = f"a cut could not be made ({error!r}); start the centre again"
            raise LedgerStopped(self._stopped) from error

    def check(self) -> None:
        """Raises LedgerStopped once nothing more is taken."""
        if self._stopped:
            raise LedgerStopped(self._stopped)

    def retain(self, sequence: int | None) -> None:
        """Keep the log past this entry for a follower; None: as snapshots go."""
        self._wal.retained = sequence

    @contextmanager
    def held_copy(self, *, at_instant: Callable[[int], None]) -> Iterator[HeldCopy]:
        """The files of the ledger as after its newest entry, for as long as the block lasts.

        `at_instant(position)` is called while no batch can become durable, so what it sees
        elsewhere knows of no later one. Ingest goes on after that moment. Raises DiskRefused,
        LedgerStopped.
        """
        staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=self._path))
        try:
            with self.alone(), self.quiet():
                self._wal.rotate()
                position, store = self._wal.sequence, self._hot.store
                at_instant(position)
                files = hold_files(self._path, staging, position=position, ids=store.ids_held)
                held = HeldCopy(position, store.applied, files)
            yield held
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def close(self) -> None:
        """No more batches; the running ones finish, journal marks are logged."""
        with self._snapshotting, self._commit, self._apply:
            if not self._stopped and self._journalled:
                # Marks that no follower confirms any more are on our own disk all the same.
                with suppress(LedgerStopped):
                    self._append([])
            self._stopped = self._stopped or "the ledger is closed"
            self._refuse_all(LedgerStopped(self._stopped))
            self._wal.close()


def _nobody_follows(sequence: int) -> None:
    """Without a follower an entry is acknowledged when it is on our own disk."""
    assert sequence >= 0, "entries are numbered from one"
