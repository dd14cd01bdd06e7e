"""Exchange: what would leave of some objects to one partner now. Looks, and changes nothing.

Explaining and releasing both come here, so what is explained is what is released.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from openaoc.exchange import approval_store, release_store
from openaoc.exchange.agreement import Agreement
from openaoc.exchange.ledger_model import ApprovalView
from openaoc.exchange.minimise import epoch_of
from openaoc.exchange.objects import (
    REFS,
    ObjectKind,
    ReleasedObject,
    SharedObject,
)
from openaoc.exchange.protection.shield import Shield
from openaoc.exchange.release import (
    Approval,
    Asked,
    Reason,
    Released,
    Withheld,
    judge,
    purpose_for,
)
from openaoc.kernel.offences import Offence
from openaoc.storage.canonical import canonical_json
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import Transaction

APPROVAL_LIFE: Final = timedelta(hours=24)
"""A person's word for a release that did not happen by then was for another moment."""
KEYS_KEPT_MAX: Final = 4_096
_ORDER: Final = {
    kind: place
    for place, kind in enumerate(
        (
            *(kind for kind in ObjectKind if kind not in REFS),
            ObjectKind.SIGHTING,
            ObjectKind.RELATIONSHIP,
            ObjectKind.REPORT,
            ObjectKind.ADVISORY,
        )
    )
}
"""What is referred to comes before what refers to it."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the rule says of one object.

    `digest` is over what would leave; `fresh`: the partner does not have just that. `had`: it has
    something of the object now. `confirmed`: under the agreement that is in force.
    """

    shared: SharedObject
    purpose: Offence | None
    result: Released | Withheld
    digest: bytes = b""
    fresh: bool = False
    had: bool = False
    confirmed: bool = False
    approval: ApprovalView | None = None
    speaks_of: frozenset[bytes] = frozenset()
    """Keyed digests of whom and what it names, whatever of that would leave."""


class Judging:
    """Gathers what the rule needs. One instance per centre."""

    def __init__(self, *, keys: Keyring, shield: Shield) -> None:
        self._shield = shield
        self._pseudonym_key = functools.lru_cache(KEYS_KEPT_MAX)(
            lambda partner, epoch: keys.derived(f"openaoc exchange pseudonym v1 {partner} {epoch}")
        )

    def outcomes(
        self,
        tx: Transaction,
        objects: Sequence[SharedObject],
        *,
        partner: str,
        agreement: Agreement | None,
        purpose: Offence | None = None,
    ) -> list[Outcome]:
        """One outcome for each object, references before what refers to them.

        Without a purpose, each object's own: the first that is the agreement's too.
        """
        ids = {one.id for one in objects}
        ids.update(ref for one in objects for refs in one.refs.values() for ref in refs)
        held = release_store.held(tx.connection, partner, sorted(ids))
        approvals = approval_store.open_approvals(
            tx.connection, partner, ids=[one.id for one in objects], since=tx.now - APPROVAL_LIFE
        )
        recalled = release_store.recalled(tx.connection, [one.id for one in objects])
        reachable = {one for one, row in held.items() if not row.revoked}
        left = self._left_today(tx, partner, agreement)
        spoken = {one.id: self._shield.digests(one) for one in objects}
        of_victims = self._shield.protected(tx, [spoken[one.id] for one in objects])
        victims = {one.id for one, marked in zip(objects, of_victims, strict=True) if marked}
        found = []
        for shared in sorted(objects, key=lambda one: _ORDER[one.kind]):
            approval = approvals.get(shared.id)
            why = purpose or (purpose_for(shared, agreement) if agreement else None)
            taken_back = shared.id in recalled and shared.modified <= recalled[shared.id]
            result = judge(
                msgspec.structs.replace(
                    shared,
                    revoked=shared.revoked or taken_back,
                    possible_victim=shared.possible_victim or shared.id in victims,
                ),
                Asked(
                    agreement=agreement,
                    partner=partner,
                    purpose=why or Offence.UNSORTED_SCAM,
                    now=tx.now,
                    key=self._pseudonym_key(partner, epoch_of(tx.now)),
                    reachable=reachable,
                    approval=_approval(approval),
                ),
            )
            outcome = _compared(shared, result, row=held.get(shared.id), agreement=agreement)
            outcome = msgspec.structs.replace(
                outcome, purpose=why, approval=approval, speaks_of=spoken[shared.id]
            )
            if outcome.fresh and left == 0:
                outcome = _over_volume(outcome)
            elif outcome.fresh:
                left -= 1
            if isinstance(outcome.result, Released):
                reachable.add(shared.id)
            elif result is outcome.result:
                reachable.discard(shared.id)
            found.append(outcome)
        return found

    @staticmethod
    def _left_today(tx: Transaction, partner: str, agreement: Agreement | None) -> int:
        """How many more objects may leave on this day (UTC)."""
        if agreement is None:
            return 0
        day = tx.now.replace(hour=0, minute=0, second=0, microsecond=0)
        gone = release_store.count_on(tx.connection, partner, since=day)
        return max(agreement.terms.daily_objects_max - gone, 0)


def public_part(released: Released) -> ReleasedObject:
    """What a view may go on showing: without the fields that one approval let leave once."""
    fields = released.object.fields
    kept = {name: value for name, value in fields.items() if name not in released.personal}
    return msgspec.structs.replace(released.object, fields=kept)


def _compared(
    shared: SharedObject,
    result: Released | Withheld,
    *,
    row: release_store.Held | None,
    agreement: Agreement | None,
) -> Outcome:
    """Whether what would leave is new to the partner."""
    had = row is not None and not row.revoked
    if isinstance(result, Withheld):
        return Outcome(shared=shared, purpose=None, result=result, had=had)
    body = msgspec.structs.replace(public_part(result), modified=shared.created)
    digest = hashlib.sha256(canonical_json(body)).digest()
    same = row is not None and had and row.digest == digest
    return Outcome(
        shared=shared,
        purpose=None,
        result=result,
        digest=digest,
        fresh=not same or bool(result.personal),
        had=had,
        confirmed=row is not None and agreement is not None and row.confirmed == agreement.id,
    )


def _over_volume(outcome: Outcome) -> Outcome:
    assert isinstance(outcome.result, Released), "only what would leave counts"
    result = Withheld(reasons=(Reason.VOLUME_REACHED,), withheld=outcome.result.withheld)
    return msgspec.structs.replace(outcome, result=result, fresh=False, digest=b"")


def _approval(given: ApprovalView | None) -> Approval | None:
    if given is None:
        return None
    return Approval(fields=frozenset(given.fields), by=given.approved_by)
