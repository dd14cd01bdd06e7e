"""The tree against pymerkle, and its proofs against every way of being wrong we can think of."""

from __future__ import annotations

import hashlib

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.storage import merkle

SIZE_MAX = 130


class Tree:
    """Everything that was appended, in batches as they came."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.size = 0

    def lookup(self, level: int, position: int) -> bytes:
        return self.nodes[level, position]

    def add(self, contents: list[bytes]) -> None:
        leaves = [merkle.leaf_hash(content) for content in contents]
        for node in merkle.append(self.size, leaves, self.lookup):
            assert (node.level, node.position) not in self.nodes, "a node is made once"
            self.nodes[node.level, node.position] = node.hash
        self.size += len(contents)

    def root(self, size: int) -> bytes:
        return merkle.root(size, self.lookup)


def grown(size: int) -> Tree:
    tree = Tree()
    tree.add([b"row %d" % n for n in range(size)])
    return tree


TREE = grown(SIZE_MAX)
ORACLE = pymerkle.InmemoryTree(algorithm="sha256")
for number in range(SIZE_MAX):
    ORACLE.append_entry(b"row %d" % number)


def test_known_hashes_of_rfc_6962() -> None:
    assert hashlib.sha256(b"").digest() == merkle.EMPTY_ROOT
    assert merkle.leaf_hash(b"") == hashlib.sha256(b"\x00").digest()
    assert TREE.root(1) == merkle.leaf_hash(b"row 0")


def test_every_root_is_pymerkles() -> None:
    for size in range(1, SIZE_MAX + 1):
        assert TREE.root(size) == ORACLE.get_root(size)


def test_every_inclusion_proof_holds_and_is_pymerkles() -> None:
    for size in (1, 2, 3, 7, 8, 9, 64, 100, SIZE_MAX):
        for leaf in range(size):
            path = merkle.inclusion_proof(leaf, size, TREE.lookup)
            theirs = ORACLE.prove_inclusion(leaf + 1, size)
            assert path == theirs.path[1:], "theirs begins with the leaf"
            assert merkle.verify_inclusion(
                TREE.nodes[0, leaf], leaf=leaf, size=size, path=path, root_hash=TREE.root(size)
            )


def test_every_consistency_proof_holds() -> None:
    for new in (1, 2, 3, 8, 13, 64, 65, SIZE_MAX):
        for old in range(new + 1):
            path = merkle.consistency_proof(old, new, TREE.lookup)
            assert len(path) <= new.bit_length() + 1, "proofs are short"
            assert merkle.verify_consistency(
                old=old, new=new, old_root=TREE.root(old), new_root=TREE.root(new), path=path
            )


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.lists(st.binary(max_size=8), max_size=9), max_size=9))
def test_batches_do_not_matter(batches: list[list[bytes]]) -> None:
    one, many = Tree(), Tree()
    one.add([content for batch in batches for content in batch])
    for batch in batches:
        many.add(batch)
    assert one.nodes == many.nodes
    assert one.root(one.size) == many.root(many.size)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_changed_proof_proves_nothing(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, SIZE_MAX))
    leaf = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_proof(leaf, size, TREE.lookup)
    root = TREE.root(size)
    content = TREE.nodes[0, leaf]
    place = data.draw(st.integers(0, len(path) - 1))
    wrong = [*path[:place], hashlib.sha256(path[place]).digest(), *path[place + 1 :]]
    shorter, longer = path[:-1], [*path, path[-1]]
    for bad in (wrong, shorter, longer):
        assert not merkle.verify_inclusion(content, leaf=leaf, size=size, path=bad, root_hash=root)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != leaf))
    assert not merkle.verify_inclusion(
        TREE.nodes[0, other], leaf=leaf, size=size, path=path, root_hash=root
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_rewritten_log_extends_nothing(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, SIZE_MAX))
    old = data.draw(st.integers(1, new - 1))
    changed = data.draw(st.integers(0, old - 1))
    forged = Tree()
    forged.add([b"forged" if n == changed else b"row %d" % n for n in range(new)])
    path = merkle.consistency_proof(old, new, forged.lookup)
    assert not merkle.verify_consistency(
        old=old, new=new, old_root=TREE.root(old), new_root=forged.root(new), path=path
    )


@pytest.mark.parametrize(("leaf", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_a_leaf_outside_is_in_no_tree(leaf: int, size: int) -> None:
    assert not merkle.verify_inclusion(
        b"\x00" * 32, leaf=leaf, size=size, path=[], root_hash=merkle.EMPTY_ROOT
    )
