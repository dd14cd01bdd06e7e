"""Indicators: their rows in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from openaoc.indicators.model import Indicator, Record, Source, Status
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.kernel.offences import Offence
from openaoc.storage.recordset import inserting, rows_of
from openaoc.storage.tables import metadata, moment
from openaoc.storage.unit_of_work import Transaction

indicators: Final = sa.Table(
    "indicators",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("confidence", sa.Integer, nullable=False),
    sa.Column("scam_types", postgresql.ARRAY(sa.Text), nullable=False),
    sa.Column("first_seen", moment, nullable=False),
    sa.Column("last_seen", moment, nullable=False),
    sa.Column("valid_until", moment, nullable=False),
    sa.Column("reports", sa.Integer, nullable=False),
    sa.Column("under_pursuit", sa.Boolean, nullable=False),
    sa.Column("public_status", sa.Text),
    sa.Column("created_at", moment, nullable=False),
    sa.Column("changed_at", moment, nullable=False),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", moment),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column(
        "change",
        sa.BigInteger,
        nullable=False,
        unique=True,
        server_default=sa.text("nextval('indicators_changes')"),
    ),
)
"""`change` orders changes as they are committed: whoever writes holds the stage's lock."""

sources: Final = sa.Table(
    "indicator_sources",
    metadata,
    sa.Column("indicator_id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("ref", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("offence", sa.Text, nullable=False),
    sa.Column("marking", sa.Text, nullable=False),
    sa.Column("first_seen", moment, nullable=False),
    sa.Column("last_seen", moment, nullable=False),
    sa.Column("said_at", moment, nullable=False),
    sa.Column("heard_at", moment, nullable=False),
    sa.Column("case_id", sa.Text),
    sa.Column("held_back", sa.Boolean, nullable=False),
    sa.Column("taken_back_at", moment),
)

records: Final = sa.Table(
    "indicator_records",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("right", sa.Integer, nullable=False),
    sa.Column("wrong", sa.Integer, nullable=False),
)

waiting: Final = sa.Table(
    "indicator_waiting",
    metadata,
    sa.Column("report_id", sa.Text, primary_key=True),
)

_WAIT: Final = inserting(waiting, ["report_id"], tail="ON CONFLICT DO NOTHING")
_ADD: Final = inserting(
    indicators,
    [c.name for c in indicators.columns if c.name != "change"],
    tail="ON CONFLICT DO NOTHING",
)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A report whose identifiers have not been taken yet."""

    report_id: str


def wait(tx: Transaction, report_ids: Sequence[str]) -> None:
    """Keep these reports until they are taken, before the commit."""
    tx.write(_WAIT, rows_of([Waiting(report_id=one) for one in report_ids]))


def taken(connection: Connection, *, limit: int) -> list[str]:
    """Some waiting reports, which wait no more once this is committed."""
    chosen = (
        sa.select(waiting.c.report_id)
        .order_by(waiting.c.report_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        sa.delete(waiting)
        .where(waiting.c.report_id.in_(chosen.scalar_subquery()))
        .returning(waiting.c.report_id)
    )
    return [row[0] for row in connection.execute(statement)]


def add(connection: Connection, fresh: Sequence[Indicator]) -> None:
    """Insert those that are not there yet."""
    if fresh:
        connection.execute(_ADD, rows_of(fresh))


def find(connection: Connection, wanted: Iterable[Identifier], *, lock: bool) -> list[Indicator]:
    """The indicators of these identifiers, by kind and value; locked in that order."""
    pairs = sorted({(one.kind.value, one.value) for one in wanted})
    if not pairs:
        return []
    statement = (
        sa.select(indicators)
        .where(sa.tuple_(indicators.c.kind, indicators.c.value).in_(pairs))
        .order_by(indicators.c.kind, indicators.c.value)
    )
    return _read(connection, statement.with_for_update() if lock else statement)


def by_ids(connection: Connection, ids: Sequence[str], *, lock: bool = False) -> list[Indicator]:
    """Indicators by id; locked in the order in which `find` locks."""
    if not ids:
        return []
    statement = (
        sa.select(indicators)
        .where(indicators.c.id.in_(list(ids)))
        .order_by(indicators.c.kind, indicators.c.value)
    )
    return _read(connection, statement.with_for_update() if lock else statement)


def page(
    connection: Connection,
    *,
    kind: Kind | None,
    status: Status | None,
    before: int | None,
    limit: int,
) -> list[Indicator]:
    """The last changed first, before the place of a page before."""
    statement = sa.select(indicators)
    if kind is not None:
        statement = statement.where(indicators.c.kind == kind.value)
    if status is not None:
        statement = statement.where(indicators.c.status == status.value)
    if before is not None:
        statement = statement.where(indicators.c.change < before)
    return _read(connection, statement.order_by(indicators.c.change.desc()).limit(limit))


def changed_after(connection: Connection, *, after: int, limit: int) -> list[Indicator]:
    """The first changed first, after a place."""
    statement = sa.select(indicators).where(indicators.c.change > after)
    return _read(connection, statement.order_by(indicators.c.change).limit(limit))


def expired(connection: Connection, *, now: datetime, limit: int) -> list[Indicator]:
    """Those whose time is over, locked; what somebody else works on is left for the next look."""
    statement = (
        sa.select(indicators)
        .where(
            indicators.c.status.in_([Status.PROPOSED.value, Status.CONFIRMED.value]),
            indicators.c.valid_until <= now,
        )
        .order_by(indicators.c.kind, indicators.c.value)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return _read(connection, statement)


_OVER_HERE: Final = sa.text(
    """
    SELECT one.* FROM indicators one
    JOIN unnest(CAST(:kinds AS text[]), CAST(:statuses AS text[]), CAST(:days AS integer[]))
        AS stands(kind, status, days) ON stands.kind = one.kind AND stands.status = one.status
    CROSS JOIN LATERAL (
        SELECT greatest(
            coalesce(max(last_seen) FILTER (WHERE taken_back_at IS NULL), max(last_seen)),
            CASE WHEN one.status = 'confirmed' THEN one.decided_at END
        ) AS last_seen
        FROM indicator_sources WHERE indicator_id = one.id AND kind <> 'partner'
        HAVING count(*) > 0
    ) own
    CROSS JOIN LATERAL (SELECT own.last_seen + make_interval(days => stands.days) AS until) here
    WHERE one.status IN ('proposed', 'confirmed') AND one.valid_until > :now
        AND least(one.first_seen, one.created_at) <= :now - make_interval(days => stands.days)
        AND here.until <= :now AND one.changed_at < here.until
    ORDER BY one.kind, one.value LIMIT :limit FOR UPDATE OF one SKIP LOCKED
    """
)


def over_here(
    connection: Connection, days: Sequence[tuple[Kind, Status, int]], *, now: datetime, limit: int
) -> list[Indicator]:
    """Those that stand by partners' words alone now, and did not change since; locked.

    `days`: how long an opinion stands after our own sources saw it last.
    """
    values = {
        "kinds": [kind.value for kind, _, _ in days],
        "statuses": [status.value for _, status, _ in days],
        "days": [count for _, _, count in days],
        "now": now,
        "limit": limit,
    }
    return [_indicator(row) for row in connection.execute(_OVER_HERE, values)]


def update(connection: Connection, one: Indicator) -> Indicator:
    """Write an indicator's opinion; the indicator with its place in the order of changes."""
    values = msgspec.structs.asdict(one)
    for name in ("id", "kind", "value", "created_at"):
        del values[name]
    values["change"] = sa.func.nextval("indicators_changes")
    statement = sa.update(indicators).where(indicators.c.id == one.id).values(values)
    change = connection.execute(statement.returning(indicators.c.change)).scalar_one()
    return msgspec.structs.replace(one, change=change)


def _read(connection: Connection, statement: sa.Select[Any]) -> list[Indicator]:
    return [_indicator(row) for row in connection.execute(statement)]


def _indicator(row: sa.Row[Any]) -> Indicator:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    public = values["public_status"]
    return Indicator(
        **{
            **values,
            "kind": Kind(values["kind"]),
            "status": Status(values["status"]),
            "public_status": None if public is None else Status(public),
            "scam_types": tuple(Offence(one) for one in values["scam_types"]),
        }
    )


# Who said so.


def say(connection: Connection, indicator_id: str, said: Source, *, now: datetime) -> None:
    """Keep a voice, heard first now; the same one again, if not older, moves its last seen."""
    values = {**msgspec.structs.asdict(said), "indicator_id": indicator_id, "heard_at": now}
    statement = postgresql.insert(sources).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=[sources.c.indicator_id, sources.c.source, sources.c.ref],
        set_={
            "first_seen": sa.func.least(sources.c.first_seen, statement.excluded.first_seen),
            "last_seen": sa.func.greatest(sources.c.last_seen, statement.excluded.last_seen),
            "offence": statement.excluded.offence,
            "marking": statement.excluded.marking,
            "said_at": statement.excluded.said_at,
            "taken_back_at": statement.excluded.taken_back_at,
        },
        where=sources.c.said_at <= statement.excluded.said_at,
    )
    connection.execute(statement)


