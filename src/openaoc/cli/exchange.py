"""CLI: `openaoc exchange …`: partners, agreements, what left and why, recalls, canaries."""

from __future__ import annotations

from typing import Any

import rich_click as click

from openaoc.cli.agreement import agreement, partner
from openaoc.cli.exchange_files import export_command, import_command
from openaoc.cli.exchange_plain import objects, tell, usefulness
from openaoc.cli.feed import collections, context, feed, received
from openaoc.cli.output import json_option, say, show_json, show_table


@click.group(help="Share with partners by agreement; see what left, take it back.")
def command() -> None:
    """The exchange."""


command.add_command(partner, "partner")
command.add_command(collections, "collections")
command.add_command(feed, "feed")
command.add_command(received, "received")
command.add_command(context, "context")
command.add_command(agreement, "agreement")
command.add_command(export_command, "export")
command.add_command(import_command, "import")
command.add_command(objects)
command.add_command(tell)
command.add_command(usefulness)


@command.command("explain")
@click.argument("object_id", metavar="OBJECT")
@click.argument("partner_code", metavar="PARTNER")
@click.option("--purpose", help="An offence; default: the one it would leave for by itself.")
@json_option
def explain(object_id: str, partner_code: str, *, purpose: str | None, as_json: bool) -> None:
    """Say what of an object would leave to a partner, and why not the rest."""
    from openaoc.cli.client import CentreClient

    body = {"object": object_id, "partner": partner_code}
    if purpose is not None:
        body["purpose"] = purpose
    found = CentreClient().post("/v1/exchange/explain", body)
    if as_json:
        show_json(found)
        return
    verdict = "leaves" if found["leaves"] else "stays: " + "; ".join(found["reasons"])
    say(f"{found['object']} to {found['partner']}: {verdict}")
    say(f"agreement {found['agreement'] or 'none'}, purpose {found['purpose'] or 'none'}")
    rows = [
        (f["name"], f["kind"], f["how"] or "stays", _value(f["value"]), f["why_not"])
        for f in found["fields"]
    ]
    show_table(("field", "class", "leaves", "value", "why not"), rows)


@command.command("release")
@click.argument("object_id", metavar="OBJECT")
@click.argument("partner_code", metavar="PARTNER")
@click.option("--reason", required=True, help="Why; kept in the ledger of releases.")
@json_option
def release(object_id: str, partner_code: str, *, reason: str, as_json: bool) -> None:
    """Release an object now, with what was approved for it; prints what left."""
    from openaoc.cli.client import CentreClient

    body = {"object": object_id, "partner": partner_code, "reason": reason}
    left = CentreClient().post("/v1/exchange/releases", body)
    if as_json:
        show_json(left)
        return
    say(f"{left['id']}  {left['marking']}")
    show_table(("field", "value"), [(n, _value(v)) for n, v in left["fields"].items()])


@command.command("approve")
@click.argument("object_id", metavar="OBJECT")
@click.argument("partner_code", metavar="PARTNER")
@click.option("--field", "fields", required=True, multiple=True, help="One that names a person.")
@click.option("--basis", required=True, help="The law that permits it.")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def approve(
    object_id: str,
    partner_code: str,
    *,
    fields: tuple[str, ...],
    basis: str,
    reason: str,
    as_json: bool,
) -> None:
    """Approve that fields which name a person leave to a partner, once."""
    from openaoc.cli.client import CentreClient

    body = {
        "object": object_id,
        "partner": partner_code,
        "fields": list(fields),
        "legal_basis": basis,
        "reason": reason,
    }
    made = CentreClient().post("/v1/exchange/approvals", body)
    if as_json:
        show_json(made)
    else:
        say(f"{made['id']}  {', '.join(made['fields'])}; the next release of the object uses it")


