"""Simulation: how an institution blocks an ordered amount and gives it back, on its own books.

Never blocks more than is free nor more than is ordered; says what it really did. Keeps nothing.
"""

from __future__ import annotations

from openaoc.holds.model import Answer, Order, OrderEnd
from openaoc.kernel.clock import to_us
from openaoc.simulation.books import Books
from openaoc.simulation.population import Population, account_index
from openaoc.simulation.store import HeldOrder


def account_at(population: Population, institution: str, number: str) -> int | None:
    """The account of this number at the institution, None when it has none such."""
    account = account_index(number, size=population.size)
    if account is None or population.codes[population.institution[account]] != institution:
        return None
    return account


def carry_out(
    books: Books, order: Order, *, held: HeldOrder | None, account: int | None
) -> tuple[HeldOrder, Answer]:
    """The order as the institution keeps it now, and its answer; `held` is what it kept before.

    An order that came late, after a newer revision or its end, changes nothing; nor does a later
    revision of one that was refused, for the centre does not count on it any more.
    """
    if held is not None and (held.ended or held.revision >= order.revision):
        return held, _too_late(held)
    blocked = held.blocked_minor if held is not None else 0
    available = applied = 0
    if account is not None:
        available = books.free(account) + blocked
        if blocked > order.amount_minor:
            books.unblock(account, blocked - order.amount_minor)
            applied = order.amount_minor
        else:
            applied = blocked + books.block(account, order.amount_minor - blocked)
    now_held = HeldOrder(
        order.order,
        order.institution,
        account,
        order.revision,
        applied,
        to_us(order.ends_at),
        ended=int(applied == 0),
    )
    return now_held, _answer(account, applied=applied, available=available, order=order)


def go_over(old: HeldOrder, *, by: str, amount_minor: int) -> tuple[HeldOrder, HeldOrder]:
    """The old order and the one that goes on with its block; on the books nothing changes.

    The new one blocks until the old one's end as long as its own message has not come.
    """
    moved = max(min(amount_minor, old.blocked_minor), 0)
    fresh = HeldOrder(by, old.institution, old.account, 0, moved, old.ends_us, ended=0)
    return old._replace(blocked_minor=old.blocked_minor - moved), fresh


def keep_less(
    books: Books, held: HeldOrder, *, remaining_minor: int, revision: int, ended: bool
) -> HeldOrder:
    """Give back what is blocked above `remaining_minor`; the order as it is kept then."""
    back = held.blocked_minor - remaining_minor
    if back > 0 and held.account is not None:
        books.unblock(held.account, back)
    blocked = min(held.blocked_minor, remaining_minor)
    return held._replace(blocked_minor=blocked, revision=revision, ended=int(ended))


def take_end(
    books: Books, end: OrderEnd, *, held: HeldOrder | None, account: int | None
) -> HeldOrder:
    """Give back what the centre gives back; a withdrawal may overtake its order.

    What another order goes on with is gone from `held` already: `go_over`.
    """
    known = held or HeldOrder(end.order, end.institution, account, 0, 0, 0, ended=0)
    return keep_less(
        books,
        known,
        remaining_minor=end.remaining_minor,
        revision=max(known.revision, end.revision),
        ended=bool(known.ended) or end.remaining_minor == 0,
    )


def _too_late(held: HeldOrder) -> Answer:
    if held.ended:
        return Answer(outcome="refused", reason="refused or withdrawn before")
    return Answer(outcome="applied", applied_minor=held.blocked_minor)


def _answer(account: int | None, *, applied: int, available: int, order: Order) -> Answer:
    if account is None:
        return Answer(outcome="unknown_account", reason="no such account here")
    if applied == 0:
        reason = "nothing is free on the account"
        return Answer(outcome="refused", available_minor=available, reason=reason)
    return Answer(
        outcome="applied",
        applied_minor=applied,
        available_minor=available,
        bank_case_id=f"H-{order.order[-8:]}",
    )
