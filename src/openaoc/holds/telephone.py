"""Holds: an order read over the telephone to an institution whose systems are silent.

The institution checks a code before it acts; an agent types its answer in. When the system's own
answer comes later it is the one that counts, and nothing is held twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.holds import phone_store
from openaoc.holds.codes import CODE_CHARACTERS_MAX, Codes, same_code
from openaoc.holds.ending import Ending
from openaoc.holds.lock import join_matter
from openaoc.holds.model import (
    HOLDING,
    WAITING,
    Answer,
    NoSuchOrder,
    Order,
    OrderState,
    OrderView,
    SaidOutcome,
    WrongTransition,
)
from openaoc.holds.record import OrderRecord
from openaoc.holds.service import Holds
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput
from openaoc.kernel.ids import read_number
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction
from openaoc.storage.vault import Vault

SPOKE_TO_CHARACTERS_MAX: Final = 200


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """An order to print and read aloud, with the code the institution checks it by."""

    order: Order
    code: str
    check_at: str
    printed_at: datetime


class OrderCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bank's desk was told: the order's number and its code."""

    order: Annotated[str, Meta(min_length=1, max_length=64)]
    code: Annotated[str, Meta(min_length=1, max_length=CODE_CHARACTERS_MAX)]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an order that was read over the telephone stands as it was read; no more."""

    valid: bool


class PhoneAnswer(SaidOutcome, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer given by voice. `spoke_to` (name, desk) is sealed as an identity."""

    spoke_to: Annotated[str, Meta(min_length=2, max_length=SPOKE_TO_CHARACTERS_MAX)]
    spoken_at: Annotated[datetime, Meta(tz=True)]

    def __repr__(self) -> str:
        return "PhoneAnswer(…)"


class PrintMark(msgspec.Struct, frozen=True, kw_only=True):
    """A printed order in the journal."""

    revision: int
    institution: str
    amount_minor: int
    currency: str


class Telephone:
    """The verbs of orders by voice. One instance per centre."""

    def __init__(
        self, *, holds: Holds, ending: Ending, vault: Vault, codes: Codes, check_at: str
    ) -> None:
        self._holds = holds
        self._ending = ending
        self._vault = vault
        self._codes = codes
        self._check_at = check_at

    def paper(self, tx: Transaction, order_id: str) -> Paper:
        """The order as it stands, to be read aloud; who printed it is journalled.

        Raises NoSuchOrder, WrongTransition for an order that was not sent or has ended.
        """
        require(tx.actor, Permission.TELEPHONE_ANSWER)
        order = self._sent(tx, order_id)
        tx.journal(
            action="holds.order.printed",
            subject=order.id,
            after=PrintMark(
                revision=order.revision,
                institution=order.institution,
                amount_minor=order.binding_minor,
                currency=order.currency,
            ),
        )
        return Paper(
            order=order.wire(),
            code=self._codes.telephone(order),
            check_at=self._check_at,
            printed_at=tx.now,
        )

    def check(self, tx: Transaction, asked: OrderCheck) -> Checked:
        """Whether order and code belong together and the order stands. Tells nothing else."""
        order = self._ending.order(tx, read_number(asked.order))
        stands = order is not None and order.mode == "live" and order.state in WAITING | HOLDING
        right = self._codes.telephone(order) if order is not None else self._codes.contest("none")
        return Checked(valid=same_code(asked.code, right) and stands)

    def answer(self, tx: Transaction, order_id: str, said: PhoneAnswer) -> OrderView:
        """Take an answer given by voice, in the institution's name and on the agent's word.

        Raises WrongTransition for an order that is answered already or has ended, BadInput for a
        call in the future or before the order.
        """
        require(tx.actor, Permission.TELEPHONE_ANSWER)
        join_matter(tx)
        order = self._sent(tx, order_id, lock=True)
        if order.state not in WAITING and not order.presumed:
            raise WrongTransition("it is answered already")
        if not order.issued_at <= said.spoken_at <= tx.now:
            raise BadInput("between the order and now", where="$.spoken_at")
        self._vault.seal(tx, f"phone.{order.id}", said.spoke_to.strip().encode("utf-8"))
        phone_store.add(
            tx.connection,
            phone_store.PhoneRow(
                order_id=order.id,
                institution=order.institution,
                agent=tx.actor.id,
                spoken_at=said.spoken_at,
                typed_at=tx.now,
                outcome=said.outcome,
                applied_minor=said.applied_minor,
                confirmed_at=None,
            ),
        )
        answer = Answer(
            outcome=said.outcome,
            applied_minor=said.applied_minor,
            available_minor=said.available_minor,
            reason=said.reason or "answered by telephone",
            bank_case_id=said.bank_case_id,
            applied_at=said.spoken_at,
        )
        return self._holds.answer(tx, order.id, answer, _voice_of(order, agent=tx.actor.id))

    def _sent(self, tx: Transaction, order_id: str, *, lock: bool = False) -> OrderRecord:
        order = self._ending.order(tx, order_id, lock=lock)
        if order is None:
            raise NoSuchOrder(order_id[:64])
        if order.mode != "live" or order.state is OrderState.DRAFTED:
            raise WrongTransition("it was not sent")
        if order.state not in WAITING | HOLDING:
            raise WrongTransition(f"it is {order.state}")
        return order


def _voice_of(order: OrderRecord, *, agent: str) -> Actor:
    """The institution, as heard by the agent: the journal names the agent as who did it."""
    return Actor(id=agent, roles=frozenset({Role.LIAISON}), institution=order.institution)
