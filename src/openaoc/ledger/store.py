"""The hot ledger's arrays and where they end; private to this stage.

Answers a name for a number and a number for a name. Decides nothing, locks nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from openaoc.kernel.errors import BadInput
from openaoc.ledger.arrays import RECORD_WORDS, LedgerArrays, account_columns
from openaoc.ledger.kernels_intern import (
    BOTH,
    ROWS_PER_BLOCK,
    Ends,
    Facts,
    find_row,
    named_creditor,
    text_place,
)
from openaoc.ledger.kernels_lines import CLASSES, IN_END, OUT_END, Dirty, Lines
from openaoc.ledger.kernels_slots import LOAD_MAX, Names, find_account, grow_slots
from openaoc.ledger.kernels_text import hash_bytes, store_text, stored_length
from openaoc.ledger.memory import reserve
from openaoc.ledger.model import (
    CURRENCIES_MAX,
    INSTITUTIONS_MAX,
    AccountName,
    DiskRefused,
    LedgerFull,
)
from openaoc.ledger.numbers import Numbers

ROWS_MAX: Final = 350_000_000
"""Offsets into the pools are linked in 31 bits."""
ACCOUNTS_MAX: Final = 60_000_000
"""Offsets of account names are kept in 32 bits."""
POOL_FACTOR: Final = 6
"""Pool places per row: more than growth by halves can leave behind unused."""
ID_BYTES_MEAN_MAX: Final = 68
NAME_BYTES_MEAN_MAX: Final = 68
"""Room for texts, per row and per account."""
SLOTS_MIN: Final = 1 << 12
GROWTH: Final = 1.3
ID_CHUNK_BYTES: Final = 16 << 20
"""The file of ids is allocated on disk in such steps, so that a full disk is an error, not a
signal."""
SLICE_ROWS_MAX: Final = 1 << 16

Number = TypeVar("Number", bound=np.generic)


class Vocabulary:
    """Short words numbered in the order they came: institutions, currencies."""

    def __init__(self, limit: int, what: str) -> None:
        self.words: list[str] = []
        self._numbers: dict[str, int] = {}
        self._limit, self._what = limit, what

    def number(self, word: str) -> int:
        """The word's number, a new one if need be. Raises LedgerFull past the limit."""
        known = self._numbers.get(word)
        if known is None:
            if len(self.words) >= self._limit:
                raise LedgerFull(f"more than {self._limit:,} different {self._what}")
            known = self._numbers[word] = len(self.words)
            self.words.append(word)
        return known

    def find(self, word: str) -> int:
        """The word's number, or -1."""
        return self._numbers.get(word, -1)

    def fill(self, words: tuple[str, ...]) -> None:
        """Take the words of a snapshot, in their order."""
        for word in words:
            self.number(word)

    def cut(self, length: int) -> None:
        """Forget the words after the first `length`."""
        for word in self.words[length:]:
            del self._numbers[word]
        del self.words[length:]


