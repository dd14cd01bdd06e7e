"""Simulation, trials: one of two countries with a centre, which may exchange with the other's.

Requests and answers go by the centres' own line and gate, in this process; banks read what the
centres release to them. Nothing is decided here that a centre or its people decide.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from openaoc.channels.signing import HEADER
from openaoc.channels.transport import NotReached, Reply
from openaoc.exchange.crossborder.model import ReceivedState, Requests, SentState
from openaoc.exchange.line import SENDER
from openaoc.exchange.model import PartnerKind
from openaoc.holds.model import OrderState, OrderView
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import Conflict, OpenAOCError, Unavailable
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.paging import Asked
from openaoc.simulation.neighbour import NUMBERS_FROM, is_abroad, scam_there, there
from openaoc.simulation.scams import Scam
from openaoc.simulation.trial.actors import OFFICER, SECOND, OpenCentre
from openaoc.simulation.trial.agreed import INDICATORS, REQUESTS, agree
from openaoc.simulation.trial.border import Border, Side
from openaoc.simulation.trial.centre import CentreArm
from openaoc.simulation.trial.life import Life
from openaoc.simulation.trial.pair_model import CrossFigures
from openaoc.simulation.trial.scenario import Scenario
from openaoc.simulation.warnings import Countries, Warned
from openaoc.simulation.world import Tick

if TYPE_CHECKING:
    from openaoc.simulation.countries import TwoCountries

MESSAGE_S: Final = 1.0
"""A request is on the other centre's record, and looked at there, about so soon."""
LOOK_S: Final = 301.0
"""Money that is not there yet is looked for again so soon, as a running centre does."""
ADDRESS: Final = "http://127.0.0.1:1"
"""Nobody listens there: the other centre's gate is asked in this process."""
VIEW_MAX: Final = 1_000
REFUSED: Final = 409
BUSY: Final = 503


class Wire:
    """The line between two centres in one process. A channels.transport.Transport."""

    def __init__(self) -> None:
        self.other: LinkedArm | None = None

    def post(self, url: str, *, body: bytes, headers: dict[str, str]) -> Reply:
        """Ask the other centre's gate. Raises NotReached before there is one."""
        if self.other is None:
            raise NotReached("nobody is there yet")
        path = url.removeprefix(ADDRESS)
        try:
            said = self.other.centre.between.gate.answer(
                path, sender=headers.get(SENDER, ""), header=headers.get(HEADER), body=body
            )
        except OpenAOCError as error:
            status = BUSY if isinstance(error, Unavailable) else REFUSED
            return Reply(status=status, body=b"{}", signature=None)
        return Reply(status=200, body=said.body, signature=said.signature)

    def close(self) -> None:
        """Nothing is open."""


