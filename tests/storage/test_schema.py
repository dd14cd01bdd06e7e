"""What the stores believe of their tables is what the migrations made, for every stage."""

from __future__ import annotations

import importlib
import pkgutil

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import openaoc
from openaoc.storage.database import Database
from openaoc.storage.roles import APPLICATION_GROUP
from openaoc.storage.tables import metadata

OTHERS = "alembic_"
"""The migrations' own table, which no store of ours describes."""


def stores() -> list[str]:
    """Every module of the project that may describe a table."""
    found = []
    for stage in pkgutil.iter_modules(openaoc.__path__):
        if not stage.ispkg:
            continue
        prefix = f"openaoc.{stage.name}."
        folder = importlib.import_module(prefix[:-1]).__path__
        names = [m.name for m in pkgutil.walk_packages(folder, prefix)]
        found += [name for name in names if "store" in name.rpartition(".")[2]]
    return found


def test_stores_and_migrations_agree(database: Database) -> None:
    for name in stores():
        importlib.import_module(name)
    engine = sa.create_engine("postgresql+psycopg://", creator=database.connect)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_object": lambda _, name, kind, *__: (
                    kind in ("table", "column")
                    and not (kind == "table" and str(name).startswith(OTHERS))
                ),
            },
        )
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert not differences, "\n".join(map(str, differences))


def test_every_table_is_opened_to_the_application_on_purpose(database: Database) -> None:
    query = sa.text(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace"
        " AND c.relkind = 'r' AND c.relname NOT LIKE 'alembic%'"
        " AND NOT has_table_privilege(CAST(:role AS name), c.oid, 'SELECT')"
    )
    with database.engine.connect() as connection:
        closed = connection.execute(query, {"role": APPLICATION_GROUP}).scalars().all()
    assert closed == []
