"""Rules of law as data: every file is whole, says who says so, and gates what goes live."""

from __future__ import annotations

import re
from datetime import date, timedelta
from importlib import resources

import msgspec
import pytest

from openaoc.holds.comparing import Sender, SentRules, compare, rules_of
from openaoc.holds.legal import (
    GROUNDS,
    LegalRule,
    NoSuchRule,
    NotConfirmed,
    check_may_go_live,
    check_rulebook,
    ends_at,
    jurisdictions,
    reason_for,
    rulebook,
)
from openaoc.holds.legal import ReasonFacts as Facts
from openaoc.kernel.errors import BadInput
from openaoc.kernel.money import exponents
from openaoc.parties.model import SwitchState
from openaoc.parties.service import Parties
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import UnitOfWork
from tests.conftest import START
from tests.workflow.centre import SECOND, SUPERVISOR

TODAY = date(2026, 1, 5)


def test_there_is_a_file_for_each_of_six_jurisdictions() -> None:
    assert jurisdictions() == ["CN", "MY", "SG", "TH", "US", "VN"]


@pytest.mark.parametrize("code", jurisdictions())
def test_every_file_is_whole(code: str) -> None:
    book = rulebook(code)
    assert book.jurisdiction == code
    assert book.currency in exponents()
    in_force = {rule.ground: rule for rule in book.in_force(TODAY)}
    assert set(in_force) == set(GROUNDS)
    assert in_force["victim_report"].id == book.default
    assert in_force["suspicion"].id == book.suspicion
    assert in_force["measure"].id == book.measure
    assert in_force["victim_report"].extends_to == in_force["police_complaint"].id
    for rule in book.rule:
        assert rule.source
        assert rule.confirmed or rule.longest_from != "law" or rule.links, rule.id
        assert rule.legal_basis.th
        assert rule.legal_basis.en


@pytest.mark.parametrize("code", [c for c in jurisdictions() if c != "TH"])
def test_no_figure_outside_thailand_is_confirmed(code: str) -> None:
    book = rulebook(code)
    assert book.unconfirmed(TODAY) == [rule.id for rule in book.in_force(TODAY)]
    assert not book.restitution.confirmed
    with pytest.raises(NotConfirmed, match=book.default):
        check_may_go_live(f"jurisdiction:{code}", TODAY)


def test_thailand_may_go_live_and_a_country_without_rules_may_not() -> None:
    check_may_go_live("jurisdiction:TH", TODAY)
    check_may_go_live("institution:KBANK", TODAY)
    with pytest.raises(NotConfirmed, match="no legal rules"):
        check_may_go_live("jurisdiction:LA", TODAY)


def test_two_people_cannot_switch_an_unconfirmed_jurisdiction_live(
    uow: UnitOfWork, keys: Keyring
) -> None:
    parties = Parties(keys=keys, may_go_live=check_may_go_live)
    with uow.begin(SUPERVISOR) as tx, pytest.raises(NotConfirmed, match="SG-victim"):
        parties.propose_live(tx, "jurisdiction:SG")
    # A proposal from before a rule lost its confirmation is refused at the second person's word.
    careless = Parties(keys=keys)
    with uow.begin(SUPERVISOR) as tx:
        careless.propose_live(tx, "jurisdiction:SG")
    with uow.begin(SECOND) as tx, pytest.raises(NotConfirmed, match="SG-victim"):
        parties.approve_live(tx, "jurisdiction:SG")
    with uow.begin(SUPERVISOR) as tx:
        (switch,) = parties.switches(tx)
        assert switch.state is SwitchState.PROPOSED
        assert not parties.is_live(tx, jurisdiction="SG", institution="DBS")
    with uow.begin(SUPERVISOR) as tx:
        parties.back_to_shadow(tx, "jurisdiction:SG", reason="not confirmed")
        parties.propose_live(tx, "jurisdiction:TH")
    with uow.begin(SECOND) as tx:
        assert parties.approve_live(tx, "jurisdiction:TH").state is SwitchState.LIVE


def text_of(code: str) -> str:
    return resources.files("openaoc.holds.rules").joinpath(f"{code}.toml").read_text("utf-8")


