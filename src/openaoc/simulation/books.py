"""Simulation: what the institutions keep for each account, and what of it is blocked.

Amounts only: a blocked amount cannot be spent, the rest of the account stays free. Never knows why
money moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaoc.simulation.background import NOWHERE, Batch


class Books:
    """Balances and blocked amounts in minor units, one entry per account.

    0 ≤ blocked ≤ balance always holds. Not thread-safe: the nation's lock guards it.
    """

    def __init__(self, opening_minor: NDArray[np.int64]) -> None:
        self.balance = opening_minor.astype(np.int64, copy=True)
        self.blocked = np.zeros_like(self.balance)
        self.left_minor = 0
        """Money that has left the nation's accounts, less what came from abroad."""

    def free(self, account: int) -> int:
        """What the holder may spend."""
        return int(self.balance[account] - self.blocked[account])

    def settle(self, batch: Batch, *, kept: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Book what is covered and return which rows were.

        A row is covered when its debtor's balance before the batch, less what is blocked or
        `kept` for another purpose (per account, the larger of the two), bears it together with
        the debtor's earlier rows of the batch; money received in the batch counts from the next.
        """
        order = np.argsort(batch.debtor, kind="stable")
        debtor = batch.debtor[order]
        running = np.cumsum(batch.amount_minor[order])
        first = np.r_[True, debtor[1:] != debtor[:-1]] if len(debtor) else np.zeros(0, bool)
        starts = np.flatnonzero(first)
        before = np.repeat(
            running[starts] - batch.amount_minor[order][starts],
            np.diff(np.r_[starts, len(debtor)]),
        )
        covered = np.empty(len(debtor), bool)
        spare = self.balance[debtor] - np.maximum(self.blocked[debtor], kept[debtor])
        covered[order] = running - before <= spare
        booked = batch.take(covered)
        np.subtract.at(self.balance, booked.debtor, booked.amount_minor)
        stays = booked.creditor != NOWHERE
        np.add.at(self.balance, booked.creditor[stays], booked.amount_minor[stays])
        self.left_minor += int(booked.amount_minor[~stays].sum())
        return covered

    def pay(self, *, debtor: int, creditor: int, amount_minor: int) -> int:
        """Book one payment of as much of the amount as is free; returns what moved, perhaps 0."""
        moved = max(min(amount_minor, self.free(debtor)), 0)
        self.balance[debtor] -= moved
        if creditor < 0:
            self.left_minor += moved
        else:
            self.balance[creditor] += moved
        return moved

    def receive(self, account: int, amount_minor: int) -> None:
        """Money from outside the nation's accounts."""
        self.balance[account] += amount_minor
        self.left_minor -= amount_minor

    def block(self, account: int, amount_minor: int) -> int:
        """Block as much of the amount as is free; returns what is blocked now, perhaps 0."""
        applied = max(min(amount_minor, self.free(account)), 0)
        self.blocked[account] += applied
        return applied

    def unblock(self, account: int, amount_minor: int) -> None:
        """Give a blocked amount back to its holder."""
        assert 0 <= amount_minor <= self.blocked[account], "more given back than was blocked"
        self.blocked[account] -= amount_minor
