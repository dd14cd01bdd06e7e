"""Take-downs, advisories, letters to partners' centres, and what partners saw of what we gave.

A partner's users see what was sent to their own; the rest is the centre's alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)
PARTNERS_OWN = ("takedowns", "advisory_deliveries")
CENTRE_ONLY = (
    "exchange_letters",
    "takedowns_received",
    "advisories",
    "advisories_received",
    "partner_sectors",
    "partner_sightings",
)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, _MOMENT, nullable=nullable)


def _sequence() -> sa.Column[int]:
    return sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True)


def _partner(*, primary_key: bool = False) -> sa.Column[str]:
    there = sa.ForeignKey("exchange_partners.code")
    return sa.Column("partner", sa.Text, there, primary_key=primary_key, nullable=False)


def upgrade() -> None:
    """Create them."""
    _letters()
    _takedowns()
    _advisories()
    _usefulness()
    for table in PARTNERS_OWN:
        grant(table, "SELECT, INSERT, UPDATE")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_own_partner ON {table}"
            " USING (openaoc_partner_sees(partner)) WITH CHECK (openaoc_partner_sees(partner))"
        )
    for table in CENTRE_ONLY:
        grant(table)
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_centre ON {table}"
            " USING (current_setting('openaoc.scope', true) = 'centre')"
            " WITH CHECK (current_setting('openaoc.scope', true) = 'centre')"
        )


def _letters() -> None:
    op.create_table(
        "exchange_letters",
        _partner(primary_key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("matter", sa.Text, primary_key=True),
        sa.Column("word", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        _moment("written_at"),
        _moment("due_at"),
        sa.Column("failures", sa.Integer, nullable=False),
        _text("last_error"),
    )
    op.create_index("exchange_letters_due", "exchange_letters", ["due_at"])


def _takedowns() -> None:
    op.create_table(
        "takedowns",
        _sequence(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        _partner(),
        _text("indicator"),
        _text("state"),
        _moment("due_at", nullable=True),
        _text("body"),
    )
    op.create_index("takedowns_indicator", "takedowns", ["indicator"])
    op.create_index("takedowns_partner", "takedowns", ["partner", "sequence"])
    op.create_index(
        "takedowns_due",
        "takedowns",
        ["due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "takedowns_received",
        _partner(primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        _text("state"),
        _moment("received_at"),
        _text("body"),
    )
    op.create_index("takedowns_received_newest", "takedowns_received", ["received_at"])


def _advisories() -> None:
    op.create_table(
        "advisories",
        _sequence(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        _text("state"),
        _text("body"),
    )
    op.create_table(
        "advisory_deliveries",
        sa.Column("advisory", sa.Text, sa.ForeignKey("advisories.id"), primary_key=True),
        _partner(primary_key=True),
        _moment("due_at", nullable=True),
        _text("body"),
    )
    op.create_index("advisory_deliveries_partner", "advisory_deliveries", ["partner"])
    op.create_index(
        "advisory_deliveries_due",
        "advisory_deliveries",
        ["due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "advisories_received",
        _partner(primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        _moment("received_at"),
        _text("body"),
    )
    op.create_table(
        "partner_sectors",
        _partner(primary_key=True),
        sa.Column("sector", sa.Text, primary_key=True),
    )


def _usefulness() -> None:
    op.create_table(
        "partner_sightings",
        _partner(primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        _text("object_id"),
        _moment("first_seen"),
        _moment("last_seen"),
        sa.Column("count", sa.BigInteger, nullable=False),
        _moment("said_at"),
        _moment("taken_at"),
        sa.Column("revoked", sa.Boolean, nullable=False),
    )
    op.create_index("partner_sightings_object", "partner_sightings", ["object_id"])
    op.add_column("indicator_sources", sa.Column("heard_at", _MOMENT))
    op.execute("UPDATE indicator_sources SET heard_at = said_at")
    op.alter_column("indicator_sources", "heard_at", nullable=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_column("indicator_sources", "heard_at")
    for table in (
        "partner_sightings",
        "partner_sectors",
        "advisories_received",
        "advisory_deliveries",
        "advisories",
        "takedowns_received",
        "takedowns",
        "exchange_letters",
    ):
        op.drop_table(table)
