"""In which form an institution's system takes orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Everybody who is there already takes JSON."""
    op.add_column(
        "institutions",
        sa.Column("message_format", sa.Text, nullable=False, server_default="json"),
    )
    op.alter_column("institutions", "message_format", server_default=None)
    op.create_check_constraint(
        "institutions_message_format_check",
        "institutions",
        "message_format IN ('json', 'iso20022')",
    )


def downgrade() -> None:
    """Forget the forms."""
    op.drop_column("institutions", "message_format")
