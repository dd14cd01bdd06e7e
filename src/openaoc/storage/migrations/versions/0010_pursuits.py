"""What the pursuit of open cases keeps: whether a case is to be planned again in any case."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every open case is planned again once."""
    op.add_column(
        "cases",
        sa.Column("retrace_must", sa.Boolean, nullable=False, server_default=sa.text("true")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_column("cases", "retrace_must")
