"""Channels: payments as pacs.008, FI to FI customer credit transfer.

Written for money that is given back to its owners, read for the ledger. Never pays anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from openaoc.channels.iso20022.words import (
    account,
    account_number,
    agent,
    agent_code,
    check_announced,
    when,
)
from openaoc.channels.iso20022.xml import BadMessage, Money, Node, Reader, parse, render
from openaoc.kernel.clock import parse_time

MESSAGE: Final = "pacs.008.001.08"
PAYMENTS_MAX: Final = 100_000
NOT_NAMED: Final = "NOTPROVIDED"
"""What the standard writes where a party's name is not given."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One payment. `at`: when the debtor's account was charged, as far as the message says."""

    payment_id: str
    amount: Money
    debtor_bank: str
    debtor_account: str
    creditor_bank: str
    creditor_account: str
    debtor_name: str = NOT_NAMED
    creditor_name: str = NOT_NAMED
    text: str | None = None
    at: datetime | None = None


class Payments(msgspec.Struct, frozen=True, kw_only=True):
    """What one message says."""

    message_id: str
    at: datetime
    payments: Sequence[Payment]


def write(message: Payments) -> bytes:
    """The document. Raises NotValid."""
    assert 0 < len(message.payments) <= PAYMENTS_MAX, "bounded by who makes it"
    header: Node = (
        "GrpHdr",
        [
            ("MsgId", message.message_id),
            when("CreDtTm", message.at),
            ("NbOfTxs", str(len(message.payments))),
            ("SttlmInf", [("SttlmMtd", "CLRG")]),
        ],
    )
    body = [header, *(_transaction(payment) for payment in message.payments)]
    return render(MESSAGE, ("FIToFICstmrCdtTrf", body))


def _transaction(payment: Payment) -> Node:
    accepted: Node = (
        ("AccptncDtTm", None) if payment.at is None else when("AccptncDtTm", payment.at)
    )
    text = [] if payment.text is None else [("Ustrd", payment.text)]
    return (
        "CdtTrfTxInf",
        [
            ("PmtId", [("EndToEndId", payment.payment_id), ("TxId", payment.payment_id)]),
            ("IntrBkSttlmAmt", payment.amount),
            accepted,
            ("ChrgBr", "SLEV"),
            ("Dbtr", [("Nm", payment.debtor_name)]),
            account("DbtrAcct", payment.debtor_account),
            agent("DbtrAgt", payment.debtor_bank),
            agent("CdtrAgt", payment.creditor_bank),
            ("Cdtr", [("Nm", payment.creditor_name)]),
            account("CdtrAcct", payment.creditor_account),
            ("RmtInf", text or None),
        ],
    )


def read(data: bytes) -> Payments:
    """The payments of a message. Raises BadMessage, TooLarge, BadInput for a time without zone."""
    _, content = parse(data, among=[MESSAGE])
    found = content.all("CdtTrfTxInf")
    if len(found) > PAYMENTS_MAX:
        raise BadMessage(f"{len(found)} payments, at most {PAYMENTS_MAX}")
    head = "GrpHdr/CreDtTm"
    at = parse_time(content.needed(head), where=head)
    payments = [_payment(one, sent=at) for one in found]
    check_announced(content, [payment.amount for payment in payments])
    return Payments(message_id=content.needed("GrpHdr/MsgId"), at=at, payments=payments)


def _payment(reader: Reader, *, sent: datetime) -> Payment:
    amount = reader.money("IntrBkSttlmAmt")
    if amount is None or amount.amount_minor == 0:
        raise BadMessage("without an amount", where=reader.place)
    accepted = reader.text("AccptncDtTm")
    return Payment(
        payment_id=_id(reader),
        amount=amount,
        debtor_bank=_there(agent_code(reader, "DbtrAgt"), reader, what="DbtrAgt"),
        debtor_account=_there(account_number(reader, "DbtrAcct"), reader, what="DbtrAcct"),
        creditor_bank=_there(agent_code(reader, "CdtrAgt"), reader, what="CdtrAgt"),
        creditor_account=_there(account_number(reader, "CdtrAcct"), reader, what="CdtrAcct"),
        debtor_name=reader.text("Dbtr/Nm") or NOT_NAMED,
        creditor_name=reader.text("Cdtr/Nm") or NOT_NAMED,
        text=" ".join(one.content for one in reader.all("RmtInf/Ustrd")) or None,
        at=sent if accepted is None else parse_time(accepted, where=f"{reader.place}, AccptncDtTm"),
    )


def _id(reader: Reader) -> str:
    """The end-to-end id, which both banks know; the transaction's own where that is not given."""
    end_to_end = reader.needed("PmtId/EndToEndId")
    if end_to_end != NOT_NAMED:
        return end_to_end
    return reader.needed("PmtId/TxId", "PmtId/UETR", "PmtId/InstrId")


def _there(text: str | None, reader: Reader, *, what: str) -> str:
    if text is None:
        raise BadMessage(f"without {what}", where=reader.place)
    return text
