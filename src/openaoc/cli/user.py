"""CLI: `openaoc user add|list`."""

from __future__ import annotations

from typing import Final

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.kernel.actor import Role

USERS_SHOWN_MAX: Final = 10_000
_GIVEN_ELSEWHERE: Final = (Role.SYSTEM, Role.CITIZEN, Role.PARTNER)
ROLES: Final = [role.value for role in Role if role not in _GIVEN_ELSEWHERE]
"""A partner's user is added with `exchange partner user`."""


@click.group(help="Add users and their keys.")
def command() -> None:
    """Users."""


@command.command("add")
@click.argument("name")
@click.option("--role", required=True, help=f"One of {', '.join(ROLES)}.")
@click.option("--institution", help="For a liaison or a machine: whose.")
@json_option
def add(name: str, role: str, institution: str | None, *, as_json: bool) -> None:
    """Add a user; the API key is shown this once."""
    from openaoc.cli.client import CentreClient

    body = {"name": name, "role": role}
    if institution is not None:
        body["institution"] = institution
    added = CentreClient().post("/v1/users", body)
    if as_json:
        show_json(added)
        return
    say(f"user     {added['user']['id']}  {', '.join(added['user']['roles'])}")
    say(f"api key  {added['api_key']}")
    say("The key is shown this once and kept nowhere.")


@command.command("list")
@json_option
def list_users(*, as_json: bool) -> None:
    """List users and their roles."""
    from openaoc.cli.client import CentreClient

    users = CentreClient().pages("/v1/users", "users", limit=USERS_SHOWN_MAX)
    if as_json:
        show_json({"users": users})
        return
    rows = [
        (u["id"], u["name"], ", ".join(u["roles"]), u["institution"], u["disabled_at"])
        for u in users
    ]
    show_table(("id", "name", "roles", "institution", "disabled"), rows)
