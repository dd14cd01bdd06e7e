"""CLI: `openaoc practice …`: playbooks, typologies, legal rules: made, tried, shared, taken on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.cli.rules import LANGUAGE, OUT, say_comparison, say_rules

if TYPE_CHECKING:
    from openaoc.holds.comparing import JurisdictionRules
    from openaoc.practice.cacao import Playbook

FILE_BYTES_MAX = 256 << 10
SHELF = "openaoc.practice.shelf"
NO_ERROR = "a law has no measured error; each rule says whether it is confirmed"


@click.group(
    help="Best practice: playbooks and typologies, tried before they act, and legal rules; signed."
)
def command() -> None:
    """Packages."""


@command.command("shelf")
@json_option
def shelf(*, as_json: bool) -> None:
    """List the playbooks and typologies that ship with the program; needs no centre."""
    from importlib import resources

    found = [one for one in resources.files(SHELF).iterdir() if one.name.endswith(".json")]
    rows = []
    for one in sorted(found, key=lambda one: one.name):
        name, kind = one.name.split(".")[:2]
        rows.append({"name": name, "kind": kind, "says": _about(kind, one.read_bytes())})
    if as_json:
        show_json({"shelf": rows})
        return
    show_table(("name", "kind", "says"), [(r["name"], r["kind"], r["says"]) for r in rows])


@command.command("read")
@click.argument("file", metavar="FILE|NAME")
@json_option
def read(file: str, *, as_json: bool) -> None:
    """Check a CACAO 2.0 playbook or a typology and show it as people read it; needs no centre."""
    content = _content(file)
    if as_json:
        show_json(content)
    elif "typology" in content:
        say(_typology(content["typology"]))
    else:
        _steps(content["playbook"])


@command.command("list")
@click.option("--kind", type=click.Choice(["playbook", "typology", "rules"]), help="Only these.")
@click.option("--standing", help="Only shadow, live, stopped, replaced or withdrawn ones.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_packages(kind: str | None, standing: str | None, limit: int, *, as_json: bool) -> None:
    """List packages, ours and partners', with what came of trying them."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages(
        "/v1/practice", "packages", limit=limit, kind=kind, standing=standing
    )
    if as_json:
        show_json({"packages": found})
        return
    rows = [
        (
            p["bundle"]["id"],
            p["bundle"]["kind"],
            p["bundle"]["name"],
            p["bundle"]["version"],
            p["bundle"]["author"],
            p["standing"],
            "yes" if p["shared"] else "",
            f["looked"],
            f["named"],
            f["right"],
            f["wrong"],
        )
        for p, f in ((one["package"], one["figures"]) for one in found)
    ]
    columns = ("package", "kind", "name", "version", "made by", "standing", "shared")
    show_table((*columns, "tried on", "named", "right", "wrong"), rows)


