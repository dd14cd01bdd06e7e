"""A journal row: what it says and the bytes that say it. Inserts only; nothing updates a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.randomness import random_bytes
from openaoc.storage.canonical import canonical_json
from openaoc.storage.tables import journal_rows

BODY_BYTES_MAX: Final = 1 << 20
REASON_CHARACTERS_MAX: Final = 4_000


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One of many rows written together; the transaction knows who and when."""

    action: str
    subject: str
    before: msgspec.Struct | None = None
    after: msgspec.Struct | None = None
    reason: str = ""
    authority: str = ""


class JournalRow(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to which subject, on what authority, why, and how it was before and after.

    `nonce` makes rows that say the same different leaves, and a leaf's hash alone unguessable.
    """

    at: str
    who: str
    authority: str
    action: str
    subject: str
    reason: str
    before: msgspec.Raw
    after: msgspec.Raw
    nonce: str


_NULL: Final = msgspec.Raw(b"null")
NONCE_BYTES: Final = 16


def fresh_nonce() -> str:
    """128 random bits in hexadecimal."""
    return random_bytes(NONCE_BYTES).hex()


def _raw(value: msgspec.Struct | None) -> msgspec.Raw:
    return _NULL if value is None else msgspec.Raw(canonical_json(value))


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A row whose bytes are fixed; its id comes when it is written."""

    action: str
    subject: str
    body: str


def prepared(entry: JournalEntry, *, at: datetime, who: str, purpose: str) -> Prepared:
    """The row as it will be written; `purpose` stands in where no authority is given.

    Raises BadInput for an empty action or a reason that is too long, TooLarge for a body above
    the limit.
    """
    authority = entry.authority or purpose
    return Prepared(
        action=entry.action,
        subject=entry.subject,
        body=_body(entry, at=at, who=who, authority=authority),
    )


def inserting(
    rows: Sequence[Prepared], *, at: datetime, who: str
) -> tuple[sa.TextClause, dict[str, object]]:
    """The statement that writes the rows in this order, each waiting for its leaf; its values."""
    return _ADD, {"at": at, "who": who, "rows": msgspec.json.encode(rows).decode("utf-8")}


def written(connection: sa.Connection, *, action: str, subjects: Sequence[str]) -> set[str]:
    """Those of the subjects that have a row of this action: what is journalled once looks here."""
    query = sa.select(journal_rows.c.subject).where(
        journal_rows.c.subject.in_(list(subjects)), journal_rows.c.action == action
    )
    return set(connection.execute(query).scalars())


_ADD: Final = sa.text(
    "WITH added AS ("
    " INSERT INTO journal_rows (at, who, action, subject, body)"
    " SELECT :at, :who, action, subject, body"
    " FROM ROWS FROM (json_to_recordset(CAST(:rows AS json))"
    " AS (action text, subject text, body text)) WITH ORDINALITY"
    " AS entry (action, subject, body, place) ORDER BY place"
    " RETURNING id"
    ") INSERT INTO journal_waiting (row_id) SELECT id FROM added RETURNING row_id"
)
"""One text however many rows there are, so that it is parsed and planned once."""


def _body(entry: JournalEntry, *, at: datetime, who: str, authority: str) -> str:
    if not entry.action or "\x00" in f"{who}{entry.action}{entry.subject}":
        raise BadInput("a journal row needs an action, without control characters")
    if len(entry.reason) > REASON_CHARACTERS_MAX:
        raise BadInput(f"longer than {REASON_CHARACTERS_MAX} characters", where="reason")
    row = JournalRow(
        at=format_time(at),
        who=who,
        authority=authority,
        action=entry.action,
        subject=entry.subject,
        reason=entry.reason,
        before=_raw(entry.before),
        after=_raw(entry.after),
        nonce=fresh_nonce(),
    )
    body = canonical_json(row)
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge(f"a journal row of {len(body)} bytes", where=entry.action)
    return body.decode("utf-8")
