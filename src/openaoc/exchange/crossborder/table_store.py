"""Requests between centres: its tables as the migration made them. Runs nothing."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from openaoc.storage.tables import metadata, moment

lines: Final = sa.Table(
    "centre_lines",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("heard_at", moment),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("next_at", moment),
    sa.Column("last_error", sa.Text),
)
sent: Final = sa.Table(
    "requests_sent",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("reported_by", sa.Text, nullable=False),
    sa.Column("transfer_id", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("booked_at", moment, nullable=False),
    sa.Column("sent_minor", sa.BigInteger, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("why", sa.Text),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("taken_revision", sa.BigInteger, nullable=False),
    sa.Column("taken_epoch", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.LargeBinary),
    sa.Column("answer_epoch", sa.BigInteger, nullable=False),
    sa.Column("answer_revision", sa.BigInteger, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Column("due_at", moment, nullable=False),
    sa.Column("opened_at", moment, nullable=False),
    sa.Column("changed_at", moment, nullable=False),
    sa.Column("answered_at", moment),
)
received: Final = sa.Table(
    "requests_received",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("case_id", sa.Text),
    sa.Column("matched_by", sa.Text),
    sa.Column("matched_id", sa.Text),
    sa.Column("booked_currency", sa.Text),
    sa.Column("claimed_minor", sa.BigInteger, nullable=False),
    sa.Column("candidates", sa.Integer, nullable=False),
    sa.Column("why", sa.Text),
    sa.Column("answer_revision", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.LargeBinary),
    sa.Column("answer_digest", sa.Text),
    sa.Column("taken_revision", sa.BigInteger, nullable=False),
    sa.Column("taken_epoch", sa.BigInteger, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Column("due_at", moment, nullable=False),
    sa.Column("opened_at", moment, nullable=False),
    sa.Column("changed_at", moment, nullable=False),
    sa.Column("look_at", moment),
    sa.Column("settled_as", sa.Text),
    sa.Column("settled_at", moment),
)