class IdFile:
    """The texts of transfer ids: one append-only file, written and read through memory."""

    def __init__(self, path: Path, size: int) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._allocated = 0
        self._size = max(size, ID_CHUNK_BYTES)
        os.ftruncate(self._fd, max(self._size, os.fstat(self._fd).st_size))
        self.text = reserve(self._size, np.uint8, shared_file=self._fd).view(np.uint8)

    def ensure(self, end: int) -> None:
        """See to disk space up to byte `end`. Raises DiskRefused, LedgerFull."""
        if end > self._size:
            raise LedgerFull("the file of transfer ids is full; raise ledger_rows_max")
        if end <= self._allocated:
            return
        target = min(self._size, (end // ID_CHUNK_BYTES + 1) * ID_CHUNK_BYTES)
        try:
            os.posix_fallocate(self._fd, self._allocated, target - self._allocated)
        except OSError as error:
            raise DiskRefused(f"no room for transfer ids: {error.strerror}") from error
        self._allocated = target

    def sync(self) -> None:
        """Force what is written to disk."""
        os.fdatasync(self._fd)

    def let_go(self) -> None:
        """Close without cutting: it is opened again under its name."""
        os.close(self._fd)

    def close(self, end: int) -> None:
        """Cut the file behind its text and close it; the memory stays readable up to there."""
        os.ftruncate(self._fd, max(end, 1))
        os.close(self._fd)


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """Who told us of a transfer, when, and the place in the log."""

    told_by: str
    told_at_us: int
    position: int


class Store:
    """Arrays at their reserved size, vocabularies, tables and ends."""

    def __init__(
        self, path: Path, *, rows_max: int, accounts_max: int, seed: int, generation: int = 0
    ) -> None:
        if not 0 < rows_max <= ROWS_MAX or not 0 < accounts_max <= ACCOUNTS_MAX:
            raise BadInput(
                f"ledger_rows_max up to {ROWS_MAX:,} and ledger_accounts_max up to {ACCOUNTS_MAX:,}"
            )
        self.rows_max, self.accounts_max, self.seed = rows_max, accounts_max, seed
        self.institutions = Vocabulary(INSTITUTIONS_MAX, "institutions")
        self.currencies = Vocabulary(CURRENCIES_MAX, "currencies")
        self.rows = self.applied = 0
        self.length = 0
        """Rows that the arrays show; those from `applied` on may not be on their lines yet."""
        self.accounts = self.name_bytes = self.id_bytes = self.exits = 0
        self.hot_from_us = self.cuts = 0
        """The cut: transfers booked before it are cold. How many were made."""
        self.generation = generation
        """How often the rows were numbered anew."""
        self.numbers = Numbers()
        self.tellings: dict[int, Telling] = {}
        """Who told of rows that came back from cold days: no batch here brought them."""
        self.stored: set[int] = set()
        """Arrival numbers of rows here that cold segments have too; what is here counts."""
        self.old_rows: set[int] = set()
        """Rows booked before the cut: late ones, and some that came back."""
        self._path = path
        self.ids = self.id_file(generation)
        self.lines = reserve_lines(rows_max, accounts_max)
        self.names = Names(
            kind=_array(accounts_max, np.uint32),
            offset=_array(accounts_max, np.uint32),
            text=_array(accounts_max * NAME_BYTES_MEAN_MAX, np.uint8),
        )
        self.bare, self.unseen = _array(accounts_max, np.int64), _array(accounts_max, np.int64)
        self.opened_from = _array(accounts_max, np.int64)
        self.opened_minor = _array(accounts_max, np.int64)
        """By account: since when its line counts (µs; 0: always) and its balance then."""
        self.opened_bare = _array(accounts_max, np.int64)
        """And how much of that balance was seen to come in: its transfers before have expired."""
        self.expired_us = self.expired_segments = 0
        """Cold segments up to this number are gone, and with them what was booked before."""
        self.facts = reserve_facts(self.lines, self.ids.text)
        self.account_slots = _array(SLOTS_MIN, np.int64)
        self.id_slots = _array(SLOTS_MIN, np.int64)
        self.id_count = 0
        self.dirty = Dirty(
            account=_array(2 * SLICE_ROWS_MAX, np.int32),
            time_us=_array(2 * SLICE_ROWS_MAX, np.int64),
            row=_array(2 * SLICE_ROWS_MAX, np.int32),
            out_sorted=_array(2 * SLICE_ROWS_MAX, np.int32),
            in_sorted=_array(2 * SLICE_ROWS_MAX, np.int32),
        )

    @property
    def ids_held(self) -> tuple[str, int]:
        """The name of the file of ids, and how many of its bytes count."""
        return id_file_name(self.generation), self.id_bytes

    @property
    def ends(self) -> Ends:
        """The ends of rows and texts, staged ones included."""
        return Ends(self.rows, self.id_bytes, self.exits)

    def id_file(self, generation: int) -> IdFile:
        """The file of ids for rows as numbered for this time; made if need be."""
        return IdFile(self._path / id_file_name(generation), self.rows_max * ID_BYTES_MEAN_MAX)

    def put_text(self, row: int, transfer_id: str) -> None:
        """Store the id of the row at the ledger's end; the caller has seen to room."""
        if row % ROWS_PER_BLOCK == 0:
            self.facts.id_block[row // ROWS_PER_BLOCK] = self.id_bytes
        data = np.frombuffer(transfer_id.encode(), np.uint8)
        self.id_bytes = int(store_text(self.facts.id_text, self.id_bytes, data, 0, data.size))

    def begin_lines(self, first: int) -> None:
        """Accounts numbered from `first` on are new: what was booked before the cut is not here."""
        if self.hot_from_us:
            self.lines.line_from[first : self.accounts] = self.hot_from_us

    def ensure_room(self, *, rows: int, accounts: int, id_bytes: int, name_bytes: int) -> None:
        """See to room for a batch in every array, table and file. Raises LedgerFull, DiskRefused.

        Tables grow here and nowhere else, so that slots noted for an undo stay where they are
        until the batches noted are durable.
        """
        if self.rows + rows > self.rows_max:
            raise LedgerFull(f"the hot ledger holds {self.rows_max:,} transfers; more do not fit")
        if self.accounts + accounts > self.accounts_max:
            accounts = self.accounts_max - self.accounts
        if self.name_bytes + name_bytes > self.names.text.size:
            raise LedgerFull("the account names are full; raise ledger_accounts_max")
        self.ids.ensure(self.id_bytes + id_bytes + (2 * rows))
        self.account_slots = _grown(self.account_slots, self.accounts + accounts)
        self.id_slots = _grown(self.id_slots, self.id_count + rows)

    def fresh_tables(self) -> None:
        """Empty tables with room for every account, and every row under both its banks."""
        self.account_slots = _grown(_array(SLOTS_MIN, np.int64), self.accounts)
        self.id_slots, self.id_count = fresh_id_table(self.facts, self.rows)

    def find_row(self, reporter: str, transfer_id: str, *, visible: int) -> int:
        """The row below `visible` that the reporter told under this id, or -1."""
        who = self.institutions.find(reporter)
        data = np.frombuffer(transfer_id.encode(), np.uint8)
        if who < 0 or not data.size:
            return -1
        value = self.id_hash(transfer_id)
        ends = Ends(visible, self.id_bytes, self.exits)
        return int(
            find_row(
                self.id_slots, self.facts, self.names, ends, who, np.uint64(value), data, 0,
                data.size,
            )
        )  # fmt: skip

    def id_hash(self, transfer_id: str) -> int:
        """The hash of a transfer id, as its slots go by it."""
        data = np.frombuffer(transfer_id.encode(), np.uint8)
        return int(hash_bytes(data, 0, data.size, np.uint64(self.seed)))

    def find_account(self, bank: str, account: str, currency: str, /) -> int:
        """The account's number, or -1."""
        b, c = self.institutions.find(bank), self.currencies.find(currency)
        data = np.frombuffer(account.encode(), np.uint8)
        if b < 0 or c < 0 or not data.size:
            return -1
        value = hash_bytes(data, 0, data.size, np.uint64(self.seed))
        return int(
            find_account(
                self.account_slots, self.names, np.uint32(b << 16 | c), np.uint64(value), data, 0,
                data.size,
            )
        )  # fmt: skip

    def account_name(self, number: int) -> AccountName:
        """Bank, account and currency of a number below `accounts`."""
        kind = int(self.names.kind[number])
        return AccountName(
            bank=self.institutions.words[kind >> 16],
            account=_stored(self.names.text, int(self.names.offset[number])),
            currency=self.currencies.words[kind & 0xFFFF],
        )

    def transfer_id(self, row: int) -> str:
        """The id under which the row was first told."""
        return _stored(self.facts.id_text, int(text_place(self.facts, row)))

    def named_creditor(self, row: int) -> int:
        """The account named as creditor, also of an exit; -1 where none is."""
        return int(named_creditor(self.facts, self.exits, row))

    def name_creditor(self, row: int, account: int) -> None:
        """Keep the named creditor of a row that became an exit, at its place by row."""
        at = int(np.searchsorted(self.facts.exit_row[: self.exits], row))
        if at < self.exits and int(self.facts.exit_row[at]) == row:
            self.facts.exit_creditor[at] = account
            return
        for column in (self.facts.exit_row, self.facts.exit_creditor):
            column[at + 1 : self.exits + 1] = column[at : self.exits].copy()
        self.facts.exit_row[at], self.facts.exit_creditor[at] = row, account
        self.exits += 1

    def view(self) -> LedgerArrays:
        """The arrays up to their ends; right while no writer is inside."""
        line, rows, accounts = self.lines, self.length, self.accounts
        outs, ins = int(line.pool_end[OUT_END]), int(line.pool_end[IN_END])
        return LedgerArrays(
            line.time_us[:rows], line.debtor[:rows], line.creditor[:rows], line.amount[:rows],
            line.flags[:rows], line.channel[:rows], line.out_start[:rows], line.in_start[:rows],
            line.base_in[:accounts], line.base_out[:accounts],
            line.out_off[:accounts], line.out_len[:accounts],
            line.in_off[:accounts], line.in_len[:accounts],
            line.out_rows[:outs], line.out_starts[:outs], line.in_rows[:ins],
            self.bare[:accounts], self.unseen[:accounts],
        )  # fmt: skip

    def memory_bytes(self) -> int:
        """Bytes in use in all arrays and tables, computed from the ends."""
        line = self.lines
        per_row = sum(column.itemsize for column in (*line[:8], self.facts.reporter))
        per_account = sum(column.itemsize for column in (*line[8:18], *self.names[:2]))
        pools = 12 * int(line.pool_end[OUT_END]) + 4 * int(line.pool_end[IN_END])
        texts = self.name_bytes + 8 * (self.rows // ROWS_PER_BLOCK) + 8 * self.exits
        tables = 8 * (self.id_slots.size + self.account_slots.size)
        return per_row * self.rows + per_account * self.accounts + pools + texts + tables


def _array(count: int, dtype: type[Number]) -> NDArray[Number]:
    return reserve(count, dtype).view(dtype)


def id_file_name(generation: int) -> str:
    """The file of ids for rows as numbered for the `generation`th time."""
    return f"ids-{generation:06d}.text" if generation else "ids.text"


def reserve_lines(rows: int, accounts: int) -> Lines:
    """Room for the numbers of so many rows and accounts."""
    wide, narrow, pool = np.int64, np.int32, POOL_FACTOR * rows + 64
    account = account_columns(_array(RECORD_WORDS * accounts, wide))
    return Lines(
        time_us=_array(rows, wide),
        debtor=_array(rows, narrow),
        creditor=_array(rows, narrow),
        amount=_array(rows, wide),
        flags=_array(rows, np.uint8),
        channel=_array(rows, np.uint8),
        out_start=_array(rows, wide),
        in_start=_array(rows, wide),
        base_in=account.base_in,
        base_out=_array(accounts, wide),
        in_end=account.in_end,
        out_end=account.out_end,
        last_us=account.last_us,
        line_from=account.line_from,
        out_off=account.out_off,
        out_len=account.out_len,
        in_off=account.in_off,
        in_len=account.in_len,
        out_rows=_array(pool, narrow),
        out_starts=_array(pool, wide),
        in_rows=_array(pool, narrow),
        free_out=np.zeros(CLASSES, wide),
        free_in=np.zeros(CLASSES, wide),
        pool_end=np.zeros(2, wide),
    )


def fresh_id_table(facts: Facts, rows: int) -> tuple[NDArray[np.int64], int]:
    """An empty table with room for every row under both its banks; how many entries that is."""
    count = rows + int(np.count_nonzero(facts.reporter[:rows] & np.uint16(BOTH)))
    return _grown(_array(SLOTS_MIN, np.int64), count), count


def reserve_facts(line: Lines, id_text: NDArray[np.uint8]) -> Facts:
    """The facts of as many rows as the lines have; the numbers are the same arrays."""
    rows = line.time_us.size
    return Facts(
        line.time_us, line.debtor, line.creditor, line.amount, line.flags, line.channel,
        line.out_start, line.in_start,
        reporter=_array(rows, np.uint16),
        id_block=_array(rows // ROWS_PER_BLOCK + 1, np.int64),
        id_text=id_text,
        exit_row=_array(rows, np.int32),
        exit_creditor=_array(rows, np.int32),
    )  # fmt: skip


def _grown(slots: NDArray[np.int64], entries: int) -> NDArray[np.int64]:
    """The table itself, or a larger one with the same entries, with room for `entries`."""
    if entries <= LOAD_MAX * slots.size:
        return slots
    size = int(slots.size * GROWTH)
    while entries > LOAD_MAX * size:
        size = int(size * GROWTH) + 1
    fresh = _array(size, np.int64)
    grow_slots(slots, fresh)
    return fresh


def _stored(store: NDArray[np.uint8], at: int) -> str:
    length = int(stored_length(store, at))
    return store[at + 2 : at + 2 + length].tobytes().decode()
