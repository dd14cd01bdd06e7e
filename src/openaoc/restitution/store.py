"""Restitution: its rows in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openaoc.restitution.model import (
    OPEN,
    OPEN_TO_OBJECTION,
    PUBLISHED_SHOWN_MAX,
    Line,
    LineState,
    Objection,
    PublishedLine,
    Restitution,
    RestitutionState,
    Returned,
)
from openaoc.storage.tables import metadata, moment

restitutions: Final = sa.Table(
    "restitutions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("jurisdiction", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("trace_rule", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("proposed_at", moment, nullable=False),
    sa.Column("published_by", sa.Text),
    sa.Column("published_at", moment),
    sa.Column("objections_until", moment),
    sa.Column("payable_at", moment),
    sa.Column("ended_at", moment),
    sa.Column("end_reason", sa.Text),
)
lines: Final = sa.Table(
    "restitution_lines",
    metadata,
    sa.Column("restitution_id", sa.Text, primary_key=True),
    sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("payee_bank", sa.Text, nullable=False),
    sa.Column("payee_account", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("proposed_minor", sa.BigInteger, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("paid_minor", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("paid_by", sa.Text),
    sa.Column("paid_id", sa.Text),
    sa.Column("paid_at", moment),
)
objections: Final = sa.Table(
    "restitution_objections",
    metadata,
    sa.Column("restitution_id", sa.Text, primary_key=True),
    sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("rival_case", sa.Text),
    sa.Column("claimed_minor", sa.BigInteger, nullable=False),
    sa.Column("grounds", sa.Text, nullable=False),
    sa.Column("filed_by", sa.Text, nullable=False),
    sa.Column("filed_at", moment, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("upheld_minor", sa.BigInteger),
    sa.Column("decision", sa.Text),
    sa.Column("proposed_by", sa.Text),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", moment),
)
_OPEN: Final = sorted(state.value for state in OPEN)
_MATURING: Final = [RestitutionState.PUBLISHED.value, RestitutionState.DECIDED.value]
_CHANGING: Final = (
    "state",
    "published_by",
    "published_at",
    "objections_until",
    "payable_at",
    "ended_at",
    "end_reason",
)
_LINE_CHANGING: Final = ("amount_minor", "paid_minor", "state", "paid_by", "paid_id", "paid_at")
_HELD: Final = ("held_minor", "hold_ends_at")


def add(connection: Connection, one: Restitution) -> None:
    """Insert a restitution with its lines."""
    values = msgspec.structs.asdict(one)
    values["case_id"] = values.pop("case")
    for name in ("sequence", "lines", "objections"):
        del values[name]
    connection.execute(sa.insert(restitutions).values(**values))
    connection.execute(sa.insert(lines), [_line_row(line) for line in one.lines])


def _line_row(line: Line) -> dict[str, object]:
    values = msgspec.structs.asdict(line)
    for name in _HELD:
        del values[name]
    values["restitution_id"] = values.pop("restitution")
    values["order_id"] = values.pop("order")
    return values


def save(connection: Connection, one: Restitution) -> None:
    """Write what may change of the restitution itself."""
    values = {name: getattr(one, name) for name in _CHANGING}
    connection.execute(sa.update(restitutions).where(restitutions.c.id == one.id).values(**values))


def save_lines(connection: Connection, changed: Sequence[Line]) -> None:
    """Write what may change of these lines: one statement for all."""
    if not changed:
        return
    statement = (
        sa.update(lines)
        .where(lines.c.restitution_id == sa.bindparam("key"), lines.c.no == sa.bindparam("number"))
        .values({name: sa.bindparam(f"new_{name}") for name in _LINE_CHANGING})
    )
    connection.execute(
        statement,
        [
            {
                "key": line.restitution,
                "number": line.no,
                **{f"new_{name}": getattr(line, name) for name in _LINE_CHANGING},
            }
            for line in changed
        ],
    )


def add_objection(connection: Connection, restitution_id: str, one: Objection) -> None:
    """Insert an objection."""
    values = msgspec.structs.asdict(one)
    values["order_id"] = values.pop("order")
    connection.execute(sa.insert(objections).values(restitution_id=restitution_id, **values))


def save_objection(connection: Connection, restitution_id: str, one: Objection) -> None:
    """Write what became of an objection."""
    names = ("state", "upheld_minor", "decision", "proposed_by", "decided_by", "decided_at")
    connection.execute(
        sa.update(objections)
        .where(objections.c.restitution_id == restitution_id, objections.c.no == one.no)
        .values({name: getattr(one, name) for name in names})
    )


def get(connection: Connection, restitution_id: str, *, lock: bool) -> Restitution | None:
    """One with its lines and objections, locked for this transaction when asked."""
    statement = sa.select(restitutions).where(restitutions.c.id == restitution_id)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else _whole(connection, [row])[0]


def open_of(connection: Connection, case_id: str) -> str | None:
    """The case's restitution that has not ended, by id."""
    statement = sa.select(restitutions.c.id).where(
        restitutions.c.case_id == case_id, restitutions.c.state.in_(_OPEN)
    )
    return connection.execute(statement).scalar_one_or_none()


def page(
    connection: Connection,
    *,
    case: str | None,
    institution: str | None,
    state: RestitutionState | None,
    before: int | None,
    limit: int,
) -> list[Restitution]:
    """Newest first, before a place in the list; an institution's: published, with a line of it."""
    statement = sa.select(restitutions).order_by(restitutions.c.sequence.desc()).limit(limit)
    if case is not None:
        statement = statement.where(restitutions.c.case_id == case)
    if institution is not None:
        mine = sa.select(lines.c.restitution_id).where(lines.c.institution == institution)
        statement = statement.where(
            restitutions.c.id.in_(mine), restitutions.c.published_at.is_not(None)
        )
    if state is not None:
        statement = statement.where(restitutions.c.state == state.value)
    if before is not None:
        statement = statement.where(restitutions.c.sequence < before)
    return _whole(connection, connection.execute(statement).all())


