"""A PromptPay number: a mobile or an e-wallet, or the payment QR that carries one.

Never keeps a national number, which PromptPay takes too: it names a person, not a deceit.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.phone import normalise_phone
from openaoc.kernel.identifiers.text import cleaned, masked

SHOWN_CHARACTERS: Final = 4
APPLICATION: Final = "A000000677010111"
"""The application id of PromptPay in tag 29 of a payment QR."""
QR_START: Final = "000201"
TAG_MERCHANT: Final = "29"
TAG_APPLICATION: Final = "00"
TAG_MOBILE: Final = "01"
TAG_NATIONAL: Final = "02"
TAG_WALLET: Final = "03"
_CHECK_CHARACTERS: Final = 4
_MOBILE: Final = re.compile(r"(0066|\+66|0)[689]\d{8}")
_NATIONAL: Final = re.compile(r"\d{13}")
_WALLET: Final = re.compile(r"\d{15}")


def normalise_promptpay(text: str) -> str:
    """`+66…` for a mobile, 15 digits for an e-wallet; from the number or from a QR's text.

    Raises BadInput for a national number, a QR of another scheme, or a QR with a wrong checksum.
    """
    value = cleaned(text)
    if value.startswith(QR_START):
        return _from_qr(value)
    digits = re.sub(r"[\s.-]", "", value)
    if _WALLET.fullmatch(digits):
        return digits
    if _MOBILE.fullmatch(digits):
        return _mobile(digits)
    if _NATIONAL.fullmatch(digits):
        raise BadInput("a national number names a person; give the account it leads to")
    raise BadInput("not a PromptPay number")


def _mobile(digits: str) -> str:
    written = "+66" + digits[4:] if digits.startswith("0066") else digits
    return normalise_phone(written, region="TH")


def _from_qr(text: str) -> str:
    body, check = text[:-_CHECK_CHARACTERS], text[-_CHECK_CHARACTERS:]
    if not text.isascii() or f"{binascii.crc_hqx(body.encode('ascii'), 0xFFFF):04X}" != check:
        raise BadInput("the payment QR's checksum is wrong")
    fields = dict(_fields(body[:-_CHECK_CHARACTERS]))
    merchant = dict(_fields(fields.get(TAG_MERCHANT, "")))
    if merchant.get(TAG_APPLICATION) != APPLICATION:
        raise BadInput("a payment QR, but not PromptPay's")
    for tag in (TAG_MOBILE, TAG_WALLET, TAG_NATIONAL):
        if tag in merchant:
            return normalise_promptpay(merchant[tag])
    raise BadInput("a PromptPay QR without a number")


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """(tag, value) of EMV's tag-length-value text: two digits, two digits, so many characters."""
    at = 0
    while at < len(text):
        tag, length = text[at : at + 2], text[at + 2 : at + 4]
        if not (tag.isdecimal() and length.isdecimal()) or at + 4 + int(length) > len(text):
            raise BadInput("a payment QR that is cut short")
        yield tag, text[at + 4 : at + 4 + int(length)]
        at += 4 + int(length)


def mask_promptpay(value: str) -> str:
    """The last four digits at most."""
    return masked(value, shown=SHOWN_CHARACTERS)
