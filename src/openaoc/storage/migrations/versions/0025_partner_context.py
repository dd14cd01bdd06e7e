"""What partners tell beside indicators: campaigns, reports, what to do. For people to read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Each partner's word by its own id; read newest first, forgotten when its time is over."""
    op.create_table(
        "partner_context",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
        sa.Column("partner", sa.Text, sa.ForeignKey("exchange_partners.code"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("modified", _MOMENT, nullable=False),
        sa.Column("taken_at", _MOMENT, nullable=False),
        sa.Column("keep_until", _MOMENT, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("partner_context_keep_until", "partner_context", ["keep_until"])
    grant("partner_context")
    op.execute("ALTER TABLE partner_context ENABLE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY partner_context_centre ON partner_context"
        " USING (current_setting('openaoc.scope', true) = 'centre')"
        " WITH CHECK (current_setting('openaoc.scope', true) = 'centre')"
    )


def downgrade() -> None:
    """What partners told is gone."""
    op.drop_table("partner_context")
