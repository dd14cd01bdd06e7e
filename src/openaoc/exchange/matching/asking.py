"""Matching: the side that asks: blinds, asks in filled-up batches, compares, tells each hit.

Learns which of its identifiers the partner also knows, and of the rest of the partner's set only
its size class. Never sends an identifier, nor how many it asks about.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

import structlog

from openaoc.channels.transport import NotReached
from openaoc.exchange.line import Agreed, BadAnswer, Line, Peer, PeerBusy, PeerRefused
from openaoc.exchange.matching import store
from openaoc.exchange.matching.answering import Holdings, new_hit_id, open_hit, unprotected
from openaoc.exchange.matching.model import (
    ASKED_AT_ONCE_MAX,
    PATH,
    QUESTIONS_PER_BATCH_MAX,
    Answers,
    Direction,
    Hit,
    HitPage,
    HitTaken,
    HitTold,
    Matched,
    NoSuchHit,
    Page,
    PageAsked,
    Questions,
    SetAsked,
    SetInfo,
    batch_size,
    elements_of,
    epoch_of,
)
from openaoc.exchange.matching.oprf import BadElement, random_element
from openaoc.exchange.matching.pool import Pool
from openaoc.exchange.matching.sets import Identifier, TagSet, tag_of
from openaoc.exchange.objects import Fields, ObjectKind, SharedObject, new_object_id
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.kernel.paging import FIRST, Asked, Place
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

_LOG = structlog.get_logger("openaoc.matching")
SETS_KEPT_MAX: Final = 8
TOLD_PER_RUN_MAX: Final = 50
REASON_CHARACTERS_MIN: Final = 3


class Asking:
    """The verbs of the side that asks. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        agreed: Agreed,
        holdings: Holdings,
        line: Line,
        pool: Pool,
        desk: str,
    ) -> None:
        """`desk`: whom partners ask here about a hit; "" tells them nothing."""
        self._desk = desk
        self._uow = uow
        self._agreed = agreed
        self._holdings = holdings
        self._line = line
        self._pool = pool
        self._lock = threading.Lock()
        self._sets: dict[str, tuple[int, TagSet]] = {}

    def match_known(self, partner: str, *, after: int = 0) -> Matched:
        """Match what we hold an opinion on, the latest changed ASKED_AT_ONCE_MAX of it.

        `after`: only what changed behind this mark. Raises as `match` does.
        """
        with self._uow.read(SYSTEM, purpose="what is matched") as tx:
            kinds = self._agreed.grant(tx, partner, ObjectKind.MATCH).identifier_kinds
            # Of these the possible victims are left out below, as of what a person asks about.
            known = self._holdings.identifiers(tx, kinds, limit=ASKED_AT_ONCE_MAX, after=after)
            epoch = epoch_of(tx.now)
        if not known:
            return Matched(partner=partner, epoch=epoch, asked=0, hits=0, fresh=0)
        return self.match(partner, known)

    def match(self, partner: str, identifiers: Sequence[Identifier]) -> Matched:
        """Which of these the partner knows too: each is kept as a hit and told.

        Raises NoAgreement, also for a kind that is not agreed on; BadInput, TooLarge; NotReached,
        PeerBusy, PeerRefused and BadAnswer when the partner does not answer.
        """
        wanted = sorted(set(identifiers))
        if not 0 < len(wanted) <= ASKED_AT_ONCE_MAX:
            raise TooLarge(f"1 to {ASKED_AT_ONCE_MAX} identifiers at once")
        with self._uow.read(SYSTEM, purpose="match without showing") as tx:
            peer = self._agreed.peer(tx, partner)
            agreed = set(self._agreed.grant(tx, partner, ObjectKind.MATCH).identifier_kinds)
            contact = self._agreed.contact(tx, partner)
        for one in wanted:
            if one.kind not in agreed:
                raise BadInput("no kind of identifier that was agreed on", where=one.kind)
        with self._uow.read(SYSTEM, purpose="who is protected") as tx:
            wanted = unprotected(tx, self._agreed, wanted)
            epoch = epoch_of(tx.now)
        if not wanted:
            return Matched(partner=partner, epoch=epoch, asked=0, hits=0, fresh=0)
        info, tags = self._partners_set(peer)
        found = self._found(peer, info, tags, wanted)
        fresh = self._open(partner, info.epoch, found, asked=len(wanted), contact=contact)
        self.tell_due(partner)
        return Matched(
            partner=partner, epoch=info.epoch, asked=len(wanted), hits=len(found), fresh=fresh
        )

    def _partners_set(self, peer: Peer) -> tuple[SetInfo, TagSet]:
        """The partner's set, fetched once per epoch. Raises BadAnswer when it is not whole."""
        info = self._line.ask(peer, f"{PATH}/set", SetAsked(), SetInfo)
        with self._lock:
            epoch, kept = self._sets.get(peer.code, (-1, None))
        if kept is not None and epoch == info.epoch and kept.digest() == info.digest:
            return info, kept
        pages = [
            self._line.ask(peer, f"{PATH}/page", PageAsked(epoch=info.epoch, page=no), Page).tags
            for no in range(info.pages)
        ]
        try:
            tags = TagSet(b"".join(pages))
        except BadInput as error:
            raise BadAnswer(error.detail, where=peer.code) from error
        if tags.digest() != info.digest or len(tags) != info.entries:
            raise BadAnswer("its set is not the one it announced", where=peer.code)
        with self._lock:
            while len(self._sets) >= SETS_KEPT_MAX:
                self._sets.pop(next(iter(self._sets)))
            self._sets[peer.code] = (info.epoch, tags)
        return info, tags

    def _found(
        self, peer: Peer, info: SetInfo, tags: TagSet, wanted: Sequence[Identifier]
    ) -> list[tuple[Identifier, bytes]]:
        """The identifiers that are in the set, each with its tag."""
        found = []
        for start in range(0, len(wanted), QUESTIONS_PER_BATCH_MAX):
            part = wanted[start : start + QUESTIONS_PER_BATCH_MAX]
            for one, tag in zip(part, self._tags(peer, info.epoch, part), strict=True):
                if tag in tags:
                    found.append((one, tag))
        return found

    def _tags(self, peer: Peer, epoch: int, part: Sequence[Identifier]) -> list[bytes]:
        items = [one.encoded() for one in part]
        blinded = self._pool.blind(items)
        elements = [one.element for one in blinded]
        elements += [random_element() for _ in range(batch_size(len(part)) - len(part))]
        asked = Questions(epoch=epoch, elements=b"".join(elements))
        said = self._line.ask(peer, f"{PATH}/evaluate", asked, Answers).answers
        if len(said) != len(asked.elements):
            raise BadAnswer("another number of answers than questions", where=peer.code)
        answers = elements_of(said)[: len(part)]
        try:
            outputs = self._pool.finalize(list(zip(items, blinded, answers, strict=True)))
        except BadElement as error:
            raise BadAnswer("an answer is no element", where=peer.code) from error
        return [tag_of(output) for output in outputs]

    def _open(
        self,
        partner: str,
        epoch: int,
        found: Sequence[tuple[Identifier, bytes]],
        *,
        asked: int,
        contact: str,
    ) -> int:
        """Keep the hits and the count; how many are new."""
        fresh = 0
        with self._uow.begin(SYSTEM, purpose="keep what matched") as tx:
            for identifier, tag in found:
                hit = Hit(
                    id=new_hit_id(),
                    partner=partner,
                    direction=Direction.FOUND,
                    kind=identifier.kind,
                    value=identifier.value,
                    epoch=epoch,
                    token=tag.hex(),
                    contact=contact,
                    found_at=tx.now,
                )
                fresh += open_hit(tx, hit).id == hit.id
            counted = Matched(
                partner=partner, epoch=epoch, asked=asked, hits=len(found), fresh=fresh
            )
            tx.journal(action="exchange.match.asked", subject=partner, after=counted)
            store.forget_counts(tx.connection, now=tx.now)
        _LOG.info("matched", partner=partner, asked=asked, hits=len(found), fresh=fresh)
        return fresh

    def tell_due(self, partner: str) -> int:
        """Tell the partner hits it does not know of; how many. What fails is told another time."""
        with self._uow.read(SYSTEM, purpose="hits to be told") as tx:
            due = store.untold(tx.connection, partner=partner, limit=TOLD_PER_RUN_MAX)
            named = self._agreed.protected(tx, [(hit.kind, hit.value) for hit in due])
            due = [hit for hit in due if (hit.kind, hit.value) not in named]
            peer = self._agreed.peer(tx, partner) if due else None
        told = 0
        for hit in due:
            assert peer is not None, "asked for above"
            try:
                self._tell(peer, hit)
            except PeerRefused as error:
                # Its epoch is over: the next match finds it again under another token.
                self._close(hit, why=error.detail)
            except (NotReached, PeerBusy, BadAnswer) as error:
                _LOG.warning("hit_not_told", partner=partner, error=error.code)
                break
            else:
                told += 1
        return told

    def _tell(self, peer: Peer, hit: Hit) -> None:
        with self._uow.begin(SYSTEM, purpose="tell a hit") as tx:
            shared = _shared(tx, hit, desk=self._desk)
            released = self._agreed.release(tx, shared, partner=hit.partner)
        told = HitTold(epoch=hit.epoch, hit=released)
        taken = self._line.ask(peer, f"{PATH}/hit", told, HitTaken)
        with self._uow.begin(SYSTEM, purpose="a hit was told") as tx:
            store.told(tx.connection, hit.id, reference=taken.reference[:64], at=tx.now)

    def _close(self, hit: Hit, *, why: str) -> None:
        with self._uow.begin(SYSTEM, purpose="a hit cannot be told") as tx:
            store.close(tx.connection, hit.id, by=tx.actor.id, why=why, at=tx.now)

    def hits(self, tx: Transaction, asked: Asked = FIRST) -> HitPage:
        """A page of hits, newest first, for the contact point. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.CASE_WORK)
        rows = store.newest(tx.connection, asked)
        shown, more = asked.cut(rows, lambda one: Place(one.found_at, one.id).cursor())
        return HitPage(hits=shown, cursor=more)

    def close(self, tx: Transaction, hit_id: str, *, why: str) -> Hit:
        """A person has dealt with the hit. Raises NotPermitted, NoSuchHit, BadInput."""
        require(tx.actor, Permission.CASE_WORK)
        if len(why.strip()) < REASON_CHARACTERS_MIN:
            raise BadInput("say why", where="reason")
        if not store.close(tx.connection, hit_id, by=tx.actor.id, why=why, at=tx.now):
            raise NoSuchHit(hit_id[:32])
        tx.journal(action="exchange.match.closed", subject=hit_id, reason=why)
        kept = store.get(tx.connection, hit_id)
        assert kept is not None, "it was closed just now"
        return kept


def _shared(tx: Transaction, hit: Hit, *, desk: str) -> SharedObject:
    fields: Fields = {"identifier_kind": hit.kind, "token": hit.token}
    if desk:
        fields["contact"] = desk
    return SharedObject(
        id=new_object_id(ObjectKind.MATCH),
        kind=ObjectKind.MATCH,
        created=tx.now,
        modified=tx.now,
        marking=Marking.AMBER,
        offences=tuple(Offence),
        fields=fields,
        about=((hit.kind, hit.value),),
    )
