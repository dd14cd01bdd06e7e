"""Simulation, exercises: the result sheet as a page in Markdown. Figures into tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from openaoc.kernel.money import format_money
from openaoc.simulation.exercise.model import ExerciseSheet, LayerRow, RequestRow, SideRow
from openaoc.simulation.trial.words import duration, percent, table

LOSSES_SHOWN: Final = 5
HOW: Final = """\
A layer is the number of hops from the victim, on whichever side: 1 is the account the victim paid.
Layer 0 is what a side's own victims paid. came = moved on + crossed + gone + stayed. *Found*: of
what came, what the side's centre traced. *Blocked* is all that institutions blocked for the orders,
*stolen, held* the stolen money in it, less what slipped away under the hold; an account used in two
layers counts where most came in. *Gone*: cash, coins, goods. Times run from the victim's report,
wherever that was made."""


def page_of(sheet: ExerciseSheet) -> str:
    """The whole page."""
    parts = [
        f"# {sheet.mark}: result sheet",
        _played(sheet),
        "## Where money got away",
        _losses(sheet),
        "## By layer",
        _ways(sheet),
        _work(sheet.layers, sheet.currency),
        HOW,
        "## Requests across the border",
        _requests(sheet.requests, sheet.currency),
        "## Each side",
        _sides(sheet.sides, sheet.currency),
    ]
    return "\n\n".join(parts) + "\n"


def _played(sheet: ExerciseSheet) -> str:
    plan = sheet.plan
    words = [
        f"Nothing here is real. Scenario `{sheet.scenario}`, seed {plan.seed}: {sheet.says}",
        f"{plan.days:g} days of new scams, lived for {plan.lived_days:g} days;",
        "the centres work together" if plan.exchange else "each centre works alone",
    ]
    if plan.officer_minutes is not None:
        words[-1] += f"; a person decides in {plan.officer_minutes:g} minutes"
    words[-1] += f". Amounts in {sheet.currency}; figures `{sheet.figures}`."
    return " ".join(words)


def _losses(sheet: ExerciseSheet) -> str:
    gone = sum(row.gone_minor for row in sheet.layers)
    if not gone:
        return "Nothing got away."
    lines = [
        f"{place}. {one.side}, layer {one.layer}, {one.when.value}: "
        f"{format_money(one.amount_minor, sheet.currency)}, "
        f"{percent(one.amount_minor / gone)} of what is gone"
        for place, one in enumerate(sheet.losses[:LOSSES_SHOWN], start=1)
    ]
    return "\n".join(lines)


def _ways(sheet: ExerciseSheet) -> str:
    heads = ["side", "layer", "came", "of it across", "found", "moved on", "crossed", "gone"]
    heads += ["… before the report", "… before an order", "… in spite of an order", "stayed"]
    rows = []
    for row in sheet.layers:
        amounts = (
            row.came_minor,
            row.came_across_minor,
            row.found_minor,
            row.moved_on_minor,
            row.crossed_minor,
            row.gone_minor,
            row.gone_before_report_minor,
            row.gone_before_order_minor,
            row.gone_despite_order_minor,
            row.stayed_minor,
        )
        shown = [_money(amount, sheet.currency) for amount in amounts]
        rows.append([row.side, str(row.layer), *shown])
    return table(heads, rows)


def _work(layers: Sequence[LayerRow], currency: str) -> str:
    heads = ["side", "layer", "found, of what came", "orders", "ordered", "blocked"]
    heads += ["stolen, held", "held, of what came", "report → sent", "report → blocked"]
    return table(
        heads,
        (
            [
                row.side,
                str(row.layer),
                percent(row.found_minor / max(row.came_minor, 1)),
                f"{row.orders:,}",
                _money(row.ordered_minor, currency),
                _money(row.applied_minor, currency),
                _money(row.held_minor, currency),
                percent(row.held_minor / max(row.came_minor, 1)),
                f"{duration(row.sent_p50_s)}, {duration(row.sent_p90_s)}",
                f"{duration(row.applied_p50_s)}, {duration(row.applied_p90_s)}",
            ]
            for row in layers
            if row.layer
        ),
    )


def _requests(requests: Sequence[RequestRow], currency: str) -> str:
    heads = ["asked by", "of", "requests", "withdrawn", "answered", "asked about"]
    heads += ["held at most", "held", "located", "gone", "returned", "not found"]
    heads += ["report → request", "request → answer"]
    return table(
        heads,
        (
            [
                row.asked_by,
                row.asked_of,
                f"{row.requests:,}",
                f"{row.withdrawn:,}",
                f"{row.answered:,}",
                *(
                    _money(amount, currency)
                    for amount in (
                        row.asked_minor,
                        row.held_most_minor,
                        row.amounts.held_minor,
                        row.amounts.located_minor,
                        row.amounts.exited_minor,
                        row.amounts.restituted_minor,
                        row.amounts.not_found_minor,
                    )
                ),
                duration(row.asked_p50_s),
                f"{duration(row.answered_p50_s)}, {duration(row.answered_p90_s)}",
            ]
            for row in requests
        ),
    )


def _sides(sides: Sequence[SideRow], currency: str) -> str:
    heads = ["side", "attempted", "averted", "stolen", "held", "returned to victims"]
    heads += ["taken out after a hold", "lies there at the end", "reports", "false ones"]
    heads += ["innocent holders touched"]
    rows = []
    for row in sides:
        figures = row.figures.figures
        amounts = (
            figures.attempted_minor,
            figures.averted_minor,
            figures.stolen_minor,
            figures.held_minor,
            row.returned_minor,
            row.taken_out_minor,
            row.lies_minor,
        )
        counts = (figures.reports, figures.false_reports, figures.innocents)
        shown = [_money(amount, currency) for amount in amounts]
        rows.append([row.side, *shown, *(f"{count:,}" for count in counts)])
    return table(heads, rows)


def _money(amount_minor: int, currency: str) -> str:
    return format_money(amount_minor, currency).removesuffix(f" {currency}")
