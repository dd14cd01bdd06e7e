"""CLI: what the demonstration shows: live panels on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from openaoc.cli.demo_between_screen import between_line, between_panel
from openaoc.cli.demo_country import DemoView
from openaoc.cli.demo_run import TwoView
from openaoc.cli.demo_words import money, seconds

BAR_CHARACTERS: Final = 46
WIDE_CHARACTERS: Final = 112
PLAIN_LINE_SECONDS: Final = 10.0
STATES_SHOWN: Final = (
    ("applied", "applied"),
    ("applied_in_part", "applied in part"),
    ("issued", "sent"),
    ("acknowledged", "received"),
    ("drafted", "wait for a person"),
    ("refused", "nothing to hold"),
    ("withdrawn", "withdrawn"),
    ("released", "released"),
)


def clock(seconds_: float) -> str:
    """`2 d 04:05` of the nation's time."""
    minutes = int(seconds_ // 60)
    return f"{minutes // 1440} d {minutes // 60 % 24:02d}:{minutes % 60:02d}"


class DemoScreen:
    """Shows lines and views; `quiet` shows nothing."""

    def __init__(self, console: Console, *, live: Live | None, quiet: bool) -> None:
        self._console = console
        self._live = live
        self._quiet = quiet
        self._said = 0.0

    @property
    def _wide(self) -> bool:
        return self._console.width >= WIDE_CHARACTERS

    def say(self, line: str) -> None:
        """One line of progress."""
        if not self._quiet:
            self._console.print(Text(line, style="dim"))

    def show(self, view: DemoView | TwoView) -> None:
        """The figures now: the whole picture, or now and then a line."""
        if self._quiet:
            return
        if self._live is not None:
            self._live.update(render(view, wide=self._wide), refresh=True)
        elif time.monotonic() - self._said >= PLAIN_LINE_SECONDS:
            self._said = time.monotonic()
            self._console.print(plain(view), soft_wrap=True)

    def summary(self, view: DemoView | TwoView) -> None:
        """What came out, at the end."""
        first = view.countries[0] if isinstance(view, TwoView) else view
        if first.centre is not None:
            self._console.print(render(view, wide=self._wide))
        self._console.print(plain(view), soft_wrap=True)


@contextmanager
def open_screen(*, quiet: bool) -> Iterator[DemoScreen]:
    """A screen for this terminal; with `quiet` (or --json) one that shows nothing."""
    console = Console(highlight=False, stderr=quiet)
    if quiet or not console.is_terminal:
        yield DemoScreen(console, live=None, quiet=quiet)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield DemoScreen(console, live=live, quiet=False)


def plain(view: DemoView | TwoView) -> str:
    """One look in one line; of two countries, in one line each and one of what is between."""
    if isinstance(view, TwoView):
        lines = [f"{one.country} {plain(one)}" for one in view.countries]
        if view.between is not None:
            lines += [between_line(way) for way in view.between.ways]
        return "\n".join(lines)
    centre, nation = view.centre, view.nation
    if centre is None or nation is None:
        return f"{view.running_s:.0f} s: {view.phase}"
    first = centre.report_to_first_applied
    last = centre.report_to_last_applied
    mark = "EXERCISE " if view.exercise else ""
    return (
        f"{mark}{view.running_s:.0f} s {view.phase}: "
        f"{centre.reports} reports, {centre.orders} orders; "
        f"first applied {seconds(first)}, last {seconds(last)}; "
        f"{centre.currency} located {money(centre.located_minor)}, "
        f"held {money(centre.held_minor)}, exited {money(centre.exited_minor)}, "
        f"wrongly held {money(nation.nation.wrongly_held_minor)} "
        f"(honest people {money(nation.nation.wrongly_from_honest_minor)}); "
        f"{view.transfers_per_s:,.0f} transfers/s"
    )


def render(view: DemoView | TwoView, *, wide: bool) -> RenderableType:
    """The whole picture; `wide`: for WIDE_CHARACTERS or more, else one panel below the other."""
    if isinstance(view, TwoView):
        return _render_two(view, wide=wide)
    if view.centre is None or view.nation is None:
        return Text(f"{view.phase} …")
    if not wide:
        return Group(_top(view), _work(view), _money(view), _institutions(view))
    halves = Table.grid(expand=True)
    halves.add_column(ratio=1)
    halves.add_column(ratio=1)
    halves.add_row(_work(view), _money(view))
    return Group(_top(view), halves, _institutions(view))


def _render_two(view: TwoView, *, wide: bool) -> RenderableType:
    """Both centres side by side, and below what is between them."""
    tops = [_top(one) for one in view.countries]
    panels = [_work(one) for one in view.countries if one.centre and one.nation]
    if wide and len(panels) > 1:
        halves = Table.grid(expand=True)
        for _ in panels:
            halves.add_column(ratio=1)
        halves.add_row(*panels)
        parts: list[RenderableType] = [*tops, halves]
    else:
        parts = [*tops, *panels]
    if view.between is not None:
        parts.append(between_panel(view.between))
    return Group(*parts)


def _top(view: DemoView) -> Text:
    if view.centre is None or view.nation is None:
        return Text(f"{view.country} {view.url}  {view.phase} …")
    return Text.assemble(
        ("EXERCISE  " if view.exercise else "", "bold red"),
        (f"OpenAOC {view.country}".rstrip(), "bold"),
        f"  {view.url}   ",
        (view.centre.mode.upper(), "bold green" if view.centre.mode == "live" else "bold yellow"),
        f"   {view.phase}   nation {clock(view.nation.nation.simulated_s)} at x{view.plan.speed:g}",
        f"   {view.nation.nation.transfers:,} transfers, {view.transfers_per_s:,.0f}/s",
    )


def _grid(columns: int = 1) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    for _ in range(columns):
        table.add_column(justify="right", no_wrap=True)
    return table


def _work(view: DemoView) -> Panel:
    assert view.centre is not None, "shown without figures"
    assert view.nation is not None, "shown without figures"
    centre, couriers = view.centre, view.nation.couriers
    table = _grid()
    rate = f"{centre.reports:,}  ({view.reports_per_minute:.0f}/min)"
    table.add_row("reports", Text(rate, style="bold"))
    table.add_row("  by hotline or web", f"{couriers.needs_person:,}")
    table.add_row("hold orders", Text(f"{centre.orders:,}", style="bold"))
    for state, name in STATES_SHOWN:
        if centre.orders_by_state.get(state):
            table.add_row(f"  {name}", f"{centre.orders_by_state[state]:,}")
    table.add_row("order → answer", seconds(centre.order_to_answer))
    table.add_row("report → first applied", Text(seconds(centre.report_to_first_applied), "bold"))
    table.add_row("report → last applied", Text(seconds(centre.report_to_last_applied), "bold"))
    if view.country:
        averted = money(view.nation.nation.averted_minor)
        table.add_row("not paid, warned by the bank", averted)
    if view.first_order_s is not None:
        table.add_row("first order applied after", f"{view.first_order_s:.0f} s of running")
    title = f"The centre of {view.country}" if view.country else "The centre"
    return Panel(table, title=title, border_style="blue")


def _money(view: DemoView) -> Panel:
    assert view.centre is not None, "shown without figures"
    assert view.nation is not None, "shown without figures"
    centre, truth = view.centre, view.nation.nation
    held = min(centre.held_minor, centre.located_minor)
    parts = (
        ("held", held, "green"),
        ("found, not held", centre.located_minor - held, "yellow"),
        ("exited", centre.exited_minor, "bright_black"),
    )
    whole = sum(amount for _, amount, _ in parts) or 1
    bar = Text(no_wrap=True)
    for _, amount, colour in parts:
        bar.append("█" * round(amount / whole * BAR_CHARACTERS), style=colour)
    table = _grid(2)
    lost = Text(money(centre.loss_minor), "bold")
    table.add_row(f"lost ({centre.currency}, reported)", lost)
    for name, amount, colour in parts:
        name_ = Text(f"  {name}", style=colour)
        table.add_row(name_, Text(money(amount), "bold"), f"{amount / whole:.1%}")
    table.add_row()
    table.add_row("really stolen, all scams", money(truth.stolen_minor))
    table.add_row("  still inside", money(truth.inside_minor))
    table.add_row("really blocked", money(truth.held_minor))
    blocked = truth.held_minor or 1
    wrong, honest = truth.wrongly_held_minor, truth.wrongly_from_honest_minor
    table.add_row("  wrongly held", money(wrong), f"{wrong / blocked:.1%}")
    colour = "bold red" if honest else ""
    table.add_row("    from honest people", Text(money(honest), colour), f"{honest / blocked:.1%}")
    return Panel(Group(bar, table), title="The money, as traced and in truth", border_style="blue")


def _institutions(view: DemoView) -> Panel:
    assert view.centre is not None, "shown without figures"
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    table.add_column("institution")
    for name in ("orders", "answered", "p50 s", "p95 s", "holding"):
        table.add_column(name, justify="right")
    for one in view.centre.institutions:
        table.add_row(
            one.name,
            f"{one.orders:,}",
            f"{one.answered:,}",
            f"{one.answer.p50_s:.2f}" if one.answer else "-",
            f"{one.answer.p95_s:.2f}" if one.answer else "-",
            money(one.held_minor),
        )
    return Panel(table, title="How institutions answer", border_style="blue")
