"""Workflow: an institution's ISO 20022 messages: answers to orders, and money it gave back.

Means exactly what the same words mean in JSON. Never guesses what a message left out.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.channels.iso20022 import camt029, pacs004
from openaoc.channels.iso20022.camt029 import IsoAnswer
from openaoc.channels.iso20022.pacs004 import Return
from openaoc.channels.iso20022.xml import BadMessage, parse
from openaoc.holds.answers import Given
from openaoc.holds.model import HOLDING, Answer, OrderView
from openaoc.holds.onward import OnwardSink
from openaoc.holds.service import Holds
from openaoc.kernel.actor import Actor
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import NotFound, OpenAOCError, Refused
from openaoc.kernel.identifiers.bank_account import normalise_bank
from openaoc.ledger.table import TransferRow
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

READ: Final = (camt029.MESSAGE, pacs004.MESSAGE)


class IsoOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one answer: the order's state now, or why the answer was not taken."""

    order: str
    state: str | None = None
    problem: str | None = None


class IsoReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message; `returns` counts the payments back that the ledger has now."""

    message: str
    answers: list[IsoOutcome] = []
    returns: int = 0


class IsoMessages:
    """Takes what institutions send. One instance per centre."""

    def __init__(self, *, holds: Holds, ledger: OnwardSink) -> None:
        self._holds = holds
        self._ledger = ledger

    def take(self, tx: Transaction, data: bytes, *, actor: Actor) -> IsoReceipt:
        """Read one document and carry it out; everything the receipt names is durable with it.

        One answer that does not fit its order refuses that answer alone. Raises BadMessage for a
        document that is not valid, TooLarge, Refused for anybody but an institution.
        """
        require(actor, Permission.HOLD_ANSWER)
        if actor.institution is None:
            raise Refused("only an institution sends these")
        message, _ = parse(data, among=READ)
        if message == camt029.MESSAGE:
            return IsoReceipt(message=message, answers=self._answers(tx, data, actor))
        rows = [
            _row(one, at=format_time(heard.at), institution=actor.institution)
            for heard in [pacs004.read(data)]
            for one in heard.returns
        ]
        self._ledger.take(tx, rows, actor=actor)
        return IsoReceipt(message=message, returns=len(rows))

    def _answers(self, tx: Transaction, data: bytes, actor: Actor) -> list[IsoOutcome]:
        heard = camt029.read(data)
        outcomes: dict[int, IsoOutcome] = {}
        given: dict[int, Given] = {}
        for place, one in enumerate(heard):
            try:
                order = self._holds.show(tx, one.order)
                answer = answer_of(one, order)
            except OpenAOCError as error:
                outcomes[place] = _problem(one, error)
                continue
            if answer is None:
                outcomes[place] = IsoOutcome(order=one.order, state=order.state)
            else:
                given[place] = Given(order=one.order, answer=answer)
        results = self._holds.answer_many(tx, list(given.values()), actor) if given else []
        for place, result in zip(given, results, strict=True):
            one = heard[place]
            outcomes[place] = (
                _problem(one, result)
                if isinstance(result, OpenAOCError)
                else IsoOutcome(order=one.order, state=result.state)
            )
        return [outcomes[place] for place in sorted(outcomes)]


def answer_of(heard: IsoAnswer, order: OrderView) -> Answer | None:
    """The answer in our words; None for one that only says that it will come.

    Raises BadMessage for an amount in another currency than the order's.
    """
    if heard.outcome == "pending":
        return None
    applied = 0
    if heard.outcome == "applied":
        asked = order.held_minor if order.state in HOLDING else order.amount_minor
        applied = asked if heard.applied is None else heard.applied.amount_minor
        if heard.applied is not None and heard.applied.currency != order.currency:
            raise BadMessage(f"{heard.applied.currency}, the order is in {order.currency}")
    words = [part for part in (heard.code, heard.reason) if part]
    return Answer(
        outcome=heard.outcome,
        applied_minor=applied,
        available_minor=0 if heard.nothing_available else None,
        reason=": ".join(words) or None,
        bank_case_id=heard.bank_case_id,
    )


def _row(one: Return, *, at: str, institution: str) -> TransferRow:
    """The payment back, from the one who was paid to the one who paid; told by the institution.

    Raises BadMessage where the message does not say between which accounts, or where the money
    does not come from the institution's own account.
    """
    names = (one.creditor_bank, one.creditor_account, one.debtor_bank, one.debtor_account)
    bank, account, to_bank, to_account = names
    if bank is None or account is None or to_bank is None or to_account is None:
        raise BadMessage("says not between which accounts", where=one.return_id)
    if normalise_bank(bank) != institution:
        raise Refused("not a payment of your own account", where=one.return_id)
    return TransferRow(
        transfer_id=one.return_id,
        reported_by=institution,
        booked_at=at,
        debtor_bank=bank,
        debtor_account=account,
        creditor_bank=to_bank,
        creditor_account=to_account,
        amount_minor=one.amount.amount_minor,
        currency=one.amount.currency,
    )


def _problem(one: IsoAnswer, error: OpenAOCError) -> IsoOutcome:
    title = "There is no such order" if isinstance(error, NotFound) else f"{error.title}: {error}"
    return IsoOutcome(order=one.order, problem=title)
