"""CLI: `openaoc exchange objects`, `tell` and `usefulness`: plain JSON, and what it was worth."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table


@click.command("objects")
@click.argument("partner")
@click.option("--after", default=0, type=click.IntRange(0), help="Only after this sequence.")
@json_option
def objects(partner: str, after: int, *, as_json: bool) -> None:
    """Show what a partner may have now, in order, at most 200."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/exchange/objects", partner=partner, after=after)
    if as_json:
        show_json(found)
        return
    rows = [
        (
            one["sequence"],
            one["released_at"],
            one["object"]["id"],
            one["object"]["fields"].get("value", ""),
            "revoked" if one["object"]["revoked"] else "",
        )
        for one in found["objects"]
    ]
    show_table(("no", "released", "object", "value", ""), rows)
    if found["more"]:
        say(f"more: --after {found['objects'][-1]['sequence']}")


@click.command("tell")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@json_option
def tell(file: Path, *, as_json: bool) -> None:
    """Tell a centre from FILE (plain JSON) what you know, as its partner, under your own key."""
    from openaoc.cli.client import CentreClient

    done = CentreClient().post("/v1/exchange/objects", content=file.read_bytes())
    if as_json:
        show_json(done)
        return
    signed = done["signed_by"] or "not signed"
    say(f"{done['taken']} of {done['objects']} taken, {signed}")
    show_table(("ref", "not taken"), [(one["ref"], one["reason"]) for one in done["not_taken"]])


@click.command("usefulness")
@json_option
def usefulness(*, as_json: bool) -> None:
    """Show what each partner gave that hit, what was wrong, and what of ours hit there."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/exchange/usefulness")
    if as_json:
        show_json(found)
        return
    rows = [
        (
            one["partner"],
            one["gave"]["given"],
            one["gave"]["hit"],
            "" if one["gave"]["lead_hours"] is None else one["gave"]["lead_hours"],
            one["gave"]["right"],
            one["gave"]["wrong"],
            one["gave"]["taken_back"],
            one["got"]["received"],
            one["got"]["sighted"],
            one["got"]["withdrawn"],
            f"{one['takedowns']['done']} of {one['takedowns']['asked']}",
            f"{one['advisories']['acknowledged']} of {one['advisories']['received']}",
        )
        for one in found["partners"]
    ]
    columns = ("partner", "gave", "hit", "hours before us", "right", "wrong", "taken back")
    more = ("received", "saw", "of it wrong", "taken down", "acknowledged")
    show_table((*columns, *more), rows)
    if found["others"]:
        say(f"others, by kind; counts below {found['hidden_below']} are not told")
        kinds = [
            (one["kind"], one["partners"], one["given"], one["hit"], one["received"])
            for one in found["others"]
        ]
        show_table(("kind", "partners", "gave", "hit", "received"), kinds)
