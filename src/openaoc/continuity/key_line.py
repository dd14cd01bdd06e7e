"""Continuity: keys on their way to the standby: each is there before anything relies on it.

Sends what the standby lacks, then every key as it is written or destroyed. Never destroys one
there for being absent here: only the database's word does, for a folder of keys may be lost.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple

from openaoc.continuity.line import Channel
from openaoc.continuity.standby_model import Ack, FileHead, Listing
from openaoc.continuity.supply import IDENTITIES, send_keys
from openaoc.kernel.errors import Unavailable

WAITING_MAX: Final = 100_000
LOOK_S: Final = 0.2
"""How often who waits looks whether there is still somebody to wait for."""


class _Waiting(NamedTuple):
    """A key's file, or none for a place in the row; `there` is set once the standby has it."""

    path: Path | None
    there: threading.Event


class KeyLine:
    """The keys folder as the standby is to have it; the newest connection counts."""

    def __init__(
        self,
        folder: Path,
        *,
        beat_s: float,
        must_wait: Callable[[], bool],
        erased: Callable[[Collection[str]], Collection[str]],
    ) -> None:
        """`erased`: which of these names of key files belong to identities that were erased."""
        self._folder = folder
        self._beat_s = beat_s
        self._must_wait = must_wait
        self._erased = erased
        self._queue: queue.Queue[_Waiting] = queue.Queue(WAITING_MAX)
        self._taking: Channel | None = None
        """Who is sent keys, from before the folder is listed for them."""
        self._served: Channel | None = None
        """Who had everything once, and gets what comes."""
        self._stopping = False

    @property
    def here(self) -> bool:
        """Whether the standby had every key once, and is connected for those that come."""
        return self._served is not None

    def stop(self) -> None:
        """Let nobody wait any more."""
        self._stopping = True

    def changed(self, path: Path) -> None:
        """A key was written or destroyed: return when the standby knows, where it must.

        Raises Unavailable when the centre ends first.
        """
        entry = _Waiting(path, threading.Event())
        if not self._put(entry):
            return
        while self.here or self._must_wait():
            if entry.there.wait(LOOK_S):
                return
            if self._stopping:
                raise Unavailable("the standby did not confirm a key")

    def behind_these(self) -> threading.Event:
        """Set once the standby has everything that is in the row now."""
        entry = _Waiting(None, threading.Event())
        self._put(entry)
        return entry.there

    def _put(self, entry: _Waiting) -> bool:
        """Whether somebody gets it: whoever comes later is sent the whole folder."""
        while self._taking is not None or self._must_wait():
            try:
                self._queue.put(entry, timeout=LOOK_S)
            except queue.Full:
                if self._stopping:
                    raise Unavailable("the standby did not confirm a key") from None
            else:
                return True
        return False

    def serve(self, channel: Channel) -> None:
        """Send everything, then what comes, until the line breaks. Raises LineBroken."""
        known = channel.receive(Listing)
        self._taking = channel
        try:
            send_keys(channel, self._folder, known)
            self._send_erased(channel, known)
            # What was written meanwhile is in the row, and may be missing in the listing.
            while self._send_next(channel, wait_s=0):
                continue
            self._served = channel
            while not self._stopping:
                if not self._send_next(channel, wait_s=self._beat_s):
                    channel.send(FileHead(name="", size=0))
                    channel.receive(Ack)
        finally:
            if self._served is channel:
                self._served = None
            if self._taking is channel:
                self._taking = None

    def _send_erased(self, channel: Channel, known: Listing) -> None:
        """Identities that were erased while the standby was away."""
        gone = [
            name
            for name in known.files
            if name.startswith(IDENTITIES) and not (self._folder / name).exists()
        ]
        for name in self._erased(gone) if gone else ():
            self._send(channel, self._folder / name)

    def _send_next(self, channel: Channel, *, wait_s: float) -> bool:
        try:
            entry = self._queue.get(block=wait_s > 0, timeout=wait_s or None)
        except queue.Empty:
            return False
        try:
            if entry.path is not None:
                self._send(channel, entry.path)
        except BaseException:  # whatever it is, who waits for this key must not be forgotten
            self._queue.put(entry)
            raise
        entry.there.set()
        return True

    def _send(self, channel: Channel, path: Path) -> None:
        """The key as it is now; no content for one that is destroyed."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            content = b""
        channel.send(FileHead(name=path.relative_to(self._folder).as_posix(), size=len(content)))
        channel.send_bytes(content)
        channel.receive(Ack)
