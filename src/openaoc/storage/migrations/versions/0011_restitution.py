"""Holds on an institution's own suspicion; who gets what from what is held.

An institution's people see the rows addressed to it alone, whatever the application asks:
row-level security.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from openaoc.storage.policies import grant, only_own_institution

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create them."""
    _suspicions()
    _restitutions()
    _objections()
    op.add_column("hold_events", sa.Column("paid_by", sa.Text))
    op.add_column("hold_events", sa.Column("paid_id", sa.Text))


def _suspicions() -> None:
    op.create_table(
        "hold_suspicions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
        sa.Column("institution", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("grounds", sa.Text, nullable=False),
        sa.Column("bank_case_id", sa.Text),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("rule_version", sa.Integer, nullable=False),
        sa.Column("legal_basis", postgresql.JSONB, nullable=False),
        _moment("held_at"),
        _moment("told_at"),
        sa.Column("told_by", sa.Text, nullable=False),
        _moment("ends_at"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("authority", sa.Text),
        _moment("ended_at", nullable=True),
        sa.Column("end_reason", sa.Text),
        sa.CheckConstraint("amount_minor > 0", name="hold_suspicions_positive"),
        sa.CheckConstraint("ends_at > held_at", name="hold_suspicions_end"),
    )
    op.create_index("hold_suspicions_institution", "hold_suspicions", ["institution", "sequence"])
    op.create_index(
        "hold_suspicions_end",
        "hold_suspicions",
        ["ends_at"],
        postgresql_where=sa.text("state in ('standing','extended')"),
    )
    grant("hold_suspicions", "SELECT, INSERT, UPDATE")
    only_own_institution("hold_suspicions", "institution")


def _restitutions() -> None:
    op.create_table(
        "restitutions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
        sa.Column("case_id", sa.Text, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("jurisdiction", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("trace_rule", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("proposed_by", sa.Text, nullable=False),
        _moment("proposed_at"),
        sa.Column("published_by", sa.Text),
        _moment("published_at", nullable=True),
        _moment("objections_until", nullable=True),
        _moment("payable_at", nullable=True),
        _moment("ended_at", nullable=True),
        sa.Column("end_reason", sa.Text),
    )
    op.create_index(
        "restitutions_one_open",
        "restitutions",
        ["case_id"],
        unique=True,
        postgresql_where=sa.text("state not in ('paid','ended')"),
    )
    op.create_index(
        "restitutions_due",
        "restitutions",
        ["objections_until"],
        postgresql_where=sa.text("state in ('published','decided')"),
    )
    op.create_table(
        "restitution_lines",
        sa.Column("restitution_id", sa.Text, sa.ForeignKey("restitutions.id"), primary_key=True),
        sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("order_id", sa.Text, sa.ForeignKey("hold_orders.id"), nullable=False),
        sa.Column("institution", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("payee_bank", sa.Text, nullable=False),
        sa.Column("payee_account", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("proposed_minor", sa.BigInteger, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("paid_minor", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("paid_by", sa.Text),
        sa.Column("paid_id", sa.Text),
        _moment("paid_at", nullable=True),
        sa.CheckConstraint(
            "proposed_minor > 0 and amount_minor >= 0 and amount_minor <= proposed_minor"
            " and paid_minor >= 0 and paid_minor <= amount_minor",
            name="restitution_lines_amounts",
        ),
        sa.CheckConstraint(
            "(state = 'paid') = (paid_minor > 0) and (paid_minor > 0) = (paid_id is not null)",
            name="restitution_lines_paid",
        ),
        sa.UniqueConstraint("paid_by", "paid_id", name="restitution_lines_one_transfer"),
    )
    op.create_index("restitution_lines_order", "restitution_lines", ["order_id"])
    grant("restitutions", "SELECT, INSERT, UPDATE")
    grant("restitution_lines", "SELECT, INSERT, UPDATE")
    only_own_institution("restitution_lines", "institution")


def _objections() -> None:
    op.create_table(
        "restitution_objections",
        sa.Column("restitution_id", sa.Text, sa.ForeignKey("restitutions.id"), primary_key=True),
        sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("institution", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("rival_case", sa.Text),
        sa.Column("claimed_minor", sa.BigInteger, nullable=False),
        sa.Column("grounds", sa.Text, nullable=False),
        sa.Column("filed_by", sa.Text, nullable=False),
        _moment("filed_at"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("upheld_minor", sa.BigInteger),
        sa.Column("decision", sa.Text),
        sa.Column("proposed_by", sa.Text),
        sa.Column("decided_by", sa.Text),
        _moment("decided_at", nullable=True),
        sa.CheckConstraint(
            "claimed_minor > 0 and upheld_minor >= 0 and upheld_minor <= claimed_minor",
            name="restitution_objections_amounts",
        ),
        sa.CheckConstraint(
            "state <> 'decided' or (decided_by is not null and decided_by <> proposed_by)",
            name="restitution_objections_four_eyes",
        ),
    )
    grant("restitution_objections", "SELECT, INSERT, UPDATE")
    only_own_institution("restitution_objections", "institution")


def downgrade() -> None:
    """Drop them."""
    op.drop_column("hold_events", "paid_id")
    op.drop_column("hold_events", "paid_by")
    for table in (
        "restitution_objections",
        "restitution_lines",
        "restitutions",
        "hold_suspicions",
    ):
        op.drop_table(table)
