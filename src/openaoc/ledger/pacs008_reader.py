"""Stage ledger, files: payments of an ISO 20022 pacs.008 message as rows of transfers.

Takes a message whole or not at all: one payment that cannot be read refuses it.
"""

from __future__ import annotations

import pyarrow as pa

from openaoc.channels.iso20022 import pacs008
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput
from openaoc.ledger.raw import Raw
from openaoc.ledger.refusals import refuse_file

HEADER = (
    "transfer_id",
    "booked_at",
    "debtor_bank",
    "debtor_account",
    "creditor_bank",
    "creditor_account",
    "amount_minor",
    "currency",
)


def read_pacs008(data: bytes, *, file: str) -> Raw:
    """The message's payments, each under its end-to-end id, in their order.

    `booked_at` is the time of acceptance where the payment has one, else that of the message.
    Raises RefusedRows.
    """
    try:
        payments = pacs008.read(data).payments
    except BadInput as error:
        raise refuse_file(file, str(error)) from error
    rows = [_row(payment) for payment in payments]
    texts = {
        name: pa.array([row[name] for row in rows], pa.string())
        for name in HEADER
        if name != "amount_minor"
    }
    amounts = pa.array([payment.amount.amount_minor for payment in payments], pa.int64())
    return Raw(
        file=file,
        batches=iter([{**texts, "amount_minor": amounts}]),
        originals=lambda wanted: {number: rows[number - 1] for number in wanted},
        header=HEADER,
    )


def _row(payment: pacs008.Payment) -> dict[str, str | int | None]:
    return {
        "transfer_id": payment.payment_id,
        "booked_at": None if payment.at is None else format_time(payment.at),
        "debtor_bank": payment.debtor_bank,
        "debtor_account": payment.debtor_account,
        "creditor_bank": payment.creditor_bank,
        "creditor_account": payment.creditor_account,
        "amount_minor": payment.amount.amount_minor,
        "currency": payment.amount.currency,
    }
