"""Advisories: the side that is warned: partners' advisories on record, and our acknowledgement.

Works in the caller's transaction. Its indicators are taken like everything partners send: as their
word.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.exchange.advisories import store
from openaoc.exchange.advisories.model import (
    ACKNOWLEDGED_PATH,
    AcknowledgedMessage,
    AcknowledgedTaken,
    Acknowledgement,
    AdvisoryMark,
    AdvisoryMessage,
    AdvisoryTaken,
    NoSuchAdvisory,
    ReceivedAdvisories,
    ReceivedAdvisory,
)
from openaoc.exchange.agreeing import Agreements
from openaoc.exchange.letters import Letters
from openaoc.exchange.objects import ObjectKind
from openaoc.exchange.receiving import Receiver
from openaoc.kernel.errors import BadInput
from openaoc.kernel.events import Event
from openaoc.kernel.paging import FIRST, Asked, Place
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

RECEIVED: Final = "exchange.advisory.received"


class Receiving:
    """The verbs of the side that is warned. One instance per centre."""

    def __init__(self, *, agreements: Agreements, receiver: Receiver, letters: Letters) -> None:
        self._agreements = agreements
        self._receiver = receiver
        self._letters = letters

    def take(self, tx: Transaction, partner: str, said: AdvisoryMessage) -> AdvisoryTaken:
        """Put the partner's last word on record; what we acknowledged goes back with it."""
        if said.advisory.kind is not ObjectKind.ADVISORY:
            raise BadInput("not an advisory", where="advisory.kind")
        row = store.find_received(tx.connection, partner, said.advisory.id, lock=True)
        if row is not None and said.revision < row.revision:
            return AdvisoryTaken(revision=row.revision, acknowledged=row.acknowledged)
        after = ReceivedAdvisory(
            partner=partner,
            id=said.advisory.id,
            revision=said.revision,
            advisory=said.advisory,
            indicators=said.indicators,
            received_at=tx.now if row is None else row.received_at,
            acknowledge_by=said.acknowledge_by,
            acknowledged=None if row is None else row.acknowledged,
            reminders=said.reminders,
            withdrawn=said.withdrawn,
        )
        if after != row:
            store.put_received(tx.connection, after)
            self._journal(tx, after, action=RECEIVED)
        if row is None or row.revision < said.revision:
            self._take_indicators(tx, after)
            facts: dict[str, str | int] = {"partner": partner}
            tx.emit(Event(name=RECEIVED, subject=after.id, at=tx.now, facts=facts))
        return AdvisoryTaken(revision=after.revision, acknowledged=after.acknowledged)

    def _take_indicators(self, tx: Transaction, one: ReceivedAdvisory) -> None:
        agreement = self._agreements.in_force(tx, one.partner)
        if agreement is not None and one.indicators:
            self._receiver.receive(tx, agreement=agreement, objects=one.indicators)

    def acknowledge(
        self, tx: Transaction, advisory_id: str, *, partner: str, by: str
    ) -> ReceivedAdvisory:
        """A person here has read it; its sender hears of that. Raises NoSuchAdvisory."""
        require(tx.actor, Permission.ADVISORY_WORK)
        row = store.find_received(tx.connection, partner, advisory_id, lock=True)
        if row is None:
            raise NoSuchAdvisory(advisory_id[:80])
        said = Acknowledgement(revision=row.revision, by=by, at=tx.now)
        after = msgspec.structs.replace(row, acknowledged=said)
        store.put_received(tx.connection, after)
        self._journal(tx, after, action="exchange.advisory.read")
        message = AcknowledgedMessage(advisory=row.id, acknowledged=said)
        self._letters.write(tx, partner, path=ACKNOWLEDGED_PATH, matter=row.id, message=message)
        return after

    @staticmethod
    def told(tx: Transaction, partner: str, advisory_id: str, answer: AcknowledgedTaken) -> None:
        """The sender has our acknowledgement, or never sent this in this life of it."""
        if not answer.known:
            tx.journal(
                action="exchange.advisory.forgotten",
                subject=advisory_id,
                reason=f"{partner} does not know that it sent this",
            )

    def page(self, tx: Transaction, asked: Asked = FIRST) -> ReceivedAdvisories:
        """Partners' advisories to us, a page, the newest first. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.EXCHANGE_READ)
        rows = store.newest_received(tx.connection, asked)
        shown, more = asked.cut(
            rows, lambda one: Place(one.received_at, f"{one.id}/{one.partner}").cursor()
        )
        return ReceivedAdvisories(advisories=shown, cursor=more)

    @staticmethod
    def _journal(tx: Transaction, one: ReceivedAdvisory, *, action: str) -> None:
        mark = AdvisoryMark(
            sort=str(one.advisory.fields.get("sort", "")),
            state="withdrawn" if one.withdrawn else "received",
            revision=one.revision,
            partners=(one.partner,),
            indicators=len(one.indicators),
            marking=one.advisory.marking.value,
        )
        tx.journal(action=action, subject=one.id, after=mark, authority=one.partner)
