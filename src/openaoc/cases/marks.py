"""Cases: what the journal keeps of a case and of a complaint. No account and no person."""

from __future__ import annotations

from datetime import datetime

import msgspec

from openaoc.cases.store import CaseRow


class CaseMark(msgspec.Struct, frozen=True, kw_only=True):
    """A case in the journal."""

    state: str
    mode: str
    standing: str
    channel: str
    loss_minor: int
    located_minor: int
    held_minor: int
    currency: str
    rule: str
    claims: int = 0

    @classmethod
    def of(cls, case: CaseRow, *, claims: int = 0) -> CaseMark:
        """The mark of this case."""
        return cls(
            state=case.state.value,
            mode=case.mode,
            standing=case.standing,
            channel=case.channel,
            loss_minor=case.loss_minor,
            located_minor=case.located_minor,
            held_minor=case.held_minor,
            currency=case.currency,
            rule=case.rule,
            claims=claims,
        )


class ComplaintMark(msgspec.Struct, frozen=True, kw_only=True):
    """A complaint in the journal: the one that counts, and the one just told of."""

    counts: datetime | None
    told: datetime | None = None
