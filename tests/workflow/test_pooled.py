"""Pooled accounts: traces stop there, and who may say that they do."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from openaoc.kernel.actor import CITIZEN, Actor
from openaoc.kernel.errors import BadInput, Refused
from openaoc.ledger.table import transfers_from_rows
from openaoc.parties import model
from openaoc.parties.model import (
    PooledAccount,
    PooledKind,
    PooledState,
    TooManyPooled,
    UnknownInstitution,
    UnknownPooled,
)
from openaoc.parties.permissions import NotPermitted
from openaoc.tracing import crowds
from tests.workflow.centre import (
    ADMIN,
    AGENT,
    INVESTIGATOR,
    SUPERVISOR,
    Centre,
    liaison,
    machine,
)

WHY = "the acquirer's settlement account"


def add(centre: Centre, account: str, *, who: Actor = SUPERVISOR) -> PooledAccount:
    bank, number = account.split(":")
    with centre.database.uow.begin(who) as tx:
        return centre.matter.pooled.add(
            tx, code=bank, account=number, kind=PooledKind.ACQUIRER, reason=WHY
        )


def remove(centre: Centre, account: str) -> None:
    bank, number = account.split(":")
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.pooled.remove(tx, code=bank, account=number, reason="it is one shop's")


def active(centre: Centre, case: str) -> list[tuple[str, str, int]]:
    ended = {"withdrawn", "released", "refused", "expired"}
    return [
        (o.institution, o.account, o.amount_minor)
        for o in centre.orders(case)
        if o.state.value not in ended
    ]


def located(centre: Centre, case: str) -> list[tuple[str, bool]]:
    with centre.database.uow.begin(SUPERVISOR) as tx:
        return [(a.account, a.hub) for a in centre.matter.cases.show(tx, case).located]


def test_what_is_listed_stops_open_traces_and_later_ones(centre: Centre) -> None:
    centre.pay("KBANK:1", "SCB:500", 100_000, ago=timedelta(minutes=5), name="a")
    centre.pay("SCB:500", "BBL:7", 100_000, ago=timedelta(minutes=4))
    first = centre.file("a").case
    assert active(centre, first) == [("BBL", "7", 100_000)]
    assert add(centre, "SCB:500").state is PooledState.CONFIRMED
    centre.matter.duties.run_due()
    assert active(centre, first) == []
    assert located(centre, first) == [("500", True)]
    centre.pay("KBANK:2", "SCB:500", 40_000, name="b")
    second = centre.file("b")
    assert second.orders == []
    assert second.located_minor == 40_000
    remove(centre, "SCB:500")
    centre.matter.duties.run_due()
    assert located(centre, first) != [("500", True)]


def test_an_account_listed_before_its_first_transfer_is_known_with_it(centre: Centre) -> None:
    add(centre, "SCB:500")
    centre.pay("KBANK:1", "SCB:500", 100_000, name="a")
    assert centre.matter.pooling.refresh() == 1
    assert centre.matter.pooling.refresh() == 0
    assert centre.file("a").orders == []


def test_the_list_is_known_again_after_a_start(centre: Centre) -> None:
    centre.pay("KBANK:1", "SCB:500", 100_000, name="a")
    add(centre, "SCB:500")
    centre.matter = centre.build()
    assert centre.matter.pooling.refresh() == 1
    assert centre.file("a").orders == []


def test_an_institution_proposes_its_own_and_a_person_confirms(centre: Centre) -> None:
    centre.pay("KBANK:1", "SCB:500", 100_000, name="a")
    proposed = add(centre, "SCB:5-00", who=machine("SCB"))
    assert (proposed.state, proposed.account) == (PooledState.PROPOSED, "500")
    assert [o.state for o in centre.file("a").orders] == ["issued"], "a proposal shields nobody"
    with centre.database.uow.read(machine("SCB")) as tx:
        assert [a.account for a in centre.matter.pooled.listed(tx, code="SCB")] == ["500"]
    with centre.database.uow.read(machine("BBL")) as tx, pytest.raises(Refused):
        centre.matter.pooled.listed(tx, code="SCB")
    confirmed = add(centre, "SCB:500", who=ADMIN)
    assert (confirmed.proposed_by, confirmed.confirmed_by) == ("usr_scb", ADMIN.id)
    assert add(centre, "SCB:500", who=machine("SCB")) == confirmed, "confirmed stays confirmed"


@pytest.mark.parametrize("who", [AGENT, INVESTIGATOR, CITIZEN, liaison("SCB"), machine("BBL")])
def test_who_may_not_list(centre: Centre, who: Actor) -> None:
    with pytest.raises(Refused):
        add(centre, "SCB:500", who=who)
    with pytest.raises(NotPermitted), centre.database.uow.begin(who) as tx:
        centre.matter.pooled.remove(tx, code="SCB", account="500", reason="because")
    with pytest.raises(NotPermitted):
        centre.matter.pooling.find(who)


def test_bad_input_is_refused(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownInstitution):
        add(centre, "NOBODY:1")
    with pytest.raises(BadInput):
        add(centre, "SCB:-")
    with pytest.raises(UnknownPooled):
        remove(centre, "SCB:1")
    with centre.database.uow.begin(SUPERVISOR) as tx, pytest.raises(BadInput):
        centre.matter.pooled.add(tx, code="SCB", account="1", kind=PooledKind.OWN, reason="  ")
    monkeypatch.setattr("openaoc.parties.pooled.POOLED_PER_INSTITUTION_MAX", 1)
    assert model.POOLED_PER_INSTITUTION_MAX > 1
    add(centre, "SCB:1")
    with pytest.raises(TooManyPooled):
        add(centre, "SCB:2")


def test_crowds_are_proposed_once_and_change_nothing_by_themselves(centre: Centre) -> None:
    at = centre.clock.now() - timedelta(hours=1)
    rows = [centre.row(f"KBANK:{n}", "SCB:500", 100, at=at) for n in range(30)]
    rows += [centre.row("SCB:500", f"BBL:{n}", 50, at=at) for n in range(25)]
    rows += [centre.row("KBANK:1", "SCB:600", 100, at=at) for _ in range(80)]
    rows += [centre.row(f"KBANK:{n}", "ELSEWHERE:9", 100, at=at) for n in range(60)]
    centre.ledger.ingest(transfers_from_rows(rows), live=False)
    [found] = centre.matter.pooling.find(ADMIN, counterparties_min=50)
    assert (found.institution, found.account, found.counterparties) == ("SCB", "500", 55)
    assert found.state is PooledState.PROPOSED
    assert centre.matter.pooling.find(ADMIN, counterparties_min=50) == []
    assert centre.matter.pooling.refresh() == 0
    assert add(centre, "SCB:500").counterparties == 55


def test_only_the_busiest_are_looked_at(centre: Centre) -> None:
    at = centre.clock.now() - timedelta(hours=1)
    rows = [centre.row(f"KBANK:{n}", "SCB:500", 100, at=at) for n in range(12)]
    rows += [centre.row(f"KBANK:{n}", "SCB:600", 100, at=at) for n in range(20)]
    centre.ledger.ingest(transfers_from_rows(rows), live=False)
    found = crowds.crowds(centre.ledger.reading, counterparties_min=10, looked_at_max=1)
    assert [crowd.counterparties for crowd in found] == [20]


def test_every_change_is_journalled(centre: Centre) -> None:
    add(centre, "SCB:500", who=machine("SCB"))
    add(centre, "SCB:500")
    remove(centre, "SCB:500")
    with centre.database.uow.read(SUPERVISOR) as tx:
        query = "select action from journal_rows where action like 'parties.pooled.%' order by id"
        actions = tx.connection.execute(sa.text(query)).scalars().all()
    assert actions == [f"parties.pooled.{what}" for what in ("proposed", "confirmed", "removed")]
