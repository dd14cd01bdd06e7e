"""CLI: `openaoc institution pooled list|add|remove|find`: where traces stop and a person asks."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table


@click.group(help="Pooled accounts: a bank's own, an acquirer's, an exchange's omnibus.")
def command() -> None:
    """Pooled accounts."""


@command.command("list")
@click.argument("code")
@json_option
def list_pooled(code: str, *, as_json: bool) -> None:
    """List an institution's pooled accounts, proposed and confirmed."""
    from openaoc.cli.client import CentreClient

    _show(CentreClient().get(_path(code)), as_json=as_json)


@command.command("add")
@click.argument("code")
@click.argument("account")
@click.option(
    "--kind", required=True, help="acquirer (merchants'), omnibus (customers') or own (the bank's)."
)
@click.option("--reason", required=True, help="How it is known that many people's money is there.")
@json_option
def add(code: str, account: str, *, kind: str, reason: str, as_json: bool) -> None:
    """List a pooled account, or confirm a proposal; with an institution's key it is proposed."""
    from openaoc.cli.client import CentreClient

    body = {"account": account, "kind": kind, "reason": reason}
    added = CentreClient().post(_path(code), body)
    if as_json:
        show_json(added)
    else:
        say(f"{added['institution']}  {added['account']}  {added['kind']}  {added['state']}")


@command.command("remove")
@click.argument("code")
@click.argument("account")
@click.option("--reason", required=True, help="Why traces may go on through it.")
@json_option
def remove(code: str, account: str, *, reason: str, as_json: bool) -> None:
    """Take an account off the list, or drop a proposal."""
    from openaoc.cli.client import CentreClient

    query = urlencode({"reason": reason})
    CentreClient().delete(f"{_path(code)}/{quote(account, safe='')}?{query}")
    if as_json:
        show_json({"institution": code, "removed": account})
    else:
        say(f"{code}  {account} is not pooled any more")


@command.command("find")
@click.option(
    "--counterparties",
    default=2_000,
    show_default=True,
    type=click.IntRange(100, 10_000_000),
    help="At least so many different accounts pay it or are paid by it.",
)
@json_option
def find(counterparties: int, *, as_json: bool) -> None:
    """Propose accounts with very many counterparties; a person confirms with `add`."""
    from openaoc.cli.client import CentreClient

    body = {"counterparties_min": counterparties}
    _show(CentreClient().post("/v1/pooled-accounts/search", body), as_json=as_json)


def _path(code: str) -> str:
    return f"/v1/institutions/{quote(code, safe='')}/pooled-accounts"


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    rows = [
        (
            a["institution"],
            a["account"],
            a["kind"],
            a["state"],
            a["counterparties"] or "",
            a["reason"],
        )
        for a in found["accounts"]
    ]
    show_table(("institution", "account", "kind", "state", "counterparties", "reason"), rows)
