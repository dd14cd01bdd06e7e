"""Workflow: from a case's trace and its orders to what is ordered, lowered and given back.

Brings together tracing and holds for one case; every rule it applies stands in holds/.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from openaoc.holds.doubt import Holder, certain, weigh
from openaoc.holds.drafting import Grounds, draft
from openaoc.holds.history import history_missing
from openaoc.holds.merchant import Trade, Verdict, judge
from openaoc.holds.model import WAITING, OrderState, RuleAmounts
from openaoc.holds.plan import (
    Place,
    PlannedCut,
    PlannedOrder,
    explained_shortfall,
    plan_place,
    ranked,
)
from openaoc.holds.record import OrderRecord
from openaoc.kernel.clock import from_us, to_us
from openaoc.ledger.arrays import LedgerArrays
from openaoc.safety.breakers import Gate
from openaoc.tracing.conduct import Conduct, known_balance
from openaoc.tracing.conduct import conduct as conduct_until
from openaoc.tracing.service import CaseLook, Doubt, LocatedLook, Tracing

PlaceKey = tuple[str, str, str]
ModeOf = Callable[[str], Literal["live", "shadow"]]


class Excess(msgspec.Struct, frozen=True, kw_only=True):
    """What a hold never found."""

    order: OrderRecord
    amount_minor: int


class Lowering(msgspec.Struct, frozen=True, kw_only=True):
    """Unanswered orders of one account that stand above the money there."""

    orders: list[OrderRecord]
    excess_minor: int


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """What of an order is still not to be asked for again."""

    order: OrderRecord
    short_minor: int


class CasePlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a new trace of one case asks for, in the order in which it is done."""

    case_id: str
    excess: list[Excess]
    lowerings: list[Lowering]
    shortfalls: list[Shortfall]
    fresh: list[OrderRecord]
    held_back: bool
    """Doubt asks for less than is located: whether it is lifted is not to be seen in the trace."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """An order to write, and what it rests on."""

    order: PlannedOrder
    amounts: RuleAmounts
    verdict: Verdict


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan needs beside the trace."""

    tracing: Tracing
    now: datetime
    floor_minor: int
    mode_of: ModeOf
    gate: Gate
    """The breakers that orders pass on their way out by themselves."""
    held_by_all: dict[PlaceKey, int]
    """Active orders of all cases by account; grows as plans are made."""


def plan_case(
    look: CaseLook, orders: Sequence[OrderRecord], grounds: Grounds, around: Surroundings
) -> CasePlan:
    """What a new trace asks for: first what is given back, then what is ordered."""
    by_place: dict[PlaceKey, list[OrderRecord]] = defaultdict(list)
    for order in orders:
        by_place[order.place].append(order)
    located = {(p.bank, p.account, p.currency): p for p in look.located}
    lowerings, shortfalls = [], []
    planned: list[Planned] = []
    wanted = 0
    for key in sorted(by_place.keys() | located.keys()):
        here = by_place.get(key, [])
        found = located.get(key)
        waiting = [o for o in here if o.state is OrderState.DRAFTED or o.state in WAITING]
        active = sum(order.amount_minor for order in waiting)
        if found is None:
            if active:
                lowerings.append(Lowering(orders=waiting, excess_minor=active))
            shortfalls += [Shortfall(order=o, short_minor=0) for o in here if o.short_minor]
            continue
        explained, short = _shortfalls(here, located_minor=found.amount_minor, active=active)
        shortfalls += explained
        wanted += 0 if found.hub or found.returned else max(found.amount_minor - active - short, 0)
        outcome = plan_one(look, found, active=active, short=short, around=around)
        if isinstance(outcome, PlannedCut):
            lowerings.append(Lowering(orders=waiting, excess_minor=outcome.excess_minor))
        elif outcome is not None:
            planned.append(outcome)
    return CasePlan(
        case_id=look.case,
        excess=_excess(look, orders),
        lowerings=lowerings,
        shortfalls=shortfalls,
        fresh=drafts(planned, grounds, around),
        held_back=wanted > sum(one.order.amount_minor for one in planned),
    )


def _excess(look: CaseLook, orders: Sequence[OrderRecord]) -> list[Excess]:
    """Also of holds that have ended: what they never found, they did not give free either."""
    known = {order.id: order for order in orders}
    return [
        Excess(order=known[e.order], amount_minor=e.amount_minor)
        for e in look.excess
        if e.order in known
    ]


def _shortfalls(
    orders: Sequence[OrderRecord], *, located_minor: int, active: int
) -> tuple[list[Shortfall], int]:
    """Which orders' shortfalls shrink because money left, and what of all of them still stands."""
    total = sum(order.short_minor for order in orders)
    left = explained_shortfall(located_minor=located_minor, active_minor=active, short_minor=total)
    changed, gone = [], total - left
    for order in orders:
        cut = min(order.short_minor, gone)
        if cut:
            changed.append(Shortfall(order=order, short_minor=order.short_minor - cut))
            gone -= cut
    return changed, left


