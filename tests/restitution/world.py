"""A case with held money, and everybody who has a say in giving it back."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from openaoc.holds.model import HOLDING, OrderView
from openaoc.kernel.actor import SYSTEM, Actor
from openaoc.restitution.model import (
    NewObjection,
    ObjectionDecision,
    PaymentMade,
    Restitution,
)
from tests.workflow.centre import SECOND, SUPERVISOR, Centre, machine

MONTH = timedelta(days=30)
COURT = {"authority": "Anti-Money Laundering Office, order 7/2569", "reason": "for the victims"}


def held_case(centre: Centre, *, amount: int = 100_000) -> str:
    """A case whose whole loss is held at SCB, for longer than objections take."""
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", amount))
    for order in receipt.orders:
        centre.answer(order.order, order.institution, order.amount_minor)
    hold_long(centre, receipt.case)
    return receipt.case


def hold_long(centre: Centre, case: str) -> None:
    """An authority's measure makes the case's holds last 80 days."""
    for order in centre.orders(case):
        if order.state in HOLDING:
            with centre.database.uow.begin(SUPERVISOR) as tx:
                centre.matter.holds.extend(
                    tx, order.order, until=centre.clock.now() + timedelta(days=80), **COURT
                )


def propose(centre: Centre, case: str, *, actor: Actor = SUPERVISOR) -> Restitution:
    with centre.database.uow.begin(actor) as tx:
        return centre.matter.returning.restitutions.propose(tx, case)


def publish(centre: Centre, restitution: str, *, actor: Actor = SECOND) -> Restitution:
    with centre.database.uow.begin(actor) as tx:
        return centre.matter.returning.restitutions.publish(tx, restitution)


def published(centre: Centre, case: str) -> Restitution:
    return publish(centre, propose(centre, case).id)


def payable(centre: Centre, case: str) -> Restitution:
    one = published(centre, case)
    centre.clock.advance(MONTH)
    centre.matter.duties.run_due()
    return show(centre, one.id)


def show(centre: Centre, restitution: str, *, actor: Actor = SUPERVISOR) -> Restitution:
    with centre.database.uow.read(actor) as tx:
        return centre.matter.returning.restitutions.show(tx, restitution)


def objection(order: str, **changes: object) -> NewObjection:
    new = NewObjection(order=order, kind="holder", grounds="this was the price of my fruit")
    return msgspec.structs.replace(new, **changes)


def object_to(centre: Centre, restitution: str, new: NewObjection, *, actor: Actor) -> Restitution:
    with centre.database.uow.begin(SYSTEM, purpose=f"objection by {actor.id}") as tx:
        return centre.matter.returning.objections.file(tx, restitution, new, actor=actor)


def decide(
    centre: Centre, restitution: str, no: int, upheld: int, *, actor: Actor = SUPERVISOR
) -> Restitution:
    said = ObjectionDecision(upheld_minor=upheld, reason="the receipts were seen")
    with centre.database.uow.begin(actor) as tx:
        return centre.matter.returning.objections.decide(tx, restitution, no, said)


def made(centre: Centre, amount: int, *, transfer: str = "back-1") -> PaymentMade:
    return PaymentMade(transfer_id=transfer, amount_minor=amount, paid_at=centre.clock.now())


def confirm(
    centre: Centre, restitution: str, no: int, payment: PaymentMade, *, bank: str = "SCB"
) -> Restitution:
    with centre.database.uow.begin(SYSTEM, purpose=f"payment confirmed by {bank}") as tx:
        return centre.matter.returning.payments.confirm(
            tx, restitution, no, payment, actor=machine(bank)
        )


def order_of(centre: Centre, case: str) -> OrderView:
    (order,) = centre.orders(case)
    return order
