"""CLI: `openaoc script …`: what scammers say, without personal data, found again in other words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table

SHOWN_CHARACTERS = 60


@click.group(help="What scammers say and write: draft, approve, share, find again in other words.")
def command() -> None:
    """Scripts."""


@command.command("list")
@click.option("--state", help="Only drafted, approved or withdrawn ones.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_scripts(state: str | None, limit: int, *, as_json: bool) -> None:
    """List scripts, ours and partners', the last changed first."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/scripts", "scripts", limit=limit, state=state)
    if as_json:
        show_json({"scripts": found})
        return
    rows = [
        (s["id"], s["state"], s["partner"] or "", s["language"], s["medium"], _short(s["text"]))
        for s in found
    ]
    show_table(("script", "state", "from", "language", "medium", "begins"), rows)


@command.command("show")
@click.argument("script")
@json_option
def show(script: str, *, as_json: bool) -> None:
    """Show one."""
    from openaoc.cli.client import CentreClient

    _show(CentreClient().get(_path(script)), as_json=as_json)


@command.command("draft")
@click.option("--case", help="The case whose report tells it; its reporter's names go by itself.")
@click.option("--file", "file", help="The text, or - for what is typed; else the narrative.")
@click.option("--language", required=True, help="th, en, zh, vi, …")
@click.option("--medium", required=True, help="call, sms, chat, mail, site or advertisement.")
@click.option("--offence", "offences", required=True, multiple=True, help="A scam it is of.")
@click.option("--remove", "names", multiple=True, help="A name of a person in it.")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def draft(
    *,
    case: str | None,
    file: str | None,
    language: str,
    medium: str,
    offences: tuple[str, ...],
    names: tuple[str, ...],
    reason: str,
    as_json: bool,
) -> None:
    """Draft a script without personal data, for a person to read."""
    from openaoc.cli.client import CentreClient

    body: dict[str, Any] = {
        "language": language,
        "medium": medium,
        "offences": list(offences),
        "names": list(names),
        "reason": reason,
    }
    if case is not None:
        body["case"] = case
    if file is not None:
        body["text"] = _text(file)
    _show(CentreClient().post("/v1/scripts", body), as_json=as_json)


@command.command("approve")
@click.argument("script")
@click.option("--remove", "names", multiple=True, help="A name that is still in it.")
@click.option("--reason", required=True, help="That you read it; kept in the journal.")
@json_option
def approve(script: str, *, names: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Say that nobody can be told from it; it may leave by agreement."""
    from openaoc.cli.client import CentreClient

    body = {"reason": reason, "names": list(names)}
    _show(CentreClient().post(f"{_path(script)}/approve", body), as_json=as_json)


@command.command("withdraw")
@click.argument("script")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def withdraw(script: str, *, reason: str, as_json: bool) -> None:
    """Take a script of ours back, here and from everybody who received it."""
    from openaoc.cli.client import CentreClient

    _show(CentreClient().post(f"{_path(script)}/withdraw", {"reason": reason}), as_json=as_json)


@command.command("find")
@click.argument("file", metavar="FILE|-")
@json_option
def find(file: str, *, as_json: bool) -> None:
    """Find scripts that are alike, in other words or another language."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().post("/v1/scripts/find", {"text": _text(file)})
    if as_json:
        show_json(found)
        return
    rows = [
        (
            f["script"]["id"],
            f["wording"],
            f["meaning"],
            ", ".join(f["shared"]),
            f["script"]["language"],
            ", ".join(f["script"]["offences"]),
            _short(f["script"]["text"]),
        )
        for f in found["found"]
    ]
    columns = ("script", "wording %", "meaning %", "speaks of", "language", "scam", "begins")
    show_table(columns, rows)
    if not rows:
        say(f"none of {found['compared']} is alike; that does not mean that it is harmless")


def _path(script: str) -> str:
    return f"/v1/scripts/{quote(script, safe='')}"


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file}: not text in UTF-8") from error


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"


def _show(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    origin = one["partner"] or "ours"
    say(f"{one['id']}  {one['state']}  {origin}  {one['language']}, {one['medium']}")
    removed = ", ".join(f"{count} {kind}" for kind, count in one["removed"].items())
    say(f"taken out: {removed or 'nothing'}")
    say()
    say(one["text"])
