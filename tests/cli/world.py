"""A small world for tests of the running centre: people with keys, institutions, one payment."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec

from tests.cli.server import Server

LIMIT_SECONDS = 120.0
"""Longer than any limit on requests a minute lasts."""


def fresh_key() -> dict[str, str]:
    """A header with a new Idempotency-Key."""
    return {"Idempotency-Key": secrets.token_hex(8)}


def post(client: httpx.Client, path: str, body: object, **headers: str) -> httpx.Response:
    """A POST with JSON and, unless given, a fresh Idempotency-Key."""
    content = msgspec.json.encode(body)
    named = {"Content-Type": "application/json", **fresh_key()}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, content=content, headers=named)


class World:
    """Keys by role; institutions KBANK and SCB, live; SWITCH tells everybody's transfers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.keys: dict[str, str] = {"administrator": server.administrator_key()}
        self.clients: dict[str, httpx.Client] = {}

    def close(self) -> None:
        """Close every client."""
        for client in self.clients.values():
            client.close()

    def as_(self, who: str) -> httpx.Client:
        """The client of one of the people; `nobody` has no key."""
        if who not in self.clients:
            self.clients[who] = self.server.client(self.keys.get(who))
            assert who == "nobody" or who in self.keys, who
        return self.clients[who]

    def add_user(self, who: str, role: str, institution: str | None = None) -> None:
        """Somebody with a role, reachable as `as_(who)`."""
        body = {"name": who, "role": role}
        if institution:
            body["institution"] = institution
        answer = post(self.as_("administrator"), "/v1/users", body)
        assert answer.status_code == 201, answer.text
        self.keys[who] = answer.json()["api_key"]

    def add_institution(
        self, code: str, *, kind: str = "bank", endpoint: str | None = None
    ) -> None:
        """An institution of this jurisdiction."""
        body: dict[str, Any] = {"code": code, "name": code, "kind": kind}
        if endpoint:
            body["endpoint"] = endpoint
        answer = post(self.as_("administrator"), "/v1/institutions", body)
        assert answer.status_code == 201, answer.text

    def add_partner(self, code: str) -> None:
        """A centre abroad, with a user reachable as `as_(code)`."""
        body = {
            "code": code,
            "name": code,
            "kind": "centre",
            "jurisdiction": code[:2],
            "contact": {"name": "desk", "email": "desk@centre.example"},
        }
        answer = post(self.as_("administrator"), "/v1/exchange/partners", body)
        assert answer.status_code == 201, answer.text
        path = f"/v1/exchange/partners/{code}/users"
        answer = post(self.as_("administrator"), path, {"name": code})
        assert answer.status_code == 201, answer.text
        self.keys[code] = answer.json()["api_key"]

    def go_live(self, *scopes: str) -> None:
        """Live by two supervisors."""
        for scope in scopes:
            for who, verb in (("supervisor", "propose"), ("supervisor2", "approve")):
                answer = post(self.as_(who), f"/v1/live/{verb}", {"scope": scope})
                assert answer.status_code == 200, answer.text

    def fill(self, **endpoints: str) -> World:
        """People, institutions, live switches and a partner."""
        self.fill_at_home(**endpoints)
        self.add_partner("MY-NSRC")
        self.keys["partner"] = self.keys["MY-NSRC"]
        return self

    def fill_at_home(self, **endpoints: str) -> World:
        """As `fill`, as far as the earliest versions know it: without a partner."""
        for who, role in (
            ("supervisor", "supervisor"),
            ("supervisor2", "supervisor"),
            ("investigator", "investigator"),
            ("agent", "agent"),
            ("oversight", "oversight"),
            ("officer", "data_protection_officer"),
        ):
            self.add_user(who, role)
        for code in ("KBANK", "SCB", "BBL"):
            self.add_institution(code, endpoint=endpoints.get(code))
            self.add_user(f"{code}-machine", "machine", code)
            self.add_user(f"{code}-liaison", "liaison", code)
        self.add_institution("SWITCH", kind="switch")
        self.add_user("feed", "machine", "SWITCH")
        self.go_live("jurisdiction:TH", *(f"institution:{c}" for c in ("KBANK", "SCB", "BBL")))
        return self


def moment(minutes_ago: float = 0.0) -> str:
    """RFC 3339 text of a moment before now."""
    when = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return when.isoformat().replace("+00:00", "Z")


def transfer(number: str, *, amount_minor: int = 500_000, **changes: Any) -> dict[str, Any]:
    """A transfer from a victim at KBANK to a mule at SCB, with accounts of its own."""
    return {
        "transfer_id": f"T-{number}",
        "booked_at": moment(20),
        "debtor_bank": "KBANK",
        "debtor_account": f"1{number}",
        "creditor_bank": "SCB",
        "creditor_account": f"2{number}",
        "amount_minor": amount_minor,
        "currency": "THB",
    } | changes


def ndjson(*rows: dict[str, Any]) -> bytes:
    """Rows as NDJSON."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def tell(client: httpx.Client, *rows: dict[str, Any], **headers: str) -> httpx.Response:
    """Tell transfers as NDJSON."""
    named = {"Content-Type": "application/x-ndjson", **fresh_key(), **headers}
    return client.post("/v1/ledger/transfers", content=ndjson(*rows), headers=named)


def report(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The report of the victim who made this transfer, by its bank."""
    payment = {"reported_by": row["debtor_bank"], **row}
    payment.pop("channel", None)
    return {
        "channel": "institution",
        "reported_at": moment(),
        "language": "th",
        "narrative": "they said they were the police",
        "payments": [payment],
        "proof": {"kind": "institution", "bank_case_id": "K-1"},
    } | changes


def shown(client: httpx.Client, case: str) -> dict[str, Any]:
    """The case as it is now; who has looked at too many in a minute waits."""
    until = time.monotonic() + LIMIT_SECONDS
    while (answer := client.get(f"/v1/cases/{case}")).status_code == 429:
        assert time.monotonic() < until, answer.text
        time.sleep(0.25)
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view
