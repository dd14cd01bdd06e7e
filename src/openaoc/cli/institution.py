"""CLI: `openaoc institution add|list|endpoint|live|shadow|key …`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.cli.pooled import command as pooled
from openaoc.kernel.errors import BadInput

KEY_BYTES_MAX = 4096


@click.group(help="Add institutions; switch them live or to shadow.")
def command() -> None:
    """Institutions."""


command.add_command(pooled, "pooled")


@command.command("add")
@click.argument("code")
@click.option("--name", help="Its name; default: the code.")
@click.option(
    "--kind",
    default="bank",
    show_default=True,
    help="bank, wallet, exchange, atm_network, telco, platform or switch.",
)
@click.option("--jurisdiction", help="Two capital letters; default: the centre's own.")
@click.option("--endpoint", help="http(s) address of its system; none: the liaison's desk.")
@click.option("--format", "message_format", help="How its system takes orders: json, iso20022.")
@json_option
def add(
    code: str,
    name: str | None,
    kind: str,
    jurisdiction: str | None,
    endpoint: str | None,
    message_format: str | None,
    *,
    as_json: bool,
) -> None:
    """Add an institution, in shadow: its orders are computed and shown, not sent."""
    from openaoc.cli.client import CentreClient

    body = {
        "code": code,
        "name": name or code,
        "kind": kind,
        "jurisdiction": jurisdiction,
        "endpoint": endpoint,
        "message_format": message_format,
    }
    added = CentreClient().post(
        "/v1/institutions", {key: value for key, value in body.items() if value is not None}
    )
    _show(added, as_json=as_json)


@command.command("list")
@json_option
def list_institutions(*, as_json: bool) -> None:
    """List institutions."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/institutions")
    if as_json:
        show_json(found)
        return
    rows = [
        (
            i["code"],
            i["name"],
            i["kind"],
            i["jurisdiction"],
            i["endpoint"] or "desk",
            "live" if i["live"] else "shadow",
        )
        for i in found["institutions"]
    ]
    show_table(("code", "name", "kind", "jurisdiction", "endpoint", "mode"), rows)


@command.command("endpoint")
@click.argument("code")
@click.argument("url", required=False)
@click.option("--format", "message_format", help="How it takes orders: json, iso20022.")
@json_option
def endpoint(code: str, url: str | None, *, message_format: str | None, as_json: bool) -> None:
    """Set where its system listens; without URL: the liaison's desk alone."""
    from openaoc.cli.client import CentreClient

    changed = CentreClient().put(
        f"/v1/institutions/{quote(code, safe='')}/endpoint",
        {"endpoint": url, "message_format": message_format},
    )
    _show(changed, as_json=as_json)


@command.command("live")
@click.argument("scope")
@click.option("--approve", is_flag=True, help="Approve the proposal of another person.")
@json_option
def live(scope: str, *, approve: bool, as_json: bool) -> None:
    """Propose that orders go out for real, or --approve it as a second person.

    SCOPE is `institution:CODE`, `jurisdiction:XX`, or just an institution's CODE. Orders go out
    only when both the institution and its jurisdiction are live.
    """
    verb = "approve" if approve else "propose"
    _switch(verb, {"scope": _scope(scope)}, as_json=as_json)


@command.command("shadow")
@click.argument("scope")
@click.option("--reason", default="", help="Why; kept in the journal.")
@json_option
def shadow(scope: str, reason: str, *, as_json: bool) -> None:
    """Stop sending at once; one person is enough."""
    _switch("shadow", {"scope": _scope(scope), "reason": reason}, as_json=as_json)


@command.group("key", help="The keys an institution signs with.")
def key() -> None:
    """Public keys."""


@key.command("new")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--kid", help="The key's id; default: 64 random bits.")
@json_option
def key_new(file: Path, kid: str | None, *, as_json: bool) -> None:
    """Make a key pair: FILE for its owner alone, FILE.public to be registered with `key add`.

    Commands sign with the pair in the file that OPENAOC_SIGNING_KEY names.
    """
    import msgspec

    from openaoc.channels.signer import write_signing_key
    from openaoc.channels.signing import check_public_jwk, new_signing_key

    made = new_signing_key(kid=kid)
    jwk = check_public_jwk(made.public(), where="--kid")
    write_signing_key(file, made)
    public = file.with_name(file.name + ".public")
    public.write_bytes(msgspec.json.encode(jwk) + b"\n")
    if as_json:
        show_json({"kid": made.kid, "file": str(file), "public": str(public)})
    else:
        say(f"{made.kid}  {file} (keep it secret), {public} (register it)")


@key.command("add")
@click.argument("code")
@click.argument("jwk_file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def key_add(code: str, jwk_file: Path, *, as_json: bool) -> None:
    """Register a public key from a file with one JSON Web Key (Ed25519)."""
    from openaoc.channels.signing import parse_public_jwk
    from openaoc.cli.client import CentreClient

    try:
        content = jwk_file.read_bytes()[:KEY_BYTES_MAX]
    except OSError as error:
        raise BadInput(error.strerror or "cannot be read", where=str(jwk_file)) from error
    jwk = parse_public_jwk(content, where=str(jwk_file))
    added = CentreClient().post(f"/v1/institutions/{quote(code, safe='')}/keys", jwk)
    if as_json:
        show_json(added)
    else:
        say(f"{added['institution']}  key {added['key']['kid']} signs from now on")


@key.command("retire")
@click.argument("code")
@click.argument("kid")
@json_option
def key_retire(code: str, kid: str, *, as_json: bool) -> None:
    """Accept nothing signed with this key any more."""
    from openaoc.cli.client import CentreClient

    CentreClient().delete(f"/v1/institutions/{quote(code, safe='')}/keys/{quote(kid, safe='')}")
    if as_json:
        show_json({"institution": code, "retired": kid})
    else:
        say(f"{code}  key {kid} is retired")


def _scope(text: str) -> str:
    return text if ":" in text else f"institution:{text}"


def _switch(verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    switch = CentreClient().post(f"/v1/live/{verb}", body)
    if as_json:
        show_json(switch)
        return
    say(f"{switch['scope']}  {switch['state']}")
    if switch["state"] == "proposed":
        say("A second person approves it: openaoc institution live --approve " + switch["scope"])


def _show(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    mode = "live" if one["live"] else "shadow"
    say(f"{one['code']}  {one['name']}  {one['kind']}  {one['endpoint'] or 'desk'}  {mode}")
