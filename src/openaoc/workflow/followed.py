"""Workflow: the trace each case's orders were last brought in step with.

A case whose trace is what it was needs no new plan when a linked case is looked at. A cache: what
is not in it is planned again. What institutions and persons did makes a case due by itself.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np

from openaoc.ledger.arrays import LedgerArrays
from openaoc.storage.unit_of_work import Transaction
from openaoc.tracing.model import CHARGED, POOLED, CaseTrace
from openaoc.tracing.service import CaseLook
from openaoc.workflow.watch import Watch

CASES_MAX: Final = 50_000
"""Cases remembered; the longest remembered goes first."""


class Followed:
    """Safe for many threads; noted while the matter is held, kept once it is committed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._watch = Watch()
        self._turn = 0
        self._listeners: list[Callable[[Mapping[str, CaseLook]], None]] = []

    def listen(self, call: Callable[[Mapping[str, CaseLook]], None]) -> None:
        """Tell of every look that is noted, once it is committed."""
        self._listeners.append(call)

    def note(
        self,
        tx: Transaction,
        looks: Mapping[str, CaseLook],
        *,
        open_ended: Iterable[str] = (),
        unproven: Iterable[str] = (),
    ) -> None:
        """These cases' orders are in step with these looks as soon as this is committed.

        Those that are `open_ended` are planned again whenever their time comes: what a drafted
        order waits for, or what would lift a doubt, is not in the trace. Those `unproven` stand in
        nobody's traces, so that nobody notices when theirs changes: their accounts are watched.
        """
        with self._lock:
            self._turn += 1
            turn = self._turn
        kept = functools.partial(
            self._keep, turn, dict(looks), frozenset(open_ended), frozenset(unproven)
        )
        tx.after_commit(kept)
        for tell in self._listeners:
            tx.after_commit(functools.partial(tell, dict(looks)))

    def take_up(self, traces: Mapping[str, CaseTrace]) -> None:
        """These cases' orders are in step with these traces: so it was when the centre ended."""
        with self._lock:
            for case_id, trace in traces.items():
                self._known.setdefault(case_id, _Known(0, trace, open_ended=False))

    def knows(self, case_id: str) -> bool:
        """Whether the case was planned, as far as anybody remembers."""
        with self._lock:
            return case_id in self._known

    def stands(self, case_id: str, trace: CaseTrace) -> bool:
        """Whether a plan made from this trace would be the one that was carried out last."""
        with self._lock:
            known = self._known.get(case_id)
        return known is not None and not known.open_ended and _same(known.trace, trace)

    def differs(self, case_id: str, trace: CaseTrace) -> bool:
        """Whether the last plan was made from another trace, or nobody remembers from which."""
        with self._lock:
            known = self._known.get(case_id)
        return known is None or not _same(known.trace, trace)

    def disturbed(self, case_id: str, trace: CaseTrace) -> bool:
        """As `differs`, but for what the case's own holds took of the money where it rests.

        Who answers or ends a hold makes the case due by that, and nothing has moved.
        """
        with self._lock:
            known = self._known.get(case_id)
        return known is None or not _same(known.trace, trace, but_held=True)

    def located_minor(self, case_id: str) -> dict[int, int]:
        """Where the money rested when the case was planned last, by account number."""
        with self._lock:
            known = self._known.get(case_id)
        return {} if known is None else known.trace.located_minor()

    def moved(self, arrays: LedgerArrays) -> list[str]:
        """The unproven cases whose money may have moved on: an account where it rests has sent."""
        with self._lock:
            return self._watch.moved(arrays)

    def forget(self, case_id: str) -> None:
        """The case is under work no more."""
        with self._lock:
            self._known.pop(case_id, None)
            self._watch.drop(case_id)

    def _keep(
        self,
        turn: int,
        looks: Mapping[str, CaseLook],
        open_ended: frozenset[str],
        unproven: frozenset[str],
    ) -> None:
        with self._lock:
            for case_id, look in looks.items():
                before = self._known.get(case_id)
                if before is None or before.turn < turn:
                    # Two that committed in turn may tell us in any order.
                    self._known.pop(case_id, None)
                    trace = look.group.of(case_id)
                    self._known[case_id] = _Known(turn, trace, open_ended=case_id in open_ended)
                    self._watch.put(case_id, look.sent if case_id in unproven else ())
            while len(self._known) > CASES_MAX:
                oldest = next(iter(self._known))
                del self._known[oldest]
                self._watch.drop(oldest)


class _Known(NamedTuple):
    """From which trace a case was planned last, in which turn; see `note` for `open_ended`."""

    turn: int
    trace: CaseTrace
    open_ended: bool


def _same(one: CaseTrace, other: CaseTrace, *, but_held: bool = False) -> bool:
    """Equal in all that plans and figures rest on; excess is always planned again.

    `but_held`: whatever of the money on an account is held.
    """
    if one.excess or other.excess:
        return False
    if one is other:
        return True
    return (
        one.loss_minor == other.loss_minor
        and one.exited_minor == other.exited_minor
        and one.restituted_minor == other.restituted_minor
        and one.overlap_minor == other.overlap_minor
        and one.truncated == other.truncated
        and (_same_places(one, other) or (but_held and _resting(one) == _resting(other)))
        and (np.array_equal(one.carried, other.carried) or one.exited == other.exited)
    )


def _same_places(one: CaseTrace, other: CaseTrace) -> bool:
    if np.array_equal(one.accounts, other.accounts):  # mostly, and far cheaper to see
        return True
    return one.located == other.located and one.held == other.held


def _resting(trace: CaseTrace) -> dict[int, tuple[int, int, int]]:
    """All of the case's money on each account, free and held, its layer, and what the place is."""
    rows = trace.accounts[:, (0, 1, 5, 2, 4)].tolist()
    return {
        account: (free + held, layer, marks & (POOLED | CHARGED))
        for account, free, held, layer, marks in rows
        if free + held
    }