class LinkedArm(CentreArm, Side):
    """One nation of two, with a centre."""

    def __init__(
        self,
        life: Life,
        scenario: Scenario,
        *,
        seed: int,
        centre: OpenCentre,
        clock: ManualClock,
        pair: TwoCountries,
        country: str,
    ) -> None:
        super().__init__(life, scenario, seed=seed, centre=centre, clock=clock)
        self.country = country
        self.name = f"{country}-AOC"
        self.border: Border[LinkedArm]
        self._pair = pair
        self._exchanges = False
        assert life.neighbour is not None, "there is a country next door"
        self.warned = Warned(
            Countries(country=country, own=life.population, next_door=life.neighbour.population)
        )
        self._thought_over: set[str] = set()
        self._most_held: dict[str, int] = {}
        self._foreign: set[str] = set()
        self.overtaken: list[str] = []
        """Orders that were agreed to too late."""

    # Before the first moment.

    def begin(self) -> None:
        """As every centre; and banks read what it releases to them."""
        super().begin()
        agree(
            self.centre,
            code=f"{self.country}-BANKS",
            kind=PartnerKind.SECTOR_BODY,
            country=self.country,
            kinds=INDICATORS,
        )

    def exchange(self) -> None:
        """The other centre may ask and is asked; its banks read what we release to them."""
        self._exchanges = True
        other = self.border.other(self)
        agree(
            self.centre,
            code=other.name,
            kind=PartnerKind.CENTRE,
            country=other.country,
            kinds=REQUESTS,
            endpoint=ADDRESS,
            key=other.centre.channels.jwks().keys[0],
        )
        agree(
            self.centre,
            code=f"{other.country}-BANKS",
            kind=PartnerKind.SECTOR_BODY,
            country=other.country,
            kinds=INDICATORS,
        )

    # Money that crosses.

    def left(self, tick: Tick) -> None:
        """The other country's banks hear of what is on its way to them."""
        self.border.carry(self, tick)

    def moved(self, tick: Tick) -> None:
        """As at home; also when money of a case next door moves."""
        super().moved(tick)
        other = self.border.other(self)
        if self._exchanges and any(
            move.amount_minor and scam_there(move.scam) in other.reported_s
            for move in tick.moves
            if move.scam >= NUMBERS_FROM
        ):
            self.want_turn(self.now_s + self.life.parameters.machines.feed_delay_s.value)

    def is_burnt(self, account: int) -> bool:
        """An account next door is burnt when it is there."""
        if is_abroad(account):
            return self.border.other(self).is_burnt(there(account))
        return super().is_burnt(account)

    # What payers' banks know.

    def told(self, scam: Scam) -> None:
        """As at home; soon after, banks have read what follows for them."""
        super().told(scam)
        centre_s = self.life.parameters.machines.centre_s.value
        self.at(self.now_s + centre_s, self.speak)
        self.at(self.now_s + self._pair.warning.reads_s.value, self._publish)

    def _publish(self) -> None:
        self.turn(hurried=False)
        self._read_of(self)
        if self._exchanges:
            self.border.other(self)._read_of(self)  # noqa: SLF001 - the same class, next door

    def _read_of(self, centre: LinkedArm) -> None:
        """This country's banks read what that centre released to them since they last did."""
        partner, country = f"{self.country}-BANKS", centre.country
        with centre.centre.uow.read(OFFICER, purpose="what banks read") as tx:
            while True:
                page = centre.centre.matter.sharing.exchange.view(
                    tx, partner, after=self.warned.after(country), limit=VIEW_MAX
                )
                for received in page.objects:
                    self.warned.take(country, received)
                if not page.more:
                    return

    def known(self, account: int) -> bool:
        """Whether a centre has released the account to this country's banks."""
        return self.warned.knows(account)

    # Requests and answers.

    def turn(self, *, hurried: bool = True) -> None:
        """As at home; and then the centres speak."""
        super().turn(hurried=hurried)
        self.speak()

    def speak(self) -> None:
        """Bring requests and answers in step with cases, and say what is to be said."""
        if not self._exchanges:
            return
        self.tell_ledger()
        between = self.centre.between
        changed = 0
        while (done := between.crossing.run()) > 0:
            changed += done
        said = False
        for partner in between.carrier.due():
            said = True
            while between.carrier.run(partner):
                continue
        if said:
            other = self.border.other(self)
            self.at(self.now_s + MESSAGE_S, self.look_at_requests)
            other.at(self.now_s + MESSAGE_S, other.speak)
        if changed:
            self.look_at_requests()

    def look_at_requests(self) -> None:
        """What staff see of requests: what waits for them, and what they note."""
        requests = self._requests()
        for one in requests.sent:
            if one.amounts is not None:
                most = self._most_held.get(one.id, 0)
                self._most_held[one.id] = max(most, one.amounts.held_minor)
        other = self.border.other(self)
        asked = other.asked()
        for received in requests.received:
            if received.state is ReceivedState.SEEKING:
                self.at(self.now_s + LOOK_S, self.speak)
            elif received.state is ReceivedState.OPENED and received.case is not None:
                self._foreign.add(received.case)
                self._case_at.setdefault(received.case, other.told_s(asked[received.id]))
        if self._foreign:
            self._think_over()

    def asked(self) -> dict[str, str]:
        """Our case by request."""
        return {one.id: one.case for one in self._requests().sent}

    def _requests(self) -> Requests:
        crossing, asked = self.centre.between.crossing, Asked(limit=PAGE_MAX)
        with self.centre.uow.read(OFFICER, purpose="requests across the border") as tx:
            found = page = crossing.requests(tx, asked)
            while page.cursor is not None:
                page = crossing.requests(tx, asked._replace(cursor=page.cursor))
                found.sent.extend(page.sent)
                found.received.extend(page.received)
        return found

    def _think_over(self) -> None:
        """Orders on a partner's word wait for two persons, who take their time side by side."""
        mean_s = self.life.parameters.people.officer_mean_s.value
        for order in self._drafted():
            if order.case in self._foreign and order.order not in self._thought_over:
                self._thought_over.add(order.order)
                number = len(self._thought_over)
                wait_s = max(self.draw_s(mean_s, 15, number, person) for person in range(2))
                self.at(self.now_s + wait_s, functools.partial(self._approve, order.order))

    def _drafted(self) -> list[OrderView]:
        with self.centre.uow.read(OFFICER, purpose="what waits for a person") as tx:
            page = self.centre.matter.holds.list(tx, state=OrderState.DRAFTED, limit=PAGE_MAX)
        return page.orders

    def _approve(self, order: str) -> None:
        self.tell_ledger()
        try:
            for person in (OFFICER, SECOND):
                with self.centre.uow.begin(person, purpose="decide on a partner's word") as tx:
                    self.centre.matter.holds.approve(tx, order)
        except Conflict as error:
            # The money has moved on meanwhile: there is nothing to agree to any more.
            self.overtaken.append(str(error))
        self.turn()

    # Measures.

    def wave_of(self, order: OrderView) -> tuple[str, float]:
        """Orders on a partner's word count from the report next door."""
        if order.case in self._foreign:
            return "across", self.told_s(order.case)
        return super().wave_of(order)

    def cross_figures(self) -> CrossFigures:
        """What went to and fro."""
        sent = [one for one in self._requests().sent if one.state is not SentState.WITHDRAWN]
        warned = self.warned.accounts
        own = [account for account in warned if not is_abroad(account)]
        return CrossFigures(
            crossed_minor=self.life.truth.crossed_minor,
            arrived_minor=self.life.truth.arrived_minor,
            requests=len(sent),
            answered=sum(one.state is SentState.ANSWERED for one in sent),
            asked_minor=sum(one.exit.amount_minor for one in sent),
            held_there_minor=sum(self._most_held.get(one.id, 0) for one in sent),
            cases_here=len(self._foreign),
            warned=len(warned),
            warned_innocent=sum(self.tally.is_innocent(account) for account in own),
        )
