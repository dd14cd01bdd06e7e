"""What must hold of a running centre after every step, as far as it can be seen there."""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec
import sqlalchemy as sa

from openaoc.appeals.model import DECIDED, OPEN, AppealState, AppealView
from openaoc.holds.legal import rulebook
from openaoc.holds.model import ENDED, HOLDING, WAITING, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.holds.suspicion_model import STILL
from openaoc.kernel.actor import SYSTEM
from tests.workflow.centre import SUPERVISOR, Centre
from tests.workflow.invariants import all_orders, check_messages

RULES = rulebook("TH")
SENT = WAITING | HOLDING


def journal_size(centre: Centre) -> int:
    """How many changes were journalled."""
    return int(column(centre, "select count(*)::text from journal_rows")[0])


def column(centre: Centre, statement: str) -> list[str]:
    """One column of a statement of the test's own."""
    with centre.database.uow.read(SYSTEM) as tx:
        return [str(value) for value in tx.connection.execute(sa.text(statement)).scalars()]


def actions(centre: Centre) -> Counter[str]:
    """What the journal says was done, and how often."""
    return Counter(column(centre, "select action from journal_rows"))


def check_life(centre: Centre) -> None:
    """Every invariant that is not about amounts and traces."""
    orders = {order.id: order for order in all_orders(centre)}
    check_messages(centre)
    _names_and_ends(centre, orders)
    _standing(centre, orders)
    _doubt_and_notice(centre, orders)
    _shadow_is_silent(centre, orders)
    _journalled(centre, orders)
    _contests(centre, orders)


def _names_and_ends(centre: Centre, orders: dict[str, OrderRecord]) -> None:
    """No hold without an end (§4.4): a rule, a reason, and an end that its rule allows."""
    now = centre.clock.now()
    measured = set(
        column(centre, "select subject from journal_rows where action = 'holds.order.extended'")
    )
    for order in orders.values():
        rule = RULES.named(order.rule, on=order.issued_at.date())
        assert order.reason.th, "a reason the holder can read"
        assert order.reason.en
        if order.state not in SENT:
            continue
        assert order.ends_at > now, "a hold outlived its end"
        if order.id not in measured:
            assert order.ends_at <= order.issued_at + rule.longest, "longer than its rule allows"
        else:
            longest = max(one.longest for one in RULES.rule)
            assert order.ends_at <= now + longest, "longer than any rule allows"
    with centre.database.uow.read(SUPERVISOR) as tx:
        suspicions = centre.matter.suspicions.list(tx, limit=200).suspicions
    for one in suspicions:
        if one.state in STILL:
            assert one.ends_at > now, "a hold on suspicion outlived its end"


def _standing(centre: Centre, orders: dict[str, OrderRecord]) -> None:
    """An order goes out by itself with standing alone (§4.2); else persons answer for it."""
    opened = dict(
        row.split("\n") for row in column(centre, "select id || E'\\n' || opened_by from cases")
    )
    closed = "select distinct subject from journal_rows where action = 'safety.breaker.closed'"
    let_go = set(column(centre, closed))
    for order in orders.values():
        assert opened[order.case_id] not in order.approvals, "who opened the case approved it"
        assert len(set(order.approvals)) == len(order.approvals), "one person approved twice"
        if (
            order.state in SENT
            and order.standing == "needs_person"
            and order.paused_by not in let_go
        ):
            assert len(order.approvals) >= max(order.approvals_needed, 1), "nobody answers for it"


def _doubt_and_notice(centre: Centre, orders: dict[str, OrderRecord]) -> None:
    """Who looks innocent is asked for the least of the rules, and everybody is told (§4.3)."""
    told = {notice.order for notice in centre.outbox.notices()}
    again = "select distinct subject from journal_rows where action = 'holds.order.reviewed'"
    reviewed = set(column(centre, again))
    for order in orders.values():
        if order.likely_innocent and order.standing == "automatic" and not order.approvals:
            # Who turned out to be innocent later was asked for more, and got the rest back.
            taken = order.held_minor if order.id in reviewed else order.ceiling_minor
            assert taken <= order.amounts.least, "more than the least of the rules"
        if order.mode == "live" and order.state in SENT:
            assert order.id in told, "the holder is not told"


def _shadow_is_silent(centre: Centre, orders: dict[str, OrderRecord]) -> None:
    """What is in shadow, or waits for a person, is not sent and moves no money (§4.5)."""
    sent = {order.order for order in centre.outbox.orders()}
    moved = set(column(centre, "select distinct order_id from hold_events"))
    for order in orders.values():
        if order.mode == "shadow" or order.state is OrderState.DRAFTED:
            assert order.id not in sent | moved, "it was sent"


def _journalled(centre: Centre, orders: dict[str, OrderRecord]) -> None:
    """The newest row of the journal about an order says what the order says (§4.8)."""
    bodies = column(
        centre,
        "select distinct on (subject) body from journal_rows where action like 'holds.order.%'"
        " and action not in ('holds.order.printed', 'holds.order.onward_told')"
        " order by subject, id desc",
    )
    rows = [msgspec.json.decode(body, type=_Row) for body in bodies]
    newest = {row.subject: row.after for row in rows}
    for order in orders.values():
        mark = newest.get(order.id)
        assert mark is not None, "an order that is not in the journal"
        kept = (mark["state"], mark["held_minor"], mark["amount_minor"], mark["revision"])
        is_now = (order.state.value, order.held_minor, order.amount_minor, order.revision)
        assert kept == is_now, "the journal says otherwise"


class _Row(msgspec.Struct):
    subject: str
    after: dict[str, int | str] | None


def _contests(centre: Centre, orders: dict[str, OrderRecord]) -> None:
    """Contests follow their holds; what was held wrongly is on record; persons decide (§4.12)."""
    found: list[AppealView] = []
    with centre.database.uow.read(SUPERVISOR) as tx:
        for state in AppealState:
            found += centre.matter.appeals.list(tx, state=state, limit=200).appeals
        records = centre.matter.appeals.compensations(tx).compensations
    wrong = {record.appeal: record.wrongful_minor for record in records}
    released: dict[str, int] = defaultdict(int)
    open_on = [one.order for one in found if one.state in OPEN]
    assert len(open_on) == len(set(open_on)), "two contests of one hold at a time"
    for one in found:
        order = orders[one.order]
        if one.state in OPEN:
            assert order.state not in ENDED, f"nothing is left to contest: {order} {one}"
        if one.state is AppealState.REFUSED:
            assert one.released_minor == 0
            assert one.decided_by != SYSTEM.id, "the centre refused by itself"
        if one.state in DECIDED:
            _by_enough(centre, one)
        if one.appeal in wrong:
            assert wrong[one.appeal] == one.released_minor > 0
        assert one.state is not AppealState.UPHELD_IN_PART or one.appeal in wrong
        released[one.order] += one.released_minor
    for name, amount in released.items():
        assert amount <= orders[name].ceiling_minor, "more given back than was held"


def _by_enough(centre: Centre, one: AppealView) -> None:
    assert one.proposal is not None
    assert one.evidence is not None
    if one.decided_by == SYSTEM.id:
        assert one.evidence.likely_innocent, "it lapsed for who does not look innocent"
        return
    if one.persons_needed > 1:
        assert one.decided_by != one.proposed_by, "one person decided for two"
    if one.released_minor > centre.matter.appeals.rules.alone_minor:
        assert one.persons_needed > 1
