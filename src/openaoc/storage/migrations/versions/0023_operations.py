"""Possible victims of trafficking: marks, keyed digests of names, referrals; joint work of centres.

Nothing here is an institution's or a partner's: their people see no row of it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from openaoc.storage.policies import grant

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)
TABLES = (
    "protection_marks",
    "protection_names",
    "protection_referrals",
    "operations",
    "operation_members",
    "operation_entries",
)
TRAINED = ("protection_marks", "protection_referrals")
"""Seen by trained roles alone, whatever the application asks."""


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, _MOMENT, nullable=nullable)


def _partner(*, nullable: bool = False) -> sa.Column[str]:
    return sa.Column("partner", sa.Text, sa.ForeignKey("exchange_partners.code"), nullable=nullable)


def upgrade() -> None:
    """Create them."""
    op.add_column(
        "exchange_releases",
        sa.Column(
            "speaks_of", ARRAY(sa.LargeBinary), nullable=False, server_default=sa.text("'{}'")
        ),
    )
    op.create_index(
        "exchange_releases_speaks_of",
        "exchange_releases",
        ["speaks_of"],
        postgresql_using="gin",
        postgresql_where=sa.text("ended_as IS NULL"),
    )
    _settled()
    _protection()
    _operations()
    for table in TABLES:
        grant(table, "SELECT, INSERT, UPDATE")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        sees = "current_setting('openaoc.scope', true) = 'centre'"
        if table in TRAINED:
            sees += (
                " AND string_to_array(current_setting('openaoc.role', true), ',')"
                " && ARRAY['protection_officer', 'data_protection_officer', 'system']"
            )
        op.execute(f"CREATE POLICY {table}_centre ON {table} USING ({sees}) WITH CHECK ({sees})")


def _settled() -> None:
    """How each request of a partner ended; until now only openings were counted, as met."""
    op.add_column("requests_received", sa.Column("settled_as", sa.Text))
    op.add_column("requests_received", sa.Column("settled_at", _MOMENT))
    op.execute(
        "UPDATE requests_received SET settled_at = changed_at,"
        " settled_as = CASE state WHEN 'opened' THEN 'met' ELSE state END"
        " WHERE state IN ('opened', 'refused', 'withdrawn')"
    )
    op.execute("DELETE FROM exchange_requests WHERE outcome = 'met'")
    op.create_index("requests_received_opened", "requests_received", ["opened_at"])


def _protection() -> None:
    op.create_table(
        "protection_marks",
        sa.Column("id", sa.Text, primary_key=True),
        _text("state"),
        sa.Column("signs", ARRAY(sa.Text), nullable=False),
        _text("case", nullable=True),
        sa.Column("origin", sa.Text, sa.ForeignKey("exchange_partners.code")),
        _text("origin_ref", nullable=True),
        _text("marked_by"),
        _moment("marked_at"),
        _text("lift_proposed_by", nullable=True),
        _text("lifted_by", nullable=True),
        _moment("lifted_at", nullable=True),
        sa.CheckConstraint(
            "state IN ('standing', 'lift-proposed', 'lifted')", name="protection_marks_state"
        ),
        sa.CheckConstraint(
            "(lifted_by <> lift_proposed_by) IS NOT FALSE", name="protection_marks_two_people"
        ),
        sa.UniqueConstraint("origin", "origin_ref", name="protection_marks_once"),
    )
    op.create_table(
        "protection_names",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("mark", sa.Text, sa.ForeignKey("protection_marks.id"), primary_key=True),
        sa.Column("standing", sa.Boolean, nullable=False),
    )
    op.create_table(
        "protection_referrals",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("mark", sa.Text, sa.ForeignKey("protection_marks.id"), nullable=False),
        _partner(),
        sa.Column("fields", ARRAY(sa.Text), nullable=False),
        _text("state"),
        _text("reason"),
        _text("proposed_by"),
        _moment("proposed_at"),
        _text("approved_by", nullable=True),
        _text("legal_basis", nullable=True),
        _moment("approved_at", nullable=True),
        _moment("delivered_at", nullable=True),
        _text("last_error", nullable=True),
        sa.CheckConstraint(
            "(approved_by <> proposed_by) IS NOT FALSE", name="protection_referrals_two_people"
        ),
    )


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.Text, primary_key=True),
        _text("state"),
        _moment("opened_at"),
        _text("body"),
        _text("offer", nullable=True),
    )
    operation = sa.ForeignKey("operations.id")
    op.create_table(
        "operation_members",
        sa.Column("operation", sa.Text, operation, primary_key=True),
        sa.Column("partner", sa.Text, sa.ForeignKey("exchange_partners.code"), primary_key=True),
        _text("state"),
        _moment("heard_at", nullable=True),
        _text("last_error", nullable=True),
    )
    op.create_table(
        "operation_entries",
        sa.Column("operation", sa.Text, sa.ForeignKey("operations.id"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        _text("origin"),
        _text("body"),
        _text("message", nullable=True),
    )


def downgrade() -> None:
    """Drop them."""
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("requests_received", "settled_as")
    op.drop_column("requests_received", "settled_at")
    op.drop_index("exchange_releases_speaks_of", "exchange_releases")
    op.drop_column("exchange_releases", "speaks_of")
