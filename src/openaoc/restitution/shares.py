"""Restitution: how an amount is shared, to the minor unit. Pure.

Each account's held money carries its case by the trace's rule already; here a case's part is shared
among the accounts its loss was paid from, pari passu.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from openaoc.restitution.model import Line, LineState


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What one order of the case holds now."""

    order: str
    institution: str
    account: str
    amount_minor: int


class Payee(msgspec.Struct, frozen=True, kw_only=True):
    """An account the case's loss was paid from, and what it has still not got back."""

    bank: str
    account: str
    owed_minor: int


def share(total_minor: int, weights: Sequence[int]) -> list[int]:
    """The total in proportion to the weights, by largest remainder, earlier first.

    No share is above its weight; where the total is above their sum, the rest is nobody's.
    """
    assert total_minor >= 0, "an amount"
    assert all(weight >= 0 for weight in weights), "amounts"
    whole = sum(weights)
    if total_minor >= whole:
        return list(weights)
    shares = [total_minor * weight // whole for weight in weights]
    left = total_minor - sum(shares)
    by_rest = sorted(range(len(weights)), key=lambda i: (-(total_minor * weights[i] % whole), i))
    for place in by_rest[:left]:
        shares[place] += 1
    return shares


def propose_lines(
    restitution: str, held: Sequence[Held], payees: Sequence[Payee], *, currency: str
) -> list[Line]:
    """A payment for each account that holds and each that is owed; nothing above either."""
    lines: list[Line] = []
    owed = [payee.owed_minor for payee in payees]
    for order in held:
        shares = share(order.amount_minor, owed)
        owed = [before - part for before, part in zip(owed, shares, strict=True)]
        for payee, part in zip(payees, shares, strict=True):
            if part:
                lines.append(
                    Line(
                        restitution=restitution,
                        no=len(lines) + 1,
                        order=order.order,
                        institution=order.institution,
                        account=order.account,
                        payee_bank=payee.bank,
                        payee_account=payee.account,
                        currency=currency,
                        proposed_minor=part,
                        amount_minor=part,
                    )
                )
    return lines


def within(lines: Sequence[Line], held_minor: Mapping[str, int]) -> list[Line]:
    """Those lines that shrink so that none of an order's money is promised beyond what it holds.

    `held_minor` by order; an order that is not named holds nothing.
    """
    changed: list[Line] = []
    for order in dict.fromkeys(line.order for line in lines):
        mine = [line for line in lines if line.order == order and line.state is LineState.OPEN]
        amounts = [line.amount_minor for line in mine]
        limit = held_minor.get(order, 0)
        if sum(amounts) <= limit:
            continue
        for line, part in zip(mine, share(limit, amounts), strict=True):
            if part != line.amount_minor:
                changed.append(shrunk(line, to_minor=part))
    return changed


def shrunk(line: Line, *, to_minor: int) -> Line:
    """The line with a smaller amount; with none it is dropped."""
    state = LineState.OPEN if to_minor else LineState.DROPPED
    return msgspec.structs.replace(line, amount_minor=to_minor, state=state)


def replaced(lines: Sequence[Line], changed: Sequence[Line]) -> list[Line]:
    """All lines, the changed ones in their new form."""
    by_no = {line.no: line for line in changed}
    return [by_no.get(line.no, line) for line in lines]
