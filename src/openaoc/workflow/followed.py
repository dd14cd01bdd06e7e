"""Workflow: the trace each case's orders were last brought in step with.

A case whose trace is what it was needs no new plan when a linked case is looked at. A cache: what
is not in it is planned again. What institutions and persons did makes a case due by itself.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from typing import Final

from openaoc.storage.unit_of_work import Transaction
from openaoc.tracing.model import CaseTrace
from openaoc.tracing.service import CaseLook

CASES_MAX: Final = 50_000
"""Cases remembered; the longest remembered goes first."""


class Followed:
    """Safe for many threads; noted while the matter is held, kept once it is committed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, CaseTrace]] = {}
        self._turn = 0

    def note(self, tx: Transaction, looks: Mapping[str, CaseLook]) -> None:
        """These cases' orders are in step with these looks as soon as this is committed."""
        with self._lock:
            self._turn += 1
            turn = self._turn
        traces = {case_id: look.group.of(case_id) for case_id, look in looks.items()}
        tx.after_commit(functools.partial(self._keep, turn, traces))

    def stands(self, case_id: str, trace: CaseTrace) -> bool:
        """Whether a plan made from this trace would be the one that was carried out last."""
        with self._lock:
            _, known = self._known.get(case_id, (0, None))
        return known is not None and (known is trace or _same(known, trace))

    def _keep(self, turn: int, traces: Mapping[str, CaseTrace]) -> None:
        with self._lock:
            for case_id, trace in traces.items():
                before, _ = self._known.get(case_id, (0, None))
                if before < turn:  # two that committed in turn may tell us in any order
                    self._known.pop(case_id, None)
                    self._known[case_id] = (turn, trace)
            while len(self._known) > CASES_MAX:
                del self._known[next(iter(self._known))]


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
