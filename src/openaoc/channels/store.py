"""Channels: the SQL of the outbox, the lines, the nonces and the repeated requests. Private."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.channels.model import (
    DELETED_PER_SWEEP_MAX,
    LISTED_INSTITUTIONS_MAX,
    LineStatus,
    MessageState,
    OutboxMessage,
    Uncertain,
)
from openaoc.storage.recordset import inserting, rows_of
from openaoc.storage.tables import metadata
from openaoc.storage.unit_of_work import Transaction

_WAITING = MessageState.WAITING.value


def _moment(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


messages = sa.Table(
    "channels_messages",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("idempotency_key", sa.Text, nullable=False, unique=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    _moment("created_at"),
    _moment("answer_by"),
    _moment("due_at"),
    _moment("escalate_at"),
    _moment("ended_at", nullable=True),
    _moment("escalated_at", nullable=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("refusals", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text),
)
lines = sa.Table(
    "channels_lines",
    metadata,
    sa.Column("institution", sa.Text, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    _moment("failing_since", nullable=True),
    _moment("next_attempt_at"),
    sa.Column("last_error", sa.Text),
)
nonces = sa.Table(
    "channels_nonces",
    metadata,
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("nonce", sa.Text, primary_key=True),
    _moment("expires_at"),
)
requests = sa.Table(
    "channels_requests",
    metadata,
    sa.Column("actor", sa.Text, primary_key=True),
    sa.Column("route", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("response", sa.LargeBinary, nullable=False),
    _moment("at"),
)


def _message(row: sa.Row[*tuple[Any, ...]]) -> OutboxMessage:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    values.pop("ended_at")
    values["state"] = MessageState(values["state"])
    return OutboxMessage(**values)


def add_messages(tx: Transaction, fresh: Sequence[OutboxMessage]) -> None:
    """Store messages in this order before the commit.

    A message whose idempotency key is there already is left out.
    """
    rows = [
        {
            "id": message.id,
            "institution": message.institution,
            "kind": message.kind,
            "subject": message.subject,
            "idempotency_key": message.idempotency_key,
            "body": message.body.decode("utf-8"),
            "state": message.state.value,
            "created_at": message.created_at,
            "answer_by": message.answer_by,
            "due_at": message.due_at,
            "escalate_at": message.escalate_at,
        }
        for message in fresh
    ]
    tx.write(_ADD, rows_of(rows))


_ADD: Final = sa.text(
    "INSERT INTO channels_messages (id, institution, kind, subject, idempotency_key, body, state,"
    " created_at, answer_by, due_at, escalate_at, attempts, refusals)"
    " SELECT id, institution, kind, subject, idempotency_key, convert_to(body, 'UTF8'), state,"
    " created_at, answer_by, due_at, escalate_at, 0, 0"
    " FROM ROWS FROM (json_to_recordset(CAST(:rows AS json)) AS (id text, institution text,"
    " kind text, subject text, idempotency_key text, body text, state text,"
    " created_at timestamptz, answer_by timestamptz, due_at timestamptz,"
    " escalate_at timestamptz)) WITH ORDINALITY AS fresh (id, institution, kind, subject,"
    " idempotency_key, body, state, created_at, answer_by, due_at, escalate_at, place)"
    " ORDER BY place ON CONFLICT (idempotency_key) DO NOTHING"
)
"""One text however many messages there are, so that it is parsed and planned once."""


def waiting(
    connection: Connection, *, institution: str, now: datetime, limit: int
) -> list[OutboxMessage]:
    """The oldest messages of the institution that are due, at most `limit`."""
    statement = (
        sa.select(messages)
        .where(messages.c.institution == institution, messages.c.state == _WAITING)
        .where(messages.c.due_at <= now)
        .order_by(messages.c.sequence)
        .limit(limit)
    )
    return [_message(row) for row in connection.execute(statement)]


def nth_newest(
    connection: Connection, *, institution: str, kind: str, count: int
) -> datetime | None:
    """`answer_by` of the message of this kind with `count` - 1 that are to be answered later."""
    statement = (
        sa.select(messages.c.answer_by)
        .where(messages.c.institution == institution, messages.c.kind == kind)
        .order_by(messages.c.answer_by.desc())
        .offset(count - 1)
        .limit(1)
    )
    found: datetime | None = connection.execute(statement).scalar()
    return found


def institutions_due(connection: Connection, *, now: datetime) -> list[str]:
    """Institutions with a message due whose line may be tried now."""
    statement = (
        sa.select(messages.c.institution)
        .distinct()
        .select_from(messages.outerjoin(lines, lines.c.institution == messages.c.institution))
        .where(messages.c.state == _WAITING, messages.c.due_at <= now)
        .where(sa.or_(lines.c.next_attempt_at.is_(None), lines.c.next_attempt_at <= now))
        .limit(LISTED_INSTITUTIONS_MAX)
    )
    return [row[0] for row in connection.execute(statement)]


def end_messages(
    connection: Connection, ids: Sequence[str], *, state: MessageState, now: datetime
) -> int:
    """Take waiting messages out of the outbox; how many there were."""
    values = {"ids": list(ids), "state": state.value, "now": now}
    return connection.execute(_END, values).rowcount


_END: Final = sa.text(
    "UPDATE channels_messages SET state = :state, ended_at = :now, attempts = attempts + 1"
    " WHERE id IN (SELECT id FROM channels_messages WHERE id = ANY(:ids) AND state = 'waiting'"
    " ORDER BY id FOR UPDATE)"
)


def settle_subjects(tx: Transaction, *, subjects: Sequence[str], kinds: Sequence[str]) -> None:
    """Waiting messages on these subjects need no delivery any more, from the commit on."""
    tx.write(_SETTLE, {"subjects": list(subjects), "kinds": list(kinds), "now": tx.now})


_SETTLE: Final = sa.text(
    "UPDATE channels_messages SET state = 'settled', ended_at = :now"
    " WHERE id IN (SELECT id FROM channels_messages WHERE subject = ANY(:subjects)"
    " AND kind = ANY(:kinds) AND state = 'waiting' ORDER BY id FOR UPDATE)"
)


def doubt_waiting(connection: Connection) -> int:
    """Set every waiting message aside as uncertain; how many."""
    statement = (
        sa.update(messages)
        .where(messages.c.state == _WAITING)
        .values(state=MessageState.UNCERTAIN.value)
    )
    return connection.execute(statement).rowcount


def uncertain(connection: Connection, *, limit: int) -> list[Uncertain]:
    """Messages set aside, in the order they would have left."""
    statement = (
        sa.select(
            messages.c.id.label("message"),
            messages.c.institution,
            messages.c.kind,
            messages.c.subject,
            messages.c.created_at,
            messages.c.answer_by,
        )
        .where(messages.c.state == MessageState.UNCERTAIN.value)
        .order_by(messages.c.sequence)
        .limit(limit)
    )
    return [
        Uncertain(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
        for row in connection.execute(statement)
    ]


def decide_uncertain(
    connection: Connection, ids: Sequence[str], *, state: MessageState, now: datetime
) -> list[str]:
    """Give messages that are set aside this state; the institutions they are for."""
    ended = None if state is MessageState.WAITING else now
    statement = (
        sa.update(messages)
        .where(messages.c.id.in_(ids), messages.c.state == MessageState.UNCERTAIN.value)
        .values(state=state.value, due_at=now, ended_at=ended)
        .returning(messages.c.institution)
    )
    return [str(row[0]) for row in connection.execute(statement)]


def postpone_message(
    connection: Connection, message_id: str, *, due_at: datetime, error: str
) -> None:
    """The institution refused this message: try it alone again at `due_at`."""
    statement = (
        sa.update(messages)
        .where(messages.c.id == message_id)
        .values(
            due_at=due_at,
            refusals=messages.c.refusals + 1,
            attempts=messages.c.attempts + 1,
            last_error=error,
        )
    )
    connection.execute(statement)


class LineState(NamedTuple):
    """Failures in a row, and not before when to try again."""

    failures: int
    next_attempt_at: datetime


class EarlierRequest(NamedTuple):
    """What was asked before under a key, and what it was answered."""

    digest: bytes
    response: bytes


def line(connection: Connection, institution: str) -> LineState | None:
    """How the line to the institution is, if it ever failed."""
    statement = sa.select(lines.c.failures, lines.c.next_attempt_at).where(
        lines.c.institution == institution
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else LineState(row.failures, row.next_attempt_at)


def line_failed(
    connection: Connection, institution: str, *, now: datetime, next_at: datetime, error: str
) -> int:
    """Count a failure of the line and say when to try again; the failures in a row so far."""
    statement = (
        insert(lines)
        .values(
            institution=institution,
            failures=1,
            failing_since=now,
            next_attempt_at=next_at,
            last_error=error,
        )
        .on_conflict_do_update(
            index_elements=[lines.c.institution],
            set_={
                "failures": lines.c.failures + 1,
                "failing_since": sa.func.coalesce(lines.c.failing_since, now),
                "next_attempt_at": next_at,
                "last_error": error,
            },
        )
        .returning(lines.c.failures)
    )
    return int(connection.execute(statement).scalar_one())


def line_works(connection: Connection, institution: str, *, now: datetime) -> None:
    """The line answered: nothing has failed."""
    statement = (
        sa.update(lines)
        .where(lines.c.institution == institution, lines.c.failures > 0)
        .values(failures=0, failing_since=None, next_attempt_at=now, last_error=None)
    )
    connection.execute(statement)


def to_escalate(
    connection: Connection, *, now: datetime, failures: int, limit: int
) -> list[OutboxMessage]:
    """Waiting messages not yet told of that are late, or whose line fails."""
    late = messages.c.escalate_at <= now
    statement = (
        sa.select(messages)
        .select_from(messages.outerjoin(lines, lines.c.institution == messages.c.institution))
        .where(messages.c.state == _WAITING, messages.c.escalated_at.is_(None))
        .where(sa.or_(late, lines.c.failures >= failures, messages.c.refusals >= failures))
        .order_by(messages.c.sequence)
        .limit(limit)
    )
    return [_message(row) for row in connection.execute(statement)]


def mark_escalated(connection: Connection, ids: Sequence[str], *, now: datetime) -> None:
    """These were told of once; they are not told of again."""
    connection.execute(_ESCALATED, {"ids": list(ids), "now": now})


_ESCALATED: Final = sa.text(
    "UPDATE channels_messages SET escalated_at = :now WHERE id IN (SELECT id FROM channels_messages"
    " WHERE id = ANY(CAST(:ids AS text[])) ORDER BY id FOR UPDATE)"
)


def too_old(connection: Connection, *, before: datetime, limit: int) -> list[OutboxMessage]:
    """Messages that have waited since before `before`."""
    statement = (
        sa.select(messages)
        .where(messages.c.state == _WAITING, messages.c.created_at < before)
        .order_by(messages.c.sequence)
        .limit(limit)
    )
    return [_message(row) for row in connection.execute(statement)]


def line_statuses(connection: Connection) -> list[LineStatus]:
    """Every institution with waiting messages or a failing line."""
    counted = (
        sa.select(
            messages.c.institution,
            sa.func.count().label("waiting"),
            sa.func.min(messages.c.created_at).label("oldest_at"),
        )
        .where(messages.c.state == _WAITING)
        .group_by(messages.c.institution)
        .subquery()
    )
    institution = sa.func.coalesce(counted.c.institution, lines.c.institution)
    statement = (
        sa.select(
            institution.label("institution"),
            sa.func.coalesce(counted.c.waiting, 0).label("waiting"),
            counted.c.oldest_at,
            sa.func.coalesce(lines.c.failures, 0).label("failures"),
            sa.case((lines.c.failures > 0, lines.c.next_attempt_at)).label("next_attempt_at"),
            lines.c.last_error,
        )
        .select_from(counted.join(lines, lines.c.institution == counted.c.institution, full=True))
        .order_by(institution)
        .limit(LISTED_INSTITUTIONS_MAX)
    )
    return [
        LineStatus(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
        for row in connection.execute(statement)
    ]


def add_nonce(connection: Connection, *, kid: str, nonce: str, expires_at: datetime) -> bool:
    """Keep a nonce; False when it is there already."""
    statement = (
        insert(nonces)
        .values(kid=kid, nonce=nonce, expires_at=expires_at)
        .on_conflict_do_nothing()
        .returning(nonces.c.nonce)
    )
    return connection.execute(statement).first() is not None


def add_nonces(
    connection: Connection, fresh: Sequence[tuple[str, str, datetime]]
) -> set[tuple[str, str]]:
    """Keep many (kid, nonce, end) in one statement; (kid, nonce) of those that were not there."""
    rows = [{"kid": kid, "nonce": nonce, "expires_at": end} for kid, nonce, end in sorted(fresh)]
    added = connection.execute(_ADD_NONCES, rows_of(rows))
    return {(row.kid, row.nonce) for row in added}


_ADD_NONCES: Final = inserting(
    nonces,
    ("kid", "nonce", "expires_at"),
    tail="ON CONFLICT DO NOTHING RETURNING kid, nonce",
)


def add_request(
    connection: Connection, *, actor: str, route: str, key: str, digest: bytes, now: datetime
) -> EarlierRequest | None:
    """Claim a request's key for this transaction; the earlier request when there was one.

    Two transactions with one key wait for each other here, so that only one has an effect.
    """
    statement = (
        insert(requests)
        .values(actor=actor, route=route, key=key, digest=digest, response=b"", at=now)
        .on_conflict_do_nothing()
        .returning(requests.c.key)
    )
    if connection.execute(statement).first() is not None:
        return None
    return find_request(connection, actor=actor, route=route, key=key)


def find_request(
    connection: Connection, *, actor: str, route: str, key: str
) -> EarlierRequest | None:
    """The earlier request of this actor under this key on this route."""
    row = connection.execute(
        sa.select(requests.c.digest, requests.c.response).where(
            requests.c.actor == actor, requests.c.route == route, requests.c.key == key
        )
    ).one_or_none()
    return None if row is None else EarlierRequest(bytes(row.digest), bytes(row.response))


def set_response(
    connection: Connection, *, actor: str, route: str, key: str, response: bytes
) -> None:
    """What the claimed request was answered."""
    statement = (
        sa.update(requests)
        .where(requests.c.actor == actor, requests.c.route == route, requests.c.key == key)
        .values(response=response)
    )
    connection.execute(statement)


def delete_old(
    connection: Connection, *, now: datetime, ended_before: datetime, requests_before: datetime
) -> int:
    """Forget expired nonces, old requests and messages long ended; how many rows went."""
    total = 0
    for table, old in (
        (nonces, nonces.c.expires_at < now),
        (requests, requests.c.at < requests_before),
        (messages, messages.c.ended_at < ended_before),
    ):
        chosen = (
            sa.select(sa.literal_column("ctid", sa.Text))
            .select_from(table)
            .where(old)
            .limit(DELETED_PER_SWEEP_MAX)
        )
        statement = sa.delete(table).where(sa.literal_column("ctid", sa.Text).in_(chosen))
        total += connection.execute(statement).rowcount
    return total
