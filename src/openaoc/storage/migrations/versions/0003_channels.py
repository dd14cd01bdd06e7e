"""Tables of the channels stage: outbox, lines to institutions, nonces, repeated requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = ("channels_messages", "channels_lines", "channels_nonces", "channels_requests")
"""Only the centre itself reads them; no row is shown to an institution from here.

So they carry no row rules: a machine's report enqueues messages to other institutions.
"""


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "channels_messages",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("institution", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False, unique=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        _moment("created_at"),
        _moment("answer_by"),
        _moment("due_at"),
        _moment("escalate_at"),
        _moment("ended_at", nullable=True),
        _moment("escalated_at", nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("refusals", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text),
    )
    waiting = sa.text("state = 'waiting'")
    op.create_index(
        "channels_messages_waiting",
        "channels_messages",
        ["institution", "sequence"],
        postgresql_where=waiting,
    )
    op.create_index("channels_messages_subject", "channels_messages", ["subject"])
    op.create_index(
        "channels_messages_ended",
        "channels_messages",
        ["ended_at"],
        postgresql_where=sa.text("ended_at is not null"),
    )
    op.create_table(
        "channels_lines",
        sa.Column("institution", sa.Text, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        _moment("failing_since", nullable=True),
        _moment("next_attempt_at"),
        sa.Column("last_error", sa.Text),
    )
    op.create_table(
        "channels_nonces",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("nonce", sa.Text, primary_key=True),
        _moment("expires_at"),
    )
    op.create_index("channels_nonces_expiry", "channels_nonces", ["expires_at"])
    op.create_table(
        "channels_requests",
        sa.Column("actor", sa.Text, primary_key=True),
        sa.Column("route", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        _moment("at"),
    )
    op.create_index("channels_requests_at", "channels_requests", ["at"])
    for table in _TABLES:
        grant(table)


def downgrade() -> None:
    """Drop them."""
    for table in reversed(_TABLES):
        op.drop_table(table)
