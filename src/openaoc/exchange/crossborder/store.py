"""Across borders: the SQL of requests and of the lines to other centres. Private to the package."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

from openaoc.exchange.crossborder.model import LineView, ReceivedState, SentState, Settled
from openaoc.exchange.crossborder.rows import Received, Sent
from openaoc.kernel.paging import Asked
from openaoc.storage import pages

Row = TypeVar("Row", bound=msgspec.Struct)


def _insert(table: str, kind: type[msgspec.Struct]) -> sa.TextClause:
    names = kind.__struct_fields__
    columns, values = ", ".join(names), ", ".join(f":{name}" for name in names)
    return sa.text(f"INSERT INTO {table} ({columns}) VALUES ({values})")  # noqa: S608 - our names


def _update(table: str, kind: type[msgspec.Struct], keys: Sequence[str]) -> sa.TextClause:
    changed = ", ".join(f"{n} = :{n}" for n in kind.__struct_fields__ if n not in keys)
    where = " AND ".join(f"{name} = :{name}" for name in keys)
    return sa.text(f"UPDATE {table} SET {changed} WHERE {where}")  # noqa: S608 - our names


_SENT: Final = sa.table("requests_sent")
_RECEIVED: Final = sa.table("requests_received")
_ID: Final = sa.column("id", sa.Text)
_ADD_SENT: Final = _insert("requests_sent", Sent)
_SAVE_SENT: Final = _update("requests_sent", Sent, ("id",))
_ADD_RECEIVED: Final = _insert("requests_received", Received)
_SAVE_RECEIVED: Final = _update("requests_received", Received, ("partner", "id"))
_DUE_SENT: Final = sa.text(
    "SELECT s.* FROM requests_sent s LEFT JOIN centre_lines l ON l.partner = s.partner"
    " WHERE s.partner = :partner AND s.body IS NOT NULL AND s.state <> 'waiting'"
    " AND s.due_at <= :now"
    " AND (s.taken_revision < s.revision OR s.taken_epoch < coalesce(l.epoch, 0))"
    " ORDER BY s.due_at, s.id LIMIT :limit"
)
_DUE_RECEIVED: Final = sa.text(
    "SELECT r.* FROM requests_received r LEFT JOIN centre_lines l ON l.partner = r.partner"
    " WHERE r.partner = :partner AND r.answer IS NOT NULL AND r.due_at <= :now"
    " AND (r.taken_revision < r.answer_revision OR r.taken_epoch < coalesce(l.epoch, 0))"
    " ORDER BY r.due_at, r.id LIMIT :limit"
)
_HEARD: Final = sa.text(
    "INSERT INTO centre_lines (partner, epoch, heard_at, failures) VALUES (:partner, :epoch, :now,"
    " 0) ON CONFLICT (partner) DO UPDATE SET epoch = greatest(centre_lines.epoch, :epoch),"
    " heard_at = :now, failures = 0, next_at = NULL, last_error = NULL"
)
_KNOWN: Final = sa.text(
    "INSERT INTO centre_lines (partner, epoch, failures) VALUES (:partner, :epoch, 0)"
    " ON CONFLICT (partner) DO UPDATE SET epoch = greatest(centre_lines.epoch, :epoch)"
)
_FAILED: Final = sa.text(
    "INSERT INTO centre_lines (partner, epoch, failures, next_at, last_error)"
    " VALUES (:partner, 0, :failures, :next_at, :error)"
    " ON CONFLICT (partner) DO UPDATE SET failures = :failures, next_at = :next_at,"
    " last_error = :error"
)


def _values(row: msgspec.Struct) -> dict[str, object]:
    values = {name: getattr(row, name) for name in row.__struct_fields__}
    values["state"] = values["state"].value
    if isinstance(row, Received) and row.settled_as is not None:
        values["settled_as"] = row.settled_as.value
    return values


def _row(row: sa.Row[Any], kind: type[Row]) -> Row:
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    values = {name: named[name] for name in kind.__struct_fields__}
    for name in ("body", "answer"):
        if isinstance(values.get(name), memoryview):
            values[name] = bytes(values[name])
    values["state"] = (SentState if kind is Sent else ReceivedState)(values["state"])
    if values.get("settled_as") is not None:
        values["settled_as"] = Settled(values["settled_as"])
    return kind(**values)


def add_sent(connection: sa.Connection, row: Sent) -> None:
    """Keep a new request of ours."""
    connection.execute(_ADD_SENT, _values(row))


def save_sent(connection: sa.Connection, row: Sent) -> None:
    """Keep a request of ours as it is now."""
    connection.execute(_SAVE_SENT, _values(row))


def add_received(connection: sa.Connection, row: Received) -> None:
    """Keep a partner's request."""
    connection.execute(_ADD_RECEIVED, _values(row))


def save_received(connection: sa.Connection, row: Received) -> None:
    """Keep a partner's request as it is now."""
    connection.execute(_SAVE_RECEIVED, _values(row))


def sent(connection: sa.Connection, request_id: str, *, lock: bool = False) -> Sent | None:
    """The request of ours with this id."""
    tail = " FOR UPDATE" if lock else ""
    query = f"SELECT * FROM requests_sent WHERE id = :id{tail}"  # noqa: S608 - no input
    statement = sa.text(query)
    row = connection.execute(statement, {"id": request_id}).first()
    return None if row is None else _row(row, Sent)


