"""Holds: what an institution's answer makes of an order.

Pure. Never lets more be applied than was ever ordered.
"""

from __future__ import annotations

import msgspec

from openaoc.holds.model import (
    ENDED,
    HOLDING,
    Answer,
    AnsweredDifferently,
    MoreThanOrdered,
    OrderState,
)
from openaoc.kernel.errors import BadInput


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The order as far as an answer concerns it."""

    state: OrderState
    amount_minor: int
    """Ordered now."""
    ceiling_minor: int
    """The most that any revision sent has ordered."""
    applied_minor: int
    held_minor: int
    answered: bool


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer changes.

    `surplus_minor` was applied under an earlier revision, and is given back at once;
    `short_minor` was ordered and is not there.
    """

    state: OrderState
    applied_minor: int
    held_minor: int
    surplus_minor: int
    short_minor: int
    late: bool


def check_form(answer: Answer) -> None:
    """Raises BadInput for an answer that contradicts itself."""
    if answer.outcome != "applied" and answer.applied_minor:
        raise BadInput(f"{answer.outcome} with an applied amount", where="$.applied_minor")
    if answer.available_minor is not None and answer.applied_minor > answer.available_minor:
        raise BadInput("more was applied than was available", where="$.applied_minor")


def repeats(asked: Asked, answer: Answer) -> bool:
    """Whether the answer says what the order's answer said before, in other words perhaps.

    An institution answers every revision, and one that was lowered with what it holds now.
    """
    if not asked.answered:
        return False
    if answer.outcome == "applied" and asked.state in HOLDING | {OrderState.CONVERTED}:
        return answer.applied_minor in (asked.applied_minor, asked.held_minor)
    return asked.state is OrderState.REFUSED and answer.applied_minor == 0


def says_more(asked: Asked, answer: Answer) -> bool:
    """Whether an institution that answered says now that it blocks more than we count on.

    Money came in before it worked off a later revision. Refusing its word would leave it blocking
    what nobody gives back.
    """
    standing = asked.state in HOLDING or asked.state is OrderState.REFUSED
    return asked.answered and standing and answer.applied_minor > asked.held_minor


def effect_of(asked: Asked, answer: Answer) -> Effect:
    """The order's new state and amounts.

    An answer to an order that has ended meanwhile changes nothing (`late`): its end is on the
    way or already there. Raises MoreThanOrdered, and AnsweredDifferently for less than was said
    before: what was blocked once is not to be gone without our word.
    """
    check_form(answer)
    if answer.applied_minor > asked.ceiling_minor:
        raise MoreThanOrdered(
            f"{answer.applied_minor} applied, {asked.ceiling_minor} ordered",
            where="$.applied_minor",
        )
    if asked.state in HOLDING or asked.state in (OrderState.REFUSED, OrderState.CONVERTED):
        raise AnsweredDifferently(f"the order is {asked.state}")
    if asked.state in ENDED:
        return Effect(
            state=asked.state,
            applied_minor=answer.applied_minor,
            held_minor=0,
            surplus_minor=0,
            short_minor=0,
            late=True,
        )
    held = min(answer.applied_minor, asked.amount_minor)
    if answer.applied_minor == 0:
        state = OrderState.REFUSED
    elif held == asked.amount_minor:
        state = OrderState.APPLIED
    else:
        state = OrderState.APPLIED_IN_PART
    return Effect(
        state=state,
        applied_minor=answer.applied_minor,
        held_minor=held,
        surplus_minor=answer.applied_minor - held,
        short_minor=asked.amount_minor - held,
        late=False,
    )
