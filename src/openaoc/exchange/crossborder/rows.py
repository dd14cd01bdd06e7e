"""Across borders: one request as it is kept: ours, and a partner's; what it says. No SQL."""

from __future__ import annotations

from datetime import datetime

import msgspec

from openaoc.exchange.crossborder.model import (
    AnswerMessage,
    Exit,
    ReceivedState,
    SentState,
    Settled,
)
from openaoc.exchange.objects import ReleasedObject


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A row of requests_sent. `body` is the request as released last."""

    id: str
    partner: str
    case_id: str
    reported_by: str
    transfer_id: str
    institution: str
    account: str
    currency: str
    booked_at: datetime
    sent_minor: int
    amount_minor: int
    state: SentState
    why: str | None
    revision: int
    body: bytes | None
    purpose: str
    taken_revision: int
    taken_epoch: int
    answer: bytes | None
    answer_epoch: int
    answer_revision: int
    last_error: str | None
    due_at: datetime
    opened_at: datetime
    changed_at: datetime
    answered_at: datetime | None

    def exit(self) -> Exit:
        """The payment it is about."""
        return Exit(**{name: getattr(self, name) for name in Exit.__struct_fields__})

    def request(self) -> ReleasedObject:
        """What leaves; only of a row that has something to say."""
        assert self.body is not None, "nothing was released"
        return msgspec.json.decode(self.body, type=ReleasedObject)

    def answered(self) -> AnswerMessage | None:
        """The partner's last word."""
        return None if self.answer is None else msgspec.json.decode(self.answer, type=AnswerMessage)


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A row of requests_received. `claimed_minor` is in `booked_currency`."""

    partner: str
    id: str
    epoch: int
    revision: int
    body: bytes
    state: ReceivedState
    case_id: str | None
    matched_by: str | None
    matched_id: str | None
    booked_currency: str | None
    claimed_minor: int
    candidates: int
    why: str | None
    answer_revision: int
    answer: bytes | None
    answer_digest: str | None
    taken_revision: int
    taken_epoch: int
    last_error: str | None
    due_at: datetime
    opened_at: datetime
    changed_at: datetime
    look_at: datetime | None
    settled_as: Settled | None
    settled_at: datetime | None

    def request(self) -> ReleasedObject:
        """The partner's last word."""
        return msgspec.json.decode(self.body, type=ReleasedObject)

    def answered(self, *, epoch: int) -> AnswerMessage | None:
        """Our last word, said in this life of the centre."""
        if self.answer is None:
            return None
        said = msgspec.json.decode(self.answer, type=AnswerMessage)
        return msgspec.structs.replace(said, epoch=epoch)