@command.command("show")
@click.argument("package")
@click.option("--cacao", is_flag=True, help="Only the playbook, as CACAO 2.0 JSON to export.")
@json_option
def show(package: str, *, cacao: bool, as_json: bool) -> None:
    """Show a package: what is in it, its measured error, what it did here, what it lacks."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get(_path(package))
    bundle = found["package"]["bundle"]
    if cacao:
        if bundle["kind"] != "playbook":
            raise click.ClickException("not a playbook")
        show_json(bundle["playbook"])
        return
    if as_json:
        show_json(found)
        return
    _say(found)
    say(bundle["summary"])
    say(f"licence {bundle['licence']}; measured error: {_error(bundle['error'])}")
    if bundle["kind"] == "playbook":
        _steps(bundle["playbook"])
    elif bundle["kind"] == "rules":
        say_rules(_sheet(found["package"]))
    else:
        say(_typology(bundle["typology"]))


@command.command("rules")
@click.argument("jurisdictions", nargs=-1)
@OUT
@LANGUAGE
@json_option
def compare_rules(
    jurisdictions: tuple[str, ...], *, out: Path | None, language: str, as_json: bool
) -> None:
    """Compare our legal rules with those that partners sent of theirs, side by side."""
    import msgspec

    from openaoc.cli.client import CentreClient
    from openaoc.holds.comparing import Comparison

    codes = [code.upper() for code in jurisdictions]
    found = CentreClient().get("/v1/practice/rules", jurisdiction=codes)
    comparison = msgspec.convert(found, Comparison)
    say_comparison(comparison, out=out, language=language, as_json=as_json)


@command.command("make")
@click.argument("file", metavar="FILE|NAME|JURISDICTION")
@click.option("--name", required=True, help="What it is called.")
@click.option("--summary", required=True, help="What it is for.")
@click.option("--licence", required=True, help="Under which others may use it: CC-BY-4.0, …")
@click.option("--offence", "offences", multiple=True, help="A scam it is about. Of rules: any.")
@click.option("--measured", type=click.Path(exists=True, dir_okay=False), help="Its error: JSON.")
@click.option("--not-measured", help="Why its error was not measured.")
@click.option("--from-trial", is_flag=True, help="Its error is what the version before did here.")
@click.option("--replaces", metavar="PACKAGE", help="The version of ours that it follows.")
@click.option("--marking", default="green", show_default=True, help="How far it may go.")
@json_option
def make(
    file: str,
    *,
    name: str,
    summary: str,
    licence: str,
    offences: tuple[str, ...],
    measured: str | None,
    not_measured: str | None,
    from_trial: bool,
    replaces: str | None,
    marking: str,
    as_json: bool,
) -> None:
    """Make a signed package of a playbook or typology, or of a jurisdiction's legal rules.

    It begins in shadow. Legal rules are those the centre itself goes by: name the jurisdiction.
    """
    from openaoc.cli.client import CentreClient
    from openaoc.holds.legal import jurisdictions
    from openaoc.kernel.offences import Offence

    law = file in jurisdictions()
    content = {"rules": file} if law else _content(file)
    if law:
        not_measured = not_measured or NO_ERROR
        offences = offences or tuple(Offence)
    if not offences:
        raise click.UsageError("--offence: which scam it is about")
    given = [one for one in (measured, not_measured, from_trial or None) if one is not None]
    if len(given) != 1:
        raise click.UsageError("one of --measured, --not-measured and --from-trial")
    error: Any = "from-trial"
    if measured is not None:
        error = {"type": "measured", **_document(measured)}
    elif not_measured is not None:
        error = {"type": "not-measured", "why": not_measured}
    body = {
        **content,
        "name": name,
        "summary": summary,
        "licence": licence,
        "offences": list(offences),
        "error": error,
        "marking": marking,
    }
    if replaces is not None:
        body["replaces"] = replaces
    made = CentreClient().post("/v1/practice", body)
    if as_json:
        show_json(made)
    else:
        _say(made)


@command.command("share")
@click.argument("package")
@json_option
def share(package: str, *, as_json: bool) -> None:
    """Let partners have a package of ours, each where its agreement permits it."""
    from openaoc.cli.client import CentreClient

    done = CentreClient().post(f"{_path(package)}/share")
    if as_json:
        show_json(done)
    else:
        _say(done)


@command.command("take-on")
@click.argument("package")
@click.option("--reason", required=True, help="Why it may act; kept in the journal.")
@json_option
def take_on(package: str, *, reason: str, as_json: bool) -> None:
    """Say that a package may act; with a second person's word it does."""
    _decide(package, "take-on", reason, as_json=as_json)


@command.command("stop")
@click.argument("package")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def stop(package: str, *, reason: str, as_json: bool) -> None:
    """Stop a package; what it proposed is taken back."""
    _decide(package, "stop", reason, as_json=as_json)


@command.command("try-again")
@click.argument("package")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def try_again(package: str, *, reason: str, as_json: bool) -> None:
    """Put a stopped package back into shadow."""
    _decide(package, "try-again", reason, as_json=as_json)


@command.command("withdraw")
@click.argument("package")
@click.option("--reason", required=True, help="Why it was wrong; kept in the journal.")
@json_option
def withdraw(package: str, *, reason: str, as_json: bool) -> None:
    """Take a package of ours back, here and from everybody who received it."""
    _decide(package, "withdraw", reason, as_json=as_json)


@command.command("observed")
@click.argument("package")
@json_option
def observed(package: str, *, as_json: bool) -> None:
    """Show the accounts a typology names, or would have named in shadow."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get(f"{_path(package)}/observations")
    if as_json:
        show_json(found)
        return
    said = {True: "a mule's", False: "not a mule's", None: "not known"}
    rows = [
        (
            o["first_at"],
            f"{o['institution']}:{o['account']}",
            o["case_id"],
            o["payers"],
            o["received_minor"],
            o["passed_on_minor"],
            o["currency"],
            "proposed" if o["told"] else "",
            said[o["mule"]],
        )
        for o in found["observations"]
    ]
    columns = ("first", "account", "case", "payers", "received", "passed on", "currency")
    show_table((*columns, "indicator", "found to be"), rows)


@command.command("fetch")
@click.argument("partner")
@json_option
def fetch(partner: str, *, as_json: bool) -> None:
    """Ask a partner's centre now for packages and scripts; it is asked by itself too."""
    from openaoc.cli.client import CentreClient

    done = CentreClient().post("/v1/practice/fetch", {"partner": partner})
    if as_json:
        show_json(done)
        return
    say(f"{done['partner']}: {done['taken']} taken, {done['taken_back']} taken back")
    for why in (*done["not_taken"], *([done["error"]] if done["error"] else [])):
        say(f"  not taken: {why}")


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--partner", required=True, help="Who handed it over.")
@json_option
def import_package(file: str, *, partner: str, as_json: bool) -> None:
    """Bring what a partner's `openaoc exchange release … --json` wrote into a file."""
    from openaoc.cli.client import CentreClient

    body = {"partner": partner, "object": _document(file)}
    done = CentreClient().post("/v1/practice/bring", body)
    if as_json:
        show_json(done)
    else:
        say(f"{done['id']}  {'taken' if done['taken'] else 'nothing new'}")


