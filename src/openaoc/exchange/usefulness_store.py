"""Exchange: counts over releases, sightings, take-downs and advisories. SQL only; private."""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection


class Got(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner received of us: objects, each once; those that were wrong; what it saw."""

    received: int = 0
    withdrawn: int = 0
    sighted: int = 0
    sightings: int = 0


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Take-downs a partner was asked for. `hours`: half of them were done within so many."""

    asked: int = 0
    done: int = 0
    refused: int = 0
    unanswered: int = 0
    wrong: int = 0
    hours: int | None = None


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """Advisories a partner received, and those it acknowledged."""

    received: int = 0
    acknowledged: int = 0


_GOT: Final = sa.text(
    """
    SELECT partner, count(DISTINCT object_id) AS received,
        count(DISTINCT object_id) FILTER (WHERE ended_as = 'withdrawn') AS withdrawn
    FROM exchange_releases WHERE why <> 'recalled' GROUP BY partner
    """
)
_SEEN: Final = sa.text(
    """
    SELECT partner, count(DISTINCT object_id) AS sighted, sum(count)::bigint AS sightings
    FROM partner_sightings WHERE NOT revoked GROUP BY partner
    """
)
_ASKED: Final = sa.text(
    """
    SELECT partner,
        count(*) AS asked,
        count(*) FILTER (WHERE one.body ->> 'done_at' IS NOT NULL) AS done,
        count(*) FILTER (WHERE state = 'refused') AS refused,
        count(*) FILTER (WHERE state IN ('sent', 'acknowledged', 'expired')) AS unanswered,
        count(*) FILTER (WHERE (one.body ->> 'wrong')::boolean) AS wrong,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM
            (one.body ->> 'done_at')::timestamptz - (one.body ->> 'sent_at')::timestamptz))
            FILTER (WHERE one.body ->> 'done_at' IS NOT NULL) AS done_s
    FROM (SELECT partner, state, body::jsonb AS body FROM takedowns) one
    WHERE one.body ->> 'sent_at' IS NOT NULL
    GROUP BY partner
    """
)
_WARNED: Final = sa.text(
    """
    SELECT partner, count(*) AS received,
        count(*) FILTER (WHERE one.body ->> 'acknowledged' IS NOT NULL) AS acknowledged
    FROM (SELECT partner, body::jsonb AS body FROM advisory_deliveries) one
    WHERE one.body ->> 'released_at' IS NOT NULL
    GROUP BY partner
    """
)


def got(connection: Connection) -> dict[str, Got]:
    """What each partner received and saw, by code."""
    seen = {row.partner: row for row in connection.execute(_SEEN)}
    return {
        row.partner: Got(
            received=row.received,
            withdrawn=row.withdrawn,
            sighted=seen[row.partner].sighted if row.partner in seen else 0,
            sightings=seen[row.partner].sightings if row.partner in seen else 0,
        )
        for row in connection.execute(_GOT)
    }


def asked(connection: Connection) -> dict[str, Asked]:
    """Each partner's take-downs, by code."""
    return {
        row.partner: Asked(
            asked=row.asked,
            done=row.done,
            refused=row.refused,
            unanswered=row.unanswered,
            wrong=row.wrong,
            hours=None if row.done_s is None else int(row.done_s // 3600),
        )
        for row in connection.execute(_ASKED)
    }


def warned(connection: Connection) -> dict[str, Warned]:
    """Each partner's advisories, by code."""
    return {
        row.partner: Warned(received=row.received, acknowledged=row.acknowledged)
        for row in connection.execute(_WARNED)
    }
