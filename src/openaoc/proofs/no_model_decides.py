"""Proofs: no model decides: what ranks and guesses only ever makes a hold smaller, with reasons.

Two things guess today: the ranking of orders, and the tests of honest commerce and of mules.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Final

import msgspec

from openaoc.appeals.model import AppealState, AppealView, Contest, Decision
from openaoc.holds.doubt import Holder, certain, weigh
from openaoc.holds.model import RuleAmounts
from openaoc.holds.plan import Place, PlannedOrder, plan_place, ranked
from openaoc.kernel.actor import CITIZEN, SYSTEM, Actor, Role
from openaoc.kernel.clock import EPOCH
from openaoc.proofs.frame import Steps
from openaoc.proofs.scratch import Scratch
from openaoc.proofs.small_centre import INVESTIGATOR, SmallCentre, small_centre

EXAMPLES: Final = 2_000
TOGETHER: Final = 20
STOLEN: Final = 300_000
DAY: Final = timedelta(days=1)
RARE: Final = 0.1
BEGIN: Final = EPOCH + timedelta(days=20_000)
REVIEWER: Final = Actor(id="usr_reviewer", roles=frozenset({Role.INVESTIGATOR}))


def prove(scratch: Scratch, steps: Steps) -> None:
    """Vary every guess and watch the amounts; then let two guesses wait for a person."""
    chance = random.Random(12)  # noqa: S311 - a replayable example
    places = [_place(chance, number) for number in range(EXAMPLES)]
    _ranking(steps, places)
    _guessing(steps, places, chance)
    with small_centre(scratch) as small:
        _with_reasons(small, steps)


def _place(chance: random.Random, number: int) -> Place:
    located = chance.randint(0, 1_000)
    return Place(
        bank="SCB",
        account=str(number),
        currency="THB",
        located_minor=located,
        layer=chance.randint(1, 7),
        received_at=BEGIN - timedelta(seconds=chance.randint(0, 90_000)),
        active_minor=chance.choice([0, 0, chance.randint(0, 1_000)]),
        short_minor=chance.choice([0, 0, chance.randint(0, 1_000)]),
        hub=chance.random() < RARE,
        returned=chance.random() < RARE,
    )


def _ranking(steps: Steps, places: list[Place]) -> None:
    """The chance that money moves decides which order goes first, and nothing else."""
    orders: list[PlannedOrder] = []
    moved = 0
    for place in places:
        hasty = msgspec.structs.replace(place, exits_seen=True, half_life=timedelta(seconds=1))
        calm = msgspec.structs.replace(place, exits_seen=False, half_life=timedelta(days=9))
        sure = certain(place.located_minor)
        first = plan_place(hasty, sure, now=BEGIN)
        other = plan_place(calm, sure, now=BEGIN)
        amounts = {getattr(one, "amount_minor", None) for one in (first, other)}
        moved += len(amounts) > 1
        orders += [one for one in (first, other) if isinstance(one, PlannedOrder)]
    steps.check(
        f"planned orders for {len(places)} accounts, each once as quick and once as slow to move",
        found=f"{len(orders)} orders, {moved} of them with another amount for it",
        ok=bool(orders) and not moved,
    )
    lost = 0
    for start in range(0, len(orders), TOGETHER):
        part = orders[start : start + TOGETHER]
        lost += sorted(map(id, ranked(part))) != sorted(map(id, part))
    steps.check(
        "ranked them",
        found=f"{lost} lists in which an order was added or left out",
        ok=not lost,
    )


def _guessing(steps: Steps, places: list[Place], chance: random.Random) -> None:
    """Honest or not, known or not: a guess lowers an amount or leaves it, and says why."""
    raised = silent = lowered = 0
    for place in places:
        amounts = RuleAmounts(
            fifo=chance.randint(0, 1_000),
            lifo=chance.randint(0, 1_000),
            pro_rata=chance.randint(0, 1_000),
            opening_unknown=chance.randint(0, 1_000),
        )
        for innocent, missing in ((True, False), (False, True), (True, True)):
            doubt = weigh(
                located_minor=place.located_minor,
                active_minor=place.active_minor,
                amounts=amounts,
                holder=Holder(
                    likely_innocent=innocent,
                    history_missing=missing,
                    balance_minor=chance.randint(0, 2_000),
                    held_by_all_minor=chance.randint(0, 500),
                ),
                floor_minor=100,
            )
            raised += doubt.amount_minor > certain(place.located_minor).amount_minor
            lowered += doubt.amount_minor < place.located_minor
            silent += not doubt.why
    steps.check(
        f"guessed {3 * len(places)} times that a holder is honest or their history unknown",
        found=f"{lowered} amounts went down, {raised} up, {silent} guesses gave no reason",
        ok=bool(lowered) and not raised and not silent,
    )


def _with_reasons(small: SmallCentre, steps: Steps) -> None:
    """A shop and a mule contest; two guesses are made, and no person comes."""
    small.trade("SCB:80")
    shop = _held(small, "SCB:80")
    mule = _held(small, "WALLET:81")
    for order in (shop, mule):
        _contest(small, order)
    (told,) = [o for o in small.orders() if o.order == shop]
    steps.check(
        "read why the shop's order is small",
        found="; ".join(told.why),
        ok=told.likely_innocent and len(told.why) > 1,
    )
    _refusal_takes_two(small, steps, shop)
    small.turn(DAY + timedelta(hours=12))
    found = {one.order: one for one in _appeals(small)}
    mules = found[mule]
    evidence = mules.evidence
    steps.check(
        "nobody decided about the account that looks like a mule's, and the last hour passed",
        found=f"{mules.state}: {'; '.join(evidence.signs) if evidence else 'no reasons'}",
        ok=mules.state is AppealState.FILED and evidence is not None and bool(evidence.signs),
    )
    for _ in range(4):
        small.turn(DAY)
    refused = [one for one in _appeals(small) if one.state is AppealState.REFUSED]
    by_itself = [one for one in _appeals(small) if one.decided_by == SYSTEM.id]
    steps.check(
        "waited four days more",
        found=f"{len(refused)} contests were refused, {len(by_itself)} decided by the centre"
        " itself, for the holder",
        ok=not refused and all(one.state is AppealState.UPHELD for one in by_itself),
    )


def _held(small: SmallCentre, account: str) -> str:
    origin = small.pay("KBANK:1", account, STOLEN, ago=timedelta(minutes=9))
    (order,) = small.orders(small.file(origin).case)
    small.answer(order, order.amount_minor)
    return order.order


def _contest(small: SmallCentre, order: str) -> None:
    code = next(n.contest_code for n in small.desks.notices() if n.order == order)
    said = Contest(order=order, code=code, statement="I sold rice.", contact="081")
    small.does(CITIZEN, lambda tx: small.matter.appeals.file(tx, said))


def _refusal_takes_two(small: SmallCentre, steps: Steps, order: str) -> None:
    (appeal,) = [one for one in _appeals(small) if one.order == order]
    small.does(REVIEWER, lambda tx: small.matter.appeals.take(tx, appeal.appeal))
    refusal = Decision(outcome="refuse", reasons=["traced_no_proof"], note="no receipts")
    view = small.does(REVIEWER, lambda tx: small.matter.appeals.decide(tx, appeal.appeal, refusal))
    steps.check(
        "one reviewer refuses who the test takes for an honest shop",
        found=f"{view.state}, {view.persons_needed} persons are needed",
        ok=view.state is AppealState.PROPOSED and view.persons_needed > 1,
    )


def _appeals(small: SmallCentre) -> list[AppealView]:
    found: list[AppealView] = []
    with small.centre.uow.read(INVESTIGATOR, purpose="a proof") as tx:
        for state in AppealState:
            found += small.matter.appeals.list(tx, state=state).appeals
    return found
