"""Advisories: what the clock does: release to each receiver, remind, end; and acknowledgements.

Each receiver gets what its agreement lets it have, indicators too. Who may have nothing is told
nothing, and `why` says so to us.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.exchange.advisories import store
from openaoc.exchange.advisories.model import (
    LISTED_MAX,
    PATH,
    AcknowledgedMessage,
    AcknowledgedTaken,
    Acknowledgement,
    Advisory,
    AdvisoryMark,
    AdvisoryMessage,
    AdvisoryTaken,
    Content,
    Delivery,
    NoSuchAdvisory,
    PartnerAdvisories,
    PartnerAdvisory,
    State,
    Step,
    check_step,
)
from openaoc.exchange.advisories.sectors import advisory_rules
from openaoc.exchange.advisories.writing import found
from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.catalogue import Catalogue
from openaoc.exchange.ledger_model import RecallKind
from openaoc.exchange.letters import Letters
from openaoc.exchange.model import NoAgreement
from openaoc.exchange.objects import Fields, ObjectKind, ReleasedObject, SharedObject
from openaoc.exchange.release import Released
from openaoc.exchange.service import Exchange
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.events import Event
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

DUE_AT_ONCE_MAX: Final = 50
TRIED_AGAIN: Final = timedelta(minutes=10)
ENDED_AT_ONCE_MAX: Final = 200
LANGUAGES: Final = (
    ("title_th", "happening_th", "action_th"),
    ("title_en", "happening_en", "action_en"),
)
"""In one of the languages it has to be whole, or nobody could act on it."""
WITHDRAWN: Final = "the advisory is withdrawn"


class Delivering:
    """What happens by itself, and what receivers say. One instance per centre."""

    def __init__(self, *, exchange: Exchange, catalogue: Catalogue, letters: Letters) -> None:
        self._exchange = exchange
        self._catalogue = catalogue
        self._letters = letters

    def due(self, tx: Transaction) -> int:
        """Take the next step of each delivery the clock asks for; how many there were."""
        rows = store.due(tx.connection, now=tx.now, limit=DUE_AT_ONCE_MAX)
        for delivery in rows:
            one = found(tx, delivery.advisory)
            if delivery.withdrawn:
                self._take_back(tx, one, delivery)
            elif one.state is not State.PUBLISHED:
                store.put_delivery(tx.connection, delivery, due_at=None)
            elif delivery.revision < one.revision:
                self._release(tx, one, delivery)
            else:
                self._remind(tx, delivery)
        return len(rows)

    def end_due(self, tx: Transaction) -> int:
        """Advisories whose time is over end; how many."""
        over = store.over(tx.connection, now=tx.now, limit=ENDED_AT_ONCE_MAX)
        for one in over:
            row = check_step(one.state, Step.END)
            after = msgspec.structs.replace(one, state=row.after, changed_at=tx.now)
            store.put(tx.connection, after)
            tx.journal(action="exchange.advisory.over", subject=one.id)
        return len(over)

    def _release(self, tx: Transaction, one: Advisory, delivery: Delivery) -> None:
        assert one.content is not None, "it is published"
        partner, content = delivery.partner, one.content
        hours = advisory_rules().acknowledge_hours[content.severity]
        by = tx.now + timedelta(hours=hours)
        try:
            self._may_leave(tx, partner)
            indicators = self._indicators(tx, content, partner)
            released = self._exchange.release(
                tx,
                shared_of(one, content, by=by, indicators=indicators),
                partner=partner,
                why=f"advisory {one.id}",
            )
        except NoAgreement as error:
            stays = msgspec.structs.replace(delivery, why=error.detail)
            store.put_delivery(tx.connection, stays, due_at=tx.now + TRIED_AGAIN)
            if stays.why != delivery.why:
                tx.journal(
                    action="exchange.advisory.kept_back", subject=one.id, reason=error.detail
                )
            return
        after = msgspec.structs.replace(
            delivery,
            revision=one.revision,
            released=released,
            indicators=tuple(indicators),
            released_at=tx.now,
            taken_at=None,
            acknowledge_by=by,
            reminders=0,
            reminded_at=None,
            why="",
        )
        store.put_delivery(tx.connection, after, due_at=by)
        self._tell(tx, after)

    def _may_leave(self, tx: Transaction, partner: str) -> None:
        agreement = self._exchange.agreements.in_force(tx, partner)
        grant = None if agreement is None else agreement.terms.grants.get(ObjectKind.ADVISORY)
        if grant is None:
            raise NoAgreement("no agreement in force grants advisories")
        as_it_is = {name for name, how in grant.fields.items() if how is Minimisation.AS_IS}
        if not any(as_it_is.issuperset(texts) for texts in LANGUAGES):
            raise NoAgreement("the agreement grants its text in neither language")

    def _indicators(self, tx: Transaction, content: Content, partner: str) -> list[ReleasedObject]:
        """Those of its indicators that this partner may have, released like any other."""
        known = self._catalogue.find(tx, content.indicators)
        if not known:
            return []
        outcomes = self._exchange.offer(tx, list(known.values()), partner=partner)
        return [o.result.object for o in outcomes if isinstance(o.result, Released)]

    def _remind(self, tx: Transaction, delivery: Delivery) -> None:
        rules = advisory_rules()
        if delivery.read or delivery.reminders >= rules.reminders_max:
            store.put_delivery(tx.connection, delivery, due_at=None)
            return
        late = msgspec.structs.replace(
            delivery, reminders=delivery.reminders + 1, reminded_at=tx.now
        )
        store.put_delivery(tx.connection, late, due_at=tx.now + timedelta(hours=rules.remind_hours))
        tx.journal(action="exchange.advisory.reminded", subject=late.advisory, reason=late.partner)
        self._tell(tx, late)

    def _take_back(self, tx: Transaction, one: Advisory, delivery: Delivery) -> None:
        """The receiver has it no more; its indicators stay, they stand for themselves."""
        gone = msgspec.structs.replace(delivery, revision=one.revision)
        store.put_delivery(tx.connection, gone, due_at=None)
        if gone.released is None:
            return
        self._exchange.recalling.withdraw(
            tx, gone.partner, [one.id], kind=RecallKind.WITHDRAWN, reason=WITHDRAWN
        )
        self._tell(tx, gone)

    def _tell(self, tx: Transaction, delivery: Delivery) -> None:
        partner = self._exchange.agreements.partners.found(tx, delivery.partner)
        if partner.endpoint is None:
            return
        assert delivery.released is not None, "what was released is said"
        message = AdvisoryMessage(
            revision=delivery.revision,
            advisory=msgspec.structs.replace(delivery.released, revoked=delivery.withdrawn),
            indicators=() if delivery.withdrawn else delivery.indicators,
            acknowledge_by=delivery.acknowledge_by,
            reminders=delivery.reminders,
            withdrawn=delivery.withdrawn,
        )
        self._letters.write(
            tx, delivery.partner, path=PATH, matter=delivery.advisory, message=message
        )

    # What receivers say.

    def taken(self, tx: Transaction, partner: str, advisory_id: str, answer: AdvisoryTaken) -> None:
        """The receiver's system has it; what it acknowledged came with that."""
        delivery = store.delivery(tx.connection, advisory_id, partner, lock=True)
        assert delivery is not None, "a letter was written about it"
        after = msgspec.structs.replace(delivery, taken_at=tx.now)
        store.put_delivery(tx.connection, after, due_at=_due(after))
        said = answer.acknowledged
        if said is not None and said.revision <= after.revision:
            # A later one it has of us from before we were restored: it will be sent again.
            self._acknowledge(tx, after, said)

    def acknowledged(
        self, tx: Transaction, partner: str, said: AcknowledgedMessage
    ) -> AcknowledgedTaken:
        """A receiver's centre says that it has read it."""
        delivery = store.delivery(tx.connection, said.advisory, partner, lock=True)
        if delivery is None or delivery.released is None:
            return AcknowledgedTaken(known=False)
        self._acknowledge(tx, delivery, said.acknowledged)
        return AcknowledgedTaken(known=True)

    def acknowledge(
        self, tx: Transaction, partner: str, advisory_id: str, *, by: str
    ) -> PartnerAdvisory:
        """A receiver's own user says that it has read what it has now. Raises NoSuchAdvisory."""
        delivery = store.delivery(tx.connection, advisory_id, partner, lock=True)
        if delivery is None or delivery.released is None:
            raise NoSuchAdvisory(advisory_id[:80])
        said = Acknowledgement(revision=delivery.revision, by=by, at=tx.now)
        return as_received(self._acknowledge(tx, delivery, said))

    @staticmethod
    def _acknowledge(tx: Transaction, delivery: Delivery, said: Acknowledgement) -> Delivery:
        """Keep it; an earlier acknowledgement of the same revision stands."""
        if said.revision > delivery.revision:
            raise BadInput("was not sent yet", where="revision")
        before = delivery.acknowledged
        if before is not None and before.revision >= said.revision:
            return delivery
        after = msgspec.structs.replace(delivery, acknowledged=said)
        store.put_delivery(tx.connection, after, due_at=_due(after))
        mark = AdvisoryMark(
            sort="", state="acknowledged", revision=said.revision, partners=(after.partner,)
        )
        tx.journal(
            action="exchange.advisory.acknowledged",
            subject=after.advisory,
            after=mark,
            authority=after.partner,
        )
        facts: dict[str, str | int] = {"partner": after.partner}
        name = "exchange.advisory.acknowledged"
        tx.emit(Event(name=name, subject=after.advisory, at=tx.now, facts=facts))
        return after

    def of_partner(self, tx: Transaction, partner: str) -> PartnerAdvisories:
        """What a receiver has, as it sees it, the newest first."""
        require(tx.actor, Permission.EXCHANGE_RECEIVE)
        rows = store.to_partner(tx.connection, partner, limit=LISTED_MAX)
        return PartnerAdvisories(
            advisories=[as_received(one) for one in rows if one.released is not None]
        )


