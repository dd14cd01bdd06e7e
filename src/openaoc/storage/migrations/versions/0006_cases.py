"""Tables of the cases stage: cases and their claims."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from openaoc.storage.policies import grant
from openaoc.storage.roles import APPLICATION_GROUP

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "cases",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
        _moment("opened_at"),
        sa.Column("opened_by", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("standing", sa.Text, nullable=False),
        sa.Column("standing_why", postgresql.JSONB, nullable=False),
        sa.Column("approvals_needed", sa.Integer, nullable=False),
        sa.Column("approvals", postgresql.JSONB, nullable=False),
        sa.Column("jurisdiction", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("figures", sa.LargeBinary, nullable=False),
        sa.Column("loss_minor", sa.BigInteger, nullable=False),
        sa.Column("located_minor", sa.BigInteger, nullable=False),
        sa.Column("held_minor", sa.BigInteger, nullable=False),
        _moment("traced_at", nullable=True),
        _moment("retrace_at", nullable=True),
        _moment("complaint_at", nullable=True),
        sa.Column("complaint_ref", sa.Text),
        _moment("closed_at", nullable=True),
    )
    op.create_index(
        "cases_retrace",
        "cases",
        ["retrace_at"],
        postgresql_where=sa.text("retrace_at is not null"),
    )
    op.create_table(
        "case_claims",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=False), primary_key=True),
        sa.Column("case_id", sa.Text, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("reported_by", sa.Text, nullable=False),
        sa.Column("transfer_id", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger),
        sa.CheckConstraint("amount_minor > 0", name="case_claims_positive"),
    )
    op.create_index("case_claims_case", "case_claims", ["case_id"])
    grant("cases")
    grant("case_claims")
    op.execute(f"grant usage on sequence case_claims_sequence_seq to {APPLICATION_GROUP}")


def downgrade() -> None:
    """Drop them."""
    for table in ("case_claims", "cases"):
        op.drop_table(table)
