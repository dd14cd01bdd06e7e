"""Pooled accounts in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.kernel.ids import InstitutionCode
from openaoc.parties.model import PooledAccount, PooledKind, PooledState
from openaoc.storage.tables import metadata, moment

pooled: Final = sa.Table(
    "pooled_accounts",
    metadata,
    sa.Column("institution", sa.ForeignKey("institutions.code"), primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("counterparties", sa.Integer),
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("proposed_at", moment, nullable=False),
    sa.Column("confirmed_by", sa.Text),
    sa.Column("confirmed_at", moment),
)


class Counts(NamedTuple):
    """Pooled accounts of one institution, and of all."""

    own: int
    every: int


def _account(row: sa.Row[*tuple[object, ...]]) -> PooledAccount:
    return PooledAccount(
        institution=InstitutionCode(row.institution),
        account=row.account,
        kind=PooledKind(row.kind),
        state=PooledState(row.state),
        reason=row.reason,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        counterparties=row.counterparties,
        confirmed_by=row.confirmed_by,
        confirmed_at=row.confirmed_at,
    )


def listed(connection: Connection, *, code: str | None, limit: int) -> list[PooledAccount]:
    """By institution and account; of one institution where it is named."""
    query = sa.select(pooled).order_by(pooled.c.institution, pooled.c.account).limit(limit)
    if code is not None:
        query = query.where(pooled.c.institution == code)
    return [_account(row) for row in connection.execute(query)]


def find(connection: Connection, code: str, account: str) -> PooledAccount | None:
    """One pooled account."""
    query = sa.select(pooled).where(pooled.c.institution == code, pooled.c.account == account)
    row = connection.execute(query).first()
    return None if row is None else _account(row)


def counts(connection: Connection, code: str) -> Counts:
    """How many there are."""
    own = sa.func.count().filter(pooled.c.institution == code)
    row = connection.execute(sa.select(own, sa.func.count()).select_from(pooled)).one()
    return Counts(int(row[0]), int(row[1]))


def save(connection: Connection, one: PooledAccount) -> None:
    """Add it, or write it anew."""
    values = msgspec.structs.asdict(one) | {"kind": one.kind.value, "state": one.state.value}
    connection.execute(
        insert(pooled)
        .values(**values)
        .on_conflict_do_update(index_elements=["institution", "account"], set_=values)
    )


def delete(connection: Connection, code: str, account: str) -> None:
    """Take it out."""
    connection.execute(
        sa.delete(pooled).where(pooled.c.institution == code, pooled.c.account == account)
    )