def test_a_confirmed_rule_with_a_provisional_figure_is_refused() -> None:
    rule = msgspec.to_builtins(rulebook("SG").named("SG-victim", on=TODAY))
    with pytest.raises(msgspec.ValidationError, match="provisional"):
        msgspec.convert({**rule, "confirmed": True}, LegalRule)
    with pytest.raises(msgspec.ValidationError, match="not positive"):
        msgspec.convert({**rule, "longest_hours": 0}, LegalRule)


def test_figures_from_law_are_in_their_sources_words() -> None:
    """A figure that claims to be the law's is written in its source, in hours, days or months."""
    words = {"72": "72", "168": "7 days|seven days", "48": "48 hours"}
    for code in jurisdictions():
        for rule in rulebook(code).rule:
            if rule.longest_from == "law" and not rule.confirmed:
                expected = "3 working days" if code == "VN" else words[str(rule.longest_hours)]
                assert re.search(expected, rule.source), rule.id
    assert "longest_from" in text_of("TH")


def test_comparison_lays_jurisdictions_side_by_side() -> None:
    found = compare(("TH", "CN"), on=TODAY)
    assert [one.jurisdiction for one in found.jurisdictions] == ["TH", "CN"]
    victim = next(row for row in found.grounds if row.ground == "victim_report")
    hours = {code: rule.longest_hours for code, rule in victim.rules.items() if rule is not None}
    assert hours == {"TH": 72, "CN": 48}
    assert rules_of("TH", on=TODAY).may_go_live
    assert not rules_of("CN", on=TODAY).may_go_live
    assert len(compare(on=TODAY).jurisdictions) == len(jurisdictions())
    with pytest.raises(NoSuchRule):
        compare(("XX",), on=TODAY)
    assert compare(("th", "TH"), on=TODAY) == compare(("TH",), on=TODAY)
    before = compare(("TH",), on=date(2020, 1, 1))
    assert all(row.rules["TH"] is None for row in before.grounds)


def test_what_a_partner_sent_stands_beside_and_opens_nothing() -> None:
    made = Sender(partner="US-AOC", package="package--1", version=3, made_at=START)
    book = rulebook("TH")
    sent = [SentRules(sender=made, book=book)]
    sent += [SentRules(sender=made, book=msgspec.structs.replace(book, jurisdiction="LA"))]
    found = compare(("TH", "LA"), on=TODAY, sent=sent)
    assert [one.column for one in found.jurisdictions] == ["TH", "TH (US-AOC)", "LA (US-AOC)"]
    assert [one.may_go_live for one in found.jurisdictions] == [True, False, False]
    assert [list(row.rules) for row in found.grounds] == [
        ["TH", "TH (US-AOC)", "LA (US-AOC)"] for _ in GROUNDS
    ]
    with pytest.raises(NotConfirmed, match="no legal rules"):
        check_may_go_live("jurisdiction:LA", TODAY)
    with pytest.raises(NoSuchRule):
        compare(("MM",), on=TODAY, sent=sent)


@pytest.mark.parametrize(
    "text", ["{name}", "{amount.__class__}", "{0}", "{}", "{amount!r}", "{amount:>99}", "{amount"]
)
def test_a_text_names_what_it_may_and_nothing_else(text: str) -> None:
    book = rulebook("TH")
    reason = msgspec.structs.replace(book.rule[0].reason, th=text)
    rule = msgspec.structs.replace(book.rule[0], reason=reason)
    broken = msgspec.structs.replace(book, rule=[rule, *book.rule[1:]])
    with pytest.raises(BadInput, match=r"text"):
        check_rulebook(broken, where="TH.toml")
    check_rulebook(book, where="TH.toml")


def test_the_holder_reads_the_time_on_their_own_wall() -> None:
    facts = Facts(
        amount_minor=100,
        currency="USD",
        received_at=START,
        ends_at=START + timedelta(hours=1),
        case="AOC-1",
        order="ord_1",
    )
    rule = rulebook("US").named("US-victim", on=TODAY)
    assert "2026-01-04 23:00 -05:00" in reason_for(rule, facts).en


def test_a_measure_has_no_end_of_its_own_to_compute() -> None:
    rule = rulebook("TH").named("TH-measure", on=TODAY)
    with pytest.raises(BadInput, match="names its own end"):
        ends_at(rule, issued_at=START, complaint_at=None, in_doubt=False)
