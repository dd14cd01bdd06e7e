"""Continuity: how a centre, or anybody who checks one, speaks with a witness.

A witness is an address over HTTP, or a plain file (`file:/mnt/…/heads.jsonl`) on a medium that
others hold: heads are appended to it, and it can be printed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from openaoc.channels.patience import BoundedTransport
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
ANSWER_SECONDS_MAX: Final = 60.0
ANSWER_BYTES_MAX: Final = 512 << 20
"""A whole book of a million heads."""
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
            good, body = self._request(method, path, content=content)
        except httpx.RequestError as error:
            reason = type(error).__name__
            raise Unavailable(f"the witness does not answer ({reason})", where=self.url) from error
        try:
            if good:
                return msgspec.json.decode(body, type=kind)
            refusal = msgspec.json.decode(body, type=Refusal)
        except msgspec.MsgspecError as error:
            raise Unavailable("this is no witness", where=self.url) from error
        if refusal.size is not None:
            raise Behind(str(refusal.size))
        if refusal.code == "history-rewritten":
            raise HistoryRewritten(refusal.detail, where=self.url)
        raise Refused(refusal.detail, where=self.url)

    def _request(self, method: str, path: str, *, content: bytes) -> tuple[bool, bytes]:
        """Whether it went well, and the answer, bounded in size and time: others wait."""
        until, body = time.monotonic() + ANSWER_SECONDS_MAX, bytearray()
        with (
            httpx.Client(
                transport=BoundedTransport(seconds_max=ANSWER_SECONDS_MAX),
                timeout=SECONDS_MAX,
                trust_env=False,
            ) as client,
            client.stream(method, self.url + path, content=content) as answer,
        ):
            for part in answer.iter_bytes():
                body += part
                if len(body) > ANSWER_BYTES_MAX or time.monotonic() > until:
                    raise Unavailable("the witness's answer does not end", where=self.url)
        return answer.is_success, bytes(body)


def read_heads(path: Path) -> list[Head]:
    """The heads of a file witness, oldest first. Raises BadInput, Corrupt."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read: {error.strerror}", where=str(path)) from error
    lines = content[: len(content) - _torn(content)].splitlines()
    if len(lines) > HEADS_MAX:
        raise BadInput("too many heads", where=str(path))
    try:
        return [msgspec.json.decode(line, type=Head) for line in lines if line.strip()]
    except msgspec.MsgspecError as error:
        raise Corrupt("not a file of heads", where=str(path)) from error


def _torn(content: bytes) -> int:
    """How many bytes at the end are of a line that was never written whole."""
    last = content[content.rfind(b"\n") + 1 :]
    try:
        msgspec.json.decode(last, type=Head)
    except msgspec.MsgspecError:
        return len(last)
    return 0


def append_head(path: Path, head: Head) -> None:
    """Add a head to a file witness, forced to disk; a torn line at its end goes.

    Raises Unavailable.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b") as file:
            content = file.read()
            kept = content[: len(content) - _torn(content)]
            file.truncate(len(kept))
            file.seek(len(kept))
            begin = b"" if not kept or kept.endswith(b"\n") else b"\n"
            file.write(begin + msgspec.json.encode(head) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Unavailable(f"not kept: {error.strerror}", where=str(path)) from error


def largest(heads: Sequence[Head]) -> Head | None:
    """The head of most rows."""
    return max(heads, key=lambda head: head.size, default=None)
