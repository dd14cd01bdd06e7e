"""Killed at any moment, the ledger keeps everything acknowledged and nothing by half."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from openaoc.ledger.service import Ledger
from tests.ledger.feeder import CALLERS, batch, run_and_kill
from tests.ledger.worlds import assert_pure, ledger, table


def _check(opened: Ledger, seed: int, receipts: list[list[int]]) -> None:
    done = [-1] * CALLERS
    for caller, number, _, _ in receipts:
        done[caller] = max(done[caller], number)
    for caller in range(CALLERS):
        for number in range(done[caller] + 1):
            receipt = opened.ingest(table(batch(seed, caller, number)), live=False)
            assert (receipt.accepted, receipt.corrected) == (0, 0), "an acknowledged batch was lost"
        # The next batch may have been logged without an answer: wholly or not at all.
        rows = batch(seed, caller, done[caller] + 1)
        originals = sum(item["corrects"] is None for item in rows)
        receipt = opened.ingest(table(rows), live=False)
        assert receipt.accepted in (0, originals), "a batch was taken by half"
    assert_pure(opened)


def _crash(folder: Path, rounds: int) -> int:
    """Kill, restart and check; how many batches were acknowledged in all."""
    draw = random.Random(rounds)  # noqa: S311 - repeatable, not secret
    acknowledged = 0
    for seed in range(rounds):
        receipts = run_and_kill(
            folder, seed, after=draw.randint(0, 100), seconds=draw.uniform(0, 0.05)
        )
        acknowledged += len(receipts)
        with ledger(folder) as opened:
            waiting = {item.position for item in opened.unjournalled()}
            given = {position for _, _, _, position in receipts}
            assert given <= waiting, "a batch lost its place in the journal"
            _check(opened, seed, receipts)
            opened.journalled(*opened.unjournalled())
        with ledger(folder) as opened:
            assert opened.unjournalled() == []
            assert_pure(opened)
    return acknowledged


def test_killed_at_random_moments(tmp_path: Path) -> None:
    assert _crash(tmp_path, 4) > 4, "the test must kill a ledger that is at work"


@pytest.mark.long
def test_killed_many_times(tmp_path: Path) -> None:
    assert _crash(tmp_path, 30) > 30, "the test must kill a ledger that is at work"
