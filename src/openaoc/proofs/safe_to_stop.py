"""Proofs: safe to stop: shadow first, two persons to go live, one to stop, one command to undo."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from openaoc.holds.legal import NotConfirmed, jurisdictions, rulebook
from openaoc.holds.model import ENDED, OrderState, OrderView, SamePerson
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import OpenAOCError
from openaoc.parties.model import FourEyes
from openaoc.parties.permissions import NotPermitted
from openaoc.proofs.frame import Steps
from openaoc.proofs.scratch import Scratch
from openaoc.proofs.small_centre import (
    ADMINISTRATOR,
    BANKS,
    INVESTIGATOR,
    SECOND,
    SUPERVISOR,
    SmallCentre,
    small_centre,
)
from openaoc.safety.model import Selection, Touched, UndoRequest

LIMIT: Final = 5
REPORTS: Final = 8
SCOPE: Final = "jurisdiction:TH"
UNCONFIRMED: Final = "VN"
WRITTEN: Final = (
    "INSERT INTO live_switches (scope, state, proposed_by, proposed_at, approved_by, changed_at)"
    " SELECT s, 'live', 'usr_a', now(), 'usr_b', now()"
    " FROM unnest(array['jurisdiction:VN', 'institution:KBANK', 'institution:SCB']) s"
)
"""By hand, past every check: an unconfirmed country and its banks are live."""
MINUTE: Final = timedelta(minutes=1)


def prove(scratch: Scratch, steps: Steps) -> None:
    """Begin in shadow, go live, be flooded, take everything back, stop."""
    with small_centre(scratch, live=False, breaker_institution_orders_per_hour=LIMIT) as small:
        _shadow(small, steps)
        _two_persons(small, steps)
        _breaker(small, steps)
        _undo(small, steps)
        _stop(small, steps)
    with small_centre(scratch, live=False, name="abroad", jurisdiction=UNCONFIRMED) as small:
        _unconfirmed(small, steps)


def _report(small: SmallCentre, number: int, payer: str = "KBANK") -> OrderView:
    """A loss of its own that lies on an account of its own."""
    origin = small.pay(f"{payer}:{number}", f"SCB:{payer}{number}", 10_000 + number)
    return small.orders(small.file(origin).case)[-1]


def _shadow(small: SmallCentre, steps: Steps) -> None:
    order = _report(small, 1)
    small.turn(MINUTE)
    steps.check(
        "a payer's bank reported to a centre that nobody switched live",
        found=f"an order over {order.amount_minor} in {order.mode}, {len(small.desks.sent)} sent",
        ok=order.mode == "shadow" and not small.desks.sent,
    )


def _two_persons(small: SmallCentre, steps: Steps) -> None:
    small.propose_live(SCOPE)
    steps.refused(
        "one supervisor proposes live and approves it too",
        lambda: small.approve_live(SCOPE, SUPERVISOR),
        by=FourEyes,
    )
    steps.refused(
        "an investigator approves it",
        lambda: small.approve_live(SCOPE, INVESTIGATOR),
        by=NotPermitted,
    )
    found = _write(small, "UPDATE live_switches SET state = 'live', approved_by = proposed_by")
    steps.check(
        "wrote into the database that the proposer approved it",
        found=found or "it was written",
        ok=bool(found),
    )
    small.approve_live(SCOPE)
    _report(small, 2)
    steps.check(
        "two persons switched the country live, nobody the institution",
        found=f"{len(small.desks.orders())} orders sent",
        ok=not small.desks.orders(),
    )
    small.go_live(*(f"institution:{bank}" for bank in BANKS))
    order = _report(small, 3)
    steps.check(
        "two persons switched the institution live as well",
        found=f"{len(small.desks.orders())} order sent, {order.mode}",
        ok=order.mode == "live" and len(small.desks.orders()) == 1,
    )
    silent = [o for o in small.orders() if o.mode == "shadow" and o.state not in ENDED]
    known = {o.order for o in small.desks.orders()}
    steps.check(
        "looked whether what was computed in shadow went out with it",
        found=f"{len([o for o in silent if o.order in known])} of {len(silent)} did",
        ok=not [o for o in silent if o.order in known],
    )


def _breaker(small: SmallCentre, steps: Steps) -> None:
    """A flood of reports under a genuine key: after so many an hour a person has to look."""
    before = len(small.desks.orders())
    orders = [_report(small, 10 + number) for number in range(REPORTS)]
    small.turn(MINUTE)
    sent = len(small.desks.orders()) - before
    waiting = [order for order in orders if order.state is OrderState.DRAFTED]
    steps.check(
        f"{REPORTS} more reports within the hour, where {LIMIT} orders may go out by themselves",
        found=f"{sent} went out, {len(waiting)} wait for a person: {waiting[0].paused_by or ''}"
        if waiting
        else f"{sent} went out",
        ok=sent == LIMIT - 1 and len(waiting) == REPORTS - sent,
    )
    small.turn(timedelta(hours=2))
    again = [o for o in small.orders() if o.state is OrderState.DRAFTED and o.paused_by]
    steps.check(
        "waited two hours without anybody looking",
        found=f"{len(again)} still wait",
        ok=len(again) == len(waiting),
    )
    if not waiting:
        return
    last = waiting[-1].order
    approved = small.does(SUPERVISOR, lambda tx: small.matter.holds.approve(tx, last))
    small.deliver()
    steps.check(
        "a person approved one of them", found=approved.state, ok=approved.state == "issued"
    )


def _undo(small: SmallCentre, steps: Steps) -> None:
    """The reporter turns out to be false: everything of theirs, and nothing else."""
    other = _other_senders_order(small)
    mine = [o for o in small.orders() if o.state not in ENDED and o.order != other.order]
    for order in [o for o in mine if o.state is OrderState.ISSUED and o.mode == "live"][:2]:
        small.answer(order, order.amount_minor)
    undo = small.matter.undo
    request = UndoRequest(selection=Selection(reporter="KBANK"), reason="the key was stolen")
    run = small.does(SUPERVISOR, lambda tx: undo.propose(tx, request)).undo
    steps.refused(
        "one supervisor proposes to take back all of a reporter's orders, and agrees to it",
        lambda: small.does(SUPERVISOR, lambda tx: undo.approve(tx, run)),
        by=SamePerson,
    )
    small.does(SECOND, lambda tx: undo.approve(tx, run))
    for _ in range(3):
        small.turn()
    left = [o for o in small.orders() if o.state not in ENDED and o.order != other.order]
    blocked = {order: minor for order, minor in small.desks.blocked.items() if minor}
    steps.check(
        f"a second supervisor agreed; {len(mine)} orders stood",
        found=f"{len(left)} are left, the institutions still block {sum(blocked.values())} of it",
        ok=bool(mine) and not left and not blocked,
    )
    touched = _touched(small, run)
    steps.check(
        "read the list of who was touched",
        found=f"{len(touched)} orders on {len({t.account for t in touched})} accounts",
        ok={t.order for t in touched} == {o.order for o in mine},
    )
    (kept,) = [o for o in small.orders() if o.order == other.order]
    steps.check("looked at another reporter's order", found=kept.state, ok=kept.state not in ENDED)
    fresh = _report(small, 40)
    steps.check(
        "the same reporter reports again",
        found=f"{fresh.state}: {fresh.paused_by or 'nothing stops it'}",
        ok=fresh.state is OrderState.DRAFTED,
    )


def _other_senders_order(small: SmallCentre) -> OrderView:
    """From another bank's report, approved by hand where the breaker is open."""
    order = _report(small, 30, "BBL")
    if order.state is OrderState.DRAFTED:
        order = small.does(SUPERVISOR, lambda tx: small.matter.holds.approve(tx, order.order))
        small.deliver()
    return order


