"""Exchange: the verbs of release: explain, release, recall, and what a partner has.

Works in the caller's transaction. What leaves is decided in release.py; here it is entered in the
ledger before anybody can send it. Never releases to somebody without an agreement in force.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from openaoc.exchange import approval_store, release_store, view_store
from openaoc.exchange.agreeing import Agreements
from openaoc.exchange.agreement import Agreement
from openaoc.exchange.catalogue import Catalogue
from openaoc.exchange.judging import Judging, Outcome, public_part
from openaoc.exchange.ledger_model import (
    AskedExplanation,
    ExplainedField,
    Explanation,
    RecallKind,
    ReceivedPage,
    ReleasedPage,
    ReleaseMark,
)
from openaoc.exchange.model import NoAgreement, NoSuchObject
from openaoc.exchange.objects import (
    CASE,
    FIELDS,
    FieldClass,
    ObjectKind,
    ReleasedObject,
    SharedObject,
    check_object,
    check_object_id,
    class_of,
)
from openaoc.exchange.protection.shield import Shield
from openaoc.exchange.recalling import Recalling
from openaoc.exchange.release import Reason, Released, Withheld, in_words
from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.events import Event
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.offences import Offence
from openaoc.parties.permissions import Permission, permits, require
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import Transaction

OFFERED_AT_ONCE_MAX: Final = 2_000
VIEW_PAGE_MAX: Final = 10_000
OBJECTS_RELEASED: Final = "exchange.objects.released"
BY_AGREEMENT: Final = "by agreement"
FOR_PROTECTION: Final = "referral for protection"


class Exchange:
    """The verbs of release. One instance per centre."""

    def __init__(
        self, *, agreements: Agreements, catalogue: Catalogue, keys: Keyring, shield: Shield
    ) -> None:
        self.agreements = agreements
        self.catalogue = catalogue
        self.recalling = Recalling()
        self.shield = shield
        self._judging = Judging(keys=keys, shield=shield)

    # Looking.

    def explain(self, tx: Transaction, asked: AskedExplanation) -> Explanation:
        """What of an object would leave to a partner now, and why the rest would not.

        The same rule in the same state as a release. Raises NoSuchObject, NoSuchPartner.
        """
        require(tx.actor, Permission.EXCHANGE_EXPLAIN)
        partner = self.agreements.partners.found(tx, asked.partner)
        shared = self._published(tx, asked.object)
        agreement = self.agreements.in_force(tx, partner.code)
        (outcome,) = self._judging.outcomes(
            tx, [shared], partner=partner.code, agreement=agreement, purpose=asked.purpose
        )
        trained = permits(tx.actor, Permission.PROTECTION_READ)
        return _explained(outcome, partner=partner.code, agreement=agreement, trained=trained)

    def released(
        self,
        tx: Transaction,
        *,
        partner: str | None = None,
        object_id: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_MAX,
    ) -> ReleasedPage:
        """The ledger of releases, newest first; a partner's user sees its own alone."""
        if not permits(tx.actor, Permission.EXCHANGE_RECEIVE):
            require(tx.actor, Permission.EXCHANGE_READ)
        asked = partner or tx.actor.partner
        code = None if asked is None else self.agreements.partners.found(tx, asked).code
        if object_id is not None:
            check_object_id(object_id, where="object")
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal()):
            raise BadInput("not a cursor of this list", where="cursor")
        before = None if cursor is None else min(int(cursor), 2**63 - 1)
        rows = release_store.page(
            tx.connection, partner=code, object_id=object_id, before=before, limit=limit
        )
        more = str(rows[-1].sequence) if len(rows) == limit else None
        if tx.actor.partner is not None:
            # Who of us released it, and in which words, is ours.
            rows = [msgspec.structs.replace(row, why="", released_by="") for row in rows]
        return ReleasedPage(releases=rows, cursor=more)

    def view(
        self,
        tx: Transaction,
        partner: str,
        *,
        after: int,
        limit: int,
        kinds: Collection[ObjectKind] | None = None,
        day: str | None = None,
    ) -> ReceivedPage:
        """What a partner has now, in order, from behind a sequence: what its channels show.

        `kinds`: these alone; by default those of a view that is polled. `day`: what was created
        on it alone. Nothing without an agreement in force. A partner's user may ask for its own
        alone.
        """
        agreement = self._viewed(tx, partner)
        if agreement is None:
            return ReceivedPage(objects=[], more=False)
        limit = min(limit, VIEW_PAGE_MAX)
        found = view_store.view(
            tx.connection,
            partner,
            agreement=agreement.id,
            after=after,
            limit=limit + 1,
            kinds=kinds,
            day=day,
        )
        return ReceivedPage(objects=found[:limit], more=len(found) > limit)

    def view_days(
        self, tx: Transaction, partner: str, *, kinds: Collection[ObjectKind]
    ) -> dict[str, int]:
        """By day of creation, how many objects of these kinds the partner's view shows."""
        agreement = self._viewed(tx, partner)
        if agreement is None:
            return {}
        return view_store.days(tx.connection, partner, agreement=agreement.id, kinds=kinds)

    def _viewed(self, tx: Transaction, partner: str) -> Agreement | None:
        """The agreement by which the actor may see the partner's view; None: there is nothing."""
        if tx.actor.partner is not None and tx.actor.partner != partner:
            return None
        if not permits(tx.actor, Permission.EXCHANGE_RECEIVE):
            require(tx.actor, Permission.EXCHANGE_READ)
        return self.agreements.in_force(tx, partner)

    def _published(self, tx: Transaction, object_id: str) -> SharedObject:
        found = self.catalogue.find(tx, [object_id]).get(object_id)
        if found is None:
            raise NoSuchObject
        return check_object(found)

    # Releasing.

    def release(
        self,
        tx: Transaction,
        shared: SharedObject,
        *,
        partner: str,
        purpose: Offence | None = None,
        why: str = BY_AGREEMENT,
    ) -> ReleasedObject:
        """What leaves of one object, entered in the ledger; also when the partner has it already.

        Raises NoAgreement, with every reason, when nothing leaves.
        """
        (outcome,) = self.offer(tx, [shared], partner=partner, purpose=purpose, why=why)
        return _left(outcome)

    def refer(self, tx: Transaction, shared: SharedObject, *, partner: str) -> ReleasedObject:
        """As `release`, of a referral for protection that a named person has approved."""
        require(tx.actor, Permission.PROTECTION_APPROVE)
        assert shared.kind is ObjectKind.REFERRAL, "nothing else leaves by this"
        (outcome,) = self._offered(tx, [shared], partner=partner, purpose=None, why=FOR_PROTECTION)
        return _left(outcome)

    def release_published(
        self, tx: Transaction, object_id: str, *, partner: str, why: str
    ) -> ReleasedObject:
        """As `release`, of an object that a stage publishes. Raises NoSuchObject too."""
        require(tx.actor, Permission.EXCHANGE_RELEASE)
        return self.release(tx, self._published(tx, object_id), partner=partner, why=why)

    def offer(
        self,
        tx: Transaction,
        objects: Sequence[SharedObject],
        *,
        partner: str,
        purpose: Offence | None = None,
        why: str = BY_AGREEMENT,
    ) -> list[Outcome]:
        """Release what may leave of each object, and say of each what became of it.

        What the partner has and may not have any more is withdrawn from it, unless one purpose was
        asked for. Raises NoSuchPartner, BadInput for what no publisher may give.
        """
        require(tx.actor, Permission.EXCHANGE_RELEASE)
        return self._offered(tx, objects, partner=partner, purpose=purpose, why=why)

    def _offered(
        self,
        tx: Transaction,
        objects: Sequence[SharedObject],
        *,
        partner: str,
        purpose: Offence | None,
        why: str,
    ) -> list[Outcome]:
        """The one door: what is judged here and entered in the ledger leaves, and nothing else."""
        if len(objects) > OFFERED_AT_ONCE_MAX:
            raise TooLarge(f"at most {OFFERED_AT_ONCE_MAX} objects at once")
        code = self.agreements.partners.found(tx, partner, lock=True).code
        for one in objects:
            check_object(one)
        agreement = self.agreements.in_force(tx, code)
        outcomes = self._judging.outcomes(
            tx, objects, partner=code, agreement=agreement, purpose=purpose
        )
        if agreement is None:
            return outcomes
        self._enter(tx, outcomes, agreement=agreement, why=why)
        if purpose is None:
            self._withdraw(tx, outcomes, partner=code)
        return outcomes

    def _enter(
        self, tx: Transaction, outcomes: Sequence[Outcome], *, agreement: Agreement, why: str
    ) -> None:
        """Write what leaves into the ledger, before anybody can send it."""
        partner, keep = agreement.partner, timedelta(days=agreement.terms.retention_days)
        stands = [
            one.shared.id
            for one in outcomes
            if isinstance(one.result, Released) and not one.fresh and not one.confirmed
        ]
        if stands:
            release_store.confirm(tx.connection, partner, stands, agreement=agreement.id)
        left = [(one, one.result) for one in outcomes if one.fresh]
        if not left:
            return
        rows = []
        for outcome, result in left:
            assert isinstance(result, Released), "only what leaves is fresh"
            assert outcome.purpose is not None, "what leaves has a purpose"
            body = public_part(result)
            rows.append(
                release_store.NewRelease(
                    body=body,
                    fields=(*result.object.fields, *result.object.refs),
                    digest=outcome.digest,
                    purpose=outcome.purpose,
                    agreement=agreement.id,
                    keep_until=tx.now + keep,
                    speaks_of=outcome.speaks_of,
                )
            )
        ids = [row.body.id for row in rows]
        superseded = release_store.SUPERSEDED
        release_store.end(tx.connection, partner, ids, as_kind=superseded, at=tx.now)
        release_store.add(tx.connection, partner, rows, why=why, by=tx.actor.id, at=tx.now)
        self._journal(tx, rows, agreement=agreement, why=why)
        for outcome, result in left:
            if isinstance(result, Released) and result.personal:
                self._journal_personal(tx, outcome, result, agreement=agreement)
        facts: dict[str, str | int] = {"partner": partner, "objects": len(rows)}
        tx.emit(Event(name=OBJECTS_RELEASED, subject=partner, at=tx.now, facts=facts))

    @staticmethod
    def _journal(
        tx: Transaction,
        rows: Sequence[release_store.NewRelease],
        *,
        agreement: Agreement,
        why: str,
    ) -> None:
        digest = hashlib.sha256(b"".join(row.digest for row in rows)).hexdigest()
        tx.journal(
            action="exchange.objects.released",
            subject=agreement.partner,
            after=ReleaseMark(
                partner=agreement.partner,
                agreement=agreement.id,
                objects=len(rows),
                kinds=tuple(sorted({row.body.kind.value for row in rows})),
                purposes=tuple(sorted({row.purpose.value for row in rows})),
                digest=digest,
            ),
            reason=why,
            authority=agreement.terms.legal_basis,
        )

    @staticmethod
    def _journal_personal(
        tx: Transaction, outcome: Outcome, result: Released, *, agreement: Agreement
    ) -> None:
        """A person's word let these fields leave; it does so once."""
        approval = outcome.approval
        assert approval is not None, "no field that names a person leaves without one"
        approval_store.use_approval(tx.connection, approval.id, at=tx.now)
        tx.journal(
            action="exchange.personal.released",
            subject=outcome.shared.id,
            after=ReleaseMark(
                partner=agreement.partner,
                agreement=agreement.id,
                objects=1,
                kinds=(outcome.shared.kind.value,),
                purposes=(outcome.purpose.value,) if outcome.purpose else (),
                digest=outcome.digest.hex(),
                personal=tuple(sorted(result.personal)),
                approved_by=approval.approved_by,
            ),
            reason=approval.reason,
            authority=approval.legal_basis,
        )

    def _withdraw(self, tx: Transaction, outcomes: Sequence[Outcome], *, partner: str) -> None:
        """Take back what the partner has and may not have any more."""
        gone: dict[tuple[str, bool], list[str]] = {}
        for one in outcomes:
            if not isinstance(one.result, Withheld) or not one.had:
                continue
            if Reason.VOLUME_REACHED not in one.result.reasons:
                # That a marking was raised, or a victim found, is not the partner's business.
                wrong = Reason.REVOKED in one.result.reasons
                words = Reason.REVOKED.value if wrong else "withdrawn"
                victim = Reason.POSSIBLE_VICTIM in one.result.reasons
                gone.setdefault((words, victim), []).append(one.shared.id)
        for (words, victim), ids in gone.items():
            self.recalling.withdraw(
                tx, partner, ids, kind=RecallKind.WITHDRAWN, reason=words, bare=victim
            )


