"""Stage ledger: hot rows as a table with names, as cold segments keep them.

Answers what the rows say now; changes nothing. The caller names the rows.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openaoc.ledger.arrays import CHANNELS, EXIT
from openaoc.ledger.batches import Batches
from openaoc.ledger.cold_format import HISTORY_SCHEMA, NAME_SCHEMA
from openaoc.ledger.corrections import Corrections, Known
from openaoc.ledger.kernels_cold import copy_texts, text_lengths
from openaoc.ledger.kernels_intern import BOTH, JOINED, REPORTER
from openaoc.ledger.memo import Memo, Past
from openaoc.ledger.model import Revision
from openaoc.ledger.store import Store


class Exits(NamedTuple):
    """The named creditors of exits, copied: rows ascend."""

    row: NDArray[np.int32]
    creditor: NDArray[np.int32]


def exits_of(store: Store) -> Exits:
    """A copy; no correction may be under way."""
    facts = store.facts
    return Exits(facts.exit_row[: store.exits].copy(), facts.exit_creditor[: store.exits].copy())


def named_creditors(store: Store, rows: NDArray[np.int32], exits: Exits) -> NDArray[np.int32]:
    """The creditor that each row names, also of an exit; -1 where none is named."""
    named: NDArray[np.int32] = store.facts.creditor[rows].copy()
    leaving = np.flatnonzero(store.facts.flags[rows] & EXIT)
    at = np.searchsorted(exits.row, rows[leaving])
    at[at == exits.row.size] = 0
    known = exits.row.size > 0
    fits = exits.row[at] == rows[leaving] if known else np.zeros(leaving.size, np.bool_)
    named[leaving[fits]] = exits.creditor[at[fits]]
    return named


class Extract:
    """Reads rows of one hot ledger; knows what was corrected when it was made."""

    def __init__(self, store: Store, corrections: Corrections, batches: Batches) -> None:
        self._store, self._corrections, self._batches = store, corrections, batches
        self._renames: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for name, row in corrections.renamed.items():
            self._renames[row].append(name)
        self._exits = exits_of(store)

    def table(self, rows: NDArray[np.int32]) -> pa.Table:
        """The rows in HISTORY_SCHEMA, in this order."""
        store, facts = self._store, self._store.facts
        named = named_creditors(store, rows, self._exits)
        whose = facts.reporter[rows]
        banks, accounts, currencies = self._names(facts.debtor[rows])
        payee_banks, payees, _ = self._names(named)
        told_by, told_at, position = self._tellings(rows)
        revisions, memos = self._memos(rows)
        columns = [
            self._ids(rows),
            self._reporters(whose & np.uint16(REPORTER)),
            _times(facts.time_us[rows]),
            banks,
            accounts,
            payee_banks,
            payees,
            pa.array(facts.amount[rows]),
            currencies,
            _coded(list(CHANNELS), facts.channel[rows]),
            pa.nulls(rows.size, pa.string()),
            pa.array(revisions, HISTORY_SCHEMA.field("revision").type),
            pa.array(store.numbers.sequences(rows)),
            pa.array((whose & np.uint16(BOTH)) > 0),
            told_by,
            _times(told_at),
            pa.array(position),
            pa.array(memos, pa.binary()),
        ]
        arrays = [c.cast(f.type) for c, f in zip(columns, HISTORY_SCHEMA, strict=True)]
        return pa.table(arrays, schema=HISTORY_SCHEMA)

    def aliases(self, rows: NDArray[np.int32]) -> pa.Table:
        """Further names of the rows: under the other bank, and ids given to corrections."""
        store, facts = self._store, self._store.facts
        both = rows[(facts.reporter[rows] & np.uint16(BOTH)) > 0]
        found: list[tuple[str, str, int]] = []
        named = named_creditors(store, both, self._exits)
        for row, payee in zip(both.tolist(), named.tolist(), strict=True):
            payer = store.account_name(int(facts.debtor[row])).bank
            own = store.institutions.words[int(facts.reporter[row]) & REPORTER]
            other = store.account_name(payee).bank if own == payer else payer
            found.append((other, store.transfer_id(row), store.numbers.sequence(row)))
        wanted = set(rows.tolist()) & self._renames.keys() if self._renames else set()
        for row in wanted:
            found += [(*name, store.numbers.sequence(row)) for name in self._renames[row]]
        columns = [[item[place] for item in found] for place in range(3)]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, NAME_SCHEMA, strict=True)]
        return pa.table(arrays, schema=NAME_SCHEMA)

    def _reporters(self, codes: NDArray[np.uint16]) -> pa.Array:
        """Who reported each row; the empty text for rows that turned out to be another's."""
        words = [*self._store.institutions.words, ""]
        return _coded(words, np.where(codes == JOINED, len(words) - 1, codes))

    def _ids(self, rows: NDArray[np.int32]) -> pa.Array:
        offsets = np.zeros(rows.size + 1, np.int64)
        text_lengths(self._store.facts, rows, offsets)
        data = np.empty(int(offsets[-1]), np.uint8)
        copy_texts(self._store.facts, rows, offsets, data)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        return pa.Array.from_buffers(pa.large_string(), rows.size, buffers)

    def _names(self, accounts: NDArray[np.int32]) -> tuple[pa.Array, pa.Array, pa.Array]:
        """Bank, account and currency of each number; null for -1."""
        numbers, code = np.unique(accounts, return_inverse=True)
        names = [self._store.account_name(n) if n >= 0 else None for n in numbers.tolist()]
        codes = pa.array(code.astype(np.int32))
        columns = (
            [name and name.bank for name in names],
            [name and name.account for name in names],
            [name and name.currency for name in names],
        )
        bank, account, currency = (pa.array(c, pa.string()).take(codes) for c in columns)
        return bank, account, currency

    def _tellings(
        self, rows: NDArray[np.int32]
    ) -> tuple[pa.Array, NDArray[np.int64], NDArray[np.int64]]:
        """Who told us, when, and the batch's position in the log."""
        batches = self._batches
        at = np.searchsorted(batches.first_row[: batches.count], rows, side="right") - 1
        at = np.maximum(at, 0)
        words = list(batches.tellers.words)
        codes = batches.teller[at].astype(np.int64)
        told_at, position = batches.told_at[at], batches.position[at]
        if self._store.tellings:
            back = np.array(sorted(self._store.tellings), np.int64)
            for place in np.flatnonzero(np.isin(rows, back)).tolist():
                telling = self._store.tellings[int(rows[place])]
                words.append(telling.told_by)
                codes[place] = len(words) - 1
                told_at[place], position[place] = telling.told_at_us, telling.position
        return _coded(words, codes), told_at, position

    def _memos(self, rows: NDArray[np.int32]) -> tuple[list[int | None], list[bytes | None]]:
        """The revision and the past of each corrected row."""
        known = self._corrections.known
        revisions: list[int | None] = [None] * rows.size
        memos: list[bytes | None] = [None] * rows.size
        if not known and not self._renames:
            return revisions, memos
        for place, row in enumerate(rows.tolist()):
            if row not in known and row not in self._renames:
                continue
            item = known.get(row, Known())
            if row in known:
                revisions[place] = item.revision
            memos[place] = Memo(
                revision=item.revision,
                history=tuple(self._past(told) for told in item.history),
                other=tuple(self._past(told) for told in item.other),
                renames=tuple(self._renames.get(row, ())),
            ).encode()
        return revisions, memos

    def _past(self, item: Revision) -> Past:
        name = self._store.account_name
        return Past(
            revision=item.revision,
            time_us=item.time_us,
            debtor=name(item.debtor),
            creditor=name(item.creditor) if item.creditor >= 0 else None,
            amount_minor=item.amount_minor,
            channel=item.channel,
            reporter=self._store.institutions.words[item.reporter],
        )


def _coded(words: list[str], codes: NDArray[np.integer]) -> pa.Array:
    return pa.array(words, pa.string()).take(pa.array(np.asarray(codes, np.int64)))


def _times(values: NDArray[np.int64]) -> pa.Array:
    return pa.array(values).view(pa.timestamp("us", "UTC"))
