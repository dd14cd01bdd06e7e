"""Holds: what an institution tells a holder, and how it reads it without a system of its own.

The contest code on it is for the holder: nobody of the centre is ever shown it.
"""

from __future__ import annotations

from openaoc.holds import delay_store, store
from openaoc.holds.codes import Codes
from openaoc.holds.delay_model import NoticeIsDelayed
from openaoc.holds.model import ENDED, HolderNotice, NoSuchOrder, NotYours, OrderState, Words
from openaoc.holds.record import OrderRecord
from openaoc.holds.words import ending
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction


def holder_notice(order: OrderRecord, codes: Codes) -> HolderNotice:
    """The order's notice: its reason, its end, and where and with what to contest it."""
    contest = codes.notice(order.id)
    said = [order.reason, *([ending("over")] if order.state in ENDED else []), contest]
    return HolderNotice(
        order=order.id,
        institution=order.institution,
        account=order.account,
        amount_minor=order.binding_minor,
        currency=order.currency,
        text=Words(th=" ".join(w.th for w in said), en=" ".join(w.en for w in said)),
        ends_at=order.ends_at,
        tell_first=order.likely_innocent,
        contest_code=codes.contest(order.id),
        contest_at=codes.page,
    )


def own_notice(tx: Transaction, order_id: str, codes: Codes) -> HolderNotice:
    """The notice of an order of the actor's institution.

    Raises NotYours for anybody who is not an institution's, NoSuchOrder for another's order,
    NoticeIsDelayed while the holder is not to be told.
    """
    require(tx.actor, Permission.HOLD_ANSWER)
    if tx.actor.institution is None:
        raise NotYours("only the holder's institution reads the notice")
    order = store.get(tx.connection, order_id)
    sent = order is not None and order.mode == "live" and order.state is not OrderState.DRAFTED
    if order is None or not sent or order.institution != tx.actor.institution:
        raise NoSuchOrder(order_id[:64])
    if until := delay_store.waiting(tx.connection, [order.id]).get(order.id):
        raise NoticeIsDelayed(f"until {until.isoformat()} at the latest")
    return holder_notice(order, codes)
