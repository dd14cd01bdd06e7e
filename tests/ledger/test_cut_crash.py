"""Killed while older days leave, the ledger has every transfer once: in memory or in a segment."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from openaoc.kernel.clock import from_us
from openaoc.ledger.model import DiskRefused, LedgerStopped
from openaoc.ledger.service import Ledger
from tests.ledger.feeder import CALLERS, batch, run_and_kill
from tests.ledger.twins import hot_lines
from tests.ledger.worlds import START_US, ledger, row, table


def assert_each_once(opened: Ledger) -> int:
    """No arrival number is missing, none in two places but where memory says so; how many cold."""
    store, cold = opened._store, opened._cold
    hot = store.numbers.sequences(np.arange(store.rows)).tolist()
    assert len(set(hot)) == len(hot)
    kept: set[int] = set()
    for segment in cold._manifest.segments:
        assert segment.cut <= store.cuts, "a cut that was not made left a segment"
        sides = pq.read_table(cold._folder / segment.sides.name, columns=["sequence"])
        numbers = set(sides["sequence"].to_pylist())
        assert segment.amends or not numbers & kept, "a transfer left twice"
        kept |= numbers
    assert kept & set(hot) <= store.stored
    assert kept | set(hot) == set(range(store.numbers.sequence(store.rows)))
    return len(kept)


def _check(opened: Ledger, told: list[dict[int, int]], fresh: Path) -> None:
    """Everything acknowledged is there, the rest whole or not at all, and the lines are right."""
    for seed, done in enumerate(told):
        for caller in range(CALLERS):
            for number in range(done.get(caller, -1) + 2):
                rows = batch(seed, caller, number)
                receipt = opened.ingest(table(rows), live=False)
                if number <= done.get(caller, -1):
                    assert (receipt.accepted, receipt.corrected) == (0, 0), "a batch was lost"
                originals = sum(item["corrects"] is None for item in rows)
                assert receipt.accepted in (0, originals), "a batch was taken by half"
    assert_each_once(opened)
    with ledger(fresh) as whole:
        for seed, done in enumerate(told):
            for caller in range(CALLERS):
                for number in range(done.get(caller, -1) + 2):
                    whole.ingest(table(batch(seed, caller, number)), live=False)
        assert whole.stats().transfers == opened._store.numbers.sequence(opened._store.rows)
        _assert_same_ends(whole, opened)


def _assert_same_ends(whole: Ledger, opened: Ledger) -> None:
    """Every account has had the same money in and out, by name; arrival orders differ."""
    ends = []
    for one in (whole, opened):
        lines = hot_lines(one, since=one._store.hot_from_us)
        with one.reading() as arrays:
            names = [one.account(number) for number in lines]
            store = one._store.lines
            assert len(arrays.base_in) == len(names)
            ends.append({n: int(store.out_end[k]) for k, n in enumerate(names)})
    assert ends[0] == ends[1]


def _crash(folder: Path, rounds: int) -> int:
    """Kill, restart and check; how many transfers were cold in the end."""
    draw = random.Random(rounds)  # noqa: S311 - repeatable, not secret
    told: list[dict[int, int]] = []
    left = 0
    for seed in range(rounds):
        done: dict[int, int] = {}
        receipts = run_and_kill(
            folder / "kept", seed, "cut", after=draw.randint(1, 200), seconds=draw.uniform(0, 0.2)
        )
        for caller, number, _, _ in receipts:
            done[caller] = max(done.get(caller, -1), number)
        told.append(done)
        with ledger(folder / "kept") as opened:
            left = assert_each_once(opened)
            _check(opened, told, folder / f"fresh{seed}")
        with ledger(folder / "kept") as opened:
            assert_each_once(opened)
    return left


def test_a_cut_that_its_follower_never_confirmed_loses_nothing(tmp_path: Path) -> None:
    """It is in the log: the next start makes it, and needs the segments that were written."""
    rows = [row(f"T{number}", at=number, amount=10) for number in range(6)]

    def away(_: int) -> None:
        raise LedgerStopped("the standby did not confirm it")

    with ledger(tmp_path) as opened:
        opened.ingest(table(rows), live=False)
        opened.follow(away)
        with pytest.raises(LedgerStopped):
            opened.cut(from_us(START_US + 4))
    with ledger(tmp_path) as again:
        assert assert_each_once(again) == 4
        receipt = again.ingest(table(rows), live=False)
        assert (receipt.accepted, receipt.repeated) == (0, len(rows))


def test_a_cut_that_failed_is_as_if_never_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with ledger(tmp_path) as opened:
        opened.ingest(table([row(f"T{number}", at=number) for number in range(6)]), live=False)
        with monkeypatch.context() as patched:
            patched.setattr("openaoc.ledger.cold.write_manifest", full)
            with pytest.raises(DiskRefused):
                opened.cut(from_us(START_US + 4))
        assert opened._commits.days._draft is None
        with monkeypatch.context() as patched:
            patched.setattr(opened._commits.days, "ensure_room", full)
            with pytest.raises(OSError, match="no space"):
                opened.cut(from_us(START_US + 4))
        assert assert_each_once(opened) == 0
        assert opened.cut(from_us(START_US + 4)) == 4
        assert assert_each_once(opened) == 4


def test_killed_while_older_days_leave(tmp_path: Path) -> None:
    assert _crash(tmp_path, 2) > 0, "the test must kill a ledger that has cut"


@pytest.mark.long
def test_killed_many_times(tmp_path: Path) -> None:
    for part in range(10):
        assert _crash(tmp_path / str(part), 5) > 0, "the test must kill a ledger that has cut"
