"""Indicators: what each partner's word was worth: how much of it met our own reports, how early.

Counts alone: no identifier, no case.
"""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa

from openaoc.storage.unit_of_work import Transaction

PREFIX: Final = "partner:"


class Gave(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner gave: identifiers, each once.

    `hit`: one of our own reports named it later. `lead_hours`: half of those hits came at least so
    long after the partner's word; None without a hit. `right` and `wrong`: a person here looked.
    """

    given: int = 0
    hit: int = 0
    lead_hours: int | None = None
    right: int = 0
    wrong: int = 0
    taken_back: int = 0


_GAVE: Final = sa.text(
    """
    SELECT said.source,
        count(*) AS given,
        count(met.at) AS hit,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM met.at - said.heard_at))
            FILTER (WHERE met.at IS NOT NULL) AS lead_s,
        count(*) FILTER (WHERE one.status = 'confirmed' AND one.decided_by IS NOT NULL)
            AS right_count,
        count(*) FILTER (WHERE one.status = 'withdrawn' AND one.decided_by IS NOT NULL)
            AS wrong_count,
        count(*) FILTER (WHERE said.taken_back) AS taken_back
    FROM (
        SELECT source, indicator_id, min(heard_at) AS heard_at,
            bool_and(taken_back_at IS NOT NULL) AS taken_back
        FROM indicator_sources WHERE kind = 'partner' GROUP BY source, indicator_id
    ) said
    JOIN indicators one ON one.id = said.indicator_id
    LEFT JOIN LATERAL (
        SELECT min(own.heard_at) AS at FROM indicator_sources own
        WHERE own.indicator_id = said.indicator_id AND own.kind IN ('citizen', 'institution')
            AND own.heard_at > said.heard_at
    ) met ON true
    GROUP BY said.source
    """
)


def given_by_partners(tx: Transaction) -> dict[str, Gave]:
    """What each partner gave, by its code; one that gave nothing is left out."""
    return {
        str(row.source).removeprefix(PREFIX): Gave(
            given=row.given,
            hit=row.hit,
            lead_hours=None if row.lead_s is None else int(row.lead_s // 3600),
            right=row.right_count,
            wrong=row.wrong_count,
            taken_back=row.taken_back,
        )
        for row in tx.connection.execute(_GAVE)
    }
