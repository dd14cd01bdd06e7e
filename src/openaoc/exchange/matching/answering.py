"""Matching: the side that answers: publishes its set, answers blinded questions, takes hits.

Learns how many questions were asked and nothing of them; only a hit that is told back says which
identifier both know. Keeps counts, never questions.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog

from openaoc.exchange.line import Agreed
from openaoc.exchange.matching import oprf, store
from openaoc.exchange.matching.files import KEPT_EPOCHS, Shelf
from openaoc.exchange.matching.model import (
    QUESTIONS_PER_HOUR_MAX,
    Answers,
    Direction,
    Hit,
    HitMark,
    HitTaken,
    HitTold,
    NoSuchToken,
    NotPrepared,
    OtherEpoch,
    Page,
    PageAsked,
    Questions,
    SetInfo,
    TooManyQuestions,
    epoch_of,
    is_answered,
)
from openaoc.exchange.matching.pool import Pool
from openaoc.exchange.matching.sets import (
    ENTRIES_MAX,
    ENTRIES_PER_PAGE,
    TAG_BYTES,
    Identifier,
    TagSet,
    build,
)
from openaoc.exchange.objects import ObjectKind
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput
from openaoc.kernel.events import Event
from openaoc.kernel.ids import random_text
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

_LOG = structlog.get_logger("openaoc.matching")
_LABEL: Final = b"openaoc match v1\0"
LOADED_MAX: Final = 8
"""Sets kept in memory: at most two of 25 MB each for each of four partners."""
HIT: Final = "exchange.match.hit"
FOR_GOOD: Final = 2**62
"""Later than every epoch."""


class Holdings(Protocol):
    """Who knows the centre's identifiers."""

    def identifiers(
        self, tx: Transaction, kinds: Sequence[str], *, limit: int, after: int = 0
    ) -> list[Identifier]:
        """What the centre holds an opinion on, of these kinds, the latest changed first.

        `after`: only what changed behind this mark.
        """
        ...

    def mark(self, tx: Transaction) -> int:
        """The mark of the latest change."""
        ...


