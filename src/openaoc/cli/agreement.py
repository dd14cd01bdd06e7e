"""CLI: `openaoc exchange partner …` and `openaoc exchange agreement …`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.kernel.errors import BadInput

FILE_BYTES_MAX: Final = 64 << 10


@click.group(help="Add partners; add and verify the keys they sign with.")
def partner() -> None:
    """Partners."""


@partner.command("add")
@click.argument("code")
@click.option("--name", required=True, help="Its name.")
@click.option(
    "--kind",
    required=True,
    help="centre, regulator, police, bank, telco, platform, host, sector_body, researcher or "
    "protection.",
)
@click.option("--jurisdiction", required=True, help="Two capital letters.")
@click.option("--contact", required=True, help="The desk that answers.")
@click.option("--email", default="", help="Its email address.")
@click.option("--telephone", default="", help="Its telephone number.")
@click.option("--endpoint", help="http(s) address of its own centre, if it has one.")
@json_option
def add_partner(
    code: str,
    *,
    name: str,
    kind: str,
    jurisdiction: str,
    contact: str,
    email: str,
    telephone: str,
    endpoint: str | None,
    as_json: bool,
) -> None:
    """Add a partner; nothing leaves to it without an agreement."""
    from openaoc.cli.client import CentreClient

    body: dict[str, Any] = {
        "code": code,
        "name": name,
        "kind": kind,
        "jurisdiction": jurisdiction,
        "contact": {"name": contact, "email": email, "telephone": telephone},
    }
    if endpoint is not None:
        body["endpoint"] = endpoint
    added = CentreClient().post("/v1/exchange/partners", body)
    if as_json:
        show_json(added)
    else:
        say(f"{added['code']}  {added['name']}  {added['kind']}  {added['jurisdiction']}")


@partner.command("list")
@json_option
def list_partners(*, as_json: bool) -> None:
    """List partners."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/exchange/partners")
    if as_json:
        show_json(found)
        return
    rows = [
        (p["code"], p["name"], p["kind"], p["jurisdiction"], p["endpoint"])
        for p in found["partners"]
    ]
    show_table(("partner", "name", "kind", "jurisdiction", "endpoint"), rows)


@partner.command("show")
@click.argument("code")
@json_option
def show_partner(code: str, *, as_json: bool) -> None:
    """Show a partner, its keys and the agreement in force."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get(_partner(code))
    if as_json:
        show_json(found)
        return
    say(f"{found['partner']['code']}  {found['partner']['name']}")
    say(f"agreement in force: {found['agreement'] or 'none'}")
    for key in found["keys"]:
        _say_key(key)


@partner.command("user")
@click.argument("code")
@click.option("--name", required=True, help="The person or the system.")
@json_option
def add_user(code: str, *, name: str, as_json: bool) -> None:
    """Add a user of the partner; the API key is shown this once."""
    from openaoc.cli.client import CentreClient

    added = CentreClient().post(f"{_partner(code)}/users", {"name": name})
    if as_json:
        show_json(added)
        return
    say(f"user     {added['user']}  {added['partner']}")
    say(f"api key  {added['api_key']}")
    say("The key is shown this once and kept nowhere.")


@partner.command("key")
@click.argument("code")
@click.argument("jwk_file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def add_key(code: str, jwk_file: Path, *, as_json: bool) -> None:
    """Add a public key from a file; it counts once another person has verified it."""
    from openaoc.cli.client import CentreClient

    text = _read(jwk_file).decode("utf-8", "replace")
    key = CentreClient().post(f"{_partner(code)}/keys", {"jwk": text})
    if as_json:
        show_json(key)
    else:
        _say_key(key)
        say("Another person compares the fingerprint with the partner, by telephone or in person:")
        say(f"openaoc exchange partner verify {code} {key['kid']} --fingerprint … --with NAME")


@partner.command("verify")
@click.argument("code")
@click.argument("kid")
@click.option("--fingerprint", required=True, help="As the partner read it out.")
@click.option("--with", "compared_with", required=True, help="Who of the partner read it, how.")
@json_option
def verify_key(code: str, kid: str, *, fingerprint: str, compared_with: str, as_json: bool) -> None:
    """Verify a key with the partner, by another way than the key came."""
    from openaoc.cli.client import CentreClient

    body = {"fingerprint": fingerprint, "compared_with": compared_with}
    path = f"{_partner(code)}/keys/{quote(kid, safe='')}/verify"
    key = CentreClient().post(path, body)
    if as_json:
        show_json(key)
    else:
        _say_key(key)


@partner.command("retire")
@click.argument("code")
@click.argument("kid")
@json_option
def retire_key(code: str, kid: str, *, as_json: bool) -> None:
    """Accept nothing signed with this key any more; with the last one, nothing leaves."""
    from openaoc.cli.client import CentreClient

    key = CentreClient().delete(f"{_partner(code)}/keys/{quote(kid, safe='')}")
    if as_json:
        show_json(key)
    else:
        _say_key(key)


@click.group(help="Draft, approve, suspend and end agreements.")
def agreement() -> None:
    """Agreements."""


@agreement.command("draft")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def draft(file: Path, *, as_json: bool) -> None:
    """Draft an agreement from FILE (TOML, or JSON when its name ends so); two people approve it."""
    from openaoc.cli.client import CentreClient

    _show(CentreClient().post("/v1/exchange/agreements", read_toml(file)), as_json=as_json)


@agreement.command("list")
@click.option("--partner", help="Only this partner's.")
@json_option
def list_agreements(partner: str | None, *, as_json: bool) -> None:
    """List agreements, the newest version first."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/exchange/agreements", partner=partner)
    if as_json:
        show_json(found)
        return
    rows = [
        (
            a["id"],
            a["state"],
            a["terms"]["highest_marking"],
            ", ".join(sorted(a["terms"]["grants"])),
            a["terms"]["ends_at"],
        )
        for a in found["agreements"]
    ]
    show_table(("agreement", "state", "highest", "kinds", "ends"), rows)


