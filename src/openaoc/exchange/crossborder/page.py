"""Across borders: the requests of both sides as one list for staff. Reads alone."""

from __future__ import annotations

from openaoc.exchange.crossborder import asking, receiving, store
from openaoc.exchange.crossborder.model import Requests
from openaoc.exchange.crossborder.rows import Received, Sent
from openaoc.kernel.paging import Asked, Place
from openaoc.storage.unit_of_work import Transaction


def page(tx: Transaction, asked: Asked) -> Requests:
    """The part that is asked for, the newest first. Raises BadInput."""
    rows: list[tuple[Place, Sent | Received]] = [
        *((Place(one.opened_at, one.id), one) for one in store.newest_sent(tx.connection, asked)),
        *(
            (Place(one.opened_at, f"{one.id}/{one.partner}"), one)
            for one in store.newest_received(tx.connection, asked)
        ),
    ]
    rows.sort(key=lambda one: one[0], reverse=True)
    shown, more = asked.cut(rows, lambda one: one[0].cursor())
    return Requests(
        sent=[asking.view(row) for _, row in shown if isinstance(row, Sent)],
        received=[receiving.view(row) for _, row in shown if isinstance(row, Received)],
        cursor=more,
    )
