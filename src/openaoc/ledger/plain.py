"""Stage ledger, files: the rules for one row of a transfers file, one value at a time.

The plain twin of `validate`: it says why a row is refused, and the tests hold the fast checks to
it. Never fast.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.bank_account import normalise_account, normalise_bank
from openaoc.kernel.limits import FIELD_BYTES_MAX, TRANSFER_ID_CHARACTERS_MAX
from openaoc.kernel.money import AMOUNT_MINOR_MAX, exponents
from openaoc.ledger.arrays import CHANNELS
from openaoc.ledger.times import check_range, time_us

REVISION_MAX: Final = 2**31 - 1
DEFAULT_CHANNEL: Final = CHANNELS[0]
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_DIGITS_MAX: Final = 19

Row = dict[str, str | int | None]
"""A normalised row by column; `booked_at` in microseconds since the epoch."""


def check_text(value: str) -> str:
    """The text itself. Raises BadInput when far too long or when it holds what nobody can see."""
    if len(value.encode("utf-8", "surrogatepass")) > FIELD_BYTES_MAX:
        raise BadInput(f"the field is longer than {FIELD_BYTES_MAX} bytes")
    for character in value:
        category = unicodedata.category(character)
        if category in _INVISIBLE or (category == "Zs" and character != " "):
            name = unicodedata.name(character, "control character")
            raise BadInput(f"holds the invisible character U+{ord(character):04X} ({name})")
    return value


def transfer_id_rule(value: str) -> str:
    """The id as it is: 1 to 64 visible characters, no space at an end."""
    if not value:
        raise BadInput("is empty")
    check_text(value)
    if len(value) > TRANSFER_ID_CHARACTERS_MAX:
        raise BadInput(f"is longer than {TRANSFER_ID_CHARACTERS_MAX} characters")
    return _no_edge_space(value)


def corrects_rule(value: str) -> str:
    """Empty, or a transfer id."""
    return transfer_id_rule(value) if value else ""


def bank_rule(value: str) -> str:
    """An institution code, upper-cased, at most 32 characters."""
    return normalise_bank(_no_edge_space(check_text(value)))


def optional_bank_rule(value: str) -> str:
    """Empty, or an institution code."""
    return bank_rule(value) if value else ""


def account_rule(value: str) -> str:
    """An account, upper-cased, without space `-` `.` `/`, leading zeros kept."""
    return normalise_account(check_text(value))


def optional_account_rule(value: str) -> str:
    """Empty, or an account."""
    return account_rule(value) if value else ""


def currency_rule(value: str) -> str:
    """An active ISO 4217 code in capitals."""
    if value in exponents():
        return value
    if value.strip().upper() in exponents():
        raise BadInput(f"{value[:16]!r} must be written {value.strip().upper()}")
    raise BadInput(f"{value[:16]!r} is not an ISO 4217 currency" if value else "is empty")


def channel_rule(value: str) -> str:
    """One of the known channels; empty means `transfer`."""
    if not value:
        return DEFAULT_CHANNEL
    if value not in CHANNELS:
        raise BadInput(f"{value[:32]!r} is not a channel; known are {', '.join(CHANNELS)}")
    return value


def amount_rule(value: str | int | None) -> int:
    """An amount of minor units, 1 to 2^62 - 1, from an integer or a text of digits."""
    if value is None or value == "":
        raise BadInput("is empty")
    if isinstance(value, str):
        value = whole_number(value, what="an amount of whole minor units")
    if value <= 0:
        raise BadInput(f"{value} is not a positive amount")
    if value > AMOUNT_MINOR_MAX:
        raise BadInput("the amount is 2^62 or more")
    return value


def revision_rule(value: str | int | None) -> int | None:
    """A revision number, 0 to 2^31 - 1, or none."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = whole_number(value, what="a revision number")
    if not 0 <= value <= REVISION_MAX:
        raise BadInput(f"{value} is not a revision number (0 to {REVISION_MAX})")
    return value


def whole_number(text: str, *, what: str) -> int:
    """A text of 1 to 19 ASCII digits as a number. Raises BadInput that says what it is instead."""
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX:
        return int(text)
    shown = repr(text[:32])
    body = text.lstrip("+-")
    if body.isascii() and body.isdigit():
        why = "is negative" if text.startswith("-") else "is out of range or signed"
    elif any(mark in text for mark in ".,") and any(c.isdigit() for c in text):
        why = "is a decimal number"
    elif text[:1].isdigit() and "e" in text.lower():
        why = "is written with an exponent"
    else:
        why = "is not a number"
    raise BadInput(f"{shown} {why}, not {what}")


def booked_at_rule(value: str | int | None, *, assume_utc: bool) -> int:
    """Microseconds since the epoch, 1900 to 2199, from RFC 3339 text or such a number."""
    if value is None or value == "":
        raise BadInput("is empty")
    if isinstance(value, str):
        return time_us(_no_edge_space(value), assume_utc=assume_utc)
    return check_range(value)


def _no_edge_space(value: str) -> str:
    if value != value.strip():
        raise BadInput("begins or ends with a space")
    return value


def check_row(
    values: Mapping[str, str | int | None], *, assume_utc: bool = False
) -> tuple[Row, list[tuple[str, str]]]:
    """The row normalised, and its faults as (column, reason); valid when there are none.

    A missing column counts as empty; `values` holds text, or integers where the file is typed.
    """
    faults: list[tuple[str, str]] = []

    def take(column: str, rule: Callable[[str], str]) -> str:
        value = values.get(column)
        try:
            return rule("" if value is None else str(value))
        except BadInput as error:
            faults.append((column, error.detail))
            return ""

    def number(column: str, rule: Callable[[str | int | None], int | None]) -> int | None:
        try:
            return rule(values.get(column))
        except BadInput as error:
            faults.append((column, error.detail))
            return None

    row: Row = {
        "transfer_id": take("transfer_id", transfer_id_rule),
        "booked_at": number("booked_at", lambda v: booked_at_rule(v, assume_utc=assume_utc)),
        "debtor_bank": take("debtor_bank", bank_rule),
        "debtor_account": take("debtor_account", account_rule),
        "creditor_bank": take("creditor_bank", optional_bank_rule),
        "creditor_account": take("creditor_account", optional_account_rule),
        "amount_minor": number("amount_minor", amount_rule),
        "currency": take("currency", currency_rule),
        "channel": take("channel", channel_rule),
        "reported_by": take("reported_by", optional_bank_rule),
        "corrects": take("corrects", corrects_rule),
        "revision": number("revision", revision_rule),
    }
    row["reported_by"] = row["reported_by"] or row["debtor_bank"]
    faults += _creditor_faults(row, {column for column, _ in faults})
    if row["corrects"] and not row["revision"] and "revision" not in dict(faults):
        faults.append(("revision", "a correction names its revision, 1 or more"))
    for column in ("creditor_bank", "creditor_account", "corrects"):
        row[column] = row[column] or None
    return row, faults


def _creditor_faults(row: Row, faulty: set[str]) -> list[tuple[str, str]]:
    """Both of bank and account or neither; neither only where the channel is an exit."""
    if faulty & {"creditor_bank", "creditor_account", "channel"}:
        return []
    bank, account = row["creditor_bank"], row["creditor_account"]
    if bank and not account:
        return [("creditor_account", "is empty though creditor_bank is given")]
    if account and not bank:
        return [("creditor_bank", "is empty though creditor_account is given")]
    if not account and row["channel"] == DEFAULT_CHANNEL:
        return [("creditor_account", "is empty though the channel is not an exit")]
    return []
