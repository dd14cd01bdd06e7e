"""Joint operations: the timeline's order and what its entries add up to. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from openaoc.exchange.operations.model import Entry, EntryAction, Sum


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """By time, then origin, then id: the same order in every centre that has the same entries."""
    return sorted(entries, key=lambda one: (one.at, one.origin, one.id))


def results(entries: Iterable[Entry]) -> list[Sum]:
    """What each centre's own entries add up to; what its own later entry corrects counts not."""
    kept = list(entries)
    corrected = {(one.origin, one.corrects) for one in kept if one.corrects is not None}
    sums: dict[tuple[EntryAction, str, str], Sum] = {}
    for one in in_order(kept):
        if (one.origin, one.id) in corrected:
            continue
        key = (one.action, one.origin, one.currency)
        before = sums.get(key)
        sums[key] = Sum(
            origin=one.origin,
            action=one.action,
            currency=one.currency,
            entries=1 + (before.entries if before else 0),
            count=one.count + (before.count if before else 0),
            amount_minor=one.amount_minor + (before.amount_minor if before else 0),
        )
    return [sums[key] for key in sorted(sums)]
