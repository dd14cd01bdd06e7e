"""Continuity: the centre's side of its witnesses: heads are offered on a schedule, with retries.

Which witnesses there are is journalled. Trusts no witness further than its own signature.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import structlog

from openaoc.continuity import witnessing_store as store
from openaoc.continuity.model import WitnessStatus
from openaoc.continuity.witness import Behind, Cosigned, HeadOffer, HistoryRewritten
from openaoc.continuity.witness_client import (
    WitnessClient,
    append_head,
    check_url,
    is_file,
    largest,
    read_heads,
)
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput, Conflict, Corrupt, NotFound, OpenAOCError
from openaoc.parties.permissions import Permission, require
from openaoc.storage import merkle
from openaoc.storage.journal import JournalService, UnknownLeaf
from openaoc.storage.journal_heads import Head, key_id
from openaoc.storage.journal_keys import decode_public, encode_public
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

EVERY_S: Final = 30.0
"""How often heads are offered: what an administrator could rewrite unseen is younger than this."""
ATTEMPTS_MAX: Final = 3
ERROR_CHARACTERS_MAX: Final = 300
_LOG = structlog.get_logger(__name__)


class CentreIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """How witnesses know this centre: the id and the bytes (base64) of its first journal key."""

    centre: str
    first_key: str


class Witnessing:
    """One instance per centre."""

    def __init__(
        self, *, uow: UnitOfWork, journal: JournalService, every_s: float = EVERY_S
    ) -> None:
        self._uow = uow
        self._journal = journal
        self._ticker = Ticker("witnesses", self.offer_all, every_s=every_s)

    def identity(self) -> CentreIdentity:
        """What a witness's operator is given."""
        successions = self._journal.successions()
        first = successions[0].old if successions else encode_public(self._journal.keys().current)
        return CentreIdentity(centre=key_id(decode_public(first)), first_key=first)

    def add(self, tx: Transaction, *, url: str, key: str) -> WitnessStatus:
        """Offer heads to this witness from now on; over HTTP its key is pinned.

        Raises NotPermitted, BadInput, also for a key that is none, Conflict for one that is there.
        """
        require(tx.actor, Permission.JOURNAL_WITNESS)
        place = check_url(url)
        if not is_file(place):
            _check_key(key)
        if not store.add(tx.connection, url=place, key=key, now=tx.now):
            raise Conflict("this witness is known already", where=place)
        added = self._one(tx, place)
        tx.journal(action="continuity.witness.added", subject=place, after=added)
        tx.after_commit(self._ticker.wake)
        return added

    def remove(self, tx: Transaction, *, url: str, reason: str) -> None:
        """Offer it nothing more; what it kept, it keeps. Raises NotPermitted, NotFound."""
        require(tx.actor, Permission.JOURNAL_WITNESS)
        before = self._one(tx, check_url(url))
        store.remove(tx.connection, before.url)
        tx.journal(
            action="continuity.witness.removed", subject=before.url, before=before, reason=reason
        )

    def list(self, tx: Transaction) -> list[WitnessStatus]:
        """Every witness and how far it has signed. Raises NotPermitted."""
        require(tx.actor, Permission.JOURNAL_READ)
        return store.witnesses(tx.connection)

    def start(self) -> None:
        """Begin to offer heads."""
        self._ticker.start()

    def stop(self) -> None:
        """End after the offer at hand."""
        self._ticker.stop()

    def offer_all(self) -> int:
        """Offer the newest head to every witness; how many have it now."""
        try:
            head = self._journal.head()
        except UnknownLeaf:
            return 0
        with self._uow.read(SYSTEM, purpose="offer heads to witnesses") as tx:
            known = store.witnesses(tx.connection)
        return sum(self._offer(one, head) for one in known)

    def _offer(self, one: WitnessStatus, head: Head) -> bool:
        try:
            if is_file(one.url):
                cosigned = None
                self._to_file(Path(one.url.removeprefix("file:")), head)
            else:
                cosigned = self._to_witness(one, head)
        except Exception as error:  # noqa: BLE001 - whatever one witness does, the others are asked
            self._failed(one, error)
            return False
        with self._uow.begin(SYSTEM, purpose="keep a witness's signature") as tx:
            store.seen(tx.connection, one.url, size=head.size, now=tx.now)
            if cosigned is not None:
                store.keep(tx.connection, one.url, cosigned)
        if one.failing_since is not None:
            _LOG.info("continuity.witness.back", url=one.url)
        return True

    def _failed(self, one: WitnessStatus, error: Exception) -> None:
        known = isinstance(error, OpenAOCError | OSError)
        text = (str(error) if known else f"unexpected: {error!r}")[:ERROR_CHARACTERS_MAX]
        if isinstance(error, HistoryRewritten):
            _LOG.error("continuity.witness.contradicts", url=one.url, why=text)
        elif one.failing_since is None:
            _LOG.warning("continuity.witness.away", url=one.url, why=text)
        with self._uow.begin(SYSTEM, purpose="note that a witness fails") as tx:
            store.failed(tx.connection, one.url, error=text, now=tx.now)

    def _to_witness(self, one: WitnessStatus, head: Head) -> Cosigned:
        client, size = WitnessClient(one.url, key=one.key), one.size
        for _ in range(ATTEMPTS_MAX):
            start = min(size, head.size)
            proof = self._journal.consistency_proof(start, head.size)
            offer = HeadOffer(
                centre=self.identity().centre,
                head=head,
                old_size=start,
                path=proof.path,
                successions=self._journal.successions(),
            )
            try:
                return client.offer(offer)
            except Behind as error:
                size = int(error.detail)
        raise Conflict("the witness moves while it is offered a head", where=one.url)

    def _to_file(self, path: Path, head: Head) -> None:
        """Append unless the file knows better: a file witness cannot judge, so the centre does."""
        last = largest(read_heads(path)) if path.exists() else None
        if last is not None:
            if last.size == head.size and last.root == head.root:
                return
            if not self._extends(last, head):
                reason = f"the file knows a head of {last.size} rows that ours denies"
                raise HistoryRewritten(reason, where=str(path))
        append_head(path, head)

    def _extends(self, last: Head, head: Head) -> bool:
        if last.size > head.size:
            return False
        proof = self._journal.consistency_proof(last.size, head.size)
        return merkle.verify_consistency(
            old=last.size,
            new=head.size,
            old_root=last.root_hash,
            new_root=head.root_hash,
            path=[bytes.fromhex(step) for step in proof.path],
        )

    def _one(self, tx: Transaction, url: str) -> WitnessStatus:
        for one in store.witnesses(tx.connection):
            if one.url == url:
                return one
        raise NotFound("no such witness", where=url)


def _check_key(key: str) -> None:
    try:
        decode_public(key)
    except Corrupt as error:
        raise BadInput("its public key, as its operator told it", where="key") from error
