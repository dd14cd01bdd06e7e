"""MISP: what leaves comes back the same; MISP's own tools read it; what others write is sifted."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from misp_stix_converter import MISPtoSTIX21Parser
from pymisp import MISPEvent, MISPObject

from openaoc.exchange.misp.feed import HASHES, MANIFEST, events_in, feed_of, read_feed
from openaoc.exchange.misp.model import MispOrg
from openaoc.exchange.misp.reading import Reading, read_event
from openaoc.exchange.misp.words import PLACES, STANDARD, machinetag, machinetag_parts, templates
from openaoc.exchange.misp.writing import CARRIED, encode_event, event_of
from openaoc.exchange.objects import (
    FIELDS,
    REFS,
    FieldForm,
    Fields,
    FieldValue,
    ObjectKind,
    Refs,
    ReleasedObject,
)
from openaoc.exchange.stix import reading as stix
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Kind
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from tests.conftest import START
from tests.kernel.test_kinds import WRITTEN

ORG = MispOrg(name="OPENAOC-TH", uuid="5e9b6a50-3f0e-4a8e-9d61-0a4d0c7d5a10")
EVENT = "7d0c1b8e-2f53-4d4e-8b5a-0e3f4a5b6c7d"
VALUES = {kind: kept for kind, _, kept in WRITTEN}


def new_id(kind: ObjectKind) -> str:
    return f"{kind.value}--{uuid.uuid4()}"


def indicator(kind: Kind, value: str, **more: FieldValue) -> ReleasedObject:
    return ReleasedObject(
        id=new_id(ObjectKind.INDICATOR),
        kind=ObjectKind.INDICATOR,
        created=START,
        modified=START,
        marking=Marking.AMBER,
        fields={"identifier_kind": kind.value, "value": value, **more},
    )


def written(*objects: ReleasedObject) -> bytes:
    done = event_of(objects, event_uuid=EVENT, info="scams", org=ORG, now=START)
    assert done.lost == ()
    return encode_event(done.event)


def read(data: bytes) -> Reading:
    return read_event(data, region="TH", otherwise=Marking.AMBER)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300)
MOMENTS = st.integers(0, 10**15).map(lambda us: START + timedelta(microseconds=us))


@st.composite
def values(draw: st.DrawFn, kind: ObjectKind, name: str) -> FieldValue:
    if name == "identifier_kind":
        kind_drawn: Kind = draw(st.sampled_from(Kind))
        return kind_drawn.value
    if name == "scam_types":
        return tuple(draw(st.lists(st.sampled_from(Offence), min_size=1, max_size=3, unique=True)))
    form = FIELDS[kind][name].form
    if form is FieldForm.NUMBER:
        return draw(st.integers(-(2**53), 2**53))
    if form is FieldForm.TIME:
        moment: datetime = draw(MOMENTS)
        return format_time(moment)
    if form is FieldForm.TEXTS:
        return tuple(draw(st.lists(TEXT, min_size=1, max_size=3)))
    return draw(TEXT)


@st.composite
def released(draw: st.DrawFn) -> ReleasedObject:
    kind = draw(st.sampled_from(CARRIED))
    names = draw(st.sets(st.sampled_from(sorted(FIELDS[kind]))))
    if kind is ObjectKind.INDICATOR:
        names.add("identifier_kind")
    fields: Fields = {name: draw(values(kind, name)) for name in sorted(names)}
    if "value" in fields and draw(st.booleans()):
        fields["value"] = VALUES[Kind(str(fields["identifier_kind"]))]
    refs: Refs = {name: (new_id(ObjectKind.INDICATOR),) for name in REFS.get(kind, {})}
    created = draw(MOMENTS)
    return ReleasedObject(
        id=new_id(kind),
        kind=kind,
        created=created,
        modified=created + timedelta(microseconds=draw(st.integers(0, 10**9))),
        marking=draw(st.sampled_from(Marking)),
        fields=fields,
        refs=refs,
        revoked=draw(st.booleans()),
    )


@given(st.lists(released(), max_size=4))
@settings(max_examples=120, deadline=None)
def test_what_leaves_comes_back_the_same(objects: list[ReleasedObject]) -> None:
    back = read(written(*objects))
    assert back.lost == ()
    assert list(back.objects) == objects


@pytest.mark.parametrize(("kind", "value"), VALUES.items())
def test_pymisp_reads_every_kind(kind: Kind, value: str) -> None:
    event = MISPEvent()
    event.load(written(indicator(kind, value, confidence=50)).decode())
    (found,) = event.objects
    (main,) = [one for one in found.attributes if one.to_ids]
    shown = {str(one.value) for one in found.attributes}
    assert value in shown or set(value.split(":")) <= shown
    assert main.object_relation == PLACES[kind].relation
    assert found.name == PLACES[kind].template
    assert 'openaoc:confidence="50"' in {tag.name for tag in main.tags}
    again = read(event.to_json().join(['{"Event":', "}"]).encode())
    assert [one.fields["value"] for one in again.objects] == [value]


def template_of(name: str) -> dict[str, Any]:
    if name in STANDARD:
        folder = resources.files("pymisp") / "data/misp-objects/objects" / name / "definition.json"
    else:
        folder = resources.files("openaoc.exchange.misp.data") / "objects" / f"{name}.json"
    found: dict[str, Any] = json.loads(folder.read_text("utf-8"))
    return found


@pytest.mark.parametrize("kind", list(Kind))
def test_places_are_those_of_the_templates(kind: Kind) -> None:
    place = PLACES[kind]
    found = template_of(place.template)
    assert found["attributes"][place.relation]["misp-attribute"] == place.type
    assert set(place.beside) <= set(found["attributes"])
    if place.template in STANDARD:
        said = STANDARD[place.template]
        assert (said.uuid, said.version) == (found["uuid"], found["version"])
        assert said.meta_category == found["meta-category"]


@pytest.mark.parametrize("name", sorted(templates()))
def test_our_templates_follow_misps_schema(name: str) -> None:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # without types

    schema = resources.files("pymisp") / "data/misp-objects/schema_objects.json"
    oracle = Draft202012Validator(json.loads(schema.read_text("utf-8")))
    assert [error.message for error in oracle.iter_errors(template_of(name))] == []


def test_the_templates_have_every_field() -> None:
    for kind in CARRIED[1:]:
        relations = template_of(f"openaoc-{kind.value}")["attributes"]
        assert set(relations) == {"id", *(name.replace("_", "-") for name in FIELDS[kind])}


def test_the_taxonomy_is_the_list_of_offences() -> None:
    text = (resources.files("openaoc.exchange.misp.data") / "taxonomy.json").read_text("utf-8")
    (listed,) = json.loads(text)["values"]
    assert [one["value"] for one in listed["entry"]] == [one.value for one in Offence]


def test_misp_stix_turns_it_into_stix() -> None:
    event = MISPEvent()
    kinds = (Kind.URL, Kind.DOMAIN, Kind.BANK_ACCOUNT, Kind.PHONE, Kind.LINE, Kind.BITCOIN)
    data = written(*(indicator(kind, VALUES[kind]) for kind in kinds))
    event.load(data.decode())
    parser = MISPtoSTIX21Parser()
    parser.parse_misp_event(event)
    assert not parser.errors
    text = parser.bundle.serialize()
    for kind in kinds:
        assert VALUES[kind].rpartition(":")[2] in text, kind


def test_what_misp_stix_writes_of_others_events_is_read_as_stix() -> None:
    event = MISPEvent()
    event.info = "a scam"
    sent = {
        "domain": "scam-site.com",
        "url": "https://scam-site.com/it's",
        "email": "pay@scam-site.com",
        "email-src": "help@scam-site.com",
        "ip-dst": "45.67.89.10",
        "ip-src": "2a03:2880::7",
        "phone-number": "+66812345678",
    }
    for name, value in sent.items():
        tag = "tlp:clear" if name == "url" else "tlp:green"
        event.add_attribute(name, value, to_ids=True, Tag=[{"name": tag}])
    parser = MISPtoSTIX21Parser()
    parser.parse_misp_event(event)
    objects, lost = [], []
    for one in json.loads(parser.bundle.serialize())["objects"]:
        try:
            objects.append(stix.check_object(json.dumps(one).encode()).object)
        except stix.NotKept:
            lost.append(one["type"])
    found = stix.read_objects(objects, country="TH", otherwise=Marking.RED)
    indicators = [one for one in found.objects if one.kind is ObjectKind.INDICATOR]
    assert {one.fields["value"]: one.marking for one in indicators} == {
        value: Marking.CLEAR if name == "url" else Marking.GREEN
        for name, value in sent.items()
        if name != "phone-number"
    }
    assert "x-misp-attribute" in lost, "what has no pattern is not dropped in silence"


def test_an_account_that_misp_would_cut_is_kept_whole() -> None:
    one = indicator(Kind.BANK_ACCOUNT, "KBANK:12AB34")
    data = written(one)
    assert json.loads(data)["Event"]["Object"][0]["name"] == "openaoc-identifier"
    assert read(data).objects == (one,)
    iban = indicator(Kind.BANK_ACCOUNT, "IBAN:DE89370400440532013000")
    assert read(written(iban)).objects == (iban,)


def test_what_is_masked_is_not_for_detection() -> None:
    one = indicator(Kind.PHONE, "••••5678")
    data = written(one)
    assert not any(a["to_ids"] for a in json.loads(data)["Event"]["Object"][0]["Attribute"])
    assert read(data).objects == (one,)


def test_what_two_centres_ask_each_other_is_for_no_event() -> None:
    asked = ReleasedObject(
        id=new_id(ObjectKind.TRACE_REQUEST),
        kind=ObjectKind.TRACE_REQUEST,
        created=START,
        modified=START,
        marking=Marking.AMBER,
        fields={"account": "123"},
    )
    done = event_of([asked], event_uuid=EVENT, info="x", org=ORG, now=START)
    assert done.event.objects == ()
    assert len(done.lost) == 1


# What others write.


def stranger(*tags: str) -> MISPEvent:
    event = MISPEvent()
    event.from_dict(info="from abroad", uuid=EVENT, timestamp=int(START.timestamp()))
    for tag in tags:
        event.add_tag(tag)
    return event


def taken(event: MISPEvent) -> tuple[dict[tuple[str, str], ReleasedObject], Reading]:
    found = read(event.to_json().join(['{"Event":', "}"]).encode())
    return {
        (str(one.fields["identifier_kind"]), str(one.fields["value"])): one for one in found.objects
    }, found


def test_others_attributes_are_taken_as_they_mean() -> None:
    event = stranger("tlp:white", 'misp-galaxy:taxonomy-of-fraud="Employment Fraud"')
    event.add_attribute("phone-number", "081 234 5678", to_ids=False, comment="called victims")
    event.add_attribute("url", "hxxps://evil[.]com/login", to_ids=True)
    event.add_attribute("domain", "bank-of-good.com", to_ids=False)
    event.add_attribute("ip-dst", "1.1.1.1", to_ids=True)
    event.add_attribute("iban", "DE89370400440532013000")
    event.add_attribute("bank-account-nr", "0123456789")
    event.add_attribute("sha256", "0" * 64)
    found, reading = taken(event)
    assert set(found) == {
        ("phone", "+66812345678"),
        ("url", "https://evil.com/login"),
        ("ipv4", "1.1.1.1"),
        ("bank_account", "IBAN:DE89370400440532013000"),
    }
    phone = found["phone", "+66812345678"]
    assert phone.marking is Marking.CLEAR
    assert phone.fields["scam_types"] == ("job",)
    assert phone.fields["description"] == "called victims"
    reasons = " ".join(one.reason for one in reading.lost)
    assert reading.lost_count == 3
    assert "context" in reasons
    assert "without its bank" in reasons
    assert "no kind of identifier" in reasons


def test_others_objects_are_taken_as_they_mean() -> None:
    event = stranger("tlp:amber")
    account = MISPObject("bank-account")
    account.add_attribute("account", "0123456789")
    account.add_attribute("institution-code", "kbank")
    coins = MISPObject("coin-address")
    coins.add_attribute("address-crypto", VALUES[Kind.TRON])
    user = MISPObject("user-account")
    user.add_attribute("username", "Easy.Money")
    user.add_attribute("account-type", "tiktok")
    unknown = MISPObject("user-account")
    unknown.add_attribute("username", "root")
    unknown.add_attribute("account-type", "unix")
    bare = MISPObject("bank-account")
    bare.add_attribute("account", "999")
    for one in (account, coins, user, unknown, bare):
        event.add_object(one)
    found, reading = taken(event)
    assert set(found) == {
        ("bank_account", "KBANK:0123456789"),
        ("tron", VALUES[Kind.TRON]),
        ("tiktok", "easy.money"),
    }
    assert {one.marking for one in found.values()} == {Marking.AMBER}
    assert reading.lost_count == 2


def test_an_unknown_marking_is_red() -> None:
    event = stranger("tlp:unclear")
    event.add_attribute("btc", VALUES[Kind.BITCOIN])
    found, reading = taken(event)
    assert [one.marking for one in found.values()] == [Marking.RED]
    assert reading.lost_count == 1


def test_one_broken_part_spoils_no_other() -> None:
    raw = json.loads(written(indicator(Kind.PHONE, "+66812345678")))
    raw["Event"]["Attribute"] = [{"uuid": "x"}, 5, {"uuid": "no", "type": "url", "value": "u"}]
    raw["Event"]["Object"].append({"uuid": str(uuid.uuid4()), "name": 7})
    found = read(json.dumps(raw).encode())
    assert len(found.objects) == 1
    assert found.lost_count == 4


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"Event": 1}', b"\xff", b'{"Event":' * 5_000, b"{" * 100_000]
)
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        read(data)


@given(TEXT, TEXT)
def test_machinetags_keep_any_text(name: str, text: str) -> None:
    assert machinetag_parts(machinetag("openaoc:x", text)) == ("openaoc:x", text)
    assert machinetag_parts(name) is None or '="' in name


# Feeds.


def test_a_feed_comes_back_the_same_and_stands_still() -> None:
    objects = [indicator(kind, value) for kind, value in VALUES.items()]
    feed = feed_of(objects, name="scams", org=ORG, now=START)
    later = feed_of(objects, name="scams", org=ORG, now=START + timedelta(hours=1))
    assert set(feed.files) == set(later.files)
    assert HASHES not in feed.files
    assert len(events_in(feed.files[MANIFEST])) == 1
    back = read_feed(feed.files, region="TH", otherwise=Marking.RED)
    assert back.lost == ()
    assert sorted(back.objects, key=lambda o: o.id) == sorted(objects, key=lambda o: o.id)
    event = MISPEvent()
    (name,) = events_in(feed.files[MANIFEST])
    event.load(feed.files[f"{name}.json"].decode())
    assert event.to_feed()["Event"]["uuid"] == name


def test_hashes_are_made_only_where_asked_for() -> None:
    one, hidden = indicator(Kind.PHONE, "+66812345678"), indicator(Kind.PHONE, "••••5678")
    feed = feed_of([one, hidden], name="scams", org=ORG, now=START, hashes=True)
    (line,) = feed.files[HASHES].decode().splitlines()
    assert line.split(",")[1] in events_in(feed.files[MANIFEST])


def test_a_feed_with_a_missing_or_strange_event() -> None:
    feed = feed_of([indicator(Kind.PHONE, "+66812345678")], name="x", org=ORG, now=START)
    files = {MANIFEST: feed.files[MANIFEST]}
    found = read_feed(files, region="TH", otherwise=Marking.RED)
    assert (found.objects, found.lost_count) == ((), 1)
    with pytest.raises(BadInput):
        events_in(b'{"../../etc/passwd": {"timestamp": 1}}')
    with pytest.raises(BadInput):
        read_feed({}, region="TH", otherwise=Marking.RED)
