"""The Merkle tree of RFC 6962 (hashes, proofs and their checks) as pure functions.

Knows only hashes: of leaves and of complete subtrees, which it asks for by place. Never stores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"

Lookup = Callable[[int, int], bytes]
"""(level, position) → hash of the complete subtree over leaves position·2^level and on."""


class Node(NamedTuple):
    """The hash of a complete subtree; level 0 is a leaf."""

    level: int
    position: int
    hash: bytes


def leaf_hash(content: bytes) -> bytes:
    """RFC 6962 §2.1: SHA-256(0x00 ‖ content)."""
    return hashlib.sha256(_LEAF + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 §2.1: SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(_NODE + left + right).digest()


def peaks(size: int) -> list[tuple[int, int]]:
    """The (level, position) of the complete subtrees such a tree consists of, largest first."""
    found, start = [], 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            found.append((level, start >> level))
            start += 1 << level
    return found


def append(size: int, leaves: Sequence[bytes], lookup: Lookup) -> list[Node]:
    """The nodes that come to be when leaf hashes are added to a tree of `size` leaves.

    `lookup` is asked for peaks of the old tree only.
    """
    fresh: dict[tuple[int, int], bytes] = {}
    nodes = []
    for index, leaf in enumerate(leaves, start=size):
        level, position, held = 0, index, leaf
        while True:
            fresh[level, position] = held
            nodes.append(Node(level, position, held))
            if position % 2 == 0:
                break
            place = (level, position - 1)
            left = fresh[place] if place in fresh else lookup(*place)
            level, position, held = level + 1, position >> 1, node_hash(left, held)
    return nodes


def root(size: int, lookup: Lookup) -> bytes:
    """The Merkle tree hash of the first `size` leaves."""
    return EMPTY_ROOT if size == 0 else _range(0, size, lookup)


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _range(first: int, end: int, lookup: Lookup) -> bytes:
    """The hash over leaves first … end-1, where `first` is a multiple of the power above it."""
    count = end - first
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return lookup(level, first >> level)
    middle = first + _split(count)
    return node_hash(_range(first, middle, lookup), _range(middle, end, lookup))


def inclusion_proof(leaf: int, size: int, lookup: Lookup) -> list[bytes]:
    """RFC 6962 §2.1.1: the audit path of a leaf in the tree of the first `size` leaves."""
    assert 0 <= leaf < size, "the leaf is in the tree"
    path, first, end = [], 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if leaf < middle:
            path.append(_range(middle, end, lookup))
            end = middle
        else:
            path.append(_range(first, middle, lookup))
            first = middle
    return path[::-1]


def consistency_proof(old: int, new: int, lookup: Lookup) -> list[bytes]:
    """RFC 6962 §2.1.2: that the tree of `new` leaves extends the tree of `old`."""
    assert 0 <= old <= new, "the old tree is not larger"
    if old in (0, new):
        return []
    path, first, end, whole = [], 0, new, True
    while old != end:
        middle = first + _split(end - first)
        if old <= middle:
            path.append(_range(middle, end, lookup))
            end = middle
        else:
            path.append(_range(first, middle, lookup))
            first, whole = middle, False
    if not whole:
        path.append(_range(first, end, lookup))
    return path[::-1]


def verify_inclusion(
    content_hash: bytes, *, leaf: int, size: int, path: Sequence[bytes], root_hash: bytes
) -> bool:
    """Whether the path leads from the leaf's hash to the root (RFC 9162 §2.1.3.2)."""
    if not 0 <= leaf < size:
        return False
    position, last, held = leaf, size - 1, content_hash
    for step in path:
        if last == 0:
            return False
        from_left, position, last = _climb(position, last)
        held = node_hash(step, held) if from_left else node_hash(held, step)
    return last == 0 and held == root_hash


def _climb(position: int, last: int) -> tuple[bool, int, int]:
    """One step of a path: whether its hash stands on the left, and the places one level up.

    The last node of a level without a neighbour rises until it has one.
    """
    from_left = position % 2 == 1 or position == last
    if from_left:
        while position % 2 == 0 and position:
            position, last = position >> 1, last >> 1
    return from_left, position >> 1, last >> 1


def verify_consistency(
    *, old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether the path shows that the new tree extends the old one (RFC 9162 §2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old in (0, new):
        return not path and old_root == (EMPTY_ROOT if old == 0 else new_root)
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not steps:
        return False
    position, last = old - 1, new - 1
    while position % 2 == 1:
        position, last = position >> 1, last >> 1
    was = now = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        from_left, position, last = _climb(position, last)
        if from_left:
            was, now = node_hash(step, was), node_hash(step, now)
        else:
            now = node_hash(now, step)
    return last == 0 and was == old_root and now == new_root
