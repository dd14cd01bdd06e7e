"""Holds: from a planned amount to an order with its rule, its reason and its end.

Pure. Never issues in a mode, or on a standing, that it was not given.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from openaoc.holds.legal import LegalRule, ReasonFacts, ends_at, reason_for
from openaoc.holds.model import OrderState, RuleAmounts
from openaoc.holds.plan import PlannedOrder
from openaoc.holds.record import OrderRecord
from openaoc.kernel.ids import new_order_id


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """What an order of a case rests on."""

    case_id: str
    rule: LegalRule
    trace_rule: str
    standing: Literal["automatic", "needs_person"]
    approvals_needed: int
    complaint_at: datetime | None = None
    source: str = ""
    """Whose reports the case rests on: breakers count by it."""


def draft(
    planned: PlannedOrder,
    grounds: Grounds,
    *,
    mode: Literal["live", "shadow"],
    amounts: RuleAmounts,
    why: tuple[str, ...],
    now: datetime,
    paused_by: str | None = None,
) -> OrderRecord:
    """The order: issued on automatic standing, drafted when it waits for persons.

    One that a breaker caught waits for a person, whatever its case's standing.
    """
    place, rule = planned.place, grounds.rule
    automatic = grounds.standing == "automatic" and paused_by is None
    caught = () if paused_by is None else (f"waits for a person: the breaker {paused_by} is open",)
    order_id = new_order_id()
    end = ends_at(
        rule,
        issued_at=now,
        complaint_at=grounds.complaint_at,
        in_doubt=planned.doubt.in_doubt,
    )
    facts = ReasonFacts(
        amount_minor=planned.amount_minor,
        currency=place.currency,
        received_at=place.received_at,
        ends_at=end,
        case=grounds.case_id,
        order=order_id,
    )
    return OrderRecord(
        id=order_id,
        revision=1,
        case_id=grounds.case_id,
        institution=place.bank,
        account=place.account,
        currency=place.currency,
        amount_minor=planned.amount_minor,
        ceiling_minor=planned.amount_minor,
        state=OrderState.ISSUED if automatic else OrderState.DRAFTED,
        mode=mode,
        standing="automatic" if automatic else "needs_person",
        rule=rule.id,
        rule_version=rule.version,
        trace_rule=grounds.trace_rule,
        legal_basis=rule.legal_basis,
        reason=reason_for(rule, facts),
        layer=place.layer,
        received_at=place.received_at,
        amounts=amounts,
        likely_innocent=planned.doubt.tell_first,
        why=[*planned.doubt.why, *why, *caught],
        approvals_needed=grounds.approvals_needed if paused_by is None else 1,
        approvals=[],
        issued_at=now,
        answer_by=now + rule.answer_within,
        ends_at=end,
        paused_by=paused_by,
    )


def reworded(order: OrderRecord, rule: LegalRule) -> OrderRecord:
    """The order with its reason written anew for its present amount and end."""
    facts = ReasonFacts(
        amount_minor=order.binding_minor,
        currency=order.currency,
        received_at=order.received_at,
        ends_at=order.ends_at,
        case=order.case_id,
        order=order.id,
    )
    return msgspec.structs.replace(
        order,
        rule=rule.id,
        rule_version=rule.version,
        legal_basis=rule.legal_basis,
        reason=reason_for(rule, facts),
    )


def issued_now(order: OrderRecord, rule: LegalRule, *, now: datetime) -> OrderRecord:
    """A drafted order about to go out: its clocks start now, as long as they were planned."""
    moved = now - order.issued_at
    fresh = msgspec.structs.replace(
        order,
        issued_at=now,
        answer_by=now + rule.answer_within,
        ends_at=order.ends_at + moved if rule.counts_from == "issued" else order.ends_at,
    )
    return reworded(fresh, rule)
