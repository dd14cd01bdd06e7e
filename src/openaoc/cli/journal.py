"""CLI: `openaoc journal verify`: every change of the centre, checked again from the rows up."""

from __future__ import annotations

import sys

import rich_click as click

from openaoc.cli.output import REFUSED, json_option, note, say, show_json


@click.group(help="Verify the journal of every change.")
def command() -> None:
    """The journal."""


@command.command("verify")
@json_option
def verify(*, as_json: bool) -> None:
    """Compute the whole Merkle log again and check every head; exit 1 when anything differs."""
    from openaoc.cli.client import CentreClient

    verdict = CentreClient().post("/v1/journal/verify")
    if as_json:
        show_json(verdict)
    else:
        words = "the journal is whole" if verdict["ok"] else "the journal is NOT whole"
        say(f"{words}: " + ", ".join(f"{k} {v}" for k, v in verdict.items() if _plain(v)))
        for problem in verdict.get("problems", []):
            note(f"  {problem}")
    if not verdict["ok"]:
        sys.exit(REFUSED)


def _plain(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)
