"""API: campaigns: named, read by a second person, indicators attached and taken off, closed.

Decides nothing: who may, stands in the stage.
"""

from __future__ import annotations

from typing import Final

from openaoc.api.decisions import Deciding, Thing, creation, decision, look
from openaoc.api.wire import Why
from openaoc.exchange.campaigns.model import (
    Campaign,
    CampaignList,
    CampaignView,
    Chosen,
    Words,
)

CAMPAIGN: Final = Thing("campaign", "campaign")


@creation(
    "/v1/campaigns",
    words="Named; nobody outside sees it",
    purpose="name a campaign",
    summary="Name a campaign, without personal data; another person reads it before it goes out",
)
def name_campaign(on: Deciding, said: Words) -> Campaign:
    """By one person."""
    return on.centre.matter.campaigns.name(on.tx, said)


@look(
    "/v1/campaigns",
    words="One page",
    purpose="list campaigns",
    summary="Campaigns, last changed first",
    paged=True,
)
def list_campaigns(on: Deciding) -> CampaignList:
    """One page."""
    return on.centre.matter.campaigns.page(on.tx, on.page)


@look(
    "/v1/campaigns/{campaign:str}",
    on=CAMPAIGN,
    words="One",
    purpose="show a campaign",
    summary="One campaign, its indicators, and how many cases name them",
)
def show_campaign(on: Deciding) -> CampaignView:
    """One."""
    return on.centre.matter.campaigns.show(on.tx, on.id)


@decision(
    "/v1/campaigns/{campaign:str}/correct",
    on=CAMPAIGN,
    words="With the words that wait to be read",
    purpose="correct a campaign",
    summary="Propose what it is to say; another person reads it",
)
def correct_campaign(on: Deciding, said: Words) -> Campaign:
    """Everybody who has it gets the correction."""
    return on.centre.matter.campaigns.correct(on.tx, on.id, said)


@decision(
    "/v1/campaigns/{campaign:str}/approve",
    on=CAMPAIGN,
    words="It goes out by each agreement",
    purpose="approve a campaign",
    summary="Agree with what it says, having read it; whoever wrote it cannot",
)
def approve_campaign(on: Deciding, said: Why) -> Campaign:
    """The second person's word."""
    return on.centre.matter.campaigns.approve(on.tx, on.id, reason=said.reason)


@decision(
    "/v1/campaigns/{campaign:str}/attach",
    on=CAMPAIGN,
    words="With these indicators",
    purpose="attach indicators to a campaign",
    summary="These indicators belong to it",
)
def attach_indicators(on: Deciding, said: Chosen) -> CampaignView:
    """One person is enough: each leaves on its own merits."""
    return on.centre.matter.campaigns.attach(on.tx, on.id, said)


@decision(
    "/v1/campaigns/{campaign:str}/detach",
    on=CAMPAIGN,
    words="Without these indicators",
    purpose="take indicators off a campaign",
    summary="These indicators do not belong to it; who was told so hears of it",
)
def detach_indicators(on: Deciding, said: Chosen) -> CampaignView:
    """One person is enough."""
    return on.centre.matter.campaigns.detach(on.tx, on.id, said)


@decision(
    "/v1/campaigns/{campaign:str}/close",
    on=CAMPAIGN,
    words="Closed",
    purpose="close a campaign",
    summary="It is over: what is known of it stays, nothing more is attached",
)
def close_campaign(on: Deciding, said: Why) -> Campaign:
    """One person is enough."""
    return on.centre.matter.campaigns.close(on.tx, on.id, reason=said.reason)


@decision(
    "/v1/campaigns/{campaign:str}/withdraw",
    on=CAMPAIGN,
    words="Withdrawn",
    purpose="withdraw a campaign",
    summary="Take it back; everybody who has it hears of it",
)
def withdraw_campaign(on: Deciding, said: Why) -> Campaign:
    """One person is enough."""
    return on.centre.matter.campaigns.withdraw(on.tx, on.id, reason=said.reason)


HANDLERS: Final = (
    name_campaign,
    list_campaigns,
    show_campaign,
    correct_campaign,
    approve_campaign,
    attach_indicators,
    detach_indicators,
    close_campaign,
    withdraw_campaign,
)
