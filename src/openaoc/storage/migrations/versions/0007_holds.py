"""Tables of the holds stage: orders, answers, and what institutions did with money.

An institution's liaison or machine sees only live orders addressed to it, whatever the
application asks: row-level security.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from openaoc.storage.policies import grant, only_own_institution

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create them."""
    _orders()
    op.create_table(
        "hold_answers",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("order_id", sa.Text, sa.ForeignKey("hold_orders.id"), nullable=False),
        sa.Column("institution", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        _moment("at"),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("applied_minor", sa.BigInteger, nullable=False),
        sa.Column("available_minor", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.Column("bank_case_id", sa.Text),
        sa.UniqueConstraint("order_id", "digest", name="hold_answers_once"),
    )
    op.create_table(
        "hold_events",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("bank", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        _moment("at"),
        sa.CheckConstraint("amount_minor > 0", name="hold_events_positive"),
    )
    op.create_index("hold_events_case", "hold_events", ["case_id"])
    for table in ("hold_orders", "hold_answers"):
        grant(table)
        only_own_institution(table, "institution")
    grant("hold_events", "SELECT, INSERT")
    op.execute(
        "create policy hold_orders_sent on hold_orders as restrictive"
        " using (current_setting('openaoc.scope', true) = 'centre'"
        " or (mode = 'live' and state <> 'drafted'))"
    )


def _orders() -> None:
    amounts = ("amount_minor", "ceiling_minor", "applied_minor", "held_minor", "short_minor")
    op.create_table(
        "hold_orders",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("case_id", sa.Text, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("institution", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in amounts),
        sa.Column("available_minor", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("standing", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("rule_version", sa.Integer, nullable=False),
        sa.Column("trace_rule", sa.Text, nullable=False),
        sa.Column("legal_basis", postgresql.JSONB, nullable=False),
        sa.Column("reason", postgresql.JSONB, nullable=False),
        sa.Column("layer", sa.Integer, nullable=False),
        _moment("received_at"),
        sa.Column("amounts", postgresql.JSONB, nullable=False),
        sa.Column("likely_innocent", sa.Boolean, nullable=False),
        sa.Column("why", postgresql.JSONB, nullable=False),
        sa.Column("approvals_needed", sa.Integer, nullable=False),
        sa.Column("approvals", postgresql.JSONB, nullable=False),
        _moment("issued_at"),
        _moment("answer_by"),
        _moment("ends_at"),
        _moment("escalated_at", nullable=True),
        _moment("answered_at", nullable=True),
        _moment("ended_at", nullable=True),
        sa.Column("end_reason", sa.Text),
        sa.CheckConstraint(
            "amount_minor >= 0 and amount_minor <= ceiling_minor and held_minor >= 0"
            " and held_minor <= applied_minor and held_minor <= amount_minor"
            " and applied_minor <= ceiling_minor and short_minor >= 0",
            name="hold_orders_amount_only",
        ),
        sa.CheckConstraint("ends_at > issued_at", name="hold_orders_end"),
    )
    active = "state in ('drafted','issued','acknowledged','applied','applied_in_part')"
    op.create_index("hold_orders_case", "hold_orders", ["case_id"])
    op.create_index("hold_orders_institution", "hold_orders", ["institution", "sequence"])
    for name, columns in (
        ("hold_orders_account", ["institution", "account", "currency"]),
        ("hold_orders_end", ["ends_at"]),
    ):
        op.create_index(name, "hold_orders", columns, postgresql_where=sa.text(active))
    op.create_index(
        "hold_orders_late",
        "hold_orders",
        ["answer_by"],
        postgresql_where=sa.text(
            "state in ('issued','acknowledged') and mode = 'live' and escalated_at is null"
        ),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("hold_events", "hold_answers", "hold_orders"):
        op.drop_table(table)
