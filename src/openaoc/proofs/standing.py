"""Proofs: standing: words alone hold nothing, however many say them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final, Literal

from openaoc.holds.model import OrderState, SamePerson
from openaoc.kernel.actor import CITIZEN, Actor, Role
from openaoc.proofs.frame import Steps
from openaoc.proofs.scratch import Scratch
from openaoc.proofs.small_centre import SUPERVISOR, SmallCentre, machine, small_centre
from openaoc.reports.control import ControlNotProven
from openaoc.reports.model import Channel, Proof, ReportReceipt

REPORTS: Final = 1_000
AT_ONCE: Final = 32
CUSTOMERS: Final = 20
PRICE: Final = 50_000
SHOP: Final = "SCB:4711"
GUESSES: Final = 6
PARTNER: Final = Actor(id="usr_partner", roles=frozenset({Role.INVESTIGATOR}))
LIAISON: Final = Actor(id="usr_clerk", roles=frozenset({Role.LIAISON}), institution="BBL")


def prove(scratch: Scratch, steps: Steps) -> None:
    """Attack an honest shop in every way that words allow; then show what a payer's bank may do."""
    with small_centre(scratch) as small:
        sold = small.trade(SHOP)
        _claims_of_proof(small, steps, sold)
        _other_keys(small, steps, sold)
        _guesses(small, steps, sold)
        _persons(small, steps, sold)
        _crowd(small, steps)
        _payers_bank(small, steps)


def held(small: SmallCentre) -> tuple[int, int]:
    """Orders that were sent for the shop, and orders that hold or ask for anything there."""
    sent = sum(order.account == "4711" for order in small.desks.orders())
    ((active,),) = small.query(
        "SELECT count(*) FROM hold_orders WHERE account = '4711' AND state <> 'drafted'"
    )
    return sent, int(str(active))


def _nothing(small: SmallCentre, steps: Steps, did: str, *, also: bool = True) -> None:
    small.turn(timedelta(minutes=1))
    sent, active = held(small)
    steps.check(
        did,
        found=f"{sent} orders were sent for it, {active} hold anything",
        ok=also and sent == active == 0,
    )


def _crowd(small: SmallCentre, steps: Steps) -> None:
    """Citizens without a key, each naming a real purchase of the last hour."""
    bought = [
        small.row(f"BBL:6{number:04}", SHOP, PRICE, ago=timedelta(minutes=number + 1))
        for number in range(CUSTOMERS)
    ]
    small.tell(bought)

    def lie(number: int) -> ReportReceipt:
        report = small.report(bought[number % CUSTOMERS].transfer_id, channel=Channel.WEB)
        key = f"lie-{number}"
        return small.matter.intake.receive(report, sender=CITIZEN, idempotency_key=key)[0]

    with ThreadPoolExecutor(AT_ONCE) as threads:
        receipts = list(threads.map(lie, range(REPORTS)))
    small.deliver()
    _nothing(
        small,
        steps,
        f"{len(receipts)} false reports about an honest shop, each naming a real purchase",
        also=len({receipt.case for receipt in receipts}) == REPORTS,
    )


def _claims_of_proof(small: SmallCentre, steps: Steps, sold: list[str]) -> None:
    kinds: tuple[Literal["institution", "account_control"], ...] = (
        "institution",
        "account_control",
    )
    for kind in kinds:
        proof = Proof(kind=kind, bank_case_id="B-77")
        receipt = small.file(sold[0], sender=CITIZEN, channel=Channel.WEB, proof=proof)
        _nothing(
            small,
            steps,
            f"a citizen writes `proof: {kind}` into a report",
            also=receipt.standing == "needs_person",
        )


def _other_keys(small: SmallCentre, steps: Steps, sold: list[str]) -> None:
    """Keys that are genuine and prove nothing of the payer's account."""
    receipt = small.file(sold[1], sender=machine("KBANK"))
    _nothing(
        small,
        steps,
        "a bank that is not the payer's reports under its own key",
        also=receipt.standing == "needs_person",
    )
    receipt = small.file(sold[2], sender=LIAISON)
    _nothing(
        small,
        steps,
        "a clerk of the payer's bank reports, without the bank's own key",
        also=receipt.standing == "needs_person",
    )
    receipt = small.file(sold[3], sender=machine("BBL"), channel=Channel.PARTNER)
    _nothing(
        small,
        steps,
        "a partner's word comes in under the payer's bank's own key",
        also=receipt.standing == "needs_person",
    )


def _guesses(small: SmallCentre, steps: Steps, sold: list[str]) -> None:
    """A code goes to the account's holder; who is not the holder has to guess."""
    receipt = small.file(sold[4], sender=CITIZEN, channel=Channel.WEB)
    control = small.matter.control
    control.ask(receipt.case, actor=CITIZEN, secret=receipt.secret)
    small.deliver()
    right = 0
    for number in range(GUESSES):
        try:
            control.prove(receipt.case, secret=receipt.secret, code=f"{number:08}")
        except ControlNotProven:
            continue
        right += 1
    _nothing(small, steps, f"guessed the code of account control {GUESSES} times", also=not right)


def _persons(small: SmallCentre, steps: Steps, sold: list[str]) -> None:
    """Persons may send what waits, but not the one who opened the case, and not alone."""
    receipt = small.file(sold[5], sender=SUPERVISOR, channel=Channel.POLICE)
    order = small.orders(receipt.case)[0].order
    steps.refused(
        "a supervisor opens a case and approves its order alone",
        lambda: small.does(SUPERVISOR, lambda tx: small.matter.holds.approve(tx, order)),
        by=SamePerson,
    )
    receipt = small.file(sold[6], sender=PARTNER, channel=Channel.PARTNER)
    order = small.orders(receipt.case)[0].order
    view = small.does(SUPERVISOR, lambda tx: small.matter.holds.approve(tx, order))
    _nothing(
        small,
        steps,
        "one supervisor agrees to an order that rests on a partner's word",
        also=view.state is OrderState.DRAFTED,
    )
    steps.refused(
        "the same supervisor agrees a second time",
        lambda: small.does(SUPERVISOR, lambda tx: small.matter.holds.approve(tx, order)),
        by=SamePerson,
    )


def _payers_bank(small: SmallCentre, steps: Steps) -> None:
    """The other side: with standing an order goes out by itself, so that nothing above is idle."""
    origin = small.pay("KBANK:1", "SCB:99", 100_000)
    receipt = small.file(origin)
    sent = [order for order in small.desks.orders() if order.case == receipt.case]
    steps.check(
        "the payer's bank reports its customer's payment under its own key",
        found=f"{len(sent)} order sent, for {sum(order.amount_minor for order in sent)}",
        ok=receipt.standing == "automatic" and len(sent) == 1,
    )
