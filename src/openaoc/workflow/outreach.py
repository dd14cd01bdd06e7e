"""Workflow: builds what the centre asks and tells partners: take-downs, advisories, letters.

Wires what they rest on: an indicator that falls takes its take-downs with it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.channels.keys import CentreKeys
from openaoc.exchange.advisories.delivering import DUE_AT_ONCE_MAX as DELIVERED_AT_ONCE_MAX
from openaoc.exchange.advisories.delivering import ENDED_AT_ONCE_MAX, Delivering
from openaoc.exchange.advisories.model import (
    ACKNOWLEDGED_PATH,
    AcknowledgedMessage,
    AcknowledgedTaken,
    AdvisoryMessage,
    AdvisoryTaken,
)
from openaoc.exchange.advisories.model import PATH as ADVISORIES_PATH
from openaoc.exchange.advisories.receiving import Receiving as AdvisoriesReceived
from openaoc.exchange.advisories.writing import Writing
from openaoc.exchange.crossborder.carrier import RESTORED
from openaoc.exchange.gate import Gate
from openaoc.exchange.ledger_model import RecallKind
from openaoc.exchange.letters import Letters
from openaoc.exchange.line import Line
from openaoc.exchange.plain import LABEL as PLAIN_LABEL
from openaoc.exchange.plain import Plain
from openaoc.exchange.recalling import OBJECT_RECALLED
from openaoc.exchange.receiving import Receiver
from openaoc.exchange.takedowns.asking import Asking
from openaoc.exchange.takedowns.model import (
    PATH as TAKEDOWNS_PATH,
)
from openaoc.exchange.takedowns.model import (
    RECEIPTS_PATH,
    ReceiptTaken,
    SignedReceipt,
    TakedownMessage,
    TakedownTaken,
)
from openaoc.exchange.takedowns.receipts import Receipts
from openaoc.exchange.takedowns.receiving import Receiving
from openaoc.exchange.takedowns.sending import DUE_AT_ONCE_MAX, Sending
from openaoc.exchange.usefulness import Measuring
from openaoc.kernel.events import Event
from openaoc.kernel.settings import Settings
from openaoc.storage.database import Database
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from openaoc.workflow.duties import on_time
from openaoc.workflow.sharing import Sharing
from openaoc.workflow.wiring import Matter

STEP_SECONDS: Final = 2.0
"""How often what is approved is sent, clocks are looked at, and letters are carried."""
ROUNDS_MAX: Final = 20


class Takedowns(msgspec.Struct, frozen=True, kw_only=True):
    """What persons and partners do about take-downs."""

    asking: Asking
    receipts: Receipts
    sending: Sending
    receiving: Receiving


class Advisories(msgspec.Struct, frozen=True, kw_only=True):
    """What persons and partners do about advisories."""

    writing: Writing
    delivering: Delivering
    receiving: AdvisoriesReceived


class Outreach:
    """What the centre asks and tells partners. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        letters: Letters,
        takedowns: Takedowns,
        advisories: Advisories,
        plain: Plain,
        measuring: Measuring,
    ) -> None:
        self.letters = letters
        self.takedowns = takedowns
        self.advisories = advisories
        self.plain = plain
        self.measuring = measuring
        self._duties = (
            (takedowns.sending.due, DUE_AT_ONCE_MAX),
            (advisories.delivering.end_due, ENDED_AT_ONCE_MAX),
            (advisories.delivering.due, DELIVERED_AT_ONCE_MAX),
        )
        self._uow = uow
        self._ticker = Ticker("outreach", self.run, every_s=STEP_SECONDS)
        letters.wake_with(self._ticker.wake)

    def run(self) -> int:
        """Do what is due, and carry every letter once; how much there was."""
        total = 0
        for duty, full in self._duties:
            call = on_time(self._uow, duty, purpose="what partners are asked and told")
            for _ in range(ROUNDS_MAX):
                count = call()
                total += count
                if count < full:
                    break
        return total + self.letters.run()

    def start(self) -> None:
        """Begin."""
        self._ticker.start()

    def stop(self) -> None:
        """Finish what is under way."""
        self._ticker.stop()


