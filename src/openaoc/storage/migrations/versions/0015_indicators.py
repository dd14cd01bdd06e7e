"""What the centre holds an opinion on: indicators, who said so, and whose word was right.

The centre's own: row-level security shows an institution none of it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from openaoc.storage.policies import grant
from openaoc.storage.roles import APPLICATION_GROUP

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = ("indicators", "indicator_sources", "indicator_records", "indicator_waiting")


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text, nullable=nullable)


def upgrade() -> None:
    """Create them; reports filed before wait to be taken."""
    op.execute("create sequence indicators_changes")
    op.execute(f"grant usage on sequence indicators_changes to {APPLICATION_GROUP}")
    op.create_table(
        "indicators",
        sa.Column("id", sa.Text, primary_key=True),
        _text("kind"),
        _text("value"),
        _text("status"),
        sa.Column("confidence", sa.Integer, nullable=False),
        sa.Column("scam_types", postgresql.ARRAY(sa.Text), nullable=False),
        _moment("first_seen"),
        _moment("last_seen"),
        _moment("valid_until"),
        sa.Column("reports", sa.Integer, nullable=False),
        sa.Column("under_pursuit", sa.Boolean, nullable=False),
        _text("public_status", nullable=True),
        _moment("created_at"),
        _moment("changed_at"),
        _text("decided_by", nullable=True),
        _moment("decided_at", nullable=True),
        _text("reason"),
        sa.Column(
            "change",
            sa.BigInteger,
            nullable=False,
            unique=True,
            server_default=sa.text("nextval('indicators_changes')"),
        ),
        sa.UniqueConstraint("kind", "value", name="indicators_once"),
        sa.CheckConstraint("confidence between 0 and 100", name="indicators_percent"),
    )
    op.create_index(
        "indicators_due",
        "indicators",
        ["valid_until"],
        postgresql_where=sa.text("status in ('proposed','confirmed')"),
    )
    _sources()
    for table in TABLES:
        grant(table)
        op.execute(f"alter table {table} enable row level security")
        op.execute(
            f"create policy {table}_centre on {table}"
            " using (current_setting('openaoc.scope', true) = 'centre')"
            " with check (current_setting('openaoc.scope', true) = 'centre')"
        )


def _sources() -> None:
    op.create_table(
        "indicator_sources",
        sa.Column("indicator_id", sa.Text, sa.ForeignKey("indicators.id"), primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("ref", sa.Text, primary_key=True),
        _text("kind"),
        _text("offence"),
        _text("marking"),
        _moment("first_seen"),
        _moment("last_seen"),
        _moment("said_at"),
        _text("case_id", nullable=True),
        sa.Column("held_back", sa.Boolean, nullable=False),
        _moment("taken_back_at", nullable=True),
    )
    op.create_index("indicator_sources_ref", "indicator_sources", ["source", "ref"])
    op.create_index(
        "indicator_sources_held",
        "indicator_sources",
        ["case_id"],
        postgresql_where=sa.text("held_back"),
    )
    op.create_table(
        "indicator_records",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("right", sa.Integer, nullable=False),
        sa.Column("wrong", sa.Integer, nullable=False),
    )
    op.create_table("indicator_waiting", sa.Column("report_id", sa.Text, primary_key=True))
    op.execute("insert into indicator_waiting (report_id) select id from reports")


def downgrade() -> None:
    """Drop them."""
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("drop sequence indicators_changes")
