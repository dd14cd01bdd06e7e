"""CLI: `openaoc operation …`: joint operations with other centres."""

from __future__ import annotations

from typing import Any

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.kernel.money import format_money


@click.group(help="Joint operations with other centres: one timeline, summed results.")
def command() -> None:
    """Joint operations."""


@command.command("open")
@click.argument("name")
@click.option("--partner", "partners", required=True, multiple=True, help="A partner's centre.")
@click.option("--purpose", "purposes", required=True, multiple=True, help="A scam offence.")
@click.option("--from", "starts_at", required=True, help="When it begins, with time zone.")
@click.option("--until", "ends_at", required=True, help="When it ends, with time zone.")
@click.option(
    "--share",
    "shares",
    multiple=True,
    type=click.Choice(["text", "count", "amount_minor", "currency", "case"]),
    help="What of an entry is shared; nothing but action and time by default.",
)
@click.option(
    "--seen-by",
    multiple=True,
    type=click.Choice(["investigator", "supervisor", "data_protection_officer", "oversight"]),
    help="A role that may see it, in each centre; the first three by default.",
)
@json_option
def open_operation(name: str, *, seen_by: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Draft an operation as its lead; two persons approve it before anybody hears of it."""
    from openaoc.cli.client import CentreClient

    body = {"name": name, **{k: list(v) if isinstance(v, tuple) else v for k, v in given.items()}}
    if seen_by:
        body["seen_by"] = list(seen_by)
    made = CentreClient().post("/v1/operations", body)
    _say(made, as_json=as_json)


@command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_operations(limit: int, *, as_json: bool) -> None:
    """List operations, newest first."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/operations", "operations", limit=limit)
    if as_json:
        show_json({"operations": found})
        return
    rows = [
        (o["id"], o["name"], o["state"], o["lead"], ", ".join(o["members"]), o["ends_at"])
        for o in found
    ]
    show_table(("operation", "name", "state", "lead", "members", "until"), rows)


@command.command("show")
@click.argument("operation")
@json_option
def show(operation: str, *, as_json: bool) -> None:
    """Show an operation: members, timeline, and results of each side's contributions."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get(f"/v1/operations/{operation}")
    if as_json:
        show_json(found)
        return
    _say(found["operation"], as_json=False)
    members = [(m["partner"], m["state"], m["heard_at"], m["last_error"]) for m in found["members"]]
    show_table(("member", "state", "heard", "last error"), members)
    rows = [
        (e["at"], e["origin"], e["action"], e["count"] or "", _money(e), e["text"], e["kept_back"])
        for e in found["timeline"]
    ]
    show_table(("when", "centre", "what", "count", "amount", "text", "kept back"), rows)
    sums = [
        (s["action"], s["origin"], s["entries"], s["count"], _money(s)) for s in found["results"]
    ]
    show_table(("result", "centre", "entries", "count", "amount"), sums)


@command.command("record")
@click.argument("operation")
@click.argument("action")
@click.option("--at", required=True, help="When it was done, with time zone.")
@click.option("--text", help="In words; names nobody.")
@click.option("--count", type=click.IntRange(0), help="Of things or people.")
@click.option("--amount-minor", type=click.IntRange(0), help="Of money, in minor units.")
@click.option("--currency", help="Of the amount.")
@click.option("--case", help="A case of ours; partners see a pseudonym, where that is granted.")
@click.option("--corrects", help="An entry of ours that this one replaces in the results.")
@json_option
def record(operation: str, action: str, *, as_json: bool, **given: str | int | None) -> None:
    """Record what was done: accounts-held, returned, victims-helped, raid, arrests and others."""
    from openaoc.cli.client import CentreClient

    body = {"action": action, **{name: v for name, v in given.items() if v is not None}}
    made = CentreClient().post(f"/v1/operations/{operation}/entries", body)
    if as_json:
        show_json(made)
    else:
        say(f"{made['id']}  {made['action']} at {made['at']}")


@command.command("act")
@click.argument("operation")
@click.argument("act", type=click.Choice(["approve", "accept", "refuse", "leave", "close"]))
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def act_on(operation: str, act: str, *, reason: str, as_json: bool) -> None:
    """Approve, accept or close (two persons); refuse or leave (one)."""
    from openaoc.cli.client import CentreClient

    body = {"act": act, "reason": reason}
    _say(CentreClient().post(f"/v1/operations/{operation}/act", body), as_json=as_json)


@command.command("statistics")
@click.option("--months", default=12, show_default=True, type=click.IntRange(1, 24))
@json_option
def statistics(months: int, *, as_json: bool) -> None:
    """Show our closed MONTHS beside those of every partner that agreed to it."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/joint-statistics", months=months)
    if as_json:
        show_json(found)
        return
    say(f"answered: {', '.join(found['answered'])}; fewer than {found['cell_min']} are left out")
    for one in found["silent"]:
        say(f"did not answer: {one['partner']}, {one['why']}")
    names = ("month", "scam_type", "corridor", "centre", "reports", "currency")
    sums = ("lost_minor", "held_minor", "returned_minor", "wrong_holds")
    rows = [[one[name] for name in (*names, *sums)] for one in found["rows"]]
    show_table((*names, *sums), rows)


def _say(one: Any, *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    waiting = f", said by {', '.join(one['voices'])}" if one["voices"] else ""
    say(f"{one['id']}  {one['name']}: {one['state']}{waiting}; lead {one['lead']}")


def _money(one: Any) -> str:
    return format_money(one["amount_minor"], one["currency"]) if one["currency"] else ""
