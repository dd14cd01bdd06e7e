"""Stage ledger, cold: what a corrected transfer said before, as it is kept with the transfer.

The hot ledger keeps the same in its own numbers (corrections.py); here accounts have names.
"""

from __future__ import annotations

import msgspec

from openaoc.ledger.model import AccountName


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What a transfer said as `revision`; the named creditor counts also of an exit."""

    revision: int
    time_us: int
    debtor: AccountName
    creditor: AccountName | None
    amount_minor: int
    channel: int
    reporter: str


class Memo(msgspec.Struct, frozen=True, kw_only=True):
    """A corrected transfer: its revision, all it said before, and further names of it.

    `other`: what the creditor's bank told of it, where it ever told something else.
    """

    revision: int = 0
    history: tuple[Past, ...] = ()
    other: tuple[Past, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        """As it is stored."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Memo:
        """As it was stored."""
        return msgspec.msgpack.decode(data, type=cls)
