"""Holds: their rows in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from openaoc.cases.model import BankCase
from openaoc.holds.model import ACTIVE, WAITING, OrderState
from openaoc.holds.record import MoneyEvent, OrderRecord
from openaoc.storage.recordset import inserting, read, rows_of, selecting, updating
from openaoc.storage.tables import metadata, moment
from openaoc.storage.unit_of_work import Transaction

orders: Final = sa.Table(
    "hold_orders",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("ceiling_minor", sa.BigInteger, nullable=False),
    sa.Column("applied_minor", sa.BigInteger, nullable=False),
    sa.Column("held_minor", sa.BigInteger, nullable=False),
    sa.Column("short_minor", sa.BigInteger, nullable=False),
    sa.Column("available_minor", sa.BigInteger),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("standing", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("rule_version", sa.Integer, nullable=False),
    sa.Column("trace_rule", sa.Text, nullable=False),
    sa.Column("legal_basis", postgresql.JSONB, nullable=False),
    sa.Column("reason", postgresql.JSONB, nullable=False),
    sa.Column("layer", sa.Integer, nullable=False),
    sa.Column("received_at", moment, nullable=False),
    sa.Column("amounts", postgresql.JSONB, nullable=False),
    sa.Column("likely_innocent", sa.Boolean, nullable=False),
    sa.Column("why", postgresql.JSONB, nullable=False),
    sa.Column("approvals_needed", sa.Integer, nullable=False),
    sa.Column("approvals", postgresql.JSONB, nullable=False),
    sa.Column("issued_at", moment, nullable=False),
    sa.Column("answer_by", moment, nullable=False),
    sa.Column("ends_at", moment, nullable=False),
    sa.Column("escalated_at", moment),
    sa.Column("answered_at", moment),
    sa.Column("ended_at", moment),
    sa.Column("end_reason", sa.Text),
    sa.Column("paused_by", sa.Text),
    sa.Column("continues", sa.Text, nullable=False),
)

answers: Final = sa.Table(
    "hold_answers",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("at", moment, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("applied_minor", sa.BigInteger, nullable=False),
    sa.Column("available_minor", sa.BigInteger),
    sa.Column("reason", sa.Text),
    sa.Column("bank_case_id", sa.Text),
)

events: Final = sa.Table(
    "hold_events",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("bank", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("at", moment, nullable=False),
    sa.Column("paid_by", sa.Text),
    sa.Column("paid_id", sa.Text),
)

_ACTIVE: Final = sorted(state.value for state in ACTIVE)
_SENT: Final = sorted(state.value for state in ACTIVE - {OrderState.DRAFTED})
_WAITING: Final = sorted(state.value for state in WAITING)
_CHANGING: Final = (
    "revision",
    "amount_minor",
    "ceiling_minor",
    "applied_minor",
    "held_minor",
    "short_minor",
    "available_minor",
    "state",
    "standing",
    "rule",
    "rule_version",
    "legal_basis",
    "reason",
    "amounts",
    "likely_innocent",
    "why",
    "approvals",
    "issued_at",
    "answer_by",
    "ends_at",
    "escalated_at",
    "answered_at",
    "ended_at",
    "end_reason",
    "paused_by",
)
"""What may change of an order once it is written; the rest is fixed."""


def _order(row: sa.Row[tuple[object, ...]]) -> OrderRecord:
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    return msgspec.convert({str(name): value for name, value in named.items()}, OrderRecord)


_COLUMNS: Final = tuple(column.name for column in orders.columns)
_ADD: Final = inserting(orders, [name for name in _COLUMNS if name != "sequence"])
_SAVE: Final = updating(orders, "id", _CHANGING)
_BY_ID: Final = "WHERE id = ANY(:ids) ORDER BY id"
_BY_CASE: Final = "WHERE case_id = ANY(:ids) ORDER BY id"
_READ: Final = {
    (rest, lock): selecting(orders, _COLUMNS, f"{rest} FOR UPDATE" if lock else rest)
    for rest in (_BY_ID, _BY_CASE)
    for lock in (False, True)
}
_TEXTS: Final = sa.ARRAY(sa.Text)
_ADD_ANSWERS: Final = inserting(
    answers, [column.name for column in answers.columns if column.name != "sequence"]
)
_ADD_EVENTS: Final = inserting(
    events, [column.name for column in events.columns if column.name != "sequence"]
)
_ISSUED: Final = selecting(
    orders,
    _COLUMNS,
    "WHERE id = ANY(:ids) AND state = 'issued' AND mode = 'live' ORDER BY id FOR UPDATE",
)
_UNANSWERED: Final = selecting(
    orders,
    _COLUMNS,
    "WHERE institution = :institution AND mode = 'live' AND (state IN ('issued', 'acknowledged')"
    " OR continues <> '' AND answered_at IS NULL AND state IN ('applied', 'applied_in_part'))"
    " ORDER BY issued_at, sequence LIMIT :rows",
)
_TAKEN: Final = sa.text(
    "SELECT institution, account, currency, sum(CASE WHEN state IN ('applied', 'applied_in_part')"
    " THEN held_minor ELSE amount_minor END) AS taken FROM hold_orders"
    " JOIN unnest(CAST(:banks AS text[]), CAST(:accounts AS text[]), CAST(:currencies AS text[]))"
    " AS place (institution, account, currency) USING (institution, account, currency)"
    " WHERE state IN ('issued', 'acknowledged', 'applied', 'applied_in_part')"
    " GROUP BY institution, account, currency"
)
"""The states are those that count as active once sent, as the index on accounts names them."""
_RECORDS: Final = msgspec.json.Decoder(list[OrderRecord])


def add(tx: Transaction, fresh: Sequence[OrderRecord]) -> None:
    """Insert orders before the commit."""
    if fresh:
        tx.write(_ADD, rows_of(fresh))


def save(connection: Connection, changed: Sequence[OrderRecord]) -> None:
    """Write what changed of these orders: one statement for all."""
    if changed:
        connection.execute(_SAVE, rows_of(changed))


def get(connection: Connection, order_id: str, *, lock: bool = False) -> OrderRecord | None:
    """One order, locked for this transaction when asked."""
    found = many(connection, [order_id], lock=lock)
    return found[0] if found else None


def many(connection: Connection, ids: Sequence[str], *, lock: bool = False) -> list[OrderRecord]:
    """These orders by id; locked in that order, so that two transactions never deadlock."""
    if not ids:
        return []
    return read(connection, _READ[_BY_ID, lock], _RECORDS, ids=list(ids))


def of_cases(
    connection: Connection, case_ids: Sequence[str], *, lock: bool = False
) -> list[OrderRecord]:
    """Every order of these cases, by id; locked when asked."""
    if not case_ids:
        return []
    return read(connection, _READ[_BY_CASE, lock], _RECORDS, ids=list(case_ids))


def asked_for(connection: Connection) -> dict[str, int]:
    """By case: what its sent and unanswered orders ask for, and its orders' shortfalls."""
    waiting = sa.case((orders.c.state.in_(_WAITING), orders.c.amount_minor), else_=0)
    asked = sa.func.sum(waiting + orders.c.short_minor)
    statement = sa.select(orders.c.case_id, asked).group_by(orders.c.case_id)
    return {row[0]: int(row[1]) for row in connection.execute(statement)}


