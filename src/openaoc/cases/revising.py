"""Cases: a claim's amount changes, because whoever filed it says another one.

Works in the caller's transaction, which holds the matter. Never traces.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from openaoc.cases import store
from openaoc.cases.model import ClaimRecord
from openaoc.storage.unit_of_work import Transaction


class ClaimMark(msgspec.Struct, frozen=True, kw_only=True):
    """A claim in the journal."""

    filed: int
    amount_minor: int | None


def revise_claim(tx: Transaction, case_id: str, claim: ClaimRecord) -> bool:
    """Set the amount of the case's claim on this transfer; False when nothing changes."""
    for filed, known in store.claims_of(tx.connection, case_id):
        same = (known.reported_by, known.transfer_id) == (claim.reported_by, claim.transfer_id)
        if not same or known.amount_minor == claim.amount_minor:
            continue
        tx.connection.execute(
            sa.update(store.claims)
            .where(store.claims.c.sequence == filed)
            .values(amount_minor=claim.amount_minor)
        )
        tx.journal(
            action="cases.claim.revised",
            subject=case_id,
            before=ClaimMark(filed=filed, amount_minor=known.amount_minor),
            after=ClaimMark(filed=filed, amount_minor=claim.amount_minor),
        )
        return True
    return False
