"""Channels: hold orders and their ends as camt.056, FI to FI payment cancellation request.

One message carries a batch for one institution. The standard cancels payments, it holds no parts
of them: the amount to hold is the amount of each request, and what camt.056 has no field for
stands in words and, exactly, in the supplementary data under our own namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec
from lxml import etree

from openaoc.channels.iso20022.words import (
    ACCOUNT_CHARACTERS_MAX,
    ID_CHARACTERS_MAX,
    account,
    agent,
    institution,
    lines,
    when,
)
from openaoc.channels.iso20022.xml import BadMessage, Foreign, Money, Node, Reader, parse, render
from openaoc.kernel.clock import format_time, parse_time

MESSAGE: Final = "camt.056.001.08"
OURS: Final = "urn:openaoc:hold:1"
"""The namespace of the supplementary data; docs/reference/iso20022.md describes it."""
FRAUD: Final = "FRAD"
ENDED: Final = "HOLD-ENDED"
"""The proprietary reason of a request that ends a hold: the standard has none."""
REQUESTS_MAX: Final = 100


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """One text in Thai and in English."""

    th: str
    en: str


class HoldRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A hold order, as the outbox keeps it; `amount_minor` is the most that may be blocked."""

    order: str
    revision: int
    case: str
    institution: str
    account: str
    amount_minor: int
    currency: str
    rule: str
    legal_basis: str
    reason: Texts
    issued_at: datetime
    answer_by: datetime
    ends_at: datetime
    continues: str = ""
    """The order under which the amount is blocked already."""


class EndRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal or release: give back `amount_minor`, `remaining_minor` stays blocked."""

    order: str
    revision: int
    institution: str
    account: str
    amount_minor: int
    remaining_minor: int
    currency: str
    reason: Texts
    at: datetime
    continued_by: str = ""
    """The order under which the amount goes on being blocked: nothing is given back."""


Request = HoldRequest | EndRequest


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """What one message says."""

    message_id: str
    centre: str
    institution: str
    at: datetime
    requests: list[Request]


def write(message: Requests) -> bytes:
    """The document. Raises NotValid."""
    assert 0 < len(message.requests) <= REQUESTS_MAX, "a batch is bounded by who makes it"
    assert len(message.message_id) <= ID_CHARACTERS_MAX, "our ids are short"
    body: list[Node] = [
        (
            "Assgnmt",
            [
                ("Id", message.message_id),
                institution("Assgnr", message.centre),
                institution("Assgne", message.institution),
                when("CreDtTm", message.at),
            ],
        ),
        ("Undrlyg", [_transaction(message, request) for request in message.requests]),
    ]
    return render(MESSAGE, ("FIToFIPmtCxlReq", body))


def _transaction(message: Requests, request: Request) -> Node:
    if isinstance(request, HoldRequest):
        reason: Node = ("Cd", FRAUD)
        amount = request.amount_minor
    else:
        reason = ("Prtry", ENDED)
        amount = request.remaining_minor
    return (
        "TxInf",
        [
            ("CxlId", request.order),
            ("Case", [("Id", request.order), institution("Cretr", message.centre)]),
            ("OrgnlIntrBkSttlmAmt", Money(amount_minor=amount, currency=request.currency)),
            (
                "CxlRsnInf",
                [
                    ("Rsn", [reason]),
                    *(line for text in _words(request) for line in lines("AddtlInf", text)),
                ],
            ),
            (
                "OrgnlTxRef",
                [
                    agent("CdtrAgt", request.institution),
                    *([account("CdtrAcct", request.account)] if _has_room(request) else []),
                ],
            ),
            ("SplmtryData", [("Envlp", Foreign(element=_exact(request)))]),
        ],
    )


def _has_room(request: Request) -> bool:
    """Whether the standard's field holds the account; a wallet's address may be too long."""
    return len(request.account) <= ACCOUNT_CHARACTERS_MAX


def _words(request: Request) -> Iterator[str]:
    if not _has_room(request):
        yield f"ACCOUNT {request.account}"
    amount = Money(amount_minor=request.amount_minor, currency=request.currency).text
    if isinstance(request, HoldRequest):
        if request.continues:
            yield f"CONTINUES order {request.continues}: already blocked, block nothing more"
        yield f"HOLD at most {request.currency} {amount} until {format_time(request.ends_at)}"
        yield f"Answer by {format_time(request.answer_by)}, case {request.case}"
        yield request.legal_basis
    else:
        left = Money(amount_minor=request.remaining_minor, currency=request.currency).text
        over = f"GO ON HOLDING under order {request.continued_by}"
        verb = over if request.continued_by else "GIVE BACK"
        yield f"{verb} {request.currency} {amount}; {request.currency} {left} stays held"
    yield request.reason.en
    yield request.reason.th


def _exact(request: Request) -> etree._Element:
    """Every field of the request, in its order."""
    name = "hold" if isinstance(request, HoldRequest) else "end"
    root = etree.Element(f"{{{OURS}}}{name}", nsmap={None: OURS})
    for field in request.__struct_fields__:
        value = getattr(request, field)
        if value == "":
            continue  # names no other order
        if isinstance(value, Texts):
            for language, text in (("th", value.th), ("en", value.en)):
                made = etree.SubElement(root, f"{{{OURS}}}{field}", {"lang": language})
                made.text = text
            continue
        made = etree.SubElement(root, f"{{{OURS}}}{field}")
        made.text = format_time(value) if isinstance(value, datetime) else str(value)
    return root


def read(data: bytes) -> Requests:
    """What a message of ours says: for institutions' systems, and for tests.

    Raises BadMessage for one without our supplementary data, TooLarge.
    """
    _, content = parse(data, among=[MESSAGE])
    return Requests(
        message_id=content.needed("Assgnmt/Id"),
        centre=content.needed("Assgnmt/Assgnr/Agt/FinInstnId/Othr/Id"),
        institution=content.needed("Assgnmt/Assgne/Agt/FinInstnId/Othr/Id"),
        at=parse_time(content.needed("Assgnmt/CreDtTm")),
        requests=[_request(one) for one in content.all("Undrlyg/TxInf")],
    )


def _request(reader: Reader) -> Request:
    for name, kind in (("hold", HoldRequest), ("end", EndRequest)):
        found = reader.foreign(f"{{{OURS}}}{name}")
        if found is not None:
            return _from_fields(found, kind)
    raise BadMessage("without the centre's supplementary data", where=reader.place)


def _from_fields(element: etree._Element, kind: type[Request]) -> Request:
    fields: dict[str, object] = {}
    texts: dict[str, dict[str, str]] = {}
    for child in element:
        name = etree.QName(child).localname
        if "lang" in child.attrib:
            texts.setdefault(name, {})[child.attrib["lang"]] = child.text or ""
        else:
            fields[name] = child.text or ""
    try:
        return msgspec.convert(fields | texts, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadMessage(str(error), where=element.tag) from error
