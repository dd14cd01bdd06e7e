"""Cold days on their way to the standby: there before their cut is, and gone when expired."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from openaoc.continuity import standby
from openaoc.continuity.line import LineBroken, Welcome, line_certificate
from openaoc.continuity.standby import Standby
from openaoc.continuity.standby_model import Ack, CopyHead, FileHead
from openaoc.continuity.supply import COLD_LIST, forget_cold, listing, receive_files, send_cold
from openaoc.kernel.clock import SystemClock, from_us
from openaoc.ledger.cold_format import Manifest
from openaoc.ledger.service import Ledger
from openaoc.ledger.tail import LogKeeper, LogTail
from openaoc.ledger.wal import CUT
from openaoc.storage.keyring import Keyring
from tests.continuity.small import settings_for
from tests.ledger.worlds import START_US, ledger, row, table

ROWS = table([row(f"T{number}", at=number) for number in range(6)])


class Wire:
    """Both ends of a channel: what one sent, the other receives afterwards."""

    def __init__(self, meanwhile: Callable[[FileHead], object] = lambda _: None) -> None:
        self._sent: deque[Any] = deque()
        self._meanwhile = meanwhile

    def send(self, message: Any) -> None:
        self._sent.append(message)
        if isinstance(message, FileHead):
            self._meanwhile(message)

    def send_bytes(self, content: bytes) -> None:
        self._sent.append(bytes(content))

    def receive(self, kind: type[Any]) -> Any:
        if kind is Ack:
            return Ack()
        message = self._sent.popleft()
        assert isinstance(message, kind)
        return message

    def receive_bytes(self) -> bytes:
        return bytes(self._sent.popleft())


def carry(source: Path, target: Path, wire: Any) -> None:
    """What the standby lacks of cold days, as `cold` does it."""
    have = {name: size for name, size in listing(target).items() if name.startswith("cold/")}
    send_cold(wire, source, have)
    wire.receive(CopyHead)
    receive_files(wire, target)


def cold_centre(source: Ledger) -> None:
    """Six transfers, four of which have left memory."""
    source.ingest(ROWS, live=False)
    assert source.cut(from_us(START_US + 4)) == 4


def named(folder: Path) -> set[str]:
    listed = msgspec.json.decode((folder / COLD_LIST).read_bytes(), type=Manifest)
    return {file.name for segment in listed.segments for file in segment.files}


def test_a_list_that_grows_while_it_is_sent_comes_whole_and_names_only_what_came(
    tmp_path: Path,
) -> None:
    home, there = tmp_path / "a", tmp_path / "b"
    (there / "cold").mkdir(parents=True)
    with ledger(home) as source:
        cold_centre(source)
        before = (home / COLD_LIST).read_bytes()

        def cut_again(head: FileHead) -> None:
            if head.name and (home / COLD_LIST).read_bytes() == before:
                assert source.cut(from_us(START_US + 5)) == 1

        carry(home, there, Wire(cut_again))
        assert (home / COLD_LIST).read_bytes() != before
    assert (there / COLD_LIST).read_bytes() == before
    assert named(there) <= {path.name for path in (there / "cold").iterdir()}


def test_what_has_expired_at_the_centre_goes_from_its_standby_and_an_empty_centre_empties_nothing(
    tmp_path: Path,
) -> None:
    home, there = tmp_path / "a", tmp_path / "b"
    (there / "cold").mkdir(parents=True)
    with ledger(home) as source:
        cold_centre(source)
        carry(home, there, Wire())
        kept = {path.name for path in (there / "cold").iterdir()}
        (there / "cold" / "000000-sides.parquet").write_bytes(b"of days that have expired")
        forget_cold(there)
        assert {path.name for path in (there / "cold").iterdir()} == kept
        empty = tmp_path / "empty"
        empty.mkdir()
        carry(empty, there, Wire())
        forget_cold(there)
        assert {path.name for path in (there / "cold").iterdir()} == kept


def test_a_cut_is_not_kept_before_what_it_moves_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the frame alone a promotion would drop those transfers from memory and have no copy."""
    home, there = tmp_path / "a", tmp_path / "data" / "ledger"
    there.mkdir(parents=True)
    standby = Standby.__new__(Standby)
    keeper = LogKeeper(there, position=0)
    away = True

    def fetch_cold() -> None:
        if away:
            raise LineBroken
        (there / "cold").mkdir()
        carry(home, there, Wire())

    monkeypatch.setattr(standby, "_fetch_cold", fetch_cold)
    with ledger(home) as source:
        (there / "ledger.json").write_bytes((home / "ledger.json").read_bytes())
        source.retain(0)
        cold_centre(source)
        tail = LogTail(home, after=0)
        while (frame := tail.next(durable=source.stats().position)) is not None:
            if CUT in frame.kinds:
                with pytest.raises(LineBroken):
                    keeper.keep(frame.content, needs=standby._fetch_cut)
                assert keeper.position == frame.first - 1
                away = False
            keeper.keep(frame.content, needs=standby._fetch_cut)
    keeper.close()
    assert not away
    with ledger(there) as promoted:
        again = promoted.ingest(ROWS, live=False)
        assert (again.accepted, again.repeated) == (0, 6)


WAIT_S = 60.0


class Endless:
    """A channel on which the primary sends without an end, until it is closed."""

    def __init__(self) -> None:
        self.asked, self.closed = threading.Event(), threading.Event()

    def receive(self, _: type[Any]) -> Any:
        self.asked.set()
        assert self.closed.wait(WAIT_S)
        raise LineBroken("closed")

    def close(self) -> None:
        self.closed.set()


def test_a_standby_that_fetches_cold_days_ends_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path)
    (settings.data_path / "ledger").mkdir(parents=True)
    keys = Keyring(settings.keys_path)
    keys.master_key()
    line_certificate(keys, SystemClock())
    channel = Endless()
    monkeypatch.setattr(standby, "dial", lambda *_: (channel, Welcome(epoch=1)))
    follower = Standby(settings, primary="127.0.0.1:1")
    fetching = threading.Thread(target=follower._keep_on, args=("cold", follower._fetch_cold))
    follower._threads.append(fetching)
    fetching.start()
    assert channel.asked.wait(WAIT_S)
    stopping = threading.Thread(target=follower.stop)
    stopping.start()
    told = channel.closed.wait(WAIT_S)
    stopping.join(WAIT_S)
    assert told
    assert not fetching.is_alive()
