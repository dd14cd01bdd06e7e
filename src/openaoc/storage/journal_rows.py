"""A journal row: what it says and the bytes that say it. Inserts only; nothing updates a row."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.storage.canonical import canonical_json
from openaoc.storage.tables import journal_rows, journal_waiting

BODY_BYTES_MAX: Final = 1 << 20
REASON_CHARACTERS_MAX: Final = 4_000


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
    return secrets.token_hex(NONCE_BYTES)


def _raw(value: msgspec.Struct | None) -> msgspec.Raw:
    return _NULL if value is None else msgspec.Raw(canonical_json(value))


def insert(
    connection: sa.Connection,
    *,
    at: datetime,
    who: str,
    authority: str,
    action: str,
    subject: str,
    before: msgspec.Struct | None,
    after: msgspec.Struct | None,
    reason: str,
) -> int:
    """Write the row and mark it as waiting for its leaf; the row's id.

    Raises BadInput for an empty action or a reason that is too long, TooLarge for a body above
    the limit.
    """
    if not action or "\x00" in f"{who}{action}{subject}":
        raise BadInput("a journal row needs an action, without control characters")
    if len(reason) > REASON_CHARACTERS_MAX:
        raise BadInput(f"longer than {REASON_CHARACTERS_MAX} characters", where="reason")
    row = JournalRow(
        at=format_time(at),
        who=who,
        authority=authority,
        action=action,
        subject=subject,
        reason=reason,
        before=_raw(before),
        after=_raw(after),
        nonce=fresh_nonce(),
    )
    body = canonical_json(row)
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge(f"a journal row of {len(body)} bytes", where=action)
    row_id = connection.execute(
        sa.insert(journal_rows)
        .values(at=at, who=who, action=action, subject=subject, body=body.decode("utf-8"))
        .returning(journal_rows.c.id)
    ).scalar_one()
    connection.execute(sa.insert(journal_waiting).values(row_id=row_id))
    return int(row_id)
