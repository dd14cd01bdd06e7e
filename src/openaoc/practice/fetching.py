"""Practice: what partners' centres let us have is asked for, signed; and what they ask us for.

One page at a time, each in one transaction with how far it got. A partner that was restored from a
backup is asked from the beginning: taking the same again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from openaoc.channels.signing import PublicJwk
from openaoc.channels.transport import NotReached
from openaoc.exchange.agreement import Agreement
from openaoc.exchange.gate import Gate
from openaoc.exchange.ledger_model import Notice, RecallKind, Received
from openaoc.exchange.line import Agreed, Line
from openaoc.exchange.model import NoAgreement
from openaoc.exchange.objects import PRACTICE, ObjectKind, ReleasedObject
from openaoc.exchange.service import Exchange
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import parse_time
from openaoc.kernel.errors import BadInput, OpenAOCError
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.offences import Offence, offence_of
from openaoc.practice import store
from openaoc.practice.script_model import Medium
from openaoc.practice.scripts import Scripts, script_of
from openaoc.practice.service import Packages
from openaoc.storage.centre_state import read_state
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

PATH: Final = "/v1/centre/practice"
OBJECTS_PER_PAGE: Final = 3
"""So that three of the longest bundles fit into one reply."""
NOTICES_PER_PAGE: Final = 50
PAGES_PER_ROUND: Final = 100
NOT_TAKEN_MAX: Final = 50
PERMITTED_LANGUAGE_CHARACTERS: Final = 3
_PURPOSE: Final = "best practice of partners"
_LOG = structlog.get_logger(__name__)

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class PageAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which objects and notices the asking centre has already."""

    after: Number
    notice: Number


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What comes next. `epoch`: in which life of the asked centre the numbers are.

    `noticed`: how far notices were looked through; those of other objects go another way.
    """

    epoch: int
    objects: Annotated[tuple[Received, ...], Meta(max_length=OBJECTS_PER_PAGE)]
    notices: Annotated[tuple[Notice, ...], Meta(max_length=NOTICES_PER_PAGE)]
    noticed: Number
    more: bool


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking a partner: taken, taken back, and why the rest was not taken."""

    partner: str
    taken: int = 0
    taken_back: int = 0
    not_taken: tuple[str, ...] = ()
    error: str | None = None


