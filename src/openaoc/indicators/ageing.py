"""Indicators: until when an opinion stands, by rule data. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from openaoc.indicators.model import Status
from openaoc.indicators.weighing import Weighing
from openaoc.kernel.identifiers.kinds import Kind


def valid_until(kind: Kind, last_seen: datetime, *, status: Status, rules: Weighing) -> datetime:
    """The moment from which nobody should rely on it any more."""
    days = rules.days_of(kind, confirmed=status is Status.CONFIRMED)
    return last_seen + timedelta(days=days)
