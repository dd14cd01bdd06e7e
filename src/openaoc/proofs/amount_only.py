"""Proofs: amount only: whatever happens, no hold takes more than the case's money."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from typing import Final

from openaoc.holds.model import HOLDING, WAITING, MoreThanOrdered, Order, OrderView
from openaoc.proofs.frame import Steps
from openaoc.proofs.replay import over_amounts, taken, truth
from openaoc.proofs.scratch import Scratch
from openaoc.proofs.small_centre import INVESTIGATOR, SmallCentre, small_centre
from openaoc.tracing.model import Rule

LOSS: Final = 100_000
MOVES: Final = 40
ANSWERED: Final = 0.35
RELEASED: Final = 0.45
REPORTED: Final = 0.7
"""Below which draw something is answered, else released, else reported; else money moves."""
STOLEN_AHEAD: Final = 2
"""Payments of victims that are not reported yet."""
ACCOUNTS: Final = tuple(f"{bank}:{n}" for bank in ("SCB", "BBL", "WALLET") for n in (1, 2))
MINUTE: Final = timedelta(minutes=1)


def prove(scratch: Scratch, steps: Steps) -> None:
    """Try to have more held than was lost; then do everything at random and look each time."""
    with small_centre(scratch) as small:
        _one_mule(small, steps)
    with small_centre(scratch, name="random") as small:
        _at_random(small, steps)


def _one_mule(small: SmallCentre, steps: Steps) -> None:
    """A mule with money of her own, two victims, a late row, and a bank that says too much."""
    small.pay("BBL:50", "SCB:1", 900_000, ago=timedelta(days=3))
    first = small.pay("KBANK:1", "SCB:1", LOSS, ago=9 * MINUTE)
    second = small.pay("KBANK:2", "SCB:1", LOSS // 2, ago=8 * MINUTE)
    case = small.file(first).case
    (order,) = small.orders(case)
    _look(small, steps, "100,000 of stolen money lie among 900,000 of the holder's own")
    steps.refused(
        "the bank says that it blocked all 1,000,000 on the account",
        lambda: small.answer(order, 10 * LOSS),
        by=MoreThanOrdered,
    )
    small.answer(order, LOSS, available_minor=10 * LOSS)
    again = small.file(first)
    small.turn(MINUTE)
    _look(small, steps, "the same payment was reported once more, under another number")
    steps.check(
        "looked what the second report was ordered",
        found=f"{sum(o.amount_minor for o in again.orders)} minor units",
        ok=not again.orders,
    )
    small.file(second)
    held_before = sum(small.desks.blocked.values())
    small.tell([small.row("SCB:1", "BBL:2", 950_000, ago=7 * MINUTE)])
    small.turn(MINUTE)
    small.turn(MINUTE)
    _look(small, steps, "a bank told an hour late that 950,000 had left before anything was held")
    given_back = held_before - sum(small.desks.blocked.values())
    steps.check(
        "looked what was given back of it",
        found=f"{given_back} minor units, at once and by itself",
        ok=given_back > 0,
    )
    _wire(steps, small.desks.orders())


def _at_random(small: SmallCentre, steps: Steps) -> None:
    """Payments, late ones too, reports, answers, releases; everything is checked after each."""
    chance = random.Random(11)  # noqa: S311 - chooses moves, hides nothing
    did: dict[str, int] = defaultdict(int)
    wrong: list[str] = []
    paid: list[str] = []
    for _ in range(MOVES):
        did[_move(small, chance, paid)] += 1
        small.turn(timedelta(seconds=chance.choice([1, 60, 600])))
        wrong += over_amounts(small) + _blocked_too_much(small)
    words = ", ".join(f"{count} {what}" for what, count in sorted(did.items()))
    steps.check(
        f"made {MOVES} moves at random ({words}) and replayed the ledger after each",
        found="; ".join(wrong[:3]) or "never more than a case's money, on no account, in no case",
        ok=not wrong,
    )
    orders = small.orders()
    steps.check(
        "counted what there was to go wrong",
        found=f"{len(orders)} orders, {sum(o.applied_minor > 0 for o in orders)} of them applied",
        ok=any(o.applied_minor for o in orders),
    )


def _move(small: SmallCentre, chance: random.Random, paid: list[str]) -> str:
    """Do one thing; what it was."""
    waiting = [o for o in small.orders() if o.state in WAITING]
    holding = [o for o in small.orders() if o.state in HOLDING]
    lot = chance.random()
    if waiting and lot < ANSWERED:
        order = chance.choice(waiting)
        small.answer(order, chance.choice([order.amount_minor, order.amount_minor // 2, 0]))
        return "answers"
    if holding and lot < RELEASED:
        order = chance.choice(holding)
        amount = chance.randint(1, order.held_minor)
        small.does(
            INVESTIGATOR,
            lambda tx: small.matter.holds.release(
                tx, order.order, "a contest was upheld", amount_minor=amount
            ),
        )
        return "releases"
    if paid and lot < REPORTED:
        small.file(paid.pop(chance.randrange(len(paid))))
        return "reports"
    debtor, creditor = chance.sample(ACCOUNTS, 2)
    ago = timedelta(seconds=chance.choice([1, 30, 900, 3600]))
    stolen = len(paid) < STOLEN_AHEAD
    name = small.pay("KBANK:1" if stolen else debtor, creditor, chance.randint(1, 5_000), ago=ago)
    if stolen:
        paid.append(name)
    return "payments"


def _look(small: SmallCentre, steps: Steps, did: str) -> None:
    """Compare orders with the replay, the banks' books with the replay, and both with the loss."""
    wrong = over_amounts(small) + _blocked_too_much(small)
    orders, known = taken(small), truth(small, rule=Rule.FIFO)
    steps.check(
        did,
        found="; ".join(wrong)
        or f"orders take {sum(orders.by_case.values())} of {sum(known.loss_minor.values())} lost",
        ok=not wrong,
    )


def _blocked_too_much(small: SmallCentre) -> list[str]:
    """What the institutions really block, by what they were told, against the replay."""
    known = truth(small)
    tainted: dict[str, int] = defaultdict(int)
    for (_, place), minor in known.tainted_minor.items():
        tainted[place] += minor
    blocked: dict[str, int] = defaultdict(int)
    by_id = {order.order: order for order in small.orders()}
    for order_id, minor in small.desks.blocked.items():
        blocked[_place(by_id[order_id])] += minor
    return [
        f"the bank blocks {minor} on {place}, where {tainted[place]} are stolen"
        for place, minor in blocked.items()
        if minor > tainted[place]
    ]


def _place(order: OrderView) -> str:
    return f"{order.institution}:{order.account}"


def _wire(steps: Steps, sent: list[Order]) -> None:
    """An order names an amount on an account; it has no field for a person or a whole account."""
    fields = {field for order in sent for field in order.__struct_fields__}
    persons = {f for f in fields if any(w in f for w in ("name", "person", "holder", "citizen"))}
    amounts = all(order.amount_minor > 0 for order in sent)
    steps.check(
        f"read the {len(sent)} orders that were sent",
        found=f"each names an amount; fields that name a person: {len(persons)}",
        ok=amounts and not persons and bool(sent),
    )
