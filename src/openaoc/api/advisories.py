"""API: advisories to sectors and the centre's incident reports; receivers read and acknowledge.

Decides nothing: who may, stands in the stage. A partner's user sees its own alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from openaoc.api.access import BEARER, centre_of, need_id, own_partner, signed_in
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, Thing, creation, decision, look
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import Why
from openaoc.exchange.advisories.model import (
    Advisory,
    AdvisoryList,
    AdvisoryView,
    Content,
    Desk,
    PartnerAdvisories,
    PartnerAdvisory,
    ReceivedAdvisories,
    ReceivedAdvisory,
    SectorList,
)
from openaoc.exchange.model import PartnerCode
from openaoc.kernel.actor import SYSTEM
from openaoc.workflow.outreach import Advisories

BODY_BYTES_MAX: Final = 128 << 10
ADVISORY: Final = Thing("advisory", "advisory")
SECTOR: Final = Thing("sector", "sector")


class RegulatorTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The regulator's own number of the report, and when it was told; by default now."""

    reference: Annotated[str, Meta(min_length=1, max_length=80)]
    at: Annotated[datetime, Meta(tz=True)] | None = None


class Membership(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a partner belongs to the sector."""

    partner: PartnerCode
    member: bool


class ReadHere(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose advisory was read here, and by which desk."""

    partner: PartnerCode
    by: Desk


class ReadThere(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By which desk it was read."""

    by: Desk


def _advisories(request: ApiRequest) -> Advisories:
    return centre_of(request).between.outreach.advisories


@creation(
    "/v1/advisories",
    words="A draft; nobody outside sees it",
    purpose="draft an advisory",
    summary="Draft an advisory to sectors, or a report of the centre's own incident",
    body_bytes_max=BODY_BYTES_MAX,
)
def draft_advisory(on: Deciding, said: Content) -> Advisory:
    """Two persons approve it before anybody receives it."""
    return on.centre.between.outreach.advisories.writing.draft(on.tx, said)


@look(
    "/v1/advisories",
    words="One page",
    purpose="list advisories",
    summary="Advisories and incident reports, newest first",
    paged=True,
)
def list_advisories(on: Deciding) -> AdvisoryList:
    """One page."""
    return on.centre.between.outreach.advisories.writing.page(on.tx, on.page)


@look(
    "/v1/advisories/received",
    words="One page",
    purpose="list advisories received",
    summary="Advisories of partners' centres to us, newest first",
    paged=True,
)
def received_advisories(on: Deciding) -> ReceivedAdvisories:
    """One page."""
    return on.centre.between.outreach.advisories.receiving.page(on.tx, on.page)


@look(
    "/v1/advisories/{advisory:str}",
    on=ADVISORY,
    words="One",
    purpose="show an advisory",
    summary="One advisory, who has it, and who has not acknowledged it",
)
def show_advisory(on: Deciding) -> AdvisoryView:
    """One."""
    return on.centre.between.outreach.advisories.writing.show(on.tx, on.id)


@decision(
    "/v1/advisories/{advisory:str}/correct",
    on=ADVISORY,
    words="With the correction that waits",
    purpose="correct an advisory",
    summary="Propose what it is to say from now on; two persons approve it",
    body_bytes_max=BODY_BYTES_MAX,
)
def correct_advisory(on: Deciding, said: Content) -> Advisory:
    """Everybody who has it gets the correction."""
    return on.centre.between.outreach.advisories.writing.correct(on.tx, on.id, said)


@decision(
    "/v1/advisories/{advisory:str}/approve",
    on=ADVISORY,
    words="Published with the second person's word",
    purpose="approve an advisory",
    summary="Agree with what waits to be approved",
)
def approve_advisory(on: Deciding, said: Why) -> Advisory:
    """One person's word."""
    writing = on.centre.between.outreach.advisories.writing
    return writing.approve(on.tx, on.id, words=said.reason)


@decision(
    "/v1/advisories/{advisory:str}/withdraw",
    on=ADVISORY,
    words="Withdrawn",
    purpose="withdraw an advisory",
    summary="Take it back; everybody who has it hears of it",
)
def withdraw_advisory(on: Deciding, said: Why) -> Advisory:
    """One person is enough."""
    writing = on.centre.between.outreach.advisories.writing
    return writing.withdraw(on.tx, on.id, words=said.reason)


@decision(
    "/v1/advisories/{advisory:str}/regulator",
    on=ADVISORY,
    words="With the regulator's number",
    purpose="the regulator was told",
    summary="Record that the regulator was told of a breach of personal data",
)
def regulator_told(on: Deciding, said: RegulatorTold) -> Advisory:
    """Within the hours of the rules."""
    writing = on.centre.between.outreach.advisories.writing
    at = said.at or on.tx.now
    return writing.regulator_told(on.tx, on.id, reference=said.reference, at=at)


@decision(
    "/v1/advisories/received/{advisory:str}/acknowledge",
    on=ADVISORY,
    words="With our acknowledgement",
    purpose="acknowledge a partner's advisory",
    summary="Say that a partner's advisory was read here",
)
def acknowledge_received(on: Deciding, said: ReadHere) -> ReceivedAdvisory:
    """Its sender hears of that."""
    receiving = on.centre.between.outreach.advisories.receiving
    return receiving.acknowledge(on.tx, on.id, partner=said.partner, by=said.by)


@look(
    "/v1/sectors",
    words="The closed list",
    purpose="list sectors",
    summary="The sectors that are warned, and who belongs to each",
    tag="advisories",
)
def list_sectors(on: Deciding) -> SectorList:
    """The closed list."""
    return on.centre.between.outreach.advisories.writing.sectors(on.tx)


@decision(
    "/v1/sectors/{sector:str}/members",
    on=SECTOR,
    words="The sectors now",
    purpose="who belongs to a sector",
    summary="Make a partner a member of a sector, or no more",
)
def set_member(on: Deciding, said: Membership) -> SectorList:
    """Beside those who belong to it by their kind."""
    writing = on.centre.between.outreach.advisories.writing
    return writing.set_member(on.tx, on.id, partner=said.partner, member=said.member)


# Receivers.


@get(
    "/v1/exchange/advisories",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="What a partner was warned of, newest first, with the indicators it may have",
    responses={**described(PartnerAdvisories, "Its own"), **problems(401, 403)},
    sync_to_thread=True,
)
def partner_advisories(request: ApiRequest) -> PartnerAdvisories:
    """For the partner's own users and systems."""
    own, centre = own_partner(request), centre_of(request)
    with centre.uow.read(request.user, purpose="a partner's advisories") as tx:
        return _advisories(request).delivering.of_partner(tx, own)


@post(
    "/v1/exchange/advisories/{advisory:str}/acknowledge",
    guards=[signed_in],
    dto=Body[ReadThere],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="A partner has read an advisory, as it has it now",
    responses={**described(PartnerAdvisory, "Acknowledged"), **problems(401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
@again
def acknowledge_advisory(
    request: ApiRequest, advisory: FromPath[str], data: JSONBody[ReadThere]
) -> PartnerAdvisory:
    """The first acknowledgement of a revision stands."""
    own, found = own_partner(request), need_id(advisory, what="advisory")
    with centre_of(request).uow.begin(SYSTEM, purpose=f"an acknowledgement of {own}") as tx:
        return _advisories(request).delivering.acknowledge(tx, own, found, by=data.by)


HANDLERS: Final = (
    draft_advisory,
    list_advisories,
    received_advisories,
    show_advisory,
    correct_advisory,
    approve_advisory,
    withdraw_advisory,
    regulator_told,
    acknowledge_received,
    list_sectors,
    set_member,
    partner_advisories,
    acknowledge_advisory,
)
