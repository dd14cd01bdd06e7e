"""ISO 20022: what we write is valid and read back, by pyiso20022 too; bad is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiso20022.camt.camt_029_001_09 import Document as Answered
from pyiso20022.camt.camt_056_001_08 import Document as Asked
from pyiso20022.pacs.pacs_004_001_09 import Document as Returned
from pyiso20022.pacs.pacs_008_001_08 import Document as Paid
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.serializers import XmlSerializer

from openaoc.channels.iso20022 import camt029, camt056, pacs004, pacs008
from openaoc.channels.iso20022.camt029 import IsoAnswer
from openaoc.channels.iso20022.schema import namespace
from openaoc.channels.iso20022.words import LINE_CHARACTERS_MAX, LINES_MAX, lines
from openaoc.channels.iso20022.xml import (
    DOCUMENT_BYTES_MAX,
    BadMessage,
    Money,
    NotValid,
    parse,
)
from openaoc.kernel.clock import from_us
from openaoc.kernel.errors import BadInput, TooLarge

NOW = datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC)
THAI = "เงินของผู้เสียหายถูกโอนมาที่บัญชีนี้"

texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"]), min_size=1
)
ids = st.from_regex(r"ord_[0-9a-z]{20}", fullmatch=True)
codes = st.from_regex(r"[A-Z]{3,8}", fullmatch=True)
numbers = st.from_regex(r"[0-9]{1,20}", fullmatch=True)
currencies = st.sampled_from(["THB", "JPY", "KWD", "VND", "USD"])
amounts = st.integers(1, 10**15)
moments = st.integers(0, 4 * 10**15).map(from_us)
both = st.builds(camt056.Texts, th=texts, en=texts)
holds = st.builds(
    camt056.HoldRequest,
    order=ids,
    revision=st.integers(1, 99),
    case=st.just("AOC-7K3M-9QX2-4"),
    institution=codes,
    account=numbers,
    amount_minor=amounts,
    currency=currencies,
    rule=st.just("TH-2566-s7-victim"),
    legal_basis=texts,
    reason=both,
    issued_at=moments,
    answer_by=moments,
    ends_at=moments,
)
ends = st.builds(
    camt056.EndRequest,
    order=ids,
    revision=st.integers(1, 99),
    institution=codes,
    account=numbers,
    amount_minor=amounts,
    remaining_minor=amounts,
    currency=currencies,
    reason=both,
    at=moments,
)


def _again(data: bytes, document: type[object]) -> bytes:
    """The message through pyiso20022's classes, and out again."""
    read: object = XmlParser().from_bytes(data, document)
    space = data.split(b'xmlns="', 1)[1].split(b'"', 1)[0].decode()
    return XmlSerializer().render(read, ns_map={None: space}).encode()


@settings(max_examples=40, deadline=None)
@given(st.lists(holds | ends, min_size=1, max_size=4), ids, codes)
def test_requests_are_valid_and_read_back_exactly(
    requests: list[camt056.Request], message_id: str, centre: str
) -> None:
    message = camt056.Requests(
        message_id=message_id, centre=centre, institution="SCB", at=NOW, requests=requests
    )
    data = camt056.write(message)
    assert camt056.read(data) == message
    theirs = XmlParser().from_bytes(data, Asked).fito_fipmt_cxl_req.undrlyg[0].tx_inf
    assert [one.cxl_id for one in theirs] == [request.order for request in requests]
    for one, request in zip(theirs, requests, strict=True):
        amount = one.orgnl_intr_bk_sttlm_amt
        assert amount is not None
        left = (
            request.amount_minor
            if isinstance(request, camt056.HoldRequest)
            else request.remaining_minor
        )
        assert Money(amount_minor=left, currency=request.currency).text == str(amount.value)