@command.command("released")
@click.option("--partner", help="Only to this partner.")
@click.option("--object", "object_id", help="Only of this object.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def released(partner: str | None, object_id: str | None, limit: int, *, as_json: bool) -> None:
    """Show what left, to whom, under which agreement and why, newest first."""
    from openaoc.cli.client import CentreClient

    query = {"partner": partner, "object": object_id}
    found = CentreClient().pages("/v1/exchange/releases", "releases", limit=limit, **query)
    if as_json:
        show_json({"releases": found})
        return
    rows = [
        (
            r["released_at"],
            r["partner"],
            r["agreement"],
            r["object_id"],
            ", ".join(r["fields"]),
            r["why"],
            r["ended_as"],
        )
        for r in found
    ]
    show_table(("when", "partner", "agreement", "object", "fields", "why", "ended as"), rows)


@command.command("recall")
@click.argument("object_id", metavar="OBJECT")
@click.option(
    "--kind",
    required=True,
    type=click.Choice(["corrected", "withdrawn", "expired"]),
    help="What is the matter with it.",
)
@click.option("--reason", required=True, help="Why; those who received it read it.")
@json_option
def recall(object_id: str, *, kind: str, reason: str, as_json: bool) -> None:
    """Tell everybody who received an object, and nobody else."""
    from openaoc.cli.client import CentreClient

    body = {"object": object_id, "kind": kind, "reason": reason}
    done = CentreClient().post("/v1/exchange/recalls", body)
    if as_json:
        show_json(done)
    else:
        say(
            f"{done['object_id']}  {done['kind']}: {', '.join(done['partners']) or 'nobody has it'}"
        )


@command.command("notices")
@click.option("--partner", help="Only to this partner.")
@click.option("--after", default=0, type=click.IntRange(0), help="Only after this number.")
@json_option
def notices(partner: str | None, after: int, *, as_json: bool) -> None:
    """Show corrections, withdrawals and expiries that partners are told of."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/exchange/notices", partner=partner, after=after)
    if as_json:
        show_json(found)
        return
    rows = [
        (n["sequence"], n["at"], n["partner"], n["object_id"], n["kind"], n["reason"])
        for n in found["notices"]
    ]
    show_table(("no", "when", "partner", "object", "kind", "reason"), rows)


@command.group("canary", help="Give a partner indicators that nobody else has; find who leaks.")
def canary() -> None:
    """Canaries."""


@canary.command("plant")
@click.argument("partner_code", metavar="PARTNER")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 100))
@json_option
def plant(partner_code: str, *, count: int, as_json: bool) -> None:
    """Give canaries to a partner; they leave with its next objects."""
    from openaoc.cli.client import CentreClient

    body = {"partner": partner_code, "count": count}
    made = CentreClient().post("/v1/exchange/canaries", body)
    if as_json:
        show_json(made)
        return
    rows = [(c["number"], c["identifier_kind"], c["value"]) for c in made["canaries"]]
    show_table(("no", "kind", "value"), rows)


@canary.command("list")
@click.option("--partner", help="All of this partner's, seen again or not.")
@json_option
def listed(partner: str | None, *, as_json: bool) -> None:
    """Show the canaries that were seen again, and where first."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/exchange/canaries", partner=partner)
    if as_json:
        show_json(found)
        return
    rows = [
        (c["partner"], c["number"], c["identifier_kind"], c["value"], c["seen_at"], c["seen_where"])
        for c in found["canaries"]
    ]
    show_table(("given to", "no", "kind", "value", "seen at", "where"), rows)


@canary.command("seen")
@click.argument("value")
@click.option("--where", default="", help="Where it was seen; kept in the journal.")
@json_option
def seen(value: str, *, where: str, as_json: bool) -> None:
    """Say which partner a value was given to, if it is a canary."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().post("/v1/exchange/canaries/seen", {"value": value, "where": where})
    if as_json:
        show_json(found)
    elif found["canary"]:
        say(f"{found['partner']} was given it at {found['planted_at']}, and nobody else")
    else:
        say("not a canary")


def _value(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)
