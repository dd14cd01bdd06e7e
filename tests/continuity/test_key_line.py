"""Keys on their way to the standby: none is missed while it joins, and what is erased goes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from openaoc.continuity.key_line import KeyLine
from openaoc.continuity.line import LineBroken
from openaoc.continuity.standby_model import Ack, FileHead, Listing
from openaoc.kernel.errors import Unavailable
from openaoc.storage.files import write_once

SECONDS_MAX = 60


class Other:
    """The standby's end: what it has, and a hand on each message before it is confirmed."""

    def __init__(self, has: Collection[str] = ()) -> None:
        self.has = dict.fromkeys(has, b"old")
        self.before_ack: Callable[[str], object] = lambda _: None
        self.beats = threading.Semaphore(0)
        self._head = FileHead(name="", size=0)
        self.broken = False

    def send(self, message: Any) -> None:
        self._alive()
        assert isinstance(message, FileHead)
        self._head = message

    def send_bytes(self, content: bytes | memoryview) -> None:
        self._alive()
        if content:
            self.has[self._head.name] = bytes(content)
        else:
            self.has.pop(self._head.name, None)

    def receive(self, kind: type[Any]) -> Any:
        if kind is Listing:
            return Listing(files={name: len(content) for name, content in self.has.items()})
        self.before_ack(self._head.name)
        self._alive()
        if not self._head.name:
            self.beats.release()
        return Ack()

    def _alive(self) -> None:
        if self.broken:
            raise LineBroken


class Folder:
    """The primary's keys and their line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "identities").mkdir()
        self.waits = False
        self.erased: set[str] = set()
        self.line = KeyLine(
            path, beat_s=0.01, must_wait=lambda: self.waits, erased=self.erased.intersection
        )

    def key(self, name: str) -> str:
        full = f"identities/{name}.key"
        write_once(self.path / full, b"wrapped")
        return full

    def made(self, name: str) -> str:
        full = self.key(name)
        self.line.changed(self.path / full)
        return full

    @contextmanager
    def serving(self, other: Other) -> Iterator[None]:
        thread = threading.Thread(target=self._serve, args=(other,))
        thread.start()
        try:
            yield
        finally:
            other.broken = True
            thread.join(SECONDS_MAX)
            assert not thread.is_alive()

    def _serve(self, other: Any) -> None:
        with pytest.raises(LineBroken):
            self.line.serve(other)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_key_made_while_the_listing_is_sent_is_there_before_the_standby_counts(
    folder: Folder,
) -> None:
    first = folder.key("a")
    other, made = Other(), queue.Queue[str]()

    def meanwhile(name: str) -> None:
        if name == first and made.empty():
            assert not folder.line.here
            made.put(folder.made("b"))

    other.before_ack = meanwhile
    with folder.serving(other):
        assert other.beats.acquire(timeout=SECONDS_MAX)
        assert folder.line.here
        assert set(other.has) == {first, made.get_nowait()}
    assert not folder.line.here


def test_a_key_is_waited_for_and_one_that_is_erased_goes_there_too(folder: Folder) -> None:
    other = Other()
    with folder.serving(other):
        assert other.beats.acquire(timeout=SECONDS_MAX)
        name = folder.made("a")
        assert other.has == {name: b"wrapped"}
        (folder.path / name).unlink()
        folder.line.changed(folder.path / name)
        assert other.has == {}


def test_what_was_erased_while_it_was_away_goes_and_what_is_only_missing_stays(
    folder: Folder,
) -> None:
    kept, erased, lost = (f"identities/{name}.key" for name in "abc")
    folder.key("a")
    folder.erased.add(erased)
    other = Other([kept, erased, lost])
    with folder.serving(other):
        assert other.beats.acquire(timeout=SECONDS_MAX)
        assert set(other.has) == {kept, lost}


def test_an_older_connection_that_ends_does_not_end_the_newer_one(folder: Folder) -> None:
    old, new = Other(), Other()
    with ExitStack() as first:
        first.enter_context(folder.serving(old))
        assert old.beats.acquire(timeout=SECONDS_MAX)
        with folder.serving(new):
            assert new.beats.acquire(timeout=SECONDS_MAX)
            first.close()
            assert folder.line.here
            name = folder.made("a")
            assert name in new.has
    assert not folder.line.here


def test_a_key_is_sent_again_after_the_line_broke_and_its_writer_waits(folder: Folder) -> None:
    folder.waits = True
    first, second = Other(), Other()
    breaks = threading.Event()

    def at_ack(name: str) -> None:
        if name:
            first.broken = True
            breaks.set()

    first.before_ack = at_ack
    writer = threading.Thread(target=folder.made, args=("a",))
    with folder.serving(first):
        assert first.beats.acquire(timeout=SECONDS_MAX)
        writer.start()
        assert breaks.wait(SECONDS_MAX)
    assert writer.is_alive()
    with folder.serving(second):
        writer.join(SECONDS_MAX)
        assert not writer.is_alive()
        assert list(second.has) == ["identities/a.key"]


def test_whoever_waits_hears_when_the_centre_ends(folder: Folder) -> None:
    folder.waits = True
    folder.line.stop()
    with pytest.raises(Unavailable):
        folder.made("a")


def test_nobody_waits_for_a_standby_that_is_not_there(folder: Folder) -> None:
    name = folder.made("a")
    other = Other()
    with folder.serving(other):
        assert other.beats.acquire(timeout=SECONDS_MAX)
        assert list(other.has) == [name], "whoever comes later is sent the whole folder"
        assert folder.line.behind_these().wait(SECONDS_MAX)
