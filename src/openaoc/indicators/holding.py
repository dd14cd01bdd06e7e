"""Indicators: the bare identifiers of some kinds, for matching with a partner without showing.

Reads nothing but kind and value; who named them and why stays here.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from openaoc.indicators.model import SourceKind, Status
from openaoc.indicators.store import indicators, sources
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.storage.unit_of_work import Transaction


def held(tx: Transaction, kinds: Sequence[str], *, limit: int, after: int = 0) -> list[Identifier]:
    """Proposed and confirmed identifiers of these kinds, the latest changed first.

    Nothing of what only partners said, or we took back: that we know it is not ours to tell.
    `after`: only those that changed behind this mark; see `newest_change`.
    """
    own = sa.exists().where(
        sources.c.indicator_id == indicators.c.id,
        sources.c.kind != SourceKind.PARTNER.value,
        sources.c.taken_back_at.is_(None),
    )
    live = [Status.PROPOSED.value, Status.CONFIRMED.value]
    statement = (
        sa.select(indicators.c.kind, indicators.c.value)
        .where(
            indicators.c.kind.in_(list(kinds)),
            indicators.c.status.in_(live),
            indicators.c.change > after,
            own,
        )
        .order_by(indicators.c.change.desc())
        .limit(limit)
    )
    found = tx.connection.execute(statement)
    return [Identifier(kind=Kind(row.kind), value=row.value) for row in found]


def newest_change(tx: Transaction) -> int:
    """The mark of the latest change there is."""
    statement = sa.select(sa.func.coalesce(sa.func.max(indicators.c.change), 0))
    return int(tx.connection.execute(statement).scalar_one())
