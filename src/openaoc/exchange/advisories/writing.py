"""Advisories: what persons do: draft, approve by two, correct, take back, tell the regulator.

Works in the caller's transaction. Sends nothing: delivering.py does, by each agreement.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.exchange.advisories import store
from openaoc.exchange.advisories.model import (
    Advisory,
    AdvisoryList,
    AdvisoryMark,
    AdvisoryView,
    Content,
    Delivery,
    NoSuchAdvisory,
    SectorList,
    SectorView,
    Sort,
    State,
    Step,
    Voice,
    check_step,
)
from openaoc.exchange.advisories.sectors import advisory_rules, check_sector
from openaoc.exchange.model import Partner, PartnerKind, SecondPerson
from openaoc.exchange.objects import ObjectKind, check_object_id, new_object_id
from openaoc.exchange.service import Exchange
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.kernel.events import Event
from openaoc.kernel.paging import FIRST, Asked
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

LIFE_MAX: Final = timedelta(days=366)
_NEVER: Final = (PartnerKind.RESEARCHER, PartnerKind.PROTECTION)
"""They receive aggregates, or referrals, and nothing else."""


class Writing:
    """The verbs of persons. One instance per centre."""

    def __init__(self, *, exchange: Exchange) -> None:
        self._exchange = exchange

    def draft(self, tx: Transaction, content: Content) -> Advisory:
        """A draft, which nobody outside sees. Raises BadInput with the place."""
        require(tx.actor, Permission.ADVISORY_WORK)
        content = self._checked(tx, content)
        one = Advisory(
            id=new_object_id(ObjectKind.ADVISORY),
            state=State.DRAFTED,
            revision=0,
            drafted_by=tx.actor.id,
            drafted_at=tx.now,
            changed_at=tx.now,
            proposed=content,
            regulator_by=_regulator_by(content),
        )
        return _kept(tx, one, action="drafted")

    def correct(self, tx: Transaction, advisory_id: str, content: Content) -> Advisory:
        """What it is to say from now on; two persons read it before it counts."""
        require(tx.actor, Permission.ADVISORY_WORK)
        one = found(tx, advisory_id, lock=True)
        if one.state is not State.DRAFTED:
            check_step(one.state, Step.CORRECT)
        content = self._checked(tx, content)
        now = one.content or one.proposed
        if now is not None and now.sort is not content.sort:
            raise BadInput("stays what it is", where="sort")
        after = msgspec.structs.replace(
            one, proposed=content, voices=(), regulator_by=_regulator_by(content)
        )
        return _kept(tx, after, action="proposed")

    def approve(self, tx: Transaction, advisory_id: str, *, words: str) -> Advisory:
        """One person's word; with the second it is published to everybody it concerns.

        Raises SecondPerson for the same person twice.
        """
        require(tx.actor, Permission.ADVISORY_APPROVE)
        one = found(tx, advisory_id, lock=True)
        step = Step.PUBLISH if one.state is State.DRAFTED else Step.CORRECT
        row = check_step(one.state, step)
        if one.proposed is None:
            raise Conflict("nothing waits to be approved")
        if tx.actor.id in {voice.by for voice in one.voices}:
            raise SecondPerson("you have approved it already")
        voices = (*one.voices, Voice(by=tx.actor.id, at=tx.now, words=words))
        heard = msgspec.structs.replace(one, voices=voices, changed_at=tx.now)
        if len(voices) < row.persons:
            return _kept(tx, heard, action="seconded", reason=words)
        self._checked(tx, one.proposed)
        after = msgspec.structs.replace(
            heard,
            state=row.after,
            content=one.proposed,
            proposed=None,
            revision=one.revision + 1,
            published_at=tx.now,
        )
        told = self._address(tx, after)
        return _kept(tx, after, action=_ACTIONS[step], reason=words, told=told)

    def withdraw(self, tx: Transaction, advisory_id: str, *, words: str) -> Advisory:
        """Take it back; everybody who has it hears of it. A draft keeps what it would have said."""
        require(tx.actor, Permission.ADVISORY_WORK)
        one = found(tx, advisory_id, lock=True)
        row = check_step(one.state, Step.WITHDRAW)
        proposed = one.proposed if one.state is State.DRAFTED else None
        after = msgspec.structs.replace(
            one, state=row.after, revision=one.revision + 1, proposed=proposed, why=words
        )
        there = store.deliveries_of(tx.connection, one.id, lock=True)
        for delivery in there:
            store.put_delivery(
                tx.connection,
                msgspec.structs.replace(delivery, withdrawn=True),
                due_at=tx.now,
            )
        return _kept(tx, after, action="withdrawn", reason=words, told=len(there))

    def regulator_told(
        self, tx: Transaction, advisory_id: str, *, reference: str, at: datetime
    ) -> Advisory:
        """The regulator was told of the breach, under this number."""
        require(tx.actor, Permission.ADVISORY_APPROVE)
        one = found(tx, advisory_id, lock=True)
        if one.regulator_by is None:
            raise Conflict("no personal data was touched")
        if at > tx.now:
            raise BadInput("is in the future", where="at")
        after = msgspec.structs.replace(one, regulator_told_at=at, regulator_reference=reference)
        return _kept(tx, after, action="regulator_told", reason=reference)

    # Whom it concerns.

    def _address(self, tx: Transaction, one: Advisory) -> int:
        """A delivery for everybody it concerns, and for all who have an earlier one; how many."""
        assert one.content is not None, "it is published"
        there = {d.partner: d for d in store.deliveries_of(tx.connection, one.id, lock=True)}
        wanted = {*there, *self._concerned(tx, one.content)}
        for partner in sorted(wanted):
            delivery = there.get(partner) or Delivery(advisory=one.id, partner=partner)
            store.put_delivery(tx.connection, delivery, due_at=tx.now)
        return len(wanted)

    def _concerned(self, tx: Transaction, content: Content) -> set[str]:
        """Partners of its sectors and those named, whose agreement is in force."""
        force = {one.partner for one in self._exchange.agreements.all_in_force(tx)}
        sectors = self._sectors(tx)
        named = {partner.upper() for partner in content.partners}
        for sector in content.sectors:
            named.update(sectors[sector])
        return named & force

    def _sectors(self, tx: Transaction) -> dict[str, set[str]]:
        """The members of each sector: by kind, and those made members."""
        partners = [
            one for one in self._exchange.agreements.partners.all_of(tx) if one.kind not in _NEVER
        ]
        there = {one.code for one in partners}
        found = {
            code: {one.code for one in partners if one.kind in sector.kinds}
            for code, sector in advisory_rules().sector.items()
        }
        for partner, sector in store.members_of(tx.connection):
            if partner in there and sector in found:
                found[sector].add(partner)
        return found

    def sectors(self, tx: Transaction) -> SectorList:
        """The closed list, with who belongs to each."""
        require(tx.actor, Permission.EXCHANGE_READ)
        members = self._sectors(tx)
        rules = advisory_rules()
        return SectorList(
            version=rules.version,
            sectors=[
                SectorView(code=code, th=one.th, en=one.en, partners=sorted(members[code]))
                for code, one in rules.sector.items()
            ],
        )

    def set_member(self, tx: Transaction, sector: str, *, partner: str, member: bool) -> SectorList:
        """Make a partner a member of a sector, or no more. Raises NoSuchPartner, BadInput."""
        require(tx.actor, Permission.PARTNER_MANAGE)
        one = self._exchange.agreements.partners.found(tx, partner)
        check_sector(sector, where="sector")
        _refuse(one)
        store.set_member(tx.connection, partner=one.code, sector=sector, member=member)
        action = "exchange.sector.joined" if member else "exchange.sector.left"
        tx.journal(action=action, subject=one.code, reason=sector)
        return self.sectors(tx)

    def _checked(self, tx: Transaction, content: Content) -> Content:
        for sector in content.sectors:
            check_sector(sector)
        if not content.sectors and not content.partners:
            raise BadInput("name a sector or a partner", where="sectors")
        for code in content.partners:
            _refuse(self._exchange.agreements.partners.found(tx, code))
        for indicator in content.indicators:
            check_object_id(indicator, kind=ObjectKind.INDICATOR, where="indicators")
        if not tx.now < content.valid_until <= tx.now + LIFE_MAX:
            raise BadInput(f"after now, within {LIFE_MAX.days} days", where="valid_until")
        if (content.sort is Sort.INCIDENT) != (content.incident is not None):
            raise BadInput("for an incident report, and for each", where="incident")
        incident = content.incident
        if incident is not None and not (
            incident.started_at <= incident.noticed_at <= tx.now
            and (incident.ended_at is None or incident.ended_at >= incident.started_at)
        ):
            raise BadInput("started, then noticed, by now", where="incident")
        return content

    # Who looks.

    def show(self, tx: Transaction, advisory_id: str) -> AdvisoryView:
        """One with who has it, and who has not acknowledged its last revision."""
        require(tx.actor, Permission.EXCHANGE_READ)
        one = found(tx, advisory_id)
        deliveries = store.deliveries_of(tx.connection, one.id)
        unread = [d.partner for d in deliveries if d.released is not None and not d.read]
        return AdvisoryView(advisory=one, deliveries=deliveries, unread=unread)

    def page(self, tx: Transaction, asked: Asked = FIRST) -> AdvisoryList:
        """A page, the newest first. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.EXCHANGE_READ)
        rows = store.newest(tx.connection, below=asked.number, limit=asked.size + 1)
        shown, more = asked.cut(rows, lambda row: str(row[0]))
        return AdvisoryList(advisories=[one for _, one in shown], cursor=more)


