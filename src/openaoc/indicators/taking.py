"""Indicators: what of a report becomes an indicator: what it names, and where its money went.

Pure but for what it is given; decides nothing about weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from openaoc.indicators.model import Said, SourceKind
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import (
    Identifier,
    Kind,
    account_value,
    kind_named,
    normalise,
)
from openaoc.kernel.offences import offence_of
from openaoc.reports.service import IndicatorRow, PaymentRow, ReportRow

CITIZEN_SOURCE = "citizen"


def said_in(
    report: ReportRow,
    *,
    payments: Sequence[PaymentRow],
    named: Sequence[IndicatorRow],
    region: str,
    pooled: Callable[[str, str], bool],
    held_back: bool,
) -> list[Said]:
    """Every identifier of the report, once each; what is not valid stays in the report alone.

    `pooled`: whether many people's money lies together on an account; such a one deceives nobody.
    Persons are named by institutions under their own key, and by nobody else.
    """
    institution = report.sender_institution if report.own_key else None
    kind = SourceKind.CITIZEN if institution is None else SourceKind.INSTITUTION
    source = CITIZEN_SOURCE if institution is None else f"institution:{institution}"
    found = dict.fromkeys(_identifiers(payments, named, region=region, pooled=pooled))
    return [
        Said(
            identifier=one,
            kind=kind,
            source=source,
            ref=report.id,
            at=report.received_at,
            said_at=report.received_at,
            offence=offence_of(report.scam_type),
            case=report.case_id,
            held_back=held_back,
        )
        for one in found
        if one.kind is not Kind.PERSON or institution is not None
    ]


def _identifiers(
    payments: Sequence[PaymentRow],
    named: Sequence[IndicatorRow],
    *,
    region: str,
    pooled: Callable[[str, str], bool],
) -> Iterator[Identifier]:
    for payment in payments:
        if pooled(payment.creditor_bank, payment.creditor_account):
            continue
        found = _account(payment)
        if found is not None:
            yield found
    for row in named:
        read = _named(row, region=region)
        if read is not None:
            yield read


def _account(payment: PaymentRow) -> Identifier | None:
    try:
        value = account_value(bank=payment.creditor_bank, account=payment.creditor_account)
    except BadInput:
        return None
    return Identifier(kind=Kind.BANK_ACCOUNT, value=value)


def _named(row: IndicatorRow, *, region: str) -> Identifier | None:
    try:
        kind = kind_named(row.kind)
        return Identifier(kind=kind, value=normalise(kind, row.value, region=region))
    except BadInput:
        return None
