"""Contests of holds, reviews, compensation; breakers, what was undone, answers by telephone.

All but the last are the centre's own: row-level security shows an institution none of them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from openaoc.storage.policies import grant, only_own_institution

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

CENTRE_ONLY = (
    "appeals",
    "appeal_statements",
    "compensations",
    "hold_reviews",
    "blind_draws",
    "blind_reviews",
    "breakers",
    "undo_runs",
    "undo_items",
)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _minor(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    """Create them."""
    op.add_column("hold_orders", sa.Column("paused_by", sa.Text))
    op.create_index(
        "hold_orders_paused",
        "hold_orders",
        ["paused_by"],
        postgresql_where=sa.text("paused_by is not null and state = 'drafted'"),
    )
    op.create_index("hold_orders_issued", "hold_orders", ["issued_at"])
    _appeals()
    _reviews()
    _safety()
    for table in CENTRE_ONLY:
        grant(table)
        op.execute(f"alter table {table} enable row level security")
        op.execute(
            f"create policy {table}_centre on {table}"
            " using (current_setting('openaoc.scope', true) = 'centre')"
            " with check (current_setting('openaoc.scope', true) = 'centre')"
        )
    op.create_table(
        "hold_phone_answers",
        sa.Column("order_id", sa.Text, sa.ForeignKey("hold_orders.id"), primary_key=True),
        _text("institution"),
        _text("agent"),
        _moment("spoken_at"),
        _moment("typed_at"),
        _text("outcome"),
        _minor("applied_minor"),
        _moment("confirmed_at", nullable=True),
    )
    grant("hold_phone_answers")
    only_own_institution("hold_phone_answers", "institution")


def _appeals() -> None:
    op.create_table(
        "appeals",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
        sa.Column("order_id", sa.Text, sa.ForeignKey("hold_orders.id"), nullable=False),
        _text("case_id"),
        _text("institution"),
        _text("currency"),
        _text("source"),
        _text("language"),
        _text("state"),
        _moment("filed_at"),
        _moment("answer_by"),
        _moment("last_at"),
        _minor("held_minor"),
        sa.Column("statements", sa.Integer, nullable=False),
        sa.Column("evidence", postgresql.JSONB),
        _text("taken_by", nullable=True),
        sa.Column("proposal", postgresql.JSONB),
        _text("proposed_by", nullable=True),
        sa.Column("persons_needed", sa.Integer, nullable=False),
        _text("decided_by", nullable=True),
        _moment("decided_at", nullable=True),
        _minor("released_minor"),
        _moment("escalated_at", nullable=True),
        _moment("overdue_at", nullable=True),
        _text("late_reason", nullable=True),
        sa.CheckConstraint(
            "released_minor >= 0 and held_minor >= 0 and persons_needed between 1 and 2",
            name="appeals_amounts",
        ),
    )
    open_states = "state in ('filed','under_review','proposed')"
    op.create_index(
        "appeals_one_open",
        "appeals",
        ["order_id"],
        unique=True,
        postgresql_where=sa.text(open_states),
    )
    op.create_index("appeals_order", "appeals", ["order_id"])
    op.create_index("appeals_due", "appeals", ["answer_by"], postgresql_where=sa.text(open_states))
    op.create_table(
        "appeal_statements",
        sa.Column("appeal_id", sa.Text, sa.ForeignKey("appeals.id"), primary_key=True),
        sa.Column("no", sa.Integer, primary_key=True),
        _moment("at"),
    )
    op.create_table(
        "compensations",
        sa.Column("appeal_id", sa.Text, sa.ForeignKey("appeals.id"), primary_key=True),
        sa.Column("order_id", sa.Text, sa.ForeignKey("hold_orders.id"), nullable=False),
        _text("case_id"),
        _text("institution"),
        _text("currency"),
        _minor("wrongful_minor"),
        _moment("held_from"),
        _moment("held_until"),
        _minor("minor_hours"),
        _text("cause"),
        _text("rule"),
        _text("reporter"),
        sa.Column("issued_by", postgresql.JSONB, nullable=False),
        _moment("at"),
        sa.CheckConstraint("wrongful_minor > 0 and minor_hours >= 0", name="compensations_amounts"),
    )


def _reviews() -> None:
    op.create_table(
        "hold_reviews",
        sa.Column("order_id", sa.Text, sa.ForeignKey("hold_orders.id"), primary_key=True),
        _moment("reviewed_at"),
    )
    op.create_table(
        "blind_draws",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("commitment", sa.LargeBinary, nullable=False),
        _moment("committed_at"),
        sa.Column("seed", sa.LargeBinary),
        _moment("drawn_at", nullable=True),
        sa.Column("population", sa.Integer, nullable=False),
        sa.Column("drawn", sa.Integer, nullable=False),
    )
    op.create_table(
        "blind_reviews",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
        sa.Column("order_id", sa.Text, sa.ForeignKey("hold_orders.id"), nullable=False),
        sa.Column("day", sa.Date, sa.ForeignKey("blind_draws.day"), nullable=False),
        _moment("drawn_at"),
        _text("verdict", nullable=True),
        _minor("wrong_minor"),
        _text("note", nullable=True),
        _text("reviewed_by", nullable=True),
        _moment("reviewed_at", nullable=True),
        sa.UniqueConstraint("order_id", name="blind_reviews_once"),
    )


def _safety() -> None:
    op.create_table(
        "breakers",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("open", sa.Boolean, nullable=False),
        _text("why"),
        _text("changed_by"),
        _moment("changed_at"),
        _moment("counted_from", nullable=True),
        sa.Column("resume", sa.Boolean, nullable=False),
    )
    op.create_table(
        "undo_runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
        sa.Column("selection", postgresql.JSONB, nullable=False),
        _text("reason"),
        _text("state"),
        _text("proposed_by"),
        _moment("proposed_at"),
        _text("approved_by", nullable=True),
        _moment("approved_at", nullable=True),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("orders", sa.Integer, nullable=False),
        _minor("released_minor"),
        _minor("withdrawn_minor"),
        _moment("finished_at", nullable=True),
    )
    op.create_table(
        "undo_items",
        sa.Column("run_id", sa.Text, sa.ForeignKey("undo_runs.id"), primary_key=True),
        sa.Column("order_id", sa.Text, sa.ForeignKey("hold_orders.id"), primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        _text("case_id"),
        _text("institution"),
        _text("account"),
        _text("currency"),
        _text("done"),
        _minor("amount_minor"),
        _moment("at"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("hold_phone_answers", *reversed(CENTRE_ONLY)):
        op.drop_table(table)
    op.drop_index("hold_orders_issued", "hold_orders")
    op.drop_index("hold_orders_paused", "hold_orders")
    op.drop_column("hold_orders", "paused_by")