def maturing(connection: Connection, *, now: datetime, limit: int) -> list[str]:
    """Those whose time to object is over and that have no open objection, by id."""
    statement = (
        sa.select(restitutions.c.id)
        .where(restitutions.c.objections_until <= now, restitutions.c.state.in_(_MATURING))
        .order_by(restitutions.c.objections_until)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def paid_before(connection: Connection, case_id: str) -> dict[tuple[str, str], int]:
    """What each account (bank, account) got back in the case's restitutions so far."""
    statement = (
        sa.select(lines.c.payee_bank, lines.c.payee_account, sa.func.sum(lines.c.paid_minor))
        .join(restitutions, restitutions.c.id == lines.c.restitution_id)
        .where(restitutions.c.case_id == case_id, lines.c.state == LineState.PAID.value)
        .group_by(lines.c.payee_bank, lines.c.payee_account)
    )
    return {(row[0], row[1]): int(row[2]) for row in connection.execute(statement)}


def line_paid_by(
    connection: Connection, *, reported_by: str, transfer_id: str
) -> tuple[str, int] | None:
    """Which line (restitution, number) names this transfer as its payment."""
    statement = sa.select(lines.c.restitution_id, lines.c.no).where(
        lines.c.paid_by == reported_by, lines.c.paid_id == transfer_id
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else (row[0], row[1])


def published(connection: Connection, *, now: datetime) -> list[PublishedLine]:
    """What may be objected to now, by order; the soonest end first."""
    statement = (
        sa.select(
            restitutions.c.id,
            lines.c.order_id,
            lines.c.institution,
            sa.func.right(lines.c.account, 4).label("account_ends"),
            sa.func.sum(lines.c.amount_minor).label("amount_minor"),
            lines.c.currency,
            restitutions.c.objections_until,
        )
        .join(restitutions, restitutions.c.id == lines.c.restitution_id)
        .where(
            restitutions.c.state.in_(sorted(s.value for s in OPEN_TO_OBJECTION)),
            restitutions.c.objections_until > now,
            lines.c.state == LineState.OPEN.value,
        )
        .group_by(
            restitutions.c.id,
            lines.c.order_id,
            lines.c.institution,
            lines.c.account,
            lines.c.currency,
        )
        .order_by(restitutions.c.objections_until, lines.c.order_id)
        .limit(PUBLISHED_SHOWN_MAX)
    )
    return [
        PublishedLine(
            restitution=row.id,
            order=row.order_id,
            institution=row.institution,
            account_ends=row.account_ends,
            amount_minor=int(row.amount_minor),
            currency=row.currency,
            objections_until=row.objections_until,
        )
        for row in connection.execute(statement)
    ]


_RETURNED: Final = sa.text("""
    SELECT c.jurisdiction, e.currency,
           sum(CASE e.kind WHEN 'hold' THEN e.amount_minor WHEN 'excess' THEN -e.amount_minor
               ELSE 0 END) AS held,
           sum(CASE e.kind WHEN 'restitution' THEN e.amount_minor ELSE 0 END) AS returned
    FROM hold_events e JOIN cases c ON c.id = e.case_id
    GROUP BY c.jurisdiction, e.currency ORDER BY c.jurisdiction, e.currency
""")


def returned(connection: Connection) -> list[Returned]:
    """What was ever held and what was returned of it, by jurisdiction and currency."""
    return [
        Returned(
            jurisdiction=row.jurisdiction,
            currency=row.currency,
            held_minor=int(row.held),
            returned_minor=int(row.returned),
            share=round(int(row.returned) / int(row.held), 6) if row.held else None,
        )
        for row in connection.execute(_RETURNED)
    ]


def _whole(connection: Connection, rows: Sequence[sa.Row[tuple[object, ...]]]) -> list[Restitution]:
    """The restitutions of these rows with their lines and objections, in this order."""
    ids = [str(_named(row)["id"]) for row in rows]
    held = sa.text(
        "SELECT l.*, o.held_minor, o.ends_at AS hold_ends_at FROM restitution_lines l"
        " JOIN hold_orders o ON o.id = l.order_id WHERE l.restitution_id = ANY(:ids)"
        " ORDER BY l.restitution_id, l.no"
    )
    mine: dict[str, list[Line]] = {}
    for row in connection.execute(held, {"ids": ids}):
        values = _named(row)
        values["restitution"] = values.pop("restitution_id")
        values["order"] = values.pop("order_id")
        line = msgspec.convert(values, Line)
        mine.setdefault(line.restitution, []).append(line)
    said: dict[str, list[Objection]] = {}
    statement = (
        sa.select(objections)
        .where(objections.c.restitution_id.in_(ids))
        .order_by(objections.c.restitution_id, objections.c.no)
    )
    for row in connection.execute(statement):
        values = _named(row)
        restitution = str(values.pop("restitution_id"))
        values["order"] = values.pop("order_id")
        said.setdefault(restitution, []).append(msgspec.convert(values, Objection))
    found = []
    for row in rows:
        values = _named(row)
        values["case"] = values.pop("case_id")
        one = msgspec.convert(values, Restitution)
        found.append(
            msgspec.structs.replace(
                one, lines=mine.get(one.id, []), objections=said.get(one.id, [])
            )
        )
    return found


def _named(row: sa.Row[tuple[object, ...]]) -> dict[str, object]:
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    return {str(name): value for name, value in named.items()}
