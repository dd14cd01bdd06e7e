"""When a holder is told later than at once: by whose word, why, until when, and who waits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant, only_own_institution

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """A case has one open delay at most; those that are open are few."""
    op.create_table(
        "notice_delays",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
        sa.Column("case_id", sa.Text, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        sa.Column("authority", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("proposed_by", sa.Text, nullable=False),
        sa.Column("proposed_at", _MOMENT, nullable=False),
        sa.Column("agreed_by", sa.Text),
        sa.Column("agreed_at", _MOMENT),
        sa.Column("ended_by", sa.Text),
        sa.Column("ended_at", _MOMENT),
        sa.Column("end_reason", sa.Text),
        sa.CheckConstraint("state in ('proposed', 'in_force', 'ended')"),
        sa.CheckConstraint("state <> 'in_force' or agreed_by is not null"),
        sa.CheckConstraint("agreed_by <> proposed_by"),
    )
    op.create_index(
        "notice_delays_open",
        "notice_delays",
        ["case_id"],
        unique=True,
        postgresql_where=sa.text("state <> 'ended'"),
    )
    op.create_index("notice_delays_of_case", "notice_delays", ["case_id", "sequence"])
    grant("notice_delays", "SELECT, INSERT, UPDATE")
    # Why is for persons of the centre: an institution reads only that its holder is told later.
    op.execute("alter table notice_delays enable row level security")
    op.execute(
        "create policy notice_delays_centre on notice_delays"
        " using (current_setting('openaoc.scope', true) = 'centre')"
        " with check (current_setting('openaoc.scope', true) = 'centre')"
    )
    op.create_table(
        "withheld_notices",
        sa.Column("order_id", sa.Text, sa.ForeignKey("hold_orders.id"), primary_key=True),
        sa.Column("institution", sa.Text, nullable=False),
        sa.Column("delay_id", sa.Text, sa.ForeignKey("notice_delays.id"), nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        sa.Column("told_at", _MOMENT),
    )
    op.create_index(
        "withheld_notices_waiting",
        "withheld_notices",
        ["delay_id"],
        postgresql_where=sa.text("told_at is null"),
    )
    grant("withheld_notices", "SELECT, INSERT, UPDATE")
    only_own_institution("withheld_notices", "institution")


def downgrade() -> None:
    """Everybody is told at once."""
    op.drop_table("withheld_notices")
    op.drop_table("notice_delays")
