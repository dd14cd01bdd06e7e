"""CLI: `openaoc hold export|import`: orders and answers by spreadsheet."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from openaoc.cli.output import REFUSED, json_option, note, say, show_json, show_table
from openaoc.kernel.errors import Refused

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--institution", help="Whose orders; an institution's own key needs no name.")
@json_option
def export_orders(file: Path, institution: str | None, *, as_json: bool) -> None:
    """Write the orders an institution has not answered into a spreadsheet to fill in."""
    from openaoc.cli.client import CentreClient

    if file.exists():
        raise Refused("the file is there already", where=str(file))
    data = CentreClient().download("/v1/spreadsheets/orders", institution=institution)
    file.write_bytes(data)
    if as_json:
        show_json({"file": str(file), "bytes": len(data)})
    else:
        say(f"{file}: fill in the green cells and bring it back with `openaoc hold import {file}`")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@json_option
def import_answers(file: Path, *, as_json: bool) -> None:
    """Answer orders with a filled-in spreadsheet, with an institution's key.

    A cell that cannot be read refuses the whole file, and every such cell is named. Importing
    again changes nothing.
    """
    from openaoc.cli.client import CentreClient

    receipt = CentreClient().post(
        "/v1/spreadsheets/answers", content=file.read_bytes(), content_type=XLSX
    )
    refused = [one for one in receipt["answers"] if one["problem"]]
    if as_json:
        show_json(receipt)
    else:
        show_table(
            ("row", "order", "result"),
            [(a["place"], a["order"], a["state"] or a["problem"]) for a in receipt["answers"]],
        )
        say(f"{len(receipt['answers']) - len(refused)} answers, {receipt['onward']} onward")
    if refused:
        note(f"openaoc: {len(refused)} of {len(receipt['answers'])} answers were not taken")
        sys.exit(REFUSED)
