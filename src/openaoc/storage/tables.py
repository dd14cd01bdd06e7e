"""The one MetaData on which every stage's store defines its tables, and storage's own tables.

Migrations create them; nothing here touches a database.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

metadata: Final = sa.MetaData()

moment: Final = postgresql.TIMESTAMP(timezone=True, precision=6)
"""Every time column: aware, microseconds."""

journal_rows: Final = sa.Table(
    "journal_rows",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("at", moment, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
"""`body` is the canonical JSON whose bytes are the leaf; the others repeat parts of it for search,
and verification compares them.
"""

journal_waiting: Final = sa.Table(
    "journal_waiting",
    metadata,
    sa.Column("row_id", sa.BigInteger, primary_key=True),
)
"""Committed rows that have no leaf yet."""

journal_leaves: Final = sa.Table(
    "journal_leaves",
    metadata,
    sa.Column("leaf", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("row_id", sa.BigInteger, nullable=False, unique=True),
)

journal_nodes: Final = sa.Table(
    "journal_nodes",
    metadata,
    sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
"""Hashes of complete subtrees: (0, i) is leaf i, (l, p) covers leaves p·2^l to (p+1)·2^l - 1."""

journal_heads: Final = sa.Table(
    "journal_heads",
    metadata,
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("at", moment, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("signature", sa.LargeBinary, nullable=False),
)

vault_master: Final = sa.Table(
    "vault_master",
    metadata,
    sa.Column("one", sa.Boolean, primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
)
"""Which master key this database's identities are under: a one-way value, at most one row."""

vault_items: Final = sa.Table(
    "vault_items",
    metadata,
    sa.Column("subject_id", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, nullable=False, unique=True),
    sa.Column("ciphertext", sa.LargeBinary),
    sa.Column("sealed_at", moment, nullable=False),
    sa.Column("shredded_at", moment),
    sa.CheckConstraint("(ciphertext IS NULL) = (shredded_at IS NOT NULL)", name="vault_shredded"),
)

centre_state: Final = sa.Table(
    "centre_state",
    metadata,
    sa.Column("one", sa.Boolean, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("changed_at", moment, nullable=False),
    sa.Column("reconciling_since", moment),
    sa.Column("backup_at", moment),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("latest_at", moment, nullable=False),
)
"""One row: which life of the centre this is, and whether it may deliver."""

journal_witnesses: Final = sa.Table(
    "journal_witnesses",
    metadata,
    sa.Column("url", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("added_at", moment, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("seen_at", moment),
    sa.Column("failing_since", moment),
    sa.Column("last_error", sa.Text),
)
"""Outside witnesses of the journal's heads, and how far each has signed."""

journal_cosignatures: Final = sa.Table(
    "journal_cosignatures",
    metadata,
    sa.Column("url", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
)
