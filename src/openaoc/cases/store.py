"""Cases: their rows in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from openaoc.cases.model import CaseState, ClaimRecord, Figures
from openaoc.storage.recordset import inserting, rows_of, updating
from openaoc.storage.tables import metadata, moment
from openaoc.storage.unit_of_work import Transaction

cases: Final = sa.Table(
    "cases",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
    sa.Column("opened_at", moment, nullable=False),
    sa.Column("opened_by", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("standing", sa.Text, nullable=False),
    sa.Column("standing_why", postgresql.JSONB, nullable=False),
    sa.Column("approvals_needed", sa.Integer, nullable=False),
    sa.Column("approvals", postgresql.JSONB, nullable=False),
    sa.Column("jurisdiction", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("figures", sa.LargeBinary, nullable=False),
    sa.Column("loss_minor", sa.BigInteger, nullable=False),
    sa.Column("located_minor", sa.BigInteger, nullable=False),
    sa.Column("held_minor", sa.BigInteger, nullable=False),
    sa.Column("traced_at", moment),
    sa.Column("retrace_at", moment),
    sa.Column("retrace_must", sa.Boolean, nullable=False),
    sa.Column("complaint_at", moment),
    sa.Column("complaint_ref", sa.Text),
    sa.Column("closed_at", moment),
    sa.Column("stopped_why", sa.Text),
)
"""`figures` is the latest trace as JSON; loss, located and held repeat it for lists."""

claims: Final = sa.Table(
    "case_claims",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=False), primary_key=True),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("reported_by", sa.Text, nullable=False),
    sa.Column("transfer_id", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger),
)

_UNDER_WORK: Final = [CaseState.OPEN, CaseState.NEEDS_PERSON, CaseState.PURSUED]


class CaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `cases`."""

    id: str
    opened_at: datetime
    opened_by: str
    channel: str
    state: CaseState
    mode: str
    standing: str
    standing_why: list[str]
    approvals_needed: int
    approvals: list[str]
    jurisdiction: str
    currency: str
    rule: str
    secret_hash: bytes
    figures: bytes
    loss_minor: int
    located_minor: int
    held_minor: int
    traced_at: datetime | None = None
    retrace_at: datetime | None = None
    retrace_must: bool = False
    """Planned again when due though its trace is what it was: somebody did something to it."""
    complaint_at: datetime | None = None
    complaint_ref: str | None = None
    closed_at: datetime | None = None
    stopped_why: str | None = None
    """Why a person stopped what goes out by itself; stands until the case is reopened."""
    sequence: int = 0


def encode_figures(figures: Figures) -> bytes:
    """A trace's figures as stored."""
    return msgspec.json.encode(figures)


def decode_figures(data: bytes) -> Figures:
    """The stored figures."""
    return msgspec.json.decode(data, type=Figures)


def _case(row: sa.Row[tuple[object, ...]]) -> CaseRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    values["state"] = CaseState(values["state"])
    for name in ("secret_hash", "figures"):
        values[name] = bytes(values[name])
    return CaseRow(**values)


def add(tx: Transaction, opened: Sequence[CaseRow]) -> None:
    """Insert cases before the commit."""
    if opened:
        tx.write(_ADD, rows_of(opened))


_ADD: Final = inserting(cases, [c.name for c in cases.columns if c.name != "sequence"])


def filing_numbers(connection: Connection, count: int) -> list[int]:
    """`count` fresh numbers in order of filing, for claims about to be added."""
    if count == 0:
        return []
    statement = sa.text(
        "select nextval(pg_get_serial_sequence('case_claims', 'sequence'))"
        " from generate_series(1, :count)"
    )
    return sorted(int(row[0]) for row in connection.execute(statement, {"count": count}))


def add_claims(tx: Transaction, filed: Sequence[tuple[int, str, ClaimRecord]]) -> None:
    """Append (filing number, case, claim) before the commit."""
    rows = [
        {"sequence": number, "case_id": case_id, **msgspec.structs.asdict(claim)}
        for number, case_id, claim in filed
    ]
    if rows:
        tx.write(_ADD_CLAIMS, rows_of(rows))


_ADD_CLAIMS: Final = inserting(claims, [c.name for c in claims.columns])


