"""What a publisher may give, and ids that nobody can try out."""

from __future__ import annotations

import uuid
from datetime import timedelta

import msgspec
import pytest

from openaoc.exchange.objects import (
    TEXT_CHARACTERS_MAX,
    ObjectKind,
    check_object,
    check_object_id,
    keyed_object_id,
    new_object_id,
)
from openaoc.kernel.errors import BadInput
from tests.exchange.sharing_site import Site

PHONE = "+66812345678"


def test_a_keyed_id_is_the_same_each_time_and_not_without_the_key() -> None:
    kind = ObjectKind.INDICATOR
    one = keyed_object_id(kind, key=b"a" * 32, name=PHONE)
    assert one == keyed_object_id(kind, key=b"a" * 32, name=PHONE)
    assert one != keyed_object_id(kind, key=b"b" * 32, name=PHONE)
    assert one != keyed_object_id(ObjectKind.SIGHTING, key=b"a" * 32, name=PHONE)
    assert check_object_id(one, kind=kind) == one
    assert uuid.UUID(one.partition("--")[2]).version == 4


@pytest.mark.parametrize(
    "wrong",
    [
        f"indicator--{uuid.uuid5(uuid.NAMESPACE_URL, PHONE)}",
        "indicator--00000000-0000-4000-8000-00000000000",
        "indicator-00000000-0000-4000-8000-000000000000",
        "thing--00000000-0000-4000-8000-000000000000",
        "campaign--00000000-0000-4000-8000-000000000000",
        PHONE,
        "",
    ],
)
def test_an_id_that_could_be_tried_out_or_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(BadInput):
        check_object_id(wrong, kind=ObjectKind.INDICATOR)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"fields": {"holder": "x"}}, "fields.holder"),
        ({"fields": {"case": "AOC-1"}}, "fields.case"),
        ({"fields": {"confidence": "high"}}, "fields.confidence"),
        ({"fields": {"confidence": True}}, "fields.confidence"),
        ({"fields": {"confidence": 2**60}}, "fields.confidence"),
        ({"fields": {"value": 7}}, "fields.value"),
        ({"fields": {"value": "a\0b"}}, "fields.value"),
        ({"fields": {"value": "a" * (TEXT_CHARACTERS_MAX + 1)}}, "fields.value"),
        ({"fields": {"scam_types": "job"}}, "fields.scam_types"),
        ({"fields": {"scam_types": ("x",) * 101}}, "fields.scam_types"),
        ({"fields": {"valid_from": "yesterday"}}, "fields.valid_from"),
        ({"refs": {"source": ()}}, "refs.source"),
        ({"id": PHONE}, "id"),
    ],
)
def test_what_no_publisher_may_give(site: Site, changes: dict[str, object], where: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_object(site.indicator(**changes))
    assert refused.value.where == where


def test_an_object_is_not_older_than_itself(site: Site) -> None:
    one = site.indicator(modified=site.clock.now() - timedelta(seconds=1))
    with pytest.raises(BadInput):
        check_object(one)


def test_a_reference_is_an_id(site: Site) -> None:
    kind = ObjectKind.SIGHTING
    one = site.indicator(id=new_object_id(kind), kind=kind, fields={}, refs={})
    for ids, where in (((PHONE,), "refs.sighting_of"), ((one.id,) * 1_001, "refs.sighting_of")):
        with pytest.raises(BadInput) as refused:
            check_object(msgspec.structs.replace(one, refs={"sighting_of": ids}))
        assert refused.value.where == where
