"""Channels: money that goes back, as pacs.004, payment return.

Says which payment was returned, how much of it, and why. Never decides what that means for a case.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from openaoc.channels.iso20022.codes import codes
from openaoc.channels.iso20022.words import (
    account,
    account_number,
    agent,
    agent_code,
    check_announced,
    lines,
    when,
)
from openaoc.channels.iso20022.xml import BadMessage, Money, Node, Reader, parse, render
from openaoc.kernel.clock import parse_time

MESSAGE: Final = "pacs.004.001.09"
RETURNS_MAX: Final = 1_000


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """One payment that was returned, in whole or part.

    `original_id` is the end-to-end id of the payment that is undone; debtor and creditor are those
    of that payment, so the money goes from creditor to debtor.
    """

    return_id: str
    original_id: str
    amount: Money
    code: str
    reason: str | None = None
    debtor_bank: str | None = None
    debtor_account: str | None = None
    creditor_bank: str | None = None
    creditor_account: str | None = None


class Returns(msgspec.Struct, frozen=True, kw_only=True):
    """What one message says."""

    message_id: str
    at: datetime
    returns: Sequence[Return]


def read(data: bytes) -> Returns:
    """The returns of a message. Raises BadMessage for an unknown reason code, TooLarge."""
    _, content = parse(data, among=[MESSAGE])
    found = content.all("TxInf")
    if not 0 < len(found) <= RETURNS_MAX:
        raise BadMessage(f"{len(found)} returns, between 1 and {RETURNS_MAX}")
    head = "GrpHdr/CreDtTm"
    returns = [_return(one) for one in found]
    check_announced(content, [one.amount for one in returns])
    return Returns(
        message_id=content.needed("GrpHdr/MsgId"),
        at=parse_time(content.needed(head), where=head),
        returns=returns,
    )


def _return(reader: Reader) -> Return:
    code = reader.needed("RtrRsnInf/Rsn/Cd")
    if code not in codes().returned:
        raise BadMessage(f"{code} is no reason for a return", where=reader.place)
    amount = reader.money("RtrdIntrBkSttlmAmt")
    if amount is None or amount.amount_minor == 0:
        raise BadMessage("without an amount", where=reader.place)
    texts = [one.content for one in reader.all("RtrRsnInf/AddtlInf")]
    original = "OrgnlTxRef"
    return Return(
        return_id=reader.needed("RtrId"),
        original_id=reader.needed("OrgnlEndToEndId", "OrgnlTxId", "OrgnlUETR"),
        amount=amount,
        code=code,
        reason=" ".join(texts) or None,
        debtor_bank=agent_code(reader, f"{original}/DbtrAgt"),
        debtor_account=account_number(reader, f"{original}/DbtrAcct"),
        creditor_bank=agent_code(reader, f"{original}/CdtrAgt"),
        creditor_account=account_number(reader, f"{original}/CdtrAcct"),
    )


def write(message: Returns) -> bytes:
    """The document, as an institution's system would send it. Raises NotValid."""
    header: Node = (
        "GrpHdr",
        [
            ("MsgId", message.message_id),
            when("CreDtTm", message.at),
            ("NbOfTxs", str(len(message.returns))),
            ("SttlmInf", [("SttlmMtd", "CLRG")]),
        ],
    )
    return render(MESSAGE, ("PmtRtr", [header, *(_transaction(one) for one in message.returns)]))


def _transaction(one: Return) -> Node:
    parties: list[Node] = []
    if one.debtor_account is not None:
        parties.append(account("DbtrAcct", one.debtor_account))
    if one.debtor_bank is not None:
        parties.append(agent("DbtrAgt", one.debtor_bank))
    if one.creditor_bank is not None:
        parties.append(agent("CdtrAgt", one.creditor_bank))
    if one.creditor_account is not None:
        parties.append(account("CdtrAcct", one.creditor_account))
    return (
        "TxInf",
        [
            ("RtrId", one.return_id),
            ("OrgnlEndToEndId", one.original_id),
            ("RtrdIntrBkSttlmAmt", one.amount),
            (
                "RtrRsnInf",
                [
                    ("Rsn", [("Cd", one.code)]),
                    *([] if one.reason is None else lines("AddtlInf", one.reason)),
                ],
            ),
            ("OrgnlTxRef", parties or None),
        ],
    )
