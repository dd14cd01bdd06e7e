"""An institution's public signing key as it arrives: one JSON Web Key, Ed25519, without secret."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final, Literal

import msgspec

from openaoc.kernel.errors import BadInput

KEY_BYTES: Final = 32
JWK_BYTES_MAX: Final = 2_000
_KID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Jwk(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """RFC 8037; members we do not name are dropped, a private one is refused before."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str = ""
    use: str = ""
    alg: str = ""


def thumbprint(x: str) -> str:
    """RFC 7638: SHA-256 over the required members in order."""
    text = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'
    digest = hashlib.sha256(text.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def read_jwk(text: str) -> tuple[str, str]:
    """The key's id and its JWK in our own spelling.

    Without a `kid` the thumbprint is its id. Raises BadInput for another kind of key, a private
    one, or a wrong length.
    """
    if len(text.encode("utf-8")) > JWK_BYTES_MAX:
        raise BadInput("too long for a public key", where="jwk")
    try:
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        key = msgspec.json.decode(text, type=Jwk)
        raw = base64.b64decode(key.x + "=" * (-len(key.x) % 4), altchars=b"-_", validate=True)
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise BadInput("not an Ed25519 public key as a JSON Web Key", where="jwk") from error
    if "d" in members:
        raise BadInput("this is a private key: do not send it to anybody", where="jwk")
    if len(raw) != KEY_BYTES:
        raise BadInput(f"x is not {KEY_BYTES} bytes", where="jwk.x")
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
    kid = key.kid or thumbprint(x)
    if not _KID.fullmatch(kid):
        raise BadInput("kid: 1 to 64 letters, digits, '.', '_' or '-'", where="jwk.kid")
    ours = Jwk(kty="OKP", crv="Ed25519", x=x, kid=kid, use="sig", alg="EdDSA")
    return kid, msgspec.json.encode(ours).decode("ascii")
