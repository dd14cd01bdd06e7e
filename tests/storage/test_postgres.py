"""The embedded server: comes up anywhere, survives what kills it, gives way to nobody."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import conninfo

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock, SystemClock
from openaoc.kernel.errors import Conflict, Corrupt, OpenAOCError, Unavailable
from openaoc.kernel.settings import Settings
from openaoc.storage import postgres_files as files
from openaoc.storage.database import Database, open_database
from openaoc.storage.keyring import Keyring
from openaoc.storage.postgres import PASSWORD_NAME, EmbeddedPostgres
from openaoc.storage.postgres_identity import LAUNCHER, Identity, choose_identity
from openaoc.storage.tables import journal_rows
from tests.storage.journal_now import written_now

SCRIPT = Path(__file__).with_name("centre_script.py")
WAIT_S = 120.0
NOBODY = 65534
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def until(question: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.02)
    return False


without_sync = functools.partial(EmbeddedPostgres, durable=False)
"""Processes are killed here, not machines."""


def make(home: Path) -> EmbeddedPostgres:
    return without_sync(home, keys=Keyring(home / "keys"))


def ask(server: EmbeddedPostgres, statement: str) -> object:
    with server.superuser() as connection:
        row = connection.execute(statement.encode()).fetchone()
    return None if row is None else row[0]


def tell(server: EmbeddedPostgres, statement: str) -> None:
    with server.superuser() as connection:
        connection.execute(statement.encode())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder as pytest makes them: closed to everybody else, as are its parents."""
    return tmp_path / "data"


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    one = make(home)
    one.start()
    yield one
    one.stop()


def modes(path: Path) -> list[int]:
    return [stat.S_IMODE(place.stat().st_mode) for place in (path, *path.parents)]


def test_it_starts_stops_and_keeps_what_was_committed(home: Path) -> None:
    before = modes(home.parent)
    first = make(home)
    first.start()
    tell(first, "CREATE TABLE kept AS SELECT 42 AS n")
    assert stat.S_IMODE(first.data.stat().st_mode) == 0o700
    first.stop()
    assert not (first.data / "postmaster.pid").exists(), "a clean stop"
    second = make(home)
    second.start()
    assert ask(second, "SELECT n FROM kept") == 42
    second.stop()
    assert modes(home.parent) == before, "no folder was opened to others"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_nobody_gets_in_without_the_password(server: EmbeddedPostgres) -> None:
    parameters = {**server.parameters(), "password": "wrong"}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(conninfo.make_conninfo(**parameters))


def test_it_listens_on_no_network(server: EmbeddedPostgres) -> None:
    assert ask(server, "SHOW listen_addresses") == ""


def test_a_killed_server_comes_back_by_itself_with_every_commit(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=str(home))
    monkeypatch.setattr("openaoc.storage.database.EmbeddedPostgres", without_sync)
    database = open_database(settings, clock=SystemClock())
    assert database.server is not None
    try:
        database.migrate()
        kept, stop = kept_while_writing(database, kills=2)
        assert not stop
        with database.uow.read(SYSTEM) as tx:
            found = set(tx.connection.execute(sa.select(journal_rows.c.id)).scalars())
        assert kept <= found, "a commit that was answered is there"
        assert database.server.restarts == 2
    finally:
        database.close()


def kept_while_writing(database: Database, *, kills: int) -> tuple[set[int], list[BaseException]]:
    """Rows whose commit was answered, while the server is killed some times."""
    kept: set[int] = set()
    unexpected: list[BaseException] = []
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            try:
                with database.uow.begin(SYSTEM) as tx:
                    tx.journal(action="test.crash", subject="row")
                    [row] = written_now(tx)
                kept.add(row)
            except Unavailable:
                time.sleep(0.05)
            except OpenAOCError as error:
                unexpected.append(error)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    server = database.server
    assert server is not None
    for number in range(1, kills + 1):
        before = len(kept)
        assert until(lambda: len(kept) > before + 5)  # noqa: B023 - used at once
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: server.restarts == number and server.running)  # noqa: B023 - at once
    before = len(kept)
    assert until(lambda: len(kept) > before)
    done.set()
    for writer in writers:
        writer.join()
    return kept, unexpected


def test_one_data_folder_one_centre(server: EmbeddedPostgres, home: Path) -> None:
    with pytest.raises(Conflict):
        make(home).start()
    assert ask(server, "SELECT 1") == 1


def test_two_data_folders_two_centres(server: EmbeddedPostgres, tmp_path: Path) -> None:
    other = make(tmp_path / "other")
    other.start()
    tell(other, "CREATE TABLE mine AS SELECT 1")
    assert ask(server, "SELECT to_regclass('mine')") is None
    other.stop()


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 20) / ("longer" * 20)
    one = make(home)
    one.start()
    assert ask(one, "SELECT 1") == 1
    place = Path(one.parameters()["host"])
    assert place.name.startswith(files.SOCKET_FOLDER_PREFIX)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    one.stop()
    assert not place.exists(), "nothing stays among the temporary files"


def test_a_lost_password_file_is_made_anew(home: Path) -> None:
    one = make(home)
    one.start()
    tell(one, "CREATE TABLE kept AS SELECT 42 AS n")
    one.stop()
    (home / "keys" / PASSWORD_NAME).unlink()
    two = make(home)
    two.start()
    assert ask(two, "SELECT n FROM kept") == 42
    two.stop()


