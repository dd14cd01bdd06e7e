"""Workflow: a report on its way in, and the case that grows of it during one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from openaoc.cases.model import NO_FIGURES, ClaimRecord, Figures
from openaoc.channels.signing import Verified
from openaoc.holds.record import OrderRecord
from openaoc.holds.standing import Standing
from openaoc.kernel.actor import Actor
from openaoc.reports.matching import Match
from openaoc.reports.model import Report
from openaoc.reports.service import PaymentRow
from openaoc.tracing.service import CaseClaim, CaseLook
from openaoc.workflow.placing import CasePlan


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A report on its way in, checked as far as it can be without the database."""

    report_id: str
    report: Report
    sender: Actor
    key: str | None
    source: str | None
    digest: bytes
    verified: Verified | None = None

    def names(self) -> list[tuple[str, str, str]]:
        """Under what the same report would come again."""
        found = []
        if self.source is not None:
            found.append(("ref", self.sender.id, self.source))
        if self.key is not None:
            found.append(("key", self.sender.id, self.key))
        return found


class Numbers(NamedTuple):
    """Fresh numbers for one transaction."""

    cases: Iterator[str]
    filing: Iterator[int]


class Opened(msgspec.Struct, kw_only=True):
    """A new case as it grows during one transaction."""

    incoming: Incoming
    case_id: str
    report_id: str
    matches: list[Match]
    payments: list[PaymentRow]
    standing: Standing
    claims: list[tuple[int, ClaimRecord, CaseClaim]]
    look: CaseLook | None = None
    plan: CasePlan | None = None
    figures: Figures = NO_FIGURES
    mode: Literal["live", "shadow"] = "shadow"
    continuing: list[OrderRecord] = []
    """Orders of its own that took over a standing block."""

    @property
    def orders(self) -> list[OrderRecord]:
        """The orders planned for it."""
        return [] if self.plan is None else self.plan.fresh
