"""A restitution and what comes to its orders in the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from openaoc.kernel.actor import SYSTEM
from tests.restitution.world import held_case, propose
from tests.row_order import until_somebody_waits
from tests.workflow.centre import Centre


def test_a_proposal_takes_the_orders_before_their_case_as_answers_do(centre: Centre) -> None:
    """Else an answer and a proposal that come together each wait for the other."""
    case = held_case(centre)
    with ThreadPoolExecutor(1) as pool, centre.database.uow.begin(SYSTEM) as tx:
        tx.connection.execute(sa.text("SELECT FROM hold_orders FOR UPDATE"))
        proposing = pool.submit(propose, centre, case)
        until_somebody_waits(tx)
        tx.connection.execute(sa.text("SELECT FROM cases FOR UPDATE NOWAIT"))
    assert proposing.result().case == case
