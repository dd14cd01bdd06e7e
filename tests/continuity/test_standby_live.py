"""A centre killed under load, its standby promoted: nothing acknowledged lost, nothing doubled."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from openaoc.continuity.fencing import PROMOTE_AFTER_S
from openaoc.storage.marks import FENCED_MARK
from tests.channels.institution import Stub, serving
from tests.cli import test_crash as crashes
from tests.cli.server import end_left_behind, free_port
from tests.cli.world import moment, tell, transfer
from tests.continuity.live import BATCHES_TWICE, Centre, counted, learn_keys, prepare, until


class Pair:
    """A centre and its standby, on one machine, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.line = f"127.0.0.1:{free_port()}"
        self.primary = Listening(folder / "primary", self.line)
        self.standby = Centre(folder / "standby")
        self.folder = folder

    def make(self) -> None:
        """Keys by a sealed file, then the copy over the line, then follow."""
        sealed = self.folder / "keys.sealed"
        self.primary.run_json("backup", "--keys", str(sealed))
        self.standby.folder.mkdir()
        self.standby.run_json("standby", "keys", str(sealed))
        self.standby.run_json("standby", "make", self.line)
        self.follow()

    def follow(self) -> None:
        """Start the standby's process and wait until nothing is acknowledged without it."""
        self.standby.starts += 1
        log = (self.standby.folder / f"serve-{self.standby.starts}.log").open("wb")
        with log:
            self.standby.process = subprocess.Popen(
                [sys.executable, "-m", "openaoc", "standby", "serve"],
                stdout=log,
                stderr=log,
                cwd=self.standby.folder,
                env=self.standby.environment(),
                start_new_session=True,
            )
        until(lambda: self.state() == "in_sync", "the standby to be in sync")

    def state(self) -> str:
        return str(self.primary.run_json("standby", "status")["state"])

    def end(self) -> None:
        for server in (self.primary, self.standby):
            if server.process is not None and server.process.poll() is None:
                server.stop(signal.SIGKILL)
            end_left_behind(server)


class Listening(Centre):
    """A centre that listens for its standby."""

    def __init__(self, folder: Path, line: str) -> None:
        super().__init__(folder)
        self.line = line
        self.required = "true"
        self.hot_days = "0"

    def environment(self, **extra: str) -> dict[str, str]:
        more = {"OPENAOC_STANDBY_LISTEN": self.line, "OPENAOC_STANDBY_REQUIRED": self.required}
        return super().environment(OPENAOC_LEDGER_HOT_DAYS=self.hot_days, **more, **extra)


def cold_transfers(centre: Centre) -> int:
    """What the manifest of cold days counts."""
    path = centre.data / "ledger" / "cold" / "cold.json"
    if not path.exists():
        return 0
    return sum(part["transfers"] for part in msgspec.json.decode(path.read_bytes())["segments"])


def keep_one_day(pair: Pair) -> None:
    """The centre starts again with one day in memory: with the next batch the older ones leave."""
    assert cold_transfers(pair.primary) == 0
    pair.primary.hot_days = "1"
    assert pair.primary.stop() == 0
    pair.primary.start()
    until(lambda: pair.state() == "in_sync", "the standby to follow the restarted centre")
    until(lambda: cold_transfers(pair.primary) > 0, "an old day to leave memory")
    until(lambda: cold_transfers(pair.standby) > 0, "the standby to have it on disk too")