def taken(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these case numbers exist already."""
    statement = sa.select(cases.c.id).where(cases.c.id.in_(list(ids)))
    return {row[0] for row in connection.execute(statement)}


def get(connection: Connection, case_id: str, *, lock: bool = False) -> CaseRow | None:
    """One case, locked for this transaction when asked."""
    statement = sa.select(cases).where(cases.c.id == case_id)
    if lock:
        statement = statement.with_for_update()
    row = connection.execute(statement).one_or_none()
    return None if row is None else _case(row)


def many(connection: Connection, ids: Sequence[str]) -> list[CaseRow]:
    """These cases, by number."""
    if not ids:
        return []
    statement = sa.select(cases).where(cases.c.id.in_(list(ids))).order_by(cases.c.id)
    return [_case(row) for row in connection.execute(statement)]


def page(
    connection: Connection, *, state: CaseState | None, before: int | None, limit: int
) -> list[CaseRow]:
    """Cases, newest first, before a place in the list."""
    statement = sa.select(cases).order_by(cases.c.sequence.desc()).limit(limit)
    if state is not None:
        statement = statement.where(cases.c.state == state)
    if before is not None:
        statement = statement.where(cases.c.sequence < before)
    return [_case(row) for row in connection.execute(statement)]


def save_figures(
    connection: Connection, traced: Sequence[tuple[str, Figures, datetime | None]], *, at: datetime
) -> None:
    """Keep the latest trace of these cases, and when each is due again (None: not)."""
    rows = [
        {
            "id": case_id,
            "figures": encode_figures(found),
            "loss_minor": found.loss_minor,
            "located_minor": found.located_minor,
            "held_minor": found.held_minor,
            "traced_at": at,
            "retrace_at": again,
            "retrace_must": False,
        }
        for case_id, found, again in traced
    ]
    if rows:
        connection.execute(_SAVE_FIGURES, rows_of(rows))


_SAVE_FIGURES: Final = updating(
    cases,
    "id",
    (
        "figures",
        "loss_minor",
        "located_minor",
        "held_minor",
        "traced_at",
        "retrace_at",
        "retrace_must",
    ),
)


def change(connection: Connection, case_id: str, **values: object) -> None:
    """Set columns of one case."""
    connection.execute(sa.update(cases).where(cases.c.id == case_id).values(**values))


def due(connection: Connection, *, now: datetime, limit: int) -> list[str]:
    """Cases under work whose trace is due, the longest due first."""
    statement = (
        sa.select(cases.c.id)
        .where(cases.c.retrace_at <= now, cases.c.state.in_(_UNDER_WORK))
        .order_by(cases.c.retrace_at, cases.c.sequence)
        .limit(limit)
    )
    return [row[0] for row in connection.execute(statement)]


def set_due(connection: Connection, ids: Sequence[str], *, at: datetime) -> None:
    """These cases are due for a new trace at `at`, or before if they already were."""
    connection.execute(_SET_DUE, {"ids": list(ids), "at": at})


# Several institutions answer for one case at once: rows are locked by id, so that two changes of
# many cases never wait for each other.
_SET_DUE: Final = sa.text(
    "UPDATE cases SET retrace_at = least(retrace_at, CAST(:at AS timestamptz)), retrace_must = true"
    " WHERE id IN (SELECT id FROM cases WHERE id = ANY(CAST(:ids AS text[]))"
    " AND (retrace_at IS NULL OR retrace_at > :at OR NOT retrace_must) ORDER BY id FOR UPDATE)"
)


class Due(NamedTuple):
    """A case whose time has come by the schedule alone."""

    id: str
    opened_at: datetime


def due_by_schedule(connection: Connection, *, now: datetime, limit: int) -> list[Due]:
    """Cases under work that are due because time went by, the longest due first."""
    statement = (
        sa.select(cases.c.id, cases.c.opened_at)
        .where(cases.c.retrace_at <= now, cases.c.state.in_(_UNDER_WORK), ~cases.c.retrace_must)
        .order_by(cases.c.retrace_at, cases.c.sequence)
        .limit(limit)
    )
    return [Due(row.id, row.opened_at) for row in connection.execute(statement)]


def put_off(
    connection: Connection, fresh: Sequence[tuple[str, datetime]], *, now: datetime
) -> None:
    """These cases are due again at their time, unless somebody did something to them meanwhile."""
    values = {"ids": [one for one, _ in fresh], "times": [at for _, at in fresh], "now": now}
    connection.execute(_PUT_OFF, values)


_PUT_OFF: Final = sa.text(
    "WITH same AS (SELECT id FROM cases WHERE id = ANY(CAST(:ids AS text[]))"
    " AND NOT retrace_must AND retrace_at <= :now ORDER BY id FOR UPDATE)"
    " UPDATE cases SET retrace_at = fresh.at FROM same, unnest(CAST(:ids AS text[]),"
    " CAST(:times AS timestamptz[])) AS fresh (id, at)"
    " WHERE cases.id = same.id AND fresh.id = same.id"
)


def claims_pursued(
    connection: Connection, *, only: Sequence[str] | None
) -> list[tuple[int, str, ClaimRecord]]:
    """Claims that stand in all traces, in order of filing: (sequence, case, claim).

    Of every pursued case, or of those of `only` that are pursued.
    """
    statement = (
        sa.select(claims)
        .join(cases, cases.c.id == claims.c.case_id)
        .where(cases.c.state == CaseState.PURSUED)
        .order_by(claims.c.sequence)
    )
    if only is not None:
        statement = statement.where(cases.c.id.in_(list(only)))
    return [
        (
            row.sequence,
            row.case_id,
            ClaimRecord(
                reported_by=row.reported_by,
                transfer_id=row.transfer_id,
                amount_minor=row.amount_minor,
            ),
        )
        for row in connection.execute(statement)
    ]


def claims_under_work(connection: Connection) -> list[tuple[str, str]]:
    """(reporter, transfer id) of the origins of every case that is under work."""
    statement = (
        sa.select(claims.c.reported_by, claims.c.transfer_id)
        .join(cases, cases.c.id == claims.c.case_id)
        .where(cases.c.state.in_(_UNDER_WORK))
    )
    return [(row.reported_by, row.transfer_id) for row in connection.execute(statement)]


def claims_of(connection: Connection, case_id: str) -> list[tuple[int, ClaimRecord]]:
    """A case's claims with their filing numbers, in order of filing."""
    statement = sa.select(claims).where(claims.c.case_id == case_id).order_by(claims.c.sequence)
    return [
        (
            row.sequence,
            ClaimRecord(
                reported_by=row.reported_by,
                transfer_id=row.transfer_id,
                amount_minor=row.amount_minor,
            ),
        )
        for row in connection.execute(statement)
    ]
