"""Exchange: the one rule by which anything leaves: marking, agreement, purpose, minimisation.

Pure: everything it needs is passed in, and it says field by field what leaves and why the rest does
not. `explain` and `release` are both this function.
"""

from __future__ import annotations

import enum
from collections.abc import Container, Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.exchange.agreement import Agreement, Grant, Minimisation
from openaoc.exchange.minimise import minimise
from openaoc.exchange.objects import (
    CASE,
    FIELDS,
    IDENTIFIER_FIELDS,
    REFS,
    FieldClass,
    Fields,
    FieldValue,
    ObjectKind,
    Refs,
    ReleasedObject,
    SharedObject,
    class_of,
)
from openaoc.kernel.offences import Offence


class Reason(enum.StrEnum):
    """Why something does not leave."""

    NO_AGREEMENT = "no agreement is in force"
    OTHER_PARTNER = "the agreement is with another partner"
    PURPOSE_NOT_AGREED = "the purpose is not agreed on"
    PURPOSE_NOT_ITS_OWN = "it was not gathered for this purpose"
    MARKING_TOO_HIGH = "its marking is above the agreement's highest"
    POSSIBLE_VICTIM = "it is about a possible trafficking victim"
    REVOKED = "it was wrong or is withdrawn"
    KIND_NOT_GRANTED = "its kind is not granted"
    IDENTIFIER_NOT_GRANTED = "this kind of identifier is not granted"
    TOO_OLD = "it is older than the history agreed on"
    NOTHING_LEFT = "no field of it would leave"
    REFERENCE_HIDDEN = "what it refers to has not left"
    FIELD_NOT_GRANTED = "the field is not granted"
    FIELD_DROPPED = "the agreement drops the field"
    NOT_FOR_PROTECTION = "the agreement was not made to protect possible victims"
    NO_PERSONAL_BASIS = "it names a person, and the agreement names no law for that"
    NOT_APPROVED = "it names a person, and nobody approved this release"
    VOLUME_REACHED = "the volume of this day is reached"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word that these personal fields of one object may leave, once."""

    fields: frozenset[str]
    by: str


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves, how each field was minimised, and why the other fields stay."""

    object: ReleasedObject
    how: dict[str, Minimisation]
    withheld: dict[str, Reason]
    personal: frozenset[str] = frozenset()


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing leaves: every reason there is for the whole, and for its fields."""

    reasons: tuple[Reason, ...]
    withheld: dict[str, Reason]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the rule needs besides the object: who asks, for what, when.

    `reachable`: objects the partner has received and may still have; a reference to anything else
    would tell that it exists. `key`: of the partner's pseudonyms of this month.
    """

    agreement: Agreement | None
    partner: str
    purpose: Offence
    now: datetime
    key: bytes
    reachable: Container[str] = frozenset()
    approval: Approval | None = None


_NO_GRANT: Final = Grant(fields={})


def judge(shared: SharedObject, asked: Asked) -> Released | Withheld:
    """What of the object leaves under these terms, or all reasons why nothing does."""
    reasons = list(_reasons(shared, asked))
    agreement = asked.agreement
    grant = _NO_GRANT if agreement is None else agreement.terms.grants.get(shared.kind, _NO_GRANT)
    fields: Fields = {}
    how: dict[str, Minimisation] = {}
    withheld: dict[str, Reason] = {}
    personal: set[str] = set()
    for name, value in _values(shared).items():
        reason = _field_reason(shared, name, grant=grant, asked=asked)
        if reason is not None:
            withheld[name] = reason
            continue
        how[name] = grant.fields[name]
        fields[name] = minimise(
            value,
            how[name],
            form=FIELDS[shared.kind][name].form,
            scope=_scope(shared, name),
            key=asked.key,
        )
        if class_of(shared, name) is FieldClass.PERSONAL:
            personal.add(name)
    refs = _refs(shared, grant=grant, asked=asked, how=how, withheld=withheld)
    if not reasons and not fields and not refs:
        reasons.append(Reason.NOTHING_LEFT)
    required = [name for name, ref in REFS.get(shared.kind, {}).items() if ref.required]
    if any(len(refs.get(name, ())) != len(shared.refs.get(name, ("",))) for name in required):
        reasons.append(Reason.REFERENCE_HIDDEN)
    if reasons:
        return Withheld(reasons=tuple(reasons), withheld=withheld)
    left = ReleasedObject(
        id=shared.id,
        kind=shared.kind,
        created=shared.created,
        modified=shared.modified,
        marking=shared.marking,
        fields=fields,
        refs=refs,
    )
    return Released(object=left, how=how, withheld=withheld, personal=frozenset(personal))


