"""Practice: a bundle's one form in bytes, its signature, and whether one that came is whole.

Signs with the centre's own key and verifies as messages are; no other cryptography.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.channels.signing import BadSignature, PublicJwk, SigningKey, sign, verify
from openaoc.holds.legal import Rulebook, check_rulebook
from openaoc.practice.model import (
    BUNDLE_BYTES_MAX,
    BadPackage,
    Bundle,
    NotSignedByPartner,
    check_bundle,
)
from openaoc.practice.workflow import check_playbook
from openaoc.storage.canonical import canonical_json

METHOD: Final = "PACKAGE"
"""Stands where a request's signature has its method."""
SIGNED_WITHIN: Final = timedelta(days=3_660)
"""A package may be old; what is current is said by the release, not by the signature."""
_DECODER: Final = msgspec.json.Decoder(Bundle)


def bundle_bytes(bundle: Bundle) -> bytes:
    """The bytes that are signed. Raises BadPackage when there are too many."""
    data = canonical_json(check_bundle(bundle))
    if len(data) > BUNDLE_BYTES_MAX:
        raise BadPackage(f"more than {BUNDLE_BYTES_MAX} bytes")
    return data


def digest_of(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sign_bundle(bundle: Bundle, *, key: SigningKey, now: datetime) -> str:
    """The detached signature over the bundle's bytes, bound to its id and version."""
    return sign(bundle_bytes(bundle), key=key, method=METHOD, path=_path(bundle), now=now)


def opened(
    data: bytes, *, signature: str, author: str, keys: Mapping[str, PublicJwk], now: datetime
) -> Bundle:
    """The bundle, signed by its author with one of these keys.

    Raises BadPackage for what is no package in its one form, NotSignedByPartner.
    """
    if len(data) > BUNDLE_BYTES_MAX:
        raise BadPackage(f"more than {BUNDLE_BYTES_MAX} bytes")
    try:
        bundle = check_bundle(_DECODER.decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadPackage(str(error)) from error
    if canonical_json(bundle) != data:
        raise BadPackage("not in its one form in bytes")
    if bundle.author != author:
        raise NotSignedByPartner(f"made by {bundle.author}, sent by {author}")
    try:
        verify(
            data,
            header=signature,
            keys=keys,
            method=METHOD,
            path=_path(bundle),
            now=now,
            window=SIGNED_WITHIN,
        )
    except BadSignature as error:
        raise NotSignedByPartner(error.detail) from error
    if bundle.playbook is not None:
        check_playbook(bundle.playbook)
    if isinstance(bundle.rules, Rulebook):
        check_rulebook(bundle.rules, where="rules")
    return bundle


def _path(bundle: Bundle) -> str:
    return f"/{bundle.id}/{bundle.version}"
