"""Exchange: who takes what partners send. Never decides what it is worth: the receiver weighs it.

The channels parse and mark; a receiver gets objects in our words, from a partner whose agreement is
in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from openaoc.exchange.agreement import Agreement
from openaoc.exchange.objects import ReleasedObject
from openaoc.storage.unit_of_work import Transaction

RECEIVED_AT_ONCE_MAX: Final = 500


class NotTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver could not keep: the object's id, perhaps with a field, and why."""

    path: str
    reason: str


class Receiver(Protocol):
    """A stage that makes something of partners' objects."""

    def receive(
        self, tx: Transaction, *, agreement: Agreement, objects: Sequence[ReleasedObject]
    ) -> Sequence[NotTaken]:
        """Take the objects, each as its sender's word; what was not kept, and why.

        The same object may come again: its `modified` says which is newer, `revoked` that it is
        taken back. Raises nothing for what an object says.
        """
        ...


class Nobody:
    """Stands in where no stage receives: everything is reported as not kept."""

    def receive(
        self,
        tx: Transaction,
        *,
        agreement: Agreement,
        objects: Sequence[ReleasedObject],
    ) -> Sequence[NotTaken]:
        """Nothing is kept."""
        assert agreement.in_force(tx.now), "nothing is taken without an agreement"
        return [NotTaken(path=one.id, reason="nobody here receives it") for one in objects]