def _decide(package: str, verb: str, reason: str, *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    done = CentreClient().post(f"{_path(package)}/{verb}", {"reason": reason})
    if as_json:
        show_json(done)
    else:
        _say(done)


def _path(package: str) -> str:
    return f"/v1/practice/{quote(package, safe='')}"


def _say(view: dict[str, Any]) -> None:
    package, figures = view["package"], view["figures"]
    bundle = package["bundle"]
    say(f"{bundle['id']}  {bundle['kind']} {bundle['name']}, version {bundle['version']}")
    waits = package["voice"]
    second = f", {waits['by']} says it may act: a second person has to" if waits else ""
    shared = ", shared" if package["shared"] else ""
    say(f"made by {bundle['author']}; {package['standing']}{shared}{second}")
    if bundle["kind"] == "typology":
        say(
            f"tried on {figures['looked']} accounts, named {figures['named']}: "
            f"{figures['right']} right, {figures['wrong']} wrong; missed {figures['missed']}"
        )
    for one in view["lacking"] if bundle["kind"] != "rules" else ():
        say(f"  lacks: {one}")


def _error(error: dict[str, Any]) -> str:
    if error["type"] == "not-measured":
        return f"not measured: {error['why']}"
    return (
        f"{error['right']} right, {error['wrong']} wrong, {error['missed']} missed of"
        f" {error['looked']}, on {error['on']}, {error['at']}"
    )


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > FILE_BYTES_MAX:
        raise click.ClickException(f"{path}: more than {FILE_BYTES_MAX} bytes")
    return path.read_bytes()


def _document(file: str) -> dict[str, Any]:
    import msgspec

    try:
        return msgspec.json.decode(_bytes(Path(file)), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: no JSON object: {error}") from error


def _content(file: str) -> dict[str, Any]:
    """The checked content of a file, or of what ships under this name, as a body's part."""
    from importlib import resources

    import msgspec

    from openaoc.practice.typology import Typology
    from openaoc.practice.workflow import read_playbook

    path = Path(file)
    if path.is_file():
        data = _bytes(path)
    else:
        found = [one for one in resources.files(SHELF).iterdir() if one.name.split(".")[0] == file]
        if not found:
            raise click.ClickException(f"{file}: no such file, and nothing of that name ships")
        data = found[0].read_bytes()
    if b'"spec_version"' in data:
        return {"playbook": msgspec.to_builtins(read_playbook(data))}
    try:
        return {"typology": msgspec.to_builtins(msgspec.json.decode(data, type=Typology))}
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: neither a playbook nor a typology: {error}") from error


def _about(kind: str, data: bytes) -> str:
    import msgspec

    return (
        str(msgspec.json.decode(data)["name"])
        if kind == "playbook"
        else _typology(msgspec.json.decode(data))
    )


def _typology(document: dict[str, Any]) -> str:
    import msgspec

    from openaoc.practice.typology import Typology

    return msgspec.convert(document, Typology).words()


def _sheet(package: dict[str, Any]) -> JurisdictionRules:
    """A package's legal rules as of today."""
    import msgspec

    from openaoc.holds.comparing import Sender, sheet_of
    from openaoc.holds.legal import Rulebook
    from openaoc.kernel.clock import SystemClock, parse_time

    bundle = package["bundle"]
    sender = Sender(
        partner=bundle["author"],
        package=bundle["id"],
        version=bundle["version"],
        made_at=parse_time(bundle["made_at"]),
    )
    return sheet_of(
        msgspec.convert(bundle["rules"], Rulebook),
        on=SystemClock().now().date(),
        sender=None if package["partner"] is None else sender,
    )


def _steps(document: dict[str, Any]) -> None:
    import msgspec

    from openaoc.practice.cacao import Playbook
    from openaoc.practice.workflow import check_playbook, readable

    playbook: Playbook = check_playbook(msgspec.convert(document, Playbook))
    say(playbook.name)
    if playbook.description:
        say(playbook.description)
    for step in readable(playbook):
        who = f"  [{step.who}]" if step.who else ""
        say()
        indent = "  " * step.number.count(".")
        say(f"{indent}{step.number} {step.title}{who}")
        for line in step.does:
            say(f"{indent}   - {line}")
        if step.note:
            say(f"{indent}   ({step.note})")
