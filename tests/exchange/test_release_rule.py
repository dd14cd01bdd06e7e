"""Nothing leaves without a grant: the rule against an oracle that knows nothing of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.exchange.agreement import (
    Agreement,
    AgreementState,
    Grant,
    Minimisation,
    Terms,
)
from openaoc.exchange.minimise import minimise
from openaoc.exchange.model import Contact
from openaoc.exchange.objects import (
    FIELDS,
    REFS,
    FieldClass,
    FieldForm,
    Fields,
    ObjectKind,
    SharedObject,
    class_of,
    keyed_object_id,
)
from openaoc.exchange.release import Approval, Asked, Reason, Released, Withheld, judge
from openaoc.kernel.markings import Marking, strictest
from openaoc.kernel.offences import Offence

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = b"k" * 32
DESK = Contact(name="Desk", email="desk@centre.example")
KINDS = tuple(ObjectKind)
IDENTIFIERS = ("phone", "bank_account", "national_id")
MARKS = ("clear", "green", "amber", "amber+strict", "red")
OTHER_IDS = tuple(
    keyed_object_id(ObjectKind.INDICATOR, key=KEY, name=str(number)) for number in range(4)
)


def value_of(form: FieldForm, draw: st.DrawFn) -> str | int | tuple[str, ...]:
    if form is FieldForm.NUMBER:
        return draw(st.integers(0, 10**9))
    if form is FieldForm.TIME:
        return "2026-02-03T04:05:06Z"
    text = st.text("abcdefgh0123456789", min_size=1, max_size=12)
    one = form in (FieldForm.TEXT, FieldForm.DOCUMENT)
    return draw(text) if one else tuple(draw(st.lists(text, max_size=3)))


@st.composite
def objects(draw: st.DrawFn) -> SharedObject:
    """Any object a publisher may give."""
    kind = draw(st.sampled_from(KINDS))
    fields: Fields = {}
    for name, field in FIELDS[kind].items():
        if name != "case" and draw(st.booleans()):
            fields[name] = value_of(field.form, draw)
    if "identifier_kind" in FIELDS[kind] and draw(st.booleans()):
        fields["identifier_kind"] = draw(st.sampled_from(IDENTIFIERS))
    modified = NOW - timedelta(days=draw(st.integers(0, 60)))
    return SharedObject(
        id=keyed_object_id(kind, key=KEY, name="it"),
        kind=kind,
        created=modified,
        modified=modified,
        marking=draw(st.sampled_from(Marking)),
        offences=tuple(draw(st.lists(st.sampled_from(tuple(Offence)[:4]), unique=True))),
        fields=fields,
        refs={
            name: tuple(draw(st.lists(st.sampled_from(OTHER_IDS), min_size=1, unique=True)))
            for name in REFS.get(kind, {})
            if draw(st.booleans())
        },
        case=draw(st.sampled_from([None, "AOC-1"])),
        revoked=draw(st.integers(0, 9)) == 0,
        possible_victim=draw(st.integers(0, 9)) == 0,
    )


@st.composite
def agreements(draw: st.DrawFn) -> Agreement:
    """Any agreement, sensible or not: the rule does not rely on what drafting refuses."""
    grants = {}
    for kind in draw(st.lists(st.sampled_from(KINDS), unique=True)):
        names = [*FIELDS[kind], *REFS.get(kind, {})]
        fields = {}
        for name in draw(st.lists(st.sampled_from(names), unique=True)):
            field = FIELDS[kind].get(name)
            fits = [Minimisation.AS_IS, Minimisation.DROPPED]
            if field is not None:
                fits.append(Minimisation.MASKED)
                if field.form in (FieldForm.TEXT, FieldForm.TEXTS):
                    fits.append(Minimisation.PSEUDONYM)
            fields[name] = draw(st.sampled_from(fits))
        grants[kind] = Grant(
            fields=fields,
            identifier_kinds=tuple(draw(st.lists(st.sampled_from(IDENTIFIERS), unique=True))),
        )
    starts = NOW - timedelta(days=draw(st.integers(-3, 30)))
    terms = Terms(
        partner="P",
        purposes=tuple(draw(st.lists(st.sampled_from(tuple(Offence)[:4]), unique=True))),
        legal_basis="a law of the partner",
        grants=grants,
        highest_marking=draw(st.sampled_from(Marking)),
        daily_objects_max=10,
        retention_days=10,
        history_days=draw(st.integers(0, 40)),
        contact=DESK,
        starts_at=starts,
        ends_at=starts + timedelta(days=draw(st.integers(1, 60))),
        personal_basis=draw(st.sampled_from([None, "a law that names persons"])),
    )
    return Agreement(
        id="P.1",
        partner=draw(st.sampled_from(["P", "P", "P", "Q"])),
        version=1,
        state=draw(st.sampled_from([AgreementState.ACTIVE] * 4 + list(AgreementState))),
        terms=terms,
        digest="",
        drafted_by="a",
        drafted_at=NOW,
        changed_at=NOW,
    )


def plainly_allowed(  # noqa: C901, PLR0911 - one rule in words after the other
    one: SharedObject, asked: Asked, name: str
) -> bool:
    """The oracle: may this field leave at all? Written from the rules in words."""
    agreement = asked.agreement
    if agreement is None or agreement.state.value != "active" or agreement.partner != "P":
        return False
    terms = agreement.terms
    if not terms.starts_at <= NOW < terms.ends_at:
        return False
    if one.possible_victim or one.revoked:
        return False
    if asked.purpose not in terms.purposes or asked.purpose not in one.offences:
        return False
    if MARKS.index(one.marking.value) > MARKS.index(terms.highest_marking.value):
        return False
    old = one.modified < terms.starts_at - timedelta(days=terms.history_days)
    if old and one.id not in asked.reachable:
        return False
    if one.kind not in terms.grants:
        return False
    grant = terms.grants[one.kind]
    named = one.fields.get("identifier_kind") in grant.identifier_kinds
    if one.kind.value in ("indicator", "match") and not named:
        return False
    if grant.fields.get(name, Minimisation.DROPPED).value == "dropped":
        return False
    names_a_person = name in (
        "holder_name", "victim_name", "victim_contact", "national_id", "birth_date", "nationality"
    )  # fmt: skip
    if one.kind.value == "indicator" and name == "value":
        names_a_person = one.fields.get("identifier_kind", "national_id") == "national_id"
    if one.kind.value == "identity" and name in ("name", "description", "contact"):
        names_a_person = one.fields.get("identity_class") in (None, "individual", "unknown")
    if names_a_person:
        approved = asked.approval is not None and name in asked.approval.fields
        return approved and terms.personal_basis is not None
    return True


@settings(max_examples=600, deadline=None)
@given(
    one=objects(),
    agreement=st.one_of(st.none(), agreements()),
    purpose=st.sampled_from(tuple(Offence)[:4]),
    approved=st.sampled_from([None, (), ("value", "holder_name", "name", "victim_name")]),
    reachable=st.sets(st.sampled_from(OTHER_IDS)),
    had=st.booleans(),
)
def test_no_field_leaves_without_a_grant(
    one: SharedObject,
    agreement: Agreement | None,
    purpose: Offence,
    approved: tuple[str, ...] | None,
    reachable: set[str],
    *,
    had: bool,
) -> None:
    approval = None if approved is None else Approval(fields=frozenset(approved), by="a")
    asked = Asked(
        agreement=agreement,
        partner="P",
        purpose=purpose,
        now=NOW,
        key=KEY,
        reachable=reachable | ({one.id} if had else set()),
        approval=approval,
    )
    everything = {**one.fields, **({"case": one.case} if one.case else {})}
    allowed = {name for name in everything if plainly_allowed(one, asked, name)}
    refs = {
        name: tuple(ref for ref in ids if ref in reachable)
        for name, ids in one.refs.items()
        if plainly_allowed(one, asked, name)
    }
    result = judge(one, asked)
    if isinstance(result, Withheld):
        whole = all(
            refs.get(name) == one.refs.get(name, "missing")
            for name, ref in REFS.get(one.kind, {}).items()
            if ref.required
        )
        assert result.reasons
        assert not (allowed and whole), "what may leave was kept back"
        return
    left = result.object
    assert set(left.fields) == allowed
    assert left.refs == {name: ids for name, ids in refs.items() if ids}
    assert set(everything) - allowed <= set(result.withheld)
    assert agreement is not None
    for name, value in left.fields.items():
        how = agreement.terms.grants[one.kind].fields[name]
        if how is Minimisation.AS_IS:
            assert value == everything[name]
        elif how is Minimisation.PSEUDONYM:
            assert value != everything[name] or value == ()


def test_a_pseudonym_is_one_partners_and_one_months() -> None:
    def pseudonym(text: str, *, key: bytes, scope: str = "identifier:phone") -> object:
        form, how = FieldForm.TEXT, Minimisation.PSEUDONYM
        return minimise(text, how, form=form, scope=scope, key=key)

    first = pseudonym("+66812345678", key=KEY)
    assert first == pseudonym("+66812345678", key=KEY)
    assert first != pseudonym("+66812345679", key=KEY)
    assert first != pseudonym("+66812345678", key=b"x" * 32)
    assert first != pseudonym("+66812345678", key=KEY, scope="identifier:promptpay")


@pytest.mark.parametrize(
    ("value", "form", "left"),
    [
        ("+66812345678", FieldForm.TEXT, "••••5678"),
        ("abc", FieldForm.TEXT, "••••c"),
        ("ab", FieldForm.TEXT, "••••"),
        (("somchai", "x"), FieldForm.TEXTS, ("••••ai", "••••")),
        (83_412, FieldForm.NUMBER, 80_000),
        (-7, FieldForm.NUMBER, -7),
        (0, FieldForm.NUMBER, 0),
        ("2026-02-03T04:05:06.7Z", FieldForm.TIME, "2026-02-03T00:00:00Z"),
    ],
)
def test_what_masking_leaves(value: object, form: FieldForm, left: object) -> None:
    assert isinstance(value, str | int | tuple)
    assert minimise(value, Minimisation.MASKED, form=form, scope="s", key=KEY) == left


def test_markings_are_ordered() -> None:
    assert [one.value for one in sorted(Marking, key=lambda m: m.rank)] == list(MARKS)
    assert strictest(Marking.GREEN, Marking.AMBER_STRICT, Marking.AMBER) is Marking.AMBER_STRICT
    assert Marking.AMBER.within(Marking.AMBER_STRICT)
    assert not Marking.RED.within(Marking.AMBER_STRICT)


def test_every_field_of_a_person_is_known_as_one() -> None:
    personal = {
        name
        for kind in ObjectKind
        for name, field in FIELDS[kind].items()
        if field.kind is FieldClass.PERSONAL and kind is not ObjectKind.REFERRAL
    }
    assert {FIELDS[ObjectKind.REFERRAL][name].kind for name in FIELDS[ObjectKind.REFERRAL]} == {
        FieldClass.PERSONAL,
        FieldClass.OPERATIONAL,  # the case number
    }
    assert personal == {
        "holder_name",
        "victim_name",
        "victim_contact",
        "national_id",
        "birth_date",
        "nationality",
    }


def test_an_indicator_that_names_a_person_is_personal() -> None:
    one = SharedObject(
        id=keyed_object_id(ObjectKind.INDICATOR, key=KEY, name="it"),
        kind=ObjectKind.INDICATOR,
        created=NOW,
        modified=NOW,
        marking=Marking.CLEAR,
        offences=(Offence.JOB,),
        fields={"identifier_kind": "national_id", "value": "1101700230708"},
    )
    assert class_of(one, "value") is FieldClass.PERSONAL


def test_without_an_agreement_that_is_the_reason() -> None:
    one = SharedObject(
        id=keyed_object_id(ObjectKind.INDICATOR, key=KEY, name="it"),
        kind=ObjectKind.INDICATOR,
        created=NOW,
        modified=NOW,
        marking=Marking.RED,
        offences=(Offence.JOB,),
        possible_victim=True,
    )
    asked = Asked(agreement=None, partner="P", purpose=Offence.JOB, now=NOW, key=KEY)
    result = judge(one, asked)
    assert not isinstance(result, Released)
    assert result.reasons == (Reason.NO_AGREEMENT,)
