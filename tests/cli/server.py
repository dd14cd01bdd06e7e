"""A centre as its users meet it: `openaoc serve` in a process of its own, reached over HTTP."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from openaoc.storage.postgres_identity import Identity

START_SECONDS_MAX = 240.0
"""The first start on a machine compiles what a later one loads."""
STOP_SECONDS_MAX = 180.0
"""Longer than all that a centre waits for when it ends."""
SOON_SECONDS_MAX = 120.0
"""What a moment may last on a machine that has other work."""


PORTS: Final = range(20_000, 32_000)
"""Below those that a system gives to whoever connects: nobody gets one between look and use, and
who tries a server that is down does not meet themselves."""
PORT_TRIES_MAX: Final = 1_000


_claims = contextlib.ExitStack()
"""UDP sockets at the ports that were given: other test processes see that they are taken, also
while the server that is to listen there is still starting or is down for a while."""


def free_port(*, following: int = 0) -> int:
    """A port of loopback that nobody listens on or was given, and so many after it."""
    for _ in range(PORT_TRIES_MAX):
        port = secrets.choice(PORTS)
        with contextlib.ExitStack() as looks, contextlib.ExitStack() as claims:
            try:
                for number in range(port, port + following + 1):
                    looks.enter_context(socket.socket()).bind(("127.0.0.1", number))
                    claim = claims.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                    claim.bind(("127.0.0.1", number))
            except OSError:
                continue
            _claims.push(claims.pop_all())
            return port
    raise AssertionError("no port of loopback is free")


class Server:
    """One data folder and the process that serves it; may be started again and again."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def environment(self, **extra: str) -> dict[str, str]:
        """What a command needs to reach this centre, and nothing of the tester's own settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENAOC_")}
        return kept | {
            "OPENAOC_DATA_DIR": str(self.data),
            "OPENAOC_URL": self.url,
            "OPENAOC_PORT": str(self.port),
            "OPENAOC_LEDGER_ROWS_MAX": "5000000",
            "OPENAOC_LEDGER_ACCOUNTS_MAX": "1000000",
            **extra,
        }

    def start(self) -> Server:
        """Start and wait until it answers; else it is ended, and fails with the end of its log."""
        self.starts += 1
        self.folder.mkdir(exist_ok=True, parents=True)
        log = (self.folder / f"serve-{self.starts}.log").open("wb")
        with log:
            self.process = subprocess.Popen(
                Identity().command(
                    [sys.executable, "-m", "openaoc", "serve"],
                    folder=self.folder,
                    die_with_us=True,  # tests that are killed leave no centre behind
                ),
                stdout=log,
                stderr=log,
                env=self.environment(),
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health", timeout=2, trust_env=False).is_success:
                    return self
            time.sleep(0.1)
        self.kill()
        end_left_behind(self)
        raise AssertionError(f"the centre did not start:\n{self.log()[-3000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process by its id; its exit code."""
        assert self.process is not None, "not started"
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise

    def kill(self) -> None:
        """SIGKILL the server process alone, as a crash would; its PostgreSQL is left behind."""
        assert self.process is not None, "not started"
        self.process.kill()
        self.process.wait(30)

    def postgres_pid(self) -> int:
        """The embedded PostgreSQL's process."""
        return int((self.data / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])

    def log(self) -> str:
        """What the newest process wrote."""
        path = self.folder / f"serve-{self.starts}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def administrator_key(self) -> str:
        """The key that the first start wrote."""
        return (self.data / "administrator.key").read_text("ascii").strip()

    def client(self, key: str | None = None, *, place: int = 1) -> httpx.Client:
        """A client with a key, or one of nobody, at one of the addresses of loopback."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        here = httpx.HTTPTransport(local_address=f"127.0.0.{place}")
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=60, transport=here, trust_env=False
        )

    def run(
        self, *words: str, key: str | None = None, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """One command of the command line against this centre."""
        extra = {"OPENAOC_API_KEY": key} if key else {}
        return subprocess.run(
            [sys.executable, "-m", "openaoc", *words],
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env=self.environment(**extra),
            timeout=180,
            check=False,
        )

    def run_json(self, *words: str, key: str | None = None, stdin: bytes | None = None) -> Any:
        """The document a command prints with --json; the command must succeed."""
        done = self.run(*words, "--json", key=key, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode()
        return msgspec.json.decode(done.stdout)

    def run_until(self, *words: str, done: Callable[[Any], object], key: str | None = None) -> Any:
        """The document as soon as it is so: a case's figures follow an answer by a moment."""
        until = time.monotonic() + SOON_SECONDS_MAX
        while not done(document := self.run_json(*words, key=key)) and time.monotonic() < until:
            continue
        return document


def end_left_behind(server: Server) -> None:
    """Stop the PostgreSQL that a killed server left, by the id in its own folder."""
    path = server.data / "postgres" / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
        os.kill(int(path.read_text().split("\n", 1)[0]), signal.SIGINT)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A started centre, stopped at the end."""
    server = Server(folder)
    try:
        yield server.start()
    finally:
        if server.process is not None:
            if server.process.poll() is None:
                server.stop()
            end_left_behind(server)
