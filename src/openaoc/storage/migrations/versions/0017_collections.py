"""Collections of the exchange: the bytes each partner may read, has written, or was read from.

A partner's users see the rows of its own released collection and inbox; feeds are the centre's.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from openaoc.storage.policies import grant

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)
PARTNERS_OWN = ("taxii_collections", "taxii_objects", "taxii_statuses")
CENTRE_ONLY = ("taxii_feeds", "taxii_receipts")


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, _MOMENT, nullable=nullable)


def upgrade() -> None:
    """Create them."""
    _collections()
    _feeds()
    for table in PARTNERS_OWN:
        grant(table)
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_own_partner ON {table}"
            " USING (openaoc_partner_sees(partner)) WITH CHECK (openaoc_partner_sees(partner))"
        )
    for table in CENTRE_ONLY:
        grant(table)
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_centre ON {table}"
            " USING (current_setting('openaoc.scope', true) = 'centre')"
            " WITH CHECK (current_setting('openaoc.scope', true) = 'centre')"
        )


def _collections() -> None:
    op.create_table(
        "taxii_collections",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("partner", sa.Text, sa.ForeignKey("exchange_partners.code"), nullable=False),
        _text("kind"),
        _text("title"),
        _text("profile"),
        _text("agreement", nullable=True),
        _moment("last_added"),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        _moment("swept_at", nullable=True),
        _moment("handed"),
        _moment("posted_on"),
        sa.Column("posted", sa.BigInteger, nullable=False),
        sa.CheckConstraint("kind IN ('released', 'inbox', 'feed')", name="taxii_collections_kind"),
    )
    op.create_index(
        "taxii_collections_one",
        "taxii_collections",
        ["partner", "kind"],
        unique=True,
        postgresql_where=sa.text("kind <> 'feed'"),
    )
    op.create_table(
        "taxii_objects",
        sa.Column("collection", sa.Text, primary_key=True),
        sa.Column("added", _MOMENT, primary_key=True),
        _text("partner"),
        _text("object_id"),
        _moment("version"),
        _text("type"),
        sa.Column("first", sa.Boolean, nullable=False),
        sa.Column("last", sa.Boolean, nullable=False),
        _text("origin", nullable=True),
        sa.Column("release", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    for name, columns, unique, where in (
        ("taxii_objects_version", ["collection", "object_id", "version"], True, None),
        ("taxii_objects_last", ["collection", "type", "added"], False, "last"),
        ("taxii_objects_origin", ["collection", "origin"], False, "origin IS NOT NULL"),
    ):
        condition = None if where is None else sa.text(where)
        op.create_index(name, "taxii_objects", columns, unique=unique, postgresql_where=condition)
    op.create_table(
        "taxii_statuses",
        sa.Column("id", sa.Text, primary_key=True),
        _text("partner"),
        _moment("at"),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("taxii_statuses_at", "taxii_statuses", ["at"])


def _feeds() -> None:

    op.create_table(
        "taxii_feeds",
        sa.Column("collection", sa.Text, sa.ForeignKey("taxii_collections.id"), primary_key=True),
        _text("url"),
        _text("remote"),
        _text("username"),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("publish", sa.Boolean, nullable=False),
        sa.Column("every_s", sa.Integer, nullable=False),
        _moment("added_after", nullable=True),
        _moment("next_at"),
        sa.Column("failures", sa.Integer, nullable=False),
        _text("last_error", nullable=True),
    )
    op.create_table(
        "taxii_receipts",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("collection", sa.Text, sa.ForeignKey("taxii_collections.id"), nullable=False),
        _text("partner"),
        _moment("at"),
        sa.Column("objects", sa.Integer, nullable=False),
        sa.Column("kept", sa.Integer, nullable=False),
        sa.Column("lost", sa.Integer, nullable=False),
        _text("report"),
    )
    op.create_index("taxii_receipts_partner", "taxii_receipts", ["partner", "sequence"])


def downgrade() -> None:
    """Drop them."""
    for table in ("taxii_receipts", "taxii_feeds", *reversed(PARTNERS_OWN)):
        op.drop_table(table)
