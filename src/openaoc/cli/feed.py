"""CLI: `openaoc exchange collections|feed|received|context`: TAXII and MISP, for its staff."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table

PROFILES = ("core", "opencti", "misp")
CONTEXT = ("campaign", "report", "course-of-action", "identity", "relationship")


@click.command("collections")
@click.argument("partner_code", metavar="PARTNER")
@click.option("--profile", type=click.Choice(PROFILES), default="core", show_default=True)
@json_option
def collections(partner_code: str, *, profile: str, as_json: bool) -> None:
    """Open a partner's two TAXII collections, or set the profile they are written in."""
    from openaoc.cli.client import CentreClient

    body = {"partner": partner_code, "profile": profile}
    found = CentreClient().post("/v1/exchange/collections", body)
    if as_json:
        show_json(found)
        return
    rows = [(c["id"], c["kind"], c["profile"], c["title"]) for c in found["collections"]]
    show_table(("id", "kind", "profile", "title"), rows)


@click.group("feed", help="Partners' collections and MISP feeds, read or written on schedule.")
def feed() -> None:
    """Feeds."""


@feed.command("add")
@click.argument("partner_code", metavar="PARTNER")
@click.argument("url")
@click.argument("collection", required=False)
@click.option("--misp", is_flag=True, help="A MISP feed: URL is where its manifest.json lies.")
@click.option("--username", help="For a password; openaoc for TAXII, for MISP none.")
@click.option("--secret-file", type=click.Path(exists=True, dir_okay=False), required=True)
@click.option("--publish", is_flag=True, help="Write what is released into it.")
@click.option("--every", "every_s", type=int, default=60, show_default=True, help="Seconds.")
@json_option
def add(
    partner_code: str,
    *,
    url: str,
    collection: str | None,
    misp: bool,
    username: str | None,
    secret_file: str,
    publish: bool,
    every_s: int,
    as_json: bool,
) -> None:
    """Read COLLECTION of the API root at URL from now on; its password is in a file.

    With --misp: the MISP feed at URL. Without --username the file is the Authorization header.
    """
    from openaoc.cli.client import CentreClient

    if misp == (collection is not None):
        raise click.UsageError("a COLLECTION, or --misp")
    body = {
        "partner": partner_code,
        "url": url,
        "form": "misp" if misp else "taxii",
        "collection": collection or "",
        "username": username,
        "secret": Path(secret_file).read_text("utf-8").strip(),
        "publish": publish,
        "every_s": every_s,
    }
    made = CentreClient().post("/v1/exchange/feeds", body)
    if as_json:
        show_json(made)
        return
    say(f"{made['id']}  {made['form']}  {made['url']}  {made['collection']}")


@feed.command("list")
@json_option
def list_feeds(*, as_json: bool) -> None:
    """Show feeds, how far each was read, and what went wrong last."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/exchange/feeds")
    if as_json:
        show_json(found)
        return
    rows = [
        (
            f["id"],
            f["partner"],
            f["form"],
            f["url"],
            f["added_after"],
            f["failures"],
            f["last_error"],
        )
        for f in found["feeds"]
    ]
    columns = ("id", "partner", "form", "url", "read up to", "failures", "last error")
    show_table(columns, rows)


@feed.command("remove")
@click.argument("feed_id", metavar="FEED")
@json_option
def remove(feed_id: str, *, as_json: bool) -> None:
    """Read a feed no more."""
    from openaoc.cli.client import CentreClient

    CentreClient().delete(f"/v1/exchange/feeds/{quote(feed_id, safe='')}")
    if as_json:
        show_json({"id": feed_id, "removed": True})
    else:
        say(f"{feed_id} is read no more")


@click.command("received")
@click.option("--partner", "partner_code", metavar="PARTNER")
@click.option("--after", type=int, default=0, help="A sequence.")
@json_option
def received(*, partner_code: str | None, after: int, as_json: bool) -> None:
    """Show what partners sent over TAXII or MISP, and what could not be kept, of ours too."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/exchange/received", partner=partner_code, after=after)
    if as_json:
        show_json(found)
        return
    rows = [
        (
            r["sequence"],
            r["partner"],
            "out" if r["released"] else "in",
            r["at"],
            r["objects"],
            r["kept"],
            r["lost"],
        )
        for r in found["receipts"]
    ]
    show_table(("no", "partner", "way", "at", "objects", "kept", "lost"), rows)
    for one in found["receipts"]:
        for lost in one["report"]:
            say(f"{one['sequence']}  {lost['path']}: {lost['reason']}")


@click.command("context")
@click.option("--partner", "partner_code", metavar="PARTNER")
@click.option("--kind", type=click.Choice(CONTEXT))
@click.option("--cursor", help="The cursor of the page before.")
@json_option
def context(
    *, partner_code: str | None, kind: str | None, cursor: str | None, as_json: bool
) -> None:
    """Show what partners told beside indicators: campaigns, reports, what to do."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get(
        "/v1/exchange/context", partner=partner_code, kind=kind, cursor=cursor
    )
    if as_json:
        show_json(found)
        return
    rows = [
        (
            t["partner"],
            t["object"]["kind"],
            t["object"]["modified"],
            t["object"]["marking"],
            t["object"]["fields"].get("name", ""),
            t["object"]["id"],
        )
        for t in found["told"]
    ]
    show_table(("partner", "kind", "said", "marking", "name", "id"), rows)
    if found["cursor"] is not None:
        say(f"more: --cursor {found['cursor']}")