def sources_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[Source]]:
    """Every voice about these indicators, the oldest first."""
    found: dict[str, list[Source]] = {one: [] for one in ids}
    statement = (
        sa.select(sources)
        .where(sources.c.indicator_id.in_(list(ids)))
        .order_by(sources.c.first_seen, sources.c.source, sources.c.ref)
    )
    for row in connection.execute(statement):
        named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
        values = {str(name): value for name, value in named.items()}
        found[values.pop("indicator_id")].append(msgspec.convert(values, Source))
    return found


def take_back(
    connection: Connection, *, source: str, ref: str, said_at: datetime, now: datetime
) -> list[str]:
    """A source took back what it said under this reference; the indicators it was about."""
    statement = (
        sa.update(sources)
        .where(sources.c.source == source, sources.c.ref == ref)
        .where(sources.c.taken_back_at.is_(None), sources.c.said_at <= said_at)
        .values(taken_back_at=now, said_at=said_at)
        .returning(sources.c.indicator_id)
    )
    return sorted({row[0] for row in connection.execute(statement)})


def held_back_cases(connection: Connection, *, after: str, limit: int) -> list[str]:
    """Cases whose voices do not count in public yet, by number after the given one."""
    statement = (
        sa.select(sources.c.case_id)
        .where(sources.c.held_back, sources.c.case_id > after)
        .group_by(sources.c.case_id)
        .order_by(sources.c.case_id)
        .limit(limit)
    )
    return [row[0] for row in connection.execute(statement)]


