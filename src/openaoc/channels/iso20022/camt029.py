"""Channels: institutions' answers as camt.029, resolution of investigation.

An answer is found by the case it resolves: ours carry the order's number there. What a code means
for an order stands in reason_codes.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from openaoc.channels.iso20022.codes import codes
from openaoc.channels.iso20022.words import institution, lines, when
from openaoc.channels.iso20022.xml import BadMessage, Money, Node, Reader, parse, render

MESSAGE: Final = "camt.029.001.09"
ANSWERS_MAX: Final = 100
ACCEPTED: Final = "ACCR"
REJECTED: Final = "RJCR"
PENDING: Final = "PDCR"
_CONFIRMATION: Final = {"CNCL": ACCEPTED, "PECR": ACCEPTED, "RJCR": REJECTED, "PDCR": PENDING}
"""What stands for the whole message, where a transaction says nothing of its own."""
_STATUS: Final = {
    "applied": ACCEPTED,
    "refused": REJECTED,
    "unknown_account": REJECTED,
    "pending": PENDING,
}


class IsoAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an institution says of one order.

    `applied` None with `applied` as outcome: as much as was ordered.
    """

    order: str
    outcome: Literal["applied", "refused", "unknown_account", "pending"]
    applied: Money | None = None
    code: str | None = None
    reason: str | None = None
    bank_case_id: str | None = None
    nothing_available: bool = False


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What one message says."""

    message_id: str
    institution: str
    centre: str
    at: datetime
    answers: Sequence[IsoAnswer]


def read(data: bytes) -> list[IsoAnswer]:
    """The answers of a message, in its order. Raises BadMessage, TooLarge."""
    _, content = parse(data, among=[MESSAGE])
    whole = content.text("Sts/Conf")
    case = content.text("RslvdCase/Id")
    found = content.all("CxlDtls/TxInfAndSts")
    if len(found) > ANSWERS_MAX:
        raise BadMessage(f"{len(found)} answers, at most {ANSWERS_MAX}")
    if len(found) > 1:
        case = None  # several answers name their cases themselves
    return [_answer(one, whole=whole, case=case) for one in found or [content]]


def _answer(reader: Reader, *, whole: str | None, case: str | None) -> IsoAnswer:
    order = reader.text("RslvdCase/Id") or case
    if order is None:
        raise BadMessage("resolves no case", where=reader.place)
    said = reader.text("TxCxlSts") or whole
    status = _CONFIRMATION.get(said or "", said)
    applied = reader.money("RsltnRltdInf/IntrBkSttlmAmt")
    code = reader.text("CxlStsRsnInf/Rsn/Cd")
    texts = [reader.text("CxlStsRsnInf/Rsn/Prtry"), *_additional(reader)]
    heard = IsoAnswer(
        order=order,
        outcome="applied",
        applied=applied,
        code=code,
        reason=" ".join(text for text in texts if text) or None,
        bank_case_id=reader.text("CxlStsId"),
    )
    if status == ACCEPTED:
        if said == "PECR" and applied is None:
            raise BadMessage("executed in part, without the amount", where=reader.place)
        return heard
    if applied is not None:
        raise BadMessage("an amount that was not blocked", where=reader.place)
    if status == PENDING:
        return msgspec.structs.replace(heard, outcome="pending")
    if status == REJECTED:
        return _rejected(heard, place=reader.place)
    raise BadMessage(f"the status {said} answers no hold", where=reader.place)


def _rejected(heard: IsoAnswer, *, place: str) -> IsoAnswer:
    if heard.code is None:
        return msgspec.structs.replace(heard, outcome="refused")
    meaning = codes().rejection.get(heard.code)
    if meaning is None:
        raise BadMessage(f"{heard.code} is no reason to reject a cancellation", where=place)
    return msgspec.structs.replace(
        heard,
        outcome=meaning.outcome,
        reason=heard.reason or meaning.words,
        nothing_available=meaning.nothing_available,
    )


def _additional(reader: Reader) -> list[str]:
    return [one.content for one in reader.all("CxlStsRsnInf/AddtlInf")]


def write(message: Answers) -> bytes:
    """The document, as an institution's system would send it. Raises NotValid."""
    body: list[Node] = [
        (
            "Assgnmt",
            [
                ("Id", message.message_id),
                institution("Assgnr", message.institution),
                institution("Assgne", message.centre),
                when("CreDtTm", message.at),
            ],
        ),
        ("Sts", [("Conf", _conclusion(message.answers))]),
        ("CxlDtls", [_transaction(message, answer) for answer in message.answers]),
    ]
    return render(MESSAGE, ("RsltnOfInvstgtn", body))


def _conclusion(answers: Sequence[IsoAnswer]) -> str:
    """For the whole message: what all answers say, else partly executed."""
    kinds = {_STATUS[answer.outcome] for answer in answers}
    if len(kinds) > 1:
        return "PECR"
    return {ACCEPTED: "CNCL", REJECTED: "RJCR", PENDING: "PDCR"}[kinds.pop()]


def _transaction(message: Answers, answer: IsoAnswer) -> Node:
    reason: list[Node] = []
    if answer.code is not None:
        reason.append(("Rsn", [("Cd", answer.code)]))
    if answer.reason is not None:
        reason += lines("AddtlInf", answer.reason)
    applied: Node = ("IntrBkSttlmAmt", answer.applied)
    return (
        "TxInfAndSts",
        [
            ("CxlStsId", answer.bank_case_id),
            ("RslvdCase", [("Id", answer.order), institution("Cretr", message.centre)]),
            ("TxCxlSts", _STATUS[answer.outcome]),
            ("CxlStsRsnInf", reason or None),
            ("RsltnRltdInf", None if answer.applied is None else [applied]),
        ],
    )
