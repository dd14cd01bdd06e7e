"""From a report to committed orders: what goes out, to whom, on whose word, and only once."""

from __future__ import annotations

import concurrent.futures
import contextlib
from datetime import timedelta
from types import SimpleNamespace

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.holds.legal import rulebook
from openaoc.holds.model import OrderState
from openaoc.kernel.actor import CITIZEN
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.reports.model import Channel, RepeatedDifferently
from openaoc.storage.errors import DatabaseDown
from openaoc.workflow.confirming import PAYMENT_CONFIRM
from openaoc.workflow.incoming import Incoming
from openaoc.workflow.intake import Taken
from tests.workflow.centre import AGENT, SUPERVISOR, Centre, liaison, machine


def test_a_report_by_the_payers_bank_becomes_orders_along_the_chain(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=5))
    centre.pay("SCB:2", "BBL:3", 60_000, ago=timedelta(minutes=3))
    centre.pay("BBL:3", None, 10_000, ago=timedelta(minutes=2), channel="cash_withdrawal")

    receipt = centre.file(origin)

    assert receipt.standing == "automatic"
    assert receipt.mode == "live"
    assert receipt.payments[0].matched == origin
    assert (receipt.located_minor, receipt.exited_minor) == (90_000, 10_000)
    amounts = {line.institution: line.amount_minor for line in receipt.orders}
    assert amounts == {"SCB": 40_000, "BBL": 50_000}
    assert {line.state for line in receipt.orders} == {"issued"}
    sent = {order.institution: order for order in centre.outbox.orders()}
    assert {bank: order.amount_minor for bank, order in sent.items()} == amounts
    assert sent["SCB"].account == "2"
    assert "400.00 THB" in sent["SCB"].reason.en
    assert "ระงับ" in sent["SCB"].reason.th
    assert {notice.order for notice in centre.outbox.notices()} == {o.order for o in sent.values()}
    assert all(o.ends_at - o.issued_at <= timedelta(hours=72) for o in sent.values())


