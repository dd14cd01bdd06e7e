"""Continuity: a witness of the journal: keeps signed heads that extend each other.

Runs apart from the centre, under somebody else's hand, with a key and a folder of its own. Takes
back nothing it has kept; what contradicts it is kept too, as evidence.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from openaoc.continuity.files import write_durably
from openaoc.kernel.clock import Clock, format_time
from openaoc.kernel.errors import BadInput, Conflict, Corrupt, NotFound, Refused, Unavailable
from openaoc.storage import merkle
from openaoc.storage.canonical import canonical_json
from openaoc.storage.files import private_folder, sync_folder
from openaoc.storage.journal_heads import Head, key_id
from openaoc.storage.journal_keys import KeySet, Succession, decode_public, encode_public
from openaoc.storage.keyring import Keyring

KEY_NAME: Final = "witness.pem"
LOCK_NAME: Final = "witness.lock"
PURPOSE: Final = "openaoc witness v1"
PATH_HASHES_MAX: Final = 128
SUCCESSIONS_MAX: Final = 10_000
EVIDENCE_MAX: Final = 1_000
"""Contradictions kept for a centre; past it they are refused without being kept again."""


class UnknownCentre(Refused):
    """This witness does not know that centre."""


class BadHead(BadInput):
    """The head is not one of this centre."""


class Behind(Conflict):
    """The witness has another last head; prove from that one."""


class HistoryRewritten(Conflict):
    """The head contradicts what the centre signed before."""


class WitnessRuns(Conflict):
    """Another process keeps this witness's books."""


class HeadOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What a centre posts: a head, and the proof that it extends the witness's last one.

    `centre` is the id of the centre's first journal key, `old_size` the size the proof starts from,
    hashes are hexadecimal, `successions` every replacement of the centre's key.
    """

    centre: str
    head: Head
    old_size: int
    path: list[str]
    successions: list[Succession] = []


class WitnessStatement(msgspec.Struct, frozen=True, kw_only=True):
    """What a witness signs, as canonical JSON."""

    purpose: str
    centre: str
    size: int
    root: str
    at: str
    key_id: str


class Cosigned(msgspec.Struct, frozen=True, kw_only=True):
    """A head with a witness's word that it extends all it saw before; `at` is its own time."""

    centre: str
    head: Head
    at: str
    key_id: str
    signature: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a witness's book.

    head: kept and signed. branch: a person at the witness accepted that the centre goes on from the
    kept head of that size, after a restore; the heads above it stay in the book. evidence: a head
    that the centre signed and that contradicts the book.
    """

    kind: Literal["head", "branch", "evidence"]
    at: str
    head: Head
    signature: str = ""
    reason: str = ""
    successions: list[Succession] = []


def statement(*, centre: str, head: Head, at: str, key: str) -> bytes:
    """The bytes a witness signs."""
    return canonical_json(
        WitnessStatement(
            purpose=PURPOSE, centre=centre, size=head.size, root=head.root, at=at, key_id=key
        )
    )


def verify_cosigned(one: Cosigned, key: Ed25519PublicKey) -> bool:
    """Whether the holder of the key witnessed this head."""
    text = statement(centre=one.centre, head=one.head, at=one.at, key=one.key_id)
    try:
        key.verify(base64.b64decode(one.signature, validate=True), text)
    except (InvalidSignature, binascii.Error):
        return False
    return one.key_id == key_id(key)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """The folder's books for this process alone: two would sign heads that deny each other.

    Raises WitnessRuns while another process has them. The lock ends with the process.
    """
    path = private_folder(folder) / LOCK_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise WitnessRuns("stop the witness first", where=str(folder)) from error
    try:
        yield
    finally:
        os.close(descriptor)


class Witness:
    """One witness's folder: its key, and a book for each centre it was told to trust."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = private_folder(folder)
        self._clock = clock
        self._signer: Ed25519PrivateKey = Keyring(folder).signing_key(KEY_NAME)
        self._books: dict[str, _Book] = {}
        self._opening = threading.Lock()
        self._open_new()

    @property
    def public_key(self) -> str:
        """32 bytes in base64: what a centre's operator pins."""
        return encode_public(self._signer.public_key())

    def trust(self, first_key: str) -> str:
        """Keep a book for the centre whose first journal key this is; the centre's id.

        Raises Corrupt for what is no key.
        """
        name = key_id(decode_public(first_key))
        path = self._folder / f"{name}.jsonl"
        if name not in self._books:
            write_durably(self._folder / f"{name}.key", f"{first_key}\n".encode("ascii"))
            path.touch(mode=0o600)
            sync_folder(self._folder)
            self._open_new()
        return name

    def _open_new(self) -> None:
        """Books that are not open yet: `trust` may have begun one in another process."""
        with self._opening:
            for path in self._folder.glob("*.jsonl"):
                if path.stem not in self._books:
                    self._books[path.stem] = _Book(path)

    def centres(self) -> list[str]:
        """Whom it keeps books for."""
        self._open_new()
        return sorted(self._books)

    def take(self, offer: HeadOffer) -> Cosigned:
        """Keep and sign the head if it extends the last one kept.

        Raises UnknownCentre, BadHead for a signature that does not hold, Behind with the size to
        prove from, HistoryRewritten for a signed head that contradicts the book: it is kept as
        evidence.
        """
        book = self._book(offer.centre)
        with book.lock:
            if len(offer.path) > PATH_HASHES_MAX or len(offer.successions) > SUCCESSIONS_MAX:
                raise BadHead("the proof is too long")
            keys = self._keys(offer.centre, offer.successions)
            if not keys.verify(offer.head):
                raise BadHead("no key of this centre signed it")
            last = book.last()
            if last is not None:
                self._check_extends(offer, last, book)
            at = format_time(self._clock.now())
            if last is not None and last.head.size == offer.head.size:
                return self._cosigned(offer.centre, last)
            name = key_id(self._signer.public_key())
            text = statement(centre=offer.centre, head=offer.head, at=at, key=name)
            signature = base64.b64encode(self._signer.sign(text)).decode("ascii")
            record = Record(
                kind="head",
                at=at,
                head=offer.head,
                signature=signature,
                successions=offer.successions,
            )
            book.add(record)
            return self._cosigned(offer.centre, record)

    def branch(self, centre: str, *, size: int, reason: str) -> Record:
        """A person accepts that the centre goes on from the kept head of that size.

        For after a restore; everything kept before stays in the book. Raises NotFound without such
        a head, BadInput without a reason.
        """
        if not reason.strip():
            raise BadInput("say who asked for it and how you checked", where="reason")
        book = self._book(centre)
        with book.lock:
            kept = [one for one in book.records if one.kind == "head" and one.head.size == size]
            if not kept:
                raise NotFound(f"no head of size {size} was kept")
            at = format_time(self._clock.now())
            found = kept[-1]
            record = msgspec.structs.replace(found, kind="branch", at=at, reason=reason.strip())
            book.add(record)
            return record

    def newest(self, centre: str) -> Cosigned:
        """The last head kept. Raises UnknownCentre, NotFound before the first."""
        last = self._book(centre).last()
        if last is None:
            raise NotFound("no head yet")
        return self._cosigned(centre, last)

    def book(self, centre: str) -> list[Record]:
        """Everything kept of the centre, oldest first. Raises UnknownCentre."""
        return list(self._book(centre).records)

    def _book(self, centre: str) -> _Book:
        if centre not in self._books:
            self._open_new()
        try:
            return self._books[centre]
        except KeyError as error:
            raise UnknownCentre("`openaoc witness trust` makes it known") from error

    def _keys(self, centre: str, successions: Sequence[Succession]) -> KeySet:
        first = (self._folder / f"{centre}.key").read_text("ascii").strip()
        try:
            return KeySet(decode_public(first), successions)
        except Corrupt as error:
            raise BadHead(str(error)) from error

    def _check_extends(self, offer: HeadOffer, last: Record, book: _Book) -> None:
        kept, head = last.head, offer.head
        if head.size == kept.size and head.root == kept.root:
            return
        if head.size > kept.size:
            if offer.old_size != kept.size:
                raise Behind(str(kept.size))
            try:
                path = [bytes.fromhex(step) for step in offer.path]
                new_root = head.root_hash
            except ValueError as error:
                raise BadHead("hashes are hexadecimal") from error
            if merkle.verify_consistency(
                old=kept.size, new=head.size, old_root=kept.root_hash, new_root=new_root, path=path
            ):
                return
        what = "is shorter than" if head.size < kept.size else "does not extend"
        reason = f"a head of {head.size} rows {what} the one of {kept.size} that was kept"
        book.add_evidence(head, at=format_time(self._clock.now()), reason=reason)
        raise HistoryRewritten(reason)

    def _cosigned(self, centre: str, record: Record) -> Cosigned:
        name = key_id(self._signer.public_key())
        text = statement(centre=centre, head=record.head, at=record.at, key=name)
        signature = base64.b64encode(self._signer.sign(text)).decode("ascii")
        return Cosigned(
            centre=centre, head=record.head, at=record.at, key_id=name, signature=signature
        )