def _touched(small: SmallCentre, run: str) -> list[Touched]:
    with small.centre.uow.read(SUPERVISOR, purpose="a proof") as tx:
        return small.matter.undo.touched(tx, run, limit=200).touched


def _stop(small: SmallCentre, steps: Steps) -> None:
    small.does(
        ADMINISTRATOR,
        lambda tx: small.centre.parties.back_to_shadow(tx, SCOPE, reason="something is wrong"),
    )
    before = len(small.desks.orders())
    order = _report(small, 50, "BBL")
    steps.check(
        "one person put the centre back to shadow, and another bank reported",
        found=f"{len(small.desks.orders()) - before} orders sent, it is in {order.mode}",
        ok=order.mode == "shadow" and len(small.desks.orders()) == before,
    )


def _unconfirmed(small: SmallCentre, steps: Steps) -> None:
    """Law that nobody answerable has confirmed is computed with and never acted on."""
    today = small.clock.now().date()
    for code in jurisdictions():
        if rulebook(code).unconfirmed(today):
            steps.refused(
                f"proposed live for {code}",
                functools.partial(small.propose_live, f"jurisdiction:{code}"),
                by=NotConfirmed,
            )
    found = _write(small, WRITTEN)
    order = _report(small, 60)
    small.turn(MINUTE)
    steps.check(
        f"wrote into the database that {UNCONFIRMED} is live, approved by two, and reported",
        found=found or f"an order in {order.mode}, {len(small.desks.sent)} messages sent",
        ok=not found and order.mode == "shadow" and not small.desks.sent,
    )


def _write(small: SmallCentre, statement: str) -> str:
    """Write past every verb, as the centre's own database role; what refused it, or nothing."""
    try:
        small.does(SYSTEM, lambda tx: tx.connection.execute(sa.text(statement)))
    except OpenAOCError as error:
        return f"refused by the database: {error}"
    return ""
