"""Simulation, exercises: from what was seen of both sides to the result sheet. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from openaoc.channels.keys import EXERCISE
from openaoc.exchange.crossborder.sums import NOT_FOUND, PARTS, Amounts
from openaoc.simulation.exercise.model import (
    ExercisePlan,
    ExerciseSheet,
    LayerRow,
    Loss,
    Movement,
    Ordered,
    Origin,
    RequestRow,
    SideRow,
    SideSeen,
    Way,
    When,
)
from openaoc.simulation.trial.arm import percentiles

MARK: Final = EXERCISE.rstrip("-")


def sheet_of(
    seen: Sequence[SideSeen],
    plan: ExercisePlan,
    *,
    scenario: str,
    says: str,
    figures: str,
    currency: str,
) -> ExerciseSheet:
    """The sheet of an exercise that is over."""
    told = {(side.country, scam): at_s for side in seen for scam, at_s in side.told_s.items()}
    layers = [row for side in seen for row in _layers(side, told)]
    one, other = seen
    return ExerciseSheet(
        mark=MARK,
        scenario=scenario,
        says=says,
        figures=figures,
        plan=plan,
        currency=currency,
        sides=[_side(side) for side in seen],
        layers=layers,
        requests=[_requests(one, of=other.country), _requests(other, of=one.country)],
        losses=_losses(layers),
    )


def _layers(side: SideSeen, told: dict[Origin, float]) -> list[LayerRow]:
    came: Counter[int] = Counter()
    across: Counter[int] = Counter()
    found: Counter[int] = Counter()
    out: defaultdict[Way, Counter[int]] = defaultdict(Counter)
    gone: defaultdict[When, Counter[int]] = defaultdict(Counter)
    first_order_s = _first_orders(side.orders)
    for moved in side.movements:
        amount = moved.amount_minor
        if moved.way is Way.ON:
            came[moved.layer + 1] += amount
            found[moved.layer + 1] += min(amount, side.found_minor.get(moved.transfer_id, 0))
            if moved.debtor < 0:
                across[moved.layer + 1] += amount
        if moved.debtor >= 0:
            out[moved.way][moved.layer] += amount
        if not moved.layer and moved.debtor >= 0:
            came[0] += amount
            found[0] += min(amount, side.found_minor.get(moved.transfer_id, 0))
        if moved.way is Way.GONE:
            gone[_when(moved, told, first_order_s)][moved.layer] += amount
    held = _held_by_layer(side)
    orders: defaultdict[int, list[Ordered]] = defaultdict(list)
    for order in side.orders:
        orders[order.layer].append(order)
    rows = []
    for layer in sorted({*came, *held, *orders}):
        left = {way: out[way][layer] for way in Way}
        sent = percentiles([o.sent_s - o.told_s for o in orders[layer] if o.sent_s is not None])
        blocked = [o for o in orders[layer] if o.applied_s is not None and o.sent_s is not None]
        applied = percentiles([(o.applied_s or 0.0) - o.told_s for o in blocked])
        rows.append(
            LayerRow(
                side=side.country,
                layer=layer,
                came_minor=came[layer],
                came_across_minor=across[layer],
                found_minor=found[layer],
                orders=len(orders[layer]),
                ordered_minor=sum(o.amount_minor for o in orders[layer]),
                applied_minor=sum(o.applied_minor for o in orders[layer]),
                held_minor=held[layer],
                moved_on_minor=left[Way.ON],
                crossed_minor=left[Way.CROSSED],
                gone_minor=left[Way.GONE],
                gone_before_report_minor=gone[When.BEFORE_REPORT][layer],
                gone_before_order_minor=gone[When.BEFORE_ORDER][layer],
                gone_despite_order_minor=gone[When.DESPITE_ORDER][layer],
                stayed_minor=came[layer] - sum(left.values()),
                sent_p50_s=sent[0],
                sent_p90_s=sent[1],
                applied_p50_s=applied[0],
                applied_p90_s=applied[1],
            )
        )
    return rows


def _first_orders(orders: Sequence[Ordered]) -> dict[tuple[Origin, int], float]:
    """When the first order of a scam's cases reached the institution, by account."""
    first: dict[tuple[Origin, int], float] = {}
    for one in orders:
        if one.origin is not None and one.account is not None and one.sent_s is not None:
            key = one.origin, one.account
            first[key] = min(first.get(key, one.sent_s), one.sent_s)
    return first


def _when(
    moved: Movement, told: dict[Origin, float], first_order_s: dict[tuple[Origin, int], float]
) -> When:
    told_s = told.get(moved.origin)
    if told_s is None or moved.at_s < told_s:
        return When.BEFORE_REPORT
    sent_s = first_order_s.get((moved.origin, moved.debtor))
    if sent_s is None or moved.at_s < sent_s:
        return When.BEFORE_ORDER
    return When.DESPITE_ORDER


def _held_by_layer(side: SideSeen) -> Counter[int]:
    """Each account counts where most of its stolen money came in, or else in the earlier layer."""
    came: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for moved in side.movements:
        if moved.way is Way.ON:
            came[moved.creditor][moved.layer + 1] += moved.amount_minor
    held: Counter[int] = Counter()
    for account, amounts in came.items():
        layer = min(amounts, key=lambda one: (-amounts[one], one))
        held[layer] += int(side.held_minor[account])
    return held


def _side(side: SideSeen) -> SideRow:
    return SideRow(
        side=side.country,
        lies_minor=side.lies_minor,
        returned_minor=side.returned_minor,
        taken_out_minor=side.taken_out_minor,
        figures=side.figures,
    )


def _requests(side: SideSeen, *, of: str) -> RequestRow:
    standing = [one for one in side.requests if not one.withdrawn]
    answered = [one.answered_s for one in standing if one.answered_s is not None]
    told = [one.amounts for one in standing if one.amounts is not None]
    amounts = {name: sum(getattr(one, name) for one in told) for name in (*PARTS, NOT_FOUND)}
    half, late = percentiles(answered)
    return RequestRow(
        asked_by=side.country,
        asked_of=of,
        requests=len(standing),
        withdrawn=len(side.requests) - len(standing),
        answered=len(answered),
        asked_minor=sum(one.amount_minor for one in standing),
        amounts=Amounts(**amounts),
        held_most_minor=sum(one.held_most_minor for one in standing),
        asked_p50_s=percentiles([one.asked_s for one in standing])[0],
        answered_p50_s=half,
        answered_p90_s=late,
    )


def _losses(layers: Sequence[LayerRow]) -> list[Loss]:
    found = [
        Loss(side=row.side, layer=row.layer, when=when, amount_minor=amount)
        for row in layers
        for when, amount in (
            (When.BEFORE_REPORT, row.gone_before_report_minor),
            (When.BEFORE_ORDER, row.gone_before_order_minor),
            (When.DESPITE_ORDER, row.gone_despite_order_minor),
        )
        if amount
    ]
    return sorted(found, key=lambda one: (-one.amount_minor, one.side, one.layer, one.when))
