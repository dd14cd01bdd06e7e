"""Across borders: the side that asks: requests in step with a case's exits, and answers taken.

Works in the caller's transaction. Nothing leaves that the agreement does not let leave: then the
request waits, and says why.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec
import structlog

from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.crossborder import store
from openaoc.exchange.crossborder.model import (
    REQUESTS_PER_CASE_MAX,
    AnswerMessage,
    AnswerTaken,
    DoesNotAddUp,
    EarlierLife,
    Exit,
    RequestMark,
    RequestMessage,
    SentRequest,
    SentState,
    check_step,
)
from openaoc.exchange.crossborder.rows import Sent
from openaoc.exchange.crossborder.sums import amounts_told, is_newer, local_code
from openaoc.exchange.line import Agreed
from openaoc.exchange.model import NoAgreement, VolumeReached
from openaoc.exchange.objects import (
    CASE,
    FieldValue,
    ObjectKind,
    SharedObject,
    keyed_object_id,
)
from openaoc.kernel.clock import format_time
from openaoc.kernel.events import Event
from openaoc.kernel.identifiers.kinds import account_value
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.storage.centre_state import read_state
from openaoc.storage.unit_of_work import Transaction

NEEDED: Final = frozenset({"institution", "account", "amount_minor", "currency", "received_at"})
"""Without these nobody can follow the money: an agreement that keeps one back lets none leave."""
_LOG: Final = structlog.get_logger(__name__)
ANSWERED: Final = "exchange.request.answered"
UNKNOWN: Final = "exchange.request.unknown"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A case's exit to a partner's country."""

    partner: str
    exit: Exit


