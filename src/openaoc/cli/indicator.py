"""CLI: `openaoc indicator list|show|confirm|withdraw`: what the centre holds an opinion on."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table


@click.group(help="Numbers, accounts, links and handles the centre holds an opinion on.")
def command() -> None:
    """Indicators."""


@command.command("list")
@click.option("--kind", help="Only this kind: phone, bank_account, url, line, …")
@click.option("--status", help="Only proposed, confirmed, withdrawn or expired ones.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_indicators(kind: str | None, status: str | None, limit: int, *, as_json: bool) -> None:
    """List indicators, the last changed first."""
    from openaoc.cli.client import CentreClient

    asked = {name: text for name, text in (("kind", kind), ("status", status)) if text}
    found = CentreClient().pages("/v1/indicators", "indicators", limit=limit, **asked)
    if as_json:
        show_json({"indicators": found})
        return
    rows = [
        (i["id"], i["kind"], i["value"], i["status"], i["confidence"], i["reports"], i["last_seen"])
        for i in found
    ]
    show_table(("indicator", "kind", "value", "status", "sure %", "reports", "last seen"), rows)


@command.command("show")
@click.argument("indicator")
@json_option
def show(indicator: str, *, as_json: bool) -> None:
    """Show one, with who said so."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get(f"/v1/indicators/{quote(indicator, safe='')}")
    if as_json:
        show_json(found)
        return
    _say(found["indicator"])
    rows = [
        (s["source"], s["ref"], s["offence"], s["last_seen"], s["taken_back_at"] or "")
        for s in found["sources"]
    ]
    show_table(("source", "said in", "scam", "last", "taken back"), rows)


@command.command("confirm")
@click.argument("indicator")
@click.option("--reason", required=True, help="What you saw; kept in the journal.")
@json_option
def confirm(indicator: str, reason: str, *, as_json: bool) -> None:
    """Agree with one, after looking."""
    _decide(indicator, "confirm", reason, as_json=as_json)


@command.command("withdraw")
@click.argument("indicator")
@click.option("--reason", required=True, help="Why it is wrong; kept in the journal.")
@json_option
def withdraw(indicator: str, reason: str, *, as_json: bool) -> None:
    """Say that one is wrong."""
    _decide(indicator, "withdraw", reason, as_json=as_json)


def _decide(indicator: str, verb: str, reason: str, *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    path = f"/v1/indicators/{quote(indicator, safe='')}/{verb}"
    decided = CentreClient().post(path, {"reason": reason})
    if as_json:
        show_json(decided)
    else:
        _say(decided)


def _say(one: dict[str, Any]) -> None:
    say(f"{one['kind']} {one['value']}  {one['status']}  sure {one['confidence']} %")
