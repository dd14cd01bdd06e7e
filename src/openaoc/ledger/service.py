"""The ledger as others use it: durable ingest, consistent reading, evidence for one row.

Answers only about rows and accounts that are named; there is no verb that lists transfers.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import numpy as np
import structlog

from openaoc.kernel.clock import Clock, from_us, to_us
from openaoc.kernel.errors import BadInput, Busy, Corrupt, Refused, TooLarge
from openaoc.kernel.limits import REFUSED_ROWS_SHOWN_MAX, TRANSFERS_PER_BATCH_MAX
from openaoc.kernel.settings import Settings
from openaoc.ledger import snapshot
from openaoc.ledger.accounts_file import AccountsTable
from openaoc.ledger.archive import Archive
from openaoc.ledger.arrays import CHANNELS, SELF, LedgerArrays
from openaoc.ledger.batches import Batches
from openaoc.ledger.cold import ColdStore
from openaoc.ledger.cold_format import MANIFEST
from openaoc.ledger.committer import Committer
from openaoc.ledger.copying import HeldCopy, forget_copies
from openaoc.ledger.encode import digest, from_logged, to_logged
from openaoc.ledger.gate import Gate
from openaoc.ledger.hot import HotLog
from openaoc.ledger.kernels_intern import BOTH, REPORTER
from openaoc.ledger.kernels_lines import place
from openaoc.ledger.model import (
    CANDIDATES_MAX,
    UNJOURNALLED_MAX,
    AccountName,
    Batch,
    DiskRefused,
    Expired,
    FromTheFuture,
    IngestReceipt,
    LedgerStats,
    LedgerStopped,
    Transfer,
    TransferExpired,
)
from openaoc.ledger.recall import cold_transfer
from openaoc.ledger.refusals import RefusedRow
from openaoc.ledger.room import Room
from openaoc.ledger.schema import TransferTable
from openaoc.ledger.store import Store, Telling
from openaoc.ledger.tickets import Ticket
from openaoc.ledger.wal import Wal, sync_folder

CLOCK_SKEW_US: Final = 2_000_000
"""A transfer may be booked so far after our own clock on live ingest: clocks differ."""
COLD_FOLDER: Final = "cold"
SNAPSHOT_AFTER_BYTES: Final = 512 << 20
"""A snapshot begins when so much log has gathered: some seconds of a restart."""

_log = structlog.get_logger(__name__)


class Ledger:
    """The hot ledger of one centre, in one folder, open in one process."""

    def __init__(self, path: Path, *, settings: Settings, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._lock_fd = _lock_folder(path)
        try:
            forget_copies(path)
            manifest = snapshot.read_manifest(path)
            if manifest is None:
                manifest = snapshot.Manifest(seed=secrets.randbits(63))
                snapshot.write_first(path, manifest)
            store = Store(
                path,
                rows_max=settings.ledger_rows_max,
                accounts_max=settings.ledger_accounts_max,
                seed=manifest.seed,
                generation=manifest.days.generation,
            )
            self._store, self._hot = store, HotLog(store)
            self._cold = _open_cold(path / COLD_FOLDER, cuts=manifest.days.cuts)
            self._gate = Gate()
            self._batches = Batches(settings.ledger_rows_max)
            self._changes = snapshot.Changes(self._hot)
            self._hot.note = self._changes.note
            snapshot.load(path, manifest, self._hot, self._batches, self._changes)
            self._commits = Committer(
                path,
                manifest=manifest,
                wal=Wal(path),
                hot=self._hot,
                batches=self._batches,
                gate=self._gate,
                changes=self._changes,
                cold=self._cold,
            )
            self._archive = self._commits.days.archive
            self._commits.replay()
            self._cold.forget_after(store.cuts)
            self._cold.drop(store.expired_segments)
            self._room = Room(store, settings=settings, cut=self._commits.cut)
        except BaseException:
            os.close(self._lock_fd)
            raise

    @classmethod
    def open(cls, path: Path, *, settings: Settings, clock: Clock) -> Self:
        """The ledger in folder `path`, which is made if need be; its log is replayed.

        Raises Refused when another process has it open, Corrupt when it is damaged, Unavailable
        when the system refuses the address space.
        """
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(path, settings=settings, clock=clock)

    def close(self) -> None:
        """Let running batches finish, then close. Everything acknowledged is durable already."""
        self._commits.close()
        self._cold.close()
        self._store.ids.close(self._store.id_bytes)
        os.close(self._lock_fd)

    def ingest(self, table: TransferTable, *, live: bool, told_by: str = "") -> IngestReceipt:
        """Take a batch; returns when it is durable and every trace sees it.

        From any thread; callers that wait together share one write to disk. `told_by` is who
        delivered it (default: its reporter, where there is one). Taking a batch again changes
        nothing. A batch is taken whole or not at all. Raises TransferConflict, UnknownCorrection,
        FromTheFuture, LineTooLong, LedgerFull, TooLarge, DiskRefused, LedgerStopped, Busy.
        """
        if table.rows > TRANSFERS_PER_BATCH_MAX:
            raise TooLarge(f"a batch has at most {TRANSFERS_PER_BATCH_MAX:,} transfers")
        if len(self._batches.waiting) >= UNJOURNALLED_MAX:
            raise Busy("too many batches wait for their journal rows")
        now = self._clock.now()
        if live:
            self._refuse_future(table, now)
        payload = to_logged(table.table)
        batch = from_logged(payload, seed=self._store.seed)
        reporters = batch.reporter.values
        ticket = Ticket(
            batch=batch,
            payload=payload,
            digest=digest(payload),
            told_at=now,
            told_by=told_by or (reporters[0] if len(reporters) == 1 else ""),
            locate=lambda row: _locate(table, row),
        )
        receipt = self._commits.commit(ticket)
        if self._commits.log_bytes > SNAPSHOT_AFTER_BYTES:
            self._snapshot_soon()
        self._room.look(now)
        return receipt

    @staticmethod
    def _refuse_future(table: TransferTable, now: datetime) -> None:
        latest = to_us(now) + CLOCK_SKEW_US
        times = table.numpy("booked_at")
        late = np.flatnonzero(times > latest)
        if late.size:
            shown = late[:REFUSED_ROWS_SHOWN_MAX]
            raise FromTheFuture(
                [_in_future(table, int(row), int(times[row])) for row in shown],
                total=int(late.size),
            )

    def set_openings(self, table: AccountsTable, at: datetime) -> int:
        """Start these accounts' lines with these balances at `at`; how many there are.

        Earlier transfers of an account stand outside its line. The same openings again change
        nothing. Raises LineTooLong, LedgerFull, DiskRefused, LedgerStopped.
        """
        if to_us(at) < self._store.expired_us:
            until = from_us(self._store.expired_us).isoformat()
            raise BadInput(f"what was booked before {until} has expired")
        return self._commits.openings(table.table, to_us(at))

    @contextmanager
    def reading(self) -> Iterator[LedgerArrays]:
        """The arrays, unchanged for the time of the block; keep it short, and keep nothing.

        Waits for one slice of ingest at most (a fraction of a millisecond; longer while a busy
        account is repaired).
        """
        with self._gate.reading():
            yield self._store.view()

    def find(self, *, reported_by: str, transfer_id: str) -> int | None:
        """The number of the transfer that the institution reported under this id, if it did.

        Ids given to corrections count; a payment that both banks reported has both names. A
        transfer keeps its number for good.
        """
        store = self._store
        with self._gate.reading():
            row = self._hot.corrections.renamed.get((reported_by, transfer_id), -1)
            if row < 0:
                row = store.find_row(reported_by, transfer_id, visible=store.applied)
            if row >= 0:
                return store.numbers.sequence(row)
        if not self._commits.days.divided:
            return None
        found = self._cold.find(reported_by=reported_by, transfer_id=transfer_id)
        return int(found["sequence"][0].as_py()) if found.num_rows else None

    def transfer(self, number: int) -> Transfer:
        """One transfer as evidence: what it says, who reported it, who told us and when.

        `number` comes from a find or a trace. Raises TransferExpired.
        """
        number = self._archive.standing(number)
        with self._gate.reading():
            row = self._store.numbers.row(number, end=self._store.applied)
            if row >= 0:
                return self._hot_transfer(row, number)
        found = self._cold.by_sequences([number])
        if not found.num_rows:
            raise TransferExpired(f"transfer {number}")
        return cold_transfer(found)

    def _hot_transfer(self, row: int, number: int) -> Transfer:
        store = self._store
        content = self._hot.corrections.content(row)
        reporter = int(store.facts.reporter[row])
        known = self._hot.corrections.known.get(row)
        telling = store.tellings.get(row)
        if telling is None:
            batch = self._batches.of_row(row)
            told_at_us = to_us(batch.told_at)
            telling = Telling(told_by=batch.told_by, told_at_us=told_at_us, position=batch.position)
        return Transfer(
            row=number,
            transfer_id=store.transfer_id(row),
            reported_by=store.institutions.words[reporter & REPORTER],
            both_banks=bool(reporter & BOTH),
            booked_at=from_us(content.time_us),
            debtor=store.account_name(content.debtor),
            creditor=store.account_name(content.named) if content.named >= 0 else None,
            amount_minor=content.amount_minor,
            channel=CHANNELS[content.channel],
            revision=known.revision if known else 0,
            told_by=telling.told_by,
            told_at=from_us(telling.told_at_us),
            position=telling.position,
        )

    def account(self, index: int) -> AccountName:
        """The name of an account."""
        assert 0 <= index < self._store.accounts, "an index comes from the ledger's own arrays"
        return self._store.account_name(index)

    def account_index(self, bank: str, account: str, currency: str, /) -> int | None:
        """The account's number, None while no transfer names it. Names as stored (normalised)."""
        number = self._store.find_account(bank, account, currency)
        return number if number >= 0 else None

    def candidates(
        self,
        *,
        debtor: int,
        creditor: int | None,
        amount_minor: int,
        around_us: int,
        window_us: int,
    ) -> list[int]:
        """Numbers of transfers that may be a payment somebody reports, the nearest in time first.

        From account `debtor`, to `creditor` where given (named creditors of exits count), of
        exactly this amount, at most `window_us` from `around_us`. At most CANDIDATES_MAX.
        """
        found = self._hot_candidates(debtor, creditor, amount_minor, around_us, window_us)
        store = self._store
        if around_us - window_us < store.hot_from_us:
            self._archive.fetch([debtor])
            with self._gate.reading():
                older = self._archive.older([debtor])
            fits = (older.debtor == debtor) & (older.amount == amount_minor)
            fits &= (older.flags & SELF) == 0
            fits &= np.abs(older.time_us - around_us) <= window_us
            fits &= older.time_us >= store.opened_from[debtor]
            for number, at in zip(older.sequence[fits].tolist(), older.time_us[fits], strict=True):
                if creditor is None or self._names_creditor(number, creditor):
                    found.append((abs(int(at) - around_us), number))
        return [number for _, number in sorted(found)[:CANDIDATES_MAX]]

    def _names_creditor(self, number: int, creditor: int) -> bool:
        return self.transfer(number).creditor == self.account(creditor)

    def _hot_candidates(
        self, debtor: int, creditor: int | None, amount_minor: int, around_us: int, window_us: int
    ) -> list[tuple[int, int]]:
        with self.reading() as ledger:
            offset, length = int(ledger.out_off[debtor]), int(ledger.out_len[debtor])
            bounds = [
                int(place(ledger.out_rows, ledger.time_us, offset, length, at, -1))
                for at in (around_us - window_us, around_us + window_us + 1)
            ]
            rows = ledger.out_rows[offset + bounds[0] : offset + bounds[1]]
            rows = rows[ledger.amount[rows] == amount_minor]
            number = self._store.numbers.sequence
            return [
                (abs(int(ledger.time_us[row]) - around_us), number(row))
                for row in rows.tolist()
                if creditor is None or self._store.named_creditor(row) == creditor
            ]

    def arrivals(
        self, *, creditor: int, from_us: int, until_us: int, amount_minor: int | None = None
    ) -> list[int]:
        """Numbers of transfers in memory that came to an account between two times.

        Of exactly this amount where it is given; the oldest first, at most CANDIDATES_MAX.
        """
        with self.reading() as ledger:
            offset, length = int(ledger.in_off[creditor]), int(ledger.in_len[creditor])
            bounds = [
                int(place(ledger.in_rows, ledger.time_us, offset, length, at, -1))
                for at in (from_us, until_us + 1)
            ]
            rows = ledger.in_rows[offset + bounds[0] : offset + bounds[1]]
            if amount_minor is not None:
                rows = rows[ledger.amount[rows] == amount_minor]
            number = self._store.numbers.sequence
            return [number(row) for row in rows[:CANDIDATES_MAX].tolist()]

    def unjournalled(self) -> list[Batch]:
        """Durable batches without a journal row yet, oldest first.

        After a crash a batch may be named again whose row was written: write it under
        `batch.subject` only where that subject has none.
        """
        waiting = self._batches.waiting.copy()  # others journal what they brought meanwhile
        return [waiting[position] for position in sorted(waiting)]

    def expire(self, before: datetime, *, told_before: datetime) -> Expired | None:
        """Let days go in which all was booked before, and told before; what went, if anything did.

        Days that are still in memory become cold first. Segments go whole: what shares one with
        younger days waits for these. Traces of what is left stay as they are. Raises DiskRefused,
        TooLarge, LedgerStopped; then nothing has expired.
        """
        before_us, store, batches = to_us(before), self._store, self._batches
        told_before_us = to_us(told_before)
        if batches.count and batches.told_at[0] < told_before_us:
            with self._gate.reading():
                left = bool((store.facts.time_us[: store.applied] < before_us).any())
            if left:
                self.cut(before)
        expiry = self._commits.expiry
        return expiry.expire(before_us, self._commits, told_before_us=told_before_us)

    def expired(self) -> list[Expired]:
        """What expired and has no journal row yet, oldest first; see `unjournalled`."""
        return [item for _, item in sorted(self._batches.expired.copy().items())]

    def expiry_journalled(self, expired: Expired) -> None:
        """Its journal row is committed."""
        self._commits.journalled([expired.position])

    def journalled(self, *batches: Batch) -> None:
        """These batches, and what expired, have their journal rows."""
        self._commits.journalled([batch.position for batch in batches])

    def _snapshot_soon(self) -> None:
        """Write a snapshot in the background, unless one is being written."""
        if not self._commits.snapshotting:
            name = "ledger-snapshot"
            threading.Thread(target=self._snapshot_quietly, name=name, daemon=True).start()

    def _snapshot_quietly(self) -> None:
        try:
            self.snapshot()
        except (DiskRefused, LedgerStopped) as error:
            _log.error("ledger.snapshot.failed", reason=str(error))

    def snapshot(self) -> int:
        """Write a snapshot now and drop the log it covers; its position in the log.

        Ingest goes on meanwhile. Raises DiskRefused; then the last one stands.
        """
        return self._commits.snapshot()

    def cut(self, before: datetime) -> int:
        """Move transfers booked before into cold segments; how many left memory.

        Batches wait while the arrays are made anew (docs/internals/cold.md); traces go on. Raises
        DiskRefused, TooLarge, LedgerStopped; then nothing has changed.
        """
        return self._commits.cut(to_us(before))

    @property
    def archive(self) -> Archive:
        """Transfers of cold days, for who traces; see `tracing.across`."""
        return self._archive

    def held_copy(self, *, at_instant: Callable[[int], None]) -> AbstractContextManager[HeldCopy]:
        """Files that are the ledger at one entry of its log, for as long as the block lasts.

        `at_instant(position)` runs while no batch can become durable: a database snapshot taken in
        it knows of nothing behind `position`. Keep it short. Raises DiskRefused, LedgerStopped.
        """
        return self._commits.held_copy(at_instant=at_instant)

    def check(self) -> None:
        """Raises LedgerStopped, with the reason, when nothing more is taken."""
        self._commits.check()

    def follow(self, confirm: Callable[[int], None]) -> None:
        """From now on a batch is acknowledged when `confirm(position)` has returned, too.

        It is called with writers held off, after the entry is on our own disk; it may wait, and
        raises LedgerStopped where the batch must not be acknowledged.
        """
        self._commits.confirm = confirm

    def retain(self, position: int | None) -> None:
        """Keep the log past this entry on disk for a follower; None: no longer."""
        self._commits.retain(position)

    def stats(self) -> LedgerStats:
        """Sizes, for the operator."""
        store = self._store
        return LedgerStats(
            transfers=store.applied,
            accounts=store.accounts,
            batches=self._batches.count,
            unjournalled=len(self._batches.waiting),
            position=self._commits.position,
            memory_bytes=store.memory_bytes(),
            log_bytes=self._commits.log_bytes,
            text_bytes=store.id_bytes,
            snapshot_position=self._commits.snapshot_position,
        )


def _locate(table: TransferTable, row: int) -> str:
    if not table.sources:
        return f"row {row + 1}"
    file, number = table.place(row)
    return f"{file}, row {number}"


def _in_future(table: TransferTable, row: int, booked_us: int) -> RefusedRow:
    file, number = table.place(row) if table.sources else ("batch", row + 1)
    reason = f"{from_us(booked_us).isoformat()} is yet to come"
    return RefusedRow(file=file, row=number, column="booked_at", reason=reason)


def _open_cold(folder: Path, *, cuts: int) -> ColdStore:
    if cuts and not (folder / MANIFEST).exists():
        raise Corrupt("the ledger's cold days are gone; put them back", where=str(folder))
    cold = ColdStore.open(folder)
    cold.adopt(cuts)
    return cold


def _lock_folder(path: Path) -> int:
    fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise Refused("another process has this ledger open", where=str(path)) from error
    sync_folder(path)
    return fd
