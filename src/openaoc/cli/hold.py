"""CLI: `openaoc hold list|release|approve|withdraw|convert|extend|answer|export|import`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli import telephone
from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.cli.sheets import export_orders, import_answers
from openaoc.kernel.money import format_money


@click.group(help="List, approve, answer and release hold orders.")
def command() -> None:
    """Hold orders."""


command.add_command(export_orders)
command.add_command(import_answers)


@command.command("list")
@click.option("--case", help="Only this case's orders.")
@click.option("--institution", help="Only orders to this institution.")
@click.option("--state", help="Only orders in this state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_holds(
    case: str | None, institution: str | None, state: str | None, limit: int, *, as_json: bool
) -> None:
    """List orders, newest first; an institution's key sees the orders addressed to it."""
    from openaoc.cli.client import CentreClient

    orders = CentreClient().pages(
        "/v1/holds", "orders", limit=limit, case=case, institution=institution, state=state
    )
    if as_json:
        show_json({"orders": orders})
        return
    rows = [
        (
            o["order"],
            o["case"],
            o["institution"],
            o["account"],
            format_money(o["amount_minor"], o["currency"]),
            format_money(o["held_minor"], o["currency"]),
            _state(o),
            o["ends_at"],
            o["notice_delayed_until"] or "at once",
        )
        for o in orders
    ]
    heads = ("order", "case", "institution", "account", "ordered", "held", "state", "ends", "told")
    show_table(heads, rows)


@command.command("release")
@click.argument("order")
@click.option("--reason", required=True, help="Why the money is given back; kept in the journal.")
@json_option
def release(order: str, reason: str, *, as_json: bool) -> None:
    """Give held money back to its holder."""
    _decide(order, "release", {"reason": reason}, as_json=as_json)


@command.command("withdraw")
@click.argument("order")
@click.option("--reason", required=True, help="Why the order is taken back.")
@json_option
def withdraw(order: str, reason: str, *, as_json: bool) -> None:
    """Take back an order that is not answered yet."""
    _decide(order, "withdraw", {"reason": reason}, as_json=as_json)


@command.command("approve")
@click.argument("order")
@json_option
def approve(order: str, *, as_json: bool) -> None:
    """Agree to an order that waits for a person."""
    _decide(order, "approve", {}, as_json=as_json)


@command.command("convert")
@click.argument("order")
@click.option("--authority", required=True, help="Whose measure: court or authority, number, date.")
@click.option("--reason", required=True, help="Why it takes the hold's place.")
@json_option
def convert(order: str, *, authority: str, reason: str, as_json: bool) -> None:
    """End a hold where a court's or authority's measure stands; the money stays blocked."""
    _decide(order, "convert", {"authority": authority, "reason": reason}, as_json=as_json)


@command.command("extend")
@click.argument("order")
@click.option("--until", required=True, help="When the measure ends: 2026-12-21T09:00:00+07:00.")
@click.option("--authority", required=True, help="Whose measure: court or authority, number, date.")
@click.option("--reason", required=True, help="Why the hold has to last.")
@json_option
def extend(order: str, *, until: str, authority: str, reason: str, as_json: bool) -> None:
    """Make a hold last until a court's or authority's measure ends."""
    body = {"until": until, "authority": authority, "reason": reason}
    _decide(order, "extend", body, as_json=as_json)


@command.command("answer")
@click.argument("order")
@click.option(
    "--applied", "applied_minor", type=click.IntRange(min=0), help="Blocked, in minor units."
)
@click.option("--available", "available_minor", type=click.IntRange(min=0), help="What was there.")
@click.option("--refused", "refused", is_flag=True, help="Nothing is blocked.")
@click.option("--unknown-account", "unknown", is_flag=True, help="There is no such account.")
@click.option("--reason", help="Why, in a few words.")
@click.option("--bank-case-id", help="The institution's own case number.")
@click.option(
    "--onward",
    "onward",
    type=(str, str, str, click.IntRange(min=1)),
    multiple=True,
    metavar="TRANSFER_ID TIME TO AMOUNT",
    help="A payment by which money went on, as often as needed; TO is BANK:ACCOUNT, or the way "
    "it left by, such as cash_withdrawal.",
)
@json_option
def answer(
    order: str,
    applied_minor: int | None,
    available_minor: int | None,
    reason: str | None,
    bank_case_id: str | None,
    onward: tuple[tuple[str, str, str, int], ...],
    *,
    refused: bool,
    unknown: bool,
    as_json: bool,
) -> None:
    """Answer an order from the liaison's desk: --applied AMOUNT, --refused or --unknown-account."""
    from openaoc.cli.client import CentreClient

    if [applied_minor is not None, refused, unknown].count(True) != 1:
        raise click.UsageError("give exactly one of --applied, --refused, --unknown-account")
    outcome = "refused" if refused else "unknown_account" if unknown else "applied"
    body: dict[str, Any] = {"outcome": outcome, "applied_minor": applied_minor or 0}
    extra = {
        "available_minor": available_minor,
        "reason": reason,
        "bank_case_id": bank_case_id,
    }
    body |= {name: value for name, value in extra.items() if value is not None}
    if onward:
        asked = CentreClient().get(f"/v1/holds/{quote(order, safe='')}")
        body["onward"] = [_onward(asked, *payment) for payment in onward]
    _decide(order, "answers", body, as_json=as_json)


def _onward(
    order: dict[str, Any], transfer_id: str, booked_at: str, to: str, amount_minor: int
) -> dict[str, Any]:
    """A payment out of the order's account as a row of the transfers format."""
    bank, colon, account = to.partition(":")
    creditor = {"creditor_bank": bank, "creditor_account": account} if colon else {"channel": to}
    return {
        "transfer_id": transfer_id,
        "booked_at": booked_at,
        "debtor_bank": order["institution"],
        "debtor_account": order["account"],
        "amount_minor": amount_minor,
        "currency": order["currency"],
        **creditor,
    }


for one in (telephone.notice, telephone.paper, telephone.check, telephone.answer_by_phone):
    command.add_command(one)


def _decide(order: str, verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    view = CentreClient().post(f"/v1/holds/{quote(order, safe='')}/{verb}", body)
    if as_json:
        show_json(view)
        return
    held = format_money(view["held_minor"], view["currency"])
    say(f"{view['order']}  {_state(view)}  held {held}")


def _state(order: dict[str, Any]) -> str:
    """The order's state; of one in shadow also that it is, as nobody is told of it."""
    return f"{order['state']}" + ("" if order["mode"] == "live" else ", in shadow")
