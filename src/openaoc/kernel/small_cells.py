"""Which cells of a table are too small to be published, and which others would give them away.

Pure. A count below CELL_MIN may be of somebody whom a neighbour knows; it is left out, and with it
so many others that no total minus its parts tells of a group smaller than CELL_MIN.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

CELL_MIN: Final = 5
"""Fewer than these are not published; docs/decisions/0080-small-counts.md."""
Key = TypeVar("Key", bound=Hashable)


class Line(NamedTuple, Generic[Key]):
    """Cells that add up to another cell, or to nothing that is published."""

    parts: Sequence[Key]
    total: Key | None = None


def hidden_cells(counts: Mapping[Key, int], lines: Sequence[Line[Key]]) -> frozenset[Key]:
    """The cells that stay unpublished: small ones, nothing at all among them, and their cover.

    In each line whose total is shown, the hidden parts are two at least and together CELL_MIN at
    least; a total is hidden only with a part of it. The smallest cells are hidden first.
    """
    hidden = {key for key, count in counts.items() if count < CELL_MIN}
    changed = True
    while changed:
        changed = False
        for line in lines:
            more = _cover(counts, line, hidden)
            changed = changed or bool(more)
            hidden |= more
    return frozenset(hidden)


def _cover(counts: Mapping[Key, int], line: Line[Key], hidden: set[Key]) -> set[Key]:
    """What else of the line has to be hidden; nothing when it tells nothing small."""
    if line.total is None:
        return set()
    gone = [key for key in line.parts if key in hidden]
    left = sorted((key for key in line.parts if key not in hidden), key=counts.__getitem__)
    if line.total in hidden:
        return set() if gone or not left else {left[0]}
    if not gone or (len(gone) > 1 and sum(counts[key] for key in gone) >= CELL_MIN):
        return set()
    return {left[0]} if left else {line.total}
