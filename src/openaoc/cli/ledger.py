"""CLI: `openaoc ledger import FILE…` and `openaoc ledger accounts FILE`: files into the centre.

A file is read and checked whole on this side, so that one bad row stops all of it before anything
is sent; then it goes over as Arrow batches, each durable before the next. What contradicts the
ledger the centre alone can say, of a batch at a time.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from openaoc.cli.output import json_option, note, say, show_json
from openaoc.kernel.errors import OpenAOCError

if TYPE_CHECKING:
    import pyarrow as pa

    from openaoc.cli.client import CentreClient
    from openaoc.ledger.schema import TransferTable

ROWS_PER_BATCH: Final = 500_000
ARROW: Final = "application/vnd.apache.arrow.stream"
SHOWN_MAX: Final = 20
_IN_BODY: Final = re.compile(r"\bbody, row (\d+)\b")


@click.group(help="Bring transfers and openings into the centre.")
def command() -> None:
    """The ledger."""


@command.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--skip-bad", is_flag=True, help="Take the good rows; write the others beside the file."
)
@click.option("--assume-utc", is_flag=True, help="Take times without a zone as UTC.")
@json_option
def import_files(
    files: tuple[Path, ...], *, skip_bad: bool, assume_utc: bool, as_json: bool
) -> None:
    """Import transfers from Parquet, CSV or NDJSON into the running centre's ledger.

    With one bad row nothing of the files is taken, unless --skip-bad. Importing again changes
    nothing.
    """
    from openaoc.cli.client import CentreClient
    from openaoc.ledger.table import read_transfers, resolve_duplicates

    table = read_transfers(list(files), assume_utc=assume_utc, skip_bad=skip_bad)
    if table.rows > ROWS_PER_BATCH and table.table["corrects"].null_count == table.rows:
        # The centre refuses the batch that contradicts another: by then the other is taken. What
        # corrections correct, it alone knows.
        resolve_duplicates(table)
    for text in table.notes:
        note(text)
    for row in table.refused[:SHOWN_MAX]:
        note(f"refused: {row}")
    total = _send(CentreClient(), table)
    result: dict[str, Any] = {
        "files": [str(path) for path in files],
        "rows": table.rows,
        **total,
        "refused": len(table.refused),
    }
    if as_json:
        show_json(result)
        return
    say(
        f"{table.rows} transfers: {total['accepted']} new, {total['repeated']} known,"
        f" {total['corrected']} corrected, {len(table.refused)} refused"
    )


@command.command("accounts")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--at", help="RFC 3339; the balances' moment. Default: before every transfer.")
@json_option
def accounts(file: Path, at: str | None, *, as_json: bool) -> None:
    """Import opening balances: bank, account, opening_minor, currency."""
    from openaoc.cli.client import CentreClient
    from openaoc.ledger.accounts_file import read_accounts

    table = read_accounts(file)
    for text in table.notes:
        note(text)
    client, count = CentreClient(), 0
    for batch, _ in arrow_batches(table.table):
        query = {"at": at} if at is not None else {}
        receipt = client.post("/v1/ledger/accounts", content=batch, content_type=ARROW, query=query)
        count += receipt["accounts"]
    if as_json:
        show_json({"file": str(file), "accounts": count})
    else:
        say(f"{count} opening balances")


def arrow_batches(table: pa.Table) -> Iterator[tuple[bytes, int]]:
    """The table as Arrow streams of at most ROWS_PER_BATCH rows, with each one's rows."""
    import pyarrow as pa

    for start in range(0, table.num_rows, ROWS_PER_BATCH):
        part = table.slice(start, ROWS_PER_BATCH)
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, part.schema) as writer:
            writer.write_table(part)
        yield sink.getvalue(), part.num_rows


def _send(client: CentreClient, table: TransferTable) -> dict[str, int]:
    """Every batch, each durable before the next; how many rows were new, known, corrections.

    A refusal names the file and its row, not the row of what was sent.
    """
    total = {"accepted": 0, "repeated": 0, "corrected": 0}
    sent = 0
    with _progress(table.rows) as advance:
        for batch, rows in arrow_batches(table.table):
            try:
                receipt = client.post(
                    "/v1/ledger/transfers",
                    content=batch,
                    content_type=ARROW,
                    query={"live": "false"},
                )
            except OpenAOCError as error:
                error.detail = _IN_BODY.sub(partial(_in_file, table, sent), error.detail)
                if sent:
                    note(f"the first {sent} of {table.rows} transfers are in the ledger")
                    note("they may stay in the file: imported again, they change nothing")
                raise
            for name in total:
                total[name] += receipt[name]
            sent += rows
            advance(sent)
    return total


def _in_file(table: TransferTable, sent: int, found: re.Match[str]) -> str:
    file, row = table.place(sent + int(found[1]) - 1)
    return f"{file}, row {row}"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, on stderr as stdout has the document; nothing elsewhere."""
    if total <= ROWS_PER_BATCH or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("transfers", total=total)
        yield lambda done: bar.update(task, completed=done)
