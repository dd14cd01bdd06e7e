"""Exchange: what a partner may ask for at all: a scam offence that is agreed on, and a case.

Requests about speech, association, journalism or whereabouts, for an offence that is not in the
list, or without a case, are refused here and counted, whoever asks. Never answers a request.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange import release_store
from openaoc.exchange.agreeing import Agreements
from openaoc.exchange.crossborder.store import ends_by_partner
from openaoc.exchange.objects import IDENTIFIER_FIELDS, ObjectKind
from openaoc.kernel.offences import Offence
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction


class RequestOutcome(enum.StrEnum):
    """What became of a request."""

    ACCEPTED = "accepted"
    MET = "met"
    REFUSED_BY_PERSON = "refused-by-person"
    PURPOSE_NOT_LISTED = "purpose-not-listed"
    """Speech, association, journalism, whereabouts, and whatever else is no scam offence."""
    PURPOSE_NOT_AGREED = "purpose-not-agreed"
    NO_CASE = "no-case"
    NOT_GRANTED = "not-granted"
    NO_AGREEMENT = "no-agreement"


REFUSALS: Final = frozenset(RequestOutcome) - {RequestOutcome.ACCEPTED, RequestOutcome.MET}
ENDS: Final = frozenset({RequestOutcome.MET, RequestOutcome.REFUSED_BY_PERSON})
"""What became of one that was counted as received before."""
PURPOSES: Final = frozenset(offence.value for offence in Offence)
"""The closed list: what is not in it is refused, whatever it calls itself."""
ASKABLE: Final = frozenset({ObjectKind.MATCH, ObjectKind.TRACE_REQUEST, ObjectKind.TAKE_DOWN})


class PartnerRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a partner asks for: a kind, the offence it investigates, and its own case number."""

    kind: Annotated[str, Meta(max_length=40)]
    purpose: Annotated[str, Meta(max_length=80)]
    case: Annotated[str, Meta(max_length=80)] = ""
    identifier_kind: Annotated[str, Meta(max_length=40)] = ""


class RequestMark(msgspec.Struct, frozen=True, kw_only=True):
    """A request in the journal: what for, and what became of it."""

    kind: str
    purpose: str
    case: str
    outcome: str


class CountryRequests(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one country's partners."""

    jurisdiction: str
    received: int
    met: int
    refused: int


class RequestFigures(msgspec.Struct, frozen=True, kw_only=True):
    """By country."""

    countries: list[CountryRequests]


class Requests:
    """Which requests are taken up. One instance per centre."""

    def __init__(self, agreements: Agreements) -> None:
        self._agreements = agreements

    def take(self, tx: Transaction, partner: str, asked: PartnerRequest) -> RequestOutcome:
        """Whether the request is taken up; refused ones are counted and journalled too.

        The caller commits first and then tells the partner of a refusal, always in the same words.
        """
        require(tx.actor, Permission.EXCHANGE_ASK)
        code = self._agreements.partners.found(tx, partner).code
        outcome = self._outcome(tx, code, asked)
        release_store.count_request(tx.connection, code, day=tx.now.date(), outcome=outcome.value)
        tx.journal(
            action="exchange.request.taken",
            subject=code,
            after=RequestMark(
                kind=asked.kind, purpose=asked.purpose, case=asked.case, outcome=outcome.value
            ),
        )
        return outcome

    def ended(self, tx: Transaction, partner: str, *, met: bool) -> None:
        """A request that was taken up was answered with what was asked for, or refused by a person.

        For stages that keep no ends of their own; requests to follow money have theirs.
        """
        require(tx.actor, Permission.EXCHANGE_RELEASE)
        outcome = RequestOutcome.MET if met else RequestOutcome.REFUSED_BY_PERSON
        release_store.count_request(
            tx.connection, partner, day=tx.now.date(), outcome=outcome.value
        )

    def _outcome(self, tx: Transaction, partner: str, asked: PartnerRequest) -> RequestOutcome:
        agreement = self._agreements.in_force(tx, partner)
        terms = None if agreement is None else agreement.terms
        kind = ObjectKind(asked.kind) if asked.kind in ASKABLE else None
        grant = None if kind is None or terms is None else terms.grants.get(kind)
        named = kind not in IDENTIFIER_FIELDS or (
            grant is not None and asked.identifier_kind in grant.identifier_kinds
        )
        rules = (
            (RequestOutcome.PURPOSE_NOT_LISTED, asked.purpose not in PURPOSES),
            (RequestOutcome.NO_CASE, not asked.case.strip()),
            (RequestOutcome.NO_AGREEMENT, terms is None),
            (
                RequestOutcome.PURPOSE_NOT_AGREED,
                terms is not None and asked.purpose not in terms.purposes,
            ),
            (RequestOutcome.NOT_GRANTED, grant is None or not named),
        )
        broken = (outcome for outcome, holds in rules if holds)
        return next(broken, RequestOutcome.ACCEPTED)

    def figures(self, tx: Transaction) -> RequestFigures:
        """Requests received, met and refused, by country, small counts among them.

        The public reads them in the public report. Raises NotPermitted.
        """
        require(tx.actor, Permission.EXCHANGE_READ)
        country = {one.code: one.jurisdiction for one in self._agreements.partners.all_of(tx)}
        sums: dict[str, dict[str, int]] = {}
        for partner, outcome, count in release_store.request_counts(tx.connection):
            of = sums.setdefault(country[partner], {"received": 0, "met": 0, "refused": 0})
            refused = outcome in REFUSALS
            of["refused" if refused else "met"] += count if outcome != "accepted" else 0
            of["received"] += count if outcome not in ENDS else 0
        for partner, settled, count in ends_by_partner(tx.connection):
            of = sums.setdefault(country[partner], {"received": 0, "met": 0, "refused": 0})
            of[settled] += count
        return RequestFigures(
            countries=[
                CountryRequests(jurisdiction=code, **of) for code, of in sorted(sums.items())
            ]
        )
