"""Bench: the same fifo trace as a recursive query, by PostgreSQL and by DuckDB, written well.

Both are given the positions on the account lines, sorted and indexed by (debtor, out_start), so
that a step is a range; they say amounts only, no layers or times.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, LiteralString

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv

from openaoc.bench.mules import World
from openaoc.storage.keyring import Keyring
from openaoc.storage.postgres import EmbeddedPostgres

COPY_ROWS: Final = 1_000_000
_TABLE: Final = """
    CREATE TABLE transfers (
        row bigint NOT NULL, debtor integer NOT NULL, creditor integer NOT NULL,
        amount bigint NOT NULL, out_start bigint NOT NULL, in_start bigint NOT NULL
    )
"""
_PIECES: Final = """
    WITH RECURSIVE piece(account, low, high, payer) AS (
        SELECT creditor, in_start, in_start + amount, CAST(NULL AS integer)
        FROM transfers WHERE row = {row}
        UNION ALL
        SELECT t.creditor,
               t.in_start + greatest(p.low, t.out_start) - t.out_start,
               t.in_start + least(p.high, t.out_start + t.amount) - t.out_start,
               p.account
        FROM piece p {join}
    )
    SELECT account, CAST(sum(part) AS bigint) FROM (
        SELECT account, high - low AS part FROM piece
        UNION ALL SELECT payer, low - high FROM piece WHERE payer IS NOT NULL
    ) AS parts GROUP BY account HAVING sum(part) <> 0
"""
_POSTGRES: Final[LiteralString] = _PIECES.format(
    row="%s",
    join="""CROSS JOIN LATERAL (
            SELECT * FROM transfers f
            WHERE f.debtor = p.account AND f.out_start < p.high AND f.out_start >= coalesce(
                (SELECT max(g.out_start) FROM transfers g
                 WHERE g.debtor = p.account AND g.out_start <= p.low), 0)
        ) t
        WHERE t.out_start + t.amount > p.low AND p.high > p.low""",
)
_DUCKDB: Final = _PIECES.format(
    row="?",
    join="""JOIN transfers t ON t.debtor = p.account
            AND t.out_start < p.high AND t.out_start + t.amount > p.low AND p.high > p.low""",
)
Asked = Callable[[int], dict[int, int]]
"""A row to what is left of it: minor units by account number, -1 for what left the ledger."""


@contextmanager
def postgres(home: Path, world: World) -> Iterator[Asked]:
    """A server with the world loaded; sessions without JIT, statements prepared."""
    home.mkdir(parents=True)
    server = EmbeddedPostgres(home, keys=Keyring(home / "keys"), durable=False)
    server.start()
    try:
        where = psycopg.conninfo.make_conninfo("", **server.parameters())
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(_TABLE)
            copying = "COPY transfers FROM STDIN (FORMAT csv)"
            with connection.cursor() as cursor, cursor.copy(copying) as copy:
                for body in _csv(world):
                    copy.write(body)
            connection.execute("SET maintenance_work_mem = '1GB'")
            connection.execute("CREATE UNIQUE INDEX by_row ON transfers (row)")
            connection.execute(
                "CREATE INDEX by_line ON transfers (debtor, out_start)"
                " INCLUDE (creditor, amount, in_start)"
            )
            connection.execute("VACUUM (ANALYZE) transfers")
            connection.execute("SET jit = off")
            connection.execute("SET work_mem = '64MB'")

            def ask(row: int) -> dict[int, int]:
                answer = connection.execute(_POSTGRES, (row,), prepare=True)
                return dict(answer.fetchall())

            yield ask
    finally:
        server.stop()


@contextmanager
def in_duckdb(world: World) -> Iterator[Asked]:
    """A database in memory with the world loaded, sorted by the account lines."""
    connection = duckdb.connect(":memory:", config={"threads": 2})
    connection.execute("SET enable_progress_bar = false")
    try:
        connection.execute(_TABLE)
        for table in _tables(world):
            connection.register("incoming", table)
            connection.execute("INSERT INTO transfers SELECT * FROM incoming")
            connection.unregister("incoming")
        connection.execute("CREATE INDEX by_row ON transfers (row)")

        def ask(row: int) -> dict[int, int]:
            return dict(connection.execute(_DUCKDB, [row]).fetchall())

        yield ask
    finally:
        connection.close()


def microseconds(
    ask: Asked, rows: Sequence[int], expected: Sequence[dict[int, int]]
) -> list[float]:
    """How long each row takes; asserts that every answer is the expected one."""
    taken = []
    for row, right in zip(rows, expected, strict=True):
        begun = time.perf_counter()
        answer = ask(row)
        taken.append((time.perf_counter() - begun) * 1e6)
        assert answer == right, f"the peer's trace of row {row} differs"
    return taken


def _tables(world: World) -> Iterator[pa.Table]:
    """The transfers in order of (debtor, out_start), without those on no line."""
    arrays = world.arrays
    rows = arrays.out_rows[np.lexsort((arrays.out_starts, arrays.debtor[arrays.out_rows]))]
    for start in range(0, len(rows), COPY_ROWS):
        part = rows[start : start + COPY_ROWS]
        columns = {
            "row": part.astype(np.int64),
            "debtor": arrays.debtor[part],
            "creditor": arrays.creditor[part],
            "amount": arrays.amount[part],
            "out_start": arrays.out_start[part],
            "in_start": arrays.in_start[part],
        }
        yield pa.table(columns)


def _csv(world: World) -> Iterator[bytes]:
    for table in _tables(world):
        sink = io.BytesIO()
        pa.csv.write_csv(table, sink, pa.csv.WriteOptions(include_header=False))
        yield sink.getvalue()
