"""No account's line may reach 2^62, checked before anything of a batch is applied.

Almost always one addition: no line can be longer than the sum of all amounts, twice.
"""

from __future__ import annotations

import numpy as np

from openaoc.ledger.kernels_intern import Incoming
from openaoc.ledger.model import LINE_END_MAX, LineTooLong
from openaoc.ledger.store import Store


class NeedsApplied(Exception):
    """The exact check needs all earlier batches on their lines."""


class LineLimits:
    """The running bound, and the exact check behind it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.amount_total = 0
        """Sum of all amounts ever taken and of all openings."""

    def check(self, incoming: Incoming, *, applied: bool, total: int) -> None:
        """Refuse a batch under which a line would reach 2^62.

        Raises LineTooLong; NeedsApplied when the quick bound does not settle it and earlier
        batches still wait.
        """
        bound = self.amount_total + total
        if 2 * bound >= LINE_END_MAX:
            if not applied:
                raise NeedsApplied
            self._check_accounts(incoming)
        self.amount_total = bound

    def _check_accounts(self, incoming: Incoming) -> None:
        """Per account of the batch: where its line ends now, and all the batch adds to it."""
        line = self._store.lines
        added: dict[int, int] = {}
        rows = zip(
            incoming.debtor.tolist(), incoming.named.tolist(), incoming.amount.tolist(), strict=True
        )
        for debtor, creditor, amount in rows:
            for account in (debtor, creditor):
                if account < 0:
                    continue
                if account not in added:
                    added[account] = int(max(line.in_end[account], line.out_end[account]))
                added[account] += amount
        _exact(self._store, incoming, {a for a, end in added.items() if end >= LINE_END_MAX})


def _exact(store: Store, incoming: Incoming, accounts: set[int]) -> None:
    """Replay the few accounts whose bound is too high."""
    line = store.lines
    for account in accounts:
        entries: list[tuple[int, int, int, int]] = []
        outs = line.out_rows[line.out_off[account] :][: line.out_len[account]]
        ins = line.in_rows[line.in_off[account] :][: line.in_len[account]]
        for rows, sign in ((outs, -1), (ins, 1)):
            entries += [
                (int(line.time_us[row]), row, sign, int(line.amount[row])) for row in rows.tolist()
            ]
        mine = np.flatnonzero((incoming.debtor == account) ^ (incoming.named == account))
        for place in mine.tolist():
            sign = -1 if int(incoming.debtor[place]) == account else 1
            if sign > 0 and incoming.channel[place]:
                continue
            at = int(incoming.time_us[place])
            entries.append((at, store.rows + place, sign, int(incoming.amount[place])))
        in_end, out_end = int(line.base_in[account]), int(line.base_out[account])
        for _, row, sign, amount in sorted(entries):
            if sign < 0:
                out_end += amount
            else:
                in_end = max(in_end, out_end) + amount
            if max(in_end, out_end) >= LINE_END_MAX:
                place = row - store.rows + 1
                raise LineTooLong(
                    "the amounts of one account add up to 2^62 minor units or more",
                    where=f"row {place}" if place > 0 else "",
                )