def plan_one(
    look: CaseLook, found: LocatedLook, *, active: int, short: int, around: Surroundings
) -> Planned | PlannedCut | None:
    """What is to be ordered of a case's money on one account, or taken back of it; or nothing."""
    place = Place(
        bank=found.bank,
        account=found.account,
        currency=found.currency,
        located_minor=found.amount_minor,
        layer=found.layer,
        received_at=found.received_at,
        active_minor=active,
        short_minor=short,
        hub=found.hub,
        returned=found.returned,
    )
    key = (found.bank, found.account, found.currency)
    first = plan_place(place, certain(found.amount_minor), now=around.now)
    if not isinstance(first, PlannedOrder):
        return first
    # Only where something would be ordered: the other rules' traces cost more than all else.
    amounts = amounts_of(around.tracing.doubt(look, found.account_index))
    past = past_of(
        around.tracing, found.account_index, received_at=found.received_at, now=around.now
    )
    verdict = judge(trade_of(past.conduct))
    holder = Holder(
        likely_innocent=verdict.likely_innocent,
        history_missing=past.missing,
        balance_minor=past.balance_minor,
        held_by_all_minor=around.held_by_all.get(key, 0),
    )
    doubt = weigh(
        located_minor=found.amount_minor,
        active_minor=active,
        amounts=amounts,
        holder=holder,
        floor_minor=around.floor_minor,
    )
    known = msgspec.structs.replace(
        place, exits_seen=past.conduct.exits > 0, half_life=_dwell(past.conduct)
    )
    outcome = plan_place(known, doubt, now=around.now)
    if not isinstance(outcome, PlannedOrder):
        return None
    around.held_by_all[key] = around.held_by_all.get(key, 0) + outcome.amount_minor
    return Planned(order=outcome, amounts=amounts, verdict=verdict)


def drafts(planned: Sequence[Planned], grounds: Grounds, around: Surroundings) -> list[OrderRecord]:
    """The orders, the most pressing first; those that no person has to agree to are issued."""
    known = {
        (p.order.place.bank, p.order.place.account, p.order.place.currency): p for p in planned
    }
    fresh = []
    for order in ranked([p.order for p in planned]):
        found = known[order.place.bank, order.place.account, order.place.currency]
        mode = around.mode_of(order.place.bank) if _live_rule(grounds) else "shadow"
        paused_by = None
        if mode == "live" and grounds.standing == "automatic":
            paused_by = around.gate.pause(
                institution=order.place.bank, source=grounds.source, rule=grounds.rule.id
            )
        fresh.append(
            draft(
                order,
                grounds,
                mode=mode,
                paused_by=paused_by,
                amounts=found.amounts,
                why=found.verdict.why if found.verdict.likely_innocent else (),
                now=around.now,
            )
        )
    return fresh


def _live_rule(grounds: Grounds) -> bool:
    return grounds.rule.confirmed


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an account beside a case's trace."""

    conduct: Conduct
    """Before the case's money came."""
    balance_minor: int
    """What the ledger has seen come in and not leave by now."""
    missing: bool
    """Whether it spent money that the ledger never saw come in."""


def past_of(tracing: Tracing, account_index: int, *, received_at: datetime, now: datetime) -> Past:
    """The account's past, read at one moment of the ledger."""
    before_us, until_us = to_us(received_at), to_us(now) + 1

    def read(arrays: LedgerArrays, account: int) -> Past:
        return Past(
            conduct=conduct_until(arrays, account, before_us=before_us),
            balance_minor=known_balance(arrays, account, before_us=until_us),
            missing=history_missing(arrays, account),
        )

    # What is enough for the earlier moment is enough for the later one.
    return tracing.account_history(account_index, read, before_us=min(before_us, until_us))


def amounts_of(doubt: Doubt) -> RuleAmounts:
    """The located amount under each rule and with the opening unknown."""
    return RuleAmounts(
        fifo=doubt.fifo_minor,
        lifo=doubt.lifo_minor,
        pro_rata=doubt.pro_rata_minor,
        opening_unknown=doubt.opening_unknown_minor,
    )


def trade_of(conduct: Conduct) -> Trade:
    """What the merchant test needs of an account's past."""
    return Trade(
        inflows=conduct.inflows,
        payers=conduct.payers,
        days=conduct.days_active,
        outflows=conduct.outflows - conduct.exits,
        payees=conduct.payees,
        inflow_minor=conduct.inflow_minor,
        outflow_minor=conduct.outflow_minor,
        dwell_median=_dwell(conduct),
    )


def _dwell(conduct: Conduct) -> timedelta | None:
    if conduct.dwell_median_us is None:
        return None
    # Never zero: a half-life of nothing divides by nothing.
    return max(from_us(conduct.dwell_median_us) - from_us(0), timedelta(seconds=1))
