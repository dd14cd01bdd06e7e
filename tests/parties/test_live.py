"""From shadow to live by two people, back by one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput, Conflict, Refused
from openaoc.parties.model import (
    PROPOSAL_LIFE,
    FourEyes,
    InstitutionKind,
    NoProposal,
    SwitchState,
    UnknownInstitution,
)
from openaoc.parties.service import Parties
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import UnitOfWork

SCOPES = ("jurisdiction:TH", "institution:KBANK")


@pytest.fixture
def parties(keys: Keyring) -> Parties:
    return Parties(keys=keys)


@pytest.fixture
def people(uow: UnitOfWork, parties: Parties) -> tuple[Actor, Actor]:
    """Two supervisors, signed in; KBANK exists."""
    with uow.begin(SYSTEM, purpose="test") as tx:
        parties.add_institution(
            tx, code="KBank", name="K", kind=InstitutionKind.BANK, jurisdiction="TH"
        )
        texts = [parties.add_user(tx, name=n, role=Role.SUPERVISOR)[1] for n in ("One", "Two")]
    with uow.read(SYSTEM) as tx:
        one, two = (parties.authenticate(tx, text) for text in texts)
    return one, two


@pytest.mark.parametrize("scope", SCOPES)
def test_two_people_switch_live_and_one_stops(
    uow: UnitOfWork, parties: Parties, people: tuple[Actor, Actor], scope: str
) -> None:
    one, two = people
    with uow.begin(one) as tx:
        assert parties.propose_live(tx, scope).state is SwitchState.PROPOSED
    with uow.begin(two) as tx:
        assert parties.approve_live(tx, scope).state is SwitchState.LIVE
    with uow.begin(two) as tx:
        assert parties.back_to_shadow(tx, scope, reason="test").state is SwitchState.SHADOW
        with pytest.raises(NoProposal):
            parties.approve_live(tx, scope)


def test_live_needs_jurisdiction_and_institution(
    uow: UnitOfWork, parties: Parties, people: tuple[Actor, Actor]
) -> None:
    one, two = people
    seen = []
    for scope in SCOPES:
        with uow.begin(one) as tx:
            parties.propose_live(tx, scope)
        with uow.begin(two) as tx:
            parties.approve_live(tx, scope)
        with uow.read(SYSTEM) as tx:
            seen.append(parties.is_live(tx, jurisdiction="TH", institution="kbank"))
            assert not parties.is_live(tx, jurisdiction="TH", institution="UNKNOWN")
    assert seen == [False, True]
    with uow.read(SYSTEM) as tx:
        assert parties.institution(tx, "kbank").live


def test_a_second_key_is_not_a_second_person(
    uow: UnitOfWork, parties: Parties, people: tuple[Actor, Actor]
) -> None:
    one, _ = people
    with uow.begin(one) as tx:
        parties.propose_live(tx, SCOPES[0])
        second = parties.rotate_key(tx, key_id=parties.keys(tx, one.id)[0].id)
    with uow.read(SYSTEM) as tx:
        same = parties.authenticate(tx, second)
    with uow.begin(same) as tx, pytest.raises(FourEyes):
        parties.approve_live(tx, SCOPES[0])
    with uow.read(SYSTEM) as tx:
        assert not parties.is_live(tx, jurisdiction="TH", institution="KBANK")


def test_whoever_renews_a_proposal_is_its_proposer(
    uow: UnitOfWork, parties: Parties, people: tuple[Actor, Actor]
) -> None:
    one, two = people
    with uow.begin(one) as tx:
        parties.propose_live(tx, SCOPES[0])
    with uow.begin(two) as tx:
        parties.propose_live(tx, SCOPES[0])
        with pytest.raises(FourEyes):
            parties.approve_live(tx, SCOPES[0])
    with uow.begin(one) as tx:
        assert parties.approve_live(tx, SCOPES[0]).approved_by == one.id


def test_a_proposal_ages(
    uow: UnitOfWork, parties: Parties, people: tuple[Actor, Actor], clock: ManualClock
) -> None:
    one, two = people
    with uow.begin(one) as tx:
        parties.propose_live(tx, SCOPES[0])
    clock.advance(PROPOSAL_LIFE + timedelta(seconds=1))
    with uow.begin(two) as tx, pytest.raises(NoProposal):
        parties.approve_live(tx, SCOPES[0])


def test_the_centre_itself_and_other_roles_switch_nothing_live(
    uow: UnitOfWork, parties: Parties, people: tuple[Actor, Actor]
) -> None:
    one, _ = people
    with uow.begin(one) as tx:
        parties.propose_live(tx, SCOPES[0])
    for role in (Role.SYSTEM, Role.INVESTIGATOR, Role.AGENT, Role.OVERSIGHT, Role.CITIZEN):
        actor = Actor(id="usr_other", roles=frozenset({role}))
        with uow.begin(actor) as tx, pytest.raises(Refused):
            parties.approve_live(tx, SCOPES[0])


def test_live_twice_and_unknown_scopes_are_refused(
    uow: UnitOfWork, parties: Parties, people: tuple[Actor, Actor]
) -> None:
    one, two = people
    with uow.begin(one) as tx:
        parties.propose_live(tx, SCOPES[0])
    with uow.begin(two) as tx:
        parties.approve_live(tx, SCOPES[0])
        with pytest.raises(Conflict):
            parties.propose_live(tx, SCOPES[0])
        with pytest.raises(UnknownInstitution):
            parties.propose_live(tx, "institution:NOBODY")
        for bad in ("TH", "jurisdiction:Thailand", "institution:", "region:TH"):
            with pytest.raises(BadInput):
                parties.propose_live(tx, bad)
