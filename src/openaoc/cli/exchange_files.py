"""CLI: `openaoc exchange export|import`: files for partners who have no other way."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table

FORMS = ("jsonl", "xlsx", "misp", "stix")
SIGNATURE_SUFFIX = ".sig"
BYTES = "application/octet-stream"


@click.command("export")
@click.argument("partner_code", metavar="PARTNER")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMS), default="jsonl", show_default=True)
@click.option("--after", default=0, type=click.IntRange(0), help="Only what is behind this mark.")
@json_option
def export_command(partner_code: str, file: Path, form: str, after: int, *, as_json: bool) -> None:
    """Write what a partner may have to FILE, and its signature to FILE.sig."""
    from openaoc.cli.client import CentreClient
    from openaoc.kernel.errors import Conflict

    signature = file.with_name(file.name + SIGNATURE_SUFFIX)
    for there in (file, signature):
        if there.exists():
            raise Conflict("is there already", where=str(there))
    path = f"/v1/exchange/files/{quote(partner_code, safe='')}"
    data, headers = CentreClient().download_with_headers(path, form=form, after=str(after))
    file.write_bytes(data)
    signature.write_text(headers["File-Signature"] + "\n", encoding="ascii")
    made = {
        "file": str(file),
        "signature": str(signature),
        "objects": int(headers["File-Objects"]),
        "lost": int(headers["File-Lost"]),
        "mark": int(headers["File-Mark"]),
        "more": headers["File-More"] == "yes",
    }
    if as_json:
        show_json(made)
        return
    say(f"{made['objects']} objects in {file}, signed in {signature}; mark {made['mark']}")
    if made["lost"]:
        say(f"{made['lost']} have no place in this format: use jsonl for all")
    if made["more"]:
        say(f"there is more: --after {made['mark']}")


@click.command("import")
@click.argument("partner_code", metavar="PARTNER")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMS), default="jsonl", show_default=True)
@click.option(
    "--signature",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Its detached signature; FILE.sig where that is there.",
)
@click.option("--vouched", default="", help="Why you answer for a file that is not signed.")
@json_option
def import_command(
    partner_code: str,
    file: Path,
    *,
    form: str,
    signature: Path | None,
    vouched: str,
    as_json: bool,
) -> None:
    """Bring a partner's file: it is taken whole, as the partner's word, or not at all."""
    from openaoc.cli.client import CentreClient

    beside = file.with_name(file.name + SIGNATURE_SUFFIX)
    signature = signature or (beside if beside.is_file() else None)
    headers = {}
    if signature is not None:
        headers["File-Signature"] = signature.read_text(encoding="ascii").strip()
    query = {"form": form, **({"vouched": vouched} if vouched else {})}
    path = f"/v1/exchange/files/{quote(partner_code, safe='')}"
    receipt = CentreClient().post(
        path, content=file.read_bytes(), content_type=BYTES, query=query, headers=headers
    )
    if as_json:
        show_json(receipt)
        return
    by = f"signed with {receipt['signed_by']}" if receipt["signed_by"] else "not signed"
    say(f"{receipt['taken']} of {receipt['objects']} objects taken, {by}")
    if receipt["lost"]:
        show_table(("not kept", "why"), [(one["path"], one["reason"]) for one in receipt["lost"]])