def in_words(reasons: Iterable[Reason], *, trained: bool) -> list[str]:
    """The reasons for who reads them: that somebody may be a victim is told to trained people."""
    neutral = (
        one if trained or one is not Reason.POSSIBLE_VICTIM else Reason.REVOKED for one in reasons
    )
    return list(dict.fromkeys(one.value for one in neutral))


def purpose_for(shared: SharedObject, agreement: Agreement) -> Offence | None:
    """The first purpose of the agreement that is also the object's own; None: there is none."""
    own = set(shared.offences)
    return next((one for one in agreement.terms.purposes if one in own), None)


def _reasons(shared: SharedObject, asked: Asked) -> list[Reason]:
    """Why the whole stays, whatever its fields."""
    agreement = asked.agreement
    if agreement is None or not agreement.in_force(asked.now):
        return [Reason.NO_AGREEMENT]
    terms = agreement.terms
    grant = terms.grants.get(shared.kind)
    oldest = terms.starts_at - timedelta(days=terms.history_days)
    identifier = shared.fields.get("identifier_kind")
    named = shared.kind in IDENTIFIER_FIELDS and grant is not None
    referral = shared.kind is ObjectKind.REFERRAL
    rules = (
        (Reason.OTHER_PARTNER, agreement.partner != asked.partner),
        (Reason.PURPOSE_NOT_AGREED, asked.purpose not in terms.purposes),
        (Reason.PURPOSE_NOT_ITS_OWN, asked.purpose not in shared.offences),
        (Reason.MARKING_TOO_HIGH, not shared.marking.within(terms.highest_marking)),
        (Reason.POSSIBLE_VICTIM, shared.possible_victim and not referral),
        (Reason.NOT_FOR_PROTECTION, referral and terms.protection is None),
        (Reason.NOT_APPROVED, referral and asked.approval is None),
        (Reason.REVOKED, shared.revoked),
        (Reason.KIND_NOT_GRANTED, grant is None),
        (
            Reason.IDENTIFIER_NOT_GRANTED,
            named and identifier not in (grant or _NO_GRANT).identifier_kinds,
        ),
        # What the partner has stays with it when a newer version takes the older one's place.
        (Reason.TOO_OLD, shared.modified < oldest and shared.id not in asked.reachable),
    )
    return [reason for reason, holds in rules if holds]


def _field_reason(shared: SharedObject, name: str, *, grant: Grant, asked: Asked) -> Reason | None:
    """Why one field stays, None when it may leave."""
    how = grant.fields.get(name)
    if how is None:
        return Reason.FIELD_NOT_GRANTED
    if how is Minimisation.DROPPED:
        return Reason.FIELD_DROPPED
    if class_of(shared, name) is FieldClass.PERSONAL:
        assert asked.agreement is not None, "a grant comes from an agreement"
        if asked.agreement.terms.personal_basis is None:
            return Reason.NO_PERSONAL_BASIS
        if asked.approval is None or name not in asked.approval.fields:
            return Reason.NOT_APPROVED
    return None


def _refs(
    shared: SharedObject,
    *,
    grant: Grant,
    asked: Asked,
    how: dict[str, Minimisation],
    withheld: dict[str, Reason],
) -> Refs:
    """References that are granted and lead to what the partner has."""
    found: Refs = {}
    for name, ids in shared.refs.items():
        minimisation = grant.fields.get(name)
        if minimisation is not Minimisation.AS_IS:
            dropped = minimisation is Minimisation.DROPPED
            withheld[name] = Reason.FIELD_DROPPED if dropped else Reason.FIELD_NOT_GRANTED
            continue
        kept = tuple(one for one in ids if one in asked.reachable)
        if len(kept) < len(ids):
            withheld[name] = Reason.REFERENCE_HIDDEN
        if kept:
            found[name] = kept
            how[name] = minimisation
    return found


def _values(shared: SharedObject) -> dict[str, FieldValue]:
    """The object's fields, its case among them."""
    return shared.fields if shared.case is None else {**shared.fields, CASE: shared.case}


def _scope(shared: SharedObject, name: str) -> str:
    """What a pseudonym is of: the kind of identifier, else the field's name."""
    if shared.kind in IDENTIFIER_FIELDS and name in ("value", "token"):
        return f"identifier:{shared.fields.get('identifier_kind', '')}"
    return f"field:{name}"
