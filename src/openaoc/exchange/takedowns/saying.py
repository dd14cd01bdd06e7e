"""Take-downs: what its partner is told of one, as it stands now. Pure.

Made of what was released and nothing else.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.exchange.objects import Fields, ReleasedObject
from openaoc.exchange.recalling import NOTHING_LEFT
from openaoc.exchange.takedowns.model import PartnerTakedown, State, Takedown, TakedownMessage

FOUND_BY: Final = ("identifier_kind", "value", "target")
"""Of a bare one: what its receiver needs to find what it is to restore."""
OVER: Final = (State.WITHDRAWN, State.RESTORED)


def message_of(one: Takedown) -> TakedownMessage:
    """The take-down as it is said to a partner's centre."""
    assert one.released is not None, "nothing else is said than what was released"
    withdrawn = one.state in OVER
    return TakedownMessage(
        revision=one.revision,
        purpose=one.purpose,
        request=said_of(one),
        reminders=one.reminders,
        withdrawn=withdrawn,
        restore=one.state is State.WITHDRAWN and one.acted,
    )


def said_of(one: Takedown) -> ReleasedObject:
    """What was released, as it is said now; of a bare one its value alone while it is restored."""
    assert one.released is not None, "nothing else is said than what was released"
    left = msgspec.structs.replace(one.released, revoked=one.state in OVER)
    if not one.bare:
        return left
    if one.state is State.RESTORED or not one.acted:
        return emptied(left)
    return msgspec.structs.replace(left, fields=found_by(left), refs={})


def found_by(request: ReleasedObject) -> Fields:
    """What its receiver needs to find what it is to restore."""
    return {name: request.fields[name] for name in FOUND_BY if name in request.fields}


def emptied(request: ReleasedObject) -> ReleasedObject:
    """The request when nothing is left to do about it: whose it was is said no more."""
    fields = {**found_by(request), "value": NOTHING_LEFT}
    return msgspec.structs.replace(request, fields=fields, refs={})


def as_asked(one: Takedown) -> PartnerTakedown:
    """The take-down as its partner sees it."""
    assert one.released is not None, "a partner sees what was released to it"
    return PartnerTakedown(
        id=one.id,
        state=one.state,
        revision=one.revision,
        request=said_of(one),
        acknowledge_by=one.acknowledge_by,
        act_by=one.act_by,
        reminders=one.reminders,
        restore=one.state is State.WITHDRAWN and one.acted,
        receipts=tuple(each.receipt for each in one.receipts),
    )
