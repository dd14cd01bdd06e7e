"""CLI: `openaoc centre …`: requests across borders and matches, ours and the partners'."""

from __future__ import annotations

from typing import Any

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.kernel.limits import PAGE_MAX

REASON = click.option("--reason", required=True, help="Why.")
PARTNER = click.option("--partner", required=True, help="Whose request it is.")


@click.group(help="Work with centres abroad: follow money there, match without showing.")
def command() -> None:
    """Other centres."""


@command.command("requests")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def requests(limit: int, *, as_json: bool) -> None:
    """Requests to follow money, ours and the partners', and what became of it."""
    from openaoc.cli.client import CentreClient

    found: dict[str, list[Any]] = {"sent": [], "received": []}
    client, cursor = CentreClient(), None
    while (left := limit - sum(map(len, found.values()))) > 0:
        page = client.get("/v1/requests", cursor=cursor, limit=str(min(left, PAGE_MAX)))
        for side in found:
            found[side] += page[side]
        cursor = page["cursor"]
        if cursor is None:
            break
    if as_json:
        show_json(found)
        return
    show_table(
        ("ours", "to", "case", "state", "asked", *_PARTS, "agrees"),
        [
            (
                one["id"],
                one["partner"],
                one["case"],
                one["state"],
                f"{one['exit']['amount_minor']} {one['exit']['currency']}",
                *_sums(one),
                "" if one["agrees"] is None else str(one["agrees"]).lower(),
            )
            for one in found["sent"]
        ],
    )
    show_table(
        ("theirs", "from", "our case", "state", "why", *_PARTS),
        [
            (
                one["id"],
                one["partner"],
                one["case"] or "",
                one["state"],
                one["why"] or "",
                *_sums(one),
            )
            for one in found["received"]
        ],
    )


@command.command("payment")
@click.argument("request")
@PARTNER
@click.option("--reported-by", required=True, help="Who told us of the payment.")
@click.option("--transfer", required=True, help="Its id.")
@json_option
def payment(request: str, *, partner: str, reported_by: str, transfer: str, as_json: bool) -> None:
    """Say which payment a partner's request means: our own case is opened for it."""
    from openaoc.cli.client import CentreClient

    body = {"partner": partner, "reported_by": reported_by, "transfer_id": transfer}
    found = CentreClient().post(f"/v1/requests/{request}/payment", body)
    if as_json:
        show_json(found)
        return
    say(f"{found['id']} is {found['state']}: our case {found['case']}")


@command.command("refuse")
@click.argument("request")
@PARTNER
@REASON
@json_option
def refuse(request: str, *, partner: str, reason: str, as_json: bool) -> None:
    """Refuse a partner's request; the partner reads the reason."""
    from openaoc.cli.client import CentreClient

    body = {"partner": partner, "reason": reason}
    found = CentreClient().post(f"/v1/requests/{request}/refuse", body)
    if as_json:
        show_json(found)
        return
    say(f"{found['id']} is {found['state']}")


@command.command("match")
@click.argument("partner")
@click.argument("identifiers", nargs=-1, metavar="[KIND=VALUE]…")
@json_option
def match(partner: str, identifiers: tuple[str, ...], *, as_json: bool) -> None:
    """Match with a partner without showing: these identifiers, or all we hold an opinion on."""
    from openaoc.cli.client import CentreClient
    from openaoc.kernel.errors import BadInput

    body: dict[str, Any] = {"partner": partner}
    if identifiers:
        pairs = [text.partition("=") for text in identifiers]
        for kind, separator, value in pairs:
            if not (kind and separator and value):
                raise BadInput("write KIND=VALUE, as phone=+66812345678", where=kind)
        body["identifiers"] = [{"kind": kind, "value": value} for kind, _, value in pairs]
    found = CentreClient().post("/v1/matches", body)
    if as_json:
        show_json(found)
        return
    say(f"{found['asked']} asked, {found['hits']} known to both, {found['fresh']} of them new")


@command.command("hits")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def hits(limit: int, *, as_json: bool) -> None:
    """Identifiers that a partner and this centre both know."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/matches", "hits", limit=limit)
    if as_json:
        show_json({"hits": found})
        return
    show_table(
        ("hit", "partner", "found by", "kind", "value", "ask", "theirs", "closed"),
        [
            (
                one["id"],
                one["partner"],
                "us" if one["direction"] == "found" else "them",
                one["kind"],
                one["value"],
                one["contact"],
                one["reference"] or "",
                one["why_closed"] or "",
            )
            for one in found
        ],
    )


@command.command("close")
@click.argument("hit")
@REASON
@json_option
def close(hit: str, *, reason: str, as_json: bool) -> None:
    """Close a hit that was dealt with."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().post(f"/v1/matches/{hit}/close", {"reason": reason})
    if as_json:
        show_json(found)
        return
    say(f"{found['id']} is closed")


_PARTS = ("held", "located", "exited", "restituted", "not found")


def _sums(one: dict[str, Any]) -> tuple[str, ...]:
    amounts = one["amounts"]
    if amounts is None:
        return ("",) * len(_PARTS)
    return tuple(str(amounts[f"{part.replace(' ', '_')}_minor"]) for part in _PARTS)
