"""Statistics: the questions of the public report. Reads only; SQL only; private."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa

from openaoc.statistics.store import Times

_REQUESTS: Final = sa.text("""
    WITH counted AS (
        SELECT partner,
               sum(count) FILTER (WHERE outcome NOT IN ('met', 'refused-by-person')) AS received,
               sum(count) FILTER (WHERE outcome = 'met') AS met,
               sum(count) FILTER (WHERE outcome NOT IN ('met', 'accepted')) AS refused
        FROM exchange_requests
        WHERE day >= CAST(:begins AS date) AND day < CAST(:ends AS date) GROUP BY partner),
    ended AS (
        SELECT partner, count(*) FILTER (WHERE settled_as = 'met') AS met,
               count(*) FILTER (WHERE settled_as = 'refused') AS refused
        FROM requests_received
        WHERE opened_at >= :begins AND opened_at < :ends GROUP BY partner)
    SELECT p.jurisdiction, coalesce(sum(c.received), 0) AS received,
           coalesce(sum(c.met), 0) + coalesce(sum(e.met), 0) AS met,
           coalesce(sum(c.refused), 0) + coalesce(sum(e.refused), 0) AS refused
    FROM exchange_partners p
    LEFT JOIN counted c ON c.partner = p.code LEFT JOIN ended e ON e.partner = p.code
    GROUP BY p.jurisdiction HAVING coalesce(sum(c.received), 0) > 0 ORDER BY p.jurisdiction
""")
_REASONS: Final = sa.text("""
    SELECT reason, sum(count) AS count FROM (
        SELECT outcome AS reason, count FROM exchange_requests
        WHERE day >= CAST(:begins AS date) AND day < CAST(:ends AS date)
          AND outcome NOT IN ('met', 'accepted')
        UNION ALL
        SELECT 'refused-by-person', 1 FROM requests_received
        WHERE opened_at >= :begins AND opened_at < :ends AND settled_as = 'refused'
    ) AS every GROUP BY reason ORDER BY 1
""")
_ANSWERS: Final = sa.text("""
    SELECT count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY took),
           percentile_disc(0.95) WITHIN GROUP (ORDER BY took)
    FROM (SELECT extract(epoch FROM settled_at - opened_at) AS took FROM requests_received
          WHERE opened_at >= :begins AND opened_at < :ends
            AND settled_as IN ('met', 'refused')) AS ended
""")
_MONEY: Final = sa.text("""
    SELECT 'held' AS name, count(*) AS count, coalesce(sum(applied_minor), 0) AS minor
    FROM hold_orders WHERE mode = 'live' AND applied_minor > 0 AND currency = :currency
      AND issued_at >= :begins AND issued_at < :ends
    UNION ALL
    SELECT 'released', count(DISTINCT order_id), coalesce(sum(amount_minor), 0)
    FROM hold_events WHERE kind = 'release' AND currency = :currency
      AND at >= :begins AND at < :ends
    UNION ALL
    SELECT 'returned', count(*), coalesce(sum(paid_minor), 0)
    FROM restitution_lines WHERE state = 'paid' AND currency = :currency
      AND paid_at >= :begins AND paid_at < :ends
    UNION ALL
    SELECT 'wrong',
           (SELECT count(*) FROM appeals WHERE state IN ('upheld', 'upheld_in_part')
              AND decided_at >= :begins AND decided_at < :ends)
           + (SELECT count(*) FROM blind_reviews WHERE verdict = 'wrong'
              AND drawn_at >= :begins AND drawn_at < :ends),
           (SELECT coalesce(sum(wrongful_minor), 0) FROM compensations
            WHERE currency = :currency AND at >= :begins AND at < :ends)
""")


class Span(NamedTuple):
    """Whole days, from the first moment to before the last."""

    begins: datetime
    ends: datetime


class Sum(NamedTuple):
    """How many, and how much in minor units."""

    events: int
    minor: int


def requests(connection: sa.Connection, span: Span) -> dict[str, dict[str, int]]:
    """By country: received, met, refused."""
    return {
        row.jurisdiction: {
            "received": int(row.received),
            "met": int(row.met),
            "refused": int(row.refused),
        }
        for row in connection.execute(_REQUESTS, span._asdict())
    }


def reasons(connection: sa.Connection, span: Span) -> dict[str, int]:
    """By reason of refusal."""
    return {row.reason: int(row[1]) for row in connection.execute(_REASONS, span._asdict())}


def answer_times(connection: sa.Connection, span: Span) -> Times:
    """A request received until it was met or refused."""
    count, middle, late = connection.execute(_ANSWERS, span._asdict()).one()
    return Times(
        int(count),
        None if middle is None else float(middle),
        None if late is None else float(late),
    )


def money(connection: sa.Connection, span: Span, *, currency: str) -> dict[str, Sum]:
    """Held, released, returned, and held wrongly."""
    values = {**span._asdict(), "currency": currency}
    return {
        row.name: Sum(int(row[1]), int(row.minor)) for row in connection.execute(_MONEY, values)
    }
