"""CLI: `openaoc protection …`: possible victims of trafficking; who is meant is shown for a reason.

For trained people and the data protection officer; anybody else is refused.
"""

from __future__ import annotations

from typing import Any

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table

REASON = click.option("--reason", required=True, help="Why; kept in the journal: no name in it.")


@click.group(help="Protect possible victims of trafficking; refer them to who helps.")
def command() -> None:
    """Protection."""


@command.command("mark")
@click.argument("file", metavar="FILE|-")
@json_option
def mark(file: str, *, as_json: bool) -> None:
    """Mark somebody who may be forced to commit offences, from a JSON FILE or stdin.

    The file has `signs`, `person` (identifiers, person_name, situation, …) and perhaps `case`.
    From then on nothing about the person leaves, and what had left is withdrawn.
    """
    from openaoc.cli.client import CentreClient
    from openaoc.cli.report import read_report

    made = CentreClient().post("/v1/protection/marks", content=read_report(file))
    if as_json:
        show_json(made)
    else:
        say(f"{made['mark']['id']}  {made['taken_back']} releases withdrawn")


@command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_marks(limit: int, *, as_json: bool) -> None:
    """List marks, newest first, without who is meant."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/protection/marks", "marks", limit=limit)
    if as_json:
        show_json({"marks": found})
        return
    rows = [
        (m["id"], m["state"], ", ".join(m["signs"]), m["case"], m["origin"], m["marked_at"])
        for m in found
    ]
    show_table(("mark", "state", "signs", "case", "referred by", "since"), rows)


@command.command("show")
@click.argument("mark_id", metavar="MARK")
@REASON
@json_option
def show(mark_id: str, *, reason: str, as_json: bool) -> None:
    """Show who is meant by a mark; the look is in the journal."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().post(f"/v1/protection/marks/{mark_id}/open", {"reason": reason})
    if as_json:
        show_json(found)
        return
    say(f"{found['mark']['id']}  {found['mark']['state']}  {', '.join(found['mark']['signs'])}")
    show_table(("field", "value"), [(n, _text(v)) for n, v in found["person"].items()])


@command.command("lift")
@click.argument("mark_id", metavar="MARK")
@REASON
@json_option
def lift(mark_id: str, *, reason: str, as_json: bool) -> None:
    """Say that a mark was a mistake; the word of a second person lifts it."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().post(f"/v1/protection/marks/{mark_id}/lift", {"reason": reason})
    if as_json:
        show_json(found)
    else:
        say(f"{found['id']} is {found['state']}")


@command.command("refer")
@click.argument("mark_id", metavar="MARK")
@click.argument("partner")
@click.option("--field", "fields", required=True, multiple=True, help="What is told.")
@REASON
@json_option
def refer(
    mark_id: str, partner: str, *, fields: tuple[str, ...], reason: str, as_json: bool
) -> None:
    """Propose to refer a marked person to a partner that protects victims."""
    from openaoc.cli.client import CentreClient

    body = {"mark": mark_id, "partner": partner, "fields": list(fields), "reason": reason}
    made = CentreClient().post("/v1/protection/referrals", body)
    if as_json:
        show_json(made)
    else:
        say(f"{made['id']} is {made['state']}: another person approves it")


@command.command("approve")
@click.argument("referral")
@click.option("--basis", required=True, help="The law that permits it.")
@REASON
@json_option
def approve(referral: str, *, basis: str, reason: str, as_json: bool) -> None:
    """Approve a referral by name; prints what left, to be handed over or carried."""
    from openaoc.cli.client import CentreClient

    body = {"legal_basis": basis, "reason": reason}
    done = CentreClient().post(f"/v1/protection/referrals/{referral}/approve", body)
    if as_json:
        show_json(done)
        return
    say(f"{done['referral']['id']} to {done['referral']['partner']}")
    show_table(("field", "value"), [(n, _text(v)) for n, v in done["left"]["fields"].items()])


@command.command("carry")
@click.argument("referral")
@json_option
def carry(referral: str, *, as_json: bool) -> None:
    """Carry an approved referral to the partner's centre; again, it is there once."""
    from openaoc.cli.client import CentreClient

    done = CentreClient().post(f"/v1/protection/referrals/{referral}/carry")
    if as_json:
        show_json(done)
    else:
        say(f"{done['id']} is {done['state']}")


@command.command("referrals")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def referrals(limit: int, *, as_json: bool) -> None:
    """List referrals, newest first."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/protection/referrals", "referrals", limit=limit)
    if as_json:
        show_json({"referrals": found})
        return
    rows = [
        (r["id"], r["mark"], r["partner"], r["state"], r["approved_by"], r["last_error"])
        for r in found
    ]
    show_table(("referral", "mark", "to", "state", "approved by", "last error"), rows)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    return f"{value['kind']}={value['value']}" if isinstance(value, dict) else str(value)
