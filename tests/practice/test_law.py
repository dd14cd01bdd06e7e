"""Legal rules between two centres: signed and versioned, read beside ours, never acted upon."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from openaoc.channels.signing import new_signing_key, sign
from openaoc.exchange.objects import ObjectKind, new_object_id
from openaoc.holds.legal import rulebook
from openaoc.kernel.errors import BadInput
from openaoc.kernel.offences import Offence
from openaoc.practice.model import (
    BadPackage,
    Bundle,
    Measured,
    NeverActs,
    NotMeasured,
    PackageKind,
)
from openaoc.practice.sealing import bundle_bytes, opened
from openaoc.practice.typology import Typology
from openaoc.storage.canonical import canonical_json
from tests.conftest import START
from tests.exchange.two import Country
from tests.practice.test_two_centres import NEW, fetch, make
from tests.workflow.centre import INVESTIGATOR, SECOND, SUPERVISOR


def test_legal_rules_travel_to_be_read_and_never_act(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    law = msgspec.structs.replace(NEW, typology=None, rules="VN")
    package = make(home, law)
    assert fetch(abroad, home).taken == 1
    with abroad.database.uow.read(INVESTIGATOR) as tx:
        practising = abroad.matter.practising
        found = {one.column: one for one in practising.rules(tx, ("VN", "TH")).jurisdictions}
        assert list(found) == ["VN", f"VN ({home.code})", "TH"]
        theirs = found[f"VN ({home.code})"]
        assert (theirs.rules, theirs.may_go_live) == (found["VN"].rules, False)
        assert theirs.sent is not None
        assert (theirs.sent.partner, theirs.sent.package) == (home.code, package)
        assert practising.rules(tx).jurisdictions != [*found.values()], "all, when none is named"
    for actor in (SUPERVISOR, SECOND):
        with abroad.database.uow.begin(actor) as tx, pytest.raises(NeverActs):
            abroad.matter.practising.packages.take_on(tx, package, reason="we like it")
    measured = Measured(on="some", at=START.date(), looked=1, right=0, wrong=0, missed=0)
    wrong = msgspec.structs.replace(law, error=measured)
    with home.database.uow.begin(INVESTIGATOR) as tx, pytest.raises(BadPackage, match="measured"):
        home.matter.practising.packages.make(tx, wrong)

    home.clock.advance(timedelta(days=1))
    newer = make(home, msgspec.structs.replace(law, replaces=package))
    fetch(abroad, home)

    def sent() -> list[str]:
        with abroad.database.uow.read(INVESTIGATOR) as tx:
            sheets = abroad.matter.practising.rules(tx).jurisdictions
        return [one.sent.package for one in sheets if one.sent is not None]

    assert sent() == [newer]
    with home.database.uow.begin(SUPERVISOR) as tx:
        home.matter.practising.packages.withdraw(tx, newer, reason="a figure was wrong")
    home.matter.sharing.publishing.publish_due()
    fetch(abroad, home)
    assert sent() == [package], "the version before is what they say again"
    with abroad.database.uow.begin(SUPERVISOR) as tx:
        abroad.matter.sharing.agreements.suspend(tx, f"{home.code}.1", reason="a leak")
    assert sent() == []


VIETNAM = rulebook("VN")
FIRST = VIETNAM.rule[0]
HOSTILE = msgspec.structs.replace(FIRST.reason, en="{amount:>9999999999}")
HOSTILE_RULE = msgspec.structs.replace(FIRST, reason=HOSTILE)
ENDLESS = msgspec.structs.replace(FIRST, longest_from="law", source="x" * 2_001)
KEY = new_signing_key()
LAW = Bundle(
    format="openaoc-package-1",
    id=new_object_id(ObjectKind.PACKAGE),
    kind=PackageKind.RULES,
    name="Law of Vietnam",
    summary="As its centre goes by it",
    author="VN-AOC",
    version=1,
    licence="CC0-1.0",
    offences=(Offence.MULE_ACCOUNT,),
    made_at=START,
    error=NotMeasured(why="a law has no measured error"),
    rules=VIETNAM,
)


def arrived(bundle: Bundle) -> Bundle:
    """As it is taken from its author."""
    return opened(
        canonical_json(bundle),
        signature=sign(
            canonical_json(bundle),
            key=KEY,
            method="PACKAGE",
            path=f"/{bundle.id}/{bundle.version}",
            now=START,
        ),
        author="VN-AOC",
        keys={KEY.kid: KEY.public()},
        now=START,
    )


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"rule": [HOSTILE_RULE, *VIETNAM.rule[1:]]}, "reason text names"),
        ({"rule": [ENDLESS, *VIETNAM.rule[1:]]}, "too long"),
        ({"name": "Viet\x1b[2Jnam"}, "cannot be printed"),
        ({"default": "nowhere"}, "no rule nowhere"),
        ({"currency": "XXQ"}, "currency"),
        ({"floor_minor": -1}, "positive"),
        ({"jurisdiction": "../TH"}, "two letters"),
        ({"rule": []}, "1 to 100 rules"),
    ],
)
def test_a_partners_rules_that_are_broken_are_refused(wrong: dict[str, Any], why: str) -> None:
    assert arrived(LAW) == LAW
    book = msgspec.structs.replace(VIETNAM, **wrong)
    with pytest.raises(BadInput, match=why):
        arrived(msgspec.structs.replace(LAW, rules=book))


def test_a_package_without_rules_is_the_same_bytes_as_before_there_were_any() -> None:
    typology = Typology(
        payers_min=4, window_minutes=120, passed_on_percent_min=80, within_minutes=60
    )
    other = msgspec.structs.replace(
        LAW, kind=PackageKind.TYPOLOGY, typology=typology, rules=msgspec.UNSET
    )
    assert b"rules" not in bundle_bytes(other)
    assert arrived(other) == other
    for wrong in (
        msgspec.structs.replace(other, rules=VIETNAM),
        msgspec.structs.replace(LAW, rules=msgspec.UNSET),
    ):
        with pytest.raises(BadPackage, match="just what its kind says"):
            arrived(wrong)
