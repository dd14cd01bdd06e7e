"""Best practice between two centres over HTTP: shared, tried in shadow, taken live, taken back."""

from __future__ import annotations

import functools
from datetime import timedelta

import msgspec
import pytest

from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.model import NoAgreement
from openaoc.exchange.objects import PRACTICE, ObjectKind, ReleasedObject
from openaoc.indicators.model import IndicatorView, SourceKind, Status
from openaoc.kernel.errors import BadInput
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.parties.permissions import NotPermitted
from openaoc.practice.fetching import Fetched
from openaoc.practice.model import (
    BadPackage,
    Measured,
    NewPackage,
    NoSuchPackage,
    NotMeasured,
    NotSignedByPartner,
    NotTriedEnough,
    PackageView,
    SamePerson,
    Standing,
    WrongPackageStep,
)
from openaoc.practice.script_model import (
    ApprovedScript,
    AskedScript,
    LikeScripts,
    Medium,
    NewScript,
    Script,
    ScriptState,
)
from openaoc.practice.trial import Trial, practice_rules
from openaoc.practice.typology import Typology
from tests.exchange.two import Country, grant
from tests.practice.conftest import SHORT
from tests.workflow.centre import INVESTIGATOR, SECOND, SUPERVISOR

COLLECTING = Typology(payers_min=4, window_minutes=120, passed_on_percent_min=80, within_minutes=60)
NEW = NewPackage(
    name="Collecting account",
    summary="Several payers, and soon nearly all of it is gone.",
    licence="CC-BY-4.0",
    offences=(Offence.MULE_ACCOUNT,),
    error=NotMeasured(why="made from twelve cases by hand"),
    typology=COLLECTING,
)


def make(country: Country, new: NewPackage = NEW, *, share: bool = True) -> str:
    """Our own package, shared and published; its id."""
    with country.database.uow.begin(INVESTIGATOR) as tx:
        made = country.matter.practising.packages.make(tx, new)
    if share:
        with country.database.uow.begin(SUPERVISOR) as tx:
            country.matter.practising.packages.share(tx, made.package.id)
        country.matter.sharing.publishing.publish_due()
    return made.package.id


def fetch(country: Country, other: Country) -> Fetched:
    return country.matter.practising.fetching.fetch(other.code)


def shown(country: Country, package: str) -> PackageView:
    with country.database.uow.read(INVESTIGATOR) as tx:
        return country.matter.practising.packages.show(tx, package)


def mule(country: Country, account: str, *, onward: str, first: str) -> str:
    """Four payers, of whom one reports, and soon it is gone; the reported payment."""
    for n in range(3):
        country.pay(f"KBANK:9{n}{account[-3:]}", account, 50_000, ago=timedelta(minutes=50 - n))
    paid = country.pay(first, account, 100_000, ago=timedelta(minutes=40))
    country.pay(account, onward, 245_000, ago=timedelta(minutes=30))
    return paid


def shop(country: Country, account: str) -> str:
    """Four payers, and it stays."""
    for n in range(3):
        country.pay(f"KBANK:8{n}{account[-3:]}", account, 50_000, ago=timedelta(minutes=50 - n))
    return country.pay("KBANK:8888", account, 70_000, ago=timedelta(minutes=40))


def indicator(country: Country, value: str) -> IndicatorView:
    matter = country.matter
    with country.database.uow.read(INVESTIGATOR) as tx:
        found = matter.indicators.page(tx, limit=100).indicators
        one = next(one for one in found if one.value == value)
        return matter.indicators.show(tx, one.id)


def decide(country: Country, value: str, *, good: bool) -> None:
    one = indicator(country, value).indicator.id
    with country.database.uow.begin(INVESTIGATOR) as tx:
        verb = country.matter.indicators.confirm if good else country.matter.indicators.withdraw
        verb(tx, one, reason="looked at it")


def month(country: Country) -> None:
    """Cases with four mules, of which nobody reported the last, and two shops; decided on."""
    for n in range(3):
        onward = "BBL:7004" if n == 0 else f"BBL:600{n}"
        country.file(mule(country, f"SCB:200{n}", onward=onward, first=f"KBANK:100{n}"))
    for n in range(3):
        country.pay(f"KBANK:70{n}", "BBL:7004", 40_000, ago=timedelta(minutes=29))
    country.pay("BBL:7004", "WALLET:1", 360_000, ago=timedelta(minutes=20))
    for n in range(2):
        country.file(shop(country, f"SCB:300{n}"))
    country.matter.duties.run_due()
    country.matter.pursuit.registry.left_work("none")
    for n in range(3):
        decide(country, f"SCB:200{n}", good=True)
    decide(country, "SCB:3000", good=False)


