"""Work for workers that are real processes: trials that are none, on a stage that is a file."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from openaoc.kernel.errors import Refused
from openaoc.simulation.trial.workers import runner

if TYPE_CHECKING:
    from openaoc.simulation.trial.stage import Stage

FAILS = 900
BREAKS = 901
DIES = 902
LONG = 903
LONG_S = 600.0


class Works(msgspec.Struct, frozen=True):
    """Each place is its own answer, but for those above; one that begins leaves a file."""

    folder: str

    def says(self, place: int) -> str:
        """Its number."""
        return f"trial {place}"

    def run(self, place: int, *, stage: Stage) -> tuple[int, int]:
        """The place and who lived it."""
        del stage
        (Path(self.folder) / f"began-{place}").touch()
        if place == FAILS:
            raise Refused("not today", where="here")
        if place == BREAKS:
            raise ZeroDivisionError
        if place == DIES:
            os.kill(os.getpid(), signal.SIGKILL)
        if place == LONG:
            time.sleep(LONG_S)
        return place, os.getpid()


class Stages(msgspec.Struct, frozen=True):
    """A stage of each process: there is a file of its number as long as it stands."""

    folder: str

    @contextmanager
    def __call__(self) -> Iterator[Stage]:
        """Put it up, take it away."""
        own = Path(self.folder) / f"stage-{os.getpid()}"
        try:  # who is told to end in the middle of this leaves nothing either
            own.touch()
            with no_stage() as none:
                yield none
        finally:
            own.unlink(missing_ok=True)


@contextmanager
def no_stage() -> Iterator[Stage]:
    """For those who need none."""
    yield None  # type: ignore[misc]  # nobody looks at it


def ask(folder: str, place: int) -> None:
    """Have two workers live it, as a process of its own."""
    with runner(2, stages=Stages(folder)) as running:
        dict(running.run(Works(folder), [place, place]))
