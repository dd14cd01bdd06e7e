"""Indicators: how sure the centre is, from who said so and how often each was right. Pure.

Never confirms: however many say it, the status waits for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from openaoc.indicators.model import Record, Source, SourceKind, Status
from openaoc.indicators.weighing import Weighing

FULL: Final = 100
PRIOR_RIGHT: Final = 2
"""A new source is believed as its kind is; each time it was wrong it weighs less."""


def confidence_of(
    sources: Iterable[Source],
    records: Mapping[str, Record],
    *,
    status: Status,
    rules: Weighing,
) -> int:
    """Percent. Voices are independent: what remains of doubt is multiplied, within kinds' caps.

    A partner or institution that says it often is one voice; each citizen's report is one.
    """
    if status is Status.WITHDRAWN:
        return 0
    doubts: dict[SourceKind, dict[str, float]] = {}
    for source in sources:
        if source.taken_back_at is not None:
            continue
        voice = source.ref if source.kind is SourceKind.CITIZEN else source.source
        weight = rules.source[source.kind].weight * _record_share(records.get(source.source))
        doubts.setdefault(source.kind, {})[voice] = 1 - weight / FULL
    doubt = 1.0
    for kind, voices in doubts.items():
        left = 1.0
        for one in voices.values():
            left *= one
        doubt *= max(left, 1 - rules.source[kind].cap / FULL)
    believed = round(FULL * (1 - doubt))
    return max(believed, rules.confirmed.floor) if status is Status.CONFIRMED else believed


def _record_share(record: Record | None) -> float:
    """1 for a source that was never wrong, falling with the share of times it was."""
    if record is None:
        return 1.0
    return (record.right + PRIOR_RIGHT) / (record.right + record.wrong + PRIOR_RIGHT)