class Asking:
    """The verbs of the side that asks. One instance per centre."""

    def __init__(self, *, agreed: Agreed, key: bytes) -> None:
        """`key`: ids of requests follow from it, so that one exit is one request for good."""
        self._agreed = agreed
        self._key = key

    def keep_in_step(
        self,
        tx: Transaction,
        case_id: str,
        wanted: Sequence[Wanted],
        *,
        offences: tuple[Offence, ...],
        reason: str,
        partners: Collection[str] | None = None,
        held_back: str | None = None,
    ) -> set[str]:
        """Ask for what left, at its amount now; take back what did not leave. Partners to wake.

        `partners`: whose requests are looked at, all by default. `held_back`: why nothing further
        is asked for this case; it is shown, and not sent.
        """
        known = {
            (row.partner, row.reported_by, row.transfer_id): row
            for row in store.sent_of_case(tx.connection, case_id, limit=REQUESTS_PER_CASE_MAX)
        }
        touched: set[str] = set()
        asked = set()
        was_full, beyond = len(known) >= REQUESTS_PER_CASE_MAX, 0
        for one in wanted:
            name = (one.partner, one.exit.reported_by, one.exit.transfer_id)
            asked.add(name)
            row = known.get(name)
            if row is None:
                if len(known) >= REQUESTS_PER_CASE_MAX:
                    beyond += 1
                    continue
                row = self._fresh(tx, case_id, one)
                store.add_sent(tx.connection, row)
                known[name] = row
            said = row.state not in (SentState.WAITING, SentState.WITHDRAWN)
            if said and row.exit() == one.exit:
                continue
            if held_back is not None:
                self._keep_back(tx, row, one.exit, why=held_back)
            else:
                self._say(tx, row, one.exit, offences=offences, reason=reason)
            touched.add(one.partner)
        for name, row in known.items():
            looked_at = partners is None or row.partner in partners
            if looked_at and name not in asked and row.state is not SentState.WITHDRAWN:
                self._withdraw(tx, row, reason=reason)
                touched.add(row.partner)
        if beyond:
            _LOG.warning("exchange.request.bound", case=case_id, not_asked=beyond)
        if beyond and not was_full:
            why = f"{beyond} payments abroad beyond {REQUESTS_PER_CASE_MAX} are not asked about"
            tx.journal(action="exchange.request.bound", subject=case_id, reason=why)
        return touched

    def _fresh(self, tx: Transaction, case_id: str, one: Wanted) -> Sent:
        found = one.exit
        name = f"{one.partner}\x00{case_id}\x00{found.reported_by}\x00{found.transfer_id}"
        return Sent(
            id=keyed_object_id(ObjectKind.TRACE_REQUEST, key=self._key, name=name),
            partner=one.partner,
            case_id=case_id,
            **{field: getattr(found, field) for field in Exit.__struct_fields__},
            state=SentState.WAITING,
            why=None,
            revision=0,
            body=None,
            purpose="",
            taken_revision=0,
            taken_epoch=0,
            answer=None,
            answer_epoch=0,
            answer_revision=0,
            last_error=None,
            due_at=tx.now,
            opened_at=tx.now,
            changed_at=tx.now,
            answered_at=None,
        )

    def _say(
        self,
        tx: Transaction,
        row: Sent,
        found: Exit,
        *,
        offences: tuple[Offence, ...],
        reason: str,
    ) -> None:
        """Release the request as it is now; keep it back where nothing may leave."""
        changed = msgspec.structs.replace(
            row, **{name: getattr(found, name) for name in Exit.__struct_fields__}
        )
        shared = SharedObject(
            id=row.id,
            kind=ObjectKind.TRACE_REQUEST,
            created=row.opened_at,
            modified=max(tx.now, row.opened_at),
            marking=Marking.AMBER,
            offences=offences,
            fields=self._fields(tx, row, found, reason=reason),
            case=row.case_id,
            about=(account_of(found),),
        )
        try:
            self._check_whole(tx, row.partner)
            released = self._agreed.release(tx, shared, partner=row.partner)
        except (NoAgreement, VolumeReached) as error:
            self._keep_back(tx, row, found, why=str(error))
            return
        changed = msgspec.structs.replace(
            changed,
            revision=row.revision + 1,
            body=msgspec.json.encode(released),
            purpose=self._agreed.purpose(tx, row.partner, offences).value,
            due_at=tx.now,
        )
        self._save(tx, row, changed, SentState.ASKED)

    def _keep_back(self, tx: Transaction, row: Sent, found: Exit, *, why: str) -> None:
        """What was said before stays said; what is new waits."""
        if row.revision > 0:
            store.save_sent(tx.connection, msgspec.structs.replace(row, last_error=why))
            return
        changed = msgspec.structs.replace(
            row, **{name: getattr(found, name) for name in Exit.__struct_fields__}
        )
        if (row.exit(), row.why) != (found, why):
            self._save(tx, row, changed, SentState.WAITING, why=why)

    def _check_whole(self, tx: Transaction, partner: str) -> None:
        """Raises NoAgreement unless all that is needed may leave as it is."""
        granted = self._agreed.grant(tx, partner, ObjectKind.TRACE_REQUEST).fields
        lacking = sorted(n for n in NEEDED if granted.get(n) is not Minimisation.AS_IS)
        if granted.get(CASE, Minimisation.DROPPED) is Minimisation.DROPPED:
            lacking.append(CASE)
        if lacking:
            raise NoAgreement(f"a request says nothing without {', '.join(lacking)} as they are")

    def _fields(
        self, tx: Transaction, row: Sent, found: Exit, *, reason: str
    ) -> dict[str, FieldValue]:
        return {
            "institution": local_code(found.institution),
            "account": found.account,
            "amount_minor": found.amount_minor,
            "sent_minor": found.sent_minor,
            "currency": found.currency,
            "received_at": format_time(found.booked_at),
            "transfer": found.transfer_id,
            "legal_basis": self._agreed.legal_basis(tx, row.partner),
            "reason": reason,
            "state": "withdrawn" if found.amount_minor == 0 else "open",
            "revision": row.revision + 1,
        }

    def _withdraw(self, tx: Transaction, row: Sent, *, reason: str) -> None:
        """Taking back tells nothing new: it leaves as the request did, without an amount."""
        changed = msgspec.structs.replace(row, amount_minor=0, due_at=tx.now)
        if row.body is not None:
            before = row.request()
            fields: dict[str, FieldValue] = {**before.fields, "amount_minor": 0}
            fields.update({"state": "withdrawn"} if "state" in fields else {})
            modified = max(tx.now, before.modified)
            body = msgspec.structs.replace(before, fields=fields, modified=modified, revoked=True)
            changed = msgspec.structs.replace(
                changed, revision=row.revision + 1, body=msgspec.json.encode(body)
            )
        self._save(tx, row, changed, SentState.WITHDRAWN, why=reason)

    def _save(
        self,
        tx: Transaction,
        before: Sent,
        after: Sent,
        state: SentState,
        *,
        why: str | None = None,
    ) -> None:
        kept = msgspec.structs.replace(
            after, state=check_step(before.state, state), why=why, changed_at=tx.now
        )
        store.save_sent(tx.connection, kept)
        if _mark(before) != _mark(kept) or before.revision == 0:
            tx.journal(
                action=f"exchange.request.{state.value}",
                subject=kept.id,
                before=_mark(before),
                after=_mark(kept),
                reason=why or "",
            )

    def message(self, tx: Transaction, row: Sent) -> RequestMessage:
        """The request as it is said now."""
        return RequestMessage(
            epoch=read_state(tx.connection).epoch,
            revision=row.revision,
            withdrawn=row.state is SentState.WITHDRAWN,
            purpose=row.purpose,
            request=row.request(),
        )

    def was_taken(self, tx: Transaction, request_id: str, *, revision: int, epoch: int) -> None:
        """The partner has this word on record, in this life of it."""
        row = store.sent(tx.connection, request_id, lock=True)
        if row is None:
            return
        state = SentState.TAKEN if row.state is SentState.ASKED else row.state
        latest = revision == row.revision
        changed = msgspec.structs.replace(
            row,
            taken_revision=max(row.taken_revision, revision) if latest else row.taken_revision,
            taken_epoch=max(row.taken_epoch, epoch),
            last_error=None,
            due_at=tx.now,
        )
        self._save(tx, row, changed, state if latest else row.state, why=row.why)

    def take_answer(
        self, tx: Transaction, partner: str, said: AnswerMessage, *, epoch: int
    ) -> AnswerTaken:
        """Keep the partner's last word on a request of ours.

        Raises EarlierLife for one of a life that is over, DoesNotAddUp for amounts that do not
        add up to what they say they answer, or to what was asked.
        """
        row = store.sent(tx.connection, said.request, lock=True)
        if row is None or row.partner != partner:
            facts: dict[str, str | int] = {"partner": partner, "request": said.request}
            tx.emit(Event(name=UNKNOWN, subject=partner, at=tx.now, facts=facts))
            tx.journal(action=UNKNOWN, subject=said.request, reason=f"answered by {partner}")
            return AnswerTaken(epoch=epoch, revision=said.revision, known=False)
        word, last = (said.epoch, said.revision), (row.answer_epoch, row.answer_revision)
        if word[0] < last[0]:
            raise EarlierLife("this centre heard a later life of yours", where="epoch")
        if is_newer(word, last):
            self._keep_answer(tx, row, said)
        return AnswerTaken(epoch=epoch, revision=max(word, last)[1], known=True)

    def _keep_answer(self, tx: Transaction, row: Sent, said: AnswerMessage) -> None:
        amounts = amounts_told(said.answer.fields)
        if amounts is not None and amounts.total_minor != said.asked_minor:
            raise DoesNotAddUp(f"{amounts.total_minor} of {said.asked_minor}", where="answer")
        if said.request_revision == row.revision and said.asked_minor != row.amount_minor:
            raise DoesNotAddUp(f"asked were {row.amount_minor}", where="asked_minor")
        changed = msgspec.structs.replace(
            row,
            answer=msgspec.json.encode(said),
            answer_epoch=said.epoch,
            answer_revision=said.revision,
            answered_at=tx.now,
        )
        current = said.request_revision == row.revision and row.state in (
            SentState.ASKED,
            SentState.TAKEN,
            SentState.ANSWERED,
        )
        self._save(tx, row, changed, SentState.ANSWERED if current else row.state, why=row.why)
        facts: dict[str, str | int] = {"case": row.case_id, "partner": row.partner}
        tx.emit(Event(name=ANSWERED, subject=row.id, at=tx.now, facts=facts))

    def was_refused(
        self, tx: Transaction, request_id: str, *, error: str, again_at: datetime
    ) -> None:
        """The partner does not take it as it is; it is offered again later."""
        row = store.sent(tx.connection, request_id, lock=True)
        if row is not None:
            store.save_sent(
                tx.connection, msgspec.structs.replace(row, last_error=error, due_at=again_at)
            )


