"""Tables of the storage stage: who sees what, the journal, the vault."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant
from openaoc.storage.roles import APPLICATION_GROUP

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)

_SEES = """
CREATE FUNCTION openaoc_sees(institution text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE current_setting('openaoc.scope', true)
        WHEN 'centre' THEN true
        WHEN 'institution' THEN
            coalesce(current_setting('openaoc.institution', true), '') <> ''
            AND institution = current_setting('openaoc.institution', true)
        ELSE false END
$$
"""


def upgrade() -> None:
    """Create them."""
    op.execute(_SEES)
    op.execute(f"GRANT USAGE ON SCHEMA public TO {APPLICATION_GROUP}")
    _journal()
    _vault()


def _journal() -> None:
    op.create_table(
        "journal_rows",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("journal_rows_subject", "journal_rows", ["subject", "id"])
    op.create_index("journal_rows_action", "journal_rows", ["action", "id"])
    op.create_table(
        "journal_waiting",
        sa.Column("row_id", sa.BigInteger, primary_key=True, autoincrement=False),
    )
    op.create_table(
        "journal_leaves",
        sa.Column("leaf", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("row_id", sa.BigInteger, nullable=False, unique=True),
    )
    op.create_table(
        "journal_nodes",
        sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "journal_heads",
        sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
    )
    for table in ("journal_rows", "journal_leaves", "journal_nodes", "journal_heads"):
        grant(table, "SELECT, INSERT")
    grant("journal_waiting", "SELECT, INSERT, DELETE")


def _vault() -> None:
    op.create_table(
        "vault_master",
        sa.Column("one", sa.Boolean, sa.CheckConstraint("one"), primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    )
    grant("vault_master", "SELECT")
    op.create_table(
        "vault_items",
        sa.Column("subject_id", sa.Text, primary_key=True),
        sa.Column("key_id", sa.Text, nullable=False, unique=True),
        sa.Column("ciphertext", sa.LargeBinary),
        sa.Column("sealed_at", _MOMENT, nullable=False),
        sa.Column("shredded_at", _MOMENT),
        sa.CheckConstraint(
            "(ciphertext IS NULL) = (shredded_at IS NOT NULL)", name="vault_shredded"
        ),
    )
    op.create_index(
        "vault_items_shredded",
        "vault_items",
        ["shredded_at"],
        postgresql_where=sa.text("shredded_at IS NOT NULL"),
    )
    grant("vault_items", "SELECT, INSERT, UPDATE")


def downgrade() -> None:
    """Refused: the first migration's tables hold the journal, which nothing may drop."""
    raise NotImplementedError("the journal is never dropped")
