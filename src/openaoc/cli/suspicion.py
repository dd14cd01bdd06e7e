"""CLI: `openaoc suspicion tell|list|release|extend|convert`: an institution's own holds."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.kernel.money import format_money


@click.group(help="Holds that institutions made on their own suspicion.")
def command() -> None:
    """Holds on suspicion."""


@command.command("tell")
@click.option("--account", required=True, help="The account at the institution.")
@click.option("--amount", "amount_minor", required=True, type=click.IntRange(min=1))
@click.option("--currency", default="THB", show_default=True)
@click.option("--held-at", required=True, help="Since when: 2026-11-21T09:00:00+07:00.")
@click.option("--grounds", required=True, help="Why it suspects; names no person.")
@click.option("--bank-case-id", help="The institution's own case number.")
@json_option
def tell(*, as_json: bool, **told: str | int | None) -> None:
    """Tell of a hold, with an institution's key; the law's longest time runs from --held-at."""
    from openaoc.cli.client import CentreClient

    body = {name: value for name, value in told.items() if value is not None}
    _show(CentreClient().post("/v1/suspicions", body), as_json=as_json)


@command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_suspicions(limit: int, *, as_json: bool) -> None:
    """List holds on suspicion, newest first; an institution's key sees its own."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/suspicions", "suspicions", limit=limit)
    if as_json:
        show_json({"suspicions": found})
        return
    rows = [
        (
            s["id"],
            s["institution"],
            s["account"],
            format_money(s["amount_minor"], s["currency"]),
            s["state"],
            s["ends_at"],
            " ".join(s["cases"]),
        )
        for s in found
    ]
    show_table(("suspicion", "institution", "account", "held", "state", "ends", "cases"), rows)


@command.command("release")
@click.argument("suspicion")
@click.option("--reason", required=True, help="Why the money is given back.")
@json_option
def release(suspicion: str, reason: str, *, as_json: bool) -> None:
    """Release one: there is no evidence."""
    _decide(suspicion, "release", {"reason": reason}, as_json=as_json)


@command.command("extend")
@click.argument("suspicion")
@click.option("--until", required=True, help="When the measure ends: 2026-12-21T09:00:00+07:00.")
@click.option("--authority", required=True, help="Whose measure: court or authority, number, date.")
@click.option("--reason", required=True, help="Why the hold has to last.")
@json_option
def extend(suspicion: str, *, until: str, authority: str, reason: str, as_json: bool) -> None:
    """Make one last until a court's or authority's measure ends."""
    body = {"until": until, "authority": authority, "reason": reason}
    _decide(suspicion, "extend", body, as_json=as_json)


@command.command("convert")
@click.argument("suspicion")
@click.option("--authority", required=True, help="Whose measure: court or authority, number, date.")
@click.option("--reason", required=True, help="Why it takes the hold's place.")
@json_option
def convert(suspicion: str, *, authority: str, reason: str, as_json: bool) -> None:
    """End one whose place a seizure takes; the money stays blocked."""
    body = {"authority": authority, "reason": reason}
    _decide(suspicion, "convert", body, as_json=as_json)


def _decide(suspicion: str, verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    path = f"/v1/suspicions/{quote(suspicion, safe='')}/{verb}"
    _show(CentreClient().post(path, body), as_json=as_json)


def _show(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    held = format_money(one["amount_minor"], one["currency"])
    say(f"{one['id']}  {one['state']}  {held}  until {one['ends_at']}  {one['rule']}")