def test_a_citizens_report_waits_for_a_person_and_holds_nothing(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    receipt = centre.file(origin, sender=CITIZEN, channel=Channel.WEB)
    assert receipt.standing == "needs_person"
    assert [line.state for line in receipt.orders] == ["drafted"]
    assert {message.kind for message in centre.outbox.sent} <= {PAYMENT_CONFIRM}


@pytest.mark.parametrize("sender", [AGENT, machine("BBL"), liaison("KBANK")])
def test_only_the_payers_banks_own_key_has_standing(centre: Centre, sender: object) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    assert isinstance(sender, type(AGENT))
    receipt = centre.file(origin, sender=sender)
    assert receipt.standing == "needs_person"
    assert {message.kind for message in centre.outbox.sent} <= {PAYMENT_CONFIRM}


def test_a_partners_word_alone_never_holds_anything(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    receipt = centre.file(origin, sender=machine("KBANK"), channel=Channel.PARTNER)
    assert receipt.standing == "needs_person"
    assert centre.orders(receipt.case)[0].approvals_needed == 2
    assert {message.kind for message in centre.outbox.sent} <= {PAYMENT_CONFIRM}


def test_in_shadow_orders_are_computed_and_shown_and_not_sent(shadow_centre: Centre) -> None:
    origin = shadow_centre.pay("KBANK:1", "SCB:2", 100_000)
    receipt = shadow_centre.file(origin)
    assert receipt.mode == "shadow"
    assert receipt.orders[0].amount_minor == 100_000
    assert shadow_centre.outbox.sent == []
    with shadow_centre.database.uow.read(machine("SCB")) as tx:
        assert shadow_centre.matter.holds.list(tx).orders == []


def test_the_same_reference_from_the_same_sender_is_the_same_report(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    report = centre.report(origin, source_ref="K-1")
    first, new = centre.matter.intake.receive(report, sender=machine("KBANK"), idempotency_key="a")
    again = msgspec.structs.replace(report, narrative="told again, otherwise")
    second, newer = centre.matter.intake.receive(
        again, sender=machine("KBANK"), idempotency_key="b"
    )
    assert (new, newer) == (True, False)
    assert first == second
    assert len(centre.outbox.orders()) == 1


def test_the_same_key_with_another_body_is_refused(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    first = centre.file(origin, key="k1")
    assert centre.matter.intake.receive(
        centre.report(origin), sender=machine("KBANK"), idempotency_key="k1"
    ) == (first, False)
    with pytest.raises(RepeatedDifferently):
        centre.file(origin, key="k1", narrative="another story")


def test_anonymous_citizens_do_not_share_references(centre: Centre) -> None:
    one = centre.pay("KBANK:1", "SCB:2", 100_000)
    two = centre.pay("KBANK:9", "SCB:8", 50_000)
    first = centre.file(one, sender=CITIZEN, source_ref="1")
    second = centre.file(two, sender=CITIZEN, source_ref="1")
    assert first.case != second.case


def test_many_senders_of_one_report_at_once_get_one_case(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    report = centre.report(origin, source_ref="K-7")

    def send(key: str) -> str:
        receipt, _ = centre.matter.intake.receive(
            report, sender=machine("KBANK"), idempotency_key=key
        )
        return receipt.case

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        cases = set(pool.map(send, [f"k{n}" for n in range(24)]))
    assert len(cases) == 1
    assert len(centre.outbox.orders()) == 1


def test_the_identity_is_only_in_the_vault(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    receipt = centre.file(origin)
    with centre.database.uow.read(SUPERVISOR) as tx:
        report = centre.matter.reports.of_case(tx, receipt.case)[0]
        for table in ("reports", "cases", "report_payments", "journal_rows", "hold_orders"):
            rows = tx.connection.execute(sa.text(f"table {table}")).all()
            told = str(rows) + str([bytes(v) for r in rows for v in r if isinstance(v, bytes)])
            assert "Somchai" not in told, table
            assert "812345678" not in told, table
    with centre.database.uow.begin(SUPERVISOR) as tx:
        sealed = centre.vault.open(tx, report.id, reason="a test looks")
    assert msgspec.json.decode(sealed)["name"] == "Somchai Jaidee"
    assert report.has_identity


@pytest.mark.parametrize("times", [1, 2])
def test_a_filed_report_keeps_its_identity_though_nobody_heard_of_the_commit(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """The database ends between its commit and its word; then the reports are taken one by one."""
    intake, batcher = centre.matter.intake, centre.matter.intake._batcher
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)

    def unheard(incoming: Incoming) -> Taken:
        for _ in range(times - 1):
            batcher.submit(incoming)
        answer = batcher.submit(incoming)
        if times == 1:
            raise DatabaseDown
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(intake, "_batcher", SimpleNamespace(submit=unheard))
        with pytest.raises(DatabaseDown) if times == 1 else contextlib.nullcontext():
            centre.file(origin, key="once")
    receipt = centre.file(origin, key="once")
    with centre.database.uow.begin(SUPERVISOR) as tx:
        [report] = centre.matter.reports.of_case(tx, receipt.case)
        sealed = centre.vault.open(tx, report.id, reason="a test looks")
    assert msgspec.json.decode(sealed)["name"] == "Somchai Jaidee"


def test_only_a_hash_of_the_secret_is_stored(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    receipt = centre.file(origin)
    with centre.database.uow.read(SUPERVISOR) as tx:
        for table in ("reports", "cases", "journal_rows"):
            rows = tx.connection.execute(sa.text(f"table {table}")).all()
            assert receipt.secret not in str(rows), table


def test_an_ambiguous_payment_is_left_to_a_person(centre: Centre) -> None:
    for _ in range(2):
        centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=2))
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=2))
    report = centre.report(origin)
    payment = msgspec.structs.replace(report.payments[0], transfer_id=None)
    receipt, _ = centre.matter.intake.receive(
        msgspec.structs.replace(report, payments=[payment]),
        sender=machine("KBANK"),
        idempotency_key="",
    )
    assert receipt.payments[0].matched is None
    assert receipt.payments[0].candidates == 3
    assert (receipt.standing, receipt.orders) == ("needs_person", [])


def test_a_claim_above_the_transfer_is_not_matched(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    report = centre.report(origin)
    payment = msgspec.structs.replace(report.payments[0], amount_minor=100_001)
    receipt, _ = centre.matter.intake.receive(
        msgspec.structs.replace(report, payments=[payment]),
        sender=machine("KBANK"),
        idempotency_key="",
    )
    assert receipt.payments[0].matched is None
    assert receipt.orders == []


def test_mixed_currencies_are_refused_with_the_place(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    report = centre.report(origin)
    other = msgspec.structs.replace(report.payments[0], currency="USD")
    with pytest.raises(BadInput, match=r"\$\.payments"):
        centre.matter.intake.receive(
            msgspec.structs.replace(report, payments=[*report.payments, other]),
            sender=machine("KBANK"),
            idempotency_key="",
        )


def test_a_transfer_that_arrives_late_is_found_by_the_pursuit(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    report = centre.report(origin)
    payment = msgspec.structs.replace(report.payments[0], transfer_id="late", debtor_account="77")
    receipt, _ = centre.matter.intake.receive(
        msgspec.structs.replace(report, payments=[payment]),
        sender=machine("KBANK"),
        idempotency_key="",
    )
    assert receipt.orders == []
    centre.pay("KBANK:77", "SCB:2", 100_000, name="late")
    centre.clock.advance(timedelta(seconds=10))
    assert centre.matter.pursuit.retrace_due() == 1
    orders = centre.orders(receipt.case)
    assert [(o.institution, o.amount_minor, o.state) for o in orders] == [
        ("SCB", 100_000, OrderState.ISSUED)
    ]


def test_living_money_is_what_the_rule_says_or_more(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    pursuit = centre.matter.pursuit
    assert pursuit.floor_minor == rulebook("TH").floor_minor
    monkeypatch.setattr(pursuit, "_rules", rulebook("US"))
    assert pursuit.floor_minor == rulebook("US").floor_minor
    for set_to, left in ((1, rulebook("US").floor_minor), (10**7, 10**7)):
        wished = msgspec.structs.replace(pursuit._settings, floor_minor=set_to)
        monkeypatch.setattr(pursuit, "_settings", wished)
        assert pursuit.floor_minor == left


def test_a_second_report_of_the_same_payment_claims_nothing_twice(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    centre.file(origin)
    second = centre.file(origin, narrative="the victim's spouse reports it too")
    assert second.located_minor == 0
    assert second.orders == []


def test_a_thousand_false_reports_against_an_honest_shop_hold_nothing(centre: Centre) -> None:
    rows = [
        centre.row(f"KBANK:c{n}", "SCB:shop", 20_000, at=centre.clock.now() - timedelta(hours=n))
        for n in range(1, 101)
    ]
    from openaoc.ledger.table import transfers_from_rows

    centre.ledger.ingest(transfers_from_rows(rows), live=True)
    reports = [centre.report(row.transfer_id) for row in rows]

    def send(n: int) -> str:
        sender = (CITIZEN, AGENT, machine("BBL"), liaison("KBANK"))[n % 4]
        report = reports[n % len(reports)]
        receipt, _ = centre.matter.intake.receive(
            msgspec.structs.replace(report, reporter=None, narrative=f"false {n}"),
            sender=sender,
            idempotency_key="",
        )
        return receipt.standing

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        standings = set(pool.map(send, range(1000)))
    assert standings == {"needs_person"}
    assert {message.kind for message in centre.outbox.sent} <= {PAYMENT_CONFIRM}
    with centre.database.uow.read(SUPERVISOR) as tx:
        held = tx.connection.execute(
            sa.text("select count(*), sum(held_minor) from hold_orders where state <> 'drafted'")
        ).one()
    assert held[0] == 0


def test_a_report_that_was_not_committed_takes_nothing(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    other = centre.pay("KBANK:7", "SCB:8", 50_000)
    centre.file(other)
    before = len(centre.outbox.sent)

    def fail(_: object, __: object) -> list[str]:
        raise Conflict("the outbox refuses")

    with monkeypatch.context() as patched:
        patched.setattr(centre.outbox, "enqueue_many", fail)
        with pytest.raises(Conflict):
            centre.file(origin, narrative="lost")
    assert len(centre.outbox.sent) == before
    receipt = centre.file(origin, narrative="told again")
    assert (receipt.located_minor, len(receipt.orders)) == (100_000, 1)
    with centre.database.uow.read(SUPERVISOR) as tx:
        assert len(centre.matter.cases.list(tx).cases) == 2
