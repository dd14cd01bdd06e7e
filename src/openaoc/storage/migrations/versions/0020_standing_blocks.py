"""Which order's standing block an order continues."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An order continues another's block, or none; those nobody has confirmed yet are few."""
    op.add_column("hold_orders", sa.Column("continues", sa.Text, nullable=False, server_default=""))
    op.create_index(
        "hold_orders_presumed",
        "hold_orders",
        ["institution"],
        postgresql_where=sa.text("continues <> '' AND answered_at IS NULL"),
    )


def downgrade() -> None:
    """Every block is its order's own."""
    op.drop_index("hold_orders_presumed", "hold_orders")
    op.drop_column("hold_orders", "continues")
