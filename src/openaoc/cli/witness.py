"""CLI: `openaoc witness`: run an outside witness of a centre's journal. Needs no centre here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table

DEFAULT_PORT: Final = 8451
folder_argument = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.group(help="Run an outside witness of a centre's journal.")
def command() -> None:
    """A witness."""


@command.command("trust")
@folder_argument
@click.argument("key")
@json_option
def trust(folder: Path, key: str, *, as_json: bool) -> None:
    """Keep a book for the centre whose first journal key is KEY (`openaoc journal keys`)."""
    from openaoc.continuity.witness import Witness
    from openaoc.kernel.clock import SystemClock

    witness = Witness(folder, clock=SystemClock())
    centre = witness.trust(key)
    if as_json:
        show_json({"centre": centre, "witness_key": witness.public_key})
        return
    say(f"keeps a book for centre {centre}")
    say(f"this witness's key, for `openaoc journal witness add`: {witness.public_key}")


@command.command("serve")
@folder_argument
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=DEFAULT_PORT, show_default=True, type=click.IntRange(0, 65535))
@json_option
def serve(folder: Path, host: str, port: int, *, as_json: bool) -> None:
    """Take heads that extend each other, sign and keep them in FOLDER, until Ctrl-C."""
    from openaoc.cli.ending import told_to_end
    from openaoc.cli.logs import configure
    from openaoc.continuity.witness import Witness, alone
    from openaoc.continuity.witness_http import serving
    from openaoc.kernel.clock import SystemClock

    configure(level="info")
    with (
        alone(folder),
        told_to_end() as ended,
        serving(witness := Witness(folder, clock=SystemClock()), host=host, port=port) as url,
    ):
        if as_json:
            show_json({"url": url, "witness_key": witness.public_key, "centres": witness.centres()})
        else:
            say(f"witness on {url}, key {witness.public_key}")
        ended.wait()


@command.command("book")
@folder_argument
@click.argument("centre")
@json_option
def book(folder: Path, centre: str, *, as_json: bool) -> None:
    """Show everything kept of a centre: heads, accepted restores, contradictions."""
    from openaoc.continuity.witness import Witness
    from openaoc.kernel.clock import SystemClock

    records = Witness(folder, clock=SystemClock()).book(centre)
    if as_json:
        show_json({"centre": centre, "records": records})
        return
    rows = [(one.kind, one.head.size, one.head.root[:16], one.at, one.reason) for one in records]
    show_table(("kind", "rows", "root", "at", "why"), rows)


@command.command("accept-restore")
@folder_argument
@click.argument("centre")
@click.option("--size", required=True, type=click.IntRange(0), help="Of the head it goes on from.")
@click.option("--reason", required=True, help="Who asked, and how you checked. Kept for good.")
@json_option
def accept_restore(folder: Path, centre: str, size: int, reason: str, *, as_json: bool) -> None:
    """Let a centre that was restored go on from an earlier head. The witness must be stopped."""
    from openaoc.continuity.witness import Witness, alone
    from openaoc.kernel.clock import SystemClock

    with alone(folder):
        record = Witness(folder, clock=SystemClock()).branch(centre, size=size, reason=reason)
    if as_json:
        show_json(record)
    else:
        say(f"centre {centre} may go on from its head of {record.head.size} rows")
