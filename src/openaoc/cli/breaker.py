"""CLI: `openaoc breaker list|open|close`: what keeps orders from going out by themselves."""

from __future__ import annotations

from typing import Any

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table


@click.group(help="Stop automatic orders, or let them go out again.")
def command() -> None:
    """Breakers."""


@command.command("list")
@json_option
def list_breakers(*, as_json: bool) -> None:
    """List breakers, the open ones first."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/breakers")
    if as_json:
        show_json(found)
        return
    rows = [
        (
            b["scope"],
            "open" if b["open"] else "closed",
            b["waiting"],
            b["orders_last_hour"],
            b["changed_by"],
            b["why"],
        )
        for b in found["breakers"]
    ]
    show_table(("scope", "state", "waiting", "last hour", "by", "why"), rows)


@command.command("open")
@click.argument("scope")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def open_breaker(scope: str, *, reason: str, as_json: bool) -> None:
    """Stop automatic orders of a scope: all, institution:CODE, source:USER, rule:ID."""
    _change("open", {"scope": scope, "reason": reason}, as_json=as_json)


@command.command("close")
@click.argument("scope")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@click.option("--resume", is_flag=True, help="What it caught goes out too, where it still stands.")
@json_option
def close_breaker(scope: str, *, reason: str, resume: bool, as_json: bool) -> None:
    """Let automatic orders of a scope go out again."""
    _change("close", {"scope": scope, "reason": reason, "resume": resume}, as_json=as_json)


def _change(verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    changed = CentreClient().post(f"/v1/breakers/{verb}", body)
    if as_json:
        show_json(changed)
    else:
        say(f"{changed['scope']}  {'open' if changed['open'] else 'closed'}")
