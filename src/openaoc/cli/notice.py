"""CLI: `openaoc case notice delay|agree|end|list`: telling holders later than at once."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table


@click.group(help="Tell a case's holders later than at once: a reason, two persons, an end.")
def command() -> None:
    """Delays of notices."""


@command.command("delay")
@click.argument("case")
@click.option("--until", required=True, help="When they are told: 2026-11-23T09:00:00+07:00.")
@click.option("--authority", required=True, help="The law or office that asks: name, number, date.")
@click.option("--reason", required=True, help="Why telling them now would do harm.")
@json_option
def delay(case: str, *, until: str, authority: str, reason: str, as_json: bool) -> None:
    """Propose it, for orders that go out once a second person agrees."""
    body = {"until": until, "authority": authority, "reason": reason}
    _post(f"/v1/cases/{quote(case, safe='')}/notice-delays", body, as_json=as_json)


@command.command("agree")
@click.argument("delay")
@click.option("--reason", required=True, help="Why you agree; not for whoever proposed it.")
@json_option
def agree(delay: str, reason: str, *, as_json: bool) -> None:
    """Agree as the second person."""
    _post(f"/v1/notice-delays/{quote(delay, safe='')}/agree", {"reason": reason}, as_json=as_json)


@command.command("end")
@click.argument("delay")
@click.option("--reason", required=True, help="Why the holders may know now.")
@json_option
def end(delay: str, reason: str, *, as_json: bool) -> None:
    """End it, or take a proposal back; the holders are told now."""
    _post(f"/v1/notice-delays/{quote(delay, safe='')}/end", {"reason": reason}, as_json=as_json)


@command.command("list")
@click.argument("case")
@json_option
def list_delays(case: str, *, as_json: bool) -> None:
    """List a case's delays, newest first, and how many holders wait."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get(f"/v1/cases/{quote(case, safe='')}/notice-delays")
    if as_json:
        show_json(found)
        return
    rows = [
        (d["id"], d["state"], d["until"], str(d["waiting"]), d["authority"], d["reason"])
        for d in found["delays"]
    ]
    show_table(("delay", "state", "until", "wait", "authority", "reason"), rows)


def _post(path: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    one = CentreClient().post(path, body)
    if as_json:
        show_json(one)
    else:
        say(f"{one['id']}  {one['state']}  until {one['until']}  {one['waiting']} wait")
