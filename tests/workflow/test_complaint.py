"""The victim sees the hours that are left, and gets a complaint that needs no retelling."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from openaoc.cases.model import CaseView, NoSuchCase
from openaoc.kernel.actor import CITIZEN, SYSTEM, Actor
from openaoc.kernel.errors import BadInput
from openaoc.parties.permissions import NotPermitted
from openaoc.reports.model import Indicator, Proof, Reporter
from openaoc.workflow.complaint import ComplaintDraft
from openaoc.workflow.complaint_text import LANGUAGES, complaint_words
from tests.row_order import until_somebody_waits
from tests.workflow.centre import ADMIN, AGENT, INVESTIGATOR, SUPERVISOR, Centre, liaison, machine

NARRATIVE = "They said: <script>alert(1)</script> & that I owe tax."


def show(centre: Centre, case: str, secret: str) -> CaseView:
    with centre.database.uow.begin(CITIZEN) as tx:
        return centre.matter.cases.show(tx, case, secret=secret)


def draft(centre: Centre, case: str, *, actor: Actor = CITIZEN, **more: str) -> ComplaintDraft:
    with centre.database.uow.begin(actor) as tx:
        return centre.matter.complaints.draft(tx, case, **more)


def test_the_hours_left_run_from_the_report_and_stop_at_the_complaint(centre: Centre) -> None:
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000))
    clock = show(centre, receipt.case, receipt.secret).complaint
    assert clock is not None
    assert (clock.hours_left, clock.complained_at) == (72.0, None)
    assert clock.first_end_at == min(o.ends_at for o in receipt.orders)
    centre.clock.advance(timedelta(hours=10, minutes=31))
    later = show(centre, receipt.case, receipt.secret).complaint
    assert later is not None
    assert later.hours_left == 61.4  # 61 h 29 min, never more than there is
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.complain(
            tx, receipt.case, complained_at=centre.clock.now(), reference="station 7, no. 12"
        )
    done = show(centre, receipt.case, receipt.secret).complaint
    assert done is not None
    assert (done.hours_left, done.complained_at) == (0.0, centre.clock.now())


def test_a_complaint_takes_the_orders_before_their_case_as_answers_do(centre: Centre) -> None:
    """Else an answer and a complaint that come together each wait for the other."""
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000))

    def complain() -> None:
        with centre.database.uow.begin(INVESTIGATOR) as tx:
            centre.matter.holds.complain(
                tx, receipt.case, complained_at=centre.clock.now(), reference="station 7, no. 12"
            )

    with ThreadPoolExecutor(1) as pool:
        with centre.database.uow.begin(SYSTEM) as tx:
            tx.connection.execute(sa.text("SELECT FROM hold_orders FOR UPDATE"))
            complaining = pool.submit(complain)
            until_somebody_waits(tx)
            free = tx.connection.execute(sa.text("SELECT id FROM cases FOR UPDATE NOWAIT"))
            assert free.scalars().all() == [receipt.case]
        complaining.result()


def test_when_the_time_is_over_nothing_is_left(centre: Centre) -> None:
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000))
    centre.clock.advance(timedelta(hours=72))
    clock = show(centre, receipt.case, receipt.secret).complaint
    assert clock is not None
    assert clock.hours_left == 0.0


def test_the_numbers_of_the_institutions_are_kept_and_shown(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    proof = Proof(kind="institution", bank_case_id="K-77")
    receipt = centre.file(origin, proof=proof)
    centre.answer(receipt.orders[0].order, "SCB", 100_000, bank_case_id="SCB-5")
    numbers = [
        (one.institution, one.bank_case_id)
        for one in show(centre, receipt.case, receipt.secret).bank_cases
    ]
    assert numbers == [("KBANK", "K-77"), ("SCB", "SCB-5")]
    with centre.database.uow.begin(liaison("SCB")) as tx:
        own = centre.matter.cases.show(tx, receipt.case)
    assert [one.bank_case_id for one in own.bank_cases] == ["SCB-5"]
    assert own.complaint is None


def test_a_citizens_number_is_that_of_the_bank_they_paid_from(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    receipt = centre.file(origin, sender=CITIZEN, proof=Proof(bank_case_id="K-78"))
    (one,) = show(centre, receipt.case, receipt.secret).bank_cases
    assert (one.institution, one.bank_case_id) == ("KBANK", "K-78")


def test_the_draft_says_all_that_was_reported_in_both_languages(centre: Centre) -> None:
    origin = centre.pay("KBANK:111", "SCB:222", 1_234_500)
    receipt = centre.file(
        origin,
        narrative=NARRATIVE,
        indicators=[Indicator(kind="phone", value="+66899999999")],
        reporter=Reporter(name="Somchai Jaidee", national_id="1101700203451"),
        proof=Proof(kind="institution", bank_case_id="K-77"),
    )
    made = draft(centre, receipt.case, secret=receipt.secret)
    assert made.identified
    for text in (made.text.th, made.text.en):
        for told in (
            receipt.case, "Somchai Jaidee", "1101700203451", NARRATIVE, "KBANK", "111", "SCB",
            "222", "12,345.00 THB", origin, "K-77", "+66899999999", "2026-01-08 10:00 +07:00",
        ):  # fmt: skip
            assert told in text, told
        assert "{" not in text
    assert "<script>" not in made.html
    assert "&lt;script&gt;" in made.html
    assert "Somchai Jaidee" in made.html
    assert '<section lang="th">' in made.html


def test_every_phrase_is_there_in_both_languages() -> None:
    words = complaint_words()
    assert set(words) == set(LANGUAGES)


def test_who_may_draft(centre: Centre) -> None:
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000))
    for wrong in ("", "0000-0000-0000-0000"):
        with pytest.raises(NoSuchCase):
            draft(centre, receipt.case, secret=wrong)
    with pytest.raises(BadInput, match="reason"):
        draft(centre, receipt.case, actor=AGENT)
    for actor in (ADMIN, machine("SCB"), liaison("KBANK"), CITIZEN):
        with pytest.raises(NotPermitted):
            draft(centre, receipt.case, actor=actor, reason="curious")
    made = draft(centre, receipt.case, actor=AGENT, reason="the victim calls")
    assert "Somchai Jaidee" in made.text.en


def test_each_look_is_in_the_journal_and_no_name_is(centre: Centre) -> None:
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000))
    draft(centre, receipt.case, secret=receipt.secret)
    draft(centre, receipt.case, actor=AGENT, reason="the victim calls")
    with centre.database.uow.read(SUPERVISOR) as tx:
        rows = tx.connection.execute(
            sa.text(
                "select who, action, body from journal_rows where action in"
                " ('storage.identity.opened', 'cases.complaint.drafted') order by id"
            )
        ).all()
    assert [(r.who, r.action) for r in rows] == [
        ("citizen", "storage.identity.opened"),
        ("citizen", "cases.complaint.drafted"),
        (AGENT.id, "storage.identity.opened"),
        (AGENT.id, "cases.complaint.drafted"),
    ]
    assert "the victim calls" in rows[3].body
    assert "Somchai" not in str(rows)


def test_an_erased_identity_leaves_blank_lines(centre: Centre) -> None:
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000))
    with centre.database.uow.begin(SUPERVISOR) as tx:
        report = centre.matter.reports.of_case(tx, receipt.case)[0]
        centre.vault.shred(tx, report.id, reason="asked for")
    made = draft(centre, receipt.case, secret=receipt.secret)
    assert not made.identified
    assert "Name: ......" in made.text.en
    assert receipt.case in made.text.en