def account_of(one: Exit) -> tuple[str, str]:
    """The receiving account as an identifier: kind and value."""
    return "bank_account", account_value(bank=one.institution, account=one.account)


def view(row: Sent) -> SentRequest:
    """A request of ours as staff see it."""
    said = row.answered()
    fields = {} if said is None else said.answer.fields
    amounts = amounts_told(fields)
    current = said is not None and said.request_revision == row.revision
    agrees = amounts.total_minor == row.amount_minor if amounts is not None and current else None
    return SentRequest(
        id=row.id,
        partner=row.partner,
        case=row.case_id,
        exit=row.exit(),
        state=row.state,
        revision=row.revision,
        why=row.why,
        taken_revision=row.taken_revision,
        outcome=_text(fields.get("outcome")),
        their_case=_text(fields.get("case")),
        amounts=amounts,
        agrees=agrees,
        last_error=row.last_error,
        opened_at=row.opened_at,
        answered_at=row.answered_at,
    )


def _text(value: FieldValue | None) -> str | None:
    return value if isinstance(value, str) else None


def _mark(row: Sent) -> RequestMark:
    said = row.answered()
    return RequestMark(
        partner=row.partner,
        case=row.case_id,
        state=row.state.value,
        revision=row.revision,
        asked_minor=row.amount_minor,
        currency=row.currency,
        amounts=None if said is None else amounts_told(said.answer.fields),
    )