def issued(connection: Connection, ids: Sequence[str]) -> list[OrderRecord]:
    """Those of these orders that are sent and not heard of since, locked; by id."""
    return read(connection, _ISSUED, _RECORDS, ids=list(ids)) if ids else []


def unanswered(connection: Connection, institution: str, *, limit: int) -> list[OrderRecord]:
    """What the institution has not answered, or not confirmed to have gone over; oldest first."""
    return read(connection, _UNANSWERED, _RECORDS, institution=institution, rows=limit)


def active_on(
    connection: Connection, places: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], int]:
    """What all cases' sent orders take on these accounts (institution, account, currency)."""
    if not places:
        return {}
    names = ("banks", "accounts", "currencies")
    values = {name: list(part) for name, part in zip(names, zip(*places, strict=True), strict=True)}
    found = connection.execute(_TAKEN, values)
    return {(row.institution, row.account, row.currency): int(row.taken) for row in found}


def page(
    connection: Connection,
    *,
    case: str | None,
    institution: str | None,
    state: OrderState | None,
    before: int | None,
    limit: int,
) -> list[OrderRecord]:
    """Orders, newest first, before a place in the list."""
    statement = sa.select(orders).order_by(orders.c.sequence.desc()).limit(limit)
    if case is not None:
        statement = statement.where(orders.c.case_id == case)
    if institution is not None:
        statement = statement.where(orders.c.institution == institution)
    if state is not None:
        statement = statement.where(orders.c.state == state.value)
    if before is not None:
        statement = statement.where(orders.c.sequence < before)
    return [_order(row) for row in connection.execute(statement)]


