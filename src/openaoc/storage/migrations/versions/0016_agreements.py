"""Agreements with partners, and what was released under them.

A partner's users see its own agreements, releases and notices; the rest is the centre's alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from openaoc.storage.policies import grant

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)

_SEES = """
CREATE FUNCTION openaoc_partner_sees(partner text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE current_setting('openaoc.scope', true)
        WHEN 'centre' THEN true
        ELSE coalesce(current_setting('openaoc.partner', true), '') <> ''
            AND partner = current_setting('openaoc.partner', true) END
$$
"""

PARTNERS_OWN = (
    ("exchange_partners", "code"),
    ("exchange_partner_keys", "partner"),
    ("exchange_agreements", "partner"),
    ("exchange_releases", "partner"),
    ("exchange_notices", "partner"),
)
CENTRE_ONLY = (
    "exchange_marks",
    "exchange_recalls",
    "exchange_approvals",
    "exchange_canaries",
    "exchange_requests",
)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, _MOMENT, nullable=nullable)


def _partner(*, primary_key: bool = False) -> sa.Column[str]:
    there = sa.ForeignKey("exchange_partners.code")
    return sa.Column("partner", sa.Text, there, primary_key=primary_key, nullable=False)


def upgrade() -> None:
    """Create them."""
    op.execute(_SEES)
    _partners()
    _agreements()
    _releases()
    _around()
    for table, column in PARTNERS_OWN:
        grant(table, "SELECT, INSERT, UPDATE")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_own_partner ON {table}"
            f" USING (openaoc_partner_sees({column})) WITH CHECK (openaoc_partner_sees({column}))"
        )
    for table in CENTRE_ONLY:
        grant(table, "SELECT, INSERT, UPDATE")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_centre ON {table}"
            " USING (current_setting('openaoc.scope', true) = 'centre')"
            " WITH CHECK (current_setting('openaoc.scope', true) = 'centre')"
        )


def _partners() -> None:
    op.create_table(
        "exchange_partners",
        sa.Column("code", sa.Text, primary_key=True),
        _text("name"),
        _text("kind"),
        _text("jurisdiction"),
        _text("contact"),
        _text("endpoint", nullable=True),
        _moment("added_at"),
    )
    op.create_table(
        "exchange_partner_keys",
        _partner(primary_key=True),
        sa.Column("kid", sa.Text, primary_key=True),
        _text("jwk"),
        _text("fingerprint"),
        _text("added_by"),
        _moment("added_at"),
        _text("verified_by", nullable=True),
        _text("verified_with", nullable=True),
        _moment("verified_at", nullable=True),
        _moment("retired_at", nullable=True),
        sa.CheckConstraint(
            "(verified_by <> added_by) IS NOT FALSE", name="exchange_keys_two_people"
        ),
    )
    op.add_column("users", sa.Column("partner", sa.Text, sa.ForeignKey("exchange_partners.code")))
    op.create_check_constraint(
        "users_partner", "users", "('partner' = ANY (roles)) = (partner IS NOT NULL)"
    )


def _agreements() -> None:
    op.create_table(
        "exchange_agreements",
        sa.Column("id", sa.Text, primary_key=True),
        _partner(),
        sa.Column("version", sa.Integer, nullable=False),
        _text("state"),
        _text("terms"),
        _text("digest"),
        _text("drafted_by"),
        _moment("drafted_at"),
        _moment("changed_at"),
        _moment("ends_at"),
        _text("voices"),
        _text("reason"),
        sa.UniqueConstraint("partner", "version", name="exchange_agreements_version"),
        sa.CheckConstraint(
            "state IN ('drafted', 'approved', 'active', 'suspended', 'ended')",
            name="exchange_agreements_state",
        ),
    )
    op.create_index(
        "exchange_agreements_one",
        "exchange_agreements",
        ["partner"],
        unique=True,
        postgresql_where=sa.text("state IN ('active', 'suspended')"),
    )


def _releases() -> None:
    op.create_table(
        "exchange_releases",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _partner(),
        sa.Column("agreement", sa.Text, sa.ForeignKey("exchange_agreements.id"), nullable=False),
        sa.Column("confirmed", sa.Text, sa.ForeignKey("exchange_agreements.id"), nullable=False),
        _text("object_id"),
        _text("kind"),
        _text("purpose"),
        sa.Column("fields", ARRAY(sa.Text), nullable=False),
        _text("body", nullable=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        _text("why"),
        _text("released_by"),
        _moment("released_at"),
        _moment("keep_until"),
        _text("ended_as", nullable=True),
        _moment("ended_at", nullable=True),
        sa.CheckConstraint("(ended_as IS NULL) = (ended_at IS NULL)", name="exchange_releases_end"),
    )
    current = sa.text("ended_as IS NULL")
    for name, columns, unique, where in (
        ("exchange_releases_current", ["partner", "object_id"], True, current),
        ("exchange_releases_view", ["partner", "sequence"], False, current),
        ("exchange_releases_object", ["object_id"], False, current),
        ("exchange_releases_keep", ["keep_until"], False, current),
        ("exchange_releases_day", ["partner", "released_at"], False, None),
    ):
        op.create_index(name, "exchange_releases", columns, unique=unique, postgresql_where=where)
    op.create_table(
        "exchange_notices",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _partner(),
        _text("object_id"),
        _text("kind"),
        _text("reason"),
        _moment("at"),
        _moment("delivered_at", nullable=True),
    )
    op.create_index("exchange_notices_partner", "exchange_notices", ["partner", "sequence"])


def _around() -> None:
    op.create_table(
        "exchange_marks",
        _partner(primary_key=True),
        sa.Column("publisher", sa.Text, primary_key=True),
        _text("agreement"),
        _text("mark"),
    )
    op.create_table(
        "exchange_recalls",
        sa.Column("object_id", sa.Text, primary_key=True),
        _text("kind"),
        _moment("at"),
    )
    op.create_table(
        "exchange_approvals",
        sa.Column("id", sa.Text, primary_key=True),
        _partner(),
        _text("object_id"),
        sa.Column("fields", ARRAY(sa.Text), nullable=False),
        _text("legal_basis"),
        _text("reason"),
        _text("approved_by"),
        _moment("approved_at"),
        _moment("used_at", nullable=True),
    )
    op.create_index("exchange_approvals_of", "exchange_approvals", ["partner", "object_id"])
    op.create_table(
        "exchange_canaries",
        sa.Column("object_id", sa.Text, primary_key=True),
        _partner(),
        sa.Column("number", sa.Integer, nullable=False),
        _text("identifier_kind"),
        sa.Column("value", sa.Text, nullable=False, unique=True),
        _text("planted_by"),
        _moment("planted_at"),
        _moment("seen_at", nullable=True),
        _text("seen_where", nullable=True),
        sa.UniqueConstraint("partner", "number", name="exchange_canaries_number"),
    )
    op.create_table(
        "exchange_requests",
        _partner(primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("outcome", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_constraint("users_partner", "users")
    op.drop_column("users", "partner")
    for table in (*CENTRE_ONLY, *(name for name, _ in reversed(PARTNERS_OWN))):
        op.drop_table(table)
    op.execute("DROP FUNCTION openaoc_partner_sees(text)")
