"""CLI: the demonstration's child processes, started in their own session, stopped by their pid.

On Linux they end with us, too: whoever kills the demonstration leaves nothing behind.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from openaoc.kernel.errors import Conflict, Unavailable
from openaoc.storage.postgres_identity import Identity

STOP_SECONDS: Final = 30.0
LOG_LINES_SHOWN: Final = 6
LOG_BYTES_READ: Final = 20_000


class PortTaken(Conflict):
    """The port is in use."""


class ChildDied(Unavailable):
    """A part of the demonstration has stopped by itself."""


def check_port_free(host: str, port: int) -> None:
    """Raises PortTaken when somebody listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"something already listens on {host}:{port}; stop it, or choose another port "
                f"with OPENAOC_PORT ({error.strerror})"
            ) from None


class Child:
    """One process with its log. It is in a session of its own, so Ctrl-C reaches only us."""

    def __init__(
        self, name: str, arguments: list[str], *, log: Path, environ: dict[str, str], talks: bool
    ) -> None:
        """`talks`: its stdin is kept open as long as we live, and its stdout is read.

        Started by a thread that lives as long as the child shall.
        """
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 # our own interpreter and module
                Identity().command(
                    [sys.executable, *arguments], folder=Path.cwd(), die_with_us=True
                ),
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else out,
                stderr=out,
                env=environ,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def first_line(self) -> str:
        """The first line it says. Raises ChildDied when it says nothing."""
        assert self._process.stdout is not None, "started without talking"
        line = self._process.stdout.readline().decode("ascii", "replace").strip()
        if not line:
            self._process.wait(STOP_SECONDS)
            raise ChildDied(self.last_words())
        return line

    def check(self) -> None:
        """Raises ChildDied when it has ended."""
        if self._process.poll() is not None:
            raise ChildDied(
                f"{self.name} ended with {self._process.returncode}: {self.last_words()}"
            )

    def last_words(self) -> str:
        """The end of its log."""
        try:
            text = self.log.read_bytes()[-LOG_BYTES_READ:].decode("utf-8", "replace")
        except OSError:
            text = ""
        lines = [line for line in text.splitlines() if line.strip()]
        return f"{' | '.join(lines[-LOG_LINES_SHOWN:])} ({self.log})"

    def stop(self) -> bool:
        """Ask it to end, wait, and end it at last; whether it ended when asked."""
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True
