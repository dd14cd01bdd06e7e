"""Safety: breakers and undos in PostgreSQL, and which orders they concern. SQL only; private."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from openaoc.safety.model import Breaker, RunState, Selection, Touched
from openaoc.storage.tables import metadata, moment

breakers: Final = sa.Table(
    "breakers",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("open", sa.Boolean, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
    sa.Column("changed_at", moment, nullable=False),
    sa.Column("counted_from", moment),
    sa.Column("resume", sa.Boolean, nullable=False),
)

runs: Final = sa.Table(
    "undo_runs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
    sa.Column("selection", postgresql.JSONB, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("proposed_at", moment, nullable=False),
    sa.Column("approved_by", sa.Text),
    sa.Column("approved_at", moment),
    sa.Column("place", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("orders", sa.Integer, nullable=False),
    sa.Column("released_minor", sa.BigInteger, nullable=False),
    sa.Column("withdrawn_minor", sa.BigInteger, nullable=False),
    sa.Column("finished_at", moment),
)

items: Final = sa.Table(
    "undo_items",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("done", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("at", moment, nullable=False),
)


# Breakers.


def all_breakers(connection: Connection) -> list[Breaker]:
    """Every breaker, the open ones first."""
    statement = sa.select(breakers).order_by(breakers.c.open.desc(), breakers.c.scope)
    return [
        Breaker(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
        for row in connection.execute(statement)
    ]


def breaker(connection: Connection, scope: str) -> Breaker | None:
    """One breaker, None where it was never changed."""
    row = connection.execute(sa.select(breakers).where(breakers.c.scope == scope)).one_or_none()
    return None if row is None else Breaker(**row._mapping)  # noqa: SLF001 - as above


def set_breaker(connection: Connection, breaker: Breaker) -> None:
    """Write a breaker's state."""
    values = msgspec.structs.asdict(breaker)
    statement = postgresql.insert(breakers).values(values)
    del values["scope"]
    changed = statement.on_conflict_do_update(index_elements=[breakers.c.scope], set_=values)
    connection.execute(changed)


class HourCount(NamedTuple):
    """How many orders of one source went to one institution by themselves in one minute."""

    institution: str
    source: str
    minute: datetime
    orders: int


_SENT: Final = sa.text("""
    SELECT o.institution, c.opened_by AS source, date_trunc('minute', o.issued_at) AS minute,
           count(*) AS orders
    FROM hold_orders o JOIN cases c ON c.id = o.case_id
    WHERE o.issued_at > :since AND o.mode = 'live' AND o.state <> 'drafted'
      AND o.approvals = '[]'::jsonb
    GROUP BY 1, 2, 3 ORDER BY 3
""")


def sent_since(connection: Connection, since: datetime) -> list[HourCount]:
    """What went out by itself since then, by institution, source and minute."""
    found = connection.execute(_SENT, {"since": since})
    return [HourCount(row.institution, row.source, row.minute, int(row.orders)) for row in found]


_WAITING: Final = sa.text("""
    SELECT paused_by AS scope, count(*) AS orders FROM hold_orders
    WHERE paused_by IS NOT NULL AND state = 'drafted' GROUP BY paused_by
""")


def waiting(connection: Connection) -> dict[str, int]:
    """How many orders wait for a person, by the breaker that caught them."""
    return {str(row.scope): int(row.orders) for row in connection.execute(_WAITING)}


_CAUGHT: Final = sa.text("""
    SELECT DISTINCT case_id FROM hold_orders
    WHERE paused_by = :scope AND state = 'drafted' ORDER BY case_id LIMIT :limit
""")


def caught_cases(connection: Connection, scope: str, *, limit: int) -> list[str]:
    """Cases with orders that wait by this breaker."""
    found = connection.execute(_CAUGHT, {"scope": scope, "limit": limit})
    return [str(row.case_id) for row in found]


