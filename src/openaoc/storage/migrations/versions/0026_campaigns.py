"""Campaigns: which indicators persons hold to be one and the same scam's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """For persons of the centre; what was taken off stays, so that partners hear of it."""
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("campaigns_changed", "campaigns", ["changed_at"])
    op.create_table(
        "campaign_indicators",
        sa.Column("campaign", sa.Text, sa.ForeignKey("campaigns.id"), primary_key=True),
        sa.Column("indicator", sa.Text, sa.ForeignKey("indicators.id"), primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("attached", sa.Boolean, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
    )
    op.create_index("campaign_indicators_of", "campaign_indicators", ["indicator"])
    for table in ("campaigns", "campaign_indicators"):
        grant(table, "SELECT, INSERT, UPDATE")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_centre ON {table}"
            " USING (current_setting('openaoc.scope', true) = 'centre')"
            " WITH CHECK (current_setting('openaoc.scope', true) = 'centre')"
        )


def downgrade() -> None:
    """What was held to be one scam's is so no more."""
    op.drop_table("campaign_indicators")
    op.drop_table("campaigns")
