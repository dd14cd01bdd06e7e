"""What must hold of orders after every step, read from the database and from a fresh trace."""

from __future__ import annotations

from collections import defaultdict, deque

import sqlalchemy as sa

from openaoc.holds.model import HOLDING, WAITING, Order, OrderEnd, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.kernel.actor import SYSTEM
from tests.workflow.centre import Centre

SENT = WAITING | HOLDING


def all_orders(centre: Centre) -> list[OrderRecord]:
    """Every order there is."""
    with centre.database.uow.begin(SYSTEM) as tx:
        cases = [row[0] for row in tx.connection.execute(sa.text("select id from cases"))]
        return list(centre.matter.holds.orders_of(tx, cases))


def settle(centre: Centre) -> None:
    """Trace every case again and carry out what follows, until nothing changes."""
    with centre.database.uow.begin(SYSTEM) as tx:
        cases = [row[0] for row in tx.connection.execute(sa.text("select id from cases"))]
        centre.matter.cases.mark_due(tx, cases, at=tx.now)
    centre.matter.duties.run_due()


def check(centre: Centre) -> None:
    """Amount only (design §4.1), conserved money (§4.6), an end for each hold (§4.4)."""
    orders = all_orders(centre)
    taken: dict[tuple[str, str, str], int] = defaultdict(int)
    by_case: dict[str, int] = defaultdict(int)
    on_account: dict[tuple[str, str], int] = defaultdict(int)
    for order in orders:
        assert order.held_minor <= order.applied_minor <= order.ceiling_minor
        assert order.held_minor <= order.amount_minor
        if order.state in SENT:
            assert order.ends_at > centre.clock.now(), "a hold outlived its end"
            taken[order.case_id, order.institution, order.account] += order.active_minor
            by_case[order.case_id] += order.active_minor
            on_account[order.institution, order.account] += order.active_minor
        else:
            assert order.held_minor == 0 or order.state is OrderState.CONVERTED
    tainted_on: dict[tuple[str, str], int] = defaultdict(int)
    for case_id in centre.tracing.registered():
        look = centre.tracing.look(case_id)
        assert look.numbers.accounted_minor() == look.numbers.loss_minor, "money is conserved"
        here: dict[tuple[str, str], int] = defaultdict(int)
        places = [(p.bank, p.account, p.amount_minor) for p in look.trace.located]
        places += [(p.bank, p.account, p.amount_minor) for p in look.trace.held]
        for bank, account, amount in places:
            here[bank, account] += amount
            tainted_on[bank, account] += amount
        assert by_case[case_id] <= look.trace.loss_minor, "more than the loss"
        for (case, bank, account), amount in taken.items():
            if case == case_id:
                assert amount <= here[bank, account], "more than is tainted there"
    for key, amount in on_account.items():
        assert amount <= tainted_on[key], "a minor unit is held for two cases"


def blocked_by_messages(centre: Centre) -> dict[str, int]:
    """What institutions block if they did what they were told, from messages and answers.

    An order that continues another's block is blocked from the moment it is told.
    """
    with centre.database.uow.read(SYSTEM) as tx:
        answers = tx.connection.execute(
            sa.text("select order_id, applied_minor from hold_answers order by sequence")
        ).all()
    told = [order for _, order in centre.outbox.heard]
    assert told == [row.order_id for row in answers], "every answer is told of"
    given = deque(zip((place for place, _ in centre.outbox.heard), answers, strict=True))
    blocked: dict[str, int] = {}
    over: set[str] = set()
    continuing: set[str] = set()
    for place in range(len(centre.outbox.sent) + 1):
        while given and given[0][0] <= place:
            _, (order_id, applied) = given.popleft()
            most = blocked[order_id] if order_id in continuing else applied
            blocked[order_id] = 0 if order_id in over else min(applied, most)
        body = centre.outbox.sent[place].body if place < len(centre.outbox.sent) else None
        if isinstance(body, Order) and body.continues and body.order not in continuing:
            continuing.add(body.order)
            blocked[body.order] = body.amount_minor
        elif isinstance(body, OrderEnd):
            withdrawn = centre.outbox.sent[place].kind == "hold.withdrawal"
            left = 0 if withdrawn else blocked.get(body.order, 0) - body.amount_minor
            blocked[body.order] = max(left, 0)
            over |= {body.order} if body.remaining_minor == 0 else set()
    with centre.database.uow.read(SYSTEM) as tx:  # what the institution paid back is not blocked
        paid = tx.connection.execute(
            sa.text(
                "select order_id, sum(amount_minor) from hold_events"
                " where kind = 'restitution' group by order_id"
            )
        ).all()
    for order_id, amount in paid:
        blocked[str(order_id)] = max(blocked.get(str(order_id), 0) - int(amount), 0)
    return {order: amount for order, amount in blocked.items() if amount}


def check_messages(centre: Centre) -> None:
    """What the messages add up to is what the centre believes is held.

    Of a converted order nothing is told any more: another's measure holds the money.
    """
    orders = all_orders(centre)
    converted = {o.id for o in orders if o.state is OrderState.CONVERTED}
    held = {o.id: o.held_minor for o in orders if o.held_minor and o.id not in converted}
    blocked = blocked_by_messages(centre)
    assert {order: blocked[order] for order in blocked.keys() - converted} == held
