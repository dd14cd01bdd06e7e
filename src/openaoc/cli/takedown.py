"""CLI: `openaoc takedown …`: ask partners to take down sites, apps, accounts and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from openaoc.cli.output import json_option, note, say, show_json, show_table

REASON = click.option("--reason", required=True, help="Why; kept in the journal.")
OUTCOMES = ("acknowledged", "done", "partly", "refused", "restored")
DONE = (
    "removed", "suspended", "blocked", "number-disconnected", "reviewed", "account-restricted",
    "account-frozen",
)  # fmt: skip


@click.group(help="Ask partners to take down sites, apps, accounts and numbers.")
def command() -> None:
    """Take-downs."""


@command.command("draft")
@click.argument("indicator")
@click.argument("partner")
@click.option(
    "--target",
    required=True,
    type=click.Choice(["site", "app", "account", "number", "money-account"]),
    help="What is to go away.",
)
@click.option(
    "--ask", "asks", multiple=True, type=click.Choice(DONE), help="Default: all there is."
)
@click.option("--basis", required=True, help="The law under which it is asked.")
@click.option("--reason", required=True, help="What it was used for; the partner reads it.")
@click.option(
    "--others",
    type=click.Choice(["none", "few", "many"]),
    help="What else lives on a whole site; needed where one is asked for.",
)
@json_option
def draft(
    indicator: str,
    partner: str,
    *,
    target: str,
    asks: tuple[str, ...],
    basis: str,
    reason: str,
    others: str | None,
    as_json: bool,
) -> None:
    """Draft a take-down of a confirmed indicator, to one partner."""
    from openaoc.cli.client import CentreClient

    body: dict[str, Any] = {
        "indicator": indicator,
        "partner": partner,
        "target": target,
        "asks": list(asks),
        "legal_basis": basis,
        "reason": reason,
    }
    if others is not None:
        body["others"] = others
    _show(CentreClient().post("/v1/takedowns", body), as_json=as_json)


@command.command("list")
@click.option("--partner", help="Only of this partner.")
@click.option("--state", help="Only in this state.")
@click.option("--overdue", is_flag=True, help="Only what a clock has run out for.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_command(
    partner: str | None, state: str | None, limit: int, *, overdue: bool, as_json: bool
) -> None:
    """List take-downs, the newest first."""
    from openaoc.cli.client import CentreClient

    query = {"partner": partner, "state": state, "overdue": "true" if overdue else None}
    found = CentreClient().pages("/v1/takedowns", "takedowns", limit=limit, **query)
    if as_json:
        show_json({"takedowns": found})
        return
    rows = [
        (
            one["id"],
            one["partner"],
            one["target"],
            one["value"],
            one["state"],
            one["acknowledge_by"],
            one["act_by"],
            one["reminders"],
            _done(one),
        )
        for one in found
    ]
    columns = ("take-down", "partner", "target", "what", "state", "acknowledge by", "act by")
    show_table((*columns, "reminders", "done"), rows)


@command.command("show")
@click.argument("takedown")
@json_option
def show(takedown: str, *, as_json: bool) -> None:
    """Show one with its receipts."""
    from openaoc.cli.client import CentreClient

    _show(CentreClient().get(f"/v1/takedowns/{takedown}"), as_json=as_json)


@command.command("approve")
@click.argument("takedown")
@REASON
@json_option
def approve(takedown: str, *, reason: str, as_json: bool) -> None:
    """Agree that it is sent; two persons where it says why."""
    _decide(takedown, "approve", {"reason": reason}, as_json=as_json)


@command.command("look")
@click.argument("takedown")
@click.option("--gone/--there", required=True, help="What you saw.")
@REASON
@json_option
def look(takedown: str, *, gone: bool, reason: str, as_json: bool) -> None:
    """Say that it is gone, or there still or again: then it is asked for once more."""
    _decide(takedown, "look", {"gone": gone, "reason": reason}, as_json=as_json)


@command.command("withdraw")
@click.argument("takedown")
@click.option("--wrong", is_flag=True, help="It should not have been asked; counted as wrong.")
@REASON
@json_option
def withdraw(takedown: str, *, wrong: bool, reason: str, as_json: bool) -> None:
    """Take it back; a partner that did something is told to restore it."""
    _decide(takedown, "withdraw", {"wrong": wrong, "reason": reason}, as_json=as_json)


@command.command("object")
@click.argument("takedown")
@REASON
@json_option
def object_command(takedown: str, *, reason: str, as_json: bool) -> None:
    """Record that an owner objects; without the owner's name."""
    _decide(takedown, "objections", {"reason": reason}, as_json=as_json)


