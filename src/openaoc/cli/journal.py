"""CLI: `openaoc journal`: every change checked again, heads shown, witnesses, keys."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import rich_click as click

from openaoc.cli.output import REFUSED, json_option, note, say, show_json, show_table, working

WITNESSES_LEAST: Final = 2
"""One may be bought, lost or late."""


@click.group(help="Verify the journal of every change.")
def command() -> None:
    """The journal."""


@command.command("verify")
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="URL[#KEY]",
    help="Compare with what this witness kept; may be repeated. KEY is its public key.",
)
@click.option("--head", "files", multiple=True, type=click.Path(path_type=Path, exists=True))
@json_option
def verify(witnesses: Sequence[str], files: Sequence[Path], *, as_json: bool) -> None:
    """Compute the whole Merkle log again and check every head; exit 1 when anything differs.

    With --witness, or --head FILE with heads that were saved, the comparison is made here and not
    by the centre: an administrator who rewrote everything and signed it anew is found out.
    """
    from openaoc.cli.client import CentreClient
    from openaoc.continuity.witness_client import check_url

    urls = [*witnesses, *(f"file:{path.absolute()}" for path in files)]
    for text in urls:
        check_url(text.partition("#")[0])
    client = CentreClient()
    with working("the centre walks its journal"):
        verdict = client.post("/v1/journal/verify")
    found = _compare(client, urls) if urls else []
    ok = bool(verdict["ok"]) and all(one.ok for one in found)
    if as_json:
        show_json({**verdict, "ok": ok, "witnesses": found})
    else:
        say(
            f"{_headline(verdict, found)}: "
            + ", ".join(f"{k} {v}" for k, v in verdict.items() if _plain(v))
        )
        if verdict.get("fault"):
            note(f"  {verdict['fault']['reason']}")
        for one in found:
            told = "CONTRADICTS" if one.answered else "not compared"
            text = f"agrees on {one.size} rows" if one.ok else f"{told}: {one.problem}"
            say(f"  {one.witness}  {text}")
    if not ok:
        sys.exit(REFUSED)


def _headline(verdict: dict[str, Any], found: Sequence[Any]) -> str:
    """A witness that cannot be asked says nothing against the journal, and nothing for it."""
    if not verdict["ok"] or any(one.answered and not one.ok for one in found):
        return "the journal is NOT whole"
    if all(one.answered for one in found):
        return "the journal is whole"
    return "the journal is whole here, and not every witness could be asked"


def _compare(client: Any, urls: Sequence[str]) -> list[Any]:
    import msgspec

    from openaoc.continuity.witness_check import WitnessFinding, compare
    from openaoc.storage.journal_heads import Head
    from openaoc.storage.journal_keys import KeySet, Succession, decode_public

    told = client.get("/v1/journal/keys")
    successions = msgspec.convert(told["successions"], list[Succession])
    keys = KeySet(decode_public(told["first_key"]), successions)
    head = msgspec.convert(client.get("/v1/journal/head"), Head)
    if not keys.verify(head):
        problem = "the centre's own head is not signed by its key"
        return [WitnessFinding(witness=url, size=0, ok=False, problem=problem) for url in urls]

    def proof(old: int, new: int) -> list[str]:
        path: list[str] = client.get("/v1/journal/consistency", old=old, new=new)["path"]
        return path

    found = []
    for text in urls:
        url, _, key = text.partition("#")
        centre = told["centre"]
        found.append(compare(url, key=key, centre=centre, keys=keys, head=head, proof=proof))
    return found


def _plain(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


@command.command("head")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Append it here.")
@json_option
def head(save: Path | None, *, as_json: bool) -> None:
    """Show the newest signed head, to be printed or kept where the centre's people cannot reach."""
    import msgspec

    from openaoc.cli.client import CentreClient
    from openaoc.continuity.witness_client import append_head
    from openaoc.storage.journal_heads import Head

    newest = msgspec.convert(CentreClient().get("/v1/journal/head"), Head)
    if save is not None:
        append_head(save, newest)
    if as_json:
        show_json(newest)
        return
    say(f"journal of {newest.size} rows at {newest.at}")
    groups = [newest.root[place : place + 8] for place in range(0, len(newest.root), 8)]
    say("root  " + " ".join(groups))
    say(f"key   {newest.key_id}")
    say(f"sig   {newest.signature}")


@command.command("keys")
@click.option("--rotate", is_flag=True, help="Sign with a fresh key from now on.")
@json_option
def keys(*, rotate: bool, as_json: bool) -> None:
    """Show the keys that sign heads: a witness is told the first one."""
    from openaoc.cli.client import CentreClient

    client = CentreClient()
    if rotate:
        client.post("/v1/journal/keys/rotate")
    told = client.get("/v1/journal/keys")
    if as_json:
        show_json(told)
        return
    say(f"centre     {told['centre']}")
    say(f"first key  {told['first_key']}")
    for one in told["successions"]:
        say(f"then       {one['new']}  for more than {one['until_size']} rows, {one['at']}")


@command.group("witness", help="Where heads are kept outside of the centre.")
def witness() -> None:
    """Witnesses."""


@witness.command("add")
@click.argument("url")
@click.option("--key", default="", help="Its public key, as its operator told you.")
@json_option
def witness_add(url: str, key: str, *, as_json: bool) -> None:
    """Offer every head to the witness at URL (http, https, or file:/path) from now on."""
    from openaoc.cli.client import CentreClient
    from openaoc.continuity.witness_client import WitnessClient, check_url, is_file

    place = check_url(url)
    if not key and not is_file(place):
        key = WitnessClient(place).info().key
        note(f"the witness says that its key is {key}: compare it with what its operator told you")
    added = CentreClient().post("/v1/journal/witnesses", {"url": place, "key": key})
    if as_json:
        show_json(added)
    else:
        say(f"{added['url']}  {added['key']}")


@witness.command("remove")
@click.argument("url")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def witness_remove(url: str, reason: str, *, as_json: bool) -> None:
    """Offer it nothing more; what it kept, it keeps."""
    from openaoc.cli.client import CentreClient

    done = CentreClient().post("/v1/journal/witnesses/remove", {"url": url, "reason": reason})
    if as_json:
        show_json(done)
    else:
        say(f"{done['url']} is offered nothing more")


@witness.command("list")
@json_option
def witness_list(*, as_json: bool) -> None:
    """Show every witness, how far it has signed, and whether it answers."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/journal/witnesses")
    if as_json:
        show_json(found)
        return
    rows = [(w["url"], w["size"], w["seen_at"], w["last_error"]) for w in found["witnesses"]]
    show_table(("witness", "rows", "last seen", "error"), rows)
    if len(rows) < WITNESSES_LEAST:
        note(f"have at least {WITNESSES_LEAST} witnesses, with people who do not report to you")
