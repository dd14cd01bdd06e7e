"""API: an institution with a registered key signs its reports and transfers, each request anew."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from openaoc.channels.signer import read_signing_key, write_signing_key
from openaoc.channels.signing import HEADER, SigningKey, new_signing_key, sign
from openaoc.cli.client import SIGNING_VARIABLE, CentreClient, FromCentre
from openaoc.kernel.errors import BadInput
from tests.cli.world import World, fresh_key, ndjson, post, report, tell, transfer

NDJSON = "application/x-ndjson"


class Signing:
    """A bank with a registered key and no system."""

    def __init__(self, world: World, code: str, key: SigningKey) -> None:
        self.world, self.code, self.key = world, code, key

    def send(
        self, target: str, body: bytes, kind: str, *, header: str | None = None, **how: Any
    ) -> httpx.Response:
        """The request, signed unless told otherwise; `header` "" is none."""
        named = {"Content-Type": kind, **fresh_key()}
        if header != "":
            named[HEADER] = header or sign(
                how.get("signed", body),
                key=how.get("key", self.key),
                method=how.get("method", "POST"),
                path=how.get("path", target),
                now=how.get("now", datetime.now(UTC)),
                nonce=how.get("nonce"),
            )
        return self.world.as_(f"{self.code}-machine").post(target, content=body, headers=named)


@pytest.fixture(scope="module")
def bank(world: World) -> Signing:
    code = f"SIG{secrets.token_hex(2)}".upper()
    world.add_institution(code)
    world.add_user(f"{code}-machine", "machine", code)
    key = new_signing_key(kid="sig-1")
    added = post(world.as_(f"{code}-machine"), f"/v1/institutions/{code}/keys", key.public())
    assert added.status_code == 201, added.text
    return Signing(world, code, key)


def a_transfer(bank: Signing, number: str) -> tuple[str, bytes, str]:
    row = transfer(number, debtor_bank=bank.code, reported_by=bank.code)
    return "/v1/ledger/transfers?live=true", ndjson(row), NDJSON


def openings(bank: Signing, number: str) -> tuple[str, bytes, str]:
    row = {"bank": bank.code, "account": f"9{number}", "opening_minor": 5, "currency": "THB"}
    return "/v1/ledger/accounts?at=2026-01-01T00:00:00Z", ndjson(row), NDJSON


def a_report(bank: Signing, number: str) -> tuple[str, bytes, str]:
    body = msgspec.json.encode(report(transfer(number, debtor_bank=bank.code)))
    return "/v1/reports", body, "application/json"


Request = Callable[[Signing, str], tuple[str, bytes, str]]
REQUESTS = [a_transfer, openings, a_report]


@pytest.mark.parametrize("request_of", REQUESTS)
def test_signed_request_is_taken_once(bank: Signing, number: str, request_of: Request) -> None:
    path, body, kind = request_of(bank, number)
    nonce = f"n-{number}"
    assert bank.send(path, body, kind, nonce=nonce).status_code == 201
    replayed = bank.send(path, body, kind, nonce=nonce)
    assert (replayed.status_code, replayed.json()["code"]) == (401, "bad-signature")
    assert bank.send(path, body, kind).status_code == 201


@pytest.mark.parametrize("request_of", REQUESTS)
@pytest.mark.parametrize(
    ("forgery", "said"),
    [
        ({"header": ""}, "carries no signature"),
        ({"header": "not.a.signature"}, "must be detached"),
        ({"signed": b"another body"}, "does not match the body"),
        ({"key": new_signing_key(kid="sig-1")}, "does not match the body"),
        ({"key": new_signing_key(kid="unknown")}, "not registered"),
        ({"path": "/v1/other"}, "another method or path"),
        ({"method": "PUT"}, "another method or path"),
        ({"now": datetime.now(UTC) - timedelta(days=1)}, "from now"),
        ({"now": datetime.now(UTC) + timedelta(days=1)}, "from now"),
    ],
)
def test_unsigned_forged_or_stale_request_is_refused_and_nothing_taken(
    bank: Signing, number: str, request_of: Request, forgery: dict[str, Any], said: str
) -> None:
    path, body, kind = request_of(bank, number)
    refused = bank.send(path, body, kind, **forgery)
    assert (refused.status_code, refused.json()["code"]) == (401, "bad-signature")
    assert said in refused.json()["detail"]
    if request_of is a_transfer:
        taken = bank.send(path, body, kind).json()
        assert taken["accepted"] == 1, "the refused batch left nothing"


def test_signature_covers_the_query(bank: Signing, number: str) -> None:
    path, body, kind = openings(bank, number)
    moved = bank.send(path, body, kind, path=path.replace("2026", "2025"))
    assert moved.status_code == 401
    assert bank.send(path, body, kind, path=path.partition("?")[0]).status_code == 401


def test_institution_without_keys_and_people_need_no_signature(world: World, number: str) -> None:
    row = transfer(number)
    assert tell(world.as_("KBANK-machine"), row).status_code == 201
    assert post(world.as_("KBANK-machine"), "/v1/reports", report(row)).status_code == 201
    by_agent = report(row, channel="hotline")
    assert post(world.as_("agent"), "/v1/reports", by_agent).status_code == 201


def test_commands_sign_with_the_key_file(
    bank: Signing, number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, body, kind = a_transfer(bank, number)
    url, api_key = bank.world.server.url, bank.world.keys[f"{bank.code}-machine"]
    with pytest.raises(FromCentre, match="carries no signature"):
        CentreClient(url, api_key).post(path, content=body, content_type=kind)
    file = tmp_path / "bank.jwk"
    write_signing_key(file, bank.key)
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(BadInput, match="there is such a file"):
        write_signing_key(file, new_signing_key())
    monkeypatch.setenv(SIGNING_VARIABLE, str(file))
    client = CentreClient(url, api_key)
    receipt = client.post(
        "/v1/ledger/transfers", content=body, content_type=kind, query={"live": "false"}
    )
    assert receipt["accepted"] == 1
    assert client.post("/v1/reports", content=a_report(bank, number)[1])["case"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xff", b'{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AA","d":"AA"}', None],
)
def test_unusable_key_file_is_refused_without_showing_it(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "bank.jwk"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput) as error:
        read_signing_key(file)
    assert '"d"' not in str(error.value)
