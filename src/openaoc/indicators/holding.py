"""Indicators: the bare identifiers of some kinds, for matching with a partner without showing.

Reads nothing but kind and value; who named them and why stays here.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from openaoc.indicators.model import Status
from openaoc.indicators.store import indicators
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.storage.unit_of_work import Transaction


def held(tx: Transaction, kinds: Sequence[str], *, limit: int) -> list[Identifier]:
    """Proposed and confirmed identifiers of these kinds, the latest changed first."""
    live = [Status.PROPOSED.value, Status.CONFIRMED.value]
    statement = (
        sa.select(indicators.c.kind, indicators.c.value)
        .where(indicators.c.kind.in_(list(kinds)), indicators.c.status.in_(live))
        .order_by(indicators.c.change.desc())
        .limit(limit)
    )
    found = tx.connection.execute(statement)
    return [Identifier(kind=Kind(row.kind), value=row.value) for row in found]
