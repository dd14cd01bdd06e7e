"""CLI: `openaoc trace`: follow stolen money through files of transfers.

Needs no centre and changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from openaoc.cli.output import json_option, note, say, show_json, show_table, working
from openaoc.kernel.clock import format_time, parse_time, to_us
from openaoc.kernel.money import format_money

if TYPE_CHECKING:
    from openaoc.tracing.files import FileLedger
    from openaoc.tracing.model import Trace

_FILE = click.Path(path_type=Path)


@click.command("trace")
@click.option(
    "--transfers",
    "transfers",
    type=_FILE,
    multiple=True,
    required=True,
    metavar="FILE",
    help="Parquet, CSV or NDJSON; more than one is read in the order given.",
)
@click.option("--accounts", type=_FILE, metavar="FILE", help="Opening balances.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    required=True,
    metavar="[REPORTER/]TRANSFER_ID[=AMOUNT_MINOR]",
    help="A payment that was lost, and how much of it; repeat in the order of filing.",
)
@click.argument("more_origins", nargs=-1, metavar="[ORIGIN]...")
@click.option(
    "--rule",
    type=click.Choice(["fifo", "lifo", "pro-rata"]),
    default="fifo",
    show_default=True,
    help="Which money an outflow takes first.",
)
@click.option("--at", metavar="TIME", help="RFC 3339; default: the end of the files.")
@click.option(
    "--hubs", type=_FILE, metavar="FILE", help="Pooled accounts (bank,account[,currency])."
)
@click.option(
    "--dust",
    type=click.IntRange(min=0),
    default=0,
    metavar="MINOR",
    help="Do not follow less than this onto an account.",
)
@click.option("--assume-utc", is_flag=True, help="Take times without a zone as UTC.")
@click.option("--skip-bad", is_flag=True, help="Leave bad rows out; they are written beside.")
@json_option
def command(
    transfers: tuple[Path, ...],
    accounts: Path | None,
    origins: tuple[str, ...],
    more_origins: tuple[str, ...],
    rule: str,
    at: str | None,
    hubs: Path | None,
    dust: int,
    *,
    assume_utc: bool,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Follow stolen money through files of transfers, to the minor unit.

    loss = located + held + exited + dropped, always.
    """
    from openaoc.tracing.files import read_ledger
    from openaoc.tracing.model import Rule

    moment = None if at is None else parse_time(at, where="--at", assume_utc=assume_utc)
    with working("reading transfers"):
        ledger = read_ledger(transfers, accounts=accounts, assume_utc=assume_utc, skip_bad=skip_bad)
    for line in ledger.table.notes:
        note(line)
    pooled = _hubs(ledger, hubs)
    with working("tracing"):
        trace = ledger.trace(
            (*origins, *more_origins),
            rule=Rule(rule),
            at_us=None if moment is None else to_us(moment),
            hubs=pooled,
            dust_minor=dust,
        )
    if as_json:
        show_json(trace)
    else:
        _show(trace)


def _hubs(ledger: FileLedger, path: Path | None) -> frozenset[int]:
    """The listed pooled accounts that the ledger knows; says how many it does not."""
    if path is None:
        return frozenset()
    from openaoc.tracing.hubs import read_hubs

    listed = read_hubs(path)
    found, unknown = ledger.numbers_of(listed)
    if unknown:
        note(f"{unknown} of {len(listed)} accounts in {path} have no transfer in the files")
    return found


def _show(trace: Trace) -> None:
    currency = trace.currency

    def money(amount: int) -> str:
        return format_money(amount, currency)

    say(f"loss {money(trace.loss_minor)} by {trace.rule} at {format_time(trace.at)}")
    for name, amount in (("overlap", trace.overlap_minor), ("dropped", trace.dropped_minor)):
        if amount:
            say(f"{name} {money(amount)}")
    located = sum(item.amount_minor for item in trace.located)
    exited = sum(item.amount_minor for item in trace.exited)
    say(f"located {money(located)} on {len(trace.located)} accounts")
    if trace.located:
        show_table(
            ("bank", "account", "amount", "layer", "received", ""),
            [
                (
                    item.bank,
                    item.account,
                    money(item.amount_minor),
                    item.layer,
                    format_time(item.received_at),
                    "pooled" if item.hub else "returned" if item.returned else "",
                )
                for item in trace.located
            ],
        )
    say(f"exited {money(exited)} by {len(trace.exited)} transfers")
    if trace.exited:
        show_table(
            ("channel", "bank", "account", "amount", "transfer"),
            [
                (out.channel, out.bank, out.account, money(out.amount_minor), out.transfer_id)
                for out in trace.exited
            ],
        )
    if trace.truncated:
        say(f"truncated: the limit of {trace.truncated} was reached; the sums still hold")
