"""CLI: `openaoc undo …`: take back what a rule, reporter, partner or institution caused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.kernel.money import format_money

Command = TypeVar("Command", bound=Callable[..., object])


def _selection(command: Command) -> Command:
    for option in (
        click.option("--until", help="Orders issued before this time."),
        click.option("--since", help="Orders issued from this time on (RFC 3339)."),
        click.option("--institution", help="Orders that went to this institution."),
        click.option("--partner", help="What this partner's reports caused."),
        click.option("--reporter", help="What this user's, or institution's, reports caused."),
        click.option("--rule", help="Orders that rest on this legal rule."),
    ):
        command = option(command)
    return command


def _chosen(**named: str | None) -> dict[str, str]:
    chosen = {name: value for name, value in named.items() if value is not None}
    if not chosen.keys() & {"rule", "reporter", "partner", "institution"}:
        raise click.UsageError("name --rule, --reporter, --partner or --institution")
    return chosen


@click.group(help="Take back everything a fault caused; shown first, by two persons.")
def command() -> None:
    """Undo."""


@command.command("preview")
@_selection
@json_option
def preview(*, as_json: bool, **named: str | None) -> None:
    """What an undo would touch now; changes nothing."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().post("/v1/undo/preview", _chosen(**named))
    if as_json:
        show_json(found)
        return
    say(f"{found['orders']} orders of {found['cases']} cases on {found['accounts']} accounts")
    _list(found["first"])
    if found["orders"] > len(found["first"]):
        say(f"and {found['orders'] - len(found['first'])} more")


@command.command("propose")
@_selection
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def propose(*, reason: str, as_json: bool, **named: str | None) -> None:
    """Propose an undo; nothing happens before a second person agrees."""
    from openaoc.cli.client import CentreClient

    body = {"selection": _chosen(**named), "reason": reason}
    _show(CentreClient().post("/v1/undo", body), as_json=as_json)


@command.command("approve")
@click.argument("undo")
@json_option
def approve(undo: str, *, as_json: bool) -> None:
    """Agree to an undo as the second person: it begins."""
    from openaoc.cli.client import CentreClient

    _show(CentreClient().post(f"/v1/undo/{quote(undo, safe='')}/approve", {}), as_json=as_json)


@command.command("drop")
@click.argument("undo")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def drop(undo: str, *, reason: str, as_json: bool) -> None:
    """Take a proposed undo back."""
    from openaoc.cli.client import CentreClient

    path = f"/v1/undo/{quote(undo, safe='')}/drop"
    _show(CentreClient().post(path, {"reason": reason}), as_json=as_json)


@command.command("show")
@click.argument("undo")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000))
@json_option
def show(undo: str, *, limit: int, as_json: bool) -> None:
    """How far an undo is, and whom it touched."""
    from openaoc.cli.client import CentreClient

    client, path = CentreClient(), f"/v1/undo/{quote(undo, safe='')}"
    run = client.get(path)
    touched = client.pages(f"{path}/touched", "touched", limit=limit)
    if as_json:
        show_json({"undo": run, "touched": touched})
        return
    _show(run, as_json=False)
    _list(touched)


@command.command("list")
@json_option
def list_undos(*, as_json: bool) -> None:
    """List the newest undos."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/undo")
    if as_json:
        show_json(found)
        return
    rows = [
        (r["undo"], r["state"], r["orders"], r["proposed_by"], r["reason"]) for r in found["runs"]
    ]
    show_table(("undo", "state", "orders", "proposed by", "reason"), rows)


def _show(run: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(run)
        return
    named = {name: value for name, value in run["selection"].items() if value is not None}
    say(f"{run['undo']}  {run['state']}  {named}")
    say(f"{run['orders']} orders ended so far")


def _list(touched: list[dict[str, Any]]) -> None:
    rows = [
        (
            t["order"],
            t["institution"],
            t["account"],
            format_money(t["amount_minor"], t["currency"]),
            t["done"] or t["state"],
        )
        for t in touched
    ]
    if rows:
        show_table(("order", "institution", "account", "amount", "state"), rows)
