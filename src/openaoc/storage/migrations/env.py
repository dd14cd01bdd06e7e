"""Alembic's way in: runs the migrations on the connection that migrate.py opened and locked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

connection = context.config.attributes["connection"]
assert isinstance(connection, sa.Connection), "migrations run through openaoc.storage.migrate"
context.configure(connection=connection, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
