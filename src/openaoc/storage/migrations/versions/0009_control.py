"""Proof of account control, a person's stop of a case; pooled accounts of institutions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant, only_own_institution

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "control_checks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("bank", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("ends_at", _MOMENT, nullable=False),
        sa.Column("wrong", sa.Integer, nullable=False),
        sa.Column("proven_at", _MOMENT),
        sa.CheckConstraint("wrong >= 0", name="control_checks_counted"),
    )
    op.create_index("control_checks_account", "control_checks", ["bank", "account", "asked_at"])
    op.create_index("control_checks_case", "control_checks", ["case_id", "asked_at"])
    op.create_index("control_checks_sender", "control_checks", ["asked_by", "asked_at"])
    grant("control_checks")
    op.add_column("cases", sa.Column("stopped_why", sa.Text))
    op.add_column("report_payments", sa.Column("control_proven_at", _MOMENT))
    op.create_index("vault_items_sealed", "vault_items", ["sealed_at", "subject_id"])
    op.create_table(
        "pooled_accounts",
        sa.Column("institution", sa.Text, sa.ForeignKey("institutions.code"), primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("counterparties", sa.Integer),
        sa.Column("proposed_by", sa.Text, nullable=False),
        sa.Column("proposed_at", _MOMENT, nullable=False),
        sa.Column("confirmed_by", sa.Text),
        sa.Column("confirmed_at", _MOMENT),
        sa.CheckConstraint(
            "(state = 'confirmed') = (confirmed_by IS NOT NULL)", name="pooled_accounts_confirmed"
        ),
    )
    grant("pooled_accounts")
    only_own_institution("pooled_accounts", "institution")


def downgrade() -> None:
    """Drop them."""
    op.drop_table("pooled_accounts")
    op.drop_index("vault_items_sealed", "vault_items")
    op.drop_column("report_payments", "control_proven_at")
    op.drop_column("cases", "stopped_why")
    op.drop_table("control_checks")
