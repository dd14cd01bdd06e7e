"""The oblivious function against the RFC's own vectors, and matching against another's protocol."""

from __future__ import annotations

import private_set_intersection.python as psi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.exchange.matching import oprf
from openaoc.exchange.matching.answering import MatchKeys
from openaoc.exchange.matching.model import batch_size, elements_of
from openaoc.exchange.matching.sets import (
    ENTRIES_MIN,
    TAG_BYTES,
    Identifier,
    TagSet,
    build,
    decoded,
    size_class,
    tag_of,
)
from openaoc.kernel.errors import BadInput, TooLarge

SEED = b"\xa3" * 32
BLIND = bytes.fromhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706")
VECTORS = (
    (
        "00",
        "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c",
        "7ec6578ae5120958eb2db1745758ff379e77cb64fe77b0b2d8cc917ea0869c7e",
        (
            "527759c3d9366f277d8c6020418d96bb393ba2afb20ff90df23fb7708264e2f3"
            "ab9135e3bd69955851de4b1f9fe8a0973396719b7912ba9ee8aa7d0b5e24bcf6"
        ),
    ),
    (
        "5a" * 17,
        "da27ef466870f5f15296299850aa088629945a17d1f5b7f5ff043f76b3c06418",
        "b4cbf5a4f1eeda5a63ce7b77c7d23f461db3fcab0dd28e4e17cecb5c90d02c25",
        (
            "f4a74c9c592497375e796aa837e907b1a045d34306a749db9f34221f7e750cb4"
            "f2a6413a6bf6fa5e19ba6348eb673934a722a7ede2e7621306d18951e7cf2c73"
        ),
    ),
)
"""RFC 9497, appendix A.1.1: OPRF mode, ristretto255-SHA512."""
KEY = oprf.derive_key(SEED, info=b"test key")


def evaluate_all(key: bytes, items: object) -> list[bytes]:
    assert isinstance(items, list)
    return [oprf.evaluate(key, item) for item in items]


def test_the_key_of_the_rfc() -> None:
    assert KEY.hex() == "5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e"


@pytest.mark.parametrize(("item", "blinded", "answer", "output"), VECTORS)
def test_the_vectors_of_the_rfc(item: str, blinded: str, answer: str, output: str) -> None:
    known = bytes.fromhex(item)
    asked = oprf.blind_by(known, scalar=BLIND)
    assert asked.element.hex() == blinded
    said = oprf.evaluate_blinded(KEY, asked.element)
    assert said.hex() == answer
    assert oprf.finalize(known, undo=asked.undo, answer=said).hex() == output
    assert oprf.evaluate(KEY, known).hex() == output


def test_bytes_are_expanded_as_rfc_9380_says() -> None:
    tag = b"QUUX-V01-CS02-with-expander-SHA512-256"
    long = oprf.expand_message_xmd(b"abc", tag=tag, length=0x80)
    assert long.hex().startswith("7f1dddd13c08b543f2e2037b14cefb255b44c83cc397c1786d975653e36a6b11")
    short = oprf.expand_message_xmd(b"abcdef0123456789", tag=tag, length=0x20)
    assert short.hex() == "087e45a86e2939ee8b91100af1583c4938e0f5fc6c9db4b107b83346bc967f58"


@pytest.mark.parametrize("bad", [b"", b"\x01" * 32, bytes(32), b"\xff" * 32, bytes(31)])
def test_what_is_no_element_is_refused(bad: bytes) -> None:
    with pytest.raises(oprf.BadElement):
        oprf.evaluate_blinded(KEY, bad)


numbers = st.integers(min_value=0, max_value=60)


@settings(max_examples=15, deadline=None)
@given(ours=st.sets(numbers, max_size=25), theirs=st.sets(numbers, min_size=1, max_size=25))
def test_the_intersection_is_the_one_another_protocol_finds(
    ours: set[int], theirs: set[int]
) -> None:
    mine = [Identifier(kind="phone", value=f"+6681{n:07}") for n in sorted(ours)]
    other = [Identifier(kind="phone", value=f"+6681{n:07}") for n in sorted(theirs)]
    published = build(other, key=KEY, evaluate_all=evaluate_all)
    found = set()
    for one in mine:
        asked = oprf.blind(one.encoded())
        answer = oprf.evaluate_blinded(KEY, asked.element)
        tag = tag_of(oprf.finalize(one.encoded(), undo=asked.undo, answer=answer))
        place = published.tags.find(tag)
        if place is not None:
            assert decoded(published.items[place]) == one
            found.add(one.value)
    assert found == set(_by_openmined([o.value for o in mine], [o.value for o in other]))


def _by_openmined(ours: list[str], theirs: list[str]) -> list[str]:
    if not ours:
        return []
    client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
    setup = server.CreateSetupMessage(1e-9, len(ours), theirs, psi.DataStructure.RAW)
    response = server.ProcessRequest(client.CreateRequest(ours))
    return [ours[place] for place in client.GetIntersection(setup, response)]


@settings(max_examples=20, deadline=None)
@given(values=st.sets(st.text(min_size=1, max_size=12).filter(lambda t: "\0" not in t), max_size=8))
def test_a_published_set_shows_its_size_class_and_no_order(values: set[str]) -> None:
    known = [Identifier(kind="handle", value=value) for value in values]
    published = build(known, key=KEY, evaluate_all=evaluate_all)
    assert len(published.tags) == ENTRIES_MIN
    assert list(published.tags) == sorted(published.tags)
    again = build(known[::-1], key=KEY, evaluate_all=evaluate_all)
    assert again.tags.blob == published.tags.blob
    other = build(known, key=oprf.derive_key(SEED, info=b"other"), evaluate_all=evaluate_all)
    assert not set(other.tags) & set(published.tags)


def test_more_of_the_same_set_keeps_its_padding() -> None:
    first = build([], key=KEY, evaluate_all=evaluate_all)
    second = build([Identifier(kind="url", value="x")], key=KEY, evaluate_all=evaluate_all)
    assert len(set(second.tags) - set(first.tags)) == 1


def test_two_partners_and_two_days_have_keys_of_their_own() -> None:
    keys = MatchKeys(b"secret")
    drawn = {keys.key(partner, epoch) for partner in ("KH-AOC", "VN-AOC") for epoch in (1, 2)}
    assert len(drawn) == 4
    assert MatchKeys(b"other").key("KH-AOC", 1) not in drawn


def test_a_set_that_is_not_in_order_is_refused() -> None:
    tags = [bytes([n]) * TAG_BYTES for n in range(3)]
    assert tags[1] in TagSet(b"".join(tags))
    with pytest.raises(BadInput):
        TagSet(b"".join(tags[::-1]))
    with pytest.raises(BadInput):
        TagSet(b"".join(tags) + b"x")


def test_sizes_say_little() -> None:
    assert [size_class(n) for n in (0, 1_024, 1_025, 1_000_000)] == [1_024, 1_024, 2_048, 2**20]
    assert {batch_size(n) for n in range(1, 17)} == {16}
    assert len(elements_of(bytes(64))) == 2
    with pytest.raises(TooLarge):
        size_class(2**21 + 1)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("", "x"), ("phone", ""), ("phone", "a\0b"), ("ö", "x"), ("url", "x" * 2000)],
)
def test_what_cannot_be_matched_is_refused(kind: str, value: str) -> None:
    with pytest.raises(BadInput):
        Identifier(kind=kind, value=value).encoded()
