"""Continuity: how a centre, or anybody who checks one, speaks with a witness.

A witness is an address over HTTP, or a plain file (`file:/mnt/…/heads.jsonl`) on a medium that
others hold: heads are appended to it, and it can be printed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from openaoc.continuity.witness import (
    Behind,
    Cosigned,
    HeadOffer,
    HistoryRewritten,
    Record,
    verify_cosigned,
)
from openaoc.continuity.witness_http import Refusal, WitnessInfo
from openaoc.kernel.errors import BadInput, Corrupt, Refused, Unavailable
from openaoc.storage.journal_heads import Head
from openaoc.storage.journal_keys import decode_public

SECONDS_MAX: Final = 10.0
FILE_SCHEME: Final = "file"
HEADS_MAX: Final = 1_000_000
Kind = TypeVar("Kind")


class WitnessLied(Refused):
    """The witness's own signature does not hold, or its key is another than the one pinned."""


def check_url(url: str) -> str:
    """The address as kept. Raises BadInput for anything but http, https and file."""
    parts = urlsplit(url.strip())
    if parts.scheme == FILE_SCHEME and parts.path.startswith("/"):
        return f"file:{parts.path}"
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise BadInput("must begin with http://, https:// or file:/", where=url[:100])
    return url.strip().rstrip("/")


def is_file(url: str) -> bool:
    """Whether the witness is a plain file."""
    return url.startswith("file:")


class WitnessClient:
    """One witness over HTTP; `key` is the one pinned (base64), or empty to learn it."""

    def __init__(self, url: str, *, key: str = "") -> None:
        self.url = check_url(url)
        self._key = key

    def info(self) -> WitnessInfo:
        """Its key and whom it knows. Raises Unavailable."""
        return self._ask("GET", "/v1/witness", WitnessInfo)

    def offer(self, offer: HeadOffer) -> Cosigned:
        """The countersigned head. Raises Behind, HistoryRewritten, Refused, Unavailable."""
        return self._checked(
            self._ask("POST", "/v1/heads", Cosigned, content=msgspec.json.encode(offer))
        )

    def newest(self, centre: str) -> Cosigned:
        """The last head it kept of the centre."""
        return self._checked(self._ask("GET", f"/v1/heads/{centre}", Cosigned))

    def book(self, centre: str) -> list[Record]:
        """Everything it kept of the centre."""
        return self._ask("GET", f"/v1/book/{centre}", list[Record])

    def _checked(self, one: Cosigned) -> Cosigned:
        key = self._key or self.info().key
        if not verify_cosigned(one, decode_public(key)):
            raise WitnessLied(self.url)
        return one

    def _ask(self, method: str, path: str, kind: type[Kind], *, content: bytes = b"") -> Kind:
        try:
            with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
                answer = client.request(method, self.url + path, content=content)
        except httpx.TransportError as error:
            reason = type(error).__name__
            raise Unavailable(f"the witness does not answer ({reason})", where=self.url) from error
        try:
            if answer.is_success:
                return msgspec.json.decode(answer.content, type=kind)
            refusal = msgspec.json.decode(answer.content, type=Refusal)
        except msgspec.MsgspecError as error:
            raise Unavailable("this is no witness", where=self.url) from error
        if refusal.size is not None:
            raise Behind(str(refusal.size))
        if refusal.code == "history-rewritten":
            raise HistoryRewritten(refusal.detail, where=self.url)
        raise Refused(refusal.detail, where=self.url)


def read_heads(path: Path) -> list[Head]:
    """The heads of a file witness, oldest first. Raises BadInput, Corrupt."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise BadInput(f"cannot read: {error.strerror}", where=str(path)) from error
    if len(lines) > HEADS_MAX:
        raise BadInput("too many heads", where=str(path))
    try:
        return [msgspec.json.decode(line, type=Head) for line in lines if line.strip()]
    except msgspec.MsgspecError as error:
        raise Corrupt("not a file of heads", where=str(path)) from error


def append_head(path: Path, head: Head) -> None:
    """Add a head to a file witness, forced to disk. Raises Unavailable."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, msgspec.json.encode(head) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unavailable(f"not kept: {error.strerror}", where=str(path)) from error


def largest(heads: Sequence[Head]) -> Head | None:
    """The head of most rows."""
    return max(heads, key=lambda head: head.size, default=None)
