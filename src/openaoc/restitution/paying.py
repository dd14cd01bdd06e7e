"""Restitution: the payments an institution is asked to make, as files, and its word that it did.

Never pays: the institution that holds the money does, from the held account to the victim's.
"""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from openaoc.channels.iso20022 import pacs008
from openaoc.channels.iso20022.xml import Money, NotValid
from openaoc.holds.record import PaidBy
from openaoc.holds.restituting import restitute
from openaoc.kernel.actor import SYSTEM, Actor
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.bank_account import normalise_bank
from openaoc.kernel.money import format_money
from openaoc.ledger.model import Transfer
from openaoc.parties.permissions import Permission, require
from openaoc.restitution import store
from openaoc.restitution.model import (
    Line,
    LineState,
    NoRoomInFile,
    NoSuchRestitution,
    NothingToReturn,
    PaidDifferently,
    PaymentMade,
    Restitution,
    RestitutionState,
    WrongPayment,
    WrongRestitutionStep,
)
from openaoc.restitution.service import Restitutions
from openaoc.restitution.shares import replaced
from openaoc.storage.unit_of_work import Transaction

CLOCK_DIFFERENCE_MAX: Final = timedelta(minutes=5)
COLUMNS: Final = (
    "end_to_end_id",
    "case",
    "order",
    "debtor_bank",
    "debtor_account",
    "creditor_bank",
    "creditor_account",
    "amount_minor",
    "amount",
    "currency",
    "text",
)


class PayableFile(msgspec.Struct, frozen=True, kw_only=True):
    """Payments to be made, as one file."""

    name: str
    media_type: str
    content: bytes


class Payments:
    """The verbs of payments. One instance per centre."""

    def __init__(self, restitutions: Restitutions) -> None:
        self._restitutions = restitutions

    def file(
        self, tx: Transaction, restitution_id: str, *, form: Literal["csv", "pacs.008"]
    ) -> PayableFile:
        """What is still to be paid; an institution gets its own payments alone.

        Names accounts, so that the look is journalled. Raises WrongRestitutionStep before it is
        payable, NothingToReturn when nothing is left, NoRoomInFile.
        """
        require(tx.actor, Permission.RESTITUTION_READ)
        one = self._restitutions.found(tx, restitution_id, lock=False)
        if one.state is not RestitutionState.PAYABLE:
            raise WrongRestitutionStep(f"a restitution that is {one.state} pays nothing")
        lines = [line for line in one.lines if line.open_minor]
        if not lines:
            raise NothingToReturn("every payment is made or dropped")
        tx.journal(
            action="restitution.payments.listed",
            subject=one.id,
            reason=f"{len(lines)} payments as {form}",
        )
        if form == "csv":
            content, media, suffix = as_csv(one, lines), "text/csv", "csv"
        else:
            content, media, suffix = as_pacs008(one, lines, at=tx.now), "application/xml", "xml"
        return PayableFile(
            name=f"{one.id}.{suffix}", media_type=f"{media}; charset=utf-8", content=content
        )

    def confirm(
        self, tx: Transaction, restitution_id: str, no: int, made: PaymentMade, *, actor: Actor
    ) -> Restitution:
        """The institution paid a line by this transfer; the same word again changes nothing.

        The transaction is the centre's own, on the institution's word. The money leaves the hold
        and counts as restituted in every trace; the transfer that paid it takes nothing more from
        the account. Raises NoSuchRestitution for another's payment, PaidDifferently, WrongPayment,
        NothingToReturn when the hold holds less.
        """
        require(actor, Permission.RESTITUTION_PAY)
        one = self._restitutions.locked(tx, restitution_id)
        line = next((item for item in one.lines if item.no == no), None)
        if line is None or line.institution != actor.institution or one.published_at is None:
            raise NoSuchRestitution(f"{restitution_id[:64]} has no payment {no} of yours")
        told_by = normalise_bank(made.reported_by or line.institution, where="$.reported_by")
        if line.state is LineState.PAID:
            same = (line.paid_by, line.paid_id, line.paid_minor)
            if same != (told_by, made.transfer_id, made.amount_minor):
                raise PaidDifferently(f"payment {no} was made by transfer {line.paid_id}")
            return one
        if one.state is not RestitutionState.PAYABLE or line.state is LineState.DROPPED:
            raise WrongRestitutionStep(f"the restitution is {one.state}, the payment {line.state}")
        self._check(tx, one, line, made, told_by=told_by)
        at = min(max(made.paid_at, one.payable_at or tx.now), tx.now)
        holds = self._restitutions.holds
        orders = holds.orders_of(tx, [one.case])
        restitute(
            tx,
            holds.book,
            next(order for order in orders if order.id == line.order),
            amount_minor=made.amount_minor,
            at=at,
            paid=PaidBy(reported_by=told_by, transfer_id=made.transfer_id),
            actor=actor,
        )
        paid = msgspec.structs.replace(
            line,
            state=LineState.PAID,
            paid_minor=made.amount_minor,
            paid_by=told_by,
            paid_id=made.transfer_id,
            paid_at=at,
        )
        store.save_lines(tx.connection, [paid])
        self._restitutions.cases.mark_due(tx, [one.case], at=tx.now)
        self._settle(tx, one, paid)
        return self._restitutions.found(tx, one.id, lock=False)

    def _settle(self, tx: Transaction, one: Restitution, paid: Line) -> None:
        after = msgspec.structs.replace(one, lines=replaced(one.lines, [paid]))
        reason = f"payment {paid.no} by transfer {paid.paid_id}"
        if any(line.state is LineState.OPEN for line in after.lines):
            self._restitutions.journal(tx, one, after, verb="part_paid", reason=reason)
            return
        self._restitutions.step(
            tx, one, RestitutionState.PAID, actor=SYSTEM, reason=reason, changes=after
        )

    def _check(
        self, tx: Transaction, one: Restitution, line: Line, made: PaymentMade, *, told_by: str
    ) -> None:
        """The payment is one that was to be made, as far as the ledger knows its transfer."""
        if made.amount_minor > line.amount_minor:
            raise WrongPayment(f"at most {line.amount_minor}", where="$.amount_minor")
        if made.paid_at > tx.now + CLOCK_DIFFERENCE_MAX:
            raise WrongPayment("paid in the future", where="$.paid_at")
        if one.payable_at is not None and made.paid_at < one.payable_at - CLOCK_DIFFERENCE_MAX:
            raise WrongPayment("paid before it was payable", where="$.paid_at")
        if not made.transfer_id.isprintable():
            raise BadInput("a control character", where="$.transfer_id")
        used = store.line_paid_by(tx.connection, reported_by=told_by, transfer_id=made.transfer_id)
        if used is not None:
            raise PaidDifferently(f"this transfer paid {used[0]}/{used[1]}")
        ledger = self._restitutions.ledger
        row = ledger.find(reported_by=told_by, transfer_id=made.transfer_id)
        if row is not None and not pays(line, ledger.transfer(row), made.amount_minor):
            raise WrongPayment(
                "another account, payee or amount stands in the ledger", where="$.transfer_id"
            )


