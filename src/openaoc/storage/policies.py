"""What migrations call to open a table to the application and to close rows to strangers.

Used inside a migration only, as the owner.
"""

from __future__ import annotations

import re
from typing import Final

from alembic import op

from openaoc.storage.roles import APPLICATION_GROUP

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")
ALL: Final = "SELECT, INSERT, UPDATE, DELETE"


def _checked(name: str) -> str:
    assert _NAME.fullmatch(name), name
    return name


def grant(table: str, rights: str = ALL) -> None:
    """Give the application exactly these rights on the table, and none else."""
    assert all(right.strip() in ALL.split(", ") for right in rights.split(",")), rights
    op.execute(f"REVOKE ALL ON {_checked(table)} FROM {APPLICATION_GROUP}")
    op.execute(f"GRANT {rights} ON {_checked(table)} TO {APPLICATION_GROUP}")


def only_own_institution(table: str, column: str) -> None:
    """Liaisons and machines see and change only rows whose column is their institution's code.

    Staff of the centre see all; a connection that did not say who it acts for sees nothing.
    """
    op.execute(f"ALTER TABLE {_checked(table)} ENABLE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY {table}_own_institution ON {table}"
        f" USING (openaoc_sees({_checked(column)})) WITH CHECK (openaoc_sees({column}))"
    )