def ending(connection: Connection, *, now: datetime, limit: int) -> list[OrderRecord]:
    """Active orders whose end has come, locked; those another transaction works on are left out."""
    statement = (
        sa.select(orders)
        .where(orders.c.ends_at <= now, orders.c.state.in_(_ACTIVE))
        .order_by(orders.c.ends_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_order(row) for row in connection.execute(statement)]


def late(connection: Connection, *, now: datetime, limit: int) -> list[OrderRecord]:
    """Live orders past their time to answer and not yet escalated, locked likewise."""
    statement = (
        sa.select(orders)
        .where(
            orders.c.answer_by <= now,
            orders.c.state.in_(_WAITING),
            orders.c.mode == "live",
            orders.c.escalated_at.is_(None),
        )
        .order_by(orders.c.answer_by)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_order(row) for row in connection.execute(statement)]


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `hold_answers`."""

    order_id: str
    institution: str
    actor: str
    at: datetime
    digest: bytes
    outcome: str
    applied_minor: int
    available_minor: int | None
    reason: str | None
    bank_case_id: str | None


def answered(connection: Connection, order_ids: Sequence[str]) -> set[tuple[str, bytes]]:
    """(order, digest) of the answers these orders have."""
    statement = sa.select(answers.c.order_id, answers.c.digest).where(
        answers.c.order_id == sa.any_(sa.bindparam("ids", type_=_TEXTS))
    )
    found = connection.execute(statement, {"ids": list(order_ids)})
    return {(row.order_id, bytes(row.digest)) for row in found}


def add_answers(tx: Transaction, given: Sequence[KeptAnswer]) -> None:
    """Keep answers in this order before the commit."""
    if given:
        tx.write(_ADD_ANSWERS, rows_of(given))


def bank_cases(connection: Connection, case_id: str) -> list[BankCase]:
    """The institutions' own numbers for a case, from their answers, by institution."""
    statement = (
        sa.select(answers.c.institution, answers.c.bank_case_id)
        .join(orders, orders.c.id == answers.c.order_id)
        .where(orders.c.case_id == case_id, answers.c.bank_case_id.is_not(None))
        .distinct()
        .order_by(answers.c.institution, answers.c.bank_case_id)
    )
    return [
        BankCase(institution=row.institution, bank_case_id=row.bank_case_id)
        for row in connection.execute(statement)
    ]


def add_events(tx: Transaction, happened: Sequence[MoneyEvent]) -> None:
    """Append what institutions did in this order before the commit."""
    if happened:
        tx.write(_ADD_EVENTS, rows_of(happened))


def events_after(connection: Connection, sequence: int) -> list[MoneyEvent]:
    """What institutions did after a place in the list, in order."""
    statement = sa.select(events).where(events.c.sequence > sequence).order_by(events.c.sequence)
    return [
        MoneyEvent(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
        for row in connection.execute(statement)
    ]
