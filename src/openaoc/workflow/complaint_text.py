"""Workflow: a complaint to the police as text and as a page, from what was reported. Pure.

Says nothing that was not reported or traced; what is not known stays a blank line to fill in.
"""

from __future__ import annotations

import html
import tomllib
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from importlib import resources
from typing import Final

import msgspec

from openaoc.cases.model import CaseView
from openaoc.holds.model import Words
from openaoc.kernel.money import format_money
from openaoc.kernel.offences import Offence, offence_of
from openaoc.reports.model import Reporter
from openaoc.reports.service import IndicatorRow, PaymentRow, ReportRow

LANGUAGES: Final = ("th", "en")
_STYLE: Final = (
    "body{font:16px/1.6 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "section+section{margin-top:2.5rem;page-break-before:always}"
    "p{margin:.4rem 0;white-space:pre-wrap;overflow-wrap:anywhere}h1{font-size:1.3rem}"
    "h2{font-size:1rem;margin:1.2rem 0 .2rem}"
)


class ComplaintWords(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every phrase of a draft in one language; `kinds`: the offences that it calls otherwise."""

    title: str
    to: str
    written: str
    who: str
    name: str
    national_id: str
    phone: str
    email: str
    blank: str
    numbers: str
    bank_case: str
    happened: str
    kind: str
    no_narrative: str
    payments: str
    payment: str
    transfer: str
    total: str
    contacts: str
    found: str
    request: str
    due: str
    sign: str
    draft: str
    kinds: dict[Offence, str] = {}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """All that a draft is made of. `who` is None when nothing is kept of the reporter."""

    case: CaseView
    report: ReportRow
    payments: Sequence[PaymentRow]
    indicators: Sequence[IndicatorRow]
    who: Reporter | None
    basis: Words
    now: datetime
    utc_offset_hours: int

    def __repr__(self) -> str:
        return "Told(…)"


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the draft; `head` may be empty."""

    head: str
    lines: list[str]


@cache
def complaint_words() -> dict[str, ComplaintWords]:
    """The phrases by language."""
    text = resources.files("openaoc.workflow").joinpath("complaint.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, ComplaintWords])


def as_text(told: Told, language: str) -> str:
    """The draft as plain text, one line a phrase, a blank line between parts."""
    parts = [
        "\n".join([block.head, *block.lines] if block.head else block.lines)
        for block in blocks(told, language)
    ]
    return "\n\n".join([complaint_words()[language].title, *parts]) + "\n"


def as_page(told: Told) -> str:
    """The draft in every language as one page to print; everything told is escaped."""
    sections = []
    for language in LANGUAGES:
        body = "".join(_block_html(block) for block in blocks(told, language))
        title = html.escape(complaint_words()[language].title)
        sections.append(f'<section lang="{language}"><h1>{title}</h1>{body}</section>')
    title = html.escape(f"{told.case.case}")
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        + "".join(sections)
        + "</body></html>"
    )


def _block_html(block: Block) -> str:
    head = f"<h2>{html.escape(block.head)}</h2>" if block.head else ""
    return head + "".join(f"<p>{html.escape(line)}</p>" for line in block.lines)


def blocks(told: Told, language: str) -> list[Block]:
    """The parts of the draft in one language, in order."""
    w = complaint_words()[language]
    who = told.who or Reporter()
    known = [
        f"{getattr(w, field)}: {getattr(who, field) or w.blank}"
        for field in ("name", "national_id", "phone", "email")
    ]
    basis = told.basis.th if language == "th" else told.basis.en
    clock = told.case.complaint
    ending = [w.request.format(basis=basis)]
    if clock is not None and clock.complained_at is None and clock.hours_left > 0:
        ending.append(w.due.format(due=_local(clock.due_at, told)))
    return [
        Block(head="", lines=[w.to, w.written]),
        Block(head=w.who, lines=known),
        Block(head="", lines=_numbers(told, w)),
        Block(head=w.happened, lines=_narrative(told, w)),
        Block(head=w.payments, lines=_payments(told, w)),
        *_contacts(told, w),
        Block(head="", lines=[_found(told, w)]),
        Block(head="", lines=ending),
        Block(head="", lines=[w.sign, w.draft]),
    ]


def _numbers(told: Told, w: ComplaintWords) -> list[str]:
    first = w.numbers.format(case=told.case.case, reported=_local(told.report.received_at, told))
    return [
        first,
        *(
            w.bank_case.format(institution=one.institution, number=one.bank_case_id)
            for one in told.case.bank_cases
        ),
    ]


def _narrative(told: Told, w: ComplaintWords) -> list[str]:
    lines = [told.report.narrative.strip() or f"{w.no_narrative} {w.blank}"]
    if told.report.scam_type:
        kind = offence_of(told.report.scam_type)
        written = told.report.scam_type if kind is Offence.UNSORTED_SCAM else kind.value
        lines.append(w.kind.format(kind=w.kinds.get(kind, written)))
    return lines


def _payments(told: Told, w: ComplaintWords) -> list[str]:
    lines = [
        w.payment.format(
            no=payment.no + 1,
            at=_local(payment.booked_at, told),
            debtor_bank=payment.debtor_bank,
            debtor_account=payment.debtor_account,
            creditor_bank=payment.creditor_bank,
            creditor_account=payment.creditor_account,
            amount=format_money(payment.amount_minor, payment.currency),
            transfer=_transfer(payment, w),
        )
        for payment in told.payments
    ]
    total = sum(payment.amount_minor for payment in told.payments)
    return [*lines, w.total.format(total=format_money(total, told.payments[0].currency))]


def _transfer(payment: PaymentRow, w: ComplaintWords) -> str:
    found = payment.matched_id or payment.transfer_id
    return w.transfer.format(transfer=found) if found else ""


def _contacts(told: Told, w: ComplaintWords) -> list[Block]:
    if not told.indicators:
        return []
    return [Block(head=w.contacts, lines=[f"{i.kind}: {i.value}" for i in told.indicators])]


def _found(told: Told, w: ComplaintWords) -> str:
    case = told.case
    return w.found.format(
        at=_local(told.now, told),
        loss=format_money(case.loss_minor, case.currency),
        held=format_money(case.held_minor, case.currency),
        located=format_money(case.located_minor, case.currency),
        exited=format_money(case.exited_minor, case.currency),
        returned=format_money(case.restituted_minor, case.currency),
    )


def _local(moment: datetime, told: Told) -> str:
    zone = timezone(timedelta(hours=told.utc_offset_hours))
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M} {told.utc_offset_hours:+03d}:00"