def received(
    connection: sa.Connection, partner: str, request_id: str, *, lock: bool = False
) -> Received | None:
    """The partner's request with this id."""
    tail = " FOR UPDATE" if lock else ""
    wanted = f"partner = :partner AND id = :id{tail}"
    statement = sa.text(f"SELECT * FROM requests_received WHERE {wanted}")  # noqa: S608 - no input
    row = connection.execute(statement, {"partner": partner, "id": request_id}).first()
    return None if row is None else _row(row, Received)


def sent_of_case(connection: sa.Connection, case_id: str, *, limit: int) -> list[Sent]:
    """A case's requests, locked, the oldest first."""
    statement = sa.text(
        "SELECT * FROM requests_sent WHERE case_id = :case ORDER BY opened_at, id LIMIT :limit"
        " FOR UPDATE"
    )
    found = connection.execute(statement, {"case": case_id, "limit": limit})
    return [_row(row, Sent) for row in found]


def received_of_cases(connection: sa.Connection, cases: Sequence[str]) -> list[Received]:
    """The partners' requests that these cases of ours were opened for."""
    statement = sa.text("SELECT * FROM requests_received WHERE case_id = ANY(:cases)")
    return [_row(row, Received) for row in connection.execute(statement, {"cases": list(cases)})]


def cases_concerned(connection: sa.Connection, cases: Sequence[str]) -> list[str]:
    """Those of these cases that a request of ours or of a partner's is about."""
    statement = sa.text(
        "SELECT case_id FROM requests_received WHERE case_id = ANY(:cases)"
        " UNION SELECT case_id FROM requests_sent WHERE case_id = ANY(:cases) ORDER BY case_id"
    )
    return [row.case_id for row in connection.execute(statement, {"cases": list(cases)})]


def to_look_for(connection: sa.Connection, *, now: datetime, limit: int) -> list[Received]:
    """Requests whose payment is to be looked for now."""
    statement = sa.text(
        "SELECT * FROM requests_received WHERE look_at <= :now ORDER BY look_at, id LIMIT :limit"
    )
    found = connection.execute(statement, {"now": now, "limit": limit})
    return [_row(row, Received) for row in found]


def due_sent(connection: sa.Connection, partner: str, *, now: datetime, limit: int) -> list[Sent]:
    """Requests the partner has not on record as they are, or may have forgotten."""
    values = {"partner": partner, "now": now, "limit": limit}
    return [_row(row, Sent) for row in connection.execute(_DUE_SENT, values)]


def due_received(
    connection: sa.Connection, partner: str, *, now: datetime, limit: int
) -> list[Received]:
    """Answers the partner has not on record as they are, or may have forgotten."""
    values = {"partner": partner, "now": now, "limit": limit}
    return [_row(row, Received) for row in connection.execute(_DUE_RECEIVED, values)]


def newest_sent(connection: sa.Connection, asked: Asked) -> list[Sent]:
    """Our newest requests: a page, and one more where there are more."""
    statement = _newest(_SENT, _ID, asked)
    return [_row(row, Sent) for row in connection.execute(statement)]


def newest_received(connection: sa.Connection, asked: Asked) -> list[Received]:
    """The partners' newest requests, as ours; of one id by partner."""
    statement = _newest(_RECEIVED, _ID + "/" + sa.column("partner", sa.Text), asked)
    return [_row(row, Received) for row in connection.execute(statement)]


def _newest(table: sa.TableClause, name: sa.ColumnElement[str], asked: Asked) -> sa.Select[Any]:
    query: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(table)
    return pages.newest(query, at=sa.column("opened_at"), name=name, asked=asked)


def ends_by_partner(connection: sa.Connection) -> list[tuple[str, str, int]]:
    """Partner, met or refused, and how many of its requests ended so."""
    statement = sa.text(
        "SELECT partner, settled_as, count(*) FROM requests_received"
        " WHERE settled_as IN ('met', 'refused') GROUP BY partner, settled_as"
        " ORDER BY partner, settled_as"
    )
    return [(row[0], row[1], int(row[2])) for row in connection.execute(statement)]


def line(connection: sa.Connection, partner: str) -> LineView | None:
    """How the line to the partner is."""
    statement = sa.text("SELECT * FROM centre_lines WHERE partner = :partner")
    row = connection.execute(statement, {"partner": partner}).first()
    if row is None:
        return None
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    return LineView(**{name: named[name] for name in LineView.__struct_fields__})


def heard(connection: sa.Connection, partner: str, *, epoch: int, now: datetime) -> None:
    """The partner answered, from this life of it."""
    connection.execute(_HEARD, {"partner": partner, "epoch": epoch, "now": now})


def known(connection: sa.Connection, partner: str, *, epoch: int) -> None:
    """The partner spoke to us: the way to it may still be closed."""
    connection.execute(_KNOWN, {"partner": partner, "epoch": epoch})


def failed(
    connection: sa.Connection, partner: str, *, failures: int, next_at: datetime, error: str
) -> None:
    """The partner did not answer."""
    values = {"partner": partner, "failures": failures, "next_at": next_at, "error": error}
    connection.execute(_FAILED, values)
