"""Money that moves on is followed at once; what stands still is left alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from openaoc.cases.store import cases as case_rows
from openaoc.kernel.actor import SYSTEM
from openaoc.tracing.service import CaseLook
from openaoc.workflow import pursuit
from openaoc.workflow.placing import CasePlan, plan_case
from openaoc.workflow.rhythm import RETRACE_FIRST
from tests.row_order import check_rows_are_taken_by_id
from tests.workflow import invariants
from tests.workflow.centre import SUPERVISOR, Centre


def places(centre: Centre, case: str) -> dict[tuple[str, str], tuple[int, str]]:
    return {
        (o.institution, o.account): (o.amount_minor, o.state.value) for o in centre.orders(case)
    }


def retrace_at(centre: Centre, case: str) -> object:
    with centre.database.uow.read(SYSTEM) as tx:
        return centre.matter.cases.row(tx, case).retrace_at


def test_a_transfer_out_of_a_watched_account_moves_the_order_with_it(centre: Centre) -> None:
    case = centre.file(centre.pay("KBANK:1", "SCB:M", 1_000)).case
    assert centre.matter.pursuit.pursue() == 0
    centre.pay("SCB:M", "BBL:NEXT", 600, ago=timedelta(0))
    assert centre.matter.pursuit.pursue() == 1
    assert places(centre, case) == {
        ("SCB", "M"): (400, "issued"),
        ("BBL", "NEXT"): (600, "issued"),
    }
    assert centre.matter.pursuit.pursue() == 0
    centre.pay("SCB:M", "WALLET:W", 400, ago=timedelta(0))
    centre.pay("BBL:NEXT", None, 600, ago=timedelta(0), channel="cash_withdrawal")
    assert centre.matter.pursuit.pursue() == 1
    assert places(centre, case) == {
        ("SCB", "M"): (400, "withdrawn"),
        ("BBL", "NEXT"): (600, "withdrawn"),
        ("WALLET", "W"): (400, "issued"),
    }
    invariants.check(centre)


def test_only_the_case_whose_money_moved_is_pursued(centre: Centre) -> None:
    paid = [centre.pay("KBANK:1", f"SCB:M{n}", 1_000) for n in range(5)]
    cases = [centre.file(p).case for p in paid]
    before = [retrace_at(centre, case) for case in cases]
    centre.clock.advance(timedelta(seconds=1))
    centre.pay("KBANK:x", "SCB:M1", 50, ago=timedelta(0))  # comes in: nothing moves on
    centre.pay("SCB:M3", "BBL:Z", 1_000, ago=timedelta(0))
    assert centre.matter.pursuit.pursue() == 1
    after = [retrace_at(centre, case) for case in cases]
    assert [a != b for a, b in zip(after, before, strict=True)] == [
        False, False, False, True, False,
    ]  # fmt: skip


def test_a_case_as_it_was_is_put_off_and_one_that_was_touched_is_not(centre: Centre) -> None:
    still = centre.file(centre.pay("KBANK:1", "SCB:A", 1_000)).case
    touched = centre.file(centre.pay("KBANK:2", "SCB:B", 1_000)).case
    centre.clock.advance(RETRACE_FIRST + timedelta(seconds=1))
    with centre.database.uow.begin(SYSTEM) as tx:
        centre.matter.cases.mark_due(tx, [touched], at=tx.now)
    assert centre.matter.pursuit.put_off_unchanged() == 1
    assert retrace_at(centre, still) == centre.clock.now() + RETRACE_FIRST
    assert centre.matter.pursuit.retrace_due() == 1
    assert centre.matter.pursuit.retrace_due() == 0
    centre.clock.advance(RETRACE_FIRST + timedelta(seconds=1))
    assert centre.matter.pursuit.put_off_unchanged() == 2


def test_cases_that_become_due_together_are_taken_by_id(centre: Centre) -> None:
    paid = [centre.pay(f"KBANK:{n}", f"SCB:M{n}", 1_000) for n in range(5)]
    ids = [centre.file(p).case for p in paid]
    matter, uow = centre.matter, centre.database.uow
    centre.clock.advance(RETRACE_FIRST + timedelta(seconds=1))
    check_rows_are_taken_by_id(
        uow, case_rows, ids, lambda tx, ids: matter.cases.put_off(tx, [(i, tx.now) for i in ids])
    )
    check_rows_are_taken_by_id(
        uow, case_rows, ids, lambda tx, ids: matter.cases.mark_due(tx, ids, at=tx.now)
    )


def test_a_case_with_a_payment_not_found_yet_is_looked_at_again(centre: Centre) -> None:
    paid = centre.pay("KBANK:1", "SCB:A", 1_000)
    [found] = centre.report(paid).payments
    lost = msgspec.structs.replace(found, transfer_id=None, creditor_account="UNSEEN")
    case = centre.file(paid, payments=[found, lost]).case
    centre.clock.advance(RETRACE_FIRST + timedelta(seconds=1))
    assert centre.matter.pursuit.put_off_unchanged() == 0
    assert centre.matter.pursuit.retrace_due() == 1
    assert retrace_at(centre, case) == centre.clock.now() + RETRACE_FIRST


def test_what_moved_while_the_centre_was_away_is_followed_after_the_start(centre: Centre) -> None:
    case = centre.file(centre.pay("KBANK:1", "SCB:M", 1_000)).case
    centre.pay("SCB:M", "BBL:NEXT", 1_000, ago=timedelta(0))
    centre.matter = centre.build()
    centre.matter.pursuit.start()
    centre.matter.duties.run_due()
    assert places(centre, case) == {
        ("SCB", "M"): (1_000, "withdrawn"),
        ("BBL", "NEXT"): (1_000, "issued"),
    }
    centre.pay("BBL:NEXT", "WALLET:W", 1_000, ago=timedelta(0))
    assert centre.matter.pursuit.pursue() == 1
    assert places(centre, case)["WALLET", "W"] == (1_000, "issued")


def test_a_case_that_ended_is_watched_no_more(centre: Centre) -> None:
    case = centre.file(centre.pay("KBANK:1", "SCB:M", 1_000)).case
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.pursuit.drop(tx, case, reason="a false report")
    centre.pay("SCB:M", "BBL:NEXT", 1_000, ago=timedelta(0))
    assert centre.matter.pursuit.pursue() == 0
    assert {state for _, state in places(centre, case).values()} == {"withdrawn"}


@pytest.mark.parametrize("due", [False, True], ids=["moved", "due"])
def test_a_case_that_cannot_be_planned_stops_no_other_and_comes_again(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, *, due: bool
) -> None:
    cases = [centre.file(centre.pay(f"KBANK:{n}", f"SCB:M{n}", 1_000)).case for n in range(3)]
    bad = cases[1]

    def failing(look: CaseLook, *rest: Any) -> CasePlan:
        assert look.case != bad, "cannot be planned"
        return plan_case(look, *rest)

    follow = centre.matter.pursuit.pursue
    if due:
        follow = centre.matter.pursuit.retrace_due
        with centre.database.uow.begin(SYSTEM) as tx:
            centre.matter.cases.mark_due(tx, cases, at=tx.now)
    for n in range(3):
        centre.pay(f"SCB:M{n}", f"BBL:N{n}", 1_000, ago=timedelta(0))
    with monkeypatch.context() as patched:
        patched.setattr(pursuit, "plan_case", failing)
        for _ in range(2):  # it is tried again, and nobody else is
            with pytest.raises(AssertionError, match="cannot be planned"):
                follow()
            moved = [("BBL", f"N{n}") in places(centre, case) for n, case in enumerate(cases)]
            assert moved == [True, False, True]
    assert follow() == 1
    assert places(centre, bad)["BBL", "N1"] == (1_000, "issued")
    invariants.check(centre)
