"""Exchange: indicators on their way out and in.

Out goes what our own sources say, and what belongs to it. In comes a partner's word: weighed by its
record, marked, within its agreement, and never a confirmation.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from openaoc.exchange.agreement import Agreement
from openaoc.exchange.beside import belonging_to, beside
from openaoc.exchange.campaigns import publishing as campaigns
from openaoc.exchange.canaries import Canaries
from openaoc.exchange.catalogue import Changed
from openaoc.exchange.objects import Fields, ObjectKind, ReleasedObject, SharedObject
from openaoc.exchange.receiving import NotTaken
from openaoc.indicators.model import (
    REF_CHARACTERS_MAX,
    REPORTING,
    IndicatorView,
    Said,
    Source,
    SourceKind,
    Status,
)
from openaoc.indicators.service import Indicators
from openaoc.kernel.clock import format_time, parse_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import (
    PERSONAL,
    Identifier,
    Kind,
    account_parts,
    kind_named,
    normalise,
)
from openaoc.kernel.identifiers.person import check_pseudonym
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence, offence_of
from openaoc.storage.unit_of_work import Transaction

NAME: Final = "indicators"
MARK_DIGITS_MAX: Final = 18
OBJECTS_MAX: Final = 1_900
"""Given at once: indicators with what belongs to them."""


class IndicatorPublisher:
    """What the centre's own sources say of identifiers. One instance per centre."""

    name = NAME

    def __init__(self, indicators: Indicators, *, key: bytes = b"") -> None:
        """`key`: of the ids under which partners hear of institutions."""
        self._indicators = indicators
        self._key = key

    def changed(self, tx: Transaction, *, after: str, limit: int) -> Changed:
        """Indicators in the order in which they changed."""
        start = int(after) if after.isdecimal() and len(after) <= MARK_DIGITS_MAX else 0
        views = self._indicators.changed_after(tx, after=start, limit=limit)
        parts, count = self._shared(tx, views), 0
        for place, part in enumerate(parts):
            count += len(part)
            if count > OBJECTS_MAX:
                # What belongs to one goes with it: the rest comes after what fits.
                views, parts, limit = views[:place], parts[:place], place
                break
        mark = str(views[-1].indicator.change) if views else after
        objects = {one.id: one for part in parts for one in part}
        return Changed(objects=list(objects.values()), mark=mark, more=len(views) == limit)

    def find(self, tx: Transaction, ids: Sequence[str]) -> Sequence[SharedObject]:
        """Those of the ids that are our indicators, or belong to them."""
        wanted = set(ids)
        named = [*belonging_to(ids), *campaigns.linked(tx, ids)]
        found = self._shared(tx, self._indicators.views(tx, named))
        return [one for part in found for one in part if one.id in wanted]

    def _shared(self, tx: Transaction, views: Sequence[IndicatorView]) -> list[list[SharedObject]]:
        """Of each, it and what belongs to it; nothing of what only partners said: not ours."""
        own = [view for view in views if _own(view.sources)]
        sure = self._indicators.own_confidence(tx, own)
        found: dict[str, list[SharedObject]] = {}
        for view, confidence in zip(own, sure, strict=True):
            until = self._indicators.own_until(view)
            stands = self._indicators.may_be_published(
                view.indicator, own_confidence=confidence, own_until=until, now=tx.now
            )
            shared = shared_of(view, confidence=confidence, until=until, stands=stands)
            found[shared.id] = [shared, *beside(view, shared, key=self._key)]
        for each, more in campaigns.beside(tx, [part[0] for part in found.values()]).items():
            found[each] += more
        return [found.get(view.indicator.id, []) for view in views]


def published_of(
    indicators: Indicators, tx: Transaction, names: Sequence[tuple[str, str]]
) -> list[str]:
    """The ids under which these identifiers (kind, value) are published, if they are."""
    known = frozenset(Kind)
    wanted = [Identifier(kind=Kind(kind), value=value) for kind, value in names if kind in known]
    return [one.id for one in indicators.find(tx, wanted)]


def _own(sources: Sequence[Source]) -> list[Source]:
    return [one for one in sources if one.kind is not SourceKind.PARTNER]


def shared_of(
    view: IndicatorView, *, confidence: int, until: datetime, stands: bool
) -> SharedObject:
    """The indicator as our own sources alone support it; revoked when it does not stand."""
    one, own = view.indicator, _own(view.sources)
    standing = [source for source in own if source.taken_back_at is None] or own
    offences = tuple(dict.fromkeys(source.offence for source in standing))
    fields: Fields = {
        "identifier_kind": one.kind.value,
        "value": one.value,
        "status": one.status.value,
        "confidence": confidence,
        "scam_types": tuple(offence.value for offence in offences),
        "valid_from": format_time(min(source.first_seen for source in standing)),
        "valid_until": format_time(until),
        "first_seen": format_time(min(source.first_seen for source in standing)),
        "last_seen": format_time(max(source.last_seen for source in standing)),
        "reports": len({source.ref for source in standing if source.kind in REPORTING}),
    }
    if one.kind is Kind.BANK_ACCOUNT:
        fields["institution"] = account_parts(one.value)[0]
    cases = [source.case_id for source in standing if source.case_id is not None]
    return SharedObject(
        id=one.id,
        kind=ObjectKind.INDICATOR,
        created=one.created_at,
        modified=one.changed_at,
        marking=Marking.AMBER if one.kind in PERSONAL else Marking.GREEN,
        offences=offences,
        fields=fields,
        case=cases[-1] if cases else None,
        revoked=not stands,
    )