def test_a_pid_file_of_somebody_elses_process_is_no_obstacle(home: Path) -> None:
    one = make(home)
    one.start()
    one.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        text = f"{stranger.pid}\n{home}/postgres\n1\n5432\n/tmp/x\n\n 123 0\nready   \n"
        pid_file = home / "postgres" / "postmaster.pid"
        pid_file.write_text(text)
        one._identity.give(home / "postgres")
        two = make(home)
        two.start()
        assert ask(two, "SELECT 1") == 1
        two.stop()
        assert stranger.poll() is None, "the stranger was left alone"
        stranger.kill()


def test_half_a_cluster_is_made_again(home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "postgres.new").mkdir()
    (home / "postgres.new" / "PG_VERSION").write_text("16\n")
    one = make(home)
    one.start()
    assert ask(one, "SELECT 1") == 1
    one.stop()
    assert not (home / "postgres.new").exists()


def test_another_version_is_refused_in_words(home: Path) -> None:
    one = make(home)
    one.start()
    one.stop()
    (home / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(Corrupt, match="15"):
        make(home).start()
    (home / "postgres" / "PG_VERSION").write_text("16\n")
    two = make(home)
    two.start()
    two.stop()


def test_a_server_that_cannot_start_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SETTINGS", files.SETTINGS + "no_such_setting = 1\n")
    with pytest.raises(Unavailable, match="no_such_setting"):
        make(home).start()
    monkeypatch.undo()
    one = make(home)
    one.start()
    one.stop()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file"):
        make(tmp_path / "file" / "data").start()


# Killed centres


class Script:
    """A centre in a process of its own."""

    def __init__(self, folder: Path, *, linger: bool = False, uid: int | None = None) -> None:
        command = [sys.executable, str(SCRIPT), str(folder), *(["linger"] if linger else [])]
        if uid is not None:
            launcher = [sys.executable, "-I", "-S", str(LAUNCHER), f"--uid={uid}", f"--gid={uid}"]
            launcher += ["--capability=dac_read_search", f"--folder={folder.parent}", "--"]
            command = launcher + command
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        line = self.answer()
        assert line, self.process.stderr.read() if self.process.stderr else ""
        self.said: dict[str, int] = json.loads(line)

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def write(self, subject: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{subject}\n")
        self.process.stdin.flush()
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


def test_a_killed_centre_loses_nothing_and_leaves_nothing_in_the_way(home: Path) -> None:
    first = Script(home)
    assert first.said["rows"] == 0
    for number in range(5):
        assert first.write(str(number))
    first.kill()
    if sys.platform == "linux":
        assert until(lambda: not files.is_alive(first.said["postgres"])), "no server is left over"
    lingering = Script(home, linger=True)
    assert lingering.said["rows"] == 5
    assert lingering.write("row")
    lingering.kill()
    assert files.is_alive(lingering.said["postgres"])
    last = Script(home)
    assert last.said["rows"] == 6
    assert last.said["postgres"] != lingering.said["postgres"]
    assert not files.is_alive(lingering.said["postgres"]), "it was stopped, ours is our own"
    last.stop()


@root_only
def test_it_runs_as_a_normal_user_too() -> None:
    parent = Path(tempfile.mkdtemp(prefix="openaoc-nobody-"))
    try:
        os.chown(parent, NOBODY, NOBODY)
        first = Script(parent / "data", uid=NOBODY)
        assert first.said["uid"] == NOBODY
        assert first.write("row")
        first.kill()
        second = Script(parent / "data", uid=NOBODY)
        assert second.said["rows"] == 1
        second.stop()
        assert (parent / "data" / "postgres").stat().st_uid == NOBODY
        third = make(parent / "data")
        third.start()
        assert third._identity.uid == NOBODY, "root serves it as its owner"
        third.stop()
    finally:
        shutil.rmtree(parent)


@root_only
def test_as_root_the_server_is_somebody_else_with_next_to_no_power(
    server: EmbeddedPostgres,
) -> None:
    text = Path(f"/proc/{server.pid}/status").read_text("utf-8")
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapEff"], 16) & ~0b110 == 0, "at most passing through folders"
    assert int(fields["CapPrm"], 16) == int(fields["CapEff"], 16)
    assert fields["NoNewPrivs"] == "1"
    assert fields["Groups"].strip() == ""


@root_only
def test_root_without_a_user_to_become_is_told_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openaoc.storage.postgres_identity.USERS", ("no-such-user",))
    with pytest.raises(Unavailable, match="OPENAOC_DSN"):
        make(home).start()


def test_a_user_without_a_name_is_told_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    home.mkdir()
    with pytest.raises(Unavailable, match="54321"):
        choose_identity(home)


def test_identity_gives_nothing_away_as_a_normal_user(tmp_path: Path) -> None:
    owner = tmp_path.stat().st_uid
    Identity().give(tmp_path)
    assert tmp_path.stat().st_uid == owner


def test_times_in_the_database_are_utc(clock: ManualClock, database: Database) -> None:
    with database.uow.begin(SYSTEM) as tx:
        tx.journal(action="test.time", subject="now")
    with database.uow.read(SYSTEM) as tx:
        found = tx.connection.execute(sa.select(journal_rows.c.at)).scalar_one()
    assert found == clock.now()
    assert found.utcoffset() == clock.now().utcoffset()
