"""Protection: which objects speak of somebody who may be a trafficking victim.

Asked by the one rule of release for every object, whoever publishes it, and by whatever leaves in
another way. Knows keyed digests alone: nobody learns a name from it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final

from openaoc.exchange.objects import SharedObject
from openaoc.exchange.protection import store
from openaoc.exchange.protection.names import names_meant, names_spoken, typed
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import Transaction

LABEL: Final = "openaoc protection names v1"
DIGEST_BYTES: Final = 16

Name = tuple[str, str]
"""A kind of identifier, and its normalised value."""


class Shield:
    """One instance per centre."""

    def __init__(self, *, keys: Keyring) -> None:
        self._keys = keys
        self._key: bytes | None = None

    def digests(self, shared: SharedObject) -> frozenset[bytes]:
        """What the object speaks of: kept with a release, so that a later mark finds it."""
        return self._digested(names_spoken(shared))

    def meant(self, names: Iterable[Name]) -> frozenset[bytes]:
        """By what a marked person's identifiers may be spoken of."""
        return self._digested(text for kind, value in names for text in names_meant(kind, value))

    def protected(self, tx: Transaction, spoken: Sequence[frozenset[bytes]]) -> list[bool]:
        """Of each: whether any of it is a marked person's."""
        every = frozenset[bytes]().union(*spoken)
        marked = store.standing(tx.connection, every)
        return [not marked.isdisjoint(one) for one in spoken]

    def protected_names(self, tx: Transaction, names: Sequence[Name]) -> set[Name]:
        """Those of the identifiers that are a marked person's."""
        if not names or store.is_empty(tx.connection):
            return set()
        spoken = [self._digested([typed(kind, value)]) for kind, value in names]
        marks = self.protected(tx, spoken)
        return {one for one, marked in zip(names, marks, strict=True) if marked}

    def _digested(self, texts: Iterable[str]) -> frozenset[bytes]:
        if self._key is None:
            self._key = self._keys.derived(LABEL)
        key = self._key
        return frozenset(
            hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)[:DIGEST_BYTES]
            for text in texts
        )
