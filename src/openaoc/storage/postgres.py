"""The embedded PostgreSQL: made, started, watched, restarted and stopped by us.

Answers: where can I connect. Listens on a private Unix socket only. Never deletes a data folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import psycopg
import structlog
from psycopg import conninfo

from openaoc.kernel.errors import Conflict, Corrupt, Unavailable
from openaoc.storage import postgres_files as files
from openaoc.storage.files import PRIVATE_FILE, private_folder
from openaoc.storage.keyring import Keyring
from openaoc.storage.postgres_identity import Identity, binaries, choose_identity

SUPERUSER: Final = "postgres"
PASSWORD_NAME: Final = "postgres-superuser.password"  # noqa: S105 - a file's name
VERSION: Final = "16"
START_SECONDS_MAX: Final = 180.0
"""Crash recovery replays at most max_wal_size."""
STOP_SECONDS_MAX: Final = 60.0
INITDB_SECONDS_MAX: Final = 120.0
POLL_S: Final = 0.02
WATCH_S: Final = 0.1
"""How often it is looked whether the server lives: a start again takes longer than that."""
RESTART_PAUSE_S: Final = 0.2
RESTART_PAUSE_S_MAX: Final = 10.0
STARTS_MAX: Final = 5
"""Attempts of one start while a killed server's children still leave."""

