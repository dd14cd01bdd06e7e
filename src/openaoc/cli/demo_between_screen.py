"""CLI: what the demonstration shows of two centres that work together."""

from __future__ import annotations

from typing import Final

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from openaoc.cli.demo_between import BetweenView, OneWay
from openaoc.cli.demo_words import money

FIELDS_SHOWN: Final = 6
ANSWERS: Final = (
    ("held there", "held_minor"),
    ("found there, not held", "located_minor"),
    ("gone from there", "exited_minor"),
    ("not found", "not_found_minor"),
)


def between_panel(view: BetweenView) -> Panel:
    """Both ways side by side: requests, answers, what was released."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("", style="dim")
    for way in view.ways:
        table.add_column(f"{way.sender} → {way.receiver}", overflow="fold")
    table.add_row("requests: asked, answered", *(f"{w.asked:,}, {w.answered:,}" for w in view.ways))
    table.add_row("  waiting here", *(f"{w.waiting:,}" for w in view.ways))
    table.add_row("  there", *(_states(way) for way in view.ways))
    table.add_row("asked about", *(Text(money(w.asked_minor), "bold") for w in view.ways))
    for name, field in ANSWERS:
        table.add_row(f"  {name}", *(money(getattr(w.amounts, field)) for w in view.ways))
    table.add_row("sums that agree", *(f"{w.agree:,}" for w in view.ways))
    table.add_row("report here → held there", *(_times(way) for way in view.ways))
    table.add_row("released", *(_released(way) for way in view.ways))
    table.add_row("objects read there", *(f"{w.told:,}" for w in view.ways))
    said = f"{view.approved:,} orders on a partner's word, each agreed to by two persons"
    return Panel(table, title="Between the centres", subtitle=said, border_style="blue")


def between_line(way: OneWay) -> str:
    """One way in one line."""
    released = sum(one.objects for one in way.released)
    return (
        f"{way.sender} → {way.receiver}: {way.asked} requests, {way.answered} answered; "
        f"asked {money(way.asked_minor)}, held there {money(way.amounts.held_minor)}, "
        f"found {money(way.amounts.located_minor)}, gone {money(way.amounts.exited_minor)}, "
        f"not found {money(way.amounts.not_found_minor)}; report → held there {_times(way)}; "
        f"{released} objects released, {way.told} read there"
    )


def _states(way: OneWay) -> str:
    return ", ".join(
        f"{n:,} {state.replace('_', ' ')}" for state, n in sorted(way.received.items())
    )


def _times(way: OneWay) -> str:
    if way.hold_p50_s is None or way.hold_max_s is None:
        return "-"
    return f"p50 {way.hold_p50_s:.1f} s, at most {way.hold_max_s:.1f} s, {way.holds} times"


def _released(way: OneWay) -> str:
    lines = []
    for one in way.released:
        shown = ", ".join(one.fields[:FIELDS_SHOWN])
        more = len(one.fields) - FIELDS_SHOWN
        rest = f" and {more} more" if more > 0 else ""
        lines.append(f"{one.objects:,} {one.kind}: {shown}{rest}")
    return "\n".join(lines)
