"""One centre per database: a lock that PostgreSQL holds for as long as this process lives.

Two centres with ledgers of their own on one database would each hold money the other knows
nothing of. Never waits for the other to end, but for a killed one's session to be noticed; who
finds that another centre took it while its own connection was lost is told to end.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

import psycopg
import structlog

from openaoc.kernel.errors import Conflict
from openaoc.storage.roles import connect
from openaoc.storage.ticker import Ticker

WAIT_SECONDS_MAX: Final = 10.0
WAIT_STEP_S: Final = 0.1
RENEW_S: Final = 2.0
"""How soon the lock is taken again after the server was restarted."""
SILENCE_MS_MAX: Final = "10000"
"""A server that does not confirm what is sent is lost after this; without it, after minutes."""
_END_OURS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = %s AND datname = current_database() AND pid <> pg_backend_pid()"
)

_LOG = structlog.get_logger(__name__)


class Claim:
    """A session lock of one number in one database, taken again when its connection is lost."""

    def __init__(self, parameters: Mapping[str, str], *, number: int) -> None:
        # By this name a session of ours is known that the server has not yet found to be lost.
        self._name = f"openaoc-claim-{secrets.token_hex(8)}"
        self._parameters = {
            **parameters,
            "application_name": self._name,
            "tcp_user_timeout": SILENCE_MS_MAX,
        }
        self._number = number
        self._connection: psycopg.Connection | None = None
        self._on_lost: Callable[[], None] = _nobody_ends
        self._ticker = Ticker("claim", self._renew, every_s=RENEW_S)

    def take(self) -> None:
        """Raises Conflict when another process has it, DatabaseDown without a database."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not self.held():
            if time.monotonic() > deadline:
                raise Conflict("another centre runs on this database")
            time.sleep(WAIT_STEP_S)

    def keep(self, *, on_lost: Callable[[], None]) -> None:
        """Take it again by itself whenever its connection is lost.

        `on_lost` is called when another centre has taken it meanwhile.
        """
        self._on_lost = on_lost
        self._ticker.start()

    def held(self) -> bool:
        """Whether it is ours, taking it if it is free."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.execute("SELECT 1")
                return True
            self._connection.close()
            self._connection = None
        connection = connect(self._parameters)
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [self._number]).fetchone()
        if row is None or not row[0]:
            connection.close()
            return False
        self._connection = connection
        return True

    def release(self) -> None:
        """Let others have it. Safe to call twice."""
        self._ticker.stop()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _renew(self) -> None:
        if self.held() or self._end_ours():
            return
        if not self.held():
            _LOG.error("storage.claim.lost", why="another centre runs on this database")
            self._on_lost()

    def _end_ours(self) -> bool:
        """End sessions of ours that the server believes to be alive; whether there was one."""
        with connect(self._parameters) as connection:
            return connection.execute(_END_OURS, [self._name]).rowcount > 0


def _nobody_ends() -> None:
    """Before it is kept there is nobody to end."""