_UPHELD: Final = sa.text("""
    SELECT count(*) AS decided,
           count(*) FILTER (WHERE a.state IN ('upheld', 'upheld_in_part')) AS upheld
    FROM appeals a JOIN cases c ON c.id = a.case_id
    WHERE a.decided_at > :since AND a.state IN ('upheld', 'upheld_in_part', 'refused')
      AND (CAST(:institution AS text) IS NULL OR a.institution = :institution)
      AND (CAST(:source AS text) IS NULL OR c.opened_by = :source)
""")


def upheld_since(
    connection: Connection, since: datetime, *, institution: str | None, source: str | None
) -> tuple[int, int]:
    """(decided, upheld) contests since then of an institution's holds, or a source's reports."""
    values = {"since": since, "institution": institution, "source": source}
    row = connection.execute(_UPHELD, values).one()
    return int(row.decided), int(row.upheld)


# Undo.


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `undo_runs`.

    `place`: orders up to here in the list are done. `last`: where the list ended when the second
    person agreed: what came after was caused by something else.
    """

    id: str
    selection: Selection
    reason: str
    state: RunState
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None
    place: int = 0
    last: int = 0
    orders: int = 0
    released_minor: int = 0
    withdrawn_minor: int = 0
    finished_at: datetime | None = None
    sequence: int = 0


def _run_row(run: Run) -> dict[str, object]:
    values = msgspec.structs.asdict(run)
    values["selection"] = msgspec.to_builtins(run.selection)
    values["state"] = run.state.value
    del values["sequence"]
    return values


def _run(row: sa.Row[tuple[object, ...]]) -> Run:
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    return msgspec.convert({str(name): value for name, value in named.items()}, Run)


def add_run(connection: Connection, run: Run) -> None:
    """Insert an undo."""
    connection.execute(sa.insert(runs).values(_run_row(run)))


def save_run(connection: Connection, run: Run) -> None:
    """Write what changed of an undo."""
    values = _run_row(run)
    del values["id"]
    connection.execute(sa.update(runs).where(runs.c.id == run.id).values(values))


def get_run(connection: Connection, run_id: str, *, lock: bool = False) -> Run | None:
    """One undo, locked when asked."""
    statement = sa.select(runs).where(runs.c.id == run_id)
    if lock:
        statement = statement.with_for_update()
    row = connection.execute(statement).first()
    return None if row is None else _run(row)


def running(connection: Connection) -> list[str]:
    """The undos under way, the oldest first."""
    statement = (
        sa.select(runs.c.id).where(runs.c.state == RunState.RUNNING.value).order_by(runs.c.sequence)
    )
    return [str(row.id) for row in connection.execute(statement)]


def newest_runs(connection: Connection, *, limit: int) -> list[Run]:
    """The newest undos."""
    statement = sa.select(runs).order_by(runs.c.sequence.desc()).limit(limit)
    return [_run(row) for row in connection.execute(statement)]


_CHOSEN: Final = """
    FROM hold_orders o JOIN cases c ON c.id = o.case_id
    WHERE o.state IN ('drafted', 'issued', 'acknowledged', 'applied', 'applied_in_part')
      AND (CAST(:rule AS text) IS NULL OR o.rule = :rule)
      AND (CAST(:institution AS text) IS NULL OR o.institution = :institution)
      AND (CAST(:reporter AS text) IS NULL OR c.opened_by = :reporter OR EXISTS (
            SELECT 1 FROM reports r WHERE r.case_id = c.id AND r.sender_institution = :reporter))
      AND (CAST(:partner AS text) IS NULL OR (
            c.channel = 'partner' AND c.opened_by IN (:partner, 'partner:' || :partner)))
      AND (CAST(:since AS timestamptz) IS NULL OR o.issued_at >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR o.issued_at < :until)