def build_outreach(
    *,
    database: Database,
    matter: Matter,
    line: Line,
    gate: Gate,
    keys: CentreKeys,
    settings: Settings,
) -> Outreach:
    """Build and wire it; nothing is sent before `start`."""
    uow, sharing, receiver = database.uow, matter.sharing, matter.receiver
    exchange = sharing.exchange
    letters = Letters(uow=uow, agreed=sharing.agreed, line=line)
    takedowns = _takedowns(sharing, letters=letters, keys=keys, name=settings.centre_code)
    advisories = _advisories(sharing, letters=letters, receiver=receiver)
    _open_takedowns(letters, gate, takedowns)
    _open_advisories(letters, gate, advisories)
    _listen(uow, asking=takedowns.asking)
    uow.subscribe(RESTORED, lambda tx, event: letters.say_again(tx, event.subject))
    return Outreach(
        uow=uow,
        letters=letters,
        takedowns=takedowns,
        advisories=advisories,
        plain=Plain(
            exchange=exchange,
            agreed=sharing.agreed,
            line=line,
            receiver=receiver,
            key=database.keys.derived(PLAIN_LABEL),
        ),
        measuring=Measuring(exchange.agreements),
    )


def _takedowns(sharing: Sharing, *, letters: Letters, keys: CentreKeys, name: str) -> Takedowns:
    exchange = sharing.exchange
    asking = Asking(exchange=exchange, catalogue=sharing.catalogue, letters=letters)
    receipts = Receipts(partners=exchange.agreements.partners, name=name)
    return Takedowns(
        asking=asking,
        receipts=receipts,
        sending=Sending(exchange=exchange, asking=asking, receipts=receipts, letters=letters),
        receiving=Receiving(requests=sharing.requests, letters=letters, keys=keys),
    )


def _advisories(sharing: Sharing, *, letters: Letters, receiver: Receiver) -> Advisories:
    exchange = sharing.exchange
    return Advisories(
        writing=Writing(exchange=exchange),
        delivering=Delivering(exchange=exchange, catalogue=sharing.catalogue, letters=letters),
        receiving=AdvisoriesReceived(
            agreements=exchange.agreements, receiver=receiver, letters=letters
        ),
    )


def _open_takedowns(letters: Letters, gate: Gate, of: Takedowns) -> None:
    letters.place(
        TAKEDOWNS_PATH, says=TakedownMessage, answers=TakedownTaken, taken=of.sending.taken
    )
    letters.place(RECEIPTS_PATH, says=SignedReceipt, answers=ReceiptTaken, taken=of.receiving.told)
    gate.open(TAKEDOWNS_PATH, TakedownMessage, of.receiving.take)
    gate.open(RECEIPTS_PATH, SignedReceipt, of.receipts.signed)


def _open_advisories(letters: Letters, gate: Gate, of: Advisories) -> None:
    letters.place(
        ADVISORIES_PATH, says=AdvisoryMessage, answers=AdvisoryTaken, taken=of.delivering.taken
    )
    letters.place(
        ACKNOWLEDGED_PATH,
        says=AcknowledgedMessage,
        answers=AcknowledgedTaken,
        taken=of.receiving.told,
    )
    gate.open(ADVISORIES_PATH, AdvisoryMessage, of.receiving.take)
    gate.open(ACKNOWLEDGED_PATH, AcknowledgedMessage, of.delivering.acknowledged)


def _listen(uow: UnitOfWork, *, asking: Asking) -> None:
    def wrong(tx: Transaction, event: Event) -> None:
        asking.indicator_changed(tx, event.subject, wrong=True)

    def over(tx: Transaction, event: Event) -> None:
        asking.indicator_changed(tx, event.subject, wrong=False)

    def recalled(tx: Transaction, event: Event) -> None:
        if event.facts["kind"] == RecallKind.WITHDRAWN.value:
            asking.recalled(tx, event.subject, bare=bool(event.facts["bare"]))

    for name in ("withdrawn", "retracted"):
        uow.subscribe(f"indicators.indicator.{name}", wrong)
    uow.subscribe("indicators.indicator.expired", over)
    uow.subscribe(OBJECT_RECALLED, recalled)
