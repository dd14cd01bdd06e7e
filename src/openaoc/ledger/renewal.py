"""Stage ledger: the hot arrays anew, with fewer rows, by arrival number, beside the old ones.

Answers what the arrays are once older rows have left. Readers keep the old ones until the swap.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import LedgerArrays
from openaoc.ledger.batches import Batches
from openaoc.ledger.corrections import Known
from openaoc.ledger.hot import HotLog
from openaoc.ledger.kernels_cold import cut_lines, move_lists, move_texts
from openaoc.ledger.kernels_intern import Ends, Facts, rebuild_rows
from openaoc.ledger.kernels_lines import Lines
from openaoc.ledger.store import (
    IdFile,
    Store,
    Telling,
    fresh_id_table,
    reserve_facts,
    reserve_lines,
)

_COLUMNS = ("time_us", "debtor", "creditor", "amount", "flags", "channel", "reporter")


@dataclass(kw_only=True, eq=False)
class Renewed:
    """All that takes the place of what was."""

    cut_us: int
    lines: Lines
    facts: Facts
    ids: IdFile
    id_bytes: int
    exits: int
    id_slots: NDArray[np.int64]
    id_count: int
    bare: NDArray[np.int64]
    unseen: NDArray[np.int64]
    rows: int
    sequences: NDArray[np.int64]
    following: int
    known: dict[int, Known]
    renamed: dict[tuple[str, str], int]
    tellings: dict[int, Telling]
    stored: set[int]
    old_rows: set[int]
    batches: dict[str, NDArray[np.generic]]


def renew(hot: HotLog, batches: Batches, *, stays: NDArray[np.bool_], cut_us: int) -> Renewed:
    """The arrays with the rows that stay; those booked before `cut_us` stand on no line.

    All rows are applied and no writer is at work. Changes nothing. Raises DiskRefused, Unavailable.
    """
    store = hot.store
    rows = np.flatnonzero(stays).astype(np.int32)
    sequences = store.numbers.sequences(rows)
    order = np.argsort(sequences, kind="stable")
    rows, sequences = rows[order], sequences[order]
    moved = np.full(store.rows, -1, np.int32)
    moved[rows] = np.arange(rows.size, dtype=np.int32)
    lines = reserve_lines(store.rows_max, store.accounts_max)
    ids = store.id_file(store.generation + 1)
    ids.ensure(store.id_bytes)
    facts = reserve_facts(lines, ids.text)
    for name in _COLUMNS:
        getattr(facts, name)[: rows.size] = getattr(store.facts, name)[rows]
    facts.out_start[: rows.size] = -1
    facts.in_start[: rows.size] = -1
    exits = _move_exits(store, facts, moved)
    id_bytes = int(move_texts(store.facts, rows, facts.id_text, facts.id_block))
    slots, count = fresh_id_table(facts, rows.size)
    ends = Ends(rows.size, id_bytes, exits)
    table = threading.Thread(
        target=rebuild_rows,
        args=(slots, facts, store.names, ends, np.uint64(store.seed)),
        name="ledger-renewal",
    )
    table.start()
    bare, unseen = _move_lines(store, lines, moved, cut_us)
    table.join()
    times = facts.time_us[: rows.size]
    corrections = hot.corrections
    return Renewed(
        cut_us=cut_us,
        lines=lines,
        facts=facts,
        ids=ids,
        id_bytes=id_bytes,
        exits=exits,
        id_slots=slots,
        id_count=count,
        bare=bare,
        unseen=unseen,
        rows=rows.size,
        sequences=sequences,
        following=store.numbers.sequence(store.rows),
        known={int(moved[r]): known for r, known in corrections.known.items() if moved[r] >= 0},
        renamed={n: int(moved[row]) for n, row in corrections.renamed.items() if moved[row] >= 0},
        tellings={int(moved[r]): told for r, told in store.tellings.items() if moved[r] >= 0},
        stored=store.stored & set(sequences.tolist()) if store.stored else set(),
        old_rows=set(np.flatnonzero(times < cut_us).tolist()),
        batches=_move_batches(store, batches, sequences),
    )


def _move_exits(store: Store, facts: Facts, moved: NDArray[np.int32]) -> int:
    """The named creditors of the exits that stay; how many."""
    was = store.facts.exit_row[: store.exits]
    row = moved[was]
    kept = np.flatnonzero(row >= 0)
    kept = kept[np.argsort(row[kept], kind="stable")]
    facts.exit_row[: kept.size] = row[kept]
    facts.exit_creditor[: kept.size] = store.facts.exit_creditor[: store.exits][kept]
    return int(kept.size)


def _move_lines(
    store: Store, lines: Lines, moved: NDArray[np.int32], cut_us: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each account's line from the cut on; the balances known without openings, the unseen."""
    accounts = store.accounts
    bare, unseen = store.bare[:accounts].copy(), store.unseen[:accounts].copy()
    base_in, base_out = np.zeros(accounts, np.int64), np.zeros(accounts, np.int64)
    stays_out, stays_in = np.zeros(accounts, np.int32), np.zeros(accounts, np.int32)
    cut_lines(
        store.lines, accounts, cut_us, store.opened_minor, base_in, base_out, bare, unseen,
        stays_out, stays_in,
    )  # fmt: skip
    lines.base_in[:accounts], lines.base_out[:accounts] = base_in, base_out
    lines.line_from[:accounts] = np.maximum(store.opened_from[:accounts], cut_us)
    move_lists(store.lines, lines, accounts, moved, stays_out, stays_in)
    return bare, unseen


def _move_batches(
    store: Store, batches: Batches, sequences: NDArray[np.int64]
) -> dict[str, NDArray[np.generic]]:
    """The batches that brought rows which stay, by the rows' new numbers."""
    known = batches.count
    first = np.searchsorted(
        sequences, store.numbers.sequences(batches.first_row[:known].astype(np.int64))
    )
    some = first < np.append(first[1:], len(sequences))
    return {
        "first_row": first[some].astype(np.int32),
        "told_at": batches.told_at[:known][some].copy(),
        "teller": batches.teller[:known][some].copy(),
        "position": batches.position[:known][some].copy(),
    }


def swap(hot: HotLog, batches: Batches, new: Renewed) -> LedgerArrays:
    """Put the new arrays in place; nobody else is inside. The old ones, for who must let go."""
    store, corrections = hot.store, hot.corrections
    before, old_ids, old_end = store.view(), store.ids, store.id_bytes
    store.lines, store.facts, store.ids = new.lines, new.facts, new.ids
    store.id_slots, store.id_count = new.id_slots, new.id_count
    store.id_bytes, store.exits = new.id_bytes, new.exits
    store.rows = store.length = store.applied = new.rows
    store.bare[: new.bare.size], store.unseen[: new.unseen.size] = new.bare, new.unseen
    store.tellings, store.stored, store.old_rows = new.tellings, new.stored, new.old_rows
    store.hot_from_us, store.generation = new.cut_us, store.generation + 1
    store.numbers.renumber(new.sequences, following=new.following)
    corrections.known, corrections.renamed = new.known, new.renamed
    batches.replace(new.batches)
    old_ids.close(old_end)
    return before
