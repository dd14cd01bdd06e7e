"""Statistics: the questions asked of the other stages' tables. Reads only; SQL only; private.

Each is one statement; what looks at single orders looks at the newest of the window alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa

_ROWS_MAX: Final = 20_000
"""Cases and orders that a percentile looks at, the newest first."""
_LISTED_MAX: Final = 500

_COUNTS: Final = sa.text("""
    SELECT (SELECT count(*) FROM reports),
           (SELECT count(*) FROM reports WHERE received_at > :hour),
           count(*), coalesce(sum(loss_minor), 0), coalesce(sum(located_minor + held_minor), 0)
    FROM cases WHERE currency = :currency AND state <> 'dropped'
""")
_STATES: Final = sa.text("""
    SELECT state, count(*),
           coalesce(sum(held_minor) FILTER (WHERE state IN ('applied', 'applied_in_part')), 0)
    FROM hold_orders WHERE currency = :currency GROUP BY state ORDER BY state
""")
_TIMES: Final = sa.text("""
    WITH newest AS (
        SELECT id, opened_at FROM cases
        WHERE opened_at > :since AND standing = 'automatic'
        ORDER BY sequence DESC LIMIT :rows),
    times AS (
        SELECT extract(epoch FROM min(o.answered_at) - min(c.opened_at)) AS first,
               extract(epoch FROM max(o.answered_at) - min(c.opened_at)) AS last
        FROM newest c JOIN hold_orders o ON o.case_id = c.id
        WHERE o.mode = 'live' AND o.applied_minor > 0
          AND o.issued_at < c.opened_at + interval '2 seconds'
        GROUP BY c.id)
    SELECT count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY first),
           percentile_disc(0.95) WITHIN GROUP (ORDER BY first),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY last),
           percentile_disc(0.95) WITHIN GROUP (ORDER BY last)
    FROM times
""")
_ANSWERS: Final = sa.text("""
    WITH newest AS (
        SELECT extract(epoch FROM answered_at - issued_at) AS answer
        FROM hold_orders WHERE issued_at > :since AND mode = 'live' AND answered_at IS NOT NULL
        ORDER BY sequence DESC LIMIT :rows)
    SELECT count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY answer),
           percentile_disc(0.95) WITHIN GROUP (ORDER BY answer)
    FROM newest
""")
_INSTITUTIONS: Final = sa.text("""
    WITH newest AS (
        SELECT institution, extract(epoch FROM answered_at - issued_at) AS answer
        FROM hold_orders WHERE issued_at > :since AND mode = 'live' AND answered_at IS NOT NULL
        ORDER BY sequence DESC LIMIT :rows),
    times AS (
        SELECT institution, count(*) AS count,
               percentile_disc(0.5) WITHIN GROUP (ORDER BY answer) AS p50,
               percentile_disc(0.95) WITHIN GROUP (ORDER BY answer) AS p95
        FROM newest GROUP BY institution),
    sums AS (
        SELECT institution, count(*) FILTER (WHERE mode = 'live' AND state <> 'drafted') AS orders,
               count(answered_at) AS answered,
               coalesce(sum(held_minor) FILTER (WHERE state IN ('applied', 'applied_in_part')), 0)
                   AS held
        FROM hold_orders WHERE currency = :currency GROUP BY institution)
    SELECT i.code, i.name, coalesce(s.state = 'live', false) AS live,
           coalesce(sums.orders, 0), coalesce(sums.answered, 0), coalesce(sums.held, 0),
           t.count, t.p50, t.p95
    FROM institutions i
    LEFT JOIN live_switches s ON s.scope = 'institution:' || i.code
    LEFT JOIN sums ON sums.institution = i.code
    LEFT JOIN times t ON t.institution = i.code
    ORDER BY i.code LIMIT :listed
""")
_LIVE: Final = sa.text("""
    SELECT EXISTS (SELECT 1 FROM live_switches WHERE scope = :scope AND state = 'live')
""")


class Counts(NamedTuple):
    """Totals over all cases."""

    reports: int
    reports_last_hour: int
    cases: int
    loss_minor: int
    inside_minor: int


class Times(NamedTuple):
    """How many, p50 and p95 in seconds; the latter are None when there are none."""

    events: int
    p50_s: float | None
    p95_s: float | None


class InstitutionRow(NamedTuple):
    """One institution's line."""

    code: str
    name: str
    live: bool
    orders: int
    answered: int
    held_minor: int
    times: Times


def counts(connection: sa.Connection, *, currency: str, hour: datetime) -> Counts:
    """Totals; `hour` is an hour ago."""
    row = connection.execute(_COUNTS, {"currency": currency, "hour": hour}).one()
    return Counts(*(int(value) for value in row))


def states(connection: sa.Connection, *, currency: str) -> dict[str, tuple[int, int]]:
    """State → number of orders, amount held now."""
    rows = connection.execute(_STATES, {"currency": currency})
    return {str(state): (int(count), int(held)) for state, count, held in rows}


def times(connection: sa.Connection, *, since: datetime) -> tuple[Times, Times]:
    """Report to the first and to the last of the orders issued with it that were applied."""
    row = connection.execute(_TIMES, {"since": since, "rows": _ROWS_MAX}).one()
    return _times((row[0], row[1], row[2])), _times((row[0], row[3], row[4]))


def answers(connection: sa.Connection, *, since: datetime) -> Times:
    """Order issued to answer, over all institutions."""
    return _times(connection.execute(_ANSWERS, {"since": since, "rows": _ROWS_MAX}).one())


def institutions(
    connection: sa.Connection, *, currency: str, since: datetime
) -> list[InstitutionRow]:
    """Every institution with its figures, in order of code."""
    values = {"currency": currency, "since": since, "rows": _ROWS_MAX, "listed": _LISTED_MAX}
    rows = connection.execute(_INSTITUTIONS, values)
    return [
        InstitutionRow(
            str(row[0]),
            str(row[1]),
            bool(row[2]),
            int(row[3]),
            int(row[4]),
            int(row[5]),
            _times((row[6] or 0, row[7], row[8])),
        )
        for row in rows
    ]


def is_live(connection: sa.Connection, *, jurisdiction: str) -> bool:
    """Whether the jurisdiction's switch is live."""
    scope = f"jurisdiction:{jurisdiction}"
    return bool(connection.execute(_LIVE, {"scope": scope}).scalar_one())


def _times(row: tuple[object, ...] | sa.Row[tuple[object, ...]]) -> Times:
    count, middle, late = tuple(row)
    return Times(
        int(str(count)),
        None if middle is None else float(str(middle)),
        None if late is None else float(str(late)),
    )
