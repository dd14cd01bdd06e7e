"""Stage ledger: cold transfers of accounts as numbers, kept in memory for a while.

Answers with what hot lines do not have. The caller names accounts; what is not at hand is said, so
that it can be fetched while nobody is kept waiting.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openaoc.kernel.clock import to_us
from openaoc.kernel.errors import TooLarge
from openaoc.kernel.limits import TRACE_ACCOUNTS_MAX
from openaoc.ledger.arrays import CHANNELS, EXIT, SELF, LedgerArrays
from openaoc.ledger.cold import ColdStore
from openaoc.ledger.cold_format import one
from openaoc.ledger.store import Store

ROWS_KEPT_MAX: Final = 4_000_000
"""Cold transfers kept as numbers, about 50 bytes each."""
ROWS_TOGETHER_MAX: Final = 40_000_000
ACCOUNTS_TOGETHER: Final = 20_000
assert ACCOUNTS_TOGETHER <= TRACE_ACCOUNTS_MAX


class Moves(NamedTuple):
    """Transfers as numbers, with their arrival numbers; of exits the creditor is -1."""

    sequence: NDArray[np.int64]
    time_us: NDArray[np.int64]
    debtor: NDArray[np.int32]
    creditor: NDArray[np.int32]
    amount: NDArray[np.int64]
    flags: NDArray[np.uint8]
    channel: NDArray[np.uint8]

    def take(self, places: NDArray[np.integer] | NDArray[np.bool_]) -> Moves:
        """Some of them."""
        return Moves(
            self.sequence[places], self.time_us[places], self.debtor[places],
            self.creditor[places], self.amount[places], self.flags[places], self.channel[places],
        )  # fmt: skip


NOTHING: Final = Moves(
    np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32),
    np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.uint8),
)  # fmt: skip


def joined(parts: Iterable[Moves]) -> Moves:
    """All of them, each arrival number once, by arrival number."""
    columns = list(zip(NOTHING, *parts, strict=True))
    whole = Moves(*(np.concatenate(column) for column in columns))
    _, first = np.unique(whole.sequence, return_index=True)
    return whole.take(first)


class NotAtHand(Exception):
    """Cold transfers of these accounts, or of these numbers, must be fetched first."""

    def __init__(
        self,
        accounts: Collection[int],
        sequences: Collection[int],
        *,
        beside: Collection[int],
    ) -> None:
        super().__init__(f"{len(accounts)} accounts, {len(sequences)} transfers")
        self.accounts, self.sequences, self.beside = accounts, sequences, beside
        """`beside`: accounts that must stay at hand meanwhile."""


class Archive:
    """Reads one cold store for one hot store. Safe for many threads."""

    def __init__(self, store: Store, cold: ColdStore) -> None:
        self._store, self._cold = store, cold
        self._lock = threading.Lock()
        self._accounts: OrderedDict[int, Moves] = OrderedDict()
        self._single: dict[int, Moves] = {}
        self._kept = 0
        self._version = 0

    @property
    def divided(self) -> bool:
        """Whether any day is cold."""
        return self._store.hot_from_us > 0

    @property
    def plain(self) -> bool:
        """Whether every transfer is hot and its arrival number is its row."""
        return not self.divided and not self._store.numbers.joined

    def standing(self, sequence: int) -> int:
        """The number, or where that turned out to be another transfer, that one's."""
        return self._store.numbers.joined.get(sequence, sequence)

    @property
    def cut_us(self) -> int:
        """What was booked before is cold."""
        return self._store.hot_from_us

    @property
    def last_us(self) -> int:
        """When the newest cold transfer was booked; 0 without any."""
        last = self._cold.stats().last_at
        return to_us(last) if last else 0

    def rows(self, sequences: NDArray[np.int64], arrays: LedgerArrays) -> NDArray[np.int64]:
        """The hot rows of arrival numbers, -1 for others. Inside a reading."""
        numbers = self._store.numbers
        return numbers.rows(numbers.standing(sequences), end=len(arrays.time_us))

    def numbers(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """The arrival numbers of hot rows. Inside a reading."""
        return self._store.numbers.sequences(rows)

    def openings(
        self, accounts: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Since when each account's line counts (µs; 0: always), and its balance then."""
        return self._store.opened_from[accounts], self._store.opened_minor[accounts]

    def known_without_openings(self, accounts: NDArray[np.integer]) -> NDArray[np.int64]:
        """How much of the balance where each line begins was seen to come in."""
        bare: NDArray[np.int64] = self._store.opened_bare[accounts]
        return bare

    def before(self, accounts: Sequence[int], until_us: int) -> Moves:
        """Cold transfers of these accounts up to a moment; nothing is kept at hand."""
        names = [self._store.account_name(number) for number in accounts]
        return self._moves(self._cold.accounts_history(names, until_us=until_us))

    def current(self, moves: Moves, accounts: Sequence[int], until_us: int) -> Moves:
        """The transfers as they are now: those that are hot again say it themselves.

        No batch is half done.
        """
        store = self._store
        parts = [moves.take(store.numbers.rows(moves.sequence, end=store.rows) < 0)]
        rows = np.fromiter(store.old_rows, np.int64, len(store.old_rows))
        lines, wanted = store.lines, np.asarray(accounts, np.int64)
        touches = np.isin(lines.debtor[rows], wanted) | np.isin(lines.creditor[rows], wanted)
        parts.append(self.hot(rows[touches & (lines.time_us[rows] <= until_us)]))
        return joined(parts)

    def forget(self) -> None:
        """Other segments count now."""
        with self._lock:
            self._accounts.clear()
            self._single.clear()
            self._kept = 0
            self._version += 1

    def fetch(
        self,
        accounts: Collection[int],
        sequences: Collection[int] = (),
        *,
        beside: Collection[int] = (),
    ) -> None:
        """Bring these to hand; others go, but those named `beside`.

        Raises TooLarge past what may be at hand together.
        """
        wanted = [number for number in accounts if number not in self._accounts]
        version = self._version
        for start in range(0, len(wanted), ACCOUNTS_TOGETHER):
            part = wanted[start : start + ACCOUNTS_TOGETHER]
            moves = self._read(part)
            found = _by_account(moves, part)
            with self._lock:
                if version != self._version:
                    return
                self._keep(found, beside={*accounts, *beside})
        single = [number for number in sequences if number not in self._single]
        if single:
            moves = self._moves(self._cold.by_sequences(single))
            with self._lock:
                if version == self._version:
                    if len(self._single) > ROWS_KEPT_MAX:
                        self._single.clear()
                    self._single.update(dict.fromkeys(single, NOTHING))
                    for place, number in enumerate(moves.sequence.tolist()):
                        self._single[number] = moves.take(np.array([place]))

    def _keep(self, found: dict[int, Moves], *, beside: set[int]) -> None:
        for number, moves in found.items():
            self._accounts[number] = moves
            self._kept += moves.sequence.size
        if self._kept <= ROWS_KEPT_MAX:
            return
        for number in [*self._accounts]:
            if number not in beside:
                self._kept -= self._accounts.pop(number).sequence.size
        if self._kept > ROWS_TOGETHER_MAX:
            raise TooLarge(f"more than {ROWS_TOGETHER_MAX:,} cold transfers are needed at once")

    def cold(self, accounts: Collection[int], sequences: Collection[int] = ()) -> Moves:
        """Cold transfers of these accounts, and those of these numbers, that are not hot again.

        Raises NotAtHand.
        """
        with self._lock:
            missing = [number for number in accounts if number not in self._accounts]
            absent = [number for number in sequences if number not in self._single]
            if missing or absent:
                raise NotAtHand(missing, absent, beside=accounts)
            for number in accounts:
                self._accounts.move_to_end(number)
            parts = [self._accounts[number] for number in accounts]
            parts += [self._single[number] for number in sequences]
        whole = joined(parts)
        store = self._store
        return whole.take(store.numbers.rows(whole.sequence, end=store.rows) < 0)

    def older(self, accounts: Collection[int], sequences: Collection[int] = ()) -> Moves:
        """All transfers of these accounts booked before the cut, cold ones and late ones."""
        parts = [self.cold(accounts, sequences)]
        if self._store.old_rows:
            rows = np.fromiter(self._store.old_rows, np.int64, len(self._store.old_rows))
            wanted = np.fromiter(accounts, np.int64, len(accounts))
            lines = self._store.lines
            touches = np.isin(lines.debtor[rows], wanted) | np.isin(lines.creditor[rows], wanted)
            parts.append(self.hot(rows[touches]))
        return joined(parts)

    def hot(self, rows: NDArray[np.integer]) -> Moves:
        """Rows of the hot arrays."""
        line = self._store.lines
        return Moves(
            self._store.numbers.sequences(rows), line.time_us[rows], line.debtor[rows],
            line.creditor[rows], line.amount[rows], line.flags[rows], line.channel[rows],
        )  # fmt: skip

    def everything(
        self,
        arrays: LedgerArrays,
        *,
        deep: Collection[int],
        shallow: Collection[int] = (),
        sequences: Collection[int] = (),
    ) -> Moves:
        """The transfers of `deep` accounts, those of `shallow` ones since the cut, and some more.

        By arrival number. Inside a reading. Raises NotAtHand.
        """
        store = self._store
        asked = store.numbers.standing(np.fromiter(sequences, np.int64, len(sequences)))
        known = store.numbers.rows(asked, end=len(arrays.time_us))
        parts = [self.older(deep, asked[known < 0].tolist())]
        rows: list[NDArray[np.integer]] = [known[known >= 0]]
        for number in (*deep, *shallow):
            out, into = int(arrays.out_off[number]), int(arrays.in_off[number])
            rows.append(arrays.out_rows[out : out + int(arrays.out_len[number])])
            rows.append(arrays.in_rows[into : into + int(arrays.in_len[number])])
        parts.append(self.hot(np.unique(np.concatenate(rows)).astype(np.int64)))
        return joined(parts)

    def _read(self, accounts: Sequence[int]) -> Moves:
        names = [self._store.account_name(number) for number in accounts]
        return self._moves(self._cold.accounts_history(names))

    def _moves(self, table: pa.Table) -> Moves:
        debtor = self._numbers(table, "debtor")
        named = self._numbers(table, "creditor")
        words = one(table["channel"].dictionary_encode())
        codes = np.array([CHANNELS.index(word) for word in words.dictionary.to_pylist()], np.uint8)
        channel = codes[words.indices.to_numpy()] if table.num_rows else np.zeros(0, np.uint8)
        leaves = (channel > 0) | (named < 0)
        flags = np.where(leaves, EXIT, np.where(debtor == named, SELF, 0)).astype(np.uint8)
        return Moves(
            one(table["sequence"]).to_numpy(),
            one(table["booked_at"]).view(pa.int64()).to_numpy(),
            debtor,
            np.where(leaves, np.int32(-1), named),
            one(table["amount_minor"]).to_numpy(),
            flags,
            channel,
        )

    def _numbers(self, table: pa.Table, side: str) -> NDArray[np.int32]:
        """The number of each row's account; -1 where none is named."""
        names = pa.table([table[f"{side}_bank"], table[f"{side}_account"], table["currency"]],
                         names=["bank", "account", "currency"])  # fmt: skip
        coded = pa.StructArray.from_arrays(
            [one(column.cast(pa.string())) for column in names.columns], names.column_names
        )
        known: dict[tuple[str, str, str], int] = {}
        found = np.full(table.num_rows, -1, np.int32)
        for place, name in enumerate(coded.to_pylist()):
            if name["account"] is None:
                continue
            key = (name["bank"], name["account"], name["currency"])
            if key not in known:
                known[key] = self._store.find_account(*key)
            found[place] = known[key]
        return found


def _by_account(moves: Moves, accounts: Sequence[int]) -> dict[int, Moves]:
    """The transfers on each account's line."""
    inner = np.flatnonzero(moves.creditor >= 0)
    whose = np.concatenate((moves.debtor, moves.creditor[inner]))
    which = np.concatenate((np.arange(moves.debtor.size), inner))
    order = np.argsort(whose, kind="stable")
    whose, which = whose[order], which[order]
    starts = np.searchsorted(whose, accounts)
    stops = np.searchsorted(whose, accounts, side="right")
    return {
        number: moves.take(np.unique(which[start:stop]))
        for number, start, stop in zip(accounts, starts, stops, strict=True)
    }
