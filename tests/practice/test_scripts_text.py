"""Personal data leaves no text; the same scam is found in other words and other languages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from openaoc.kernel.errors import BadInput
from openaoc.practice.likeness import Shelf
from openaoc.practice.redact import redact
from openaoc.practice.trial import practice_rules

WORDINGS = tomllib.loads(Path(__file__).with_name("wordings.toml").read_text("utf-8"))

WRITTEN = {
    "โทร081-234-5678นะ": "โทร[phone]นะ",
    "call +66 81 234 5678 now": "call [phone] now",
    "gọi 0912.345.678": "gọi [phone]",
    "บัญชี 123-4-56789-0": "บัญชี [number]",
    "๐๘๑ ๒๓๔ ๕๖๗๘": "[phone]",
    "id 1-2345-67890-12-3": "id [national-id]",
    "write to somchai.j@mail.example.com please": "write to [email] please",
    "somchai (at) mail [dot] com": "[email]",
    "go to hxxps://evil[.]example/login?u=1 quickly": "go to [url] quickly",
    "เข้า www.evil.com/aติดต่อ": "เข้า [url]ติดต่อ",
    "see evil-bank.co.th today": "see [url] today",
    "add LINE: @goldgroup": "add [handle]",
    "ไลน์ไอดี gold.99 ได้เลย": "[handle] ได้เลย",
    "加微信号: gold_99": "加[handle]",
    "or @gold_99 there": "or [handle] there",
    "send to 0x52908400098527886E0F7030069857D2E4169EE7": "send to [wallet]",
    "passport AB1234567": "passport [document]",
}
KEPT = (
    "pay 1,500,000.00 baht",
    "chuyển 50.000.000 đồng",
    "before 17:30 on 5 May 2026",
    "30% a week",
    "ทำงานวันละ 1500 บาท",
)


@pytest.mark.parametrize("text", WRITTEN)
def test_what_has_a_form_becomes_a_place(text: str) -> None:
    found = redact(text)
    assert found.text == WRITTEN[text]
    assert sum(found.removed.values()) == 1


@pytest.mark.parametrize("text", KEPT)
def test_amounts_and_times_stay(text: str) -> None:
    assert redact(text).text == text
    assert redact(text).removed == {}


def test_names_go_whole_and_in_parts_with_their_titles() -> None:
    text = "นายสมชาย ใจดี said Mr. Somchai Jaidee, SOMCHAI's wife, 王伟 and somchai again"
    found = redact(text, names=("สมชาย ใจดี", "Somchai Jaidee", "王伟"))
    assert not re.search("สมชาย|ใจดี|somchai|jaidee|王伟|Mr", found.text, re.IGNORECASE)
    assert found.removed == {"name": 5}


def test_what_the_report_names_goes_however_it_is_spaced() -> None:
    found = redact("account 12 34-56 X and ref T 9 9 a", known={"123456X": "account", "T99a": "id"})
    assert found.text == "account [account] and ref [id]"


@settings(max_examples=120)
@given(
    words=st.lists(st.sampled_from(["ขอ", "call", "转账", "tôi", "pay 500", "\n"]), max_size=6),
    digits=st.integers(10**8, 10**10 - 1),
    sep=st.sampled_from(["", "-", " ", ".", "\u2013"]),
    zero=st.sampled_from(["0", "+66", "\u0e50", ""]),
)
def test_no_long_number_is_left_and_what_is_clean_stays(
    words: list[str], digits: int, sep: str, zero: str
) -> None:
    assume(not (sep == "." and digits % 1_000 == 0))  # a round sum of money
    number = zero + sep.join(re.findall("..?.?", str(digits)))
    found = redact("".join([*words, number, *words[::-1]]))
    assert max((len(run) for run in re.findall(r"\d+", found.text)), default=0) < 6
    assert str(digits)[:6] not in re.sub(r"\D", "", found.text.replace("500", ""))
    assert redact(found.text).text == found.text


@pytest.mark.parametrize("text", ["", " \u200b \n", "a" * 20_001])
def test_an_empty_or_endless_text_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        redact(text)


def test_how_often_it_is_found_again_is_what_the_page_says() -> None:
    """The figures of docs/reference/practice.md; a change of them is a change of that page."""
    shelved = [
        (scam, language, pair["script"])
        for scam, by in WORDINGS["scam"].items()
        for language, pair in by.items()
    ]
    shelf = Shelf([redact(text).text for *_, text in shelved])
    limits = practice_rules().likeness
    same = across = right = answers = first = 0
    for scam, by in WORDINGS["scam"].items():
        for language, pair in by.items():
            found = shelf.like(
                redact(pair["again"]).text,
                wording_min=limits.wording_min,
                meaning_min=limits.meaning_min,
                limit=20,
            )
            hits = [shelved[one.place][:2] for one in found]
            same += (scam, language) in hits
            across += sum(hit[0] == scam and hit[1] != language for hit in hits)
            right += sum(hit[0] == scam for hit in hits)
            answers += len(hits)
            first += bool(hits) and hits[0][0] == scam
    assert (same, across, first) == (30, 84, 31)
    assert (right, answers) == (114, 127)
    assert not [
        text
        for texts in WORDINGS["harmless"].values()
        for text in texts
        if shelf.like(text, wording_min=20, meaning_min=40, limit=5)
    ]


def test_a_language_that_is_not_in_the_list_is_found_by_its_wording_alone() -> None:
    khmer = "ប៉ូលីសនិយាយថាអ្នកត្រូវផ្ទេរប្រាក់ទៅគណនីសុវត្ថិភាពដើម្បីពិនិត្យ"
    shelf = Shelf([khmer, WORDINGS["scam"]["police"]["en"]["script"]])
    (found,) = shelf.like(khmer + "ថ្ងៃនេះ", wording_min=20, meaning_min=40, limit=5)
    assert (found.place, found.meaning) == (0, 0)


def test_an_empty_shelf_finds_nothing() -> None:
    assert Shelf([]).like("transfer the money", wording_min=0, meaning_min=0, limit=5) == []
