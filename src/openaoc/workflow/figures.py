"""Workflow: a trace as the figures a case keeps. Pure."""

from __future__ import annotations

from collections import defaultdict

from openaoc.cases.model import AccountShare, ExitShare, Figures
from openaoc.tracing.model import Trace


def figures_of(trace: Trace) -> Figures:
    """The trace's sums, its accounts, and its exits by channel; the sum holds by construction.

    Never sums what tracing already summed differently: every part is added up from its list.
    """
    exits: dict[str, list[int]] = defaultdict(list)
    for out in trace.exited:
        exits[out.channel].append(out.amount_minor)
    return Figures(
        loss_minor=trace.loss_minor,
        overlap_minor=trace.overlap_minor,
        located_minor=sum(place.amount_minor for place in trace.located),
        held_minor=sum(place.amount_minor for place in trace.held),
        exited_minor=sum(out.amount_minor for out in trace.exited),
        restituted_minor=trace.restituted_minor,
        dropped_minor=trace.dropped_minor,
        truncated=trace.truncated,
        located=[
            AccountShare(
                bank=place.bank,
                account=place.account,
                amount_minor=place.amount_minor,
                layer=place.layer,
                received_at=place.received_at,
                hub=place.hub,
                returned=place.returned,
            )
            for place in trace.located
        ],
        exited=[
            ExitShare(channel=channel, amount_minor=sum(amounts), transfers=len(amounts))
            for channel, amounts in sorted(exits.items())
        ],
    )
