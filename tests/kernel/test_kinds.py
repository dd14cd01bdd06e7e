"""Every kind of identifier: one form for all ways of writing it, and nothing for what it is not."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.base58 import ALPHABET
from openaoc.kernel.identifiers.bitcoin import SYMBOLS
from openaoc.kernel.identifiers.ethereum import with_checksum
from openaoc.kernel.identifiers.keccak import keccak_256
from openaoc.kernel.identifiers.kinds import Kind, UnknownKind, kind_named, mask, normalise
from openaoc.kernel.identifiers.person import check_pseudonym

QR = "00020101021129370016A000000677010111011300668123456785802TH530376463042B8A"
GENESIS = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
SEGWIT = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
TAPROOT = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
USDT = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
PERSON = "TH:56ebf4ed63e67c8fa8a2591a5f23c130"

WRITTEN = [
    (Kind.BANK_ACCOUNT, "kbank: 012-3-45678-9", "KBANK:0123456789"),
    (Kind.PHONE, "081-234-5678", "+66812345678"),
    (Kind.PHONE, "๐๘๑ ๒๓๔ ๕๖๗๘", "+66812345678"),
    (Kind.PHONE, "O81 234 5678", "+66812345678"),
    (Kind.PHONE, "+84 912 345 678", "+84912345678"),
    (Kind.PHONE, "tel:+66-81-234-5678", "+66812345678"),
    (Kind.URL, "hxxps://Evil[.]co[.]th:443/Login?a=1#x", "https://evil.co.th/Login?a=1"),
    (Kind.URL, "https://evil.com/loginติดต่อเรา", "https://evil.com/login"),
    (Kind.URL, "evil(dot)com", "http://evil.com/"),
    (Kind.URL, "hxxp[://]evil.com/a", "http://evil.com/a"),
    (Kind.URL, "http://user:pw@evil.com/", "http://evil.com/"),
    (Kind.URL, "http://1.1.1.1:8080/x", "http://1.1.1.1:8080/x"),
    (Kind.DOMAIN, "WWW.Evil[.]CO[.]TH.", "www.evil.co.th"),
    (Kind.DOMAIN, "ไทย.com", "xn--o3cw4h.com"),
    (Kind.EMAIL, "Help.Desk(at)Evil[.]com", "help.desk@evil.com"),
    (Kind.IPV4, "1[.]1[.]1[.]1", "1.1.1.1"),
    (Kind.IPV6, "2606:4700:0000::1111", "2606:4700::1111"),
    (Kind.PROMPTPAY, "081-234-5678", "+66812345678"),
    (Kind.PROMPTPAY, "0066812345678", "+66812345678"),
    (Kind.PROMPTPAY, "1234 5678 9012 345", "123456789012345"),
    (Kind.LINE, "@Scam.Shop", "@scam.shop"),
    (Kind.LINE, "https://line.me/R/ti/p/@scamshop", "@scamshop"),
    (Kind.LINE, "line.me/ti/p/~somchai99", "somchai99"),
    (Kind.LINE, "https://lin.ee/AbC1234", "lin.ee/AbC1234"),
    (Kind.TELEGRAM, "@Task_Rebate", "task_rebate"),
    (Kind.TELEGRAM, "hxxps://t[.]me/Task_Rebate", "task_rebate"),
    (Kind.TELEGRAM, "t.me/+AbCdEfGh1234", "t.me/+AbCdEfGh1234"),
    (Kind.WHATSAPP, "https://wa.me/66812345678", "+66812345678"),
    (Kind.WHATSAPP, "https://api.whatsapp.com/send?phone=66812345678", "+66812345678"),
    (Kind.WHATSAPP, "chat.whatsapp.com/AbCdEfGhIjKl", "chat.whatsapp.com/AbCdEfGhIjKl"),
    (Kind.WECHAT, "Wx_Invest88", "wx_invest88"),
    (Kind.ZALO, "https://zalo.me/84912345678", "+84912345678"),
    (Kind.FACEBOOK, "https://www.facebook.com/Quick.Loan.TH/", "quickloanth"),
    (Kind.FACEBOOK, "facebook.com/profile.php?id=100012345678901", "100012345678901"),
    (Kind.TIKTOK, "https://www.tiktok.com/@Easy.Money", "easy.money"),
    (Kind.PERSON, "th: 1-1017-00230-70-8", PERSON),
    (Kind.PERSON, PERSON, PERSON),
    (Kind.BITCOIN, GENESIS, GENESIS),
    (Kind.BITCOIN, SEGWIT.upper(), SEGWIT),
    (Kind.BITCOIN, TAPROOT, TAPROOT),
    (Kind.BITCOIN, f"bitcoin:{GENESIS}?amount=1", GENESIS),
    (Kind.ETHEREUM, CHECKSUMMED, CHECKSUMMED.lower()),
    (Kind.ETHEREUM, CHECKSUMMED.lower(), CHECKSUMMED.lower()),
    (Kind.TRON, USDT, USDT),
]
NOT_ONE = [
    (Kind.BANK_ACCOUNT, "0123456789"),
    (Kind.PHONE, "081-2-34567-8"),
    (Kind.PHONE, "12345"),
    (Kind.PHONE, "call me"),
    (Kind.URL, "javascript:alert(1)"),
    (Kind.URL, "http://10.0.0.1/"),
    (Kind.URL, "http://localhost/"),
    (Kind.URL, "http://evil.com:99999/"),
    (Kind.URL, "http://[::1"),
    (Kind.DOMAIN, "co.th"),
    (Kind.DOMAIN, "not a domain"),
    (Kind.DOMAIN, "host.internal-only"),
    (Kind.EMAIL, "no-at.example.com"),
    (Kind.EMAIL, '"a b"@evil.com'),
    (Kind.IPV4, "192.168.0.1"),
    (Kind.IPV4, "1.1.1"),
    (Kind.IPV6, "fe80::1"),
    (Kind.IPV6, "1.1.1.1"),
    (Kind.PROMPTPAY, "1101700230708"),
    (Kind.PROMPTPAY, "12345"),
    (Kind.TELEGRAM, "x"),
    (Kind.LINE, "ไลน์ไอดี"),
    (Kind.WHATSAPP, "somebody"),
    (Kind.BITCOIN, USDT),
    (Kind.BITCOIN, SEGWIT[:-1] + "q"),
    (Kind.BITCOIN, SEGWIT.replace("bc1q", "bc1Q")),
    (Kind.ETHEREUM, "0x1234"),
    (Kind.TRON, GENESIS),
    (Kind.PERSON, "1101700230708"),
    (Kind.PERSON, "TH:1101700230709"),
    (Kind.PERSON, "TH:SOMCHAI JAIDEE"),
    (Kind.PERSON, "TH:" + "ab" * 15),
]


@pytest.mark.parametrize(("kind", "written", "kept"), WRITTEN)
def test_all_ways_of_writing_are_one(kind: Kind, written: str, kept: str) -> None:
    assert normalise(kind, written) == kept


@pytest.mark.parametrize(("kind", "written"), NOT_ONE)
def test_what_is_none_is_refused(kind: Kind, written: str) -> None:
    with pytest.raises(BadInput):
        normalise(kind, written)


def test_partners_send_the_pseudonym_of_a_person_alone() -> None:
    assert check_pseudonym(PERSON) == PERSON
    with pytest.raises(BadInput) as refused:
        check_pseudonym("TH:1101700230708")
    assert "1101700230708" not in str(refused.value)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("written", ["", " ", "\x00", "x" * 5_000, "\u200b"])
def test_nothing_and_too_much_are_refused(kind: Kind, written: str) -> None:
    with pytest.raises(BadInput):
        normalise(kind, written)


TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="+0123456789 -.๑๒๓O@/:[]()", max_size=24),
    st.builds(
        "{}{}.{}/{}".format,
        st.sampled_from(["", "hxxp://", "https://", "t.me/", "zalo.me/", "facebook.com/"]),
        st.text(alphabet="abcXYZ019-_ไท", max_size=12),
        st.sampled_from(["com", "co.th", "[.]vn", "me", "invalid"]),
        st.text(max_size=12),
    ),
    st.sampled_from([written for _, written, _ in WRITTEN]),
)


@given(st.sampled_from(Kind), TEXTS)
@settings(max_examples=600, deadline=None)
@example(Kind.URL, "evil.com/a%20b?x=%zz")
@example(Kind.BANK_ACCOUNT, "0:U\u00a8")
def test_normalising_again_changes_nothing(kind: Kind, text: str) -> None:
    try:
        once = normalise(kind, text)
    except BadInput:
        return
    assert normalise(kind, once) == once


@pytest.mark.parametrize(("kind", "_", "kept"), WRITTEN)
def test_a_mask_hides_what_tells_people_apart(kind: Kind, _: str, kept: str) -> None:
    shown = mask(kind, kept)
    assert kept not in shown
    if kind in {Kind.URL, Kind.DOMAIN, Kind.EMAIL, Kind.IPV4, Kind.IPV6}:
        assert len(shown) < len(kept) or "•" in shown or "/" in shown
    else:
        own = kept.rpartition(":")[2]
        visible = shown.rpartition(":")[2].lstrip("•")
        assert own.endswith(visible)
        assert len(visible) <= 4
        assert "•" in shown


def test_two_numbers_under_one_mask() -> None:
    assert mask(Kind.PHONE, "+66812345678") == mask(Kind.PHONE, "+66899995678")
    assert mask(Kind.URL, "https://evil.com/a") == mask(Kind.URL, "https://else.com/b?c")


@given(
    st.sampled_from([(Kind.BITCOIN, GENESIS), (Kind.TRON, USDT)]),
    st.integers(0, 33),
    st.sampled_from(ALPHABET),
)
def test_one_wrong_character_of_base58_is_noticed(
    wallet: tuple[Kind, str], place: int, wrong: str
) -> None:
    kind, address = wallet
    changed = address[:place] + wrong + address[place + 1 :]
    if changed == address:
        return
    with pytest.raises(BadInput):
        normalise(kind, changed)


@given(st.sampled_from([SEGWIT, TAPROOT]), st.integers(3, 41), st.sampled_from(SYMBOLS))
def test_one_wrong_character_of_bech32_is_noticed(address: str, place: int, wrong: str) -> None:
    changed = address[:place] + wrong + address[place + 1 :]
    if changed == address:
        return
    with pytest.raises(BadInput):
        normalise(Kind.BITCOIN, changed)


def test_keccak_is_the_one_before_the_standard() -> None:
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak_256(b"").hex() == empty
    abc = "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert keccak_256(b"abc").hex() == abc


def test_capitals_of_an_address_check_it() -> None:
    assert with_checksum(CHECKSUMMED.lower()) == CHECKSUMMED
    wrong = CHECKSUMMED.replace("5aA", "5AA")
    with pytest.raises(BadInput, match="checksum"):
        normalise(Kind.ETHEREUM, wrong)


def test_a_payment_qr_is_read_and_checked() -> None:
    body = QR[:-4]
    number = normalise(Kind.PROMPTPAY, body + checksum(body))
    assert number == "+66812345678"
    with pytest.raises(BadInput, match="checksum"):
        normalise(Kind.PROMPTPAY, body + "0000")
    other = body.replace("A000000677010111", "A000000677010112")
    with pytest.raises(BadInput, match="not PromptPay"):
        normalise(Kind.PROMPTPAY, other + checksum(other))
    short = "0002019999" + "6304"
    with pytest.raises(BadInput, match="cut short"):
        normalise(Kind.PROMPTPAY, short + checksum(short))


def checksum(body: str) -> str:
    """CRC16 by its definition: polynomial 0x1021, begun at 0xFFFF."""
    value = 0xFFFF
    for byte in body.encode("ascii"):
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return f"{value:04X}"


def test_kinds_have_the_names_people_use() -> None:
    assert kind_named("Line_ID") is Kind.LINE
    assert kind_named(" phone ") is Kind.PHONE
    with pytest.raises(UnknownKind):
        kind_named("fax")