_ACTIONS: Final = {Step.PUBLISH: "published", Step.CORRECT: "corrected"}


def _refuse(partner: Partner) -> None:
    if partner.kind in _NEVER:
        raise BadInput(f"a {partner.kind.value} receives no advisories", where="partner")


def found(tx: Transaction, advisory_id: str, *, lock: bool = False) -> Advisory:
    """The advisory. Raises NoSuchAdvisory."""
    one = store.find(tx.connection, advisory_id, lock=lock)
    if one is None:
        raise NoSuchAdvisory(advisory_id[:80])
    return one


def _regulator_by(content: Content) -> datetime | None:
    incident = content.incident
    if incident is None or not incident.personal_data:
        return None
    return incident.noticed_at + timedelta(hours=advisory_rules().regulator.hours)


def _kept(
    tx: Transaction, one: Advisory, *, action: str, reason: str = "", told: int = 0
) -> Advisory:
    after = msgspec.structs.replace(one, changed_at=tx.now)
    store.put(tx.connection, after)
    content = after.proposed or after.content
    assert content is not None, "it says something"
    mark = AdvisoryMark(
        sort=content.sort.value,
        state=after.state.value,
        revision=after.revision,
        sectors=content.sectors,
        partners=content.partners,
        indicators=len(content.indicators),
        marking=content.marking.value,
        told=told,
    )
    name = f"exchange.{content.sort.value}.{action}"
    tx.journal(action=name, subject=after.id, after=mark, reason=reason)
    tx.emit(Event(name=name, subject=after.id, at=tx.now, facts={"told": told}))
    return after
