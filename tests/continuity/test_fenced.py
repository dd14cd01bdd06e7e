"""A centre that another took over from is fenced for good."""

from __future__ import annotations

import threading

from openaoc.continuity.primary import StandbyLine
from openaoc.continuity.standby_model import FollowState


def test_a_look_under_way_leads_nobody_back_from_being_fenced() -> None:
    """It saw that the standby was away for long, and carries that out after the fencing."""
    line = object.__new__(StandbyLine)
    line._changed = threading.Condition()
    line._state, line._heard = FollowState.WAITING, None
    line._become(FollowState.FENCED)
    line._become(FollowState.ALONE)
    assert line._state is FollowState.FENCED
    assert not line.may_send()
