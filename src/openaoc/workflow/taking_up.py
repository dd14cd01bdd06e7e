"""Workflow: which cases a start must plan again: those whose money is not where it was left.

A plan rests on the trace and on what was done to the case. Where neither has changed while the
centre was away, and all that is located is asked for, there is nothing to plan. Never plans.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.cases.service import Cases
from openaoc.holds.service import Holds
from openaoc.storage.unit_of_work import Transaction
from openaoc.tracing.model import CaseTrace
from openaoc.tracing.service import SETTLED_TOGETHER_MAX, Tracing
from openaoc.workflow.figures import figures_of
from openaoc.workflow.followed import Followed

ROWS_TOGETHER_MAX: Final = 500
"""Cases' rows read at once."""


def settle_all(tracing: Tracing) -> None:
    """Trace everything that has changed. Ends: what changes meanwhile is left to the next look."""
    for _ in range(len(tracing.registered()) // SETTLED_TOGETHER_MAX + 1):
        if tracing.settle() < SETTLED_TOGETHER_MAX:
            return


def take_up(
    tx: Transaction, *, tracing: Tracing, cases: Cases, holds: Holds, followed: Followed
) -> int:
    """Mark the registered cases due that have changed since they were planned last; how many.

    The others are followed on from where they are. The matter is held.
    """
    registered = tracing.registered()
    asked = holds.asked_for(tx)
    changed: list[str] = []
    same: dict[str, CaseTrace] = {}
    for first in range(0, len(registered), ROWS_TOGETHER_MAX):
        for row in cases.rows(tx, registered[first : first + ROWS_TOGETHER_MAX]):
            look = tracing.look(row.id)
            as_left = bytes(row.figures) == msgspec.json.encode(figures_of(look))
            free = sum(p.amount_minor for p in look.located if not (p.hub or p.returned))
            if as_left and not look.excess and asked.get(row.id, 0) >= free:
                same[row.id] = look.group.of(row.id)
            else:
                changed.append(row.id)
    followed.take_up(same)
    cases.mark_due(tx, changed, at=tx.now)
    return len(changed)
