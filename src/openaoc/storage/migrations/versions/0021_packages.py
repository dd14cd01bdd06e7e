"""Best practice: packages, what came of trying them, scripts, and how far partners were asked.

All of it is the centre's alone: no institution and no partner sees a row.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from openaoc.storage.policies import grant
from openaoc.storage.roles import APPLICATION_GROUP

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLES = ("practice_packages", "practice_observations", "practice_scripts", "practice_lines")
CHANGES = "practice_changes"
_NEXT = sa.text(f"nextval('{CHANGES}')")


def _text(name: str, *, nullable: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, primary_key=key)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.TIMESTAMP(timezone=True), nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _flag(name: str, *, nullable: bool = False) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=nullable)


def _change() -> sa.Column[int]:
    return sa.Column("change", sa.BigInteger, nullable=False, unique=True, server_default=_NEXT)


def upgrade() -> None:
    """Create them."""
    op.execute(f"CREATE SEQUENCE {CHANGES}")
    op.execute(f"GRANT USAGE ON SEQUENCE {CHANGES} TO {APPLICATION_GROUP}")
    _packages()
    _observations()
    _scripts()
    op.create_table(
        "practice_lines",
        _text("partner", key=True),
        _number("epoch"),
        _number("after"),
        _number("notice"),
        _moment("fetched_at", nullable=True),
        _text("error", nullable=True),
    )
    for table in TABLES:
        grant(table)
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_centre ON {table}"
            " USING (current_setting('openaoc.scope', true) = 'centre')"
        )


def _packages() -> None:
    op.create_table(
        "practice_packages",
        _text("id", key=True),
        _text("kind"),
        _text("partner", nullable=True),
        _text("bundle"),
        _text("digest"),
        _text("signature"),
        _text("marking"),
        _text("standing"),
        _moment("since"),
        _flag("shared"),
        _text("voice", nullable=True),
        _flag("full"),
        _text("reason"),
        _moment("changed_at"),
        _change(),
    )


def _observations() -> None:
    op.create_table(
        "practice_observations",
        _text("package_id", key=True),
        _text("institution", key=True),
        _text("account", key=True),
        _text("currency", key=True),
        _text("case_id"),
        _flag("named"),
        _number("payers"),
        _number("received_minor"),
        _number("passed_on_minor"),
        _moment("first_at"),
        _moment("seen_at"),
        _flag("told"),
        _flag("mule", nullable=True),
        _moment("known_at", nullable=True),
    )
    op.create_index(
        "practice_observations_account", "practice_observations", ["institution", "account"]
    )
    op.create_index("practice_observations_seen", "practice_observations", ["seen_at"])


def _scripts() -> None:
    op.create_table(
        "practice_scripts",
        _text("id", key=True),
        _text("partner", nullable=True),
        _text("state"),
        _text("text"),
        _text("language"),
        _text("medium"),
        sa.Column("offences", ARRAY(sa.Text), nullable=False),
        _text("marking"),
        _text("removed"),
        _text("case_id", nullable=True),
        _moment("seen_at"),
        _text("made_by"),
        _text("approved_by", nullable=True),
        _text("reason"),
        _moment("made_at"),
        _moment("changed_at"),
        _change(),
    )


def downgrade() -> None:
    """Drop them."""
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute(f"DROP SEQUENCE {CHANGES}")
