"""Holds: where an institution says the money went on to, as rows for the ledger.

An institution speaks for payments its own accounts made; never for another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from openaoc.holds.model import OnwardTransfer
from openaoc.kernel.actor import Actor
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.bank_account import normalise_bank
from openaoc.ledger.table import TransferRow
from openaoc.storage.unit_of_work import Transaction


class OnwardSink(Protocol):
    """Who takes onward transfers into the ledger."""

    def take(self, tx: Transaction, rows: Sequence[TransferRow], *, actor: Actor) -> None:
        """Keep the rows durably; a repeat of known rows is nothing."""
        ...


def check_onward(rows: Sequence[OnwardTransfer], *, institution: str) -> list[TransferRow]:
    """The rows as the ledger takes them, reported by the institution itself.

    Raises BadInput for a payment that another institution's account made.
    """
    checked = []
    for place, row in enumerate(rows):
        where = f"$.onward[{place}]"
        if normalise_bank(row.debtor_bank, where=f"{where}.debtor_bank") != institution:
            raise BadInput("not a payment of your own account", where=f"{where}.debtor_bank")
        if row.reported_by is not None and normalise_bank(row.reported_by) != institution:
            raise BadInput("reported by another institution", where=f"{where}.reported_by")
        checked.append(
            TransferRow(
                transfer_id=row.transfer_id,
                reported_by=institution,
                booked_at=format_time(row.booked_at),
                debtor_bank=row.debtor_bank,
                debtor_account=row.debtor_account,
                creditor_bank=row.creditor_bank,
                creditor_account=row.creditor_account,
                amount_minor=row.amount_minor,
                currency=row.currency,
                channel=row.channel,
                corrects=row.corrects,
                revision=row.revision,
            )
        )
    return checked
