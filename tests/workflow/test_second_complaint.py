"""A complaint told twice with different dates: the earlier counts, for case and orders alike."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from openaoc.cases.model import WrongCaseTransition
from openaoc.holds.model import OrderState
from openaoc.kernel.errors import BadInput
from tests.workflow.centre import INVESTIGATOR, SUPERVISOR, Centre
from tests.workflow.invariants import check

WEEK = timedelta(days=7)


def held(centre: Centre, *, hours: int = 20) -> str:
    """A case with one applied hold, some hours old."""
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000))
    centre.answer(receipt.orders[0].order, "SCB", 100_000)
    centre.clock.advance(timedelta(hours=hours))
    return receipt.case


def complain(centre: Centre, case: str, at: datetime, reference: str = "BKK-1/69") -> int:
    """How many orders changed."""
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        return len(centre.matter.holds.complain(tx, case, complained_at=at, reference=reference))


def ends(centre: Centre, case: str) -> list[datetime]:
    return [order.ends_at for order in centre.orders(case)]


def noted(centre: Centre, case: str) -> datetime | None:
    with centre.database.uow.read(SUPERVISOR) as tx:
        return centre.matter.cases.row(tx, case).complaint_at


def journalled(centre: Centre, action: str) -> int:
    with centre.database.uow.read(SUPERVISOR) as tx:
        query = sa.text("select count(*) from journal_rows where action = :action")
        return int(tx.connection.execute(query, {"action": action}).scalar_one())


def test_an_earlier_complaint_corrects_case_and_orders(centre: Centre) -> None:
    case = held(centre)
    now = centre.clock.now()
    assert complain(centre, case, now - timedelta(hours=2)) == 1
    assert complain(centre, case, now - timedelta(hours=9), "BKK-0/69") == 1
    assert ends(centre, case) == [now - timedelta(hours=9) + WEEK]
    assert noted(centre, case) == now - timedelta(hours=9)
    last = centre.outbox.orders()[-1]
    assert (last.revision, last.ends_at) == (3, now - timedelta(hours=9) + WEEK)
    assert journalled(centre, "cases.complaint.corrected") == 1
    assert journalled(centre, "holds.order.corrected") == 1


def test_an_earlier_complaint_corrects_what_is_not_sent_yet(centre: Centre) -> None:
    case = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000)).case
    centre.clock.advance(timedelta(hours=20))
    now = centre.clock.now()
    complain(centre, case, now - timedelta(hours=2))
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.breakers.open(tx, "institution:BBL", reason="too many")
    centre.pay("SCB:2", "BBL:3", 100_000)
    centre.matter.duties.run_due()
    [waits] = [order for order in centre.orders(case) if order.state is OrderState.DRAFTED]
    assert waits.ends_at == now - timedelta(hours=2) + WEEK
    sent = len(centre.outbox.sent)
    assert complain(centre, case, now - timedelta(hours=9), "BKK-0/69") == 1
    assert len(centre.outbox.sent) == sent, "nobody was told of it"
    with centre.database.uow.begin(SUPERVISOR) as tx:
        issued = centre.matter.holds.approve(tx, waits.order)
    assert (issued.state, issued.ends_at) == (OrderState.ISSUED, now - timedelta(hours=9) + WEEK)
    check(centre)


def test_a_later_complaint_is_on_record_and_makes_no_hold_longer(centre: Centre) -> None:
    case = held(centre)
    now = centre.clock.now()
    complain(centre, case, now - timedelta(hours=9))
    sent = len(centre.outbox.sent)
    assert complain(centre, case, now - timedelta(hours=1), "BKK-2/69") == 0
    assert ends(centre, case) == [now - timedelta(hours=9) + WEEK]
    assert noted(centre, case) == now - timedelta(hours=9)
    assert len(centre.outbox.sent) == sent
    assert journalled(centre, "cases.complaint.repeated") == 1


def test_the_same_complaint_again_is_nothing(centre: Centre) -> None:
    case = held(centre)
    at = centre.clock.now() - timedelta(hours=9)
    assert complain(centre, case, at) == 1
    assert complain(centre, case, at) == 0
    assert journalled(centre, "cases.complaint.noted") == 1
    assert journalled(centre, "cases.complaint.repeated") == 0


def test_a_complaint_so_early_that_its_time_is_over_ends_the_hold(centre: Centre) -> None:
    case = held(centre)
    now = centre.clock.now()
    complain(centre, case, now - timedelta(hours=2))
    assert complain(centre, case, now - timedelta(days=8)) == 1
    assert centre.matter.duties.expire_due() == 1
    [order] = centre.orders(case)
    assert (order.state, order.held_minor) == (OrderState.EXPIRED, 0)
    assert [end.amount_minor for end in centre.outbox.ends()] == [100_000]


def test_a_first_complaint_whose_time_is_over_is_refused(centre: Centre) -> None:
    case = held(centre)
    with pytest.raises(BadInput, match="over"):
        complain(centre, case, centre.clock.now() - timedelta(days=8))
    assert noted(centre, case) is None


@pytest.mark.parametrize("end", ["drop", "close"])
def test_an_ended_case_takes_no_complaint(centre: Centre, end: str) -> None:
    case = held(centre)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        if end == "drop":
            centre.matter.pursuit.drop(tx, case, reason="a false report")
        else:
            centre.matter.holds.end_all(tx, case, "found to be wrong")
            centre.matter.pursuit.close(tx, case, reason="nothing more to do")
    with pytest.raises(WrongCaseTransition, match="takes no complaint"):
        complain(centre, case, centre.clock.now())
    assert noted(centre, case) is None
