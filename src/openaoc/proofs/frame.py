"""Proofs: what a proof is, how it is run, and which there are.

A new proof is a module with `prove(scratch, steps)` and a line in PROOFS. It gets an empty place,
does what somebody with bad intent or bad luck would do, and records each finding; it fails when one
is not as claimed. It never touches a running centre.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from openaoc.kernel.errors import NotFound, OpenAOCError
from openaoc.proofs.scratch import Scratch, ScratchServer


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

    def refused(self, did: str, act: Callable[[], object], *, by: type[OpenAOCError]) -> None:
        """Record that `act` is refused with this very error, and with which words."""
        try:
            act()
        except by as error:
            self.check(did, found=f"refused: {error}", ok=True)
        except OpenAOCError as error:
            self.check(did, found=f"refused, but as {type(error).__name__}: {error}", ok=False)
        else:
            self.check(did, found="done", ok=False)


class Place(NamedTuple):
    """Where a proof is (a module with `prove`) and what it shows, in one line."""

    module: str
    claim: str


PROOFS: Final[dict[str, Place]] = {
    "amount-only": Place(
        "openaoc.proofs.amount_only",
        "Holds take no more than the case's money: on no account, in no case, for no two cases.",
    ),
    "standing": Place(
        "openaoc.proofs.standing",
        "Words alone hold nothing: not a thousand false reports, not a claim of proof.",
    ),
    "doubt": Place(
        "openaoc.proofs.doubt",
        "Doubt favours the holder: the least of the rules, the shortest clock, living money.",
    ),
    "ends": Place(
        "openaoc.proofs.ends",
        "Every hold names its rule, its reason and its end, and ends by itself.",
    ),
    "safe-to-stop": Place(
        "openaoc.proofs.safe_to_stop",
        "Shadow first, live by two persons and confirmed rules alone; breakers; one undo for all.",
    ),
    "conserved": Place(
        "openaoc.proofs.conserved",
        "Money is conserved: loss = located + held + exited + restituted, under every rule.",
    ),
    "kept": Place(
        "openaoc.proofs.kept",
        "What was acknowledged is on disk: killing any process at any moment loses none of it.",
    ),
    "journal": Place(
        "openaoc.proofs.journal",
        "Every change is in the journal, and who rewrites it is found out by its witnesses.",
    ),
    "not-browsable": Place(
        "openaoc.proofs.not_browsable",
        "Nobody reads a transfer but through a case's trace, and each look is in the journal.",
    ),
    "agreement": Place(
        "openaoc.proofs.agreement",
        "Nothing leaves without an agreement, field by field; and what left can be taken back.",
    ),
    "victims": Place(
        "openaoc.proofs.victims",
        "A possible trafficking victim leaves by no way out, but as a referral that is approved.",
    ),
    "identity": Place(
        "openaoc.proofs.identity",
        "An identity is nowhere but under its own key; erased, no backup brings it back.",
    ),
    "no-model-decides": Place(
        "openaoc.proofs.no_model_decides",
        "What ranks and guesses changes no amount upwards and decides against nobody.",
    ),
    "bounded": Place(
        "openaoc.proofs.bounded",
        "At every bound the centre works, above it says so, and nothing is lost or cut off.",
    ),
    "unknown": Place(
        "openaoc.proofs.unknown",
        "Unknown is not safe: what is not known is said to be so, and nobody learns of a pursuit.",
    ),
}
"""In the order of what they show, docs/reference/proofs.md."""


def find_proof(name: str) -> Place:
    """Where the proof is. Raises NotFound, with the names there are."""
    place = PROOFS.get(name)
    if place is None:
        raise NotFound(f"there is no proof {name!r}; there are {', '.join(PROOFS)}")
    return place


def run_proof(
    name: str,
    *,
    tell: Callable[[Step], None] = lambda _: None,
    fresh_dsn: Callable[[], str] | None = None,
) -> Proof:
    """Run one proof in a scratch folder that is removed again. Raises NotFound.

    `fresh_dsn` gives empty databases on a server that is there already; else one is started.
    """
    place = find_proof(name)
    prove: Callable[[Scratch, Steps], None] = importlib.import_module(place.module).prove
    steps, started = Steps(tell), time.monotonic()
    with (
        contextlib.closing(ScratchServer()) as server,
        tempfile.TemporaryDirectory(prefix="openaoc-proof-") as folder,
    ):
        prove(Scratch(Path(folder), fresh_dsn or server.fresh_dsn), steps)
    return Proof(
        name=name,
        claim=place.claim,
        holds=bool(steps.taken) and all(step.ok for step in steps.taken),
        seconds=round(time.monotonic() - started, 1),
        steps=steps.taken,
    )
