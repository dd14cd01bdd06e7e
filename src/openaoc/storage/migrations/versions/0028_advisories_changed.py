"""Advisories: when each changed last, and until when it stands, as columns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_MOMENT = postgresql.TIMESTAMP(timezone=True, precision=6)


def upgrade() -> None:
    """Both stand in the body already."""
    op.add_column("advisories", sa.Column("changed_at", _MOMENT))
    op.add_column("advisories", sa.Column("valid_until", _MOMENT))
    op.execute(
        "UPDATE advisories SET changed_at = (body::json ->> 'changed_at')::timestamptz,"
        " valid_until = (body::json -> 'content' ->> 'valid_until')::timestamptz"
    )
    op.alter_column("advisories", "changed_at", nullable=False)
    op.create_index("advisories_changed", "advisories", ["changed_at"])


def downgrade() -> None:
    """They stay in the body."""
    op.drop_index("advisories_changed", "advisories")
    op.drop_column("advisories", "valid_until")
    op.drop_column("advisories", "changed_at")
