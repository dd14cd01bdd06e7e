"""Workflow: builds what the centre asks and tells partners: take-downs, advisories, letters.

Wires what they rest on: an indicator that falls takes its take-downs with it.
"""

from __future__ import annotations

from typing import Final

from openaoc.channels.keys import CentreKeys
from openaoc.exchange.gate import Gate
from openaoc.exchange.ledger_model import RecallKind
from openaoc.exchange.letters import Letters
from openaoc.exchange.line import Line
from openaoc.exchange.recalling import OBJECT_RECALLED
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
from openaoc.kernel.events import Event
from openaoc.kernel.settings import Settings
from openaoc.storage.database import Database
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from openaoc.workflow.duties import on_time
from openaoc.workflow.sharing import Sharing

STEP_SECONDS: Final = 2.0
"""How often what is approved is sent, clocks are looked at, and letters are carried."""
ROUNDS_MAX: Final = 20


class Outreach:
    """What the centre asks and tells partners. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        letters: Letters,
        takedowns: Asking,
        receipts: Receipts,
        sending: Sending,
        receiving: Receiving,
    ) -> None:
        self.letters = letters
        self.takedowns = takedowns
        self.receipts = receipts
        self.receiving = receiving
        self._send = on_time(uow, sending.due, purpose="take-downs the clock asks for")
        self._ticker = Ticker("outreach", self.run, every_s=STEP_SECONDS)
        letters.wake_with(self._ticker.wake)

    def run(self) -> int:
        """Do what is due, and carry every letter once; how much there was."""
        total = 0
        for _ in range(ROUNDS_MAX):
            count = self._send()
            total += count
            if count < DUE_AT_ONCE_MAX:
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
    sharing: Sharing,
    line: Line,
    gate: Gate,
    keys: CentreKeys,
    settings: Settings,
) -> Outreach:
    """Build and wire it; nothing is sent before `start`."""
    uow, exchange = database.uow, sharing.exchange
    letters = Letters(uow=uow, agreed=sharing.agreed, line=line)
    asking = Asking(exchange=exchange, catalogue=sharing.catalogue, letters=letters)
    receipts = Receipts(partners=exchange.agreements.partners, name=settings.centre_code)
    sending = Sending(exchange=exchange, asking=asking, receipts=receipts, letters=letters)
    receiving = Receiving(requests=sharing.requests, letters=letters, keys=keys)
    letters.place(TAKEDOWNS_PATH, says=TakedownMessage, answers=TakedownTaken, taken=sending.taken)
    letters.place(RECEIPTS_PATH, says=SignedReceipt, answers=ReceiptTaken, taken=receiving.told)
    gate.open(TAKEDOWNS_PATH, TakedownMessage, receiving.take)
    gate.open(RECEIPTS_PATH, SignedReceipt, receipts.signed)
    _listen(uow, asking=asking)
    return Outreach(
        uow=uow,
        letters=letters,
        takedowns=asking,
        receipts=receipts,
        sending=sending,
        receiving=receiving,
    )


def _listen(uow: UnitOfWork, *, asking: Asking) -> None:
    def wrong(tx: Transaction, event: Event) -> None:
        asking.indicator_changed(tx, event.subject, wrong=True)

    def over(tx: Transaction, event: Event) -> None:
        asking.indicator_changed(tx, event.subject, wrong=False)

    def recalled(tx: Transaction, event: Event) -> None:
        if event.facts["kind"] == RecallKind.WITHDRAWN.value:
            asking.recalled(tx, event.subject)

    for name in ("withdrawn", "retracted"):
        uow.subscribe(f"indicators.indicator.{name}", wrong)
    uow.subscribe("indicators.indicator.expired", over)
    uow.subscribe(OBJECT_RECALLED, recalled)
