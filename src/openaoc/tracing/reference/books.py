"""Stage tracing, reference: what one account holds, and which of it an outflow takes.

A queue of lots for fifo and lifo, shares for pro-rata. Never knows another account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from openaoc.tracing.model import Rule


class Piece(NamedTuple):
    """Some money on its way: whose it is (None: clean) and how much."""

    case: int | None
    amount: int


class Book(Protocol):
    """What one account holds."""

    def arrive(self, pieces: list[Piece], *, at_us: int) -> None:
        """Add the pieces after everything that is there."""
        ...

    def take(self, amount: int) -> tuple[list[Piece], bool]:
        """Take an outflow; the pieces in the order they travel, and whether money was missing."""
        ...

    def hold(self, case: int, amount: int) -> int:
        """Keep the oldest free money of the case; returns how much was found."""
        ...

    def release(self, case: int, amount: int) -> None:
        """Give back the newest held money of the case."""
        ...

    def restitute(self, case: int, amount: int) -> int:
        """Take the oldest held money of the case out of the ledger; returns how much."""
        ...

    def free(self, case: int) -> tuple[int, int]:
        """The case's free money and the time its oldest lot arrived."""
        ...

    def held(self, case: int) -> int:
        """The case's held money."""
        ...


@dataclass
class Lot:
    """Part of a queue: amounts that arrived together and belong to one case or to nobody."""

    amount: int
    case: int | None
    at_us: int
    held: bool = False


@dataclass
class LotBook:
    """A queue of lots, oldest first: fifo and lifo."""

    rule: Rule
    lots: list[Lot] = field(default_factory=list)

    def arrive(self, pieces: list[Piece], *, at_us: int) -> None:
        """Add the pieces after all lots that are there."""
        self.lots += [Lot(piece.amount, piece.case, at_us) for piece in pieces if piece.amount]

    def take(self, amount: int) -> tuple[list[Piece], bool]:
        """Free lots from the front (fifo) or the back (lifo); what is missing travels last."""
        taken: list[Piece] = []
        newest_first = self.rule is Rule.LIFO
        for lot in list(reversed(self.lots) if newest_first else self.lots):
            if amount == 0:
                break
            if lot.held:
                continue
            part = min(lot.amount, amount)
            taken.append(Piece(lot.case, part))
            lot.amount -= part
            amount -= part
        self._sweep()
        if newest_first:
            taken.reverse()
        missing = amount > 0
        if missing:
            taken.append(Piece(None, amount))
        return taken, missing

    def hold(self, case: int, amount: int) -> int:
        """Keep the oldest free lots of the case, splitting the last: its older part is held."""
        found = 0
        queue: list[Lot] = []
        for lot in self.lots:
            part = min(lot.amount, amount - found)
            if lot.held or lot.case != case or part == 0:
                queue.append(lot)
                continue
            found += part
            queue.append(Lot(part, case, lot.at_us, held=True))
            queue.append(Lot(lot.amount - part, case, lot.at_us))
        self.lots = queue
        self._sweep()
        return found

    def release(self, case: int, amount: int) -> None:
        """Free the newest held lots where they stand; of a split lot the newer part."""
        queue: list[Lot] = []
        for lot in reversed(self.lots):
            part = min(lot.amount, amount)
            if not lot.held or lot.case != case or part == 0:
                queue.append(lot)
                continue
            amount -= part
            queue.append(Lot(part, case, lot.at_us))
            queue.append(Lot(lot.amount - part, case, lot.at_us, held=True))
        self.lots = queue[::-1]
        self._sweep()

    def restitute(self, case: int, amount: int) -> int:
        """Take out the oldest held lots of the case."""
        out = 0
        for lot in self.lots:
            if lot.held and lot.case == case:
                part = min(lot.amount, amount - out)
                lot.amount -= part
                out += part
        self._sweep()
        return out

    def free(self, case: int) -> tuple[int, int]:
        """Sum of the case's free lots, and the arrival of the first."""
        mine = [lot for lot in self.lots if lot.case == case and not lot.held]
        return sum(lot.amount for lot in mine), mine[0].at_us if mine else 0

    def held(self, case: int) -> int:
        """Sum of the case's held lots."""
        return sum(lot.amount for lot in self.lots if lot.case == case and lot.held)

    def _sweep(self) -> None:
        self.lots = [lot for lot in self.lots if lot.amount]


@dataclass
class ShareBook:
    """A balance and each case's share of it: pro-rata. `rank` orders the cases."""

    rank: list[int]
    balance: int = 0
    shares: dict[int, int] = field(default_factory=dict)
    rose_us: dict[int, int] = field(default_factory=dict)
    kept: dict[int, int] = field(default_factory=dict)
    now_us: int = 0

    def arrive(self, pieces: list[Piece], *, at_us: int) -> None:
        """Mix the pieces in."""
        for case, amount in pieces:
            self.balance += amount
            if case is not None and amount:
                self._raise(case, amount, at_us=at_us)

    def take(self, amount: int) -> tuple[list[Piece], bool]:
        """All shares when the known balance does not exceed the outflow, else floor by floor."""
        taken: list[Piece] = []
        below = 0
        for case in sorted(self.shares, key=lambda case: self.rank[case]):
            share = self.shares[case]
            part = share
            if amount < self.balance:
                above = below + share
                part = above * amount // self.balance - below * amount // self.balance
                below = above
            taken.append(Piece(case, part))
            self.shares[case] -= part
        missing = amount > self.balance
        self.balance = max(0, self.balance - amount)
        taken.append(Piece(None, amount - sum(piece.amount for piece in taken)))
        return [piece for piece in taken if piece.amount], missing

    def hold(self, case: int, amount: int) -> int:
        """The held amount leaves balance and share alike."""
        found = min(amount, self.shares.get(case, 0))
        if found:
            self.shares[case] -= found
            self.balance -= found
            self.kept[case] = self.kept.get(case, 0) + found
        return found

    def release(self, case: int, amount: int) -> None:
        """The amount returns to balance and share; a share that was zero rises now."""
        part = min(amount, self.kept.get(case, 0))
        if part:
            self.kept[case] -= part
            self.balance += part
            self._raise(case, part, at_us=self.now_us)

    def restitute(self, case: int, amount: int) -> int:
        """Take out held money of the case."""
        part = min(amount, self.kept.get(case, 0))
        if part:
            self.kept[case] -= part
        return part

    def free(self, case: int) -> tuple[int, int]:
        """The case's share, and when it last rose from zero."""
        return self.shares.get(case, 0), self.rose_us.get(case, 0)

    def held(self, case: int) -> int:
        """The case's held money."""
        return self.kept.get(case, 0)

    def _raise(self, case: int, amount: int, *, at_us: int) -> None:
        if not self.shares.get(case, 0):
            self.rose_us[case] = at_us
        self.shares[case] = self.shares.get(case, 0) + amount
