"""Proofs: doubt favours the holder: the least amount, the shortest clock, living money, a word."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from openaoc.holds.legal import rulebook
from openaoc.holds.model import OrderView, RuleAmounts
from openaoc.proofs.frame import Steps
from openaoc.proofs.replay import replayed
from openaoc.proofs.scratch import Scratch
from openaoc.proofs.small_centre import SmallCentre, small_centre
from openaoc.tracing.model import Rule

STOLEN: Final = 300_000
FLOOR: Final = 100_000
TURNOVER: Final = 2_000_000
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)


def prove(scratch: Scratch, steps: Steps) -> None:
    """Send stolen money to shops and to strangers, and compare what is held with every rule."""
    with small_centre(scratch, floor_minor=FLOOR) as small:
        _least(small, steps)
        _living_money(small, steps)
        _history(small, steps)
        _told(small, steps)


def _filed(small: SmallCentre, origin: str) -> OrderView:
    """The order on the account that the reported payment reached."""
    payment = small.report(origin).payments[0]
    orders = small.orders(small.file(origin).case)
    return next(order for order in orders if order.account == payment.creditor_account)


def _least(small: SmallCentre, steps: Steps) -> None:
    """A shop has spent since: the rules of law differ about whose money that was."""
    small.trade("SCB:10")
    origin = small.pay("KBANK:1", "SCB:10", STOLEN, ago=2 * HOUR)
    small.pay("SCB:10", "BBL:9999", 2 * FLOOR, ago=HOUR)
    order = _filed(small, origin)
    known = amounts_by_replay(small, order)
    steps.check(
        "replayed a shop's account under every rule, and with its opening unknown",
        found=f"fifo {known.fifo}, lifo {known.lifo}, pro-rata {known.pro_rata},"
        f" opening unknown {known.opening_unknown}",
        ok=len({known.fifo, known.lifo, known.pro_rata}) > 1,
    )
    steps.check(
        "compared with what the order records",
        found=f"the same: {order.amounts == known}",
        ok=order.amounts == known,
    )
    steps.check(
        f"looked what is asked for of {STOLEN} stolen from honest commerce",
        found=f"{order.amount_minor}: {'; '.join(order.why)}",
        ok=order.amount_minor <= known.least and order.likely_innocent,
    )
    plain = _filed(small, small.pay("KBANK:1", "WALLET:66", STOLEN))
    rule = rulebook("TH").named(order.rule, on=order.issued_at.date())
    steps.check(
        "compared its clock with that of an account nobody knows",
        found=f"{order.ends_at - order.issued_at} against {plain.ends_at - plain.issued_at}",
        ok=order.ends_at - order.issued_at == rule.doubtful < plain.ends_at - plain.issued_at,
    )


def _living_money(small: SmallCentre, steps: Steps) -> None:
    """A shop that lives from hand to mouth: two victims' money is all it has."""
    small.trade("SCB:20")
    small.pay("SCB:20", "BBL:9998", TURNOVER // 2, ago=3 * HOUR)
    taken = balance = 0
    for victim, amount in enumerate((STOLEN, STOLEN // 3)):
        balance += amount
        origin = small.pay(f"KBANK:{victim}", "SCB:20", amount, ago=2 * HOUR - victim * MINUTE)
        order = _filed(small, origin)
        small.answer(order, order.amount_minor)
        taken += order.amount_minor
        steps.check(
            f"a victim's {amount} reach a shop that has {balance} in all",
            found=f"{taken} are held, {balance - taken} stay free to live on",
            ok=0 < taken <= balance - FLOOR,
        )


def _history(small: SmallCentre, steps: Steps) -> None:
    """An account that has spent what the ledger never saw come in."""
    small.pay("BBL:1", "BBL:30", FLOOR, ago=3 * HOUR)
    small.pay("BBL:30", "BBL:2", 4 * FLOOR, ago=2 * HOUR)
    origin = small.pay("KBANK:1", "BBL:30", STOLEN, ago=HOUR)
    small.pay("BBL:1", "BBL:30", STOLEN, ago=50 * MINUTE)
    small.pay("BBL:30", "BBL:2", STOLEN // 3, ago=40 * MINUTE)
    order = _filed(small, origin)
    known = amounts_by_replay(small, order)
    steps.check(
        "stolen money reaches an account whose history is missing",
        found=f"{order.amount_minor}, the least of the rules is {known.least}; "
        + "; ".join(order.why),
        ok=0 < order.amount_minor <= known.least < STOLEN
        and any("history is missing" in why for why in order.why),
    )


def _told(small: SmallCentre, steps: Steps) -> None:
    """Whoever is held from can read why, until when, and where to say no."""
    orders = {order.order: order for order in small.orders()}
    notices = {notice.order: notice for notice in small.desks.notices()}
    sent = {m.body: m.at for m in small.desks.sent}
    late = [
        order.order
        for order in orders.values()
        if order.order not in notices or not _complete(order, notices[order.order].text.th)
    ]
    steps.check(
        f"looked for the notice to the holder of each of {len(orders)} orders",
        found=f"{len(notices)} notices, {len(late)} missing or without reason and end",
        ok=bool(orders) and not late and bool(sent),
    )
    first = [notice for notice in notices.values() if notice.tell_first]
    innocent = [order for order in orders.values() if order.likely_innocent]
    steps.check(
        "looked who is to be told before anything else is done",
        found=f"{len(first)} of {len(innocent)} who look like honest commerce",
        ok=len(first) == len(innocent) > 0,
    )
    contest = [notice for notice in notices.values() if notice.contest_code and notice.contest_at]
    steps.check(
        "looked whether each says where to contest it, and with which code",
        found=f"{len(contest)} of {len(notices)}",
        ok=len(contest) == len(notices),
    )


def _complete(order: OrderView, text: str) -> bool:
    return bool(order.reason.th) and order.reason.th in text


def amounts_by_replay(small: SmallCentre, order: OrderView) -> RuleAmounts:
    """The case's free money on the order's account, by the plain replay under each rule."""
    account = small.centre.ledger.account_index(order.institution, order.account, order.currency)
    assert account is not None, "the order's account is in the ledger"
    found = {
        rule: replayed(small, rule=rule)[order.case].located_minor().get(account, 0)
        for rule in Rule
    }
    unknown = replayed(small, rule=Rule.FIFO, openings_unknown=True)[order.case]
    return RuleAmounts(
        fifo=found[Rule.FIFO],
        lifo=found[Rule.LIFO],
        pro_rata=found[Rule.PRO_RATA],
        opening_unknown=unknown.located_minor().get(account, 0),
    )
