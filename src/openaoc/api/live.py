"""API: what is live: proposed by one person, approved by another, stopped by anybody entitled."""

from __future__ import annotations

from typing import Final

from openaoc.api.decisions import Deciding, decision, look
from openaoc.api.wire import LiveScope, ShadowScope, SwitchList
from openaoc.parties.model import Switch


@decision(
    "/v1/live/propose",
    on=None,
    words="The switch now",
    purpose="switch live",
    summary="Propose that orders go out for real",
)
def propose(on: Deciding, said: LiveScope) -> Switch:
    """The first person's word."""
    return on.centre.parties.propose_live(on.tx, said.scope)


@decision(
    "/v1/live/approve",
    on=None,
    words="The switch now",
    purpose="switch live",
    summary="Approve the proposal, as another person",
)
def approve(on: Deciding, said: LiveScope) -> Switch:
    """The second person's word: live from now on."""
    return on.centre.parties.approve_live(on.tx, said.scope)


@decision(
    "/v1/live/shadow",
    on=None,
    words="The switch now",
    purpose="back to shadow",
    summary="Back to shadow; one person is enough",
)
def shadow(on: Deciding, said: ShadowScope) -> Switch:
    """Stop sending for the scope."""
    return on.centre.parties.back_to_shadow(on.tx, said.scope, reason=said.reason)


@look(
    "/v1/live",
    words="Every switch",
    purpose="list what is live",
    summary="List what is live",
)
def list_switches(on: Deciding) -> SwitchList:
    """Every switch anybody ever touched."""
    return SwitchList(switches=on.centre.parties.switches(on.tx))


HANDLERS: Final = (propose, approve, shadow, list_switches)
