"""Proofs: acknowledged means kept, against processes killed without a word, again and again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from openaoc.kernel.actor import SYSTEM
from openaoc.proofs.frame import Steps
from openaoc.proofs.scratch import (
    Scratch,
    scratch_database,
    scratch_ledger,
    scratch_settings,
    transfers,
)
from openaoc.storage.journal import JournalService, Sequencer
from openaoc.storage.tables import journal_rows

KILLS: Final = 4
BATCH_ROWS: Final = 5
READY_SECONDS_MAX: Final = 120.0
WORK_SECONDS: Final = (0.2, 1.2)


def prove(place: Scratch, steps: Steps) -> None:
    """Kill the worker, and every other time its PostgreSQL with it; then count."""
    scratch = place.folder
    chance = random.Random(7)  # noqa: S311 - chooses moments, hides nothing
    settings = scratch_settings(scratch / "centre")
    acknowledged = _acknowledged(scratch, kills=KILLS, chance=chance)
    batches = [int(word[1:]) for word in acknowledged if word[0] == "L"]
    changes = {word[1:] for word in acknowledged if word[0] == "D"}
    with scratch_ledger(settings) as ledger:
        missing = [
            number
            for number in batches
            if ledger.find(reported_by="BANKA", transfer_id=f"proof-{number * BATCH_ROWS}") is None
        ]
        rows = ledger.stats().transfers
    steps.check(
        f"killed the ledger's process {KILLS} times while it took batches",
        found=f"{len(batches)} batches acknowledged, {len(missing)} missing",
        ok=bool(batches) and not missing,
    )
    steps.check(
        "counted its transfers",
        found=f"{rows} transfers, {rows % BATCH_ROWS} left over from a batch",
        ok=rows % BATCH_ROWS == 0 and rows >= len(batches) * BATCH_ROWS,
    )
    with scratch_database(settings) as database:
        with database.uow.read(SYSTEM) as tx:
            kept = list(tx.connection.execute(sa.select(journal_rows.c.subject)).scalars())
        lost = changes - set(kept)
        steps.check(
            "looked for every change the database acknowledged",
            found=f"{len(changes)} acknowledged, {len(lost)} missing",
            ok=bool(changes) and not lost,
        )
        steps.check(
            "looked for doubles",
            found=f"{len(kept) - len(set(kept))}",
            ok=len(kept) == len(set(kept)),
        )
        Sequencer(database).place()
        verdict = JournalService(database).verify()
        steps.check("verified the journal", found=f"{verdict.size} rows", ok=verdict.ok)


def _acknowledged(scratch: Path, *, kills: int, chance: random.Random) -> list[str]:
    """Words that workers printed before they were killed; only whole lines count."""
    words: list[str] = []
    for turn in range(kills):
        command = [sys.executable, "-m", "openaoc.proofs.kept", str(scratch), str(turn)]
        worker = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert worker.stdout is not None, "piped"
        first = worker.stdout.readline().split()
        assert first[:1] == [b"ready"], "the worker began"
        time.sleep(chance.uniform(*WORK_SECONDS))
        if turn % 2:
            os.kill(int(first[1]), signal.SIGKILL)
        worker.kill()
        told = worker.stdout.read()
        worker.wait(READY_SECONDS_MAX)
        whole = told[: told.rfind(b"\n") + 1].decode("ascii")
        words += whole.split()
    return words


def work(scratch: Path, turn: int) -> None:
    """Take batches and changes for ever, and print each once it is acknowledged."""
    settings = scratch_settings(scratch / "centre")
    with scratch_database(settings) as database, scratch_ledger(settings) as ledger:
        assert database.server is not None, "a scratch centre has its own server"
        _say(f"ready {database.server.pid}")
        number = turn * 1_000
        while True:
            number += 1
            ledger.ingest(transfers(number * BATCH_ROWS, count=BATCH_ROWS), live=True)
            _say(f"L{number}")
            with database.uow.begin(SYSTEM, purpose="proof") as tx:
                tx.journal(action="proof.thing.done", subject=str(number))
            _say(f"D{number}")


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
