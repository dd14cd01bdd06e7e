"""How a random life goes on: one act, what follows of itself, and then every invariant."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from openaoc.holds.model import OrderState
from openaoc.kernel.actor import Actor
from openaoc.kernel.errors import OpenAOCError
from openaoc.storage.unit_of_work import Transaction
from tests.restitution.test_machine import Life
from tests.workflow.centre import SUPERVISOR, Centre
from tests.workflow.invariants import all_orders, check, settle
from tests.workflow.life_facts import LifeFacts

T = TypeVar("T")
Act = Callable[[], None]
EAGER = 12
LEADING = 4
CHAINS = (
    ("report", "propose", "publish", "wait", "pay"),
    ("report", "propose", "publish", "object", "decide"),
    ("report", "contest", "take", "decide_contest", "second_word"),
    ("telephone", "own_word"),
    ("suspect", "end_suspicion"),
    ("propose_undo", "decide_undo"),
    ("end_case", "reopen"),
    ("to_shadow", "to_live"),
    ("delay_notice", "agree_delay", "end_delay"),
)
"""What comes before what: while the last was never done, those before it are tried more often."""
TRIES = 8


class SteppedLife(Life):
    """Acts by weight, what each changed, and short words for the acts."""

    def __init__(self, centre: Centre, choice: random.Random) -> None:
        super().__init__(centre, choice)
        self.facts = LifeFacts(centre)
        self.done: Counter[str] = Counter()
        """How often each act has changed something."""

    def step(self) -> None:
        """The first of some acts to change something; what was never done is tried more often."""
        weights = {
            act: weight * self.eagerness(act.__name__) for act, weight in self.acts().items()
        }
        for _ in range(TRIES):
            [act] = self.choice.choices(list(weights), weights=list(weights.values()))
            if self.attempt(act):
                break
        self.follow()

    def eagerness(self, name: str) -> int:
        """How much more often than usual an act is tried."""
        if not self.done[name]:
            return EAGER
        leads = any(name in chain and not self.done[chain[-1]] for chain in CHAINS)
        return LEADING if leads else 1

    def do(self, act: Act) -> bool:
        """One act and what follows of itself; whether it changed anything."""
        changed = self.attempt(act)
        self.follow()
        return changed

    def attempt(self, act: Act) -> bool:
        """One act alone; whether it changed anything.

        A refusal is an answer too: it must have changed nothing, which the invariants see.
        """
        before, told = self.facts.journal(), self.centre.ledger.stats().transfers
        moment, matter = self.centre.clock.now(), self.centre.matter
        refused = False
        try:
            act()
        except OpenAOCError:
            refused = True
        changed = not refused and (
            self.facts.journal() > before
            or self.centre.clock.now() > moment
            or self.centre.ledger.stats().transfers > told
            or self.centre.matter is not matter
        )
        self.done[act.__name__] += changed
        self.facts.after_act()
        return changed

    def follow(self) -> None:
        """What follows of itself, and then every invariant."""
        settle(self.centre)
        check(self.centre)
        self.facts.check()
        self.check()

    # Short words.

    def does(self, actor: Actor, verb: Callable[[Transaction], T]) -> T:
        with self.centre.database.uow.begin(actor) as tx:
            return verb(tx)

    def reads(self, verb: Callable[[Transaction], T]) -> T:
        with self.centre.database.uow.read(SUPERVISOR) as tx:
            return verb(tx)

    def some(self, found: Sequence[T]) -> T | None:
        """One of them, or None where there is none."""
        return self.choice.choice(found) if found else None

    def in_state(self, *states: OrderState) -> str | None:
        return self.some([o.id for o in all_orders(self.centre) if o.state in states])