def let_out(connection: Connection, case_ids: Sequence[str]) -> list[str]:
    """These cases' voices count in public from now on; the indicators they are about."""
    statement = (
        sa.update(sources)
        .where(sources.c.held_back, sources.c.case_id.in_(list(case_ids)))
        .values(held_back=False)
        .returning(sources.c.indicator_id)
    )
    return sorted({row[0] for row in connection.execute(statement)})


# Who was right.


def records_of(connection: Connection, names: Iterable[str]) -> dict[str, Record]:
    """The records of these sources; one without a record is left out."""
    statement = sa.select(records).where(records.c.source.in_(sorted(set(names))))
    return {
        row.source: Record(source=row.source, right=row.right, wrong=row.wrong)
        for row in connection.execute(statement)
    }


def count(connection: Connection, source: str, *, right: int, wrong: int) -> None:
    """Add to a source's record; it never falls below none."""
    statement = postgresql.insert(records).values(
        source=source, right=max(right, 0), wrong=max(wrong, 0)
    )
    statement = statement.on_conflict_do_update(
        index_elements=[records.c.source],
        set_={
            "right": sa.func.greatest(records.c.right + right, 0),
            "wrong": sa.func.greatest(records.c.wrong + wrong, 0),
        },
    )
    connection.execute(statement)
