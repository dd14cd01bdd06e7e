"""Exchange: approvals of what names a person, in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

from openaoc.exchange.ledger_model import ApprovalView
from openaoc.storage.tables import metadata, moment

approvals: Final = sa.Table(
    "exchange_approvals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("object_id", sa.Text, nullable=False),
    sa.Column("fields", ARRAY(sa.Text), nullable=False),
    sa.Column("legal_basis", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("approved_by", sa.Text, nullable=False),
    sa.Column("approved_at", moment, nullable=False),
    sa.Column("used_at", moment),
)


def add_approval(connection: Connection, one: ApprovalView) -> None:
    """A person's word."""
    values = msgspec.structs.asdict(one) | {"fields": list(one.fields)}
    connection.execute(sa.insert(approvals).values(**values))


def open_approvals(
    connection: Connection, partner: str, *, ids: Sequence[str], since: datetime
) -> dict[str, ApprovalView]:
    """The newest approval of each object that was not used, given since then, locked."""
    query = (
        sa.select(approvals)
        .where(
            approvals.c.partner == partner,
            approvals.c.object_id == sa.any_(sa.bindparam("ids", type_=sa.ARRAY(sa.Text))),
            approvals.c.used_at.is_(None),
            approvals.c.approved_at >= since,
        )
        .order_by(approvals.c.approved_at)
    )
    return {
        row.object_id: ApprovalView(
            id=row.id,
            object_id=row.object_id,
            partner=row.partner,
            fields=tuple(row.fields),
            legal_basis=row.legal_basis,
            reason=row.reason,
            approved_by=row.approved_by,
            approved_at=row.approved_at,
            used_at=row.used_at,
        )
        for row in connection.execute(query, {"ids": list(ids)})
    }


def use_approval(connection: Connection, approval_id: str, *, at: datetime) -> None:
    """It has let its fields leave; it does so once."""
    connection.execute(sa.update(approvals).where(approvals.c.id == approval_id).values(used_at=at))
