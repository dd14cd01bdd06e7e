"""CLI: `openaoc report submit FILE|-` and `public`: a victim's report in; our own to the public."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.limits import REPORT_BODY_BYTES_MAX
from openaoc.kernel.money import format_money

STDIN: Final = "-"
FEW: Final = "few"
"""In place of a count that is too small to be published."""


@click.group(help="Submit a victim's report; show the centre's own report to the public.")
def command() -> None:
    """Reports."""


@command.command("submit")
@click.argument("file", metavar="FILE|-")
@json_option
def submit(file: str, *, as_json: bool) -> None:
    """Send a JSON report from FILE or, with `-`, from stdin.

    Prints the case number, the secret with which the victim follows it, and the orders.
    """
    from openaoc.cli.client import CentreClient

    content = read_report(file)
    receipt = CentreClient().post("/v1/reports", content=content)
    if as_json:
        show_json(receipt)
        return
    show_receipt(receipt, currency=currency_of(content))


@command.command("public")
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 3_660))
@json_option
def public(days: int, *, as_json: bool) -> None:
    """Show the public report of the last DAYS closed days.

    Requests of partners received, met and refused, by country and reason; holds, wrong ones, what
    was released and returned. What is too small to be published is shown as `few`.
    """
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/public-report", days=days)
    if as_json:
        show_json(found)
        return
    say(f"from {found['begins']} to before {found['ends']}; few: less than {found['cell_min']}")
    names = ("received", "met", "refused", "open")
    rows = [(c["jurisdiction"], *(_few(c[name]) for name in names)) for c in found["countries"]]
    show_table(("country", *names), [*rows, ("all", *(_few(found["total"][n]) for n in names))])
    if found["answer"]:
        took = found["answer"]
        say(f"ended after {took['p50_s']} s (median), 95 % within {took['p95_s']} s")
    if found["reasons"]:
        reasons = [(one["reason"], _few(one["count"])) for one in found["reasons"]]
        show_table(("refused because", "count"), reasons)
    show_table(
        ("holds", "count", "amount"),
        [
            (name, _few(one["count"]), _amount(one["amount_minor"], found["currency"]))
            for name in ("held", "wrong", "released", "returned")
            for one in (found[name],)
        ],
    )


def _few(count: int | None) -> str:
    return FEW if count is None else f"{count:,}"


def _amount(amount_minor: int | None, currency: str) -> str:
    return FEW if amount_minor is None else format_money(amount_minor, currency)


def read_report(file: str) -> bytes:
    """The report's bytes. Raises TooLarge, or BadInput when the file cannot be read."""
    try:
        if file == STDIN:
            content = sys.stdin.buffer.read(REPORT_BODY_BYTES_MAX + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(REPORT_BODY_BYTES_MAX + 1)
    except OSError as error:
        raise BadInput(error.strerror or "cannot be read", where=file) from error
    if len(content) > REPORT_BODY_BYTES_MAX:
        raise TooLarge(f"more than {REPORT_BODY_BYTES_MAX} bytes", where=file)
    return content


def currency_of(content: bytes) -> str:
    """The report's currency, for showing amounts; the centre has checked the report."""
    import msgspec

    document = msgspec.json.decode(content, type=dict[str, Any])
    return str(document["payments"][0]["currency"])


def show_receipt(receipt: dict[str, Any], *, currency: str) -> None:
    """The receipt for a person."""
    say(f"case      {receipt['case']}")
    say(f"secret    {receipt['secret']}")
    say(f"mode      {receipt['mode']}, standing {receipt['standing']}")
    say(f"located   {format_money(receipt['located_minor'], currency)}")
    say(f"exited    {format_money(receipt['exited_minor'], currency)}")
    for number, payment in enumerate(receipt["payments"], 1):
        found = payment["matched"] or f"{payment['candidates']} candidates"
        say(f"payment {number} {found}")
    if receipt["orders"]:
        rows = [
            (
                o["order"],
                o["institution"],
                format_money(o["amount_minor"], currency),
                o["state"],
                o["ends_at"],
            )
            for o in receipt["orders"]
        ]
        show_table(("order", "institution", "amount", "state", "ends"), rows)
    else:
        say("no orders")