class _Book:
    """The lines kept for one centre: appended, forced to disk, never changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lock = threading.Lock()
        self.records: list[Record] = []
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        self._torn_at = len(whole) if len(whole) < len(content) else None
        """Where a line ends that was never kept whole; it is cut off by who writes the next, for
        another process may be writing it while this one only reads."""
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self.records.append(msgspec.json.decode(line, type=Record))
            except msgspec.MsgspecError as error:
                raise Corrupt(f"line {number} cannot be read", where=str(path)) from error

    def last(self) -> Record | None:
        """The head the next one must extend."""
        for record in reversed(self.records):
            if record.kind != "evidence":
                return record
        return None

    def add_evidence(self, head: Head, *, at: str, reason: str) -> None:
        """Keep a contradiction once, up to EVIDENCE_MAX."""
        known = [one for one in self.records if one.kind == "evidence"]
        if len(known) < EVIDENCE_MAX and all(one.head.root != head.root for one in known):
            self.add(Record(kind="evidence", at=at, head=head, reason=reason))

    def add(self, record: Record) -> None:
        """Durable when it returns. Raises Unavailable; then it is not kept."""
        line = msgspec.json.encode(record) + b"\n"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                if self._torn_at is not None:
                    os.ftruncate(descriptor, self._torn_at)
                    self._torn_at = None
                end = os.fstat(descriptor).st_size
                try:
                    written = os.write(descriptor, line)
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, end)
                    raise
                if written != len(line):
                    os.ftruncate(descriptor, end)
                    raise Unavailable("the disk did not take the line", where=str(self._path))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unavailable(f"not kept: {error.strerror}", where=str(self._path)) from error
        self.records.append(record)
