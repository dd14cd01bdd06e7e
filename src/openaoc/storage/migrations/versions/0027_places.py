"""Exchange: numbers that partners see rest on their own history and the time alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_TABLES = ("exchange_releases", "exchange_notices")


def upgrade() -> None:
    """What was given out keeps the number under which its partner knows it."""
    for table in _TABLES:
        op.add_column(table, sa.Column("place", sa.BigInteger))
        op.execute(f"UPDATE {table} SET place = sequence")  # noqa: S608 - our own names
        op.alter_column(table, "place", nullable=False)
        op.create_index(f"{table}_place", table, ["partner", "place"], unique=True)
    op.drop_index("exchange_releases_view", "exchange_releases")
    op.drop_index("exchange_notices_partner", "exchange_notices")
    op.create_index(
        "exchange_releases_view",
        "exchange_releases",
        ["partner", "place"],
        postgresql_where=sa.text("ended_as IS NULL"),
    )


def downgrade() -> None:
    """Partners see the centre's own numbers again."""
    op.drop_index("exchange_releases_view", "exchange_releases")
    op.create_index(
        "exchange_releases_view",
        "exchange_releases",
        ["partner", "sequence"],
        postgresql_where=sa.text("ended_as IS NULL"),
    )
    op.create_index("exchange_notices_partner", "exchange_notices", ["partner", "sequence"])
    for table in _TABLES:
        op.drop_index(f"{table}_place", table)
        op.drop_column(table, "place")
