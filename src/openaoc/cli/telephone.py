"""CLI: `openaoc hold notice|paper|check|answer-by-phone`: what people pass on by hand or voice."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json
from openaoc.kernel.money import format_money


@click.command("notice")
@click.argument("order")
@json_option
def notice(order: str, *, as_json: bool) -> None:
    """What the holder is to be told, with the contest code; with an institution's key."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get(f"/v1/holds/{quote(order, safe='')}/notice")
    if as_json:
        show_json(found)
        return
    say(found["text"]["th"])
    say(found["text"]["en"])


@click.command("paper")
@click.argument("order")
@click.option("--out", type=click.Path(path_type=Path), help="Write a page to print (A4, HTML).")
@click.option("--language", default="th", type=click.Choice(["th", "en"]), show_default=True)
@json_option
def paper(order: str, *, out: Path | None, language: str, as_json: bool) -> None:
    """Print an order to read over the telephone, with the code its bank checks it by."""
    from openaoc.cli.client import CentreClient

    printed = CentreClient().post(f"/v1/holds/{quote(order, safe='')}/paper", {})
    if out is not None:
        _write(printed, out, language)
    if as_json:
        show_json(printed)
        return
    said = printed["order"]
    say(f"{said['order']}  {said['institution']}  {said['account']}")
    say(f"{format_money(said['amount_minor'], said['currency'])} until {said['ends_at']}")
    say(f"check code {printed['code']} at {printed['check_at']}")


def _write(printed: dict[str, Any], out: Path, language: str) -> None:
    import msgspec

    from openaoc.holds.telephone import Paper
    from openaoc.web.paper import render_paper

    page = render_paper(msgspec.convert(printed, Paper), language=language)
    out.write_text(page, "utf-8")


@click.command("check")
@click.argument("order")
@click.argument("code")
@json_option
def check(order: str, code: str, *, as_json: bool) -> None:
    """Check an order that was read over the telephone: valid or not, no more."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().post("/v1/orders/check", {"order": order, "code": code})
    if as_json:
        show_json(found)
    else:
        say("valid" if found["valid"] else "not valid: do not act")


@click.command("answer-by-phone")
@click.argument("order")
@click.option("--spoke-to", required=True, help="Name and desk; sealed as an identity.")
@click.option("--at", "spoken_at", required=True, help="When it was said (RFC 3339).")
@click.option(
    "--applied", "applied_minor", type=click.IntRange(min=0), help="Blocked, in minor units."
)
@click.option("--refused", is_flag=True, help="Nothing is blocked.")
@click.option("--unknown-account", "unknown", is_flag=True, help="There is no such account.")
@click.option("--reason", help="Why, in a few words.")
@click.option("--bank-case-id", help="The institution's own case number.")
@json_option
def answer_by_phone(
    order: str,
    *,
    spoke_to: str,
    spoken_at: str,
    applied_minor: int | None,
    refused: bool,
    unknown: bool,
    reason: str | None,
    bank_case_id: str | None,
    as_json: bool,
) -> None:
    """Type in what a silent institution answered by telephone."""
    from openaoc.cli.client import CentreClient

    if [applied_minor is not None, refused, unknown].count(True) != 1:
        raise click.UsageError("give exactly one of --applied, --refused, --unknown-account")
    body: dict[str, Any] = {
        "outcome": "refused" if refused else "unknown_account" if unknown else "applied",
        "applied_minor": applied_minor or 0,
        "spoke_to": spoke_to,
        "spoken_at": spoken_at,
    }
    extra = {"reason": reason, "bank_case_id": bank_case_id}
    body |= {name: value for name, value in extra.items() if value is not None}
    path = f"/v1/holds/{quote(order, safe='')}/telephone-answer"
    view = CentreClient().post(path, body)
    if as_json:
        show_json(view)
    else:
        held = format_money(view["held_minor"], view["currency"])
        say(f"{view['order']}  {view['state']}  held {held}")