def test_a_hold_asks_for_fraud_and_says_it_in_thai_and_english() -> None:
    request = camt056.HoldRequest(
        order="ord_0123456789abcdefghjk",
        revision=1,
        case="AOC-7K3M-9QX2-4",
        institution="SCB",
        account="0012345678",
        amount_minor=1_600_050,
        currency="THB",
        rule="TH-2566-s7-victim",
        legal_basis="มาตรา 7 / section 7",
        reason=camt056.Texts(th=THAI * 8, en="Money of a victim"),
        issued_at=NOW,
        answer_by=NOW + timedelta(hours=1),
        ends_at=NOW + timedelta(hours=72),
    )
    message = camt056.Requests(
        message_id="msg_1", centre="OPENAOC-TH", institution="SCB", at=NOW, requests=[request]
    )
    one = (
        XmlParser()
        .from_bytes(camt056.write(message), Asked)
        .fito_fipmt_cxl_req.undrlyg[0]
        .tx_inf[0]
    )
    reason = one.cxl_rsn_inf[0]
    assert reason.rsn is not None
    assert reason.rsn.cd == "FRAD"
    assert "HOLD at most THB 16000.50" in reason.addtl_inf[0]
    assert THAI * 8 in "".join(reason.addtl_inf)
    assert all(len(line) <= LINE_CHARACTERS_MAX for line in reason.addtl_inf)
    assert one.orgnl_tx_ref is not None
    assert one.orgnl_tx_ref.cdtr_acct is not None
    assert one.orgnl_tx_ref.cdtr_acct.id.othr is not None
    assert one.orgnl_tx_ref.cdtr_acct.id.othr.id == "0012345678"


@given(texts)
def test_lines_are_short_and_lose_no_word(text: str) -> None:
    made = [str(line) for _, line in lines("AddtlInf", text)]
    assert all(0 < len(line) <= LINE_CHARACTERS_MAX for line in made)
    if len(made) < LINES_MAX:
        assert "".join("".join(made).split()) == "".join(text.split())


ANSWERS = [
    IsoAnswer(order="o1", outcome="applied", bank_case_id="B-1"),
    IsoAnswer(
        order="o2", outcome="applied", applied=Money(amount_minor=5, currency="THB"), reason="part"
    ),
    IsoAnswer(
        order="o3", outcome="refused", code="AM04", reason="nothing there", nothing_available=True
    ),
    IsoAnswer(order="o4", outcome="unknown_account", code="NOOR", reason="never came"),
    IsoAnswer(order="o5", outcome="pending"),
]


def _answers(answers: list[IsoAnswer]) -> bytes:
    return camt029.write(
        camt029.Answers(message_id="m", institution="SCB", centre="C", at=NOW, answers=answers)
    )


@pytest.mark.parametrize("answers", [[one] for one in ANSWERS] + [ANSWERS])
def test_answers_are_read_back(answers: list[IsoAnswer]) -> None:
    data = _answers(answers)
    assert camt029.read(data) == answers
    assert camt029.read(_again(data, Answered)) == answers


def test_one_answer_may_stand_for_the_whole_message() -> None:
    text = _answers([ANSWERS[0]]).decode()
    start, end = text.index("<CxlDtls>"), text.index("</CxlDtls>") + len("</CxlDtls>")
    case = text[text.index("<RslvdCase>") : text.index("</RslvdCase>") + len("</RslvdCase>")]
    whole = (text[:start] + text[end:]).replace("<Sts>", f"{case}<Sts>")
    assert camt029.read(whole.encode()) == [IsoAnswer(order="o1", outcome="applied")]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("AM04", "ZZZZ"), "no reason to reject"),
        (("<TxCxlSts>RJCR</TxCxlSts>", "<TxCxlSts>ZZZZ</TxCxlSts>"), "ZZZZ"),
        (("<Id>o3</Id>", "<Id></Id>"), "Id"),
        (("<CxlStsRsnInf>", "<Surprise/><CxlStsRsnInf>"), "Surprise"),
        (("</Document>", ""), "Premature end"),
        (("2026-11-21T01", "21 November"), "CreDtTm"),
    ],
)
def test_a_bad_answer_is_refused_and_says_why(change: tuple[str, str], says: str) -> None:
    text = _answers([ANSWERS[2]]).decode()
    assert change[0] in text
    with pytest.raises(BadMessage, match=says):
        camt029.read(text.replace(*change).encode())


