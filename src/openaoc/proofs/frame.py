"""Proofs: what a proof is, how it is run, and which there are.

A new proof is a module with `prove(scratch, steps)` and a line in PROOFS. It gets an empty folder,
does what somebody with bad intent or bad luck would do, and records each finding; it fails when one
is not as claimed. It never touches a running centre.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from openaoc.kernel.errors import NotFound


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done, what was found, and whether it is as claimed."""

    did: str
    found: str
    ok: bool


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The result; it holds when every step is as claimed and there was at least one."""

    name: str
    claim: str
    holds: bool
    seconds: float
    steps: list[Step]


class Steps:
    """What a proof records; `tell` hears of each step at once."""

    def __init__(self, tell: Callable[[Step], None] = lambda _: None) -> None:
        self.taken: list[Step] = []
        self._tell = tell

    def check(self, did: str, *, found: str, ok: bool) -> None:
        """Record a finding; a proof goes on after one that is not as claimed."""
        step = Step(did=did, found=found, ok=ok)
        self.taken.append(step)
        self._tell(step)


class Place(NamedTuple):
    """Where a proof is (a module with `prove`) and what it shows, in one line."""

    module: str
    claim: str


PROOFS: Final[dict[str, Place]] = {
    "journal": Place(
        "openaoc.proofs.journal",
        "Every change is in the journal, and who rewrites it is found out by its witnesses.",
    ),
    "kept": Place(
        "openaoc.proofs.kept",
        "What was acknowledged is on disk: killing any process at any moment loses none of it.",
    ),
    "identity": Place(
        "openaoc.proofs.identity",
        "An identity is nowhere but under its own key; erased, no backup brings it back.",
    ),
}


def run_proof(name: str, *, tell: Callable[[Step], None] = lambda _: None) -> Proof:
    """Run one proof in a scratch folder that is removed again. Raises NotFound."""
    place = PROOFS.get(name)
    if place is None:
        raise NotFound(f"there is no proof {name!r}; there are {', '.join(PROOFS)}")
    prove: Callable[[Path, Steps], None] = importlib.import_module(place.module).prove
    steps, started = Steps(tell), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="openaoc-proof-") as folder:
        prove(Path(folder), steps)
    return Proof(
        name=name,
        claim=place.claim,
        holds=bool(steps.taken) and all(step.ok for step in steps.taken),
        seconds=round(time.monotonic() - started, 1),
        steps=steps.taken,
    )
