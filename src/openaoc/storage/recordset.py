"""Many rows in one statement: as one JSON text in, as one JSON text out.

The text of a statement is the same however many rows there are, so that it is parsed and planned
once, and a row costs the driver nothing. For rows without NUL, which JSON texts cannot carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

Record = TypeVar("Record")

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own


def inserting(table: sa.Table, names: Sequence[str], *, tail: str = "") -> sa.TextClause:
    """Insert these columns of the given records, in their order: run it with `rows_of`."""
    listed = ", ".join(names)
    values = ", ".join(_value(table.c[name]) for name in names)
    return sa.text(
        f"INSERT INTO {table.name} ({listed}) SELECT {values}"  # noqa: S608 - names of our tables
        f" FROM {_records(table, names)} ORDER BY place {tail}"
    )


def updating(table: sa.Table, key: str, names: Sequence[str]) -> sa.TextClause:
    """Set these columns of the rows with the records' keys: run it with `rows_of`."""
    values = ", ".join(f"{name} = {_value(table.c[name])}" for name in names)
    return sa.text(
        f"UPDATE {table.name} SET {values}"  # noqa: S608 - names of our tables
        f" FROM {_records(table, [key, *names])} WHERE {table.name}.{key} = fresh.{key}"
    )


def rows_of(records: Sequence[object]) -> dict[str, str]:
    """The records as the parameter of such a statement; fields that are no column are left out."""
    return {"rows": msgspec.json.encode(records).decode("utf-8")}


def selecting(table: sa.Table, names: Sequence[str], rest: str) -> sa.TextClause:
    """These columns of the rows that `rest` names, for `read`."""
    listed = ", ".join(f"{table.name}.{name}" for name in names)
    return sa.text(
        "SELECT coalesce(json_agg(found), '[]')::text"  # noqa: S608 - names of our tables
        f" FROM (SELECT {listed} FROM {table.name} {rest}) AS found"
    )


def read(
    connection: Connection,
    statement: sa.TextClause,
    decoder: msgspec.json.Decoder[list[Record]],
    **values: Any,
) -> list[Record]:
    """The rows of a statement made by `selecting`, in its order."""
    text: str = connection.execute(statement, values).scalar_one()
    return decoder.decode(text)


def _records(table: sa.Table, names: Sequence[str]) -> str:
    typed = ", ".join(f"{name} {_type(table.c[name])}" for name in names)
    listed = ", ".join(names)
    return (
        f"ROWS FROM (json_to_recordset(CAST(:rows AS json)) AS ({typed}))"
        f" WITH ORDINALITY AS fresh ({listed}, place)"
    )


def _type(column: sa.Column[Any]) -> str:
    return "text" if _is_bytes(column) else column.type.compile(dialect=_DIALECT)


def _value(column: sa.Column[Any]) -> str:
    named = f"fresh.{column.name}"
    return f"decode({named}, 'base64')" if _is_bytes(column) else named


def _is_bytes(column: sa.Column[Any]) -> bool:
    return isinstance(column.type, sa.LargeBinary)
