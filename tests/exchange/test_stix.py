"""What we write as STIX 2.1 is STIX to others' tools, and comes back as what was released."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
import pytest
import stix2
import stix2validator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.objects import (
    FIELDS,
    REFS,
    FieldForm,
    ObjectKind,
    Refs,
    ReleasedObject,
    keyed_object_id,
)
from openaoc.exchange.stix import extensions, ids, model, reading
from openaoc.exchange.stix.markings import KNOWN, MARKING_IDS, marking_of
from openaoc.exchange.stix.model import Profile, encode, stix_time
from openaoc.exchange.stix.observables import Observing, identifier_of, observable_of, observed
from openaoc.exchange.stix.patterns import Observed, read_pattern, write_pattern
from openaoc.exchange.stix.writing import NATIVE, Writing, bundle_of, supporting, write_object
from openaoc.kernel.markings import Marking

PAP_GREEN = "marking-definition--c43594d1-4b11-4c59-93ab-1c9b14d53ce9"
PAP_AMBER = "marking-definition--60f8932b-e51e-4458-b265-a2e8be9a80ab"
CREATED = datetime(2026, 1, 5, 3, 0, 0, 123_000, tzinfo=UTC)
PRODUCER = model.Identity(
    spec_version="2.1",
    id="identity--5c6c10d5-b959-4d08-89ab-346e68e60083",
    created=stix_time(CREATED),
    modified=stix_time(CREATED),
    name="OPENAOC-TH",
    identity_class="organization",
)
IDENTIFIERS = [
    ("bank_account", "KBANK:1234567890"),
    ("bank_account", "VN.VCB:00112233"),
    ("bank_account", "IBAN:DE89370400440532013000"),
    ("phone", "+66812345678"),
    ("url", "https://example.com/a[b]?c='d'|e"),
    ("domain", "example.com"),
    ("email", "a.b@example.com"),
    ("ipv4", "8.8.8.8"),
    ("ipv6", "2606:4700:4700::1111"),
    ("promptpay", "+66812345678"),
    ("line", "@moneyfast"),
    ("telegram", "moneyfast"),
    ("bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    ("ethereum", "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359"),
]


def how(profile: Profile = Profile.CORE, *, value: Minimisation = Minimisation.AS_IS) -> Writing:
    return Writing(
        producer=PRODUCER, observing=Observing(profile=profile, country="TH"), value_form=value
    )


def indicator(kind: str = "phone", value: str = "+66812345678", **more: Any) -> ReleasedObject:
    fields = {"identifier_kind": kind, "value": value} | more
    return ReleasedObject(
        id=keyed_object_id(ObjectKind.INDICATOR, key=b"k", name=f"{kind}{value}"),
        kind=ObjectKind.INDICATOR,
        created=CREATED,
        modified=CREATED,
        marking=Marking.GREEN,
        fields=fields,
    )


@cache
def options() -> stix2validator.ValidationOptions:
    return stix2validator.ValidationOptions(version="2.1")


def check_valid(objects: Sequence[model.StixObject]) -> None:
    for one in objects:
        found = stix2validator.validate_instance(json.loads(encode(one)), options())
        assert found.is_valid, (encode(one), [str(error) for error in found.errors])


def read(objects: Sequence[model.StixObject]) -> reading.Reading:
    checked = [reading.check_object(encode(one)) for one in objects]
    assert [lost for one in checked for lost in one.lost] == []
    return reading.read_objects(
        [one.object for one in checked], country="TH", otherwise=Marking.AMBER
    )


# What may be drawn

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
MOMENTS = st.integers(0, 10**15).map(lambda us: datetime.fromtimestamp(us / 10**6, UTC))
TIMES = MOMENTS.map(lambda moment: moment.isoformat().replace("+00:00", "Z"))
FORMS: dict[FieldForm, st.SearchStrategy[Any]] = {
    FieldForm.TEXT: NAMES,
    FieldForm.TEXTS: st.lists(NAMES, max_size=3).map(tuple),
    FieldForm.NUMBER: st.integers(-(2**53) + 1, 2**53 - 1),
    FieldForm.TIME: TIMES,
}


@st.composite
def released(draw: st.DrawFn) -> ReleasedObject:
    kind = draw(st.sampled_from(sorted(NATIVE)))
    names = draw(st.sets(st.sampled_from(sorted(FIELDS[kind]))))
    fields = {name: draw(FORMS[FIELDS[kind][name].form]) for name in sorted(names)}
    if kind is ObjectKind.INDICATOR:
        fields["identifier_kind"], fields["value"] = draw(st.sampled_from(IDENTIFIERS))
    targets = st.sampled_from(["indicator", "identity", "campaign"]).map(
        lambda name: f"{name}--{uuid.uuid4()}"
    )
    refs: Refs = {name: (draw(targets),) for name in REFS.get(kind, {})}
    created = draw(MOMENTS).replace(microsecond=0)
    return ReleasedObject(
        id=f"{kind.value}--{uuid.uuid4()}",
        kind=kind,
        created=created,
        modified=created + draw(st.timedeltas(timedelta(0), timedelta(days=9))),
        marking=draw(st.sampled_from(Marking)),
        fields=fields,
        refs=refs,
        revoked=draw(st.booleans()),
    )


# Others' tools


@pytest.mark.parametrize("profile", [Profile.CORE, Profile.OPENCTI])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(one=released())
def test_all_we_write_is_valid(profile: Profile, one: ReleasedObject) -> None:
    check_valid(write_object(one, how(profile)).objects)


@pytest.mark.parametrize("profile", Profile)
def test_what_all_refers_to_is_valid(profile: Profile) -> None:
    objects = supporting(how(profile), highest=Marking.RED)
    check_valid(objects)
    assert {one.id for one in objects} >= set(MARKING_IDS.values())
    for one in objects:
        assert stix2.parse(encode(one).decode(), allow_custom=True).id == one.id


@pytest.mark.parametrize("profile", [Profile.CORE, Profile.OPENCTI])
@pytest.mark.parametrize(("kind", "value"), IDENTIFIERS)
def test_stix2_reads_ours_and_computes_the_same_ids(
    profile: Profile, kind: str, value: str
) -> None:
    written = write_object(indicator(kind, value), how(profile)).objects
    check_valid(written)
    bundle = stix2.parse(
        encode(bundle_of(written, number=str(uuid.uuid4()))).decode(), allow_custom=True
    )
    assert [one["id"] for one in bundle.objects] == [one.id for one in written]
    seen, found = json.loads(encode(written[0])), bundle.objects[0]
    if seen["type"] in ("bank-account", "phone-number", "cryptocurrency-wallet"):
        assert profile is Profile.OPENCTI
    else:
        del seen["id"], seen["object_marking_refs"]
        assert stix2.parse(seen).id == found["id"]
    assert isinstance(written[1], model.Indicator)
    stix2.pattern_visitor.create_pattern_object(written[1].pattern)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_ids_are_those_of_the_standard(text: str) -> None:
    ours = ids.observable_id(model.UserAccount, {"account_type": "bank", "account_login": text})
    assert ours == stix2.UserAccount(account_type="bank", account_login=text).id
    assert ids.observable_id(model.Url, {"value": text}) == stix2.URL(value=text).id


def test_a_custom_observables_id_is_what_stix2_would_give() -> None:
    made: Any = stix2.CustomObservable(
        "phone-number",
        [("value", stix2.properties.StringProperty(required=True))],
        ["value"],
        extension_name=extensions.OBSERVABLES,
    )(type("Phone", (), {}))
    assert ids.observable_id(model.PhoneNumber, {"value": "+6681"}) == made(value="+6681").id


def test_tlp_2_is_what_its_authors_publish() -> None:
    clear = json.loads(encode(supporting(how(), highest=Marking.CLEAR)[0]))
    assert clear == {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
        "created": "2022-10-01T00:00:00.000Z",
        "name": "TLP:CLEAR",
        "extensions": {
            "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": {
                "extension_type": "property-extension",
                "tlp_2_0": "clear",
            }
        },
    }


def test_a_payment_is_valid_and_its_amount_a_text() -> None:
    payment = model.PaymentTransaction(
        spec_version="2.1",
        id=ids.observable_id(model.PaymentTransaction, {"amount": "12.50", "currency": "THB"}),
        amount="12.50",
        currency="THB",
        booked_at="2026-01-05T03:00:00Z",
        extensions={extensions.PAYMENT: model.Extension(extension_type="new-sco")},
    )
    check_valid([payment])
    assert read_one(payment).amount == "12.50"
    with pytest.raises(reading.NotKept):
        reading.check_object(encode(msgspec.structs.replace(payment, amount="12,50")))


def read_one(one: model.StixObject) -> Any:
    return reading.check_object(encode(one)).object


def test_thai_leaves_as_thai() -> None:
    written = write_object(indicator(description="โอนเงิน"), how()).objects
    assert "โอนเงิน".encode() in b"".join(map(encode, written))


# There and back


@settings(max_examples=80, deadline=None)
@given(one=released(), profile=st.sampled_from([Profile.CORE, Profile.OPENCTI]))
def test_what_was_released_comes_back(one: ReleasedObject, profile: Profile) -> None:
    written = write_object(one, how(profile))
    assert written.lost == ()
    found = read(written.objects)
    assert found.lost == () or one.kind is ObjectKind.INDICATOR
    (back,) = found.objects
    assert (back.id, back.kind, back.marking, back.revoked, back.refs) == (
        one.id, one.kind, one.marking, one.revoked, one.refs,
    )  # fmt: skip
    for name, value in one.fields.items():
        if value != ():
            assert back.fields[name] == value or FIELDS[one.kind][name].form is FieldForm.TIME
    assert set(back.fields) <= {*one.fields, "published", "valid_from", "relationship_type"}


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize(("kind", "value"), IDENTIFIERS)
def test_identifiers_come_back(profile: Profile, kind: str, value: str) -> None:
    found = observed(kind, value, how=Observing(profile=profile, country="TH"))
    back = identifier_of(found, country="TH")
    assert (back.kind, back.value) == (kind, value)


def test_an_account_is_qualified_in_every_profile() -> None:
    core = observed("bank_account", "004:12-3", how=Observing(profile=Profile.CORE, country="TH"))
    assert core.properties["account_login"] == "TH.004.12-3"
    typed = Observing(profile=Profile.OPENCTI, country="TH")
    assert observed("bank_account", "004:123", how=typed).properties == {"iban": "TH-004-123"}
    bare = msgspec.structs.replace(typed, surrogates=False)
    assert observed("bank_account", "004:123", how=bare).type == "user-account"
    account = observable_of(
        Observed("bank-account", {"iban": "TH-004-123"}), marking=next(iter(KNOWN))
    )
    assert json.loads(encode(account))["account_number"] == "123"


# What is minimised, and what cannot be written


@pytest.mark.parametrize("form", [Minimisation.PSEUDONYM, Minimisation.MASKED])
def test_a_minimised_value_has_no_id_to_try_values_against(form: Minimisation) -> None:
    (written,) = write_object(indicator(value="••••5678"), how(value=form)).objects
    assert isinstance(written, model.Indicator)
    assert "account_login" not in written.pattern
    found = read([written])
    assert found.objects == ()
    assert "nothing to look for" in found.lost[0].reason


def test_an_indicator_without_its_value_is_not_written() -> None:
    one = msgspec.structs.replace(indicator(), fields={"identifier_kind": "phone"})
    written = write_object(one, how())
    assert written.objects == ()
    assert written.lost[0].path == "fields.value"


def test_misp_loses_what_it_has_no_place_for_and_says_so() -> None:
    written = write_object(indicator(tier="high", scam_types=("romance",)), how(Profile.MISP))
    assert [lost.path for lost in written.lost] == ["fields.tier"]
    (one,) = written.objects
    assert isinstance(one, model.Indicator)
    assert one.labels == ("romance",)
    assert one.extensions == {}


@pytest.mark.parametrize(
    "kind", [ObjectKind.MATCH, ObjectKind.TRACE_REQUEST, ObjectKind.TRACE_ANSWER]
)
def test_what_is_asked_between_centres_is_not_stix(kind: ObjectKind) -> None:
    one = msgspec.structs.replace(indicator(), kind=kind)
    assert write_object(one, how()).objects == ()


def test_a_relationship_with_a_hidden_end_is_not_written() -> None:
    one = ReleasedObject(
        id=f"relationship--{uuid.uuid4()}",
        kind=ObjectKind.RELATIONSHIP,
        created=CREATED,
        modified=CREATED,
        marking=Marking.GREEN,
        refs={"source": (indicator().id,)},
    )
    assert write_object(one, how()).lost[0].path == "refs.target"


# Patterns


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_patterns_come_back_and_stix2_reads_them(text: str) -> None:
    found = Observed("user-account", {"account_type": "line", "account_login": text})
    pattern = write_pattern(found)
    assert read_pattern(pattern) == found


@pytest.mark.parametrize(
    "pattern",
    [
        "[url:value = 'a'] AND [url:value = 'b']",
        "[url:value = 'a' OR url:value = 'b']",
        "[url:value != 'a']",
        "[url:value LIKE 'a%']",
        "[url:value = 'a' AND domain-name:value = 'b']",
        "[url:value = 'a' AND url:value = 'b']",
        "[file:hashes.MD5 = 'a']",
        "[url:value = 'a",
        "[url:value = 'a'AND]",
        "[]",
        "",
        "[url:value = 'a' AND ]",
    ],
)
def test_other_patterns_are_not_guessed_at(pattern: str) -> None:
    assert read_pattern(pattern) is None


# Others' objects


def foreign(**more: Any) -> bytes:
    base = {
        "type": "indicator", "spec_version": "2.1",
        "id": "indicator--48326ebb-b135-4754-94b8-a23cfb88d1a5",
        "created": "2026-01-05T03:00:00.000Z", "modified": "2026-01-05T03:00:00.000Z",
        "pattern": "[url:value = 'https://example.com/']", "pattern_type": "stix",
        "valid_from": "2026-01-05T03:00:00Z",
    }  # fmt: skip
    return json.dumps(base | more).encode()


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"type": "malware"}, "$.type"),
        ({"type": 7}, "$.type"),
        ({"id": "campaign--48326ebb-b135-4754-94b8-a23cfb88d1a5"}, "$.id"),
        ({"id": "indicator--1"}, "$.id"),
        ({"spec_version": "2.0"}, "$.spec_version"),
        ({"created": "yesterday"}, "$.created"),
        ({"pattern": None}, "$.pattern"),
        ({"confidence": 101}, "$.confidence"),
        ({"labels": ["x"] * 201}, "$.labels"),
        ({"description": "x" * 20_001}, "$.description"),
        ({"name": "a\0b"}, "$"),
    ],
)
def test_a_wrong_object_is_refused_with_the_place(more: dict[str, Any], where: str) -> None:
    with pytest.raises(reading.NotKept) as caught:
        reading.check_object(foreign(**more))
    assert caught.value.where == where


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"7", b"[" * 100_000, b'{"type":"url"}'])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(reading.NotKept):
        reading.check_object(body)


def test_a_huge_object_is_refused_before_it_is_read() -> None:
    with pytest.raises(reading.NotKept, match="longer than"):
        reading.check_object(foreign(name="x" * reading.OBJECT_BYTES_MAX))


def test_what_has_no_place_is_named() -> None:
    checked = reading.check_object(
        foreign(x_secret=1, extensions={"extension-definition--x": {"a": [1]}})
    )
    assert {lost.path for lost in checked.lost} == {
        "$.x_secret", "$.extensions.extension-definition--x",
    }  # fmt: skip
    found = reading.read_objects([checked.object], country="TH", otherwise=Marking.AMBER)
    assert found.objects[0].fields["value"] == "https://example.com/"
    assert found.objects[0].marking is Marking.AMBER


@pytest.mark.parametrize(
    ("refs", "marking"),
    [
        ([], Marking.AMBER),
        (["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"], Marking.CLEAR),
        (["marking-definition--826578e1-40ad-459f-bc73-ede076f81f37"], Marking.AMBER_STRICT),
        (["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9", MARKING_IDS[Marking.RED]],
         Marking.RED),
        (["marking-definition--48326ebb-b135-4754-94b8-a23cfb88d1a5"], Marking.RED),
        ([PAP_GREEN], Marking.AMBER),
        ([PAP_GREEN, MARKING_IDS[Marking.GREEN]], Marking.GREEN),
        ([PAP_AMBER, MARKING_IDS[Marking.GREEN]], Marking.RED),
    ],
)  # fmt: skip
def test_the_strictest_marking_counts_and_an_unknown_one_is_red(
    refs: list[str], marking: Marking
) -> None:
    assert marking_of(refs, otherwise=Marking.AMBER)[0] is marking


@pytest.mark.parametrize(
    "pattern",
    [
        "[user-account:account_type = 'bank' AND user-account:account_login = '1234567890']",
        "[bank-account:account_number = '1234567890']",
        "[user-account:account_type = 'unix' AND user-account:account_login = 'root']",
        "[file:name = 'x']",
        "[phone-number:value = 'not a number']",
    ],
)
def test_what_is_no_identifier_is_reported(pattern: str) -> None:
    checked = reading.check_object(foreign(pattern=pattern))
    found = reading.read_objects([checked.object], country="TH", otherwise=Marking.AMBER)
    assert found.objects == ()
    assert found.lost[0].path.endswith(".pattern")


def test_an_extension_cannot_change_what_is_looked_for() -> None:
    details = {extensions.DETAILS: {"fields": {"value": "https://bank.example/", "nonsense": 1,
                                               "reports": "many", "tier": "high"}}}  # fmt: skip
    checked = reading.check_object(foreign(extensions=details))
    found = reading.read_objects([checked.object], country="TH", otherwise=Marking.AMBER)
    assert found.objects[0].fields["value"] == "https://example.com/"
    assert found.objects[0].fields["tier"] == "high"
    assert len(found.lost) == 3


def test_observables_alone_and_unknown_definitions_are_reported() -> None:
    objects = [
        model.Url(id=ids.observable_id(model.Url, {"value": "https://a.example/"}),
                  value="https://a.example/"),
        model.MarkingDefinition(
            id=f"marking-definition--{uuid.uuid4()}", created=stix_time(CREATED)
        ),
    ]  # fmt: skip
    found = reading.read_objects(objects, country="TH", otherwise=Marking.AMBER)
    assert found.objects == ()
    assert found.lost_count == 2


def test_misp_stix_makes_a_value_of_every_identifier() -> None:
    import misp_stix_converter

    written = [
        one
        for kind, value in IDENTIFIERS
        for one in write_object(indicator(kind, value), how(Profile.MISP)).objects
    ]
    everything = [*supporting(how(Profile.MISP), highest=Marking.RED), *written]
    bundle = bundle_of(everything, number=str(uuid.uuid4()))
    parser = misp_stix_converter.ExternalSTIX2toMISPParser()
    parser.load_stix_bundle(stix2.parse(encode(bundle).decode(), allow_custom=True))
    parser.parse_stix_bundle(single_event=True)
    event = parser.misp_event
    values = {attribute.value for attribute in event.attributes}
    for one in event.objects:
        values |= {a.value for a in one.attributes if a.object_relation == "username"}
    wanted = [observed(*one, how=how(Profile.MISP).observing).properties for one in IDENTIFIERS]
    assert values == {found.get("account_login", found.get("value")) for found in wanted}
