"""Channels: what a signature binds, and that anything else is refused."""

from __future__ import annotations

import base64
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey
from joserfc.registry import HeaderParameter

from openaoc.channels import signing
from openaoc.kernel.errors import BadInput

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
KEY = signing.new_signing_key(kid="bank-1")
KEYS = {KEY.kid: KEY.public()}
BODY = b'{"outcome":"applied","applied_minor":100}'
PATH = "/v1/holds/ord_1/answers"


def _sign(body: bytes = BODY, **changes: Any) -> str:
    arguments: dict[str, Any] = {"key": KEY, "method": "POST", "path": PATH, "now": NOW} | changes
    return signing.sign(body, **arguments)


def _verify(header: str | None, body: bytes = BODY, **changes: Any) -> signing.Verified:
    arguments: dict[str, Any] = {"keys": KEYS, "method": "POST", "path": PATH, "now": NOW} | changes
    return signing.verify(body, header=header, **arguments)


def test_signed_message_verifies_and_tells_who_and_when() -> None:
    verified = _verify(_sign(nonce="n1"))
    assert (verified.kid, verified.issued_at, verified.nonce) == ("bank-1", NOW, "n1")


@given(body=st.binary(max_size=200), flip=st.integers(min_value=0))
@settings(max_examples=60, deadline=None)
def test_one_changed_byte_of_the_body_is_found(body: bytes, flip: int) -> None:
    header = _sign(body)
    assert _verify(header, body).kid == KEY.kid
    place = flip % (len(body) + 1)
    changed = body[:place] + bytes([(body + b"\0")[place] ^ 1]) + body[place + 1 :]
    with pytest.raises(signing.BadSignature, match="does not match"):
        _verify(header, changed)


@given(text=st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_other_text_is_a_bad_signature_and_never_a_crash(text: str) -> None:
    with pytest.raises(signing.BadSignature):
        _verify(text)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": "/v1/holds/ord_2/answers"}, "method or path"),
        ({"method": "PUT"}, "method or path"),
        ({"audience": "KBANK"}, "audience"),
        ({"now": NOW + timedelta(minutes=6)}, "from now"),
        ({"now": NOW - timedelta(minutes=6)}, "from now"),
        ({"keys": {}}, "not registered"),
        ({"keys": {"bank-1": signing.new_signing_key(kid="bank-1").public()}}, "does not match"),
    ],
)
def test_a_signature_holds_for_one_use_only(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(signing.BadSignature, match=reason):
        _verify(_sign(), **changes)


def test_missing_signature_is_refused() -> None:
    with pytest.raises(signing.BadSignature, match="no signature"):
        _verify(None)


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"crit": []},
        {"crit": ["iat"]},
        {"extra": 1},
        {"nonce": ""},
        {"nonce": "n" * 65},
        {"nonce": "n\0"},
        {"iat": 2**62},
        {"iat": "soon"},
        {"typ": "JWT"},
    ],
)
def test_other_protected_members_are_refused_although_rightly_signed(
    change: dict[str, object],
) -> None:
    head = _sign().partition(".")[0]
    members = msgspec.json.decode(base64.urlsafe_b64decode(head + "=="))
    head = signing._encode(msgspec.json.encode(members | change))
    signature = KEY.private.sign(signing._signing_input(head, BODY))
    with pytest.raises(signing.BadSignature):
        _verify(f"{head}..{signing._encode(signature)}")


def test_payload_in_the_header_is_refused() -> None:
    head, _, tail = _sign().split(".")
    with pytest.raises(signing.BadSignature, match="detached"):
        _verify(f"{head}.{signing._encode(BODY)}.{tail}")


def test_another_implementation_of_jws_agrees() -> None:
    header = _sign()
    key = OKPKey.import_key(msgspec.to_builtins(KEY.public()))
    names = ("iat", "nonce", "htm", "htp", "aud")
    registry = jws.JWSRegistry(
        header_registry={n: HeaderParameter(n, "int" if n == "iat" else "str") for n in names},
        algorithms=["EdDSA"],
    )
    head, _, tail = header.split(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = f"{head}.{signing._encode(BODY)}.{tail}"
        seen = jws.deserialize_compact(whole, key, registry=registry)
    assert seen.payload == BODY


def test_stored_secret_gives_the_same_key() -> None:
    again = signing.signing_key(kid="bank-1", secret=KEY.secret_bytes())
    assert again.public() == KEY.public()
    assert "private" not in repr(again)
    with pytest.raises(BadInput, match="32"):
        signing.signing_key(kid="x", secret=b"short")


@pytest.mark.parametrize(
    "x",
    ["", "AAAA", "not base64!", KEY.public().x + "=", "A" * 43, "AQ" + "A" * 41],
    ids=["empty", "short", "no base64", "padded", "zero", "one"],
)
def test_unusable_public_key_is_refused(x: str) -> None:
    with pytest.raises(BadInput):
        signing.check_public_jwk(signing.PublicJwk(kid="k", x=x))
    with pytest.raises(BadInput, match="kid"):
        signing.check_public_jwk(signing.PublicJwk(kid="", x=KEY.public().x))
