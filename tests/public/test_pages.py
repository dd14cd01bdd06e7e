"""The status page: words in both languages, nothing from elsewhere, nothing personal."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from openaoc.holds.comparing import Sender, SentRules, compare
from openaoc.holds.legal import jurisdictions, rulebook
from openaoc.public.status_page import BAR_UNITS, money_parts, render
from openaoc.statistics.model import LiveFigures
from openaoc.web.law import render_law
from openaoc.web.pages import ASSET_TYPES, asset, asset_address
from openaoc.web.words import LANGUAGES, choose_language, words, write_money, write_seconds
from tests.public.pages import EMPTY, FIGURES, FakeCentre, public_app


@pytest.fixture
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(public_app(FakeCentre(FIGURES))) as found:
        yield found


def test_both_languages_have_the_same_words() -> None:
    thai, english = words("th"), words("en")
    assert thai.keys() == english.keys()
    for key, text in thai.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", english[key]))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_every_figure(client: TestClient[Litestar], language: str) -> None:
    reply = client.get(f"/?lang={language}")
    assert reply.status_code == 200
    assert f'<html lang="{language}">' in reply.text
    for shown in ("1,284", "3,911", "2,804", "0.62", "3.9", "11.03", "90.56", "412"):
        assert shown in reply.text, shown
    assert words(language)["state_applied"] in reply.text
    part = client.get(f"/figures?lang={language}").text
    assert "<html" not in part
    assert part.strip() in reply.text


def test_names_are_escaped(client: TestClient[Litestar]) -> None:
    page = client.get("/?lang=en").text
    assert "&lt;Mango&gt; Wallet" in page
    assert "<Mango>" not in page


def test_the_page_asks_nobody_else(client: TestClient[Litestar]) -> None:
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses
    assert all(address.startswith(("/", "#")) for address in addresses)
    for name in ASSET_TYPES:
        text = asset(name).decode("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text
        assert "url(" not in text
    assert "style=" not in page.text
    assert "onclick" not in page.text


def test_assets_are_kept_by_their_content(client: TestClient[Litestar]) -> None:
    for name, kind in ASSET_TYPES.items():
        reply = client.get(asset_address(name))
        assert reply.content == asset(name)
        assert reply.headers["content-type"] in (kind, f"{kind}; charset=utf-8")
        assert "immutable" in reply.headers["cache-control"]
    for wrong in ("status.html", "..%2Fwords.toml", "x"):
        assert client.get(f"/assets/{wrong}").status_code == 404


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sheet_of_rules_marks_what_nobody_confirmed(
    client: TestClient[Litestar], language: str
) -> None:
    reply = client.get(f"/rules?lang={language}&jurisdiction=TH&jurisdiction=SG")
    assert reply.status_code == 200
    assert reply.headers["content-language"] == language
    text = words(language)
    for shown in ("Thailand", "Singapore", text["law_hours"].format(hours=72), "TH-2566-s7-victim"):
        assert shown in reply.text, shown
    assert "Vietnam" not in reply.text
    thailand = client.get(f"/rules?lang={language}&jurisdiction=TH").text
    assert thailand.count(text["law_unconfirmed"]) == 1, "in the legend alone"
    assert "<style" not in reply.text, "the page's policy lets in no style of its own"
    assert client.get("/rules?lang=en").text.count("<h3>") == len(jurisdictions())


def test_a_sheet_to_pass_on_is_whole_and_says_whose_word_it_is() -> None:
    sender = Sender(partner="VN-AOC", package="package--1", version=2, made_at=FIGURES.at)
    book = msgspec.structs.replace(rulebook("VN"), name="<script>alert(1)</script>")
    links = ("javascript:alert(1)", "https://example.org/law")
    rules = [msgspec.structs.replace(one, links=links) for one in book.rule]
    sent = SentRules(sender=sender, book=msgspec.structs.replace(book, rule=rules))
    found = compare(("VN",), on=FIGURES.at.date(), sent=[sent])
    page = render_law(found, language="en", whole=True)
    assert asset("law.css").decode() in page
    assert "Sent by VN-AOC, version 2 of 2026-11-21: its own word." in page
    assert words("en")["law_theirs"] in html.unescape(page)
    assert "<script" not in page
    assert 'href="javascript' not in page
    assert 'href="https://example.org/law"' in page


def test_a_centre_without_a_case_has_a_page_too() -> None:
    page = render(EMPTY, language="en", whole=True)
    assert words("en")["shadow_means"] in page
    assert page.count(words("en")["none_yet"]) == 4


@pytest.mark.parametrize(
    ("asked", "accepted", "chosen"),
    [
        ("en", "th", "en"),
        (None, "en-GB,en;q=0.9,th;q=0.8", "en"),
        (None, "de, th;q=0.5", "th"),
        ("xx", "fr", "th"),
        (None, None, "th"),
        ("../en", "e" * 5_000, "th"),
    ],
)
def test_the_language_is_chosen(asked: str | None, accepted: str | None, chosen: str) -> None:
    assert choose_language(asked, accepted) == chosen


@given(st.integers(0, 2**50), st.integers(0, 2**50), st.integers(0, 2**50))
def test_the_bar_is_whole_and_in_order(located: int, held: int, exited: int) -> None:
    figures = msgspec.structs.replace(
        EMPTY, located_minor=located, held_minor=held, exited_minor=exited
    )
    parts = money_parts(figures, language="en")
    assert [part.name for part in parts] == ["held", "located", "exited"]
    total = sum(part.width for part in parts)
    assert total == (BAR_UNITS if located + exited else 0)
    for one, following in itertools.pairwise(parts):
        assert one.start + one.width == following.start or not total


def test_numbers_are_written_for_people() -> None:
    assert write_money(99_999_999, "THB", "en") == "THB 999,999"
    assert write_money(100_000_000, "THB", "en") == "THB 1.00 million"
    assert write_money(250_000_000, "THB", "th") == "2.50 ล้านบาท"
    assert write_money(1_500, "JPY", "en") == "JPY 1,500"
    assert [write_seconds(s) for s in (0.004, 0.5, 4.26, 99.6, 1234.0)] == [
        "0.00",
        "0.50",
        "4.3",
        "100",
        "1,234",
    ]


def test_the_figures_are_the_latest(client: TestClient[Litestar]) -> None:
    centre = client.app.state.centre
    assert isinstance(centre.figures(), LiveFigures)
    centre.another_report()
    assert "1,285" in client.get("/figures?lang=en").text
    assert client.get("/figures").headers["cache-control"] == "no-store"
