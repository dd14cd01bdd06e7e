"""From shadow to live by two people, back to shadow by one.

Answers who may move a switch and when; what a switch lets through is asked in service.py.
"""

from __future__ import annotations

import msgspec

from openaoc.kernel.errors import Conflict
from openaoc.parties import store
from openaoc.parties.model import (
    PROPOSAL_LIFE,
    TRANSITIONS,
    FourEyes,
    NoProposal,
    Switch,
    SwitchState,
)
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction


def propose(tx: Transaction, scope: str) -> Switch:
    """Say that the scope should go live. Raises Conflict when it is live already.

    A new proposal replaces an open one, so a proposer cannot wait for their own to be forgotten
    and approve it: approval always needs somebody else than whoever proposed last.
    """
    require(tx.actor, Permission.LIVE_SWITCH)
    before = _locked(tx, scope)
    after = _moved(before, SwitchState.PROPOSED, tx, proposed_by=tx.actor.id)
    return _save(tx, before, after, action="parties.live.proposed")


def approve(tx: Transaction, scope: str) -> Switch:
    """Switch live as the second person.

    Raises NoProposal without an open proposal or with one that is too old, FourEyes when the
    same person proposed it (also with another of their keys: keys do not count, people do).
    """
    require(tx.actor, Permission.LIVE_SWITCH)
    before = _locked(tx, scope)
    if before.state is not SwitchState.PROPOSED or before.proposed_at is None:
        raise NoProposal(scope)
    if before.proposed_at + PROPOSAL_LIFE < tx.now:
        raise NoProposal("the proposal is too old; propose it again")
    if before.proposed_by == tx.actor.id:
        raise FourEyes("whoever proposed it cannot approve it")
    after = _moved(before, SwitchState.LIVE, tx, approved_by=tx.actor.id)
    return _save(tx, before, after, action="parties.live.approved")


def back_to_shadow(tx: Transaction, scope: str, *, reason: str) -> Switch:
    """Stop sending for the scope, or drop a proposal. In shadow already: nothing happens."""
    require(tx.actor, Permission.SHADOW_SWITCH)
    before = _locked(tx, scope)
    if before.state is SwitchState.SHADOW:
        return before
    after = Switch(scope=scope, state=SwitchState.SHADOW, changed_at=tx.now)
    return _save(tx, before, after, action="parties.live.stopped", reason=reason)


def _locked(tx: Transaction, scope: str) -> Switch:
    """The switch, with nobody else deciding on it: its row may not exist yet."""
    tx.lock(f"parties.live:{scope}")
    return store.find_switch(tx.connection, scope, lock=True)


def _moved(
    before: Switch,
    state: SwitchState,
    tx: Transaction,
    *,
    proposed_by: str | None = None,
    approved_by: str | None = None,
) -> Switch:
    if state not in TRANSITIONS[before.state]:
        raise Conflict(f"{before.scope} is {before.state.value}")
    return msgspec.structs.replace(
        before,
        state=state,
        proposed_by=proposed_by or before.proposed_by,
        proposed_at=tx.now if proposed_by else before.proposed_at,
        approved_by=approved_by,
        changed_at=tx.now,
    )


def _save(
    tx: Transaction, before: Switch, after: Switch, *, action: str, reason: str = ""
) -> Switch:
    store.save_switch(tx.connection, after)
    tx.journal(action=action, subject=after.scope, before=before, after=after, reason=reason)
    return after
