"""CLI: `openaoc advisory …`: warn sectors, report the centre's own incidents, acknowledge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from openaoc.cli.agreement import read_toml
from openaoc.cli.output import json_option, say, show_json, show_table

REASON = click.option("--reason", required=True, help="Why; kept in the journal.")
FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group(help="Warn critical sectors; report the centre's own incidents.")
def command() -> None:
    """Advisories."""


@command.command("sectors")
@json_option
def sectors(*, as_json: bool) -> None:
    """List the sectors that are warned, and who belongs to each."""
    from openaoc.cli.client import CentreClient

    _sectors(CentreClient().get("/v1/sectors"), as_json=as_json)


@command.command("member")
@click.argument("sector")
@click.argument("partner")
@click.option("--add/--remove", required=True, help="Whether it belongs to it.")
@json_option
def member(sector: str, partner: str, *, add: bool, as_json: bool) -> None:
    """Make a partner a member of a sector, or no more."""
    from openaoc.cli.client import CentreClient

    body = {"partner": partner, "member": add}
    _sectors(CentreClient().post(f"/v1/sectors/{sector}/members", body), as_json=as_json)


@command.command("draft")
@FILE
@json_option
def draft(file: Path, *, as_json: bool) -> None:
    """Draft an advisory or an incident report from FILE (TOML or JSON); two persons approve it."""
    from openaoc.cli.client import CentreClient

    _show(CentreClient().post("/v1/advisories", read_toml(file)), as_json=as_json)


@command.command("correct")
@click.argument("advisory")
@FILE
@json_option
def correct(advisory: str, file: Path, *, as_json: bool) -> None:
    """Propose from FILE what it is to say from now on; two persons approve it."""
    from openaoc.cli.client import CentreClient

    path = f"/v1/advisories/{advisory}/correct"
    _show(CentreClient().post(path, read_toml(file)), as_json=as_json)


@command.command("approve")
@click.argument("advisory")
@REASON
@json_option
def approve(advisory: str, *, reason: str, as_json: bool) -> None:
    """Agree with it; with the second person it goes to everybody it concerns."""
    _decide(advisory, "approve", {"reason": reason}, as_json=as_json)


@command.command("withdraw")
@click.argument("advisory")
@REASON
@json_option
def withdraw(advisory: str, *, reason: str, as_json: bool) -> None:
    """Take it back; everybody who has it hears of it."""
    _decide(advisory, "withdraw", {"reason": reason}, as_json=as_json)


@command.command("regulator")
@click.argument("advisory")
@click.option("--reference", required=True, help="The regulator's own number of the report.")
@click.option("--at", help="When it was told, as RFC 3339; default: now.")
@json_option
def regulator(advisory: str, *, reference: str, at: str | None, as_json: bool) -> None:
    """Record that the regulator was told of a breach of personal data."""
    body = {"reference": reference} | ({} if at is None else {"at": at})
    _decide(advisory, "regulator", body, as_json=as_json)


@command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_command(limit: int, *, as_json: bool) -> None:
    """List advisories and incident reports, the newest first."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/advisories", "advisories", limit=limit)
    if as_json:
        show_json({"advisories": found})
        return
    rows = []
    for one in found:
        content = one["content"] or one["proposed"]
        waits = f"{len(one['voices'])} of 2 persons" if _waits(one) else ""
        told = one["regulator_told_at"] or (one["regulator_by"] and f"by {one['regulator_by']}")
        sectors = ", ".join(content["sectors"])
        rows.append((one["id"], one["state"], content["title_en"], sectors, waits, told or ""))
    show_table(("advisory", "state", "title", "sectors", "waits for", "regulator"), rows)


@command.command("show")
@click.argument("advisory")
@json_option
def show(advisory: str, *, as_json: bool) -> None:
    """Show one: who has it, and who has not acknowledged it."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get(f"/v1/advisories/{advisory}")
    if as_json:
        show_json(found)
        return
    _show(found["advisory"], as_json=False)
    rows = [
        (
            one["partner"],
            one["revision"],
            one["released_at"],
            len(one["indicators"]),
            one["acknowledge_by"],
            one["acknowledged"]["by"] if one["acknowledged"] else "",
            one["reminders"],
            one["why"],
        )
        for one in found["deliveries"]
    ]
    columns = ("partner", "revision", "released", "indicators", "acknowledge by")
    show_table((*columns, "acknowledged", "reminders", "why not"), rows)
    say(f"not acknowledged: {', '.join(found['unread']) or 'nobody'}")


@command.command("received")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def received(limit: int, *, as_json: bool) -> None:
    """List advisories of partners' centres to us, the newest first."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/advisories/received", "advisories", limit=limit)
    if as_json:
        show_json({"advisories": found})
        return
    rows = [
        (
            one["id"],
            one["partner"],
            one["revision"],
            one["advisory"]["fields"].get("title_en") or one["advisory"]["fields"].get("title_th"),
            one["acknowledge_by"],
            one["acknowledged"]["by"] if one["acknowledged"] else "",
            "withdrawn" if one["withdrawn"] else "",
        )
        for one in found
    ]
    columns = ("advisory", "from", "revision", "title", "acknowledge by", "acknowledged", "")
    show_table(columns, rows)


@command.command("acknowledge")
@click.argument("advisory")
@click.option("--partner", required=True, help="Whose advisory it is.")
@click.option("--by", required=True, help="The desk that read it.")
@json_option
def acknowledge(advisory: str, *, partner: str, by: str, as_json: bool) -> None:
    """Say that a partner's advisory was read here; its sender hears of that."""
    from openaoc.cli.client import CentreClient

    path = f"/v1/advisories/received/{advisory}/acknowledge"
    found = CentreClient().post(path, {"partner": partner, "by": by})
    if as_json:
        show_json(found)
    else:
        say(f"{found['id']} of {found['partner']}: acknowledged, revision {found['revision']}")


def _decide(advisory: str, verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    _show(CentreClient().post(f"/v1/advisories/{advisory}/{verb}", body), as_json=as_json)


def _sectors(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    rows = [(s["code"], s["en"], s["th"], ", ".join(s["partners"])) for s in found["sectors"]]
    show_table(("sector", "name", "ชื่อ", "partners"), rows)


def _waits(one: dict[str, Any]) -> bool:
    """Whether two persons have something to read."""
    return one["proposed"] is not None and one["state"] != "withdrawn"


def _show(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    content = one["proposed"] or one["content"]
    say(f"{one['id']}  {one['state']}, revision {one['revision']}: {content['title_en']}")
    if _waits(one):
        say(f"{len(one['voices'])} of 2 persons have approved what it is to say")
    if one["regulator_by"] is not None:
        told = one["regulator_told_at"]
        say(
            f"regulator: told {told}" if told else f"regulator: to be told by {one['regulator_by']}"
        )