def test_shared_tried_in_shadow_taken_live_by_two_and_taken_back(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    package = make(home)
    assert fetch(abroad, home) == Fetched(partner=home.code, taken=1)
    assert "/v1/centre/practice/page" in home.asked, "over HTTP"
    there = shown(abroad, package).package
    assert (there.standing, there.partner) == (Standing.SHADOW, home.code)
    assert there.bundle == shown(home, package).package.bundle
    month(abroad)
    found = shown(abroad, package).figures
    assert (found.named, found.right, found.wrong, found.missed) == (4, 3, 0, 0)
    assert found.looked >= 8
    with abroad.database.uow.read(INVESTIGATOR) as tx:
        named = abroad.matter.practising.packages.observed(tx, package).observations
    assert {one.account for one in named} == {"2000", "2001", "2002", "7004"}
    assert not any(one.told for one in named), "in shadow nothing happens"
    packages = abroad.matter.practising.packages
    with abroad.database.uow.begin(SUPERVISOR) as tx, pytest.raises(NotTriedEnough, match="0 of 1"):
        packages.take_on(tx, package, reason="it was right")
    abroad.clock.advance(timedelta(days=2))
    with abroad.database.uow.begin(INVESTIGATOR) as tx, pytest.raises(NotPermitted):
        packages.take_on(tx, package, reason="it was right")
    with abroad.database.uow.begin(SUPERVISOR) as tx:
        assert packages.take_on(tx, package, reason="right").package.standing is Standing.SHADOW
    with abroad.database.uow.begin(SUPERVISOR) as tx, pytest.raises(SamePerson):
        packages.take_on(tx, package, reason="it was right")
    with abroad.database.uow.begin(SECOND) as tx:
        assert packages.take_on(tx, package, reason="right").package.standing is Standing.LIVE
    orders = len(abroad.outbox.orders())
    abroad.matter.duties.run_due()
    proposed = indicator(abroad, "BBL:7004")
    assert proposed.indicator.status is Status.PROPOSED
    assert [one.kind for one in proposed.sources] == [SourceKind.TYPOLOGY]
    assert proposed.indicator.reports == 0
    assert proposed.indicator.confidence < 50, "partners hear of it when a person confirmed it"
    assert len(abroad.outbox.orders()) == orders, "a pattern holds nothing"

    with home.database.uow.begin(SUPERVISOR) as tx:
        home.matter.practising.packages.withdraw(tx, package, reason="it named small shops")
    home.matter.sharing.publishing.publish_due()
    again = fetch(abroad, home)
    abroad.matter.duties.run_due()
    assert (again.taken, again.taken_back, again.not_taken) == (0, 1, ())
    assert shown(abroad, package).package.standing is Standing.WITHDRAWN
    assert indicator(abroad, "BBL:7004").indicator.status is Status.WITHDRAWN
    before = shown(abroad, package).figures
    abroad.file(mule(abroad, "SCB:2009", onward="BBL:6009", first="KBANK:1009"))
    abroad.matter.duties.run_due()
    assert shown(abroad, package).figures == before, "what is withdrawn is tried no more"
    with abroad.database.uow.begin(SUPERVISOR) as tx, pytest.raises(WrongPackageStep):
        packages.try_again(tx, package, reason="we liked it")


def test_a_next_version_carries_the_error_that_was_measured_and_replaces_the_last(
    countries: tuple[Country, Country],
) -> None:
    home, _ = countries
    first = make(home)
    home.matter.practising.packages.rules = msgspec.structs.replace(
        practice_rules(), trial=msgspec.structs.replace(SHORT, days_min=0)
    )
    month(home)
    second = make(home, msgspec.structs.replace(NEW, error="from-trial", replaces=first))
    made = shown(home, second).package.bundle
    assert (made.version, made.replaces) == (2, first)
    assert isinstance(made.error, Measured)
    assert (made.error.right, made.error.wrong, made.error.missed) == (3, 0, 0)
    for package in (first, second):
        for actor in (SUPERVISOR, SECOND):
            if package == second:
                home.matter.practising.packages.rules = msgspec.structs.replace(
                    practice_rules(),
                    trial=Trial(days_min=0, looked_min=0, known_min=0, wrong_percent_max=0),
                )
            with home.database.uow.begin(actor) as tx:
                home.matter.practising.packages.take_on(tx, package, reason="tried")
    assert shown(home, first).package.standing is Standing.REPLACED
    assert shown(home, second).package.standing is Standing.LIVE


def test_without_a_grant_nothing_leaves_and_nothing_is_taken(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    package = make(home, share=False)
    home.matter.sharing.publishing.publish_due()
    assert fetch(abroad, home) == Fetched(partner=home.code), "nobody shared it"
    scripts = {ObjectKind.SCRIPT: grant(ObjectKind.SCRIPT)}
    home.agree(abroad, grants=scripts)
    with home.database.uow.begin(SUPERVISOR) as tx:
        home.matter.practising.packages.share(tx, package)
    home.matter.sharing.publishing.publish_due()
    assert fetch(abroad, home) == Fetched(partner=home.code), "it may not leave"
    home.agree(abroad, grants={kind: grant(kind) for kind in PRACTICE})
    abroad.agree(home, grants=scripts)
    home.matter.sharing.publishing.publish_due()
    (why,) = fetch(abroad, home).not_taken
    assert "not agreed on" in why
    with abroad.database.uow.read(INVESTIGATOR) as tx, pytest.raises(NoSuchPackage):
        abroad.matter.practising.packages.show(tx, package)


def test_a_package_is_whole_or_not_at_all(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    grants = dict(home.terms(abroad).grants)
    masked = grant(ObjectKind.PACKAGE)
    fields = {**masked.fields, "bundle": Minimisation.MASKED}
    grants[ObjectKind.PACKAGE] = msgspec.structs.replace(masked, fields=fields)
    with pytest.raises(BadInput, match="cannot be masked"):
        home.agree(abroad, grants=grants)


def released(country: Country, package: str) -> ReleasedObject:
    """What left of it, as it left."""
    with country.database.uow.read(SUPERVISOR) as tx:
        page = country.matter.sharing.exchange.view(tx, "VN-AOC", after=0, limit=10, kinds=PRACTICE)
    return next(one.object for one in page.objects if one.object.id == package)


def test_what_is_not_its_authors_word_is_refused(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    package = make(home)
    good = released(home, package)
    bundle, signature = str(good.fields["bundle"]), str(good.fields["signature"])
    other = released(home, make(home))

    def with_fields(**fields: str) -> ReleasedObject:
        return msgspec.structs.replace(good, fields={**good.fields, **fields})

    faults: list[tuple[ReleasedObject, type[Exception]]] = [
        (
            with_fields(bundle=bundle.replace('"payers_min":4', '"payers_min":2')),
            NotSignedByPartner,
        ),
        (with_fields(signature=str(other.fields["signature"])), NotSignedByPartner),
        (with_fields(signature="x"), NotSignedByPartner),
        (with_fields(bundle=bundle.replace("TH-AOC", "XX-AOC")), NotSignedByPartner),
        (with_fields(bundle=bundle + " "), BadPackage),
        (with_fields(bundle="{}"), BadPackage),
        (with_fields(bundle=bundle.replace('"version":1', '"version":2')), BadPackage),
        (msgspec.structs.replace(good, fields={}), BadInput),
        (msgspec.structs.replace(good, marking=Marking.RED), NoAgreement),
        (msgspec.structs.replace(good, kind=ObjectKind.INDICATOR), NoAgreement),
    ]
    for fault, error in faults:
        with abroad.database.uow.begin(INVESTIGATOR) as tx, pytest.raises(error):
            abroad.matter.practising.bring(tx, home.code, fault)
    with abroad.database.uow.read(INVESTIGATOR) as tx:
        assert abroad.matter.practising.packages.listed(tx).packages == []
    for _ in range(2):
        with abroad.database.uow.begin(INVESTIGATOR) as tx:
            assert abroad.matter.practising.bring(tx, home.code, good)
    assert shown(abroad, package).package.signature == signature
    with abroad.database.uow.read(INVESTIGATOR) as tx:
        assert len(abroad.matter.practising.packages.listed(tx).packages) == 1


def test_a_suspended_agreement_stops_what_its_partner_sent(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    package = make(home)
    fetch(abroad, home)
    with abroad.database.uow.begin(SUPERVISOR) as tx:
        abroad.matter.sharing.agreements.suspend(tx, f"{home.code}.1", reason="a leak")
    month_before = shown(abroad, package).figures
    abroad.file(mule(abroad, "SCB:2000", onward="BBL:6000", first="KBANK:1000"))
    abroad.matter.duties.run_due()
    assert shown(abroad, package).figures == month_before
    assert fetch(abroad, home).error is not None


def test_a_partner_that_is_down_is_asked_again(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    make(home)
    for fault in ("down", "cut", "lost"):
        home.fault = functools.partial(str, fault)
        assert fetch(abroad, home).error is not None
    home.fault = lambda: None
    assert fetch(abroad, home).taken == 1
    assert fetch(abroad, home) == Fetched(partner=home.code)


# Scripts.

SAID = (
    "Officer Krit called me, Somchai Jaidee, from 081-234-5678: a parcel with six passports was "
    "stopped at customs, I am wanted for money laundering, I must transfer everything to the safe "
    "account SCB 2001 for inspection and tell nobody. Then he sent www.dsi-check.example."
)


def script(country: Country, case: str, text: str | None = None) -> Script:
    new = NewScript(
        language="en",
        medium=Medium.CALL,
        offences=(Offence.TELEPHONE_THREAT,),
        case=case,
        text=text,
        names=("Krit",),
        reason="others should know how they speak",
    )
    with country.database.uow.begin(INVESTIGATOR) as tx:
        return country.matter.practising.scripts.draft(tx, new)


def approve(country: Country, one: Script) -> Script:
    said = ApprovedScript(reason="read it: nobody can be told from it")
    with country.database.uow.begin(SUPERVISOR) as tx:
        return country.matter.practising.scripts.approve(tx, one.id, said)


def find(country: Country, text: str) -> LikeScripts:
    with country.database.uow.read(INVESTIGATOR) as tx:
        return country.matter.practising.scripts.find(tx, AskedScript(text=text))


def test_a_script_leaves_without_personal_data_and_is_found_in_another_language(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    paid = home.pay("KBANK:1001", "SCB:2001", 100_000)
    case = home.file(paid, narrative=SAID).case
    drafted = script(home, case)
    for gone in ("Somchai", "Jaidee", "Krit", "5678", "2001", "dsi-check"):
        assert gone not in drafted.text
    assert drafted.removed == {"account": 1, "name": 2, "phone": 1, "url": 1}
    home.matter.sharing.publishing.publish_due()
    assert fetch(abroad, home).taken == 0, "nobody has read it yet"
    approve(home, drafted)
    home.matter.sharing.publishing.publish_due()
    assert fetch(abroad, home).taken == 1
    asked = (
        "Đây là công an. Hải quan phát hiện bưu kiện của anh có hộ chiếu, anh liên quan vụ rửa "
        "tiền, phải chuyển khoản vào tài khoản an toàn và giữ bí mật."
    )
    (found,) = find(abroad, asked).found
    assert found.script.text == drafted.text
    assert found.script.case_id is None, "its case number stays at home"
    assert found.meaning >= 40 > found.wording
    assert "laundering" in found.shared
    assert find(abroad, "Dinner at seven? I will bring the cake.").found == []
    with home.database.uow.begin(SUPERVISOR) as tx:
        home.matter.practising.scripts.withdraw(tx, drafted.id, reason="somebody can be told")
    home.matter.sharing.publishing.publish_due()
    assert fetch(abroad, home).taken_back == 1
    assert find(abroad, asked).found == []
    with abroad.database.uow.read(INVESTIGATOR) as tx:
        assert abroad.matter.practising.scripts.show(tx, drafted.id).state is ScriptState.WITHDRAWN


def test_what_a_partner_overlooked_does_not_stay(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    case = home.file(home.pay("KBANK:1001", "SCB:2001", 100_000), narrative=SAID).case
    one = approve(home, script(home, case))
    home.matter.sharing.publishing.publish_due()
    left = released(home, one.id)
    dirty = msgspec.structs.replace(
        left, fields={**left.fields, "text": f"{left.fields['text']} call 081-999-8888"}
    )
    with abroad.database.uow.begin(INVESTIGATOR) as tx:
        abroad.matter.practising.bring(tx, home.code, dirty)
    with abroad.database.uow.read(INVESTIGATOR) as tx:
        assert "9998888" not in abroad.matter.practising.scripts.show(tx, one.id).text
        kept = abroad.matter.practising.scripts.show(tx, one.id)
    assert kept.text.endswith("call [phone]")
    for field, value in (("medium", "dream"), ("language", "<b>"), ("seen", "yesterday")):
        fields = {**left.fields, field: value}
        with abroad.database.uow.begin(INVESTIGATOR) as tx, pytest.raises(BadInput):
            abroad.matter.practising.bring(
                tx, home.code, msgspec.structs.replace(left, fields=fields)
            )
