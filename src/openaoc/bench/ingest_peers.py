"""Bench: how fast PostgreSQL and DuckDB take the same transfers, durable batch by batch.

Each is set up as one would for this work: indexes that a trace needs, a key that keeps a transfer
from being taken twice. Answers in seconds.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import conninfo

from openaoc.storage.keyring import Keyring
from openaoc.storage.postgres import EmbeddedPostgres

_TABLE: Final = """
    CREATE TABLE transfers (
        transfer_id text NOT NULL, reported_by text NOT NULL, booked_at timestamptz NOT NULL,
        debtor_bank text NOT NULL, debtor_account text NOT NULL, creditor_bank text,
        creditor_account text, amount_minor bigint NOT NULL, currency text NOT NULL,
        channel text NOT NULL, corrects text, revision bigint,
        PRIMARY KEY (reported_by, transfer_id)
    )
"""
_INDEXES: Final = (
    "CREATE INDEX by_debtor ON transfers (debtor_bank, debtor_account, currency, booked_at)",
    "CREATE INDEX by_creditor ON transfers (creditor_bank, creditor_account, currency, booked_at)",
)


def postgres_copy(home: Path, tables: Sequence[pa.Table]) -> float:
    """COPY each table in a transaction of its own, with synchronous commit."""
    home.mkdir(parents=True)
    server = EmbeddedPostgres(home, keys=Keyring(home / "keys"))
    server.start()
    try:
        with psycopg.connect(conninfo.make_conninfo(**server.parameters())) as connection:
            connection.execute(_TABLE)
            for index in _INDEXES:
                connection.execute(index)
            connection.commit()
            bodies = [_csv(table) for table in tables]
            begun = time.perf_counter()
            for body in bodies:
                copying = "COPY transfers FROM STDIN (FORMAT csv)"
                with connection.cursor() as cursor, cursor.copy(copying) as copy:
                    copy.write(body)
                connection.commit()
            return time.perf_counter() - begun
    finally:
        server.stop()


def _csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=False)
    pa.csv.write_csv(table, sink, options)
    return sink.getvalue()


def duckdb_append(home: Path, tables: Sequence[pa.Table]) -> float:
    """Insert each table in a transaction of its own, with the same key and indexes."""
    home.mkdir(parents=True)
    connection = duckdb.connect(str(home / "peer.duckdb"), config={"threads": 2})
    try:
        connection.execute(_TABLE)
        for index in _INDEXES:
            connection.execute(index)
        begun = time.perf_counter()
        for table in tables:
            connection.register("incoming", table)
            connection.execute("INSERT INTO transfers SELECT * FROM incoming")
            connection.unregister("incoming")
        return time.perf_counter() - begun
    finally:
        connection.close()