_LOG = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """One server on one data folder, held by one process at a time.

    A thread of its own starts the server and restarts it when it dies; on Linux the server stops
    by itself when this process is killed.
    """

    def __init__(
        self,
        home: Path,
        *,
        keys: Keyring,
        durable: bool = True,
        more_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.data = home / "postgres"
        self.restarts = 0
        self._keys = keys
        self._durable = durable
        self._more_settings = dict(more_settings or {})
        self._identity = Identity()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: Path | None = None
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None
        self._lock_file: int | None = None

    @property
    def running(self) -> bool:
        """Whether the server takes connections, as far as its keeper knows."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        """The server's process number while it runs."""
        return self._process.pid if self._process and self._ready.is_set() else None

    def parameters(self, *, database: str = "postgres") -> dict[str, str]:
        """Psycopg connection parameters of the superuser; the server must have been started."""
        assert self._socket is not None, "not started"
        return {
            "host": str(self._socket),
            "port": "5432",
            "user": SUPERUSER,
            "password": self._keys.secret(PASSWORD_NAME),
            "dbname": database,
        }

    def start(self) -> None:
        """Return when the server takes connections.

        Raises Conflict when another process holds the data folder, Unavailable when PostgreSQL
        does not start, Corrupt when the folder is of another version.
        """
        assert self._thread is None, "started twice"
        private_folder(self.home)
        self._lock_file = self._hold()
        try:
            self._prepare()
        except BaseException:  # whatever it is, the folder must be free again
            self._let_go()
            raise
        self._thread = threading.Thread(target=self._keep, name="postgres", daemon=True)
        self._thread.start()
        while not self._ready.wait(POLL_S) and self._thread.is_alive():
            continue
        if not self._ready.is_set():
            self._thread.join()
            self._thread = None
            self._let_go()
            raise self._failure or Unavailable("PostgreSQL did not start")

    def stop(self) -> None:
        """Stop fast and cleanly: sessions end, what is committed is on disk. Safe to call twice."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._let_go()

    def _hold(self) -> int:
        path = self.home / "postgres.lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unavailable(f"cannot open: {error.strerror}", where=str(path)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise Conflict("another process uses this data folder", where=str(self.home)) from error
        return descriptor

    def _let_go(self) -> None:
        held, self._lock_file = self._lock_file, None
        if held is not None:
            os.close(held)

    def _prepare(self) -> None:
        """Everything before the first start: identity, cluster, a leftover server, settings."""
        fresh = not self.data.exists()
        place = self.home / "postgres.new" if fresh else self.data
        if fresh:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(mode=0o700)
        elif os.geteuid() not in (0, self.data.stat().st_uid):
            raise Unavailable("belongs to another user", where=str(self.data))
        owner = place.stat().st_uid
        self._identity = choose_identity(place)
        if fresh:
            self._initdb(place)
            place.rename(self.data)
        version = (self.data / "PG_VERSION").read_text("ascii").strip()
        if version != VERSION:
            raise Corrupt(f"made by PostgreSQL {version}, this is {VERSION}", where=str(self.data))
        self._end_leftover()
        if not fresh and self._identity.uid not in (None, owner):
            self._identity.give(self.data)
        files.write_settings(self.data, durable=self._durable, more=self._more_settings)
        if not self._keys.has(PASSWORD_NAME):
            self._reset_password()

    def _initdb(self, place: Path) -> None:
        """A new cluster, whole under its final name or not at all."""
        options = ["-U", SUPERUSER, "--locale=C", "--encoding=UTF8", "--data-checksums"]
        options += ["--auth=reject"] + ([] if self._durable else ["--no-sync"])
        done = subprocess.run(  # noqa: S603 - our own interpreter and launcher
            self._identity.command(
                [str(binaries() / "initdb"), "-D", str(place), *options], folder=place
            ),
            capture_output=True,
            timeout=INITDB_SECONDS_MAX,
            check=False,
        )
        if done.returncode != 0:
            text = done.stderr.decode("utf-8", "replace").strip()[-1000:]
            raise Unavailable(f"initdb failed: {text}", where=str(place))
        self._reset_password(place)

    def _reset_password(self, place: Path | None = None) -> None:
        """Set the superuser's password with the server down: at first, or when its file is lost."""
        data = place or self.data
        password = self._keys.secret(PASSWORD_NAME)
        assert "'" not in password, "our own alphabet"
        command = [str(binaries() / "postgres"), "--single", "-D", str(data), "postgres"]
        done = subprocess.run(  # noqa: S603 - our own interpreter and launcher
            self._identity.command(command, folder=data),
            input=f"ALTER ROLE {SUPERUSER} PASSWORD '{password}';\n".encode("ascii"),
            capture_output=True,
            timeout=START_SECONDS_MAX,
            check=False,
        )
        if done.returncode != 0 or b"ERROR" in done.stderr:
            raise Unavailable("cannot set the database's password", where=str(data))

    def _end_leftover(self) -> None:
        """A server that outlived its centre is stopped, so that ours is our own child.

        A pid file whose process is somebody else's is removed, once nobody uses its memory.
        """
        old = files.read_postmaster(self.data)
        if old is None:
            return
        if files.is_alive(old.pid) and files.serves(old.pid, self.data):
            _LOG.warning("storage.postgres.leftover_stopped", pid=old.pid)
            for number in (signal.SIGINT, signal.SIGQUIT):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(old.pid, number)
                if _wait(lambda: not files.is_alive(old.pid), STOP_SECONDS_MAX):
                    break
            else:
                raise Unavailable(f"process {old.pid} still serves it", where=str(self.data))
        elif files.is_alive(old.pid) and not (
            old.shared_memory is not None and files.memory_in_use(old.shared_memory)
        ):
            (self.data / "postmaster.pid").unlink()
        files.forget_socket_folder(old.socket_folder)

    def _keep(self) -> None:
        """The keeper's life: start, wait for the end, start again, until told to stop."""
        pause_s = RESTART_PAUSE_S
        while not self._stopping.is_set():
            try:
                self._launch()
            except Exception as error:  # noqa: BLE001 - told to start(), or logged below
                self._failure = error
                if self.restarts == 0:
                    return
                _LOG.exception("storage.postgres.restart_failed")
            else:
                self._ready.set()
                if self.restarts:
                    _LOG.info("storage.postgres.back", restarts=self.restarts)
                started = time.monotonic()
                self._watch()
                self._ready.clear()
                if time.monotonic() - started > RESTART_PAUSE_S_MAX:
                    pause_s = RESTART_PAUSE_S
            if self._stopping.is_set():
                return
            self.restarts += 1
            _LOG.error("storage.postgres.died", restarts=self.restarts, pause_s=pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(pause_s * 2, RESTART_PAUSE_S_MAX)

    def _launch(self) -> None:
        """Start the server and return when it takes connections; raises Unavailable else."""
        for attempt in range(1, STARTS_MAX + 1):
            if self._socket is None or not self._socket.is_dir():
                self._socket = files.socket_folder(self.home)
                self._identity.give(self._socket)
            files.clear_socket(self._socket)
            log = self.home / "postgres-start.log"
            log.touch(mode=PRIVATE_FILE)
            command = [str(binaries() / "postgres"), "-D", str(self.data), "-k", str(self._socket)]
            with log.open("wb") as output:
                self._process = subprocess.Popen(  # noqa: S603 - our interpreter and launcher
                    self._identity.command(command, folder=self.data, die_with_us=True),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            if self._until_ready(self._process):
                return
            text = log.read_text("utf-8", "replace").strip()[-1000:]
            retriable = "still in use" in text or "already exists" in text
            if attempt == STARTS_MAX or not retriable or self._stopping.wait(float(attempt)):
                raise Unavailable(f"PostgreSQL did not start: {text}", where=str(self.data))

    def _until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it takes connections before it ends; one that hangs is ended."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and not self._stopping.is_set():
            if process.poll() is not None:
                return False
            state = files.read_postmaster(self.data)
            if state is not None and state.pid == process.pid and state.ready:
                return True
            time.sleep(POLL_S)
        self._end(process)
        return False

    def _watch(self) -> None:
        """Until the server ends; ends it when told to stop."""
        process = self._process
        assert process is not None, "launched"
        while process.poll() is None:
            if self._stopping.wait(WATCH_S):
                self._end(process)
                if self._socket is not None:
                    files.forget_socket_folder(str(self._socket))
                return

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """SIGINT is PostgreSQL's fast stop, SIGQUIT its immediate one; both keep what is kept."""
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                _LOG.warning("storage.postgres.stop_slow", signal=number)
            else:
                return

    @contextlib.contextmanager
    def superuser(self, *, database: str = "postgres") -> Iterator[psycopg.Connection]:
        """An autocommitting superuser connection, for making roles and databases only."""
        text = conninfo.make_conninfo(**self.parameters(database=database))
        with psycopg.connect(text, autocommit=True) as connection:
            # Roles and settings do not wait for a standby: what follows them in the log does.
            connection.execute("SET synchronous_commit = local")
            yield connection


def _wait(until: Callable[[], bool], seconds_max: float) -> bool:
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if until():
            return True
        time.sleep(POLL_S)
    return False
