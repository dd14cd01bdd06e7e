"""Tables of the parties stage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from openaoc.storage.policies import grant, only_own_institution

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "institutions",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("jurisdiction", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text),
        sa.Column("added_at", _MOMENT, nullable=False),
    )
    op.create_table(
        "institution_keys",
        sa.Column("institution", sa.Text, sa.ForeignKey("institutions.code"), primary_key=True),
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("jwk", sa.Text, nullable=False),
        sa.Column("added_at", _MOMENT, nullable=False),
        sa.Column("retired_at", _MOMENT),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("roles", ARRAY(sa.Text), nullable=False),
        sa.Column("institution", sa.Text, sa.ForeignKey("institutions.code")),
        sa.Column("added_at", _MOMENT, nullable=False),
        sa.Column("disabled_at", _MOMENT),
        sa.CheckConstraint(
            "(roles && ARRAY['liaison','machine']) = (institution IS NOT NULL)",
            name="users_bound",
        ),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("added_at", _MOMENT, nullable=False),
        sa.Column("ends_at", _MOMENT),
        sa.Column("revoked_at", _MOMENT),
    )
    op.create_table(
        "live_switches",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("proposed_by", sa.Text),
        sa.Column("proposed_at", _MOMENT),
        sa.Column("approved_by", sa.Text),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.CheckConstraint("state IN ('shadow', 'proposed', 'live')", name="live_switches_state"),
        sa.CheckConstraint(
            "state <> 'live' OR (approved_by <> proposed_by) IS TRUE",
            name="live_switches_two_people",
        ),
    )
    for table in ("institutions", "institution_keys", "users", "api_keys", "live_switches"):
        grant(table, "SELECT, INSERT, UPDATE")
    only_own_institution("institution_keys", "institution")
    only_own_institution("users", "institution")


def downgrade() -> None:
    """Drop them."""
    for table in ("live_switches", "api_keys", "users", "institution_keys", "institutions"):
        op.drop_table(table)
