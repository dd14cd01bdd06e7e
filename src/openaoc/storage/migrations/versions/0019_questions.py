"""How many questions an institution was asked in the last hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Questions are few among messages; they are counted at each new one."""
    op.create_index(
        "channels_messages_questions",
        "channels_messages",
        ["institution", "answer_by"],
        postgresql_where=sa.text("kind = 'payment.confirm'"),
    )


def downgrade() -> None:
    """Count them by looking at every message."""
    op.drop_index("channels_messages_questions", "channels_messages")
