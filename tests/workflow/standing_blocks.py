"""What came free after a filing was nobody's when it was blocked: else its owner changes."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import sqlalchemy as sa

from openaoc.holds.model import HOLDING
from openaoc.kernel.actor import SYSTEM
from tests.workflow.centre import Centre
from tests.workflow.invariants import all_orders
from tests.workflow.pursuit_facts import Facts, replay


def standing(centre: Centre) -> dict[str, int]:
    """What institutions block now, by order."""
    return {o.id: o.held_minor for o in all_orders(centre) if o.state in HOLDING and o.held_minor}


def check_blocks_stay(
    centre: Centre,
    facts: Facts,
    hubs: frozenset[str],
    *,
    doubted: AbstractSet[str],
    before: Mapping[str, int],
) -> None:
    """No case that might hold by itself had money in what was given back of `before`.

    As a replay says of the moment of the block. On accounts in doubt less may be asked for.
    """
    with centre.database.uow.read(SYSTEM) as tx:
        events = tx.connection.execute(sa.text("select * from hold_events where kind = 'hold'"))
        began = {event.order_id: event.at for event in events}
        rows = tx.connection.execute(sa.text("select id, standing from cases")).all()
    automatic = {row.id for row in rows if row.standing == "automatic"}
    now = standing(centre)
    orders = all_orders(centre)
    for old in (order for order in orders if order.id in before):
        fresh = [o.applied_minor for o in orders if o.continues == old.id and o.id not in before]
        if before[old.id] <= now.get(old.id, 0) + sum(fresh):
            continue
        since, account = began[old.id], f"{old.institution}:{old.account}"
        for case, said in replay(centre, facts, hubs, at=since).items():
            amount, _, hub, returned = said.located.get(account, (0, 0, False, False))
            own = [order for order in orders if (order.case_id, order.place) == (case, old.place)]
            amount -= sum(order.short_minor for order in own)
            amount -= sum(o.held_minor for o in own if o.id in began and began[o.id] > since)
            if case in automatic - {old.case_id} and account not in doubted:
                assert hub or returned or amount <= 0, f"{case} might have kept {old.id}"
