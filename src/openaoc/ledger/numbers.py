"""Stage ledger: a transfer's arrival number, kept for good, and its row in the hot arrays.

Answers one from the other. Rows move when older ones become cold; arrival numbers never do.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

_ENDLESS: Final = 2**62


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Rows from `row` up to `stop` have the arrival numbers from `sequence` on."""

    row: int
    stop: int
    sequence: int


class _Runs(NamedTuple):
    """Runs in order of both; the last has no end. Replaced whole, so that readers need no lock."""

    rows: NDArray[np.int64]
    stops: NDArray[np.int64]
    sequences: NDArray[np.int64]
    recalled: dict[int, int]
    """Rows brought back from cold days, behind everything that was there, and their numbers."""
    places: dict[int, int]


class Numbers:
    """Arrival numbers of the rows of one hot ledger. Changed by its one writer."""

    def __init__(self) -> None:
        self.joined: dict[int, int] = {}
        """Arrival numbers of rows that turned out to be another transfer, and the number of that.
        """
        self.fill([Run(row=0, stop=_ENDLESS, sequence=0)])

    def fill(self, runs: list[Run], recalled: dict[int, int] | None = None) -> None:
        """Take the runs of a snapshot, and the rows that were recalled since the last cut."""
        recalled = recalled or {}
        self._now = _Runs(
            np.array([run.row for run in runs], np.int64),
            np.array([run.stop for run in runs], np.int64),
            np.array([run.sequence for run in runs], np.int64),
            recalled,
            {number: row for row, number in recalled.items()},
        )

    def renumber(self, sequences: NDArray[np.int64], *, following: int) -> None:
        """Row i has sequences[i], which ascend; the next row that comes has `following`."""
        breaks = np.flatnonzero(np.diff(sequences) != 1) + 1
        starts = np.concatenate((np.zeros(min(len(sequences), 1), np.int64), breaks))
        runs = [
            Run(row=int(first), stop=int(stop), sequence=int(sequences[first]))
            for first, stop in zip(starts, [*starts[1:], len(sequences)], strict=False)
        ]
        if runs and runs[-1].sequence + runs[-1].stop - runs[-1].row == following:
            runs[-1] = msgspec.structs.replace(runs[-1], stop=_ENDLESS)
        else:
            runs.append(Run(row=len(sequences), stop=_ENDLESS, sequence=following))
        self.fill(runs)

    def join(self, sequence: int, into: int) -> None:
        """The transfer of one arrival number is that of an earlier one."""
        self.joined[sequence] = into

    def standing(self, sequences: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers, or of those that turned out to be another transfer, that one's."""
        if not self.joined:
            return sequences
        found: NDArray[np.int64] = np.array(
            [self.joined.get(number, number) for number in sequences.tolist()], np.int64
        )
        return found

    def dump(self) -> list[Run]:
        """The runs for a snapshot, without what was recalled."""
        now = self._now
        return [
            Run(row=int(row), stop=int(stop), sequence=int(sequence))
            for row, stop, sequence in zip(now.rows, now.stops, now.sequences, strict=True)
        ]

    @property
    def recalled(self) -> dict[int, int]:
        """Rows brought back from cold days since the last renumbering, with their numbers."""
        return self._now.recalled

    def recall(self, row: int, sequences: list[int]) -> object:
        """Rows from `row` on, the ledger's end, have these older numbers; what undoes it."""
        before = self._now
        following = self.sequence(row)
        stops = before.stops.copy()
        stops[-1] = row
        recalled = {row + place: number for place, number in enumerate(sequences)}
        self._now = _Runs(
            np.append(before.rows, row + len(sequences)),
            np.append(stops, _ENDLESS),
            np.append(before.sequences, following),
            before.recalled | recalled,
            before.places | {number: place for place, number in recalled.items()},
        )
        return before

    def undo(self, before: object) -> None:
        """As before a `recall`."""
        assert isinstance(before, _Runs), "what recall gave"
        self._now = before

    def sequence(self, row: int) -> int:
        """The arrival number of a row; of the ledger's end: of the next row to come."""
        now = self._now
        known = now.recalled.get(row)
        if known is not None:
            return known
        run = int(np.searchsorted(now.rows, row, side="right")) - 1
        return int(now.sequences[run]) + row - int(now.rows[run])

    def row(self, sequence: int, *, end: int) -> int:
        """The row of an arrival number below row `end`, or -1: it is cold, or yet to come."""
        now = self._now
        row = now.places.get(sequence, -1)
        if row < 0:
            run = int(np.searchsorted(now.sequences, sequence, side="right")) - 1
            row = int(now.rows[run]) + sequence - int(now.sequences[run]) if run >= 0 else -1
            if run >= 0 and row >= int(now.stops[run]):
                return -1
        return row if row < end else -1

    def sequences(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """The arrival numbers of rows."""
        now, wide = self._now, np.asarray(rows, np.int64)
        run = np.searchsorted(now.rows, wide, side="right") - 1
        found: NDArray[np.int64] = now.sequences[run] + wide - now.rows[run]
        if now.recalled:
            back = np.array(sorted(now.recalled), np.int64)
            places = np.flatnonzero(np.isin(wide, back))
            found[places] = [now.recalled[int(wide[place])] for place in places]
        return found

    def rows(self, sequences: NDArray[np.int64], *, end: int) -> NDArray[np.int64]:
        """The rows of arrival numbers, -1 for those that are cold or yet to come."""
        now = self._now
        run = np.searchsorted(now.sequences, sequences, side="right") - 1
        found: NDArray[np.int64] = now.rows[run] + sequences - now.sequences[run]
        found[(run < 0) | (found >= now.stops[run])] = -1
        if now.places:
            back = np.array(sorted(now.places), np.int64)
            places = np.flatnonzero(np.isin(sequences, back))
            found[places] = [now.places[int(sequences[place])] for place in places]
        found[found >= end] = -1
        return found