"""
_TAKEN: Final = (
    "CASE WHEN o.state IN ('applied', 'applied_in_part') THEN o.held_minor ELSE o.amount_minor END"
)
_SUMS: Final = sa.text(f"""
    SELECT count(*) AS orders, count(DISTINCT o.case_id) AS cases,
           count(DISTINCT (o.institution, o.account)) AS accounts,
           coalesce(sum(o.held_minor), 0) AS held,
           coalesce(sum({_TAKEN}), 0) - coalesce(sum(o.held_minor), 0) AS waiting
    {_CHOSEN}
""")
_NEXT: Final = sa.text(f"""
    SELECT o.id, o.sequence, o.case_id, o.institution, o.account, o.currency, o.state,
           {_TAKEN} AS amount_minor
    {_CHOSEN} AND o.sequence > :place AND o.sequence <= :last ORDER BY o.sequence LIMIT :limit
""")


_SOURCES: Final = sa.text(f"SELECT DISTINCT c.opened_by {_CHOSEN} ORDER BY 1 LIMIT :limit")
_LAST: Final = sa.text("SELECT coalesce(max(sequence), 0) FROM hold_orders")


class Sums(NamedTuple):
    """What a selection comes to."""

    orders: int
    cases: int
    accounts: int
    held_minor: int
    waiting_minor: int


class Chosen(NamedTuple):
    """One order that is selected, at its place in the list."""

    place: int
    touched: Touched


def sums(connection: Connection, selection: Selection) -> Sums:
    """What the selection comes to now."""
    row = connection.execute(_SUMS, msgspec.structs.asdict(selection)).one()
    return Sums(row.orders, row.cases, row.accounts, int(row.held), int(row.waiting))


def sources(connection: Connection, selection: Selection, *, limit: int) -> list[str]:
    """Who opened the cases whose orders are selected."""
    values = msgspec.structs.asdict(selection) | {"limit": limit}
    return [str(row.opened_by) for row in connection.execute(_SOURCES, values)]


def last_place(connection: Connection) -> int:
    """Where the list of orders ends now."""
    return int(connection.execute(_LAST).scalar_one())


def chosen(
    connection: Connection, selection: Selection, *, place: int, last: int, limit: int
) -> list[Chosen]:
    """The next active orders of the selection between two places in the list."""
    values = msgspec.structs.asdict(selection) | {"place": place, "last": last, "limit": limit}
    return [
        Chosen(
            int(row.sequence),
            Touched(
                order=row.id,
                case=row.case_id,
                institution=row.institution,
                account=row.account,
                currency=row.currency,
                state=row.state,
                amount_minor=int(row.amount_minor),
            ),
        )
        for row in connection.execute(_NEXT, values)
    ]


def add_items(connection: Connection, run_id: str, done: Sequence[Chosen]) -> None:
    """Keep who was touched: one statement."""
    rows = [
        {
            "run_id": run_id,
            "order_id": one.touched.order,
            "sequence": one.place,
            "case_id": one.touched.case,
            "institution": one.touched.institution,
            "account": one.touched.account,
            "currency": one.touched.currency,
            "done": one.touched.done,
            "amount_minor": one.touched.amount_minor,
            "at": one.touched.at,
        }
        for one in done
    ]
    if rows:
        connection.execute(sa.insert(items), rows)


def touched(connection: Connection, run_id: str, *, after: int, limit: int) -> list[Chosen]:
    """Whom an undo touched, after a place in the list."""
    statement = (
        sa.select(items)
        .where(items.c.run_id == run_id, items.c.sequence > after)
        .order_by(items.c.sequence)
        .limit(limit)
    )
    return [
        Chosen(
            row.sequence,
            Touched(
                order=row.order_id,
                case=row.case_id,
                institution=row.institution,
                account=row.account,
                currency=row.currency,
                state=row.done,
                amount_minor=row.amount_minor,
                done=row.done,
                at=row.at,
            ),
        )
        for row in connection.execute(statement)
    ]
