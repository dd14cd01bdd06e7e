"""A process that fills a ledger until it is killed; each receipt is printed once it is given.

Run by the crash tests: `python -m tests.ledger.feeder FOLDER SEED [cut]`; with `cut`, older
transfers leave for cold segments all the time.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from openaoc.kernel.clock import ManualClock, from_us
from openaoc.ledger.service import Ledger
from tests.ledger.worlds import NOW, SETTINGS, START_US, row, table

CALLERS = 3


def batch(seed: int, caller: int, number: int) -> list[dict[str, object]]:
    """The rows of one batch: the same again for the same numbers; some late, some corrections."""
    draw = random.Random(f"{seed}/{caller}/{number}")  # noqa: S311 - repeatable, not secret
    name = f"{seed}-{caller}-{number}"
    rows = []
    for part in range(draw.randint(1, 30)):
        debtor, creditor = draw.sample(["A/1", "A/2", "B/1", "B/2", f"C/{number % 50}"], 2)
        when = number * 1000 - draw.choice([0, 0, 0, 50_000])
        rows.append(row(f"{name}-{part}", at=when, debtor=debtor, creditor=creditor, amount=3))
    if draw.random() < 0.3:
        first = dict(rows[0])
        rows.append(first | {"amount_minor": 5, "corrects": first["transfer_id"], "revision": 1})
    return rows


def run_and_kill(
    folder: Path, seed: int, *extra: str, after: int, seconds: float
) -> list[list[int]]:
    """Feed until some batches are acknowledged and a moment longer, kill -9; all the receipts."""
    command = [sys.executable, "-m", "tests.ledger.feeder", str(folder), str(seed), *extra]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        lines = [process.stdout.readline() for _ in range(after)]
        time.sleep(seconds)
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
    receipts = [line.split() for line in lines if line.endswith("\n") and "[" not in line]
    return [[int(word) for word in words] for words in receipts]


def _feed(opened: Ledger, seed: int, caller: int) -> None:
    for number in range(100_000):
        receipt = opened.ingest(table(batch(seed, caller, number)), live=False, told_by="F")
        sys.stdout.write(f"{caller} {number} {receipt.accepted} {receipt.position}\n")
        sys.stdout.flush()


def main() -> None:
    """Feed from several threads until killed, with snapshots in between."""
    opened = Ledger.open(Path(sys.argv[1]), settings=SETTINGS, clock=ManualClock(NOW))
    seed = int(sys.argv[2])
    sys.stdout.write("open\n")
    sys.stdout.flush()
    for caller in range(CALLERS):
        threading.Thread(target=_feed, args=(opened, seed, caller), daemon=True).start()
    moment = START_US
    while True:
        opened.snapshot()
        if sys.argv[3:]:
            moment += 500
            opened.cut(from_us(moment))


if __name__ == "__main__":
    main()
