"""Workflow: how often an open case is traced again by the clock alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

RETRACE_FIRST: Final = timedelta(seconds=5)
"""A fresh case is traced again this soon: half of the money leaves in three minutes."""
RETRACE_AGE_SHARE: Final = 0.1
"""Later, after this share of the case's age: old money moves slowly."""
RETRACE_LAST: Final = timedelta(hours=1)


def next_after(opened_at: datetime, *, now: datetime) -> datetime:
    """When a case is traced again: soon while it is fresh, ever later as it ages."""
    wait = (now - opened_at) * RETRACE_AGE_SHARE
    return now + min(max(wait, RETRACE_FIRST), RETRACE_LAST)
