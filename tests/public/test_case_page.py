"""The page on which a victim follows the case: hours left, sums, and a complaint to print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from openaoc.kernel.actor import CITIZEN
from openaoc.reports.model import Channel, Proof, ReportReceipt
from openaoc.web.words import words
from tests.appeals.site import site
from tests.workflow.centre import ADMIN, INVESTIGATOR, Centre
from tests.workflow.test_control import code


@pytest.fixture
def client(centre: Centre) -> Iterator[TestClient[Litestar]]:
    with TestClient(site(centre)) as found:
        yield found


@pytest.fixture
def receipt(centre: Centre) -> ReportReceipt:
    """A case with one order of 1,000 baht, of which 600 are held."""
    origin = centre.pay("KBANK:111", "SCB:222", 100_000)
    proof = Proof(kind="institution", bank_case_id="K-77")
    filed = centre.file(origin, proof=proof, narrative="They said <b>tax</b>.", scam_type="6")
    centre.answer(filed.orders[0].order, "SCB", 60_000)
    centre.matter.duties.run_due()
    return filed


def send(client: TestClient[Litestar], lang: str = "en", **fields: str) -> httpx.Response:
    return client.post(f"/case/sent?lang={lang}", data=fields)


def test_the_victim_sees_sums_and_the_hours_that_are_left(
    client: TestClient[Litestar], centre: Centre, receipt: ReportReceipt
) -> None:
    centre.clock.advance(timedelta(hours=10, minutes=31))
    key = {"case": receipt.case.lower().replace("-", " "), "secret": f" {receipt.secret} "}
    page = send(client, do="look", **key)
    assert page.status_code == 200
    text = words("en")
    for shown in (
        text["case_state_pursued"],
        "61.4 hours are left",
        "2026-01-08 10:00 +07:00",
        "THB 600.00",
        "THB 1,000.00",
        f"{text['orders']}: {text['state_applied_in_part']}",
        "K-77",
    ):
        assert shown in page.text, shown
    assert not re.search(r"\b222\b", re.sub(r'value="[^"]*"', "", page.text)), "no account"
    assert text["case_sum_restituted"] not in page.text, "nothing came back yet"
    assert "ชั่วโมง" in send(client, "th", do="look", **key).text
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.complain(
            tx, receipt.case, complained_at=centre.clock.now(), reference="station 7"
        )
    noted = send(client, do="look", **key).text
    assert f"{text['case_complained']} 2026-01-05 20:31 +07:00" in noted
    assert "hours are left" not in noted


def test_the_complaint_is_drafted_without_retelling(
    client: TestClient[Litestar], receipt: ReportReceipt
) -> None:
    page = send(client, do="draft", case=receipt.case, secret=receipt.secret)
    assert page.status_code == 200
    assert "Somchai Jaidee" in page.text
    assert "They said &lt;b&gt;tax&lt;/b&gt;." in page.text
    assert '<section lang="th">' in page.text
    assert "ข่มขู่ทางโทรศัพท์" in page.text
    assert "Kind of deception: telephone-threat" in page.text
    assert page.headers["cache-control"] == "no-store"
    rules = page.headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "script" not in rules


def test_a_code_is_asked_for_and_given_back(client: TestClient[Litestar], centre: Centre) -> None:
    with centre.database.uow.begin(ADMIN) as tx:
        centre.parties.set_endpoint(tx, code="KBANK", endpoint="http://127.0.0.1:1")
    origin = centre.pay("KBANK:1111222233", "SCB:222", 100_000)
    filed = centre.file(origin, sender=CITIZEN, channel=Channel.WEB)
    key, text = {"case": filed.case, "secret": filed.secret}, words("en")
    waits = send(client, do="look", **key).text
    assert text["case_state_needs_person"] in waits
    assert text["case_prove"] in waits
    asked = send(client, do="ask", **key)
    assert text["case_control_asked"] in asked.text
    assert "2233" in asked.text
    assert "1111222233" not in asked.text
    wrong = send(client, do="prove", code="0000-0000", **key)
    assert (wrong.status_code, text["case_code_wrong"] in wrong.text) == (403, True)
    assert centre.orders(filed.case)[0].state == "drafted"
    none = send(client, do="prove", code="", **key)
    for again in (wrong, none):
        assert text["case_prove"] in again.text, "to try again without looking again"
    digits = code(centre).translate(str.maketrans("0123456789", "๐๑๒๓๔๕๖๗๘๙"))
    proven = send(client, do="prove", code=f" {digits} ", **key)
    assert text["case_proven"] in proven.text
    assert text["case_state_pursued"] in proven.text
    assert text["case_prove"] not in proven.text, "nothing is left to prove"
    assert centre.orders(filed.case)[0].state == "issued"


@pytest.mark.parametrize("do", ["look", "draft", "ask"])
def test_a_wrong_number_and_a_wrong_secret_are_refused_alike(
    client: TestClient[Litestar], receipt: ReportReceipt, do: str
) -> None:
    for case, secret in (
        (receipt.case, "0000-0000-0000-0000"),
        ("AOC-0000-0000-0", receipt.secret),
        (receipt.case, ""),
        ("", ""),
        (receipt.case, "x" * 200),
        ("ข" * 200, receipt.secret),
    ):
        page = send(client, do=do, case=case, secret=secret)
        assert page.status_code == 404
        assert words("en")["case_wrong"] in page.text
        assert "Somchai" not in page.text
    assert send(client, do=do, case="a\0", secret="b").status_code == 400


def test_nobody_tries_secrets_for_long(client: TestClient[Litestar]) -> None:
    for _ in range(30):
        page = send(client, case="AOC-0000-0000-0", secret="wrong")
    assert page.status_code == 404
    page = send(client, case="AOC-0000-0000-0", secret="typed with care")
    assert page.status_code == 429
    assert words("en")["form_often"] in page.text
    assert "typed with care" in page.text, "nothing has to be typed again"
