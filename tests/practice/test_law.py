"""Legal rules between two centres: signed and versioned, read beside ours, never acted upon."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from openaoc.exchange.objects import ReleasedObject
from openaoc.holds.legal import Rulebook
from openaoc.kernel.errors import BadInput
from openaoc.practice.model import BadPackage, Measured, NeverActs
from openaoc.practice.publishing import shared_package
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


def test_a_partners_rules_that_are_broken_are_refused(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    with home.database.uow.begin(INVESTIGATOR) as tx:
        packages = home.matter.practising.packages
        made = packages.make(tx, msgspec.structs.replace(NEW, typology=None, rules="VN")).package
    book = made.bundle.rules
    assert isinstance(book, Rulebook)
    texts = msgspec.structs.replace(book.rule[0].reason, en="{amount:>9999999999}")
    hostile = [msgspec.structs.replace(book.rule[0], reason=texts), *book.rule[1:]]
    for wrong in (
        msgspec.structs.replace(book, rule=hostile),
        msgspec.structs.replace(book, name="Viet\x1b[2Jnam"),
        msgspec.structs.replace(book, default="nowhere"),
        msgspec.structs.replace(book, currency="XXQ"),
        msgspec.structs.replace(book, jurisdiction="../TH"),
        msgspec.structs.replace(book, rule=[]),
    ):
        bundle = msgspec.structs.replace(made.bundle, rules=wrong)
        signature = packages._signature(tx, bundle)
        one = shared_package(msgspec.structs.replace(made, bundle=bundle, signature=signature))
        left = ReleasedObject(
            id=one.id,
            kind=one.kind,
            created=one.created,
            modified=one.modified,
            marking=one.marking,
            fields=one.fields,
        )
        with abroad.database.uow.begin(INVESTIGATOR) as tx2, pytest.raises(BadInput):
            abroad.matter.practising.bring(tx2, home.code, left)
