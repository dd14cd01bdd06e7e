"""Short words for tests of contests: a held order, its holder's code, persons who decide."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from openaoc.appeals.model import (
    AppealView,
    Contest,
    ContestKey,
    ContestView,
    Decision,
    SecondWord,
)
from openaoc.kernel.actor import CITIZEN, Actor, Role
from openaoc.ledger.table import transfers_from_rows
from tests.workflow.centre import SECOND, SUPERVISOR, Centre

REVIEWER = Actor(id="usr_reviewer", roles=frozenset({Role.INVESTIGATOR}))
OTHER = Actor(id="usr_other", roles=frozenset({Role.INVESTIGATOR}))
__all__ = ["OTHER", "REVIEWER", "SECOND", "SUPERVISOR"]


def held(centre: Centre, amount_minor: int = 100_000, *, shop: bool = False) -> str:
    """An applied order on an account of its own: a shop with a history, or nobody known."""
    if shop:
        tell_history(centre, "SCB:2")
    origin = centre.pay("KBANK:1", "SCB:2", amount_minor, ago=timedelta(minutes=5))
    line = centre.file(origin).orders[0]
    centre.answer(line.order, "SCB", line.amount_minor)
    return line.order


def tell_history(centre: Centre, shop: str) -> None:
    """Ten days of trade: forty payers, one supplier."""
    now, rows = centre.clock.now(), []
    for day in range(1, 11):
        at = now - timedelta(days=day)
        rows += [centre.row(f"BBL:9{day}{n}", shop, 500_000, at=at) for n in range(4)]
        rows.append(centre.row(shop, "BBL:800", 1_200_000, at=at + timedelta(hours=3)))
    centre.ledger.ingest(transfers_from_rows(rows), live=True)


def code_of(centre: Centre, order: str) -> str:
    """The contest code on the holder's notice, as the institution got it."""
    return next(n.contest_code for n in centre.outbox.notices() if n.order == order)


def contest(
    centre: Centre, order: str, *, code: str = "", text: str = "I sold rice."
) -> ContestView:
    """The holder contests."""
    said = Contest(order=order, code=code or code_of(centre, order), statement=text, contact="081")
    with centre.database.uow.begin(CITIZEN) as tx:
        return centre.matter.appeals.file(tx, said)


def status(centre: Centre, order: str, *, code: str = "") -> ContestView:
    """What the holder sees."""
    key = ContestKey(order=order, code=code or code_of(centre, order))
    with centre.database.uow.read(CITIZEN) as tx:
        return centre.matter.appeals.status(tx, key)


def take(centre: Centre, appeal: str, who: Actor = REVIEWER) -> AppealView:
    with centre.database.uow.begin(who) as tx:
        return centre.matter.appeals.take(tx, appeal)


def uphold(**changes: object) -> Decision:
    values: dict[str, object] = {
        "outcome": "uphold",
        "reasons": ["honest_trade"],
        "note": "receipts seen",
    } | changes
    return msgspec.convert(values, Decision)


def refuse(**changes: object) -> Decision:
    return uphold(**{"outcome": "refuse", "reasons": ["traced_no_proof"]} | changes)


def decide(centre: Centre, appeal: str, decision: Decision, who: Actor = REVIEWER) -> AppealView:
    with centre.database.uow.begin(who) as tx:
        return centre.matter.appeals.decide(tx, appeal, decision)


def second(
    centre: Centre, appeal: str, *, agree: bool = True, who: Actor = SUPERVISOR
) -> AppealView:
    with centre.database.uow.begin(who) as tx:
        return centre.matter.appeals.second(tx, appeal, SecondWord(agree=agree, note="seen too"))


def order_now(centre: Centre, order: str) -> tuple[str, int]:
    """State and held amount of an order."""
    with centre.database.uow.read(SUPERVISOR) as tx:
        view = centre.matter.holds.show(tx, order)
    return view.state.value, view.held_minor
