"""Money: whole minor units with a currency (ISO 4217). Nothing here knows a float."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

from openaoc.kernel.errors import BadInput

AMOUNT_MINOR_MAX: Final = 2**62 - 1
"""No single amount and no account's running line may pass this (the ledger adds in 64 bits)."""


@cache
def exponents() -> dict[str, int]:
    """Decimal places of each active ISO 4217 currency, in a fixed (alphabetic) order."""
    text = resources.files("openaoc.kernel").joinpath("data/currencies.csv").read_text("ascii")
    rows = (line.split(",") for line in text.split()[1:])
    return {code: int(places) for code, places in rows}


def check_currency(code: str, *, where: str = "") -> str:
    """The code itself. Raises BadInput for what is not an active ISO 4217 code."""
    if code not in exponents():
        raise BadInput(f"{code[:16]!r} is not an ISO 4217 currency", where=where)
    return code


def check_amount(amount_minor: int, *, where: str = "") -> int:
    """The amount itself. Raises BadInput unless 0 < amount ≤ AMOUNT_MINOR_MAX."""
    if not 0 < amount_minor <= AMOUNT_MINOR_MAX:
        raise BadInput(f"{amount_minor} is not a positive amount below 2^62", where=where)
    return amount_minor


def format_money(amount_minor: int, currency: str) -> str:
    """For people: `1,234.50 THB`."""
    places = exponents().get(currency, 2)
    sign, digits = ("-" if amount_minor < 0 else ""), str(abs(amount_minor)).rjust(places + 1, "0")
    whole, part = (digits[:-places], digits[-places:]) if places else (digits, "")
    return f"{sign}{int(whole):,}{'.' + part if part else ''} {currency}"
