"""Appeals: whether a contest of a hold waits for its answer, for who would end the hold otherwise.

Reads alone. Never ends anything.
"""

from __future__ import annotations

from openaoc.appeals import store
from openaoc.appeals.model import AppealState, ContestOpen
from openaoc.storage.unit_of_work import Transaction

_NEXT = {
    AppealState.FILED: "`openaoc appeal take {id}`, then `openaoc appeal decide {id}`",
    AppealState.UNDER_REVIEW: "`openaoc appeal decide {id}`",
    AppealState.PROPOSED: "`openaoc appeal second {id}`",
}
"""What decides an open contest, by how far it is."""


def leave_to_contest(tx: Transaction, order_id: str) -> None:
    """Nothing where no contest of the hold is open.

    The caller has locked the order, so that none is filed meanwhile. Raises ContestOpen, which
    names the contest and the command that decides it.
    """
    for appeal in store.of_order(tx.connection, order_id):
        if appeal.open:
            how = _NEXT[appeal.state].format(id=appeal.id)
            raise ContestOpen(f"contest {appeal.id} decides whether {order_id} ends: {how}")
