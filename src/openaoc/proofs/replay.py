"""Proofs: where every case's money is, by a plain replay of all that the proof's ledger knows.

Reads claims and hold events from the database and the transfers from the ledger, and shares no step
with the traces that the centre plans its orders by.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import msgspec

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import to_us
from openaoc.proofs.small_centre import CURRENCY, SmallCentre
from openaoc.tracing.model import CaseTrace, Claim, HoldEvent, HoldKind, Rule
from openaoc.tracing.reference.replay import trace_cases

ACTIVE = "('issued', 'acknowledged', 'applied', 'applied_in_part')"
HELD = "('applied', 'applied_in_part')"


class Truth(NamedTuple):
    """What the replay found, by case and by (case, `BANK:ACCOUNT`)."""

    loss_minor: dict[str, int]
    tainted_minor: dict[tuple[str, str], int]
    """Free and held money of the case on the account."""
    conserved: bool


class Taken(NamedTuple):
    """What orders take, from their rows: held money, and what is asked for and not answered."""

    by_case: dict[str, int]
    by_place: dict[tuple[str, str], int]


def truth(small: SmallCentre, *, rule: Rule = Rule.FIFO) -> Truth:
    """Replay every pursued case with every hold in place."""
    traces = replayed(small, rule=rule)
    tainted: dict[tuple[str, str], int] = defaultdict(int)
    for case, trace in traces.items():
        for account, amount in trace.located_minor().items():
            tainted[case, _place(small, account)] += amount
        for held in trace.held:
            tainted[case, _place(small, held.account)] += held.amount_minor
    return Truth(
        loss_minor={case: trace.loss_minor for case, trace in traces.items()},
        tainted_minor=dict(tainted),
        conserved=all(trace.accounted_minor() == trace.loss_minor for trace in traces.values()),
    )


def replayed(
    small: SmallCentre, *, rule: Rule, openings_unknown: bool = False
) -> dict[str, CaseTrace]:
    """Each pursued case's trace by the plain replay."""
    centre = small.centre
    with centre.uow.read(SYSTEM, purpose="a proof") as tx:
        claimed = list(small.matter.cases.claims_pursued(tx, only=None))
        happened = list(small.matter.holds.events_after(tx, 0))
    cases = list(dict.fromkeys(case for _, case, _ in claimed))
    numbers = {case: number for number, case in enumerate(cases)}
    claims = []
    for _, case, record in sorted(claimed, key=lambda one: one[0]):
        row = centre.ledger.find(reported_by=record.reported_by, transfer_id=record.transfer_id)
        assert row is not None, "what a case claims is in the ledger"
        claims.append(Claim(row, record.amount_minor, numbers[case]))
    never_found: dict[str, int] = defaultdict(int)
    for event in happened:
        if event.kind == "excess":
            never_found[event.order_id] += event.amount_minor
    holds = []
    for event in sorted(happened, key=lambda one: (one.at, one.sequence)):
        account = centre.ledger.account_index(event.bank, event.account, CURRENCY)
        amount = event.amount_minor
        if event.kind == "hold":
            amount -= never_found[event.order_id]
        if event.kind == "excess" or amount <= 0 or event.case_id not in numbers:
            continue
        assert account is not None, "what is held on is in the ledger"
        paid = None
        if event.paid_by is not None and event.paid_id is not None:
            paid = centre.ledger.find(reported_by=event.paid_by, transfer_id=event.paid_id)
        holds.append(
            HoldEvent(
                kind=HoldKind(event.kind),
                at_us=to_us(event.at),
                case=numbers[event.case_id],
                account=account,
                amount_minor=amount,
                transfer_row=paid,
            )
        )
    with centre.ledger.reading() as arrays:
        found = (
            trace_cases(arrays, claims, rule=rule, holds=holds, openings_unknown=openings_unknown)
            if claims
            else []
        )
    return dict(zip(cases, found, strict=True))


def taken(small: SmallCentre) -> Taken:
    """Read past every verb: what live orders hold, or ask for and have no answer to."""
    rows = small.query(
        "SELECT case_id, institution || ':' || account,"  # noqa: S608 - names of ours
        f" CASE WHEN state IN {HELD} THEN held_minor ELSE amount_minor END"
        f" FROM hold_orders WHERE mode = 'live' AND state IN {ACTIVE}"
    )
    by_case: dict[str, int] = defaultdict(int)
    by_place: dict[tuple[str, str], int] = defaultdict(int)
    for case, place, amount in rows:
        minor = msgspec.convert(amount, int)
        by_case[str(case)] += minor
        by_place[str(case), str(place)] += minor
    return Taken(dict(by_case), dict(by_place))


def over_amounts(small: SmallCentre, *, rule: Rule = Rule.FIFO) -> list[str]:
    """Where orders take more than the case's money there, or than its loss; none if all is well."""
    known, orders = truth(small, rule=rule), taken(small)
    wrong = [
        f"{minor} on {place}, where {known.tainted_minor.get((case, place), 0)} is the case's"
        for (case, place), minor in orders.by_place.items()
        if minor > known.tainted_minor.get((case, place), 0)
    ]
    wrong += [
        f"{minor} of a loss of {known.loss_minor.get(case, 0)}"
        for case, minor in orders.by_case.items()
        if minor > known.loss_minor.get(case, 0)
    ]
    if not known.conserved:
        wrong.append("a trace whose sum is not its loss")
    return wrong


def _place(small: SmallCentre, account: int) -> str:
    name = small.centre.ledger.account(account)
    return f"{name.bank}:{name.account}"
