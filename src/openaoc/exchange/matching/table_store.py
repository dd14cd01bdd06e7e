"""Matching: its tables as the migration made them. Runs nothing."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from openaoc.storage.tables import metadata, moment

counts: Final = sa.Table(
    "match_counts",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("hour", moment, primary_key=True),
    sa.Column("questions", sa.BigInteger, nullable=False),
)
hits: Final = sa.Table(
    "match_hits",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("contact", sa.Text, nullable=False),
    sa.Column("found_at", moment, nullable=False),
    sa.Column("told_at", moment),
    sa.Column("reference", sa.Text),
    sa.Column("closed_at", moment),
    sa.Column("closed_by", sa.Text),
    sa.Column("why_closed", sa.Text),
)
