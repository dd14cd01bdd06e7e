"""Readers see a whole ledger at every moment, while several callers ingest."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from openaoc.kernel.clock import from_us
from openaoc.ledger.accounts_file import ACCOUNT_SCHEMA, AccountsTable
from openaoc.ledger.arrays import LedgerArrays
from openaoc.ledger.gate import Gate
from openaoc.ledger.model import Batch, LineTooLong
from openaoc.ledger.service import Ledger
from tests.ledger.worlds import (
    START_US,
    assert_pure,
    assert_same_lines,
    from_bulk,
    ledger,
    positions,
    row,
    table,
)

WAIT_S = 60.0


def _assert_whole(arrays: LedgerArrays) -> None:
    """Every line is gapless in its outflows and rising in its inflows."""
    for account in range(arrays.out_len.size):
        outs = arrays.out_rows[arrays.out_off[account] :][: arrays.out_len[account]]
        starts = arrays.out_starts[arrays.out_off[account] :][: arrays.out_len[account]]
        assert (arrays.out_start[outs] == starts).all()
        assert (starts == np.cumsum(arrays.amount[outs]) - arrays.amount[outs]).all()
        assert (arrays.debtor[outs] == account).all()
        ins = arrays.in_rows[arrays.in_off[account] :][: arrays.in_len[account]]
        begins = arrays.in_start[ins]
        assert (begins[1:] >= begins[:-1] + arrays.amount[ins][:-1]).all()
        assert (arrays.creditor[ins] == account).all()


def test_readers_and_callers_at_once() -> None:
    callers, batches = 4, 25
    errors: list[BaseException] = []
    stop = threading.Event()

    def feed(opened: Ledger, caller: int) -> None:
        draw = np.random.default_rng(caller)
        try:
            for number in range(batches):
                rows = []
                for part in range(20):
                    d, c = draw.choice(6, 2, replace=False)
                    at = number * 100 - int(draw.choice([0, 300]))
                    rows.append(
                        row(f"{caller}-{number}-{part}", at=at, debtor=f"A/{d}", creditor=f"A/{c}")
                    )
                assert opened.ingest(table(rows), live=False).accepted == 20
                assert opened.find(reported_by="A", transfer_id=f"{caller}-{number}-0") is not None
        except BaseException as error:  # noqa: BLE001 - shown by the test itself
            errors.append(error)

    def read(opened: Ledger) -> None:
        try:
            while not stop.is_set():
                with opened.reading() as arrays:
                    _assert_whole(arrays)
        except BaseException as error:  # noqa: BLE001 - shown by the test itself
            errors.append(error)

    with ledger() as opened:
        reader = threading.Thread(target=read, args=(opened,))
        feeders = [threading.Thread(target=feed, args=(opened, n)) for n in range(callers)]
        for thread in (reader, *feeders):
            thread.start()
        for thread in feeders:
            thread.join(WAIT_S)
        stop.set()
        reader.join(WAIT_S)
        assert errors == []
        assert opened.stats().transfers == callers * batches * 20
        assert_pure(opened)


def test_batches_that_are_journalled_meanwhile_are_named_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever brought a batch journals it while somebody else asks what is not journalled."""
    with ledger() as opened:
        for number in range(3):
            opened.ingest(table([row(f"T{number}", at=number)]), live=False)
        waiting = opened._batches.waiting
        first, *rest = opened.unjournalled()

        class Meanwhile(dict[int, Batch]):
            def copy(self) -> dict[int, Batch]:
                copied = dict(self)
                opened.journalled(first)
                return copied

        monkeypatch.setattr(opened._batches, "waiting", Meanwhile(waiting))
        assert opened.unjournalled() == [first, *rest]
        monkeypatch.setattr(opened._batches, "waiting", dict(opened._batches.waiting))
        assert opened.unjournalled() == rest


def test_a_gate_lets_readers_go_between_two_slices() -> None:
    gate = Gate()
    inside, seen = threading.Event(), []

    def read() -> None:
        inside.set()
        with gate.reading():
            seen.append("reader")

    with gate.writing():
        thread = threading.Thread(target=read)
        thread.start()
        assert inside.wait(WAIT_S)
        while not gate._waiting:
            pass
    with gate.writing():
        seen.append("writer")
    thread.join(WAIT_S)
    assert seen == ["reader", "writer"]


def test_a_long_reader_holds_up_the_writer_but_no_other_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openaoc.ledger.gate.PATIENCE_SECONDS", 0.001)
    gate, wrote = Gate(), threading.Event()

    def write() -> None:
        with gate.writing():
            wrote.set()

    with gate.reading():
        thread = threading.Thread(target=write)
        thread.start()
        for _ in range(3):
            with gate.reading():
                assert not wrote.is_set()
    assert wrote.wait(WAIT_S)
    thread.join(WAIT_S)


def _openings(*rows: tuple[str, str, int]) -> AccountsTable:
    banks, accounts, amounts = zip(*rows, strict=True)
    columns = {
        "bank": pa.array(banks),
        "account": pa.array(accounts),
        "opening_minor": pa.array(amounts, pa.int64()),
        "currency": pa.array(["THB"] * len(rows)),
    }
    return AccountsTable(table=pa.table(columns).select(ACCOUNT_SCHEMA.names))


def test_an_opening_starts_the_line(tmp_path: Path) -> None:
    at = from_us(START_US + 100)
    with ledger(tmp_path) as opened:
        opened.ingest(table([row("T1", at=50, amount=5), row("T2", at=150, amount=7)]), live=False)
        assert opened.set_openings(_openings(("A", "1", 1000), ("Z", "9", 1)), at) == 2
        opened.ingest(table([row("T3", at=20, amount=9), row("T4", at=120, amount=2)]), live=False)
        with opened.reading() as arrays:
            assert arrays.out_start.tolist() == [-1, 2, -1, 0]
            assert arrays.in_start.tolist() == [9, 16, 0, 14]
            assert arrays.base_in[0] == 1000
        before = positions(opened)
        opened.set_openings(_openings(("A", "1", 1000)), at)
        assert positions(opened) == before
    with ledger(tmp_path) as opened:
        assert positions(opened) == before
        opened.snapshot()
    with ledger(tmp_path) as opened:
        assert positions(opened) == before
        opened.set_openings(_openings(("A", "1", 300)), at - timedelta(days=1))
        with opened.reading() as arrays:
            assert_same_lines(arrays, from_bulk(arrays, opening={0: 300}))


def test_an_opening_that_ends_past_the_limit_is_refused() -> None:
    with ledger() as opened:
        opened.ingest(table([row("T1", creditor="B/2", amount=2**61)]), live=False)
        before = positions(opened)
        with pytest.raises(LineTooLong):
            opened.set_openings(_openings(("B", "2", 2**61)), from_us(START_US))
        assert positions(opened) == before
