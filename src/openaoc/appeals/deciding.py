"""Appeals: what a contest is weighed by, how many decide it, and what a decision leaves behind.

Pure. Never decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.appeals.legal import AppealRules
from openaoc.appeals.model import (
    AppealState,
    CompensationView,
    Decision,
    Evidence,
)
from openaoc.appeals.persons import persons_needed, suspect
from openaoc.appeals.record import AppealRecord
from openaoc.holds.model import HOLDING, SamePerson
from openaoc.holds.record import OrderRecord
from openaoc.holds.review import HeldFacts

UNNAMED_CAUSE: Final = "unnamed"
AUTOMATIC: Final = "automatic"
SECONDS_PER_HOUR: Final = 3600


def weigh(facts: HeldFacts, *, at: datetime) -> Evidence:
    """What the ledger says of the holder's account, for a reviewer."""
    innocent = facts.verdict.likely_innocent
    found = suspect(facts.trade, likely_innocent=innocent, cases_on_account=facts.cases_on_account)
    return Evidence(
        at=at,
        located_minor=facts.located_minor,
        held_minor=facts.held_minor,
        amounts=facts.amounts,
        likely_innocent=innocent,
        merchant=list(facts.verdict.why),
        history_missing=facts.history_missing,
        cases_on_account=facts.cases_on_account,
        likely_mule=found.likely_mule,
        signs=list(found.signs),
    )


def no_part_in(order: OrderRecord, opened_by: str, *, who: str) -> None:
    """Raises SamePerson when `who` approved the hold or opened its case."""
    if who == opened_by or who in order.approvals:
        raise SamePerson("whoever had a part in the hold does not review it")


def released_by(decision: Decision, order: OrderRecord) -> int:
    """What a decision gives back."""
    if decision.outcome == "refuse":
        return 0
    return decision.release_minor or order.active_minor


def persons_for(
    appeal: AppealRecord,
    decision: Decision,
    order: OrderRecord,
    *,
    rules: AppealRules,
    released_before_minor: int,
) -> int:
    """How many persons this decision needs; without evidence, two.

    What earlier contests of the hold gave back counts with it: a large sum is not one person's in
    small parts.
    """
    evidence = appeal.evidence
    if evidence is None:
        return 2
    return persons_needed(
        decision.outcome,
        release_minor=released_before_minor + released_by(decision, order),
        alone_minor=rules.alone_minor,
        likely_mule=evidence.likely_mule,
        likely_innocent=evidence.likely_innocent,
    )


def conclude(
    proposed: AppealRecord,
    order: OrderRecord,
    *,
    after: AppealState,
    by: str,
    at: datetime,
    reporter: str,
) -> tuple[AppealRecord, CompensationView | None]:
    """The decided contest and, where money was held wrongly, the record of it."""
    decision = proposed.proposal
    assert decision is not None, "only what was proposed is concluded"
    released = released_by(decision, order)
    done = msgspec.structs.replace(
        proposed, state=after, decided_by=by, decided_at=at, released_minor=released
    )
    if not released or order.state not in HOLDING:
        return done, None
    # Whoever waited for the institution's answer may have come before it.
    held_from = min(order.answered_at or order.issued_at, at)
    return done, CompensationView(
        appeal=done.id,
        order=order.id,
        case=order.case_id,
        institution=order.institution,
        currency=order.currency,
        wrongful_minor=released,
        held_from=held_from,
        held_until=at,
        minor_hours=released * ((at - held_from) // timedelta(seconds=1)) // SECONDS_PER_HOUR,
        cause=decision.cause or UNNAMED_CAUSE,
        rule=order.rule,
        reporter=reporter,
        issued_by=order.approvals or [AUTOMATIC],
        at=at,
    )
