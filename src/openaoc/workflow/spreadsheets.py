"""Workflow: an institution's orders as a spreadsheet, and the one it filled in as its answers.

Means exactly what the same answers mean in JSON. A sheet with one wrong cell is refused whole.
"""

from __future__ import annotations

import msgspec

from openaoc.channels.spreadsheet.layout import layout
from openaoc.channels.spreadsheet.model import ROWS_MAX, SheetAnswer, SheetOrder, SheetTransfer
from openaoc.channels.spreadsheet.reading import read_answers
from openaoc.channels.spreadsheet.writing import write_orders
from openaoc.holds.answers import Given
from openaoc.holds.model import Answer, OnwardTransfer, OrderView
from openaoc.holds.service import Holds
from openaoc.kernel.actor import Actor
from openaoc.kernel.errors import BadInput, NotFound, OpenAOCError, Refused
from openaoc.kernel.identifiers.bank_account import normalise_bank
from openaoc.kernel.limits import ONWARD_PER_ANSWER_MAX
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction


class SheetOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one row: the order's state now, or why its answer was not taken."""

    order: str
    place: str
    state: str | None = None
    problem: str | None = None


class SheetReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a spreadsheet; `onward` counts the transfers its answers brought."""

    answers: list[SheetOutcome]
    onward: int


class Spreadsheets:
    """Orders out and answers in by spreadsheet. One instance per centre."""

    def __init__(self, *, holds: Holds, jurisdiction: str) -> None:
        self._holds = holds
        self._jurisdiction = jurisdiction

    def orders(self, tx: Transaction, *, institution: str | None = None, mark: str = "") -> bytes:
        """The orders that one institution has not answered yet, at most ROWS_MAX, oldest first.

        Those that go on with a block are among them until it says that it carried the block over.
        An institution's people get their own; others name it. `mark`: of an exercise. Raises
        BadInput when nobody is named, NoLayout where the jurisdiction has no layout.
        """
        require(tx.actor, Permission.HOLD_READ)
        named = tx.actor.institution or institution
        if named is None:
            raise BadInput("name the institution", where="institution")
        whose = normalise_bank(named, where="institution")
        plan = layout(self._jurisdiction)
        waiting = self._holds.unanswered(tx, whose, limit=ROWS_MAX)
        return write_orders([_asked(order) for order in waiting], plan, mark=mark)

    def take(self, tx: Transaction, data: bytes, *, actor: Actor) -> SheetReceipt:
        """Carry out a filled-in spreadsheet; everything the receipt names is durable with it.

        An answer that does not fit its order refuses that row alone; a cell that cannot be read
        refuses all. Raises BadSpreadsheet, TooLarge, Refused for anybody but an institution.
        """
        require(actor, Permission.HOLD_ANSWER)
        if actor.institution is None:
            raise Refused("only an institution answers")
        heard = read_answers(data, layout(self._jurisdiction))
        given = [
            Given(order=one.order, answer=answer_of(one, institution=actor.institution))
            for one in heard
        ]
        results = self._holds.answer_many(tx, given, actor) if given else []
        taken = [
            one
            for one, result in zip(heard, results, strict=True)
            if not isinstance(result, OpenAOCError)
        ]
        return SheetReceipt(
            answers=[
                SheetOutcome(order=one.order, place=one.place, problem=_why(result))
                if isinstance(result, OpenAOCError)
                else SheetOutcome(order=one.order, place=one.place, state=result.state)
                for one, result in zip(heard, results, strict=True)
            ],
            onward=sum(len(one.onward) for one in taken),
        )


def _asked(order: OrderView) -> SheetOrder:
    return SheetOrder(
        layer=order.layer,
        case=order.case,
        order=order.order,
        account=order.account,
        amount_minor=order.amount_minor,
        currency=order.currency,
        issued_at=order.issued_at,
        answer_by=order.answer_by,
        ends_at=order.ends_at,
        legal_basis=order.legal_basis.both,
        reason=order.reason.both,
        continues=order.continues,
    )


def answer_of(heard: SheetAnswer, *, institution: str) -> Answer:
    """The answer in our words. Raises BadInput for more onward transfers than one may bring."""
    if len(heard.onward) > ONWARD_PER_ANSWER_MAX:
        raise BadInput(
            f"{len(heard.onward)} transfers onward, at most {ONWARD_PER_ANSWER_MAX}",
            where=heard.place,
        )
    return Answer(
        outcome=heard.outcome,
        applied_minor=heard.applied_minor,
        available_minor=heard.available_minor,
        reason=heard.note,
        bank_case_id=heard.bank_case_id,
        onward=[_onward(one, institution=institution) for one in heard.onward] or None,
    )


def _onward(one: SheetTransfer, *, institution: str) -> OnwardTransfer:
    return OnwardTransfer(
        transfer_id=one.transfer_id,
        booked_at=one.booked_at,
        debtor_bank=institution,
        debtor_account=one.debtor_account,
        amount_minor=one.amount_minor,
        currency=one.currency,
        creditor_bank=one.creditor_bank,
        creditor_account=one.creditor_account,
        channel=one.channel,
    )


def _why(error: OpenAOCError) -> str:
    return "There is no such order" if isinstance(error, NotFound) else f"{error.title}: {error}"
