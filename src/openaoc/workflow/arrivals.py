"""Workflow: which payment in our ledger is the one a partner says came to an account of ours.

Looks in the days that are in memory. Never guesses: what several payments fit is left to a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from openaoc.exchange.crossborder.model import ARRIVES_AFTER, ARRIVES_BEFORE
from openaoc.exchange.crossborder.receiving import Told
from openaoc.exchange.crossborder.sums import claim_of
from openaoc.kernel.clock import to_us
from openaoc.ledger.model import Transfer

CURRENCIES: Final = (
    *("THB", "KHR", "USD", "VND", "LAK", "MMK", "SGD", "MYR", "CNY", "HKD", "PHP", "IDR", "EUR"),
)
"""What money is changed into in this region; an account has a line for each currency."""


class Arrivals(Protocol):
    """What is needed of the ledger; `ledger.service.Ledger` is one."""

    def account_index(self, bank: str, account: str, currency: str, /) -> int | None:
        """The number of an account."""
        ...

    def arrivals(
        self, *, creditor: int, from_us: int, until_us: int, amount_minor: int | None = None
    ) -> Sequence[int]:
        """Numbers of transfers that came to an account between two times."""
        ...

    def transfer(self, number: int, /) -> Transfer:
        """One transfer."""
        ...


class Arrival(NamedTuple):
    """The payment, if just one fits, what of it is asked about, and how many fit."""

    transfer: Transfer | None
    claimed_minor: int
    candidates: int


def find_arrival(ledger: Arrivals, told: Told) -> Arrival:
    """The one payment that came to the account at about that time, in the amount that was sent.

    In another currency it is the one payment at all. A claim of less than a minor unit is none.
    """
    found = _in(ledger, told, told.currency)
    if not found:
        others = (one for one in CURRENCIES if one != told.currency)
        found = [one for currency in others for one in _in(ledger, told, currency)]
    if len(found) != 1:
        return Arrival(transfer=None, claimed_minor=0, candidates=len(found))
    claimed = claim(found[0], told)
    return Arrival(transfer=found[0] if claimed else None, claimed_minor=claimed, candidates=1)


def claim(transfer: Transfer, told: Told) -> int:
    """What of the payment is asked about, in its own currency."""
    changed = transfer.debtor.currency != told.currency
    sent = told.sent_minor or (told.amount_minor if changed else None)
    arrived = transfer.amount_minor
    return claim_of(asked_minor=told.amount_minor, sent_minor=sent, arrived_minor=arrived)


def _in(ledger: Arrivals, told: Told, currency: str) -> list[Transfer]:
    account = ledger.account_index(told.institution, told.account, currency)
    if account is None:
        return []
    rows = ledger.arrivals(
        creditor=account,
        from_us=to_us(told.at - ARRIVES_BEFORE),
        until_us=to_us(told.at + ARRIVES_AFTER),
        amount_minor=told.sent_minor if currency == told.currency else None,
    )
    found = [ledger.transfer(row) for row in rows]
    return [one for one in found if one.creditor is not None and one.creditor != one.debtor]
