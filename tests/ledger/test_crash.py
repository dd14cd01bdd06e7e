"""Killed at any moment, the ledger keeps everything acknowledged and nothing by half."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openaoc.ledger.service import Ledger
from tests.ledger.feeder import CALLERS, batch
from tests.ledger.worlds import assert_pure, ledger, table


def _run_and_kill(folder: Path, seed: int, seconds: float) -> list[list[int]]:
    """Feed for some seconds, kill -9; the receipts that were given."""
    command = [sys.executable, "-m", "tests.ledger.feeder", str(folder), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(seconds)
        process.kill()
        lines = process.stdout.read().splitlines(keepends=True)
    return [[int(word) for word in line.split()] for line in lines if line.endswith("\n")]


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
        receipts = _run_and_kill(folder, seed, draw.uniform(0.02, 0.5))
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
