"""Workflow: a trace as the figures a case keeps, and what is to be said of it in the log."""

from __future__ import annotations

from collections import defaultdict

import structlog

from openaoc.cases.model import AccountShare, ExitShare, Figures
from openaoc.tracing.service import CaseLook

_LOG = structlog.get_logger(__name__)


def figures_of(look: CaseLook) -> Figures:
    """The trace's sums, its accounts, and its exits by channel; the sum holds by construction.

    Never sums what tracing already summed differently: every part is added up from its list.
    """
    numbers = look.numbers
    exits: dict[str, list[int]] = defaultdict(list)
    for side, out in zip(look.exits, numbers.exited, strict=True):
        exits[side.channel].append(out.amount_minor)
    return Figures(
        loss_minor=numbers.loss_minor,
        overlap_minor=numbers.overlap_minor,
        located_minor=sum(place.amount_minor for place in look.located),
        held_minor=sum(kept.amount_minor for kept in numbers.held),
        exited_minor=sum(out.amount_minor for out in numbers.exited),
        restituted_minor=numbers.restituted_minor,
        dropped_minor=numbers.dropped_minor,
        truncated=numbers.truncated,
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
            for place in look.located
        ],
        exited=[
            ExitShare(channel=channel, amount_minor=sum(amounts), transfers=len(amounts))
            for channel, amounts in sorted(exits.items())
        ],
    )


def warn_of(look: CaseLook) -> None:
    """Log what a trace could not follow, without names of accounts."""
    if look.inferred_under_hold:
        _LOG.warning(
            "workflow.hold.unseen_money",
            case=look.case,
            accounts=len(look.inferred_under_hold),
        )
    if look.numbers.truncated is not None:
        _LOG.warning("workflow.trace.truncated", case=look.case, by=look.numbers.truncated)
