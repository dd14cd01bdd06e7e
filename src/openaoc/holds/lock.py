"""Holds: who may decide on cases' money at the same time.

A plan looks at all claims and holds together, so whoever plans holds the matter alone; whoever
only changes the state of single orders joins it, and is waited for. Taken first in a transaction,
before any row, so that the two kinds of lock cannot cross.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from openaoc.storage.unit_of_work import Transaction

_NUMBER: Final = 0x0A0C_4D41_5454_4552
_ALONE: Final = sa.text("select pg_advisory_xact_lock(:number)")
_JOINED: Final = sa.text("select pg_advisory_xact_lock_shared(:number)")


def hold_matter(tx: Transaction) -> None:
    """Wait until nobody else changes orders or plans; until the end of this transaction."""
    tx.connection.execute(_ALONE, {"number": _NUMBER})


def join_matter(tx: Transaction) -> None:
    """Wait until nobody plans; others that only change orders may do so at the same time."""
    tx.connection.execute(_JOINED, {"number": _NUMBER})
