"""Simulation, trials: the institutions' side of the line: messages in, money blocked, answers due.

Takes deliveries as an institution's system does, without a network; acts when its time has come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from openaoc.channels.model import Delivery
from openaoc.channels.transport import NotReached, Reply
from openaoc.holds.model import Answer, Order, OrderEnd
from openaoc.kernel.errors import BadInput
from openaoc.simulation.blocking import account_at, carry_out, go_over, keep_less, take_end
from openaoc.simulation.line import Line
from openaoc.simulation.parameters import Answers, Parameters
from openaoc.simulation.store import HeldOrder
from openaoc.simulation.trial.life import Life, stamp
from openaoc.simulation.trial.scenario import figure

ORDER: Final = "hold.order"
ENDS: Final = frozenset({"hold.withdrawal", "hold.release"})
OK: Final = 200
SEIZED_US: Final = 2**62
"""The end of what a court holds: none of ours."""


class Due(NamedTuple):
    """A message an institution deals with at `at_s`."""

    at_s: float
    institution: str
    kind: str
    body: bytes


class Done(NamedTuple):
    """What an institution did: the account it concerns and what was blocked there before."""

    order: str
    asked: Order | None
    account: int | None
    before_minor: int
    now_minor: int
    answer: Answer | None
    ends_s: float


class Desks:
    """Every institution's desk. A channels.transport.Transport."""

    def __init__(
        self, life: Life, *, seed: int, now_s: Callable[[], float], later: Callable[[Due], None]
    ) -> None:
        self._life = life
        self._now_s = now_s
        self._later = later
        self._seen: set[str] = set()
        self._held: dict[str, HeldOrder] = {}
        self._wait_s = life.parameters.machines.centre_s.value
        self.taken: Counter[str] = Counter()
        """Deliveries each institution's system has taken."""
        self.sent_s: dict[str, float] = {}
        """When each order reached its institution's system first."""
        answers = _lines(life.parameters)
        self._lines = {
            code: Line(answers, seed=seed, number=number)
            for number, code in enumerate(life.population.codes)
        }

    def post(self, url: str, *, body: bytes, headers: dict[str, str]) -> Reply:
        """Keep a delivery. Raises NotReached while the institution's system is down."""
        del headers
        institution = url.removesuffix("/v1/holds").rpartition("/")[2]
        line, now_s = self._lines[institution], self._now_s()
        if not line.reachable(now_s):
            raise NotReached("out of reach")
        self.taken[institution] += 1
        for message in msgspec.json.decode(body, type=Delivery).messages:
            if message.idempotency_key in self._seen:
                continue
            self._seen.add(message.idempotency_key)
            at_s = now_s + self._wait_s
            if message.kind == ORDER:
                self.sent_s.setdefault(message.idempotency_key.split(":")[1], at_s)
                at_s += line.delay_s()
            self._later(Due(at_s, institution, message.kind, bytes(message.body)))
        return Reply(status=OK, body=b"", signature=None)

    def close(self) -> None:
        """Nothing is open."""

    def work(self, due: Due) -> Done | None:
        """Deal with one message now; None for one that asks for nothing."""
        books = self._life.books
        if due.kind == ORDER:
            order = msgspec.json.decode(due.body, type=Order)
            account = account_at(self._life.population, due.institution, order.account)
            held = self._held.get(order.order)
            old = self._held.get(order.continues)
            if held is None and old is not None:
                self._held[old.order], held = go_over(
                    old, by=order.order, amount_minor=order.amount_minor
                )
            before = 0 if account is None else int(books.blocked[account])
            kept, answer = carry_out(books, order, held=held, account=account)
            self._held[order.order] = kept
            return self._done(kept, before, asked=order, answer=answer)
        if due.kind in ENDS:
            end = msgspec.json.decode(due.body, type=OrderEnd)
            account = account_at(self._life.population, due.institution, end.account)
            before = 0 if account is None else int(books.blocked[account])
            held = self._held.get(end.order)
            if held is not None and end.continued_by and end.continued_by not in self._held:
                over = held.blocked_minor - end.remaining_minor
                held, fresh = go_over(held, by=end.continued_by, amount_minor=over)
                self._held[fresh.order] = fresh
            kept = take_end(books, end, held=held, account=account)
            self._held[end.order] = kept
            return self._done(kept, before)
        return None

    def expire(self, order: str) -> Done | None:
        """End the order if its time is over; None when it is not, or nothing is blocked."""
        held = self._held[order]
        if not held.blocked_minor or held.ended or held.account is None:
            return None
        if held.ends_us > stamp(self._now_s()):
            return None
        before = int(self._life.books.blocked[held.account])
        done = keep_less(
            self._life.books, held, remaining_minor=0, revision=held.revision, ended=True
        )
        self._held[order] = done
        return self._done(done, before)

    def less(self, order: str, amount_minor: int) -> Done | None:
        """End the block on an amount: it is paid out, or its holder's again."""
        held = self._held[order]
        if held.account is None or not held.blocked_minor:
            return None
        before = int(self._life.books.blocked[held.account])
        left = max(held.blocked_minor - amount_minor, 0)
        done = keep_less(
            self._life.books, held, remaining_minor=left, revision=held.revision, ended=not left
        )
        self._held[order] = done
        return self._done(done, before)

    def seize(self, order: str) -> None:
        """A court's or authority's measure takes the hold's place: the money stays blocked."""
        if order not in self._held:
            raise BadInput("no such order", where=order)
        self._held[order] = self._held[order]._replace(ends_us=SEIZED_US)

    def seized(self, order: str) -> bool:
        """Whether a court's or authority's measure holds the money."""
        return order in self._held and self._held[order].ends_us == SEIZED_US

    def account_of(self, order: str) -> int:
        """The account it blocks. Raises BadInput when it blocks none."""
        held = self._held.get(order)
        if held is None or held.account is None:
            raise BadInput("no such order", where=order)
        return held.account

    def held_minor(self, order: str) -> int:
        """What the order blocks now."""
        held = self._held.get(order)
        return 0 if held is None else held.blocked_minor

    def _done(
        self,
        kept: HeldOrder,
        before: int,
        *,
        asked: Order | None = None,
        answer: Answer | None = None,
    ) -> Done:
        account = kept.account
        now = 0 if account is None else int(self._life.books.blocked[account])
        ends_s = (kept.ends_us - stamp(0.0)) / 1e6
        return Done(kept.order, asked, account, before, now, answer, ends_s)


def _lines(parameters: Parameters) -> Answers:
    """How institutions answer; their systems are down for as long as a trial's figures say."""
    down_s = parameters.machines.out_of_reach_mean_s.value
    return figure(parameters, "answers", out_of_reach_mean_s=down_s).answers
