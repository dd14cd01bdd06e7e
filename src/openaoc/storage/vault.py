"""Identities, each encrypted under a key of its own that can be destroyed.

Answers what is known of a subject, to whoever gives a reason, on the record. Decides nothing about
who may ask: the stages do, before they call.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openaoc.kernel.errors import BadInput, Conflict, Corrupt, NotFound, TooLarge, Unavailable
from openaoc.storage.keyring import KEY_BYTES, Keyring
from openaoc.storage.tables import vault_items, vault_master
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

CONTENT_BYTES_MAX: Final = 256 << 10
REASON_CHARACTERS_MIN: Final = 3
RECONCILE_PAGE: Final = 1_000
NONCE_BYTES: Final = 12
KEY_ID_BYTES: Final = 16
FOLDER_NAME: Final = "identities"
FINGERPRINT_LABEL: Final = "openaoc master fingerprint v1"
_WRAP_LABEL: Final = "openaoc identity key wrapping v1"


class NotSealed(NotFound):
    """Nothing is kept about this subject."""


class Shredded(Conflict):
    """What was kept about this subject is destroyed for ever."""


class Commitment(msgspec.Struct, frozen=True, kw_only=True):
    """A keyed hash of the content: proves later what was sealed, tells nothing without its key.

    The key is the subject's own, so shredding leaves nothing that guesses could be tried against.
    """

    hmac_sha256: str


def bind_master(connection: sa.Connection, keys: Keyring) -> None:
    """Tie the database to its master key at the first start, check it at every later one.

    Raises Unavailable when the key is another one or gone: with a new key every identity would
    be lost in silence.
    """
    held = connection.execute(sa.select(vault_master.c.fingerprint)).scalar_one_or_none()
    place = str(keys.folder)
    if held is not None and not keys.has_master():
        raise Unavailable("the master key of this database is missing", where=place)
    fingerprint = keys.derived(FINGERPRINT_LABEL)
    if held is None:
        connection.execute(sa.insert(vault_master).values(one=True, fingerprint=fingerprint))
    elif not hmac.compare_digest(bytes(held), fingerprint):
        raise Unavailable("the master key is not the one of this database", where=place)


class Vault:
    """Seals, opens and shreds identities. The keys are files, never rows.

    Crash order: a key is on disk before a row is encrypted under it, so a lost transaction leaves
    an unused key and never an unreadable row; a row is marked as shredded before its key goes, so
    a crash between the two is made good by `reconcile`, and never loses an identity without the
    journal saying so.
    """

    def __init__(self, *, keys: Keyring, uow: UnitOfWork) -> None:
        self._keys = keys
        self._uow = uow

    def seal(self, tx: Transaction, subject_id: str, content: bytes) -> Commitment:
        """Encrypt the content, replacing what was there; the commitment is for the journal.

        Raises Shredded for a subject that was destroyed, TooLarge.
        """
        if not subject_id:
            raise BadInput("a subject needs an id")
        if len(content) > CONTENT_BYTES_MAX:
            raise TooLarge(f"an identity of {len(content)} bytes")
        row = tx.connection.execute(
            sa.select(vault_items).where(vault_items.c.subject_id == subject_id).with_for_update()
        ).first()
        if row is not None and row.shredded_at is not None:
            raise Shredded(subject_id)
        key_id = secrets.token_hex(KEY_ID_BYTES) if row is None else str(row.key_id)
        key = self._new_key(key_id) if row is None else self._key(key_id)
        nonce = secrets.token_bytes(NONCE_BYTES)
        ciphertext = nonce + AESGCM(_use(key, b"encrypt")).encrypt(
            nonce, content, _bound(subject_id, key_id)
        )
        values = {"ciphertext": ciphertext, "sealed_at": tx.now}
        if row is None:
            new = sa.insert(vault_items).values(subject_id=subject_id, key_id=key_id, **values)
            tx.connection.execute(new)
        else:
            of_subject = vault_items.c.subject_id == subject_id
            tx.connection.execute(sa.update(vault_items).where(of_subject).values(**values))
        commitment = _commit(key, content)
        tx.journal(action="storage.identity.sealed", subject=subject_id, after=commitment)
        return commitment

    def open(self, tx: Transaction, subject_id: str, *, reason: str) -> bytes:
        """What was sealed last.

        The look is journalled in a transaction of its own and is committed before anything is
        decrypted: whatever happens to the caller's change, it is on record. Raises BadInput
        without a reason, NotSealed, Shredded, Corrupt.
        """
        if len(reason.strip()) < REASON_CHARACTERS_MIN:
            raise BadInput("say why this identity is looked at", where="reason")
        row = tx.connection.execute(
            sa.select(vault_items).where(vault_items.c.subject_id == subject_id)
        ).first()
        if row is None:
            raise NotSealed
        if row.ciphertext is None:
            raise Shredded(subject_id)
        with self._uow.begin(tx.actor, purpose=tx.purpose) as record:
            record.journal(
                action="storage.identity.opened", subject=subject_id, reason=reason.strip()
            )
        key, sealed = self._key(row.key_id), bytes(row.ciphertext)
        try:
            return AESGCM(_use(key, b"encrypt")).decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(subject_id, row.key_id)
            )
        except InvalidTag as error:
            raise Corrupt("an identity's ciphertext was changed", where=subject_id) from error

    def commitment(self, tx: Transaction, subject_id: str, content: bytes) -> Commitment:
        """What `seal` gave for this content: compare to prove what was sealed."""
        row = tx.connection.execute(
            sa.select(vault_items.c.key_id, vault_items.c.shredded_at).where(
                vault_items.c.subject_id == subject_id
            )
        ).first()
        if row is None:
            raise NotSealed
        if row.shredded_at is not None:
            raise Shredded(subject_id)
        return _commit(self._key(row.key_id), content)

    def shred(self, tx: Transaction, subject_id: str, *, reason: str) -> None:
        """Make it unreadable for ever, in every backup of the data too.

        The key goes as soon as this commits. Raises NotSealed, BadInput without a reason; what is
        shredded already stays so.
        """
        if len(reason.strip()) < REASON_CHARACTERS_MIN:
            raise BadInput("say why this identity is destroyed", where="reason")
        row = tx.connection.execute(
            sa.select(vault_items).where(vault_items.c.subject_id == subject_id).with_for_update()
        ).first()
        if row is None:
            raise NotSealed
        if row.shredded_at is not None:
            return
        of_subject = vault_items.c.subject_id == subject_id
        tx.connection.execute(
            sa.update(vault_items).where(of_subject).values(ciphertext=None, shredded_at=tx.now)
        )
        tx.journal(action="storage.identity.shredded", subject=subject_id, reason=reason.strip())
        path = self._path(row.key_id)
        tx.after_commit(functools.partial(self._keys.destroy, path))

    def sealed_before(
        self,
        tx: Transaction,
        moment: datetime,
        *,
        prefix: str,
        after: tuple[datetime, str],
        limit: int,
    ) -> list[tuple[datetime, str]]:
        """(sealed at, subject) of what is kept under subjects with this prefix, the oldest first.

        `after`: the last one seen before. What is shredded is not among them.
        """
        place = sa.tuple_(vault_items.c.sealed_at, vault_items.c.subject_id)
        query = (
            sa.select(vault_items.c.sealed_at, vault_items.c.subject_id)
            .where(vault_items.c.sealed_at < moment, vault_items.c.shredded_at.is_(None))
            .where(place > sa.tuple_(*after), vault_items.c.subject_id.startswith(prefix))
            .order_by(vault_items.c.sealed_at, vault_items.c.subject_id)
            .limit(limit)
        )
        return [(row.sealed_at, str(row.subject_id)) for row in tx.connection.execute(query)]

    def reconcile(self, tx: Transaction) -> int:
        """Destroy keys of shredded subjects that a crash left behind; how many. Run at start."""
        destroyed, last = 0, ""
        while True:
            rows = tx.connection.execute(
                sa.select(vault_items.c.subject_id, vault_items.c.key_id)
                .where(vault_items.c.shredded_at.is_not(None), vault_items.c.subject_id > last)
                .order_by(vault_items.c.subject_id)
                .limit(RECONCILE_PAGE)
            ).all()
            for row in rows:
                destroyed += self._keys.destroy(self._path(row.key_id))
                last = str(row.subject_id)
            if len(rows) < RECONCILE_PAGE:
                return destroyed

    def erased(self, tx: Transaction, names: Collection[str]) -> list[str]:
        """Those of the key files, by their names in the keys folder, whose subject is shredded."""
        by_id = {Path(name).stem: name for name in names}
        ids, found = sorted(by_id), []
        for start in range(0, len(ids), RECONCILE_PAGE):
            page = ids[start : start + RECONCILE_PAGE]
            rows = tx.connection.execute(
                sa.select(vault_items.c.key_id).where(
                    vault_items.c.key_id.in_(page), vault_items.c.shredded_at.is_not(None)
                )
            )
            found += [by_id[str(row.key_id)] for row in rows]
        return found

    def _path(self, key_id: str) -> Path:
        return self._keys.folder / FOLDER_NAME / key_id[:2] / f"{key_id}.key"

    def _wrapping(self) -> AESGCM:
        return AESGCM(self._keys.derived(_WRAP_LABEL))

    def _new_key(self, key_id: str) -> bytes:
        path, key = self._path(key_id), secrets.token_bytes(KEY_BYTES)
        nonce = secrets.token_bytes(NONCE_BYTES)
        wrapped = nonce + self._wrapping().encrypt(nonce, key, key_id.encode("ascii"))
        self._keys.write(path, wrapped)
        return key

    def _key(self, key_id: str) -> bytes:
        path = self._path(key_id)
        try:
            wrapped = path.read_bytes()
            return self._wrapping().decrypt(
                wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], key_id.encode("ascii")
            )
        except FileNotFoundError as error:
            raise Corrupt("an identity's key is missing", where=str(path)) from error
        except OSError as error:
            raise Unavailable(f"cannot read: {error.strerror}", where=str(path)) from error
        except (InvalidTag, ValueError) as error:
            raise Corrupt("an identity's key was changed", where=str(path)) from error


def _use(key: bytes, what: bytes) -> bytes:
    """One key for one use (HMAC as a key derivation over a uniform key)."""
    return hmac.digest(key, b"openaoc identity v1 " + what, hashlib.sha256)


def _bound(subject_id: str, key_id: str) -> bytes:
    """Authenticated with the ciphertext, so that it cannot be moved to another subject."""
    return f"{key_id}:{subject_id}".encode()


def _commit(key: bytes, content: bytes) -> Commitment:
    digest = hmac.digest(_use(key, b"commit"), content, hashlib.sha256)
    return Commitment(hmac_sha256=digest.hex())