class Answering:
    """What we answer. One instance per centre."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def open(self, gate: Gate) -> None:
        """Let partners ask."""
        gate.open(f"{PATH}/page", PageAsked, self.page)

    def page(self, tx: Transaction, partner: str, asked: PageAsked) -> Page:
        """What this partner may have, from where it is."""
        view = self._exchange.view(
            tx, partner, after=asked.after, limit=OBJECTS_PER_PAGE, kinds=PRACTICE
        )
        notices = self._exchange.recalling.notices(tx, partner=partner, after=asked.notice)
        looked = notices.notices
        mine = [one for one in looked if _is_practice(one.object_id)]
        shown = mine[:NOTICES_PER_PAGE]
        whole = len(shown) == len(mine)
        last = looked[-1:] if whole else shown[-1:]
        self._exchange.recalling.delivered(tx, partner, [one.sequence for one in shown])
        return Page(
            epoch=read_state(tx.connection).epoch,
            objects=tuple(view.objects),
            notices=tuple(shown),
            noticed=last[0].sequence if last else asked.notice,
            more=view.more or not whole or len(looked) == PAGE_MAX,
        )


class Fetching:
    """What we ask for. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        exchange: Exchange,
        agreed: Agreed,
        line: Line,
        packages: Packages,
        scripts: Scripts,
    ) -> None:
        self._uow = uow
        self._exchange = exchange
        self._agreed = agreed
        self._line = line
        self._packages = packages
        self._scripts = scripts

    def run(self) -> list[Fetched]:
        """Ask every partner with whom packages or scripts were agreed on."""
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            partners = sorted(
                {code for kind in PRACTICE for code in self._agreed.partners_with(tx, kind)}
            )
        return [self.fetch(partner) for partner in partners]

    def fetch(self, partner: str) -> Fetched:
        """Ask one partner until there is no more, at most PAGES_PER_ROUND pages.

        What keeps it from answering is said and kept, and it is asked again later.
        """
        done = Fetched(partner=partner)
        for _ in range(PAGES_PER_ROUND):
            try:
                done, more = self._one_page(partner, done)
            except (NotReached, OpenAOCError) as error:
                self._failed(partner, str(error))
                return msgspec.structs.replace(done, error=str(error))
            if not more:
                break
        return done

    def _one_page(self, partner: str, done: Fetched) -> tuple[Fetched, bool]:
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            peer = self._agreed.peer(tx, partner)
            line = store.line_of(tx.connection, partner)
        page = self._line.ask(
            peer, f"{PATH}/page", PageAsked(after=line.after, notice=line.notice), Page
        )
        with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
            tx.lock(f"practice.line.{partner}")
            if page.epoch != line.epoch and (line.after or line.notice):
                store.save_line(
                    tx.connection, store.PracticeLine(partner=partner, epoch=page.epoch)
                )
                return done, True
            agreement = self._exchange.agreements.in_force(tx, partner)
            if agreement is None:
                raise NoAgreement
            refused: list[str] = []
            taken, back = 0, 0
            for received in page.objects:
                one = received.object
                try:
                    if self.take(tx, one, agreement=agreement, keys=peer.keys):
                        back += one.revoked
                        taken += not one.revoked
                except OpenAOCError as error:
                    refused.append(f"{one.id[:80]}: {error}")
            back += sum(self._noticed(tx, partner, one) for one in page.notices)
            store.save_line(
                tx.connection,
                store.PracticeLine(
                    partner=partner,
                    epoch=page.epoch,
                    after=max([line.after, *(one.sequence for one in page.objects)]),
                    notice=max(line.notice, page.noticed),
                    fetched_at=tx.now,
                    error="; ".join(refused[:3]) or None,
                ),
            )
        kept = (*done.not_taken, *refused)[:NOT_TAKEN_MAX]
        return Fetched(
            partner=partner,
            taken=done.taken + taken,
            taken_back=done.taken_back + back,
            not_taken=kept,
        ), page.more

    def _failed(self, partner: str, why: str) -> None:
        with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
            line = store.line_of(tx.connection, partner)
            store.save_line(tx.connection, msgspec.structs.replace(line, error=why[:500]))
        _LOG.info("practice.fetch.failed", partner=partner)

    def take(
        self,
        tx: Transaction,
        one: ReleasedObject,
        *,
        agreement: Agreement,
        keys: Mapping[str, PublicJwk],
    ) -> bool:
        """Take one object of a partner's under the agreement; whether it changed anything.

        Raises NoAgreement for a kind or marking that was not agreed on, BadInput for what says
        nothing, NotSignedByPartner.
        """
        partner = agreement.partner
        if one.revoked:
            return self._back(tx, partner, one.id, reason="withdrawn by its centre")
        if one.kind not in PRACTICE or one.kind not in agreement.terms.grants:
            raise NoAgreement(f"{one.kind.value} is not agreed on with {partner}")
        if not one.marking.within(agreement.terms.highest_marking):
            raise NoAgreement("its marking is above the agreement's highest")
        if one.kind is ObjectKind.PACKAGE:
            self._packages.take(
                tx,
                partner,
                data=_text(one, "bundle").encode("utf-8"),
                signature=_text(one, "signature"),
                marking=one.marking,
                keys=keys,
            )
            return True
        offences = _offences(one)
        if not set(offences) & {*agreement.terms.purposes, Offence.UNSORTED_SCAM}:
            raise NoAgreement("its purpose is not agreed on")
        removed = one.fields.get("removed", 0)
        self._scripts.take(
            tx,
            partner,
            script_of(
                script_id=one.id,
                partner=partner,
                text=_text(one, "text"),
                language=_language(one),
                medium=_medium(one),
                offences=offences,
                marking=one.marking,
                seen_at=parse_time(_text(one, "seen"), where="seen"),
                at=tx.now,
                removed=removed if isinstance(removed, int) else 0,
            ),
        )
        return True

    def _noticed(self, tx: Transaction, partner: str, one: Notice) -> bool:
        """A correction comes as a newer object; what was withdrawn or is over stops here."""
        if one.kind is RecallKind.CORRECTED:
            return False
        return self._back(tx, partner, one.object_id, reason=f"{one.kind.value} by its centre")

    def _back(self, tx: Transaction, partner: str, object_id: str, *, reason: str) -> bool:
        packages = self._packages.taken_back(tx, partner, object_id, reason=reason)
        return packages or self._scripts.taken_back(tx, partner, object_id, reason=reason)


def _is_practice(object_id: str) -> bool:
    return object_id.partition("--")[0] in {kind.value for kind in PRACTICE}


def _text(one: ReleasedObject, name: str) -> str:
    value = one.fields.get(name)
    if not isinstance(value, str):
        raise BadInput(f"without {name}: was it granted?")
    return value


def _language(one: ReleasedObject) -> str:
    text = _text(one, "language")
    if not (text.isascii() and text.isalpha() and len(text) <= PERMITTED_LANGUAGE_CHARACTERS):
        raise BadInput("not a language", where="language")
    return text.lower()


def _medium(one: ReleasedObject) -> Medium:
    try:
        return Medium(_text(one, "medium"))
    except ValueError as error:
        raise BadInput("not a medium we know", where="medium") from error


def _offences(one: ReleasedObject) -> tuple[Offence, ...]:
    types = one.fields.get("scam_types", ())
    named = [offence_of(text) for text in types] if isinstance(types, tuple) else []
    return tuple(dict.fromkeys(named)) or (Offence.UNSORTED_SCAM,)
