"""The page a holder contests on: no login, both languages, nothing kept, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from openaoc.appeals.model import STATEMENT_CHARACTERS_MAX
from openaoc.web.words import words
from tests.appeals.contests import code_of, decide, held, refuse, second, take, uphold
from tests.appeals.site import site
from tests.workflow.centre import AGENT, Centre


@pytest.fixture
def client(centre: Centre) -> Iterator[TestClient[Litestar]]:
    with TestClient(site(centre)) as found:
        yield found


def send(client: TestClient[Litestar], lang: str = "en", **fields: str) -> httpx.Response:
    return client.post(f"/contest/sent?lang={lang}", data=fields)


@pytest.mark.parametrize("lang", ["th", "en"])
@pytest.mark.parametrize("address", ["/case", "/contest", "/check-order"])
def test_the_empty_form(client: TestClient[Litestar], lang: str, address: str) -> None:
    page = client.get(f"{address}?lang={lang}")
    assert page.status_code == 200
    assert f'<html lang="{lang}">' in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    links = re.findall(r'(?:src|href|action)="([^"]+)"', page.text)
    assert links
    assert all(link.startswith(("/", "#")) for link in links)
    for field in re.findall(r'<(?:input|textarea)[^>]* id="(\w+)"', page.text):
        assert f'<label for="{field}">' in page.text


@pytest.mark.parametrize("address", ["/case", "/contest", "/check-order"])
def test_who_opens_the_address_a_form_was_sent_to_finds_the_form(
    client: TestClient[Litestar], address: str
) -> None:
    """A bookmark, or a tab that is restored."""
    for asked, led in (("", ""), ("?lang=en", "?lang=en"), ("?lang=%0d%0ax", "")):
        back = client.get(f"{address}/sent{asked}", follow_redirects=False)
        assert (back.status_code, back.headers["location"]) == (303, address + led)
        assert back.headers["cache-control"] == "no-store"
    assert "<form" in client.get(f"{address}/sent").text


def test_a_statement_as_long_as_its_field_is_taken_with_its_lines(
    client: TestClient[Litestar], centre: Centre
) -> None:
    order = held(centre)
    said = {"order": order, "code": code_of(centre, order), "once": "long"}
    long = ("ขายข้าว\r\n" * STATEMENT_CHARACTERS_MAX)[: STATEMENT_CHARACTERS_MAX + 400]
    assert len(long.replace("\r\n", "\n")) <= STATEMENT_CHARACTERS_MAX
    page = send(client, do="contest", statement=long, **said)
    assert (page.status_code, words("en")["contest_state_filed"] in page.text) == (200, True)


def test_a_holder_contests_and_reads_the_answer(
    client: TestClient[Litestar], centre: Centre
) -> None:
    order = held(centre)
    key = {"order": order, "code": code_of(centre, order)}
    page = send(client, do="contest", statement="I sold <b>rice</b>.", once="n1", **key)
    assert page.status_code == 200
    text = words("en")
    assert text["contest_state_filed"] in page.text
    assert "THB 1,000.00" in page.text
    assert "rice" not in page.text, "what was sent is not shown again"
    number = re.search(r"APL-\w{4}-\w{4}-\w", page.text)
    assert number is not None
    again = send(client, do="contest", statement="I sold <b>rice</b>.", once="n1", **key)
    assert number.group() in again.text
    send(client, do="contest", statement="And here is more.", once="n1", **key)
    take(centre, number.group())
    decide(centre, number.group(), refuse(reasons=["passes_through"]))
    answer = send(client, "th", do="status", **key)
    assert words("th")["contest_state_refused"] in answer.text
    assert "ไม่กี่นาที" in answer.text
    assert "1213" in answer.text
    with centre.database.uow.read(AGENT) as tx:
        shown = centre.matter.appeals.show(tx, number.group())
    assert shown.statements == 2, "one sent twice, and one written after going back"


@pytest.mark.parametrize(
    ("fields", "name", "status"),
    [
        ({"order": "ord_x", "code": "AAAA"}, "contest_wrong", 404),
        ({"code": "AAAA"}, "contest_input", 400),
        ({"order": "o" * 65, "code": "AAAA"}, "contest_input", 400),
        ({"order": "ord_x", "code": "A\0"}, "contest_input", 400),
        ({"order": "ord_x", "code": "A", "statement": "x" * 4_001}, "contest_input", 400),
        ({str(n): "x" for n in range(20)}, "contest_input", 400),
    ],
)
def test_what_is_refused_is_said(
    client: TestClient[Litestar], fields: dict[str, str], name: str, status: int
) -> None:
    page = send(client, **{"statement": "why", **fields})
    assert page.status_code == status
    assert words("en")[name] in page.text
    assert 'role="alert"' in page.text


def test_no_statement_is_no_contest(client: TestClient[Litestar], centre: Centre) -> None:
    order = held(centre)
    key = {"order": order, "code": code_of(centre, order)}
    assert words("en")["contest_input"] in send(client, statement="  ", **key).text
    assert words("en")["contest_none"] in send(client, do="status", **key).text


def test_what_was_typed_is_kept_after_a_mistake_and_escaped(client: TestClient[Litestar]) -> None:
    page = send(client, order='"><script>', code="AAAA", statement="<i>why</i>", once="n7")
    assert 'value="n7"' in page.text, "sent again it is the same"
    assert "&lt;i&gt;why&lt;/i&gt;" in page.text
    assert "<script>" not in page.text


def test_nobody_tries_codes_for_long(client: TestClient[Litestar]) -> None:
    pages = [send(client, order="ord_x", code=f"A{n}", statement="why") for n in range(12)]
    assert pages[-1].status_code == 429
    assert words("en")["form_often"] in pages[-1].text


def test_other_content_is_no_form(client: TestClient[Litestar]) -> None:
    for body, kind in ((b"{}", "application/json"), (b"order=%ff&code=\xff", "text/plain")):
        page = client.post("/contest/sent", content=body, headers={"Content-Type": kind})
        assert page.status_code == 400
    broken = client.post(
        "/contest/sent",
        content=b"order=%ff",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert broken.status_code == 400
    large = client.post("/contest/sent", data={"statement": "x" * 70_000})
    assert large.status_code == 413


def test_a_bank_checks_what_was_read_to_it(client: TestClient[Litestar], centre: Centre) -> None:
    order = held(centre)
    with centre.database.uow.begin(AGENT) as tx:
        code = centre.matter.telephone.paper(tx, order).code
    good = client.post("/check-order/sent?lang=en", data={"order": order, "code": code})
    assert words("en")["check_valid"] in good.text
    assert "1,000" not in good.text, "no more than valid or not"
    for fields in ({"order": order, "code": "0000-0000"}, {"order": "x"}, {}):
        bad = client.post("/check-order/sent?lang=en", data=fields)
        assert words("en")["check_invalid"] in bad.text


def test_an_upheld_contest_says_so(client: TestClient[Litestar], centre: Centre) -> None:
    order = held(centre)
    key = {"order": order, "code": code_of(centre, order)}
    page = send(client, do="contest", statement="paid back", once="n", **key)
    number = re.search(r"APL-\w{4}-\w{4}-\w", page.text)
    assert number is not None
    take(centre, number.group())
    second_needed = decide(centre, number.group(), uphold(reasons=["already_repaid"]))
    assert second_needed.persons_needed == 2
    second(centre, number.group())
    answer = send(client, do="status", **key)
    assert words("en")["contest_state_upheld"] in answer.text
    over = send(client, do="contest", statement="again", once="m", **key)
    assert over.status_code == 409
    assert words("en")["contest_over"] in over.text
