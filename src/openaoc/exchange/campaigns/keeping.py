"""Campaigns: what persons do: name, have it read, attach and take off indicators, close, withdraw.

Works in the caller's transaction. Sends nothing: what is published goes out by each agreement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from openaoc.exchange.campaigns import store
from openaoc.exchange.campaigns.model import (
    CAMPAIGNS_OF_ONE_MAX,
    INDICATORS_MAX,
    Belonging,
    Belongs,
    Campaign,
    CampaignList,
    CampaignMark,
    CampaignView,
    Chosen,
    NoSuchCampaign,
    State,
    Step,
    Words,
    check_step,
)
from openaoc.exchange.campaigns.publishing import cases_of
from openaoc.exchange.model import SecondPerson
from openaoc.exchange.objects import ObjectKind, new_object_id
from openaoc.indicators.gathered import in_cases, offer_again
from openaoc.indicators.model import NoSuchIndicator
from openaoc.indicators.service import Indicators
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.kernel.events import Event
from openaoc.kernel.paging import FIRST, Asked, Place
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

Personal = Callable[[str], Mapping[str, int]]
"""What of a text has the form of a number, an account, an address or a handle: kinds and counts."""


class Campaigns:
    """The verbs of persons. One instance per centre."""

    def __init__(self, indicators: Indicators, *, personal: Personal) -> None:
        self._indicators = indicators
        self._personal = personal

    # Its words.

    def name(self, tx: Transaction, words: Words) -> Campaign:
        """A campaign that nobody outside sees yet. Raises BadInput with the place."""
        require(tx.actor, Permission.CAMPAIGN_WORK)
        one = Campaign(
            id=new_object_id(ObjectKind.CAMPAIGN),
            state=State.NAMED,
            named_by=tx.actor.id,
            named_at=tx.now,
            changed_at=tx.now,
            proposed=self._checked(tx, words),
            proposed_by=tx.actor.id,
        )
        return self._kept(tx, one, action="named")

    def correct(self, tx: Transaction, campaign_id: str, words: Words) -> Campaign:
        """What it is to say from now on; another person reads it before it counts."""
        require(tx.actor, Permission.CAMPAIGN_WORK)
        one = _found(tx, campaign_id, lock=True)
        if one.state is not State.NAMED:
            check_step(one.state, Step.CORRECT)
        words = self._checked(tx, words)
        after = msgspec.structs.replace(one, proposed=words, proposed_by=tx.actor.id)
        # What partners have is the same until it is read.
        return self._kept(tx, after, action="proposed", changed=one.state is State.NAMED)

    def approve(self, tx: Transaction, campaign_id: str, *, reason: str) -> Campaign:
        """A second person has read what it says: from now on it goes out.

        Raises SecondPerson for whoever wrote it.
        """
        require(tx.actor, Permission.CAMPAIGN_APPROVE)
        one = _found(tx, campaign_id, lock=True)
        step = Step.PUBLISH if one.state is State.NAMED else Step.CORRECT
        row = check_step(one.state, step)
        if one.proposed is None:
            raise Conflict("nothing waits to be approved")
        if tx.actor.id == one.proposed_by:
            raise SecondPerson("you wrote it: somebody else has to read it")
        after = msgspec.structs.replace(
            one,
            state=row.after,
            words=self._checked(tx, one.proposed),
            proposed=None,
            approved_by=tx.actor.id,
            published_at=one.published_at or tx.now,
        )
        action = "published" if step is Step.PUBLISH else "corrected"
        return self._kept(tx, after, action=action, reason=reason)

    # What belongs to it.

    def attach(self, tx: Transaction, campaign_id: str, chosen: Chosen) -> CampaignView:
        """These indicators belong to it. Raises NoSuchIndicator, and Conflict for too many."""
        require(tx.actor, Permission.CAMPAIGN_WORK)
        one = _found(tx, campaign_id, lock=True)
        check_step(one.state, Step.ATTACH)
        wanted = list(dict.fromkeys(chosen.indicators))
        known = {view.indicator.id for view in self._indicators.views(tx, wanted)}
        for each in wanted:
            if each not in known:
                raise NoSuchIndicator(each[:80])
        there = {row.indicator: row for row in store.of_campaigns(tx.connection, [one.id])}
        if len({*there, *wanted}) > INDICATORS_MAX:
            raise Conflict(f"at most {INDICATORS_MAX} indicators of one campaign")
        fresh = [each for each in wanted if each not in there]
        # Two at once could each find room for one more.
        tx.lock("exchange.campaigns")
        counts = [row.indicator for row in store.of_indicators(tx.connection, fresh)]
        if any(counts.count(each) >= CAMPAIGNS_OF_ONE_MAX for each in fresh):
            raise Conflict(f"at most {CAMPAIGNS_OF_ONE_MAX} campaigns of one indicator")
        rows = [
            Belonging(
                id=there[each].id if each in there else new_object_id(ObjectKind.RELATIONSHIP),
                campaign=one.id,
                indicator=each,
                attached=True,
                by=tx.actor.id,
                at=tx.now,
            )
            for each in wanted
            if each not in there or not there[each].attached
        ]
        return self._belong(tx, one, rows, action="attached", reason=chosen.reason)

    def detach(self, tx: Transaction, campaign_id: str, chosen: Chosen) -> CampaignView:
        """These do not belong to it: who was told so is told that it was wrong.

        Raises NoSuchIndicator for one that does not belong to it.
        """
        require(tx.actor, Permission.CAMPAIGN_WORK)
        one = _found(tx, campaign_id, lock=True)
        check_step(one.state, Step.DETACH)
        attached = store.of_campaigns(tx.connection, [one.id])
        there = {row.indicator: row for row in attached if row.attached}
        for each in chosen.indicators:
            if each not in there:
                raise NoSuchIndicator(each[:80])
        rows = [
            msgspec.structs.replace(there[each], attached=False, by=tx.actor.id, at=tx.now)
            for each in dict.fromkeys(chosen.indicators)
        ]
        return self._belong(tx, one, rows, action="detached", reason=chosen.reason)

    def _belong(
        self,
        tx: Transaction,
        one: Campaign,
        rows: Sequence[Belonging],
        *,
        action: str,
        reason: str,
    ) -> CampaignView:
        if rows:
            store.belong(tx.connection, rows)
            self._kept(tx, one, action=action, reason=reason, count=len(rows), changed=False)
        return self.show(tx, one.id)

    # Its end.

    def close(self, tx: Transaction, campaign_id: str, *, reason: str) -> Campaign:
        """It is over: partners keep what they have, and nothing more is added."""
        return self._ended(tx, campaign_id, Step.CLOSE, action="closed", reason=reason)

    def withdraw(self, tx: Transaction, campaign_id: str, *, reason: str) -> Campaign:
        """Take it back: everybody who has it hears of it."""
        return self._ended(tx, campaign_id, Step.WITHDRAW, action="withdrawn", reason=reason)

    def _ended(
        self, tx: Transaction, campaign_id: str, step: Step, *, action: str, reason: str
    ) -> Campaign:
        require(tx.actor, Permission.CAMPAIGN_WORK)
        one = _found(tx, campaign_id, lock=True)
        row = check_step(one.state, step)
        proposed = one.proposed if one.words is None else None
        after = msgspec.structs.replace(one, state=row.after, proposed=proposed, why=reason)
        return self._kept(tx, after, action=action, reason=reason)

    # Who looks.

    def show(self, tx: Transaction, campaign_id: str) -> CampaignView:
        """One with its indicators, and how many cases name them. Raises NoSuchCampaign."""
        require(tx.actor, Permission.INDICATOR_READ)
        one = _found(tx, campaign_id)
        rows = [row for row in store.of_campaigns(tx.connection, [one.id]) if row.attached]
        ids = [row.indicator for row in rows]
        views = {view.indicator.id: view.indicator for view in self._indicators.views(tx, ids)}
        return CampaignView(
            campaign=one,
            indicators=[
                Belongs(
                    indicator=row.indicator,
                    kind=views[row.indicator].kind.value,
                    value=views[row.indicator].value,
                    status=views[row.indicator].status.value,
                    relationship=row.id,
                    by=row.by,
                    at=row.at,
                )
                for row in rows
                if row.indicator in views
            ],
            cases=cases_of(rows, in_cases(tx, ids)),
        )

    def page(self, tx: Transaction, asked: Asked = FIRST) -> CampaignList:
        """A page, the last changed first. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.INDICATOR_READ)
        rows = store.newest(tx.connection, asked)
        shown, more = asked.cut(rows, lambda one: Place(one.changed_at, one.id).cursor())
        return CampaignList(campaigns=shown, cursor=more)

    # What follows.

    def _checked(self, tx: Transaction, words: Words) -> Words:
        for where, text in (("name", words.name), ("description", words.description)):
            if not text.strip():
                raise BadInput("empty", where=where)
            found = self._personal(text)
            if found:
                kinds = ", ".join(sorted(found))
                raise BadInput(f"speaks of {kinds}: attach the indicator instead", where=where)
        if len(set(words.scam_types)) != len(words.scam_types):
            raise BadInput("each once", where="scam_types")
        last = words.last_seen or words.first_seen
        if not words.first_seen <= last <= tx.now:
            raise BadInput("first seen, then last seen, by now", where="last_seen")
        return words

    def _kept(
        self,
        tx: Transaction,
        one: Campaign,
        *,
        action: str,
        reason: str = "",
        count: int = 0,
        changed: bool = True,
    ) -> Campaign:
        """Keep it, tell of it, and let its indicators go out anew with what they belong to.

        `changed`: it says something else than before.
        """
        after = msgspec.structs.replace(one, changed_at=tx.now) if changed else one
        store.put(tx.connection, after)
        rows = store.of_campaigns(tx.connection, [after.id])
        if after.published_at is not None:
            offer_again(tx, [row.indicator for row in rows])
        words = after.proposed or after.words
        assert words is not None, "it says something"
        mark = CampaignMark(
            state=after.state.value,
            marking=words.marking.value,
            scam_types=tuple(offence.value for offence in words.scam_types),
            indicators=count or sum(row.attached for row in rows),
        )
        name = f"exchange.campaign.{action}"
        tx.journal(action=name, subject=after.id, after=mark, reason=reason)
        tx.emit(Event(name=name, subject=after.id, at=tx.now, facts={"indicators": len(rows)}))
        return after


def _found(tx: Transaction, campaign_id: str, *, lock: bool = False) -> Campaign:
    one = store.find(tx.connection, campaign_id, lock=lock)
    if one is None:
        raise NoSuchCampaign(campaign_id[:80])
    return one
