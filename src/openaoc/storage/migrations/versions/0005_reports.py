"""Tables of the reports stage: reports, their payments, their indicators. No identity."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "reports",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("sender_institution", sa.Text),
        sa.Column("own_key", sa.Boolean, nullable=False),
        sa.Column("source_ref", sa.Text),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        _moment("reported_at"),
        _moment("received_at"),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("narrative", sa.Text, nullable=False),
        sa.Column("scam_type", sa.Text),
        sa.Column("proof_kind", sa.Text, nullable=False),
        sa.Column("bank_case_id", sa.Text),
        sa.Column("has_identity", sa.Boolean, nullable=False),
        sa.Column("receipt", sa.LargeBinary, nullable=False),
    )
    for name, column in (("reports_source", "source_ref"), ("reports_key", "idempotency_key")):
        op.create_index(
            name,
            "reports",
            ["sender", column],
            unique=True,
            postgresql_where=sa.text(f"{column} is not null"),
        )
    op.create_index("reports_case", "reports", ["case_id"])
    op.create_table(
        "report_payments",
        sa.Column("report_id", sa.Text, sa.ForeignKey("reports.id"), primary_key=True),
        sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("transfer_id", sa.Text),
        sa.Column("reported_by", sa.Text),
        _moment("booked_at"),
        sa.Column("debtor_bank", sa.Text, nullable=False),
        sa.Column("debtor_account", sa.Text, nullable=False),
        sa.Column("creditor_bank", sa.Text, nullable=False),
        sa.Column("creditor_account", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("matched_by", sa.Text),
        sa.Column("matched_id", sa.Text),
        sa.Column("candidates", sa.Integer, nullable=False),
        sa.Column("confirmed_by", sa.Text),
        _moment("confirmed_at", nullable=True),
        sa.CheckConstraint("amount_minor > 0", name="report_payments_positive"),
    )
    op.create_table(
        "report_indicators",
        sa.Column("report_id", sa.Text, sa.ForeignKey("reports.id"), primary_key=True),
        sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_index(
        "report_indicators_value",
        "report_indicators",
        [sa.text("md5(value)")],
    )
    for table in ("reports", "report_payments", "report_indicators"):
        grant(table)


def downgrade() -> None:
    """Drop them."""
    for table in ("report_indicators", "report_payments", "reports"):
        op.drop_table(table)
