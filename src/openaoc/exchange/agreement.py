"""Exchange: what an agreement says, whether that can be agreed at all, and its life as one table.

Deny by default: a kind, field, purpose or identifier that is not named is not granted, and nothing
stands for all of them. Never decides about one object: that is release.py's.
"""

from __future__ import annotations

import enum
import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange.model import (
    Contact,
    NotYourAgreement,
    Partner,
    PartnerCode,
    PartnerKind,
    WrongAgreementStep,
)
from openaoc.exchange.objects import (
    FIELDS,
    IDENTIFIER_FIELDS,
    PERSONAL_IDENTIFIERS,
    REFS,
    FieldClass,
    FieldForm,
    ObjectKind,
)
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Kind
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.storage.canonical import canonical_json

IDENTIFIER_KINDS: Final = PERSONAL_IDENTIFIERS | frozenset(kind.value for kind in Kind)
"""That there are: a name of none of them would grant nothing, and nobody would notice."""
ONWARD_MAX: Final = 50
TERM_MAX: Final = timedelta(days=5 * 366)
"""Nobody agrees for ever: after five years people look again."""
PDPA_HOME: Final = "TH"

Basis = Annotated[str, Meta(min_length=10, max_length=1_000)]
IdentifierKind = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{1,39}$")]


class Minimisation(enum.StrEnum):
    """What becomes of a field on its way out."""

    AS_IS = "as-is"
    MASKED = "masked"
    """Enough to recognise what one knows already: the end of a text, the size of a number."""
    PSEUDONYM = "pseudonym"
    """The same value gives the same pseudonym for this partner within a month, and no other."""
    DROPPED = "dropped"


class TransferKind(enum.StrEnum):
    """On what ground data goes abroad: Thai Personal Data Protection Act B.E. 2562, s.28 and 29."""

    ADEQUACY = "pdpa-s28-adequacy"
    LAW = "pdpa-s28-law"
    VITAL_INTEREST = "pdpa-s28-vital-interest"
    PUBLIC_INTEREST = "pdpa-s28-public-interest"
    GROUP_RULES = "pdpa-s29-group-rules"
    SAFEGUARDS = "pdpa-s29-safeguards"
    """Suitable safeguards that can be enforced, such as a binding agreement of state bodies."""
    OTHER_LAW = "other-law"
    """Another country's law, for a centre that works under one."""


class OnwardKind(enum.StrEnum):
    """To whom the partner may pass on what it received."""

    NONE = "none"
    JURISDICTION = "jurisdiction"
    """Authorities of its own country, for the same purposes."""
    NAMED = "named"


class Transfer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The instrument under which data goes abroad, and where it can be read."""

    kind: TransferKind
    reference: Basis


class Onward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Onward sharing; `to` names the receivers where they are named."""

    kind: OnwardKind = OnwardKind.NONE
    to: Annotated[tuple[Annotated[str, Meta(min_length=2, max_length=200)], ...], Meta()] = ()

    @property
    def words(self) -> str:
        """As whoever receives something reads it: the kind, and the receivers' names."""
        return f"{self.kind.value}: {'; '.join(self.to)}" if self.to else self.kind.value


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of one kind may leave: each field and reference by name, and what becomes of it."""

    fields: dict[str, Minimisation]
    identifier_kinds: tuple[IdentifierKind, ...] = ()


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the parties agree on: the content of an agreement file.

    `personal_basis`: the law under which fields of class personal may leave at all.
    `protection`: the law or instrument under which possible victims of trafficking are referred for
    their protection; it makes the agreement one for that purpose, and for nothing else.
    `history_days`: how old something may be that the partner first receives.
    """

    partner: PartnerCode
    purposes: tuple[Offence, ...]
    legal_basis: Basis
    grants: dict[ObjectKind, Grant]
    highest_marking: Marking
    daily_objects_max: Annotated[int, Meta(ge=1, le=10_000_000)]
    retention_days: Annotated[int, Meta(ge=1, le=3_660)]
    contact: Contact
    starts_at: Annotated[datetime, Meta(tz=True)]
    ends_at: Annotated[datetime, Meta(tz=True)]
    history_days: Annotated[int, Meta(ge=0, le=3_660)] = 0
    transfer: Transfer | None = None
    onward: Onward = Onward()
    personal_basis: Basis | None = None
    protection: Basis | None = None


class AgreementState(enum.StrEnum):
    """Where an agreement stands; TRANSITIONS says how it gets from one to the next."""

    DRAFTED = "drafted"
    APPROVED = "approved"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


class Step(enum.StrEnum):
    """A verb that moves an agreement."""

    APPROVE = "approve"
    ACTIVATE = "activate"
    SUSPEND = "suspend"
    RESUME = "resume"
    END = "end"


class AgreementTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step. `persons`: how many have to say it, each in another of the roles."""

    before: AgreementState
    after: AgreementState
    step: Step
    who: frozenset[Role]
    persons: int
    why: str


_S = AgreementState
_DECIDERS: Final = frozenset({Role.DATA_PROTECTION_OFFICER, Role.SUPERVISOR})
_STOPPERS: Final = _DECIDERS | {Role.ADMINISTRATOR, Role.SYSTEM}


def _step(
    before: AgreementState,
    after: AgreementState,
    step: Step,
    *,
    who: frozenset[Role],
    persons: int = 1,
    why: str,
) -> AgreementTransition:
    return AgreementTransition(
        before=before, after=after, step=step, who=who, persons=persons, why=why
    )


TRANSITIONS: Final[tuple[AgreementTransition, ...]] = (
    _step(
        _S.DRAFTED,
        _S.APPROVED,
        Step.APPROVE,
        who=_DECIDERS,
        persons=2,
        why="the data protection officer and a supervisor, two persons, have read it",
    ),
    _step(
        _S.APPROVED,
        _S.ACTIVE,
        Step.ACTIVATE,
        who=frozenset({Role.SYSTEM}),
        why="it is approved and a key of the partner was verified with somebody who was named",
    ),
    _step(
        _S.ACTIVE,
        _S.SUSPENDED,
        Step.SUSPEND,
        who=_STOPPERS,
        why="one person is enough to stop; so is the end of the partner's last verified key",
    ),
    _step(
        _S.SUSPENDED,
        _S.ACTIVE,
        Step.RESUME,
        who=_DECIDERS,
        persons=2,
        why="two persons again, as at the beginning",
    ),
    *(
        _step(
            before,
            _S.ENDED,
            Step.END,
            who=_DECIDERS | {Role.SYSTEM},
            why="it is given up, is over, or a newer one has taken its place",
        )
        for before in (_S.DRAFTED, _S.APPROVED, _S.ACTIVE, _S.SUSPENDED)
    ),
)
_BY_STEP: Final = {(t.before, t.step): t for t in TRANSITIONS}


def check_agreement_step(
    before: AgreementState, step: Step, *, actor: Actor
) -> AgreementTransition:
    """The permitted step. Raises WrongAgreementStep, NotYourAgreement for the wrong role."""
    found = _BY_STEP.get((before, step))
    if found is None:
        raise WrongAgreementStep(f"{step.value} is not for an agreement that is {before.value}")
    if not found.who & actor.roles:
        raise NotYourAgreement(f"{step.value} is for {', '.join(sorted(found.who))}")
    return found


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """One person's word for a step that needs two, and the role it was given in."""

    by: str
    role: Role
    step: Step
    at: datetime


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the agreement with a partner. Its terms never change: another is drafted.

    `voices`: who has agreed to the step that waits for a second person, and to those before.
    """

    id: str
    partner: str
    version: int
    state: AgreementState
    terms: Terms
    digest: str
    drafted_by: str
    drafted_at: datetime
    changed_at: datetime
    voices: tuple[Voice, ...] = ()
    reason: str = ""

    def in_force(self, now: datetime) -> bool:
        """Whether anything may leave under it at this moment."""
        active = self.state is AgreementState.ACTIVE
        return active and self.terms.starts_at <= now < self.terms.ends_at


class AgreementList(msgspec.Struct, frozen=True, kw_only=True):
    """Agreements, by partner, the newest version first."""

    agreements: list[Agreement]


class AgreementMark(msgspec.Struct, frozen=True, kw_only=True):
    """An agreement in the journal: its state and the digest of its terms."""

    state: str
    digest: str
    voices: tuple[Voice, ...]
    purposes: tuple[str, ...]
    kinds: tuple[str, ...]
    highest_marking: str

    @classmethod
    def of(cls, one: Agreement) -> AgreementMark:
        """The mark of this one."""
        return cls(
            state=one.state.value,
            digest=one.digest,
            voices=one.voices,
            purposes=tuple(purpose.value for purpose in one.terms.purposes),
            kinds=tuple(sorted(kind.value for kind in one.terms.grants)),
            highest_marking=one.terms.highest_marking.value,
        )


AGGREGATES: Final[dict[ObjectKind, frozenset[str]]] = {
    ObjectKind.CAMPAIGN: frozenset(
        {"scam_types", "tactics", "first_seen", "last_seen", "cases", "loss_minor", "currency"}
    ),
    ObjectKind.COURSE_OF_ACTION: frozenset({"name", "description", "scam_types"}),
    ObjectKind.STATISTICS: frozenset(FIELDS[ObjectKind.STATISTICS]) - {"case"},
}
"""All that researchers may be granted: counts and sums, nothing of one case."""


def digest_of(terms: Terms) -> str:
    """What two people approve: SHA-256 over the terms, in hexadecimal."""
    return hashlib.sha256(canonical_json(terms)).hexdigest()


def check_terms(terms: Terms, *, partner: Partner, home: str, now: datetime) -> Terms:
    """The terms themselves. Raises BadInput, with the place, for what cannot be agreed."""
    if not terms.purposes or len(set(terms.purposes)) != len(terms.purposes):
        raise BadInput("at least one offence, each once", where="purposes")
    if not terms.grants:
        raise BadInput("grant at least one kind: nothing else leaves", where="grants")
    terms.contact.check(where="contact")
    if not terms.starts_at < terms.ends_at <= terms.starts_at + TERM_MAX:
        raise BadInput(f"after starts_at, within {TERM_MAX.days} days of it", where="ends_at")
    if terms.ends_at <= now:
        raise BadInput("is over already", where="ends_at")
    _check_transfer(terms, partner=partner, home=home)
    _check_onward(terms.onward)
    _check_protection(terms, partner=partner)
    for kind, grant in terms.grants.items():
        _check_grant(kind, grant, terms=terms, partner=partner)
    return terms


def _check_transfer(terms: Terms, *, partner: Partner, home: str) -> None:
    if partner.jurisdiction == home:
        return
    if terms.transfer is None:
        raise BadInput(
            f"a partner in {partner.jurisdiction} needs the instrument of the transfer abroad",
            where="transfer",
        )
    if home == PDPA_HOME and terms.transfer.kind is TransferKind.OTHER_LAW:
        raise BadInput("name the ground in section 28 or 29", where="transfer.kind")


def _check_protection(terms: Terms, *, partner: Partner) -> None:
    """Victims are referred to who protects them, under an agreement made for that alone."""
    protects = partner.kind is PartnerKind.PROTECTION
    if protects != (terms.protection is not None):
        raise BadInput(
            "for partners that protect victims, and for each of them", where="protection"
        )
    if protects != (ObjectKind.REFERRAL in terms.grants) or (protects and len(terms.grants) > 1):
        raise BadInput("referrals, and to who protects victims nothing else", where="grants")
    if protects and terms.onward.kind is not OnwardKind.NONE:
        raise BadInput("a referral is not passed on", where="onward.kind")


def _check_onward(onward: Onward) -> None:
    if (onward.kind is OnwardKind.NAMED) != bool(onward.to) or len(onward.to) > ONWARD_MAX:
        raise BadInput(f"1 to {ONWARD_MAX} receivers where named, else none", where="onward.to")


def _check_grant(kind: ObjectKind, grant: Grant, *, terms: Terms, partner: Partner) -> None:
    where = f"grants.{kind.value}"
    if not grant.fields:
        raise BadInput("name the fields: none is granted without its name", where=f"{where}.fields")
    if (kind in IDENTIFIER_FIELDS) != bool(grant.identifier_kinds):
        raise BadInput(
            f"{' and '.join(sorted(IDENTIFIER_FIELDS))} name them, no other kind does",
            where=f"{where}.identifier_kinds",
        )
    for place, name in enumerate(grant.identifier_kinds):
        if name not in IDENTIFIER_KINDS or name in grant.identifier_kinds[:place]:
            known = ", ".join(sorted(IDENTIFIER_KINDS))
            at = f"{where}.identifier_kinds[{place}]"
            raise BadInput(f"each once, of these: {known}", where=at)
    named = PERSONAL_IDENTIFIERS.intersection(grant.identifier_kinds)
    if kind is ObjectKind.MATCH and named and terms.personal_basis is None:
        raise BadInput("persons are matched: needs the law that permits it", where="personal_basis")
    if partner.kind is PartnerKind.RESEARCHER:
        _check_aggregate(kind, grant, where=where)
    for name, minimisation in grant.fields.items():
        _check_field(kind, name, minimisation, terms=terms, where=f"{where}.fields.{name[:40]}")
    for name, ref in REFS.get(kind, {}).items():
        if ref.required and grant.fields.get(name) is not Minimisation.AS_IS:
            raise BadInput("without it the kind says nothing", where=f"{where}.fields.{name}")


def _check_field(
    kind: ObjectKind, name: str, how: Minimisation, *, terms: Terms, where: str
) -> None:
    field = FIELDS[kind].get(name)
    if field is None and name not in REFS.get(kind, {}):
        known = ", ".join([*FIELDS[kind], *REFS.get(kind, {})])
        raise BadInput(f"no field of {kind.value}, which has {known}", where=where)
    fits = how in (Minimisation.AS_IS, Minimisation.DROPPED)
    if field is not None:
        texts = field.form in (FieldForm.TEXT, FieldForm.TEXTS)
        masked = how is Minimisation.MASKED and field.form is not FieldForm.DOCUMENT
        fits = fits or texts or masked
        kept = how is not Minimisation.DROPPED
        if kept and field.kind is FieldClass.PERSONAL and terms.personal_basis is None:
            raise BadInput("names a person: needs the law that permits it", where="personal_basis")
    if not fits:
        raise BadInput(f"cannot be {how.value}", where=where)


def _check_aggregate(kind: ObjectKind, grant: Grant, *, where: str) -> None:
    if kind not in AGGREGATES:
        raise BadInput("researchers receive aggregates only", where=where)
    for name in grant.fields:
        if name not in AGGREGATES[kind]:
            raise BadInput("not an aggregate", where=f"{where}.fields.{name[:40]}")
