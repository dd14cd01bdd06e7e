"""Continuity: the words on the line between a centre and its standby, and how the two stand."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

BEAT: Final = b"beat:"
"""Begins what is sent on the ledger's channel when there is no frame: the state follows."""


class FollowState(enum.StrEnum):
    """How the centre stands to its standby."""

    NONE = "none"
    """It has never had one, or a person said that it is gone."""
    JOINING = "joining"
    """It is connected, acknowledgements wait for it already, and it takes what came before."""
    IN_SYNC = "in_sync"
    """What is acknowledged is on both."""
    WAITING = "waiting"
    """The standby is away: nothing is acknowledged and, after some seconds, nothing is sent."""
    ALONE = "alone"
    """The standby is away and need not be waited for: what is acknowledged is here only."""
    FENCED = "fenced"
    """Another server took over; this one acknowledges and sends nothing any more."""


class LineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The line as the centre sees it: what is connected, and how far the standby's ledger is."""

    state: FollowState
    position: int
    acknowledged: int
    database: bool
    ledger: bool
    keys: bool


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """On the standby's disk up to here."""

    position: int = 0


class Fenced(msgspec.Struct, frozen=True, kw_only=True):
    """Since when, and by which epoch."""

    epoch: int
    at: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Files the standby has, with their sizes."""

    files: dict[str, int]


class FileHead(msgspec.Struct, frozen=True, kw_only=True):
    """A file follows: its bytes from `offset` on; an empty name ends the list or keeps the line."""

    name: str
    size: int
    offset: int = 0


class CopyHead(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of the ledger follows: at this entry, of these files."""

    position: int
    files: dict[str, int]


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """`standby.json`: whom this folder follows; `epoch` is the primary's as last heard."""

    primary: str
    epoch: int


class StandbyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The standby as it sees itself; `heard_s` is how long ago it heard from the primary."""

    primary: str
    epoch: int
    position: int
    state: str
    heard_s: float | None
    database: bool
    ledger: bool
    keys: bool