def test_an_amount_that_was_not_blocked_is_refused() -> None:
    text = _answers([ANSWERS[1]]).decode().replace("ACCR", "RJCR").replace("CNCL", "RJCR")
    with pytest.raises(BadMessage, match="not blocked"):
        camt029.read(text.encode())


RETURNS = pacs004.Returns(
    message_id="m",
    at=NOW,
    returns=[
        pacs004.Return(
            return_id="R1",
            original_id="T1",
            amount=Money(amount_minor=1_600_050, currency="THB"),
            code="FOCR",
            reason="after your request",
            debtor_bank="KBANK",
            debtor_account="0011",
            creditor_bank="SCB",
            creditor_account="0022",
        ),
        pacs004.Return(
            return_id="R2",
            original_id="T2",
            amount=Money(amount_minor=7, currency="JPY"),
            code="FRAD",
        ),
    ],
)


def test_returns_are_read_back() -> None:
    data = pacs004.write(RETURNS)
    assert pacs004.read(data) == RETURNS
    assert pacs004.read(_again(data, Returned)) == RETURNS


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("FOCR", "ZZZZ"), "no reason for a return"),
        (("<NbOfTxs>2<", "<NbOfTxs>3<"), "3 payments announced, 2 there"),
        (("16000.50", "16000.505"), "no amount of THB"),
        ((">7<", ">0<"), "without an amount"),
        (('Ccy="JPY"', 'Ccy="XQX"'), "XQX"),
    ],
)
def test_a_bad_return_is_refused(change: tuple[str, str], says: str) -> None:
    text = pacs004.write(RETURNS).decode()
    assert change[0] in text
    with pytest.raises(BadInput, match=says):
        pacs004.read(text.replace(*change).encode())


PAYMENTS = pacs008.Payments(
    message_id="m",
    at=NOW,
    payments=[
        pacs008.Payment(
            payment_id="rst_1",
            amount=Money(amount_minor=1, currency="THB"),
            debtor_bank="SCB",
            debtor_account="0022",
            creditor_bank="KBANK",
            creditor_account="0011",
            creditor_name="สมชาย ใจดี",
            text=THAI,
            at=NOW - timedelta(hours=1),
        )
    ],
)


def test_payments_are_read_back() -> None:
    data = pacs008.write(PAYMENTS)
    assert pacs008.read(data) == PAYMENTS
    assert pacs008.read(_again(data, Paid)) == PAYMENTS
    announced = b"<NbOfTxs>001</NbOfTxs><CtrlSum>0.010</CtrlSum>"
    assert pacs008.read(data.replace(b"<NbOfTxs>1</NbOfTxs>", announced)) == PAYMENTS


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("<NbOfTxs>1<", "<NbOfTxs>2<"), "2 payments announced, 1 there"),
        (("</NbOfTxs>", "</NbOfTxs><CtrlSum>0.02</CtrlSum>"), "0.02 announced, 0.01 there"),
        (("T01:02:03.456789Z", "T01:02:03"), "no time zone"),
        (("<Id>0011</Id>", "<Id></Id>"), "Id"),
        (("<ChrgBr>SLEV", "<ChrgBr>NONE"), "ChrgBr"),
    ],
)
def test_a_bad_payment_is_refused(change: tuple[str, str], says: str) -> None:
    text = pacs008.write(PAYMENTS).decode()
    assert change[0] in text
    with pytest.raises(BadInput, match=says):
        pacs008.read(text.replace(*change).encode())