class MatchKeys:
    """A key per partner and epoch, from one secret of the centre: none is ever stored."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def key(self, partner: str, epoch: int) -> bytes:
        """The key for this partner and epoch."""
        name = _LABEL + partner.encode("utf-8") + b"\0" + epoch.to_bytes(8, "big")
        seed = hmac.digest(self._secret, name, hashlib.sha256)
        return oprf.derive_key(seed, info=_LABEL)


class Answering:
    """The verbs of the side that answers. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        agreed: Agreed,
        holdings: Holdings,
        keys: MatchKeys,
        pool: Pool,
        folder: Path,
        questions_per_hour: int = QUESTIONS_PER_HOUR_MAX,
    ) -> None:
        self._uow = uow
        self._agreed = agreed
        self._holdings = holdings
        self._keys = keys
        self._pool = pool
        self._shelf = Shelf(folder)
        self._questions_max = questions_per_hour
        self._lock = threading.Lock()
        self._loaded: dict[tuple[str, int], TagSet] = {}
        self._forgotten = 0

    def prepare_due(self) -> int:
        """Compute the sets of this epoch that are not there; how many. Takes its time."""
        with self._uow.read(SYSTEM, purpose="which sets are to be published") as tx:
            epoch = epoch_of(tx.now)
            due = [
                partner
                for partner in self._agreed.partners_with(tx, ObjectKind.MATCH)
                if not self._shelf.has(partner, epoch)
            ]
        for partner in due:
            self._prepare(partner, epoch)
        self._shelf.forget(before=epoch - KEPT_EPOCHS + 1)
        with self._lock:
            for key in [key for key in self._loaded if key[1] < epoch - 1]:
                del self._loaded[key]
        return len(due)

    def _prepare(self, partner: str, epoch: int) -> None:
        with self._lock:
            forgotten = self._forgotten
        with self._uow.read(SYSTEM, purpose="a set to match against") as tx:
            kinds = self._agreed.grant(tx, partner, ObjectKind.MATCH).identifier_kinds
            every = self._holdings.identifiers(tx, kinds, limit=ENTRIES_MAX)
            known = unprotected(tx, self._agreed, every)
        key = self._keys.key(partner, epoch)
        made = build(known, key=key, evaluate_all=self._pool.evaluate)
        with self._lock:
            if self._forgotten != forgotten:
                return  # somebody in it was marked meanwhile: it is made anew at the next round
            self._shelf.keep(partner, epoch, made)
        _LOG.info("match_set_prepared", partner=partner, epoch=epoch, identifiers=len(known))

    def forget_sets(self) -> None:
        """Withdraw every published set: somebody in one may be a victim. They are made anew."""
        with self._lock:
            self._forgotten += 1
            self._shelf.forget(before=FOR_GOOD)
            self._loaded.clear()

    def describe(self, tx: Transaction, partner: str) -> SetInfo:
        """The newest set there is for the partner. Raises NoAgreement, NotPrepared."""
        self._agreed.grant(tx, partner, ObjectKind.MATCH)
        present = epoch_of(tx.now)
        for epoch in (present, present - 1):
            if is_answered(epoch, tx.now) and self._shelf.has(partner, epoch):
                tags = self._tags(partner, epoch)
                return SetInfo(
                    epoch=epoch,
                    entries=len(tags),
                    pages=-(-len(tags) // ENTRIES_PER_PAGE),
                    digest=tags.digest(),
                )
        raise NotPrepared("this epoch's set is not ready yet")

    def page(self, tx: Transaction, partner: str, asked: PageAsked) -> Page:
        """One page. Raises NoAgreement, OtherEpoch, NotPrepared, BadInput past the last."""
        self._agreed.grant(tx, partner, ObjectKind.MATCH)
        tags = self._published(tx, partner, asked.epoch).page(asked.page)
        if not tags:
            raise BadInput("past the last page", where="page")
        return Page(tags=tags)

    def evaluate(self, tx: Transaction, partner: str, asked: Questions) -> Answers:
        """An answer to each element.

        Raises NoAgreement, OtherEpoch, BadInput, BadElement, TooManyQuestions. What is refused
        was not asked: it does not count.
        """
        self._agreed.grant(tx, partner, ObjectKind.MATCH)
        if not is_answered(asked.epoch, tx.now):
            raise OtherEpoch("ask which set there is", where="epoch")
        elements = asked.split()
        hour = tx.now.replace(minute=0, second=0, microsecond=0)
        if store.count(tx.connection, partner, hour=hour, by=len(elements)) > self._questions_max:
            raise TooManyQuestions(f"limit {self._questions_max} an hour", where=partner)
        key = self._keys.key(partner, asked.epoch)
        return Answers(answers=b"".join(self._pool.evaluate_blinded(key, elements)))

    def take_hit(self, tx: Transaction, partner: str, told: HitTold) -> HitTaken:
        """The partner found one of ours: opens it to the contact point.

        Raises NoSuchToken for a token that names none of what was published: guessing is no use.
        """
        self._agreed.grant(tx, partner, ObjectKind.MATCH)
        token = told.hit.fields.get("token")
        contact = told.hit.fields.get("contact") or self._agreed.contact(tx, partner)
        identifier = self._named(tx, partner, told.epoch, token)
        hit = Hit(
            id=new_hit_id(),
            partner=partner,
            direction=Direction.TOLD,
            kind=identifier.kind,
            value=identifier.value,
            epoch=told.epoch,
            token=str(token),
            contact=str(contact),
            found_at=tx.now,
            told_at=tx.now,
        )
        return HitTaken(reference=open_hit(tx, hit).id)

    def _named(self, tx: Transaction, partner: str, epoch: int, token: object) -> Identifier:
        tags = self._published(tx, partner, epoch)
        try:
            tag = bytes.fromhex(token) if isinstance(token, str) else b""
        except ValueError:
            tag = b""
        place = tags.find(tag) if len(tag) == TAG_BYTES else None
        found = (
            None if place is None else self._shelf.item(partner, epoch, place=place, of=len(tags))
        )
        if found is None:
            raise NoSuchToken("names nothing that was published", where="token")
        return found

    def _published(self, tx: Transaction, partner: str, epoch: int) -> TagSet:
        if not is_answered(epoch, tx.now):
            raise OtherEpoch("ask which set there is", where="epoch")
        if not self._shelf.has(partner, epoch):
            raise NotPrepared("this epoch's set is not ready yet")
        return self._tags(partner, epoch)

    def _tags(self, partner: str, epoch: int) -> TagSet:
        with self._lock:
            tags = self._loaded.get((partner, epoch))
            if tags is None:
                tags = self._shelf.tags(partner, epoch)
                while len(self._loaded) >= LOADED_MAX:
                    self._loaded.pop(next(iter(self._loaded)))
                self._loaded[partner, epoch] = tags
            return tags


def unprotected(
    tx: Transaction, agreed: Agreed, identifiers: Sequence[Identifier]
) -> list[Identifier]:
    """Those that may be matched: a possible victim of trafficking is nobody's match."""
    named = agreed.protected(tx, [(one.kind, one.value) for one in identifiers])
    return [one for one in identifiers if (one.kind, one.value) not in named]


def new_hit_id() -> str:
    """A fresh number of a hit: 80 random bits."""
    return "hit_" + random_text(16).lower()


def open_hit(tx: Transaction, hit: Hit) -> Hit:
    """Keep the hit, or the one that is open already for the same; the kept one."""
    kept, fresh = store.add_hit(tx.connection, hit)
    if fresh:
        mark = HitMark(
            partner=hit.partner, direction=hit.direction.value, kind=hit.kind, epoch=hit.epoch
        )
        tx.journal(action="exchange.match.opened", subject=kept.id, after=mark)
        tx.emit(Event(name=HIT, subject=kept.id, at=tx.now, facts={"partner": hit.partner}))
    return kept