def answering(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", timeout=2, trust_env=False).is_success
    return False


@pytest.mark.long
def test_a_killed_centre_is_replaced_by_its_standby(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.primary.start()
    try:
        with serving(Stub("SCB")) as bank:
            load, _ = prepare(pair.primary, bank)
            load.start()
            until(lambda: len(load.record.answers) > 2, "work before there is a standby")
            pair.make()
            done = len(load.record.receipts) + 10
            until(lambda: len(load.record.receipts) >= done, "work that both have")
            old = transfer("OLD1", booked_at=moment(6 * 24 * 60), reported_by="SWITCH")
            with pair.primary.client(load.keys["feed"]) as feed:
                assert tell(feed, old).json()["accepted"] == 1
            keep_one_day(pair)
            postgres = pair.primary.postgres_pid()
            pair.primary.kill()
            os.kill(postgres, signal.SIGKILL)
            killed = time.monotonic()
            early = pair.standby.run("standby", "promote")
            assert early.returncode == 1
            assert b"two servers must never send" in early.stderr
            load.server = pair.standby
            time.sleep(PROMOTE_AFTER_S + 1 - (time.monotonic() - killed))
            promoted = pair.standby.run_json("standby", "promote")
            assert promoted["epoch"] == 2
            until(lambda: answering(pair.standby.url), "the standby as the centre", 120)
            back_s = time.monotonic() - killed
            # What came before the bank fetched the new keys it refused, and gets again.
            learn_keys(pair.standby, bank)
            bank.bad_signatures = 0
            more = len(load.record.receipts) + 5
            until(lambda: len(load.record.receipts) >= more, "work after the promotion")
            load.stop()
            assert load.record.problems == []
            with pair.standby.client(load.keys["administrator"]) as client:
                crashes._settle(client, load)
                crashes._check_transfers(pair.standby, load)
                orders = crashes._check_cases(pair.standby, client, load)
                crashes._check_effects(bank, load, orders)
            admin = load.keys["administrator"]
            assert pair.standby.run_json("journal", "verify", key=admin)["ok"]
            assert counted(pair.standby.data, BATCHES_TWICE) == 0
            assert back_s < 15 * 60
            assert bank.epochs[-1] == 2
            with pair.standby.client(load.keys["feed"]) as feed:
                assert tell(feed, old).json()["accepted"] == 0, "a cold day was lost"
            _the_old_one_is_fenced(pair, bank)
        assert pair.standby.stop() == 0
    finally:
        pair.end()


def _the_old_one_is_fenced(pair: Pair, bank: Stub) -> None:
    """It comes back with its messages of before, sends none, and ends once it hears."""
    seen = len(bank.epochs)
    with (pair.primary.folder / "again.log").open("wb") as log:
        again = subprocess.Popen(
            [sys.executable, "-m", "openaoc", "serve"],
            stdout=log,
            stderr=log,
            cwd=pair.primary.folder,
            env=pair.primary.environment(),
            start_new_session=True,
        )
    try:
        until((pair.primary.data / FENCED_MARK).exists, "the old centre to be told")
        again.wait(60)
    finally:
        if again.poll() is None:
            again.kill()
            again.wait(10)
        end_left_behind(pair.primary)
    assert 1 not in bank.epochs[seen:]
    refused = pair.primary.run("serve")
    assert refused.returncode == 1
    assert b"another server took over" in refused.stderr


def test_without_its_standby_a_centre_acknowledges_nothing_until_told(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.primary.start()
    try:
        with serving(Stub("SCB")) as bank:
            load, keys = prepare(pair.primary, bank)
            pair.make()
            load.start(reporters=2)
            until(lambda: len(load.record.receipts) > 2, "work that both have")
            assert pair.standby.stop() == 0
            time.sleep(1)
            stuck = len(load.record.receipts)
            time.sleep(3)
            assert len(load.record.receipts) <= stuck + 2, "acknowledged without the standby"
            with pair.primary.client() as nobody:
                until(lambda: nobody.get("/health").json()["standby"] == "waiting", "its word")
            pair.follow()
            more = len(load.record.receipts) + 3
            until(lambda: len(load.record.receipts) >= more, "work after it came back")
            assert pair.standby.stop() == 0
            time.sleep(1)
            assert pair.primary.run_json("standby", "forget")["state"] == "none"
            more = len(load.record.receipts) + 3
            until(lambda: len(load.record.receipts) >= more, "work alone, as a person said")
            load.stop()
            assert load.record.problems == []
            assert keys
        assert pair.primary.stop() == 0
    finally:
        pair.end()


@pytest.mark.long
def test_a_centre_that_need_not_wait_goes_on_alone_and_says_so(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.primary.required = "false"
    pair.primary.start()
    try:
        with serving(Stub("SCB")) as bank:
            load, _ = prepare(pair.primary, bank)
            pair.make()
            load.start(reporters=2)
            until(lambda: len(load.record.receipts) > 2, "work that both have")
            pair.standby.kill()
            until(lambda: pair.state() == "alone", "the centre to go on")
            more = len(load.record.receipts) + 3
            until(lambda: len(load.record.receipts) >= more, "work alone")
            end_left_behind(pair.standby)
            pair.follow()
            load.stop()
            assert load.record.problems == []
        assert pair.primary.stop() == 0
    finally:
        pair.end()
