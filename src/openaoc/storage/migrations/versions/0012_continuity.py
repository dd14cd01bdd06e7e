"""Backups, standbys and the outside witnesses of the journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Create them; a database that is here already begins in its first epoch, delivering."""
    op.create_table(
        "centre_state",
        sa.Column("one", sa.Boolean, sa.CheckConstraint("one"), primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.Column("reconciling_since", _MOMENT),
        sa.Column("backup_at", _MOMENT),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("latest_at", _MOMENT, nullable=False),
    )
    op.execute(
        "INSERT INTO centre_state (one, epoch, changed_at, why, latest_at)"
        " VALUES (true, 1, now(), 'made', '-infinity')"
    )
    grant("centre_state", "SELECT, UPDATE")
    op.create_table(
        "journal_witnesses",
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("added_at", _MOMENT, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("seen_at", _MOMENT),
        sa.Column("failing_since", _MOMENT),
        sa.Column("last_error", sa.Text),
    )
    grant("journal_witnesses")
    op.create_table(
        "journal_cosignatures",
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
    )
    grant("journal_cosignatures", "SELECT, INSERT")


def downgrade() -> None:
    """Drop them."""
    for table in ("journal_cosignatures", "journal_witnesses", "centre_state"):
        op.drop_table(table)