@agreement.command("show")
@click.argument("agreement_id", metavar="AGREEMENT")
@json_option
def show(agreement_id: str, *, as_json: bool) -> None:
    """Show one version: its terms, and who approved it."""
    from openaoc.cli.client import CentreClient

    _show(CentreClient().get(_agreement(agreement_id)), as_json=as_json, whole=True)


@agreement.command("approve")
@click.argument("agreement_id", metavar="AGREEMENT")
@json_option
def approve(agreement_id: str, *, as_json: bool) -> None:
    """Approve it: the data protection officer and a supervisor, two persons."""
    _post(agreement_id, "approve", {}, as_json=as_json)


@agreement.command("suspend")
@click.argument("agreement_id", metavar="AGREEMENT")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def suspend(agreement_id: str, *, reason: str, as_json: bool) -> None:
    """Let nothing leave under it from now on; one person is enough."""
    _post(agreement_id, "suspend", {"reason": reason}, as_json=as_json)


@agreement.command("resume")
@click.argument("agreement_id", metavar="AGREEMENT")
@json_option
def resume(agreement_id: str, *, as_json: bool) -> None:
    """Resume a suspended one: two persons again."""
    _post(agreement_id, "resume", {}, as_json=as_json)


@agreement.command("end")
@click.argument("agreement_id", metavar="AGREEMENT")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@json_option
def end(agreement_id: str, *, reason: str, as_json: bool) -> None:
    """End it; recalls still reach whoever received something."""
    _post(agreement_id, "end", {"reason": reason}, as_json=as_json)


def _partner(code: str) -> str:
    return f"/v1/exchange/partners/{quote(code, safe='')}"


def _agreement(agreement_id: str) -> str:
    return f"/v1/exchange/agreements/{quote(agreement_id, safe='')}"


def _post(agreement_id: str, verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    _show(CentreClient().post(f"{_agreement(agreement_id)}/{verb}", body), as_json=as_json)


def _read(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadInput(error.strerror or "cannot be read", where=str(file)) from error
    if len(content) > FILE_BYTES_MAX:
        raise BadInput(f"more than {FILE_BYTES_MAX} bytes", where=str(file))
    return content


def read_toml(file: Path) -> dict[str, Any]:
    """The file's content; what it says is checked by the centre."""
    import msgspec

    content = _read(file)
    try:
        if file.suffix.lower() == ".json":
            return msgspec.json.decode(content, type=dict[str, Any])
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(str(error), where=str(file)) from error


def _say_key(key: dict[str, Any]) -> None:
    state = f"verified with {key['verified_with']}" if key["verified_at"] else "not verified"
    state = "retired" if key["retired_at"] else state
    say(f"key {key['kid']}  fingerprint {key['fingerprint']}  {state}")


def _show(one: dict[str, Any], *, as_json: bool, whole: bool = False) -> None:
    if as_json:
        show_json(one)
        return
    terms = one["terms"]
    say(f"{one['id']}  {one['state']}  up to {terms['highest_marking']}, until {terms['ends_at']}")
    for voice in one["voices"]:
        say(f"{voice['step']} by {voice['by']} as {voice['role']} at {voice['at']}")
    if not whole:
        return
    say(f"purposes: {', '.join(terms['purposes'])}")
    say(f"legal basis: {terms['legal_basis']}")
    rows = [
        (kind, name, how)
        for kind, grant in sorted(terms["grants"].items())
        for name, how in sorted(grant["fields"].items())
    ]
    show_table(("kind", "field", "leaves"), rows)
