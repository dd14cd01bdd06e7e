"""Workflow: the trace each case's orders were last brought in step with.

A case whose trace is what it was needs no new plan when a linked case is looked at. A cache: what
is not in it is planned again. What institutions and persons did makes a case due by itself.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Mapping
from typing import Final

from openaoc.ledger.arrays import LedgerArrays
from openaoc.storage.unit_of_work import Transaction
from openaoc.tracing.model import CaseTrace
from openaoc.tracing.service import CaseLook
from openaoc.workflow.watch import Watch

CASES_MAX: Final = 50_000
"""Cases remembered; the longest remembered goes first."""


class Followed:
    """Safe for many threads; noted while the matter is held, kept once it is committed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, CaseTrace | None]] = {}
        self._watch = Watch()
        self._turn = 0

    def note(
        self, tx: Transaction, looks: Mapping[str, CaseLook], *, drafted: Iterable[str] = ()
    ) -> None:
        """These cases' orders are in step with these looks as soon as this is committed.

        Those with `drafted` orders are planned again whenever they are looked at: what a draft
        waits for is not in the trace.
        """
        with self._lock:
            self._turn += 1
            turn = self._turn
        tx.after_commit(functools.partial(self._keep, turn, dict(looks), frozenset(drafted)))

    def stands(self, case_id: str, trace: CaseTrace) -> bool:
        """Whether a plan made from this trace would be the one that was carried out last."""
        with self._lock:
            _, known = self._known.get(case_id, (0, None))
        return known is not None and (known is trace or _same(known, trace))

    def moved(self, arrays: LedgerArrays) -> list[str]:
        """The cases whose money may have moved on: an account where it rests has sent since."""
        with self._lock:
            return self._watch.moved(arrays)

    def forget(self, case_id: str) -> None:
        """The case is under work no more."""
        with self._lock:
            self._known.pop(case_id, None)
            self._watch.drop(case_id)

    def _keep(self, turn: int, looks: Mapping[str, CaseLook], drafted: frozenset[str]) -> None:
        with self._lock:
            for case_id, look in looks.items():
                before, _ = self._known.get(case_id, (0, None))
                if before < turn:  # two that committed in turn may tell us in any order
                    self._known.pop(case_id, None)
                    trace = None if case_id in drafted else look.group.of(case_id)
                    self._known[case_id] = (turn, trace)
                    self._watch.put(case_id, look.sent)
            while len(self._known) > CASES_MAX:
                oldest = next(iter(self._known))
                del self._known[oldest]
                self._watch.drop(oldest)


def _same(one: CaseTrace, other: CaseTrace) -> bool:
    """Equal in all that plans and figures rest on; excess is always planned again."""
    return (
        one.loss_minor == other.loss_minor
        and one.located == other.located
        and one.held == other.held
        and one.exited == other.exited
        and one.restituted_minor == other.restituted_minor
        and one.overlap_minor == other.overlap_minor
        and one.truncated == other.truncated
        and not one.excess
        and not other.excess
    )
