"""Between centres: what matched, and requests to follow money across a border.

Nothing here is an institution's: its people see no row of it, whatever the application asks.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLES = ("match_counts", "match_hits", "centre_lines", "requests_sent", "requests_received")


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def upgrade() -> None:
    """Create them."""
    _matching()
    _lines()
    _sent()
    _received()
    for table in TABLES:
        grant(table)
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_centre ON {table}"
            " USING (current_setting('openaoc.scope', true) = 'centre')"
        )


def _matching() -> None:
    op.create_table(
        "match_counts",
        sa.Column("partner", sa.Text, primary_key=True),
        sa.Column("hour", sa.DateTime(timezone=True), primary_key=True),
        _number("questions"),
    )
    op.create_table(
        "match_hits",
        sa.Column("id", sa.Text, primary_key=True),
        _text("partner"),
        _text("direction"),
        _text("kind"),
        _text("value"),
        _number("epoch"),
        _text("token"),
        _text("contact"),
        _moment("found_at"),
        _moment("told_at", nullable=True),
        _text("reference", nullable=True),
        _moment("closed_at", nullable=True),
        _text("closed_by", nullable=True),
        _text("why_closed", nullable=True),
    )
    op.create_index(
        "match_hits_open",
        "match_hits",
        ["partner", "direction", "kind", "value"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )
    op.create_index("match_hits_newest", "match_hits", ["found_at"])


def _lines() -> None:
    op.create_table(
        "centre_lines",
        sa.Column("partner", sa.Text, primary_key=True),
        _number("epoch"),
        _moment("heard_at", nullable=True),
        sa.Column("failures", sa.Integer, nullable=False),
        _moment("next_at", nullable=True),
        _text("last_error", nullable=True),
    )


def _sent() -> None:
    op.create_table(
        "requests_sent",
        sa.Column("id", sa.Text, primary_key=True),
        _text("partner"),
        sa.Column("case_id", sa.Text, sa.ForeignKey("cases.id"), nullable=False),
        _text("reported_by"),
        _text("transfer_id"),
        _text("institution"),
        _text("account"),
        _text("currency"),
        _moment("booked_at"),
        _number("sent_minor"),
        _number("amount_minor"),
        _text("state"),
        _text("why", nullable=True),
        _number("revision"),
        sa.Column("body", sa.LargeBinary),
        _text("purpose"),
        _number("taken_revision"),
        _number("taken_epoch"),
        sa.Column("answer", sa.LargeBinary),
        _number("answer_epoch"),
        _number("answer_revision"),
        _text("last_error", nullable=True),
        _moment("due_at"),
        _moment("opened_at"),
        _moment("changed_at"),
        _moment("answered_at", nullable=True),
        sa.CheckConstraint("amount_minor >= 0", name="requests_sent_amount"),
        sa.UniqueConstraint(
            "partner", "case_id", "reported_by", "transfer_id", name="requests_sent_once"
        ),
    )
    op.create_index("requests_sent_case", "requests_sent", ["case_id"])
    op.create_index("requests_sent_partner", "requests_sent", ["partner", "changed_at"])


def _received() -> None:
    op.create_table(
        "requests_received",
        sa.Column("partner", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        _number("epoch"),
        _number("revision"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        _text("state"),
        sa.Column("case_id", sa.Text, sa.ForeignKey("cases.id")),
        _text("matched_by", nullable=True),
        _text("matched_id", nullable=True),
        _text("booked_currency", nullable=True),
        _number("claimed_minor"),
        sa.Column("candidates", sa.Integer, nullable=False),
        _text("why", nullable=True),
        _number("answer_revision"),
        sa.Column("answer", sa.LargeBinary),
        _text("answer_digest", nullable=True),
        _number("taken_revision"),
        _number("taken_epoch"),
        _text("last_error", nullable=True),
        _moment("due_at"),
        _moment("opened_at"),
        _moment("changed_at"),
        _moment("look_at", nullable=True),
    )
    op.create_index("requests_received_case", "requests_received", ["case_id"])
    op.create_index("requests_received_look", "requests_received", ["look_at"])


def downgrade() -> None:
    """Drop them."""
    for table in reversed(TABLES):
        op.drop_table(table)
