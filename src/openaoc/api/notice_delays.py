"""API: telling a case's holders later than at once: proposed, agreed to, ended, listed."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import get

from openaoc.api.access import BEARER, centre_of, need_id, signed_in
from openaoc.api.decisions import CASE, Deciding, Thing, decision
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import Reason
from openaoc.holds.delay_model import DELAY_LONGEST, DelayList, NewDelay, NoticeDelay

DELAY: Final = Thing("delay", "delay of a notice")


class DelayReason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a delay is agreed to, or ended."""

    reason: Reason


@decision(
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
def propose(made: Deciding, asked: NewDelay) -> NoticeDelay:
    """One person proposes."""
    return made.centre.matter.holds.delays.propose(made.tx, made.id, asked)


@get(
    "/v1/cases/{case_id:str}/notice-delays",
    guards=[signed_in],
    security=BEARER,
    tags=["cases"],
    summary="List a case's delays of notices, newest first",
    responses={**described(DelayList, "With how many holders wait"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def list_delays(request: ApiRequest, case_id: str) -> DelayList:
    """Why holders are told later, by whose word, until when."""
    case = need_id(case_id, what="case")
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list delays of notices") as tx:
        return centre.matter.holds.delays.list(tx, case)


@decision(
    "/v1/notice-delays/{delay:str}/agree",
    on=DELAY,
    words="It is in force",
    purpose="agree to delay notices",
    summary="Agree, as the second person, that holders are told later",
)
def agree(made: Deciding, asked: DelayReason) -> NoticeDelay:
    """Not by whoever proposed it."""
    return made.centre.matter.holds.delays.agree(made.tx, made.id, reason=asked.reason)


@decision(
    "/v1/notice-delays/{delay:str}/end",
    on=DELAY,
    words="It has ended",
    purpose="end a delay of notices",
    summary="End a delay, or take a proposal back: the holders are told now",
)
def end(made: Deciding, asked: DelayReason) -> NoticeDelay:
    """One person is enough; else it ends by itself."""
    return made.centre.matter.holds.delays.end(made.tx, made.id, reason=asked.reason)


HANDLERS: Final = (propose, list_delays, agree, end)