def _left(outcome: Outcome) -> ReleasedObject:
    """What leaves. Raises NoAgreement, with every reason, when nothing does."""
    if isinstance(outcome.result, Withheld):
        raise NoAgreement("; ".join(in_words(outcome.result.reasons, trained=False)))
    return outcome.result.object


def _explained(
    outcome: Outcome, *, partner: str, agreement: Agreement | None, trained: bool
) -> Explanation:
    shared, result = outcome.shared, outcome.result
    left = result.object if isinstance(result, Released) else None
    how = result.how if isinstance(result, Released) else {}
    names = [*shared.fields, *([CASE] if shared.case is not None else []), *shared.refs]
    fields = []
    for name in names:
        value = None
        if left is not None:
            value = left.fields.get(name, left.refs.get(name))
        reason = result.withheld.get(name)
        kind = class_of(shared, name) if name in FIELDS[shared.kind] else FieldClass.OPERATIONAL
        fields.append(
            ExplainedField(
                name=name,
                kind=kind,
                leaves=value is not None,
                how=how.get(name) if value is not None else None,
                value=value,
                why_not=None if reason is None else reason.value,
            )
        )
    return Explanation(
        object=shared.id,
        kind=shared.kind,
        partner=partner,
        agreement=None if agreement is None else agreement.id,
        purpose=outcome.purpose,
        marking=shared.marking.value,
        leaves=left is not None,
        reasons=[] if left is not None else in_words(_reasons(result), trained=trained),
        fields=fields,
    )


def _reasons(result: Released | Withheld) -> Sequence[Reason]:
    return result.reasons if isinstance(result, Withheld) else ()
