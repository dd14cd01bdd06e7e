"""Statistics: the question behind joint statistics. Reads only; SQL only; private."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa

_CASES: Final = sa.text("""
    SELECT to_char(c.opened_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, r.scam_type,
           coalesce(to_country.code, :home) AS to_country, count(*) AS reports,
           coalesce(sum(c.loss_minor), 0) AS lost, coalesce(sum(held.minor), 0) AS held,
           coalesce(sum(paid.minor), 0) AS returned, coalesce(sum(wrong.orders), 0) AS wrong
    FROM cases c
    LEFT JOIN LATERAL (SELECT scam_type FROM reports WHERE case_id = c.id
                       ORDER BY received_at, id LIMIT 1) r ON true
    LEFT JOIN LATERAL (SELECT min(p.jurisdiction) AS code
                       FROM requests_sent s JOIN exchange_partners p ON p.code = s.partner
                       WHERE s.case_id = c.id AND s.state <> 'withdrawn') to_country ON true
    LEFT JOIN LATERAL (SELECT sum(applied_minor) AS minor FROM hold_orders
                       WHERE case_id = c.id AND mode = 'live') held ON true
    LEFT JOIN LATERAL (SELECT sum(l.paid_minor) AS minor FROM restitution_lines l
                       JOIN restitutions t ON t.id = l.restitution_id
                       WHERE t.case_id = c.id AND l.state = 'paid') paid ON true
    LEFT JOIN LATERAL (SELECT count(*) AS orders FROM appeals a
                       JOIN hold_orders o ON o.id = a.order_id
                       WHERE o.case_id = c.id AND a.state IN ('upheld', 'upheld_in_part')) wrong
           ON true
    WHERE c.opened_at >= :begins AND c.opened_at < :ends AND c.state <> 'dropped'
      AND c.currency = :currency
    GROUP BY 1, 2, 3
""")


class CaseRow(NamedTuple):
    """Cases of one month, type as reported, and country the money was followed to."""

    month: str
    scam_type: str | None
    to_country: str
    reports: int
    lost_minor: int
    held_minor: int
    returned_minor: int
    wrong_holds: int


def cases(
    connection: sa.Connection, *, begins: datetime, ends: datetime, home: str, currency: str
) -> list[CaseRow]:
    """All cases of the months, grouped."""
    values = {"begins": begins, "ends": ends, "home": home, "currency": currency}
    return [
        CaseRow(str(row[0]), row[1], str(row[2]), *(int(value) for value in row[3:]))
        for row in connection.execute(_CASES, values)
    ]