def pays(line: Line, transfer: Transfer, amount_minor: int) -> bool:
    """Whether the transfer is this payment: from the held account to the payee, this amount."""
    debtor, creditor = transfer.debtor, transfer.creditor
    return (
        (debtor.bank, debtor.account) == (line.institution, line.account)
        and creditor is not None
        and (creditor.bank, creditor.account) == (line.payee_bank, line.payee_account)
        and transfer.amount_minor == amount_minor
        and debtor.currency == line.currency
    )


def text_of(one: Restitution) -> str:
    """What the victim reads beside the payment."""
    return f"Restitution in case {one.case}"


def as_csv(one: Restitution, lines: list[Line]) -> bytes:
    """One row a payment, with a header."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow(
            (
                line.end_to_end_id,
                one.case,
                line.order,
                line.institution,
                line.account,
                line.payee_bank,
                line.payee_account,
                line.open_minor,
                format_money(line.open_minor, line.currency).split()[0].replace(",", ""),
                line.currency,
                text_of(one),
            )
        )
    return out.getvalue().encode("utf-8")


def as_pacs008(one: Restitution, lines: list[Line], *, at: datetime) -> bytes:
    """The payments as one message. Raises NoRoomInFile where its schema has none for them."""
    payments = [
        pacs008.Payment(
            payment_id=line.end_to_end_id,
            amount=Money(amount_minor=line.open_minor, currency=line.currency),
            debtor_bank=line.institution,
            debtor_account=line.account,
            creditor_bank=line.payee_bank,
            creditor_account=line.payee_account,
            text=text_of(one),
        )
        for line in lines
    ]
    try:
        return pacs008.write(pacs008.Payments(message_id=one.id, at=at, payments=payments))
    except NotValid as error:  # a wallet's address is longer than an account may be there
        raise NoRoomInFile(f"take csv: {error.detail}") from error
