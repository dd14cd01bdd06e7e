"""With no feed at all: the first payment is told or confirmed, each answer tells the next hop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from openaoc.holds.model import OnwardTransfer, OrderState, OrderView
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput, Conflict, NotFound, Refused
from openaoc.ledger.table import transfers_from_rows
from openaoc.reports.model import Channel, Payment, Report, ReportReceipt
from openaoc.storage.database import Database
from openaoc.workflow.confirming import PAYMENT_CONFIRM, ConfirmationRequest
from tests.workflow.centre import AGENT, BANKS, SUPERVISOR, Centre, liaison, machine


@pytest.fixture
def centre(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Centre]:
    """A centre that nobody feeds."""
    built = Centre(database, tmp_path, clock)
    built.settings = msgspec.structs.replace(built.settings, hop_by_hop=True)
    built.matter = built.build()
    built.go_live(*BANKS)
    yield built
    built.close()


def _payment(centre: Centre, **changes: object) -> Payment:
    payment = Payment(
        transfer_id="K-1",
        booked_at=centre.clock.now() - timedelta(minutes=9),
        debtor_bank="KBANK",
        debtor_account="1",
        creditor_bank="SCB",
        creditor_account="2",
        amount_minor=100_000,
        currency="THB",
    )
    return msgspec.structs.replace(payment, **changes)


def _file(centre: Centre, payment: Payment, *, who: str = "KBANK") -> ReportReceipt:
    report = Report(
        channel=Channel.INSTITUTION if who != "agent" else Channel.HOTLINE,
        reported_at=centre.clock.now(),
        narrative="",
        payments=[payment],
    )
    sender = AGENT if who == "agent" else machine(who)
    return centre.matter.intake.receive(report, sender=sender, idempotency_key="")[0]


def _onward(centre: Centre, debtor: str, creditor: str, amount: int, name: str) -> OnwardTransfer:
    (bank, account), (to_bank, to_account) = debtor.split(":"), creditor.split(":")
    return OnwardTransfer(
        transfer_id=name,
        booked_at=centre.clock.now() - timedelta(minutes=5),
        debtor_bank=bank,
        debtor_account=account,
        creditor_bank=to_bank,
        creditor_account=to_account,
        amount_minor=amount,
        currency="THB",
    )


def _waiting(centre: Centre, case: str) -> OrderView:
    [order] = [o for o in centre.orders(case) if o.state is OrderState.ISSUED]
    return order


def _retrace(centre: Centre) -> None:
    centre.clock.advance(timedelta(seconds=6))
    centre.matter.pursuit.retrace_due()


def test_each_answer_brings_the_next_order(centre: Centre) -> None:
    case = _file(centre, _payment(centre)).case
    hops = [
        ("SCB:2", "BBL:3", 90_000),
        ("BBL:3", "WALLET:4", 60_000),
        ("WALLET:4", "SCB:5", 50_000),
    ]
    for place, (debtor, creditor, amount) in enumerate(hops, start=1):
        order = _waiting(centre, case)
        bank, account = debtor.split(":")
        assert (order.institution, order.account, order.layer) == (bank, account, place)
        assert order.answer_by > order.issued_at
        onward = [_onward(centre, debtor, creditor, amount, f"h{place}")]
        centre.answer(order.order, bank, order.amount_minor - amount, onward=onward)
        _retrace(centre)
    last = _waiting(centre, case)
    assert (last.institution, last.account, last.amount_minor) == ("SCB", "5", 50_000)
    centre.answer(last.order, "SCB", 50_000)
    _retrace(centre)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        view = centre.matter.cases.show(tx, case)
    assert (view.held_minor, view.located_minor, view.loss_minor) == (100_000, 0, 100_000)


def test_a_report_of_the_payers_bank_tells_its_own_payment_once(centre: Centre) -> None:
    first, second = (_file(centre, _payment(centre)) for _ in range(2))
    assert first.standing == "automatic"
    assert [line.amount_minor for line in first.orders] == [100_000]
    assert second.located_minor == 0, "the loss is claimed already"
    assert centre.ledger.stats().transfers == 1


@pytest.mark.parametrize(
    ("who", "changes"),
    [
        ("agent", {}),
        ("SCB", {}),
        ("KBANK", {"transfer_id": None}),
        ("KBANK", {"reported_by": "SCB"}),
    ],
)
def test_nobody_elses_word_makes_a_transfer(
    centre: Centre, who: str, changes: dict[str, object]
) -> None:
    receipt = _file(centre, _payment(centre, **changes), who=who)
    assert receipt.orders == []
    assert centre.ledger.stats().transfers == 0


def test_a_payment_that_is_there_under_another_id_is_not_told_again(centre: Centre) -> None:
    payment = _payment(centre)
    row = centre.row("KBANK:1", "SCB:2", 100_000, at=payment.booked_at, name="other")
    centre.ledger.ingest(transfers_from_rows([row]), live=True)
    receipt = _file(centre, payment)
    assert receipt.payments[0].matched == "other"
    assert centre.ledger.stats().transfers == 1


def test_the_payers_bank_is_asked_and_confirms_with_the_transfer(centre: Centre) -> None:
    case = _file(centre, _payment(centre, transfer_id=None), who="agent").case
    asked = next(m for m in centre.outbox.sent if m.kind == PAYMENT_CONFIRM)
    assert asked.institution == "KBANK"
    assert isinstance(asked.body, ConfirmationRequest)
    assert asked.body.case == case
    assert [(p.debtor_account, p.amount_minor) for p in asked.body.payments] == [("1", 100_000)]
    assert asked.answer_by > centre.clock.now()

    told = msgspec.structs.replace(
        _onward(centre, "KBANK:1", "SCB:2", 100_000, "K-7"), booked_at=_payment(centre).booked_at
    )
    confirming = centre.matter.confirming
    with pytest.raises(BadInput, match="own account"):
        confirming.confirm(case, actor=machine("SCB"), transfers=[told])
    with pytest.raises(Refused):
        confirming.confirm(case, actor=liaison("KBANK"), transfers=[told])
    assert centre.ledger.stats().transfers == 0

    confirming.confirm(case, actor=machine("KBANK"), transfers=[told])
    order = _waiting(centre, case)
    assert (order.account, order.amount_minor) == ("2", 100_000)
    confirming.confirm(case, actor=machine("KBANK"), transfers=[told])
    assert len(centre.orders(case)) == 1
    different = msgspec.structs.replace(told, amount_minor=1)
    with pytest.raises(Conflict):
        confirming.confirm(case, actor=machine("KBANK"), transfers=[different])
    with pytest.raises(NotFound):
        confirming.confirm(case, actor=machine("BBL"))


def test_a_bank_that_confirms_days_later_is_still_heard(centre: Centre) -> None:
    payment = _payment(centre, transfer_id=None)
    case = _file(centre, payment, who="agent").case
    told = msgspec.structs.replace(
        _onward(centre, "KBANK:1", "SCB:2", 100_000, "K-7"), booked_at=payment.booked_at
    )
    centre.clock.advance(timedelta(days=2))
    standing = centre.matter.confirming.confirm(case, actor=machine("KBANK"), transfers=[told])
    assert standing.automatic
    assert _waiting(centre, case).amount_minor == 100_000


def test_with_a_feed_a_report_tells_nothing(centre: Centre) -> None:
    centre.settings = msgspec.structs.replace(centre.settings, hop_by_hop=False)
    centre.matter = centre.build()
    receipt = _file(centre, _payment(centre))
    assert (receipt.standing, receipt.orders) == ("needs_person", [])
    assert centre.ledger.stats().transfers == 0
