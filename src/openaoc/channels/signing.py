"""Channels: whether a message is from whom it says, for whom it says, and whole.

Detached JWS (RFC 7515 appendix F) with Ed25519 over the body, bound to method, path, audience,
time and a nonce. Pure: keeps nothing, reads no clock; replay.py refuses a repeated nonce.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from openaoc.kernel.errors import BadInput, NotSignedIn

HEADER: Final = "OpenAOC-Signature"
"""The HTTP header that carries the signature."""
WINDOW: Final = timedelta(minutes=5)
"""A message signed longer ago, or further ahead, than this is stale."""
HEADER_CHARACTERS_MAX: Final = 4096
KID_CHARACTERS_MAX: Final = 64
NONCE_BYTES: Final = 16
NONCE_CHARACTERS_MAX: Final = 64
KEY_BYTES: Final = 32
ALGORITHM: Final = "EdDSA"
TYPE: Final = "openaoc-message+jws"
CRITICAL: Final = ("iat", "nonce", "htm", "htp", "aud")
"""Header members a receiver must understand (RFC 7515 §4.1.11)."""


class BadSignature(NotSignedIn):
    """The message's signature does not hold."""


class PublicJwk(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 public key as JSON Web Key (RFC 8037); `x` is base64url without padding."""

    kid: str
    x: str
    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"


class Jwks(msgspec.Struct, frozen=True, kw_only=True):
    """What `/.well-known/jwks.json` answers: the newest key first."""

    keys: list[PublicJwk]


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A private key and its id. Never printed: the secret part has no repr."""

    kid: str
    private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"

    def public(self) -> PublicJwk:
        """The public half, to be registered with those who verify."""
        return PublicJwk(kid=self.kid, x=_encode(self.private.public_key().public_bytes_raw()))

    def secret_bytes(self) -> bytes:
        """The 32 secret bytes, for a key file and nothing else."""
        return self.private.private_bytes_raw()


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed and when, once the signature held; the nonce is for the replay store."""

    kid: str
    issued_at: datetime
    nonce: str


class _Protected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    alg: Literal["EdDSA"]
    kid: str
    typ: Literal["openaoc-message+jws"]
    crit: list[str]
    iat: int
    nonce: str
    htm: str
    htp: str
    aud: str


_WEAK_POINTS: Final = frozenset(
    bytes.fromhex(text)
    for text in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
"""Points of small order, sign bit cleared, as in libsodium's `ge25519_has_small_order`."""
_decode_jwk = msgspec.json.Decoder(PublicJwk).decode
_decode_protected = msgspec.json.Decoder(_Protected).decode


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    """Base64url without padding, in its one canonical form; ValueError for anything else."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(data) != text:
        raise ValueError("not canonical base64url")
    return data


def new_signing_key(*, kid: str | None = None) -> SigningKey:
    """A fresh Ed25519 key; `kid` defaults to 64 random bits."""
    return SigningKey(kid=kid or f"k-{secrets.token_hex(8)}", private=Ed25519PrivateKey.generate())


def signing_key(*, kid: str, secret: bytes) -> SigningKey:
    """The key of 32 stored secret bytes. Raises BadInput for another length."""
    if len(secret) != KEY_BYTES:
        raise BadInput(f"an Ed25519 key has {KEY_BYTES} secret bytes", where=kid)
    return SigningKey(kid=kid, private=Ed25519PrivateKey.from_private_bytes(secret))


def check_public_jwk(jwk: PublicJwk, *, where: str = "") -> PublicJwk:
    """The key itself. Raises BadInput when kid or point is not usable."""
    if not 0 < len(jwk.kid) <= KID_CHARACTERS_MAX or not jwk.kid.isprintable():
        raise BadInput(f"kid must have 1 to {KID_CHARACTERS_MAX} printable characters", where=where)
    _public_key(jwk, where=where)
    return jwk


def parse_public_jwk(text: str | bytes, *, where: str = "jwk") -> PublicJwk:
    """A usable key from its JSON. Raises BadInput for anything but an Ed25519 public key.

    A private key is refused in plain words: it has left its owner and must be replaced.
    """
    try:
        jwk = _decode_jwk(text)
        extra = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"not an Ed25519 public key as JWK: {error}", where=where) from error
    if "d" in extra:
        raise BadInput(
            "this is a private key: make a new one and send its public half", where=where
        )
    return check_public_jwk(jwk, where=where)


def _public_key(jwk: PublicJwk, *, where: str = "") -> Ed25519PublicKey:
    try:
        point = _decode(jwk.x)
        if point[:-1] + bytes([point[-1] & 0x7F]) in _WEAK_POINTS:
            raise BadInput("x is a point under which anybody can sign", where=where)
        return Ed25519PublicKey.from_public_bytes(point)
    except (ValueError, IndexError) as error:
        raise BadInput("x is not an Ed25519 public key in base64url", where=where) from error


def sign(
    body: bytes,
    *,
    key: SigningKey,
    method: str,
    path: str,
    now: datetime,
    audience: str = "",
    nonce: str | None = None,
) -> str:
    """The value of the OpenAOC-Signature header for exactly these body bytes.

    `path` is the request's path as sent, with `?` and its query where it has one. `audience` is
    the institution's code on messages of the centre, so that one institution cannot pass them to
    another as its own; it is empty on answers to the centre.
    """
    protected = _Protected(
        alg=ALGORITHM,
        kid=key.kid,
        typ=TYPE,
        crit=list(CRITICAL),
        iat=int(now.timestamp()),
        nonce=nonce or secrets.token_urlsafe(NONCE_BYTES),
        htm=method.upper(),
        htp=path,
        aud=audience,
    )
    head = _encode(msgspec.json.encode(protected))
    signature = key.private.sign(_signing_input(head, body))
    return f"{head}..{_encode(signature)}"


def _signing_input(head: str, body: bytes) -> bytes:
    return head.encode("ascii") + b"." + base64.urlsafe_b64encode(body).rstrip(b"=")


def verify(
    body: bytes,
    *,
    header: str | None,
    keys: Mapping[str, PublicJwk],
    method: str,
    path: str,
    now: datetime,
    audience: str = "",
    window: timedelta = WINDOW,
) -> Verified:
    """Who signed these bytes for this method, path and audience within `window` of `now`.

    `keys` maps kid to key and holds only keys that are valid now for the expected sender. Raises
    BadSignature, saying which check failed. The caller must still refuse a repeated nonce.
    """
    if not header:
        raise BadSignature("the message carries no signature", where=HEADER)
    head, protected, signature = _take_apart(header)
    key = keys.get(protected.kid)
    if key is None:
        raise BadSignature("the signing key is not registered for this sender", where=HEADER)
    try:
        _public_key(key).verify(signature, _signing_input(head, body))
    except InvalidSignature as error:
        raise BadSignature("the signature does not match the body", where=HEADER) from error
    if protected.htm != method.upper() or protected.htp != path:
        raise BadSignature("the signature is for another method or path", where=HEADER)
    if protected.aud != audience:
        raise BadSignature("the signature is for another audience", where=HEADER)
    issued_at = _issued_at(protected, now)
    if abs(now - issued_at) > window:
        raise BadSignature(f"signed more than {window} from now", where=HEADER)
    return Verified(kid=protected.kid, issued_at=issued_at, nonce=protected.nonce)


def _take_apart(header: str) -> tuple[str, _Protected, bytes]:
    """The header's three parts: protected text, protected members, signature bytes."""
    parts = header.split(".", 3) if len(header) <= HEADER_CHARACTERS_MAX else []
    try:
        head, payload, tail = parts
        if payload:
            raise BadSignature("the payload must be detached", where=HEADER)
        protected = _decode_protected(_decode(head))
        signature = _decode(tail)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadSignature("not a detached JWS of this centre's form", where=HEADER) from error
    if sorted(protected.crit) != sorted(CRITICAL):
        raise BadSignature("crit must name iat, nonce, htm, htp and aud", where=HEADER)
    if not 0 < len(protected.nonce) <= NONCE_CHARACTERS_MAX or "\0" in protected.nonce:
        raise BadSignature("nonce is missing or too long", where=HEADER)
    return head, protected, signature


def _issued_at(protected: _Protected, now: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(protected.iat, tz=now.tzinfo)
    except (OverflowError, ValueError, OSError) as error:
        raise BadSignature("iat is not a time", where=HEADER) from error
