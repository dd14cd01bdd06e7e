"""CLI: `openaoc case show|list|complain|complaint-draft|close|drop|reopen`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.control import command as control
from openaoc.cli.notice import command as notice
from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.kernel.money import format_money


@click.group(
    help="Look at a case; prove account control, note a complaint, close, drop or reopen it."
)
def command() -> None:
    """Cases."""


command.add_command(control, "control")
command.add_command(notice, "notice")


@command.command("show")
@click.argument("case")
@json_option
def show(case: str, *, as_json: bool) -> None:
    """Show one case: where the money is, what is held, which orders went out."""
    from openaoc.cli.client import CentreClient

    view = CentreClient().get(f"/v1/cases/{quote(case, safe='')}")
    if as_json:
        show_json(view)
    else:
        show_case(view)


def show_case(view: dict[str, Any]) -> None:
    """The case for a person."""
    currency = view["currency"]

    def money(name: str) -> str:
        return format_money(view[name], currency)

    say(f"{view['case']}  {view['state']}  {view['mode']}  standing {view['standing']}")
    say(
        f"loss {money('loss_minor')} = located {money('located_minor')} + held"
        f" {money('held_minor')} + exited {money('exited_minor')} + returned to victims"
        f" {money('restituted_minor')} + dropped {money('dropped_minor')}"
    )
    if view["truncated"]:
        say(f"the trace is cut short: {view['truncated']}")
    _show_clock(view)
    located = [
        (a["bank"], a["account"], format_money(a["amount_minor"], currency), a["layer"])
        for a in view["located"]
    ]
    if located:
        show_table(("bank", "account", "located", "layer"), located)
    orders = [
        (
            o["order"],
            o["institution"],
            format_money(o["amount_minor"], currency),
            o["state"],
            o["ends_at"],
        )
        for o in view["orders"]
    ]
    if orders:
        show_table(("order", "institution", "amount", "state", "ends"), orders)


def _show_clock(view: dict[str, Any]) -> None:
    clock = view.get("complaint")
    if clock and clock["complained_at"]:
        say(f"complaint to the police made at {clock['complained_at']}")
    elif clock:
        say(f"{clock['hours_left']} hours left to complain to the police: until {clock['due_at']}")
    for one in view.get("bank_cases", ()):
        say(f"{one['institution']} calls it {one['bank_case_id']}")


@command.command("complaint-draft")
@click.argument("case")
@click.option("--reason", required=True, help="Why it is drafted; kept in the journal.")
@click.option("--language", type=click.Choice(["th", "en"]), default="th", show_default=True)
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="A page.")
@json_option
def complaint_draft(
    case: str, *, reason: str, language: str, page: Path | None, as_json: bool
) -> None:
    """Draft the victim's complaint to the police from what was reported; names the reporter."""
    from openaoc.cli.client import CentreClient

    draft = CentreClient().get(f"/v1/cases/{quote(case, safe='')}/complaint-draft", reason=reason)
    if page is not None:
        page.write_text(draft["html"], "utf-8")
    if as_json:
        show_json(draft)
    elif page is None:
        say(draft["text"][language])
    else:
        say(f"{draft['case']}  written to {page}")


@command.command("list")
@click.option("--state", help="Only cases in this state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_cases(state: str | None, limit: int, *, as_json: bool) -> None:
    """List cases, newest first."""
    from openaoc.cli.client import CentreClient

    cases = CentreClient().pages("/v1/cases", "cases", limit=limit, state=state)
    if as_json:
        show_json({"cases": cases})
        return
    rows = [
        (
            c["case"],
            c["state"],
            c["mode"],
            format_money(c["loss_minor"], c["currency"]),
            format_money(c["held_minor"], c["currency"]),
            c["opened_at"],
        )
        for c in cases
    ]
    show_table(("case", "state", "mode", "loss", "held", "opened"), rows)


@command.command("complain")
@click.argument("case")
@click.option("--at", "complained_at", required=True, help="When, as 2026-11-21T09:00:00+07:00.")
@click.option("--reference", required=True, help="The police's reference for the complaint.")
@json_option
def complain(case: str, *, complained_at: str, reference: str, as_json: bool) -> None:
    """Note that the victim complained to the police: holds may last longer, from then on."""
    body = {"complained_at": complained_at, "reference": reference}
    _decide(case, "complaint", body, as_json=as_json)


@command.command("close")
@click.argument("case")
@click.option("--reason", required=True, help="Why nothing more can be done.")
@json_option
def close(case: str, reason: str, *, as_json: bool) -> None:
    """Close a case whose orders have ended."""
    _decide(case, "close", {"reason": reason}, as_json=as_json)


@command.command("drop")
@click.argument("case")
@click.option("--reason", required=True, help="Why the report is false.")
@json_option
def drop(case: str, reason: str, *, as_json: bool) -> None:
    """Drop a false report: every order it caused is withdrawn or released."""
    _decide(case, "drop", {"reason": reason}, as_json=as_json)


@command.command("reopen")
@click.argument("case")
@click.option("--reason", required=True, help="Which new facts came in.")
@json_option
def reopen(case: str, reason: str, *, as_json: bool) -> None:
    """Reopen a closed case: it is decided and traced again."""
    _decide(case, "reopen", {"reason": reason}, as_json=as_json)


def _decide(case: str, verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    view = CentreClient().post(f"/v1/cases/{quote(case, safe='')}/{verb}", body)
    if as_json:
        show_json(view)
    else:
        show_case(view)
