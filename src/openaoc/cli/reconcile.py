"""CLI: `openaoc reconcile`: after a restore: what is uncertain, what becomes of it, delivery."""

from __future__ import annotations

from typing import Any

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table

PATH = "/v1/reconciliation"


@click.group(help="After a restore: decide what is sent, deliver again.")
def command() -> None:
    """Reconciling."""


@command.command("status")
@json_option
def status(*, as_json: bool) -> None:
    """Show whether delivery waits, and every message nobody knows the fate of."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get(PATH)
    if as_json:
        show_json(found)
        return
    state = found["state"]
    if state["reconciling_since"]:
        say(f"delivery waits since {state['reconciling_since']}: {state['why']}")
    else:
        say("messages are delivered")
    if state["backup_at"]:
        say(f"the data is of {state['backup_at']}; ask each institution what it got since")
    rows = [
        (m["institution"], m["kind"], m["subject"], m["message"], m["created_at"])
        for m in found["uncertain"]
    ]
    if rows:
        show_table(("institution", "kind", "order", "message", "made at"), rows)


@command.command("decide")
@click.argument("messages", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every uncertain message.")
@click.option("--institution", help="Every uncertain message for this institution.")
@click.option("--send", "fate", flag_value="send", help="Send: the institution does not have it.")
@click.option("--drop", "fate", flag_value="drop", help="Do not send: it has it, or should not.")
@click.option("--reason", required=True, help="What the institution said; kept in the journal.")
@json_option
def decide(
    messages: tuple[str, ...],
    institution: str | None,
    fate: str | None,
    reason: str,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    """Send uncertain MESSAGES under the keys they had, or leave them unsent for good."""
    from openaoc.cli.client import CentreClient

    if fate is None:
        raise click.UsageError("say --send or --drop")
    client = CentreClient()
    chosen = list(messages)
    if everything or institution:
        chosen += [m["message"] for m in client.get(PATH)["uncertain"] if _is_for(m, institution)]
    if not chosen:
        raise click.UsageError("name messages, or --institution CODE, or --all")
    body = {"messages": sorted(set(chosen)), "send": fate == "send", "reason": reason}
    decided = client.post(f"{PATH}/decisions", body)
    if as_json:
        show_json(decided)
    else:
        say(f"{decided['messages']} messages: {fate}")


def _is_for(message: dict[str, Any], institution: str | None) -> bool:
    return institution is None or message["institution"] == institution


@command.command("resume")
@click.option("--reason", required=True, help="Why it is safe; kept in the journal.")
@json_option
def resume(reason: str, *, as_json: bool) -> None:
    """Deliver again. Uncertain messages stay where they are until decided."""
    from openaoc.cli.client import CentreClient

    state = CentreClient().post(f"{PATH}/resume", {"reason": reason})
    if as_json:
        show_json(state)
    else:
        say(f"delivery resumed, epoch {state['epoch']}")
