"""An earlier payment filed later: the block at the institution stays, its owner changes."""

from __future__ import annotations

from datetime import timedelta

from openaoc.holds.model import HolderNotice, Order, OrderEnd, OrderState
from tests.workflow.centre import Centre
from tests.workflow.invariants import check, check_messages, settle

MULE = "SCB:2222"


def held_for_the_later(centre: Centre) -> tuple[str, str, str]:
    """Two victims paid 100 each into an account that spent 100; the later payer's is held.

    First in, first out: what is left is the later payer's, as long as the earlier one is silent.
    """
    early = centre.pay("KBANK:1111", MULE, 100, ago=timedelta(minutes=9))
    late = centre.pay("BBL:3333", MULE, 60, ago=timedelta(minutes=8))
    return early, late, MULE


def test_the_block_stays_and_its_owner_changes(centre: Centre) -> None:
    early = centre.pay("KBANK:1111", MULE, 100, ago=timedelta(minutes=9))
    late = centre.pay(MULE, "WALLET:7777", 100, ago=timedelta(minutes=8))
    second = centre.file(late)
    [asked] = second.orders
    centre.answer(asked.order, "WALLET", 100)
    sent = len(centre.outbox.sent)
    centre.clock.advance(timedelta(minutes=5))

    first = centre.file(early)

    [taken] = first.orders
    assert (taken.institution, taken.amount_minor, taken.state) == ("WALLET", 100, "applied")
    told = [m.body for m in centre.outbox.sent[sent:]]
    order = next(one for one in told if isinstance(one, Order))
    end = next(one for one in told if isinstance(one, OrderEnd))
    assert (order.order, order.continues, order.amount_minor) == (taken.order, asked.order, 100)
    assert (end.order, end.continued_by, end.amount_minor, end.remaining_minor) == (
        asked.order,
        taken.order,
        100,
        0,
    )
    assert told.index(order) < told.index(end)
    assert any(isinstance(one, HolderNotice) and one.order == taken.order for one in told)
    assert centre.orders(second.case)[0].state is OrderState.RELEASED
    settle(centre)
    check(centre)
    check_messages(centre)