@command.command("decide")
@click.argument("takedown")
@click.option("--uphold/--reject", required=True, help="Whether the owner was right.")
@REASON
@json_option
def decide(takedown: str, *, uphold: bool, reason: str, as_json: bool) -> None:
    """Decide an owner's objection; upheld, it is withdrawn and restoring is asked."""
    body = {"upheld": uphold, "reason": reason}
    _decide(takedown, "objections/decide", body, as_json=as_json)


@command.command("answer")
@click.argument("takedown")
@click.option("--outcome", required=True, type=click.Choice(OUTCOMES), help="What it says.")
@click.option("--did", "done", multiple=True, type=click.Choice(DONE), help="What was done.")
@click.option("--at", help="When, as RFC 3339; default: now.")
@click.option("--reason", default="", help="Why not, or why only partly.")
@click.option("--reference", default="", help="The number under which whoever did it has it.")
@click.option("--partner", help="It is this partner's request to us: the receipt is signed.")
@json_option
def answer(
    takedown: str,
    *,
    outcome: str,
    done: tuple[str, ...],
    at: str | None,
    reason: str,
    reference: str,
    partner: str | None,
    as_json: bool,
) -> None:
    """Type in what a partner told; with --partner, answer that partner's request to us."""
    from openaoc.cli.client import CentreClient

    body: dict[str, Any] = {
        "outcome": outcome,
        "done": list(done),
        "reason": reason,
        "reference": reference,
    }
    if at is not None:
        body["at"] = at
    if partner is None:
        _decide(takedown, "answer", body, as_json=as_json)
        return
    path = f"/v1/takedowns/received/{takedown}/answer"
    found = CentreClient().post(path, body | {"partner": partner})
    if as_json:
        show_json(found)
    else:
        say(f"{found['id']} of {found['partner']}: {found['state']}")


@command.command("received")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def received(limit: int, *, as_json: bool) -> None:
    """List what partners' centres ask to be taken down here."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/takedowns/received", "takedowns", limit=limit)
    if as_json:
        show_json({"takedowns": found})
        return
    rows = [
        (
            one["id"],
            one["partner"],
            one["request"]["fields"].get("target"),
            one["request"]["fields"].get("value"),
            one["state"],
            one["request"]["fields"].get("act_by"),
            one["reminders"],
        )
        for one in found
    ]
    show_table(("take-down", "from", "target", "what", "state", "act by", "reminders"), rows)


@command.command("document")
@click.argument("takedown")
@click.option("--format", "form", default="text", show_default=True,
              type=click.Choice(["text", "xarf"]), help="A letter, or XARF 4 JSON.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: stdout.")
@json_option
def document(takedown: str, *, form: str, output: Path | None, as_json: bool) -> None:
    """Make the request as a document, for a partner with no system."""
    from openaoc.cli.client import CentreClient

    data = CentreClient().download(f"/v1/takedowns/{takedown}/document", form=form)
    if output is not None:
        output.write_bytes(data)
        note(f"written to {output}")
    if as_json:
        show_json({"takedown": takedown, "form": form, "text": data.decode("utf-8")})
    elif output is None:
        say(data.decode("utf-8").rstrip("\n"))


def _decide(takedown: str, verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    _show(CentreClient().post(f"/v1/takedowns/{takedown}/{verb}", body), as_json=as_json)


def _done(one: dict[str, Any]) -> str:
    receipts = one["receipts"]
    return ", ".join(receipts[-1]["receipt"].get("done", [])) if receipts else ""


def _show(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    say(f"{one['id']}  {one['state']}: {one['target']} {one['value']}, asked of {one['partner']}")
    if one["two_persons"] and one["state"] == "drafted":
        say(f"two persons approve it: {'; '.join(one['two_persons'])}")
    if one["act_by"]:
        say(f"acknowledge by {one['acknowledge_by']}, act by {one['act_by']}")
    if one["why"]:
        say(f"why: {one['why']}")
    rows = [
        (
            kept["received_at"],
            kept["receipt"]["outcome"],
            ", ".join(kept["receipt"].get("done", [])),
            kept["receipt"].get("reason", ""),
            kept["kid"] or f"not signed, by {kept['by']}",
        )
        for kept in one["receipts"]
    ]
    if rows:
        show_table(("received", "outcome", "done", "reason", "signed with"), rows)
