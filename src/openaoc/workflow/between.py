"""Workflow: builds what speaks with other centres: the line, the gate, matching, crossing.

Bootstrap calls it once, and starts and stops it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from openaoc.channels.dispatcher import DELIVERY_THREADS
from openaoc.channels.keys import CentreKeys
from openaoc.channels.transport import HttpTransport, Transport
from openaoc.exchange.crossborder.asking import Asking as CrossAsking
from openaoc.exchange.crossborder.carrier import RESTORED, Carrier, hear
from openaoc.exchange.crossborder.model import (
    PATH,
    AnswerMessage,
    AnswerTaken,
    Hello,
    RequestMessage,
    RequestTaken,
)
from openaoc.exchange.crossborder.receiving import Receiving
from openaoc.exchange.gate import Gate
from openaoc.exchange.line import Line
from openaoc.exchange.matching.answering import Answering, MatchKeys
from openaoc.exchange.matching.asking import Asking
from openaoc.exchange.matching.model import PATH as MATCH_PATH
from openaoc.exchange.matching.model import HitTold, PageAsked, Questions, SetAsked, SetInfo
from openaoc.exchange.matching.pool import Pool
from openaoc.exchange.matching.schedule import Schedule
from openaoc.exchange.matching.sets import Identifier
from openaoc.exchange.protection.model import MARKED
from openaoc.exchange.taxii.polling import Polling
from openaoc.indicators.holding import held, newest_change
from openaoc.kernel.clock import Clock
from openaoc.kernel.events import Event
from openaoc.kernel.settings import Settings
from openaoc.storage.centre_state import read_state
from openaoc.storage.database import Database
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from openaoc.tracing.service import Tracing
from openaoc.workflow.crossing import Crossing, CrossingLedger
from openaoc.workflow.outreach import Outreach, build_outreach
from openaoc.workflow.practising import Practising
from openaoc.workflow.together import Together, build_together
from openaoc.workflow.wiring import Matter

MATCH_LABEL: Final = "openaoc match v1"
REQUEST_LABEL: Final = "openaoc requests v1"
FOLDER: Final = "matching"
STEP_SECONDS: Final = 0.5
"""How often requests are brought in step with cases."""
MATCH_SECONDS: Final = 15.0
"""How often what is new is matched with every partner that agreed to it."""
FETCH_SECONDS: Final = 300.0
"""How often partners are asked for packages and scripts."""
PREPARE_SECONDS: Final = 60.0
"""How often it is asked whether a day's set is to be computed."""


class Between:
    """What speaks with other centres. One instance per centre."""

    def __init__(
        self, *, gate: Gate, together: Together, crossing: Crossing, carrier: Carrier,
        asking: Asking, answering: Answering, schedule: Schedule, pool: Pool, transport: Transport,
        outreach: Outreach, practising: Practising,
    ) -> None:  # fmt: skip
        self.gate = gate
        self.together = together
        self.crossing = crossing
        self.carrier = carrier
        self.asking = asking
        self.answering = answering
        self.outreach = outreach
        self._pool = pool
        self._transport = transport
        self._stepping = Ticker("crossing", crossing.run, every_s=STEP_SECONDS)
        self._matching = Ticker("matching", schedule.run, every_s=MATCH_SECONDS)
        self._preparing = Ticker("matching", answering.prepare_due, every_s=PREPARE_SECONDS)
        self._fetching = Ticker("practice", practising.fetch_due, every_s=FETCH_SECONDS)

    def start(self) -> None:
        """Begin: every case is looked at once, for what was not said before the last stop."""
        self.crossing.look_at_all()
        self.carrier.start()
        self._stepping.start()
        self._preparing.start()
        self._matching.start()
        self.together.start()
        self.outreach.start()
        self._fetching.start()

    def stop(self) -> None:
        """Finish what is under way."""
        self._pool.close()  # a set takes a minute of every processor: nobody waits for that
        self._fetching.stop()
        self.outreach.stop()
        self.together.stop()
        self._matching.stop()
        self._preparing.stop()
        self._stepping.stop()
        self.carrier.stop()
        self.close()

    def close(self) -> None:
        """Give back threads and connections, of one that was not started too."""
        self._pool.close()
        self._transport.close()


class _Indicators:
    """The centre's indicators as matching takes them."""

    def identifiers(
        self, tx: Transaction, kinds: Sequence[str], *, limit: int, after: int = 0
    ) -> list[Identifier]:
        """What the centre holds an opinion on, of these kinds, the latest changed first."""
        return [
            Identifier(kind=one.kind.value, value=one.value)
            for one in held(tx, kinds, limit=limit, after=after)
        ]

    def mark(self, tx: Transaction) -> int:
        """The mark of the latest change."""
        return newest_change(tx)


