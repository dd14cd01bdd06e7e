"""CLI: `openaoc case control ask|prove`: the reporter proves to control the paying account."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table

SECRET_VARIABLE: Final = "OPENAOC_CASE_SECRET"  # noqa: S105 - a name, not a secret
SECRET_HEADER: Final = "OpenAOC-Case-Secret"  # noqa: S105 - a name, not a secret


@click.group(help="Prove that the reporter controls the paying account.")
def command() -> None:
    """Account control."""


@command.command("ask")
@click.argument("case")
@click.option(
    "--secret", envvar=SECRET_VARIABLE, help="The case's secret; without it, by your own key."
)
@json_option
def ask(case: str, secret: str | None, *, as_json: bool) -> None:
    """Have the paying accounts' institutions show their holders a code."""
    found = _post(case, "control-checks", {}, secret)
    if as_json:
        show_json(found)
        return
    rows = [
        (a["institution"], a["account"], a["state"], a["ends_at"] or "", a["why"] or "")
        for a in found["accounts"]
    ]
    show_table(("institution", "account", "state", "until", "why"), rows)


@command.command("prove")
@click.argument("case")
@click.argument("code")
@click.option(
    "--secret",
    envvar=SECRET_VARIABLE,
    prompt="The case's secret",
    hide_input=True,
    help="The case's secret; better in OPENAOC_CASE_SECRET or asked for than on the command line.",
)
@json_option
def prove(case: str, code: str, *, secret: str, as_json: bool) -> None:
    """Give back the code: with the last one needed, the case's orders go out."""
    proven = _post(case, "control", {"code": code}, secret)
    if as_json:
        show_json(proven)
        return
    left = f", {proven['left']} more paying accounts to prove" if proven["left"] else ""
    say(f"{proven['case']}  proven; standing {proven['standing']}{left}")


def _post(case: str, verb: str, body: dict[str, Any], secret: str | None) -> Any:
    from openaoc.cli.client import CentreClient

    headers = {SECRET_HEADER: secret} if secret else {}
    return CentreClient().post(f"/v1/cases/{quote(case, safe='')}/{verb}", body, headers=headers)
