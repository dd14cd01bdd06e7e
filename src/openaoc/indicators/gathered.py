"""Indicators: what others gather them into needs: their cases, and that they are offered again.

Changes no opinion.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from openaoc.indicators.model import SourceKind, Status
from openaoc.indicators.store import indicators, sources
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction


class InCases(msgspec.Struct, frozen=True, kw_only=True):
    """Of an indicator: the cases of ours whose reports name it, and when it changed last."""

    cases: frozenset[str]
    withdrawn: bool
    changed_at: datetime


def in_cases(tx: Transaction, ids: Sequence[str]) -> dict[str, InCases]:
    """By indicator, the cases that standing voices of our own name it in; none for an unknown."""
    require(tx.actor, Permission.INDICATOR_READ)
    own = sa.and_(
        sources.c.indicator_id == indicators.c.id,
        sources.c.case_id.is_not(None),
        sources.c.taken_back_at.is_(None),
        sources.c.kind != SourceKind.PARTNER.value,
    )
    cases = sa.func.array_agg(sources.c.case_id).filter(sources.c.case_id.is_not(None))
    statement = (
        sa.select(
            indicators.c.id, indicators.c.status, indicators.c.changed_at, cases.label("cases")
        )
        .join_from(indicators, sources, own, isouter=True)
        .where(indicators.c.id.in_(list(ids)))
        .group_by(indicators.c.id)
    )
    return {
        row.id: InCases(
            cases=frozenset(row.cases or ()),
            withdrawn=row.status == Status.WITHDRAWN.value,
            changed_at=row.changed_at,
        )
        for row in tx.connection.execute(statement)
    }


def offer_again(tx: Transaction, ids: Sequence[str]) -> None:
    """Who publishes comes upon these again: what they belong to has changed."""
    require(tx.actor, Permission.INDICATOR_READ)
    if not ids:
        return
    # As every change: they are committed in the order in which they are numbered.
    tx.lock("indicators.changes")
    tx.connection.execute(
        sa.update(indicators)
        .where(indicators.c.id.in_(list(ids)))
        .values(change=sa.func.nextval("indicators_changes"))
    )