def build_between(
    *,
    database: Database,
    ledger: CrossingLedger,
    tracing: Tracing,
    matter: Matter,
    keys: CentreKeys,
    clock: Clock,
    settings: Settings,
    transport: Transport | None = None,
) -> Between:
    """Build it; nothing is asked or said before `start`."""
    uow, sharing = database.uow, matter.sharing
    agreed = sharing.agreed
    transport = transport or HttpTransport(connections_max=2 * DELIVERY_THREADS)
    line, pool = (
        Line(name=settings.centre_code, keys=keys, clock=clock, transport=transport),
        Pool(),
    )
    answering = Answering(
        uow=uow,
        agreed=agreed,
        holdings=_Indicators(),
        keys=MatchKeys(database.keys.derived(MATCH_LABEL)),
        pool=pool,
        folder=Path(settings.data_dir) / FOLDER,
    )
    key = database.keys.derived(REQUEST_LABEL)
    asking = CrossAsking(agreed=agreed, key=key)
    receiving = Receiving(agreed=agreed, requests=sharing.requests, key=key)
    carrier = Carrier(uow=uow, agreed=agreed, line=line, asking=asking, receiving=receiving)
    crossing = Crossing(
        uow=uow,
        agreed=agreed,
        asking=asking,
        receiving=receiving,
        cases=matter.cases,
        reports=matter.reports,
        intake=matter.intake,
        pursuit=matter.pursuit,
        tracing=tracing,
        ledger=ledger,
        wake=carrier.wake,
    )
    matching = Asking(
        uow=uow, agreed=agreed, holdings=_Indicators(), line=line, pool=pool, desk=settings.contact
    )
    gate = Gate(uow=uow, agreed=agreed, line=line)
    _open_matching(gate, answering)
    _open_requests(gate, asking, receiving)
    _listen(uow, answering, matter.collecting.polling)
    matter.practising.connect(gate=gate, line=line, keys=keys)
    return Between(
        gate=gate,
        together=build_together(
            database=database, sharing=sharing, line=line, gate=gate, settings=settings
        ),
        crossing=crossing,
        carrier=carrier,
        asking=matching,
        answering=answering,
        schedule=Schedule(uow=uow, agreed=agreed, holdings=_Indicators(), asking=matching),
        pool=pool,
        transport=transport,
        practising=matter.practising,
        outreach=build_outreach(
            database=database, matter=matter, line=line, gate=gate, keys=keys, settings=settings
        ),
    )


def _listen(uow: UnitOfWork, answering: Answering, polling: Polling) -> None:
    """Who may be a victim is in no published set; a restored partner is read and told again."""

    def marked(tx: Transaction, event: Event) -> None:
        assert event.subject, "a mark"
        tx.after_commit(answering.forget_sets)

    uow.subscribe(MARKED, marked)
    uow.subscribe(RESTORED, lambda tx, event: polling.begin_again(tx, event.subject))


def _open_matching(gate: Gate, answering: Answering) -> None:
    def describe(tx: Transaction, partner: str, _: SetAsked) -> SetInfo:
        return answering.describe(tx, partner)

    gate.open(f"{MATCH_PATH}/set", SetAsked, describe)
    gate.open(f"{MATCH_PATH}/page", PageAsked, answering.page)
    gate.open(f"{MATCH_PATH}/evaluate", Questions, answering.evaluate)
    gate.open(f"{MATCH_PATH}/hit", HitTold, answering.take_hit)


def _open_requests(gate: Gate, asking: CrossAsking, receiving: Receiving) -> None:
    def hello(tx: Transaction, partner: str, said: Hello) -> Hello:
        hear(tx, partner, epoch=said.epoch)
        return Hello(epoch=read_state(tx.connection).epoch)

    def request(tx: Transaction, partner: str, said: RequestMessage) -> RequestTaken:
        hear(tx, partner, epoch=said.epoch)
        return receiving.take(tx, partner, said)

    def answer(tx: Transaction, partner: str, said: AnswerMessage) -> AnswerTaken:
        hear(tx, partner, epoch=said.epoch)
        epoch = read_state(tx.connection).epoch
        return asking.take_answer(tx, partner, said, epoch=epoch)

    gate.open(f"{PATH}/hello", Hello, hello)
    gate.open(f"{PATH}/requests", RequestMessage, request)
    gate.open(f"{PATH}/answers", AnswerMessage, answer)
