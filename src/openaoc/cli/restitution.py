"""CLI: `openaoc restitution …`: who gets what from what is held."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.kernel.money import format_money


@click.group(help="Give held money back: propose, publish, object, decide, pay.")
def command() -> None:
    """Restitution."""


@command.command("propose")
@click.argument("case")
@json_option
def propose(case: str, *, as_json: bool) -> None:
    """Propose who gets what from all that is held for a case."""
    from openaoc.cli.client import CentreClient

    _show(CentreClient().post("/v1/restitutions", {"case": case}), as_json=as_json)


@command.command("list")
@click.option("--case", help="Only this case's.")
@click.option("--state", help="Only restitutions in this state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_restitutions(case: str | None, state: str | None, limit: int, *, as_json: bool) -> None:
    """List restitutions, newest first; an institution's key sees those that it pays."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages(
        "/v1/restitutions", "restitutions", limit=limit, case=case, state=state
    )
    if as_json:
        show_json({"restitutions": found})
        return
    rows = [
        (
            r["id"],
            r["case"],
            r["state"],
            format_money(sum(line["amount_minor"] for line in r["lines"]), r["currency"]),
            format_money(sum(line["paid_minor"] for line in r["lines"]), r["currency"]),
            r["objections_until"],
        )
        for r in found
    ]
    show_table(("restitution", "case", "state", "to pay", "paid", "objections until"), rows)


@command.command("show")
@click.argument("restitution")
@json_option
def show(restitution: str, *, as_json: bool) -> None:
    """Show one with its payments and objections."""
    from openaoc.cli.client import CentreClient

    _show(CentreClient().get(_path(restitution)), as_json=as_json)


@command.command("publish")
@click.argument("restitution")
@json_option
def publish(restitution: str, *, as_json: bool) -> None:
    """Publish a proposal, as another person: third parties may object from now on."""
    _post(restitution, "publish", {}, as_json=as_json)


@command.command("object")
@click.argument("restitution")
@click.option("--order", required=True, help="The hold order whose money is meant.")
@click.option(
    "--kind", required=True, type=click.Choice(["holder", "claimant", "other"]), help="Who objects."
)
@click.option("--grounds", required=True, help="Why; names no person.")
@click.option("--amount", type=click.IntRange(min=1), help="In minor units; default: all of it.")
@click.option("--rival-case", help="The claimant's own case.")
@json_option
def object_to(
    restitution: str,
    *,
    order: str,
    kind: str,
    grounds: str,
    amount: int | None,
    rival_case: str | None,
    as_json: bool,
) -> None:
    """Object for somebody who says the money is theirs."""
    body: dict[str, Any] = {"order": order, "kind": kind, "grounds": grounds}
    if amount is not None:
        body["amount_minor"] = amount
    if rival_case is not None:
        body["rival_case"] = rival_case
    _post(restitution, "objections", body, as_json=as_json)


@command.command("decide")
@click.argument("restitution")
@click.argument("number", type=click.IntRange(min=1))
@click.option("--upheld", required=True, type=click.IntRange(min=0), help="In minor units.")
@click.option("--reason", required=True, help="Why; kept with the objection.")
@json_option
def decide(restitution: str, number: int, *, upheld: int, reason: str, as_json: bool) -> None:
    """Decide an objection; it stands when a second person decides the same amount."""
    body = {"upheld_minor": upheld, "reason": reason}
    _post(restitution, f"objections/{number}/decision", body, as_json=as_json)


@command.command("payable")
@click.argument("restitution")
@click.option("--form", type=click.Choice(["csv", "pacs.008"]), default="csv", show_default=True)
@click.option(
    "--to", "target", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A file."
)
@json_option
def payable(restitution: str, *, form: str, target: Path, as_json: bool) -> None:
    """Write the payments that are to be made to a file; an institution's key gets its own."""
    from openaoc.cli.client import CentreClient

    content = CentreClient().download(f"{_path(restitution)}/payable", form=form)
    target.write_bytes(content)
    if as_json:
        show_json({"restitution": restitution, "file": str(target), "bytes": len(content)})
    else:
        say(f"{restitution}  {len(content):,} bytes in {target}")


@command.command("confirm")
@click.argument("restitution")
@click.argument("number", type=click.IntRange(min=1))
@click.option("--transfer", required=True, help="The transfer that paid it, as it is reported.")
@click.option("--amount", required=True, type=click.IntRange(min=1), help="In minor units.")
@click.option("--paid-at", required=True, help="When: 2026-12-21T09:00:00+07:00.")
@json_option
def confirm(
    restitution: str, number: int, *, transfer: str, amount: int, paid_at: str, as_json: bool
) -> None:
    """Say that a payment was made, with the key of the institution that made it."""
    body = {"transfer_id": transfer, "amount_minor": amount, "paid_at": paid_at}
    _post(restitution, f"payments/{number}", body, as_json=as_json)


@command.command("end")
@click.argument("restitution")
@click.option("--reason", required=True, help="Why no ground is left.")
@json_option
def end(restitution: str, *, reason: str, as_json: bool) -> None:
    """End one; what is paid stays paid."""
    _post(restitution, "end", {"reason": reason}, as_json=as_json)


@command.command("returned")
@json_option
def returned(*, as_json: bool) -> None:
    """Show what was returned of what was held, by jurisdiction."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/restitutions/returned")
    if as_json:
        show_json(found)
        return
    rows = [
        (
            one["jurisdiction"],
            format_money(one["held_minor"], one["currency"]),
            format_money(one["returned_minor"], one["currency"]),
            "" if one["share"] is None else f"{one['share']:.1%}",
        )
        for one in found["jurisdictions"]
    ]
    show_table(("jurisdiction", "held", "returned", "share"), rows)


def _path(restitution: str) -> str:
    return f"/v1/restitutions/{quote(restitution, safe='')}"


def _post(restitution: str, verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    _show(CentreClient().post(f"{_path(restitution)}/{verb}", body), as_json=as_json)


def _show(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    say(f"{one['id']}  {one['case']}  {one['state']}")
    if one["objections_until"]:
        say(f"third parties may object until {one['objections_until']}")
    rows = [
        (
            line["no"],
            line["institution"],
            line["account"],
            f"{line['payee_bank']} {line['payee_account']}",
            format_money(line["amount_minor"], line["currency"]),
            line["state"],
            line["hold_ends_at"],
        )
        for line in one["lines"]
    ]
    show_table(("no", "institution", "from", "to", "amount", "state", "hold ends"), rows)
    for said in one["objections"]:
        upheld = said["upheld_minor"]
        decided = "" if upheld is None else f", {format_money(upheld, one['currency'])} upheld"
        claimed = format_money(said["claimed_minor"], one["currency"])
        say(f"objection {said['no']} of the {said['kind']}: {claimed}{decided}  {said['state']}")
