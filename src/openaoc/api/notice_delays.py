"""API: telling a case's holders later than at once: proposed, agreed to, ended, listed."""

from __future__ import annotations

from typing import Final

from openaoc.api.decisions import CASE, Deciding, Thing, creation, decision, look
from openaoc.api.wire import Why
from openaoc.holds.delay_model import DELAY_LONGEST, DelayList, NewDelay, NoticeDelay

DELAY: Final = Thing("delay", "delay of a notice")


@creation(
    "/v1/cases/{case_id:str}/notice-delays",
    on=CASE,
    words="The proposal; nothing changes before a second person agrees",
    purpose="propose to delay notices",
    summary="Propose that a case's holders are told later",
    description=(
        f"At most {DELAY_LONGEST.days} days from now; for orders that go out once it is agreed to. "
        "Who looks like honest commerce is told at once all the same."
    ),
)
def propose(on: Deciding, said: NewDelay) -> NoticeDelay:
    """One person proposes."""
    return on.centre.matter.holds.delays.propose(on.tx, on.id, said)


@look(
    "/v1/cases/{case_id:str}/notice-delays",
    on=CASE,
    words="With how many holders wait",
    purpose="list delays of notices",
    summary="List a case's delays of notices, newest first",
)
def list_delays(on: Deciding) -> DelayList:
    """Why holders are told later, by whose word, until when."""
    return on.centre.matter.holds.delays.list(on.tx, on.id)


@decision(
    "/v1/notice-delays/{delay:str}/agree",
    on=DELAY,
    words="It is in force",
    purpose="agree to delay notices",
    summary="Agree, as the second person, that holders are told later",
)
def agree(on: Deciding, said: Why) -> NoticeDelay:
    """Not by whoever proposed it."""
    return on.centre.matter.holds.delays.agree(on.tx, on.id, reason=said.reason)


@decision(
    "/v1/notice-delays/{delay:str}/end",
    on=DELAY,
    words="It has ended",
    purpose="end a delay of notices",
    summary="End a delay, or take a proposal back: the holders are told now",
)
def end(on: Deciding, said: Why) -> NoticeDelay:
    """One person is enough; else it ends by itself."""
    return on.centre.matter.holds.delays.end(on.tx, on.id, reason=said.reason)


HANDLERS: Final = (propose, list_delays, agree, end)