def as_received(one: Delivery) -> PartnerAdvisory:
    """The advisory as its receiver sees it."""
    assert one.released is not None, "a receiver sees what was released to it"
    return PartnerAdvisory(
        id=one.advisory,
        revision=one.revision,
        advisory=msgspec.structs.replace(one.released, revoked=one.withdrawn),
        indicators=() if one.withdrawn else one.indicators,
        acknowledge_by=one.acknowledge_by,
        acknowledged=one.acknowledged,
        reminders=one.reminders,
        withdrawn=one.withdrawn,
    )


def _due(one: Delivery) -> datetime | None:
    """When it is to be reminded next; None: it has read it."""
    if one.read or one.withdrawn or one.acknowledge_by is None:
        return None
    if one.reminded_at is None:
        return one.acknowledge_by
    return one.reminded_at + timedelta(hours=advisory_rules().remind_hours)


def shared_of(
    one: Advisory, content: Content, *, by: datetime, indicators: list[ReleasedObject]
) -> SharedObject:
    """The advisory as the centre sees it: what of it leaves, each agreement decides."""
    assert one.published_at is not None, "it is published"
    fields: Fields = {
        "sort": content.sort.value,
        "sectors": content.sectors,
        "severity": content.severity.value,
        "title_th": content.title_th,
        "title_en": content.title_en,
        "happening_th": content.happening_th,
        "happening_en": content.happening_en,
        "action_th": content.action_th,
        "action_en": content.action_en,
        "scam_types": tuple(offence.value for offence in content.scam_types),
        "published": format_time(one.published_at),
        "valid_until": format_time(content.valid_until),
        "acknowledge_by": format_time(by),
        "revision": one.revision,
    }
    incident = content.incident
    if incident is not None:
        fields |= {
            "incident": incident.kind.value,
            "from": format_time(incident.started_at),
            "people": incident.people,
            "accounts": incident.accounts,
            "institutions": incident.institutions,
        }
        if incident.ended_at is not None:
            fields["until"] = format_time(incident.ended_at)
    ids = tuple(each.id for each in indicators)
    return SharedObject(
        id=one.id,
        kind=ObjectKind.ADVISORY,
        created=one.drafted_at,
        modified=max(one.published_at, one.drafted_at),
        marking=content.marking,
        offences=content.scam_types,
        fields=fields,
        refs={"indicators": ids} if ids else {},
    )