class IndicatorReceiver:
    """Takes partners' indicators as their word. One instance per centre."""

    def __init__(self, indicators: Indicators, *, canaries: Canaries, region: str) -> None:
        """`region`: of telephone numbers without a country."""
        self._indicators = indicators
        self._canaries = canaries
        self._region = region

    def receive(
        self, tx: Transaction, *, agreement: Agreement, objects: Sequence[ReleasedObject]
    ) -> Sequence[NotTaken]:
        """Keep each indicator as the partner's word; what was not kept, and why.

        Of a canary the sender hears just what it would hear of a real one.
        """
        source = f"{SourceKind.PARTNER.value}:{agreement.partner}"
        ids = [one.id for one in objects]
        ours = {view.indicator.id for view in self._indicators.views(tx, ids)}
        ours |= self._canaries.planted(tx, ids)
        said: dict[tuple[Identifier, str], Said] = {}
        refused: list[NotTaken] = []
        for one in objects:
            value = one.fields.get("value")
            invented = isinstance(value, str) and self._canaries.came_back(
                tx, value, sender=agreement.partner
            )
            try:
                _check(one, agreement=agreement, ours=ours, now=tx.now)
                if one.revoked or one.fields.get("status") == Status.WITHDRAWN:
                    # What the same batch said before is heard first: it may be what is taken back.
                    self._indicators.hear(tx, list(said.values()))
                    said.clear()
                    self._indicators.take_back(
                        tx, source=source, ref=one.id, said_at=min(one.modified, tx.now)
                    )
                    continue
                word = _said(one, source=source, region=self._region, now=tx.now)
                if not invented:
                    said[word.identifier, word.ref] = word
            except BadInput as error:
                refused.append(NotTaken(path=one.id, reason=error.detail or error.title))
        self._indicators.hear(tx, list(said.values()))
        return refused


def _check(one: ReleasedObject, *, agreement: Agreement, ours: set[str], now: datetime) -> None:
    """Raises BadInput, with the reason, for what is not taken under this agreement."""
    if one.kind is not ObjectKind.INDICATOR:
        raise BadInput(f"nobody here receives a {one.kind.value}")
    if one.id in ours:
        raise BadInput("it is our own word, and no second one")
    if len(one.id) > REF_CHARACTERS_MAX:
        raise BadInput("its id is too long")
    if not one.marking.within(agreement.terms.highest_marking):
        raise BadInput("its marking is above the agreement's highest")
    if _offence(one) not in {*agreement.terms.purposes, Offence.UNSORTED_SCAM}:
        raise BadInput("its purpose is not agreed on")
    until = one.fields.get("valid_until")
    if isinstance(until, str) and parse_time(until) <= now and not one.revoked:
        raise BadInput("it is over")


def _said(one: ReleasedObject, *, source: str, region: str, now: datetime) -> Said:
    kind = kind_named(_text(one, "identifier_kind"))
    if kind is Kind.PERSON:
        check_pseudonym(_text(one, "value"))
    value = normalise(kind, _text(one, "value"), region=region)
    last = min(_time(one, "last_seen", otherwise=one.modified), now)
    return Said(
        identifier=Identifier(kind=kind, value=value),
        kind=SourceKind.PARTNER,
        source=source,
        ref=one.id,
        at=last,
        since=min(_time(one, "first_seen", otherwise=last), last),
        said_at=min(one.modified, now),
        offence=_offence(one),
        marking=one.marking,
    )


def _text(one: ReleasedObject, name: str) -> str:
    value = one.fields.get(name)
    if not isinstance(value, str):
        raise BadInput(f"without {name}")
    return value


def _time(one: ReleasedObject, name: str, *, otherwise: datetime) -> datetime:
    value = one.fields.get(name)
    return parse_time(value, where=name) if isinstance(value, str) else otherwise


def _offence(one: ReleasedObject) -> Offence:
    """The first kind of scam we know; what is named otherwise is not sorted yet."""
    types = one.fields.get("scam_types", ())
    named = [offence_of(text) for text in types] if isinstance(types, tuple) else []
    return next((o for o in named if o is not Offence.UNSORTED_SCAM), Offence.UNSORTED_SCAM)
