"""Proofs: no hold without an end: each names its rule, its reason and its end, and ends then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from openaoc.holds.legal import rulebook
from openaoc.holds.model import HOLDING, WAITING, OrderView
from openaoc.holds.suspicion_model import STILL, NewSuspicion, Suspicion
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput
from openaoc.parties.permissions import NotPermitted
from openaoc.proofs.frame import Steps
from openaoc.proofs.scratch import Scratch
from openaoc.proofs.small_centre import (
    INVESTIGATOR,
    SUPERVISOR,
    SmallCentre,
    machine,
    small_centre,
)
from openaoc.reports.model import Channel

AGENT: Final = Actor(id="usr_agent", roles=frozenset({Role.AGENT}))
A_SECOND: Final = timedelta(seconds=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
YEAR: Final = timedelta(days=366)
LATER: Final = timedelta(days=30)
AUTHORITY: Final = "Criminal Court, order 12/2569"
STATES: Final = HOLDING | WAITING


def prove(scratch: Scratch, steps: Steps) -> None:
    """Make every kind of hold, try to make each longer, and let the clock run."""
    with small_centre(scratch) as small:
        _fill(small)
        _names_its_end(small, steps)
        _prolong(small, steps)
        _clock(small, steps)
        _asleep(small, steps)


def _fill(small: SmallCentre) -> None:
    """Holds of every kind: applied, in part, unanswered, in doubt, drafted, on suspicion."""
    small.trade("SCB:50")
    for number in range(4):
        origin = small.pay(f"KBANK:{number}", f"SCB:{number}", 90_000 + number)
        (order,) = small.orders(small.file(origin).case)
        if number:
            small.answer(order, order.amount_minor // number)
    (order,) = small.orders(small.file(small.pay("KBANK:8", "SCB:50", 80_000)).case)
    small.answer(order, order.amount_minor)
    small.file(small.pay("KBANK:9", "SCB:9", 70_000), sender=AGENT, channel=Channel.HOTLINE)
    told = NewSuspicion(
        account="77",
        amount_minor=60_000,
        currency="THB",
        held_at=small.clock.now(),
        grounds="opened last week, and in and out within minutes",
    )
    small.does(machine("SCB"), lambda tx: small.matter.suspicions.tell(tx, told))


def _standing(small: SmallCentre) -> list[OrderView]:
    return [order for order in small.orders() if order.state in STATES]


def _suspicions(small: SmallCentre) -> list[Suspicion]:
    with small.centre.uow.read(SUPERVISOR, purpose="a proof") as tx:
        return small.matter.suspicions.list(tx).suspicions


def _names_its_end(small: SmallCentre, steps: Steps) -> None:
    """By the rows themselves, against the rules of law as they are written down."""
    rules = rulebook("TH")
    wrong = []
    orders = small.orders()
    for order in orders:
        rule = rules.named(order.rule, on=order.issued_at.date())
        if order.ends_at > order.issued_at + rule.longest:
            wrong.append(f"{order.order} lasts longer than {rule.id} allows")
        if not (order.reason.th and order.reason.en and order.legal_basis.th):
            wrong.append(f"{order.order} gives no reason")
    for one in _suspicions(small):
        longest = rules.named(one.rule, on=one.held_at.date()).longest
        if one.ends_at > one.held_at + longest:
            wrong.append(f"{one.id} lasts longer than {one.rule} allows")
    steps.check(
        f"read {len(orders)} orders and a hold on suspicion against the rules of law",
        found="; ".join(wrong) or "each names its rule, a reason in two languages, and its end",
        ok=not wrong and bool(orders),
    )


def _prolong(small: SmallCentre, steps: Steps) -> None:
    """Everything somebody might do to keep money blocked."""
    order = next(o for o in small.orders() if o.state in HOLDING and not o.likely_innocent)
    holds, now = small.matter.holds, small.clock.now()

    def extend(actor: Actor, until: datetime) -> None:
        small.does(
            actor,
            lambda tx: holds.extend(
                tx, order.order, until=until, authority=AUTHORITY, reason="the court said so"
            ),
        )

    def complain(actor: Actor, when: datetime) -> None:
        small.does(
            actor,
            lambda tx: holds.complain(
                tx, order.case, complained_at=when, reference="police 7/2569"
            ),
        )

    steps.refused(
        "an investigator makes a hold longer",
        lambda: extend(INVESTIGATOR, now + LATER),
        by=NotPermitted,
    )
    steps.refused(
        "a supervisor enters a measure that ends in a year",
        lambda: extend(SUPERVISOR, now + YEAR),
        by=BadInput,
    )
    steps.refused(
        "a complaint to the police is dated tomorrow",
        lambda: complain(INVESTIGATOR, now + DAY),
        by=BadInput,
    )
    complain(INVESTIGATOR, now)
    first = _now(small, order).ends_at
    small.turn(HOUR)
    complain(INVESTIGATOR, now + HOUR)
    second = _now(small, order).ends_at
    steps.check(
        "the victim complained, and an hour later once more",
        found=f"it ends {first - now} after the first complaint, as before: {first == second}",
        ok=first == second <= now + timedelta(days=7),
    )


def _now(small: SmallCentre, order: OrderView) -> OrderView:
    return next(one for one in small.orders() if one.order == order.order)


def _clock(small: SmallCentre, steps: Steps) -> None:
    """Step to just before each end and to the end itself."""
    early = late = 0
    ends = sorted({o.ends_at for o in _standing(small)} | {o.ends_at for o in _suspicions(small)})
    for end in ends:
        if end <= small.clock.now() + A_SECOND:
            continue
        due = [o.order for o in _standing(small) if o.ends_at == end]
        small.turn(end - A_SECOND - small.clock.now())
        still = {o.order for o in _standing(small)}
        early += sum(one not in still for one in due)
        small.turn(A_SECOND)
        late += sum(o.order in due for o in _standing(small))
    left = [one for one in _suspicions(small) if one.state in STILL]
    steps.check(
        f"let the clock pass {len(ends)} ends, one second at a time",
        found=f"{early} ended before their time, {late + len(left)} stood a second longer",
        ok=not early and not late and not left and bool(ends),
    )
    blocked = sum(small.desks.blocked.values())
    steps.check(
        "asked the institutions what they still block",
        found=f"{blocked} minor units",
        ok=not blocked,
    )
    for _ in range(3):
        small.turn(HOUR)
    again = _standing(small)
    steps.check(
        "waited three hours more, with the money still lying there",
        found=f"{len(again)} orders came back by themselves",
        ok=not again,
    )


def _asleep(small: SmallCentre, steps: Steps) -> None:
    """Nothing runs while the end passes; the first look ends it."""
    (order,) = small.orders(small.file(small.pay("KBANK:20", "SCB:20", 50_000)).case)
    small.answer(order, order.amount_minor)
    small.clock.advance(YEAR)
    before = len(_standing(small))
    small.turn()
    after = len(_standing(small))
    steps.check(
        "stopped the centre for a year with a hold standing, and let it look once",
        found=f"{before} stood when it woke, {after} a moment later",
        ok=before == 1 and after == 0,
    )
    blocked = small.query(
        "SELECT count(*) FROM hold_orders WHERE held_minor > 0 AND state <> 'converted'"
    )
    steps.check(
        "counted rows that hold money past their end",
        found=f"{blocked[0][0]}",
        ok=blocked == [(0,)],
    )
