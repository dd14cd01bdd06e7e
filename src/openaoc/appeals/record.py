"""Appeals: a contest as the stage keeps it, its mark in the journal, and its views."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from openaoc.appeals.legal import AppealRules
from openaoc.appeals.model import (
    OPEN,
    AppealState,
    AppealView,
    ContestView,
    Decision,
    Evidence,
)


class AppealRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `appeals`. `held_minor`: blocked, or ordered, when the contest was filed."""

    id: str
    order_id: str
    case_id: str
    institution: str
    currency: str
    source: Literal["holder", "blind_review"]
    language: str
    state: AppealState
    filed_at: datetime
    answer_by: datetime
    last_at: datetime
    held_minor: int
    statements: int
    evidence: Evidence | None = None
    taken_by: str | None = None
    proposal: Decision | None = None
    proposed_by: str | None = None
    persons_needed: int = 1
    decided_by: str | None = None
    decided_at: datetime | None = None
    released_minor: int = 0
    escalated_at: datetime | None = None
    overdue_at: datetime | None = None
    late_reason: str | None = None
    sequence: int = 0

    @property
    def open(self) -> bool:
        """Whether it waits for a decision."""
        return self.state in OPEN

    def view(self) -> AppealView:
        """The contest for reviewers."""
        names = set(AppealView.__struct_fields__) - {"appeal", "order", "case"}
        return AppealView(
            appeal=self.id,
            order=self.order_id,
            case=self.case_id,
            **{name: getattr(self, name) for name in names},
        )

    def for_holder(self, rules: AppealRules) -> ContestView:
        """The contest for its holder: with the answer's reasons once there is one."""
        answered = self.proposal is not None and not self.open
        refused = self.state is AppealState.REFUSED
        outcome: Literal["uphold", "refuse"] = "refuse" if refused else "uphold"
        codes = self.proposal.reasons if self.proposal is not None and answered else []
        return ContestView(
            appeal=self.id,
            order=self.order_id,
            state=AppealState.UNDER_REVIEW if self.state is AppealState.PROPOSED else self.state,
            filed_at=self.filed_at,
            answer_by=self.answer_by,
            last_at=self.last_at,
            held_minor=self.held_minor,
            currency=self.currency,
            statements=self.statements,
            decided_at=self.decided_at,
            released_minor=self.released_minor,
            reasons=[rules.words_of(code, outcome=outcome) for code in codes],
            next=rules.next if refused or self.state is AppealState.UPHELD_IN_PART else None,
        )


class AppealMark(msgspec.Struct, frozen=True, kw_only=True):
    """A contest in the journal: no word of the holder's."""

    order: str
    case: str
    institution: str
    source: str
    state: str
    held_minor: int
    released_minor: int
    currency: str
    answer_by: datetime
    statements: int
    outcome: str = ""
    reasons: list[str] = []
    likely_mule: bool | None = None
    persons_needed: int = 1

    @classmethod
    def of(cls, appeal: AppealRecord) -> AppealMark:
        """The mark of this contest."""
        proposal, evidence = appeal.proposal, appeal.evidence
        return cls(
            order=appeal.order_id,
            case=appeal.case_id,
            institution=appeal.institution,
            source=appeal.source,
            state=appeal.state.value,
            held_minor=appeal.held_minor,
            released_minor=appeal.released_minor,
            currency=appeal.currency,
            answer_by=appeal.answer_by,
            statements=appeal.statements,
            outcome="" if proposal is None else proposal.outcome,
            reasons=[] if proposal is None else proposal.reasons,
            likely_mule=None if evidence is None else evidence.likely_mule,
            persons_needed=appeal.persons_needed,
        )
