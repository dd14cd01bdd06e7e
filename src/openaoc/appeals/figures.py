"""Appeals: how contests and blind reviews go, as published figures. Reads only; counts alone."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from openaoc.appeals.draw import interval
from openaoc.appeals.model import BlindFigures, ContestFigures
from openaoc.storage.unit_of_work import Transaction

_DIGITS: Final = 4

_CONTESTS: Final = sa.text("""
    SELECT count(*) FILTER (WHERE filed_at > :since) AS filed,
           count(*) FILTER (WHERE state IN ('filed', 'under_review', 'proposed')) AS open,
           count(*) FILTER (WHERE state IN ('filed', 'under_review', 'proposed')
                            AND answer_by < :now) AS late,
           count(*) FILTER (WHERE state IN ('filed', 'under_review', 'proposed')
                            AND answer_by < :now AND late_reason IS NULL) AS late_unexplained,
           count(*) FILTER (WHERE state = 'upheld' AND decided_at > :since) AS upheld,
           count(*) FILTER (WHERE state = 'upheld_in_part' AND decided_at > :since)
               AS upheld_in_part,
           count(*) FILTER (WHERE state = 'refused' AND decided_at > :since) AS refused,
           count(*) FILTER (WHERE state = 'moot' AND decided_at > :since) AS moot,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY hours) AS p50,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY hours) AS p95
    FROM (SELECT state, filed_at, answer_by, late_reason, decided_at,
                 CASE WHEN state IN ('upheld', 'upheld_in_part', 'refused')
                           AND decided_at > :since
                      THEN extract(epoch FROM decided_at - filed_at) / 3600.0 END AS hours
          FROM appeals) AS known
""")
_WRONGFUL: Final = sa.text("""
    SELECT coalesce(sum(wrongful_minor), 0) AS minor, coalesce(sum(minor_hours), 0) AS hours
    FROM compensations WHERE at > :since AND currency = :currency
""")
_BLIND: Final = sa.text("""
    SELECT count(*) AS drawn,
           count(*) FILTER (WHERE verdict IN ('right', 'wrong')) AS judged,
           count(*) FILTER (WHERE verdict = 'wrong') AS wrong,
           count(*) FILTER (WHERE verdict = 'cannot_tell') AS cannot_tell
    FROM blind_reviews WHERE drawn_at > :since
""")


def contest_figures(tx: Transaction, *, since: datetime, currency: str) -> ContestFigures:
    """Contests filed and decided since then, and those open now."""
    row = tx.connection.execute(_CONTESTS, {"since": since, "now": tx.now}).one()
    lost = tx.connection.execute(_WRONGFUL, {"since": since, "currency": currency}).one()
    decided = row.upheld + row.upheld_in_part + row.refused
    upheld = row.upheld + row.upheld_in_part
    return ContestFigures(
        filed=row.filed,
        open=row.open,
        late=row.late,
        late_unexplained=row.late_unexplained,
        upheld=row.upheld,
        upheld_in_part=row.upheld_in_part,
        refused=row.refused,
        moot=row.moot,
        upheld_share=round(upheld / decided, _DIGITS) if decided else None,
        p50_hours=None if row.p50 is None else round(float(row.p50), _DIGITS),
        p95_hours=None if row.p95 is None else round(float(row.p95), _DIGITS),
        wrongful_minor=int(lost.minor),
        wrongful_minor_hours=int(lost.hours),
    )


def blind_figures(tx: Transaction, *, since: datetime) -> BlindFigures:
    """The rate of wrong holds, with its interval, from reviews drawn since then."""
    row = tx.connection.execute(_BLIND, {"since": since}).one()
    found = interval(row.wrong, row.judged)
    return BlindFigures(
        drawn=row.drawn,
        judged=row.judged,
        wrong=row.wrong,
        cannot_tell=row.cannot_tell,
        share=round(row.wrong / row.judged, _DIGITS) if row.judged else None,
        low=None if found is None else round(found[0], _DIGITS),
        high=None if found is None else round(found[1], _DIGITS),
    )