def test_a_wallets_address_is_said_in_words_where_its_field_is_too_short() -> None:
    address = "BC1QRP33G0Q5C5TXSP9ARYSRX4K6ZDKFS4NCE4XJ0GDCCCEFVPYSXF3QCCFMV3"
    ended = camt056.EndRequest(
        order="ord_1",
        revision=2,
        institution="EXCHANGE",
        account=address,
        amount_minor=5,
        remaining_minor=0,
        currency="THB",
        reason=camt056.Texts(th=THAI, en="over"),
        at=NOW,
    )
    message = camt056.Requests(
        message_id="m", centre="C", institution="EXCHANGE", at=NOW, requests=[ended]
    )
    data = camt056.write(message)
    assert camt056.read(data) == message
    one = XmlParser().from_bytes(data, Asked).fito_fipmt_cxl_req.undrlyg[0].tx_inf[0]
    assert one.orgnl_tx_ref is not None
    assert one.orgnl_tx_ref.cdtr_acct is None, "half an address is none"
    assert one.cxl_rsn_inf[0].addtl_inf[0] == f"ACCOUNT {address}"


def test_what_is_no_message_is_refused() -> None:
    kinds = [camt029.MESSAGE, pacs004.MESSAGE]
    billion = b'<!DOCTYPE a [<!ENTITY b "bbbb">]><Document xmlns="x">&b;</Document>'
    for data in (b"", b"\x00", b"{}", b"<a/>", billion, pacs008.write(PAYMENTS)):
        with pytest.raises(BadMessage):
            parse(data, among=kinds)
    doctype = b"<!DOCTYPE Document>" + pacs004.write(RETURNS).split(b"?>", 1)[1]
    with pytest.raises(BadMessage, match="document type"):
        parse(doctype, among=kinds)
    with pytest.raises(TooLarge):
        parse(b" " * (DOCUMENT_BYTES_MAX + 1), among=kinds)


def test_what_the_schema_forbids_does_not_leave() -> None:
    message = camt029.Answers(
        message_id="x" * 36, institution="SCB", centre="C", at=NOW, answers=[ANSWERS[0]]
    )
    with pytest.raises(NotValid, match="36"):
        camt029.write(message)
    with pytest.raises(NotValid, match="XML"):
        _answers([IsoAnswer(order="o", outcome="refused", reason="a\x00b")])


def test_the_namespace_is_the_standards() -> None:
    assert namespace("camt.056.001.08").encode() in camt056.write(
        camt056.Requests(
            message_id="m",
            centre="C",
            institution="SCB",
            at=NOW,
            requests=[
                camt056.EndRequest(
                    order="o",
                    revision=1,
                    institution="SCB",
                    account="1",
                    amount_minor=1,
                    remaining_minor=0,
                    currency="THB",
                    reason=camt056.Texts(th="ก", en="b"),
                    at=NOW,
                )
            ],
        )
    )


def test_a_block_that_goes_over_is_said_exactly_and_in_words() -> None:
    both = camt056.Texts(th=THAI, en="It stays blocked.")
    order = camt056.HoldRequest(
        order="ord_2", revision=1, case="AOC-7K3M-9QX2-4", institution="SCB", account="0012",
        amount_minor=100, currency="THB", rule="R", legal_basis="section 7", reason=both,
        issued_at=NOW, answer_by=NOW, ends_at=NOW, continues="ord_1",
    )  # fmt: skip
    end = camt056.EndRequest(
        order="ord_1", revision=2, institution="SCB", account="0012", amount_minor=100,
        remaining_minor=0, currency="THB", reason=both, at=NOW, continued_by="ord_2",
    )  # fmt: skip
    data = camt056.write(
        camt056.Requests(
            message_id="m", centre="OPENAOC", institution="SCB", at=NOW, requests=[order, end]
        )
    )
    assert camt056.read(data).requests == [order, end]
    text = data.decode()
    assert "CONTINUES order ord_1: already blocked, block nothing more" in text
    assert "GO ON HOLDING under order ord_2" in text
    assert "GIVE BACK" not in text
