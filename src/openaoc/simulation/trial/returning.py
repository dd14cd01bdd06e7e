"""Simulation, trials: money on its way back: proposed, published, objected to, paid.

Persons and institutions do here what they would do in a running centre; who gets what, and when it
may be paid, the centre alone says.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.identifiers.bank_account import normalise_account
from openaoc.restitution.model import (
    Line,
    NewObjection,
    NothingToReturn,
    ObjectionDecision,
    PayableNotice,
    PaymentMade,
    Restitution,
)
from openaoc.simulation.blocking import account_at
from openaoc.simulation.feed import transfer_id
from openaoc.simulation.trial.actors import HOTLINE, INVESTIGATOR, OFFICER, SECOND, machine
from openaoc.simulation.trial.tally import Cause

if TYPE_CHECKING:
    from openaoc.simulation.trial.centre import CentreArm

DAY_S: Final = 86_400.0
SECOND_PERSON_S: Final = DAY_S
"""Until a second person has looked at a proposal, or at an objection."""
OBJECTION_LATEST_S: Final = 29 * DAY_S
"""Later objections are too late and are not made."""


class Returning:
    """Restitution of one arm's cases."""

    def __init__(self, arm: CentreArm) -> None:
        self._arm = arm
        self._people = arm.life.parameters.people
        self._returning = arm.centre.matter.returning
        self.returned_minor = 0
        """Stolen money that is back on accounts of victims."""
        self.clean_minor = 0
        """Money that was paid to victims beyond that: a mule's own, as the rule of tracing says."""
        self.refused: list[str] = []
        """What the centre did not take of an institution's word: there should be nothing."""

    def plan(self, case: str) -> None:
        """A court has taken money of the case over: somebody will propose who gets it."""
        self._arm.at(
            self._arm.now_s + self._people.restitution_after_s.value,
            functools.partial(self._propose, case),
        )

    def _propose(self, case: str) -> None:
        try:
            with self._arm.centre.uow.begin(INVESTIGATOR, purpose="who gets what") as tx:
                one = self._returning.restitutions.propose(tx, case)
        except NothingToReturn:
            return
        self._arm.at(self._arm.now_s + SECOND_PERSON_S, functools.partial(self._publish, one.id))

    def _publish(self, restitution: str) -> None:
        try:
            with self._arm.centre.uow.begin(OFFICER, purpose="a second person agrees") as tx:
                one = self._returning.restitutions.publish(tx, restitution)
        except NothingToReturn:
            return
        for order in dict.fromkeys(line.order for line in one.lines if line.open_minor):
            self._plan_objection(one, next(line for line in one.lines if line.order == order))

    # Objections.

    def _plan_objection(self, one: Restitution, line: Line) -> None:
        arm, people = self._arm, self._people
        account = account_at(arm.life.population, line.institution, line.account)
        assert account is not None, "an order on it was applied"
        innocent = arm.tally.is_innocent(account)
        draw = arm.chance(11, account, arm.number_of(one.case))
        share = people.contest_share.value if innocent else people.mule_objects_share.value
        wait_s = float(draw.exponential(people.objection_mean_s.value))
        upheld = innocent and draw.random() < people.upheld_share.value
        if draw.random() < share and wait_s < OBJECTION_LATEST_S:
            arm.at(
                arm.now_s + wait_s,
                functools.partial(self._object, one.id, line.order, upheld=upheld),
            )

    def _object(self, restitution: str, order: str, *, upheld: bool) -> None:
        """The holder comes to the hotline, which writes it down."""
        new = NewObjection(order=order, kind="holder", grounds="the money is the holder's own")
        try:
            with self._arm.centre.uow.begin(SYSTEM, purpose="an objection") as tx:
                one = self._returning.objections.file(tx, restitution, new, actor=HOTLINE)
        except OpenAOCError:
            return  # the hold has ended meanwhile: nothing is left to object to
        filed = max(one.objections, key=lambda objection: objection.no)
        decision = ObjectionDecision(
            upheld_minor=filed.claimed_minor if upheld else 0,
            reason="traded honestly" if upheld else "nothing shows that it is the holder's",
        )
        self._arm.at(
            self._arm.now_s + SECOND_PERSON_S,
            functools.partial(self._decide, restitution, filed.no, order, decision),
        )

    def _decide(
        self, restitution: str, number: int, order: str, decision: ObjectionDecision
    ) -> None:
        for person in (OFFICER, SECOND):
            with self._arm.centre.uow.begin(person, purpose="decide an objection") as tx:
                self._returning.objections.decide(tx, restitution, number, decision)
        if decision.upheld_minor:  # the court frees what its measure holds
            self._arm.give_back(order, decision.upheld_minor)

    # Payments.

    def payable(self, institution: str, notice: PayableNotice) -> None:
        """The institution is told that payments of its accounts wait for it."""
        place = self._arm.life.population.codes.index(institution)
        draw = self._arm.chance(12, self._arm.number_of(notice.case), place)
        wait_s = float(draw.exponential(self._people.payout_mean_s.value))
        self._arm.at(
            self._arm.now_s + wait_s, functools.partial(self._pay, institution, notice.restitution)
        )

    def _pay(self, institution: str, restitution: str) -> None:
        """It fetches what it is asked to pay, pays it, and says so."""
        actor = machine(institution)
        with self._arm.centre.uow.read(actor, purpose="payments to be made") as tx:
            one = self._returning.restitutions.show(tx, restitution)
        for line in one.lines:
            if line.open_minor and line.institution == institution:
                self._pay_line(line)

    def _pay_line(self, line: Line) -> None:
        arm = self._arm
        debtor = account_at(arm.life.population, line.institution, line.account)
        creditor = account_at(
            arm.life.population, line.payee_bank, normalise_account(line.payee_account)
        )
        amount = min(line.open_minor, arm.desks.held_minor(line.order))
        if debtor is None or creditor is None or not amount:
            self.refused.append(f"payment {line.end_to_end_id} cannot be made")
            return
        held_s = arm.held_for_s(line.order)
        arm.desks.less(line.order, amount)
        tick, stolen = arm.life.pay_back(
            debtor=debtor, creditor=creditor, amount_minor=amount, at_s=arm.now_s
        )
        arm.tally.note(Cause.RETURNED)
        arm.moved(tick)
        made = PaymentMade(
            transfer_id=transfer_id(tick.first_transfer),
            amount_minor=amount,
            paid_at=arm.clock.now(),
        )
        try:
            with arm.centre.uow.begin(SYSTEM, purpose="an institution has paid") as tx:
                self._returning.payments.confirm(
                    tx, line.restitution, line.no, made, actor=machine(line.institution)
                )
        except OpenAOCError as error:
            self.refused.append(str(error))
        arm.note_back("returned", held_s, stolen_minor=stolen)
        self.returned_minor += stolen
        self.clean_minor += amount - stolen
