"""CLI: `openaoc campaign …`: name a campaign, say which indicators are of it, close it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table

REASON = click.option("--reason", required=True, help="Why; kept in the journal.")
LAST = click.option("--last-seen", help="When it was seen last, as RFC 3339.")
INDICATORS = click.argument("indicators", nargs=-1, required=True)
MARKINGS = click.Choice(["clear", "green", "amber", "amber+strict", "red"])


@click.group(help="Which indicators are one and the same scam's, under which name.")
def command() -> None:
    """Campaigns."""


@command.command("name")
@click.argument("name")
@click.option("--description", required=True, help="What they do; no person, number or address.")
@click.option("--scam", "scams", multiple=True, required=True, help="A kind of scam; repeatable.")
@click.option("--marking", type=MARKINGS, default="amber", show_default=True, help="TLP 2.0.")
@click.option("--first-seen", required=True, help="When it was seen first, as RFC 3339.")
@LAST
@json_option
def name(
    *,
    name: str,
    description: str,
    scams: tuple[str, ...],
    marking: str,
    first_seen: str,
    last_seen: str | None,
    as_json: bool,
) -> None:
    """Name a campaign; somebody else reads it before it goes out."""
    from openaoc.cli.client import CentreClient

    body = {
        "name": name,
        "description": description,
        "scam_types": list(scams),
        "marking": marking,
        "first_seen": first_seen,
        "last_seen": last_seen,
    }
    _show(CentreClient().post("/v1/campaigns", body), as_json=as_json)


@command.command("correct")
@click.argument("campaign")
@click.option("--name", help="What it is called from now on.")
@click.option("--description", help="What they do; no person, number or address.")
@click.option("--scam", "scams", multiple=True, help="A kind of scam, in place of those before.")
@click.option("--marking", type=MARKINGS, help="TLP 2.0.")
@click.option("--first-seen", help="When it was seen first, as RFC 3339.")
@LAST
@json_option
def correct(campaign: str, scams: tuple[str, ...], *, as_json: bool, **said: str | None) -> None:
    """Propose what it is to say from now on; somebody else reads it."""
    from openaoc.cli.client import CentreClient

    client = CentreClient()
    one = client.get(_path(campaign))["campaign"]
    body = dict(one["proposed"] or one["words"])
    body |= {field: text for field, text in said.items() if text is not None}
    if scams:
        body["scam_types"] = list(scams)
    _show(client.post(f"{_path(campaign)}/correct", body), as_json=as_json)


@command.command("approve")
@click.argument("campaign")
@REASON
@json_option
def approve(campaign: str, reason: str, *, as_json: bool) -> None:
    """Agree with what it says, having read it: it goes out. Not for whoever wrote it."""
    _decide(campaign, "approve", reason, as_json=as_json)


@command.command("attach")
@click.argument("campaign")
@INDICATORS
@REASON
@json_option
def attach(campaign: str, indicators: tuple[str, ...], reason: str, *, as_json: bool) -> None:
    """Say that indicators (by id) belong to it."""
    _choose(campaign, "attach", indicators, reason, as_json=as_json)


@command.command("detach")
@click.argument("campaign")
@INDICATORS
@REASON
@json_option
def detach(campaign: str, indicators: tuple[str, ...], reason: str, *, as_json: bool) -> None:
    """Say that indicators do not belong to it; who was told so hears of it."""
    _choose(campaign, "detach", indicators, reason, as_json=as_json)


@command.command("close")
@click.argument("campaign")
@REASON
@json_option
def close(campaign: str, reason: str, *, as_json: bool) -> None:
    """Say that it is over: what is known of it stays, nothing more is attached."""
    _decide(campaign, "close", reason, as_json=as_json)


@command.command("withdraw")
@click.argument("campaign")
@REASON
@json_option
def withdraw(campaign: str, reason: str, *, as_json: bool) -> None:
    """Take it back; everybody who has it hears of it."""
    _decide(campaign, "withdraw", reason, as_json=as_json)


@command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_command(limit: int, *, as_json: bool) -> None:
    """List campaigns, the last changed first."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/campaigns", "campaigns", limit=limit)
    if as_json:
        show_json({"campaigns": found})
        return
    rows = []
    for one in found:
        words = one["words"] or one["proposed"]
        waits = "" if one["proposed"] is None else "a second person"
        scams = ", ".join(words["scam_types"])
        rows.append((one["id"], one["state"], words["name"], scams, words["marking"], waits))
    show_table(("campaign", "state", "name", "scam", "marking", "waits for"), rows)


@command.command("show")
@click.argument("campaign")
@json_option
def show(campaign: str, *, as_json: bool) -> None:
    """Show one, with its indicators and how many cases name them."""
    from openaoc.cli.client import CentreClient

    _show_view(CentreClient().get(_path(campaign)), as_json=as_json)


def _path(campaign: str) -> str:
    return f"/v1/campaigns/{quote(campaign, safe='')}"


def _decide(campaign: str, verb: str, reason: str, *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    _show(CentreClient().post(f"{_path(campaign)}/{verb}", {"reason": reason}), as_json=as_json)


def _choose(
    campaign: str, verb: str, indicators: tuple[str, ...], reason: str, *, as_json: bool
) -> None:
    from openaoc.cli.client import CentreClient

    body = {"indicators": list(indicators), "reason": reason}
    _show_view(CentreClient().post(f"{_path(campaign)}/{verb}", body), as_json=as_json)


def _show_view(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    _show(found["campaign"], as_json=False)
    say(f"{found['cases']} cases of ours name its indicators")
    rows = [(i["indicator"], i["kind"], i["value"], i["status"]) for i in found["indicators"]]
    show_table(("indicator", "kind", "value", "status"), rows)


def _show(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    words = one["proposed"] or one["words"]
    seen = " to ".join(at for at in (words["first_seen"], words["last_seen"]) if at)
    say(f"{one['id']}  {one['state']}, TLP:{words['marking'].upper()}: {words['name']}")
    say(f"{', '.join(words['scam_types'])}, seen {seen}: {words['description']}")
    if one["proposed"] is not None:
        say("that is what it is to say, once somebody who did not write it approves")
