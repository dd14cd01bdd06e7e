"""Simulation, trials: what persons do with cases and holds: complain, contest, decide, seize.

Acts through the centre's own verbs under each person's own role; nothing is decided for the centre.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from openaoc.holds.model import OrderState
from openaoc.simulation.scams import Scam
from openaoc.simulation.trial.actors import INVESTIGATOR, OFFICER, machine
from openaoc.workflow.confirming import ConfirmationRequest
from openaoc.workflow.control import ControlMessage

if TYPE_CHECKING:
    from openaoc.simulation.trial.centre import CentreArm
    from openaoc.simulation.trial.scenario import Scenario

AUTHORITY_AFTER_S: Final = 6.5 * 86_400
"""After the complaint; seven days later the hold would be over."""


class Persons:
    """The people around one arm's centre."""

    def __init__(self, arm: CentreArm) -> None:
        self._arm = arm
        self._people = arm.life.parameters.people
        self._asked: set[str] = set()
        self._contested: set[str] = set()
        self.released: set[str] = set()
        """Orders a person gave money back of."""

    # Whether a report is believed.

    def asked_to_confirm(self, institution: str, asked: ConfirmationRequest) -> None:
        """The payer's institution looks: it confirms, or sees through a false claim."""
        if asked.case in self._asked:
            return
        self._asked.add(asked.case)
        wait_s = self._believed_after_s(self._arm.scam_of(asked.case))
        if wait_s is not None:
            self._arm.at(
                self._arm.now_s + wait_s, functools.partial(self._confirm, institution, asked)
            )

    def asked_to_decide(self, scam: Scam, case: str) -> None:
        """An officer looks, where the payer's institution takes no part."""
        wait_s = self._believed_after_s(scam)
        if wait_s is not None:
            self._arm.at(self._arm.now_s + wait_s, functools.partial(self._approve, case))

    def _believed_after_s(self, scam: Scam) -> float | None:
        people = self._people
        draw = self._arm.chance(3, scam.number)
        if scam.false and draw.random() < people.officer_sees_through.value:
            return None
        wait_s = float(draw.exponential(people.officer_mean_s.value))
        return wait_s + waiting_s(self._arm.scenario, people.headroom.value, self._arm.now_s)

    def _confirm(self, institution: str, asked: ConfirmationRequest) -> None:
        arm = self._arm
        arm.tell_ledger()
        arm.note_decided(asked.case)
        arm.centre.matter.confirming.confirm(
            asked.case, actor=machine(institution), transfers=arm.transfers_of(asked)
        )
        arm.turn()

    def _approve(self, case: str) -> None:
        arm = self._arm
        arm.tell_ledger()
        arm.note_decided(case)
        for order in arm.orders_of(case):
            if order.state is OrderState.DRAFTED:
                with arm.centre.uow.begin(OFFICER, purpose="decide on a report") as tx:
                    arm.centre.matter.holds.approve(tx, order.order)
        arm.turn()

    def shown_code(self, message: ControlMessage, *, secret: str) -> None:
        """The paying account's holder reads a code in the bank's app, and gives it back or not."""
        people = self._people
        draw = self._arm.chance(10, self._arm.number_of(message.case))
        wait_s = float(draw.exponential(people.control_mean_s.value))
        left_s = (message.ends_at - self._arm.clock.now()).total_seconds()
        if draw.random() < people.control_share.value and wait_s < left_s:
            self._arm.at(
                self._arm.now_s + wait_s,
                functools.partial(self._prove, message.case, secret, message.code),
            )

    def _prove(self, case: str, secret: str, code: str) -> None:
        arm = self._arm
        arm.tell_ledger()
        arm.note_decided(case)
        arm.centre.matter.control.prove(case, secret=secret, code=code)
        arm.turn()

    # Holders.

    def plan_contest(self, order: str, account: int) -> None:
        """An innocent holder is told of a hold; whether one contests is settled once for all."""
        if order in self._contested:
            return
        self._contested.add(order)
        people = self._people
        draw = self._arm.chance(4, account)
        if draw.random() < people.contest_share.value * people.upheld_share.value:
            wait_s = float(draw.exponential(people.contest_mean_s.value))
            wait_s += people.decision_s.value
            self._arm.at(self._arm.now_s + wait_s, functools.partial(self._release, order))

    def _release(self, order: str) -> None:
        if not self._arm.desks.held_minor(order) or self._arm.desks.seized(order):
            return
        self.released.add(order)
        with self._arm.centre.uow.begin(OFFICER, purpose="a contest is upheld") as tx:
            self._arm.centre.matter.holds.release(tx, order, "the holder traded honestly")
        self._arm.after_release()

    # Police and courts.

    def plan_complaint(self, scam: Scam, case: str) -> None:
        """The victim complains to the police, or does not."""
        people = self._people
        draw = self._arm.chance(5, scam.number)
        share, after_s = draw.random(), float(draw.exponential(people.complaint_mean_s.value))
        if not scam.false and share < people.complaint_share.value:
            self._arm.at(self._arm.now_s + after_s, functools.partial(self._complain, scam, case))

    def _complain(self, scam: Scam, case: str) -> None:
        arm = self._arm
        with arm.centre.uow.begin(INVESTIGATOR, purpose="a complaint") as tx:
            arm.centre.matter.holds.complain(
                tx, case, complained_at=tx.now, reference=f"police report {scam.number}"
            )
        arm.want_turn(arm.now_s)
        if arm.chance(6, scam.number).random() < self._people.authority_share.value:
            arm.at(arm.now_s + AUTHORITY_AFTER_S, functools.partial(self._seize, case))

    def _seize(self, case: str) -> None:
        """A court or authority takes over what lies with mules, and now and then with others."""
        arm = self._arm
        taken = False
        for order in arm.orders_of(case):
            held = order.held_minor and arm.desks.held_minor(order.order)
            if not held or not arm.court_takes(arm.desks.account_of(order.order)):
                continue
            with arm.centre.uow.begin(OFFICER, purpose="a measure of the court") as tx:
                arm.centre.matter.holds.convert(
                    tx, order.order, authority="court order", reason="seized"
                )
            arm.desks.seize(order.order)
            taken = True
        if taken:
            arm.returning.plan(case)


def waiting_s(scenario: Scenario, headroom: float, now_s: float) -> float:
    """How long work that comes now waits for staff, when more comes than they can do.

    As a fluid: with `load` times the ordinary work and staff for `headroom` times of it, what is
    not done gathers from the first moment on.
    """
    return max(scenario.load / headroom - 1, 0.0) * now_s
