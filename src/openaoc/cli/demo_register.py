"""CLI: makes the simulated parties known to a fresh centre, as a country's operators would.

Everything goes over the centre's own HTTP interface: institutions, their machines and signing
keys, the hotline, and two people who switch the orders live.
"""

from __future__ import annotations

import base64
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from openaoc.channels.signing import new_signing_key
from openaoc.cli.client import KEY_FILE, CentreClient, FromCentre
from openaoc.kernel.errors import NotSignedIn
from openaoc.simulation.credentials import (
    Credentials,
    InstitutionCredentials,
    load_credentials,
    save_credentials,
)
from openaoc.simulation.parameters import Parameters, SimulatedInstitution

OFFICERS: Final = ("Supervisor A (simulated)", "Supervisor B (simulated)")
HOTLINE: Final = "Hotline 1441 (simulated)"


def administrator(url: str, data_dir: Path) -> CentreClient:
    """The administrator's client of a centre on this machine. Raises NotSignedIn."""
    try:
        key = (data_dir / KEY_FILE).read_text("ascii").strip()
    except FileNotFoundError:
        raise NotSignedIn(f"there is no {data_dir / KEY_FILE}") from None
    return CentreClient(url, key)


def register(
    parameters: Parameters, *, url: str, data_dir: Path, folder: Path, port: int, jurisdiction: str
) -> None:
    """Register what is not registered yet, and say where the institutions listen this time."""
    client = administrator(url, data_dir)
    for one in parameters.institutions:
        _institution(client, one, endpoint=f"http://127.0.0.1:{port}/{one.code}")
    known = load_credentials(folder)
    if known is not None and known.centre == url:
        return
    institutions = {one.code: _machine(client, one) for one in parameters.institutions}
    hotline = _user(client, HOTLINE, "agent")
    officers = [_user(client, name, "supervisor") for name in OFFICERS]
    proposer, approver = (CentreClient(url, key) for key in officers)
    scopes = [f"institution:{one.code}" for one in parameters.institutions]
    for scope in (*scopes, f"jurisdiction:{jurisdiction}"):
        _switch_live(proposer, approver, scope)
    save_credentials(
        folder, Credentials(centre=url, institutions=institutions, hotline_key=hotline)
    )


def _institution(client: CentreClient, one: SimulatedInstitution, *, endpoint: str) -> None:
    body = {"code": one.code, "name": one.name, "kind": one.kind, "endpoint": endpoint}
    try:
        client.put(f"/v1/institutions/{one.code}/endpoint", {"endpoint": endpoint})
    except FromCentre as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        client.post("/v1/institutions", body)


def _machine(client: CentreClient, one: SimulatedInstitution) -> InstitutionCredentials:
    key = new_signing_key()
    api_key = _user(client, f"{one.name}: machine", "machine", institution=one.code)
    client.post(f"/v1/institutions/{one.code}/keys", key.public())
    secret = base64.b64encode(key.secret_bytes()).decode("ascii")
    return InstitutionCredentials(api_key=api_key, kid=key.kid, secret=secret)


def _user(client: CentreClient, name: str, role: str, *, institution: str | None = None) -> str:
    added: dict[str, Any] = client.post(
        "/v1/users", {"name": name, "role": role, "institution": institution}
    )
    return str(added["api_key"])


def _switch_live(proposer: CentreClient, approver: CentreClient, scope: str) -> None:
    """Two people; a scope that is live already stays so."""
    try:
        proposer.post("/v1/live/propose", {"scope": scope})
        approver.post("/v1/live/approve", {"scope": scope})
    except FromCentre as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
