"""Exchange: what partners tell beside indicators: campaigns, reports, what to do, who and how.

Kept as their word for people to read, as long as the agreement lets each side keep something. Acts
on nothing, confirms nothing, and goes to nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from openaoc.exchange import context_store as store
from openaoc.exchange.agreement import Agreement
from openaoc.exchange.context_store import Told
from openaoc.exchange.model import check_partner_code
from openaoc.exchange.objects import FIELDS, FieldClass, ObjectKind, ReleasedObject
from openaoc.exchange.receiving import NotTaken
from openaoc.kernel.errors import BadInput
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.offences import Offence, offence_of
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

KINDS: Final = (
    ObjectKind.CAMPAIGN,
    ObjectKind.REPORT,
    ObjectKind.COURSE_OF_ACTION,
    ObjectKind.IDENTITY,
    ObjectKind.RELATIONSHIP,
)
PER_PARTNER_MAX: Final = 50_000
FORGOTTEN_AT_ONCE_MAX: Final = 1_000
PLACE_DIGITS_MAX: Final = 18
NATURAL: Final = frozenset({"individual", "unknown"})
_CLASSED: Final = frozenset({"name", "description", "contact"})
"""Of an identity: what says who somebody is, where it is a person."""


class ToldPage(msgspec.Struct, frozen=True, kw_only=True):
    """What partners told, the last that was new first; `cursor` gets the next page."""

    told: list[Told]
    cursor: str | None


class Context:
    """Takes and shows it. One instance per centre."""

    def receive(
        self, tx: Transaction, *, agreement: Agreement, objects: Sequence[ReleasedObject]
    ) -> Sequence[NotTaken]:
        """Keep each object as the partner's word; what was not kept, and why."""
        until = tx.now + timedelta(days=agreement.terms.retention_days)
        there = store.known(tx.connection, agreement.partner, {one.id for one in objects})
        room = PER_PARTNER_MAX - store.count(tx.connection, agreement.partner)
        refused: list[NotTaken] = []
        for one in objects:
            if one.revoked:
                store.take_back(tx.connection, agreement.partner, one)
                continue
            try:
                _check(one, agreement, room=room > 0 or one.id in there)
            except BadInput as error:
                refused.append(NotTaken(path=one.id, reason=error.detail or error.title))
                continue
            room -= one.id not in there
            there.add(one.id)
            kept, personal = _without_persons(one)
            refused += [
                NotTaken(path=f"{one.id}.{name}", reason="it names a person") for name in personal
            ]
            store.put(tx.connection, agreement.partner, kept, now=tx.now, until=until)
        return refused

    def forget_due(self, tx: Transaction) -> int:
        """Remove what may not be kept any longer; how many."""
        return store.forget(tx.connection, now=tx.now, limit=FORGOTTEN_AT_ONCE_MAX)

    def page(
        self,
        tx: Transaction,
        *,
        partner: str | None = None,
        kind: ObjectKind | None = None,
        cursor: str | None = None,
        limit: int = PAGE_MAX,
    ) -> ToldPage:
        """For the centre's people. Raises NotPermitted, BadInput for a cursor of another list."""
        require(tx.actor, Permission.EXCHANGE_READ)
        if cursor is not None and not (
            cursor.isascii() and cursor.isdecimal() and len(cursor) <= PLACE_DIGITS_MAX
        ):
            raise BadInput("not a cursor of this list", where="cursor")
        found = store.page(
            tx.connection,
            partner=None if partner is None else check_partner_code(partner),
            kind=kind,
            before=None if cursor is None else int(cursor),
            limit=limit + 1,
        )
        more = str(found[limit - 1].sequence) if len(found) > limit else None
        return ToldPage(told=found[:limit], cursor=more)


def _check(one: ReleasedObject, agreement: Agreement, *, room: bool) -> None:
    """Raises BadInput, with the reason, for what is not taken under this agreement."""
    if not room:
        raise BadInput(f"more than {PER_PARTNER_MAX} are kept of no partner")
    if not one.marking.within(agreement.terms.highest_marking):
        raise BadInput("its marking is above the agreement's highest")
    types = one.fields.get("scam_types", ())
    named = {offence_of(text) for text in types} if isinstance(types, tuple) else set()
    if named and not named & {*agreement.terms.purposes, Offence.UNSORTED_SCAM}:
        raise BadInput("its purpose is not agreed on")


def _without_persons(one: ReleasedObject) -> tuple[ReleasedObject, list[str]]:
    """Without the fields that name a person, which nobody here has approved; and their names."""
    fields = FIELDS[one.kind]
    person = one.kind is ObjectKind.IDENTITY and (
        one.fields.get("identity_class", "unknown") in NATURAL
    )
    personal = [
        name
        for name in one.fields
        if fields[name].kind is FieldClass.PERSONAL or (person and name in _CLASSED)
    ]
    kept = {name: value for name, value in one.fields.items() if name not in personal}
    return msgspec.structs.replace(one, fields=kept), personal
