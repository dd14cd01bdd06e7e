"""A thread that calls something every so often, or when woken, and outlives every fault of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from openaoc.kernel.errors import OpenAOCError
from openaoc.storage.outage import Outage

STOP_SECONDS_MAX: Final = 30.0

_LOG = structlog.get_logger(__name__)


class Ticker:
    """Calls something every so often in a thread of its own; a call that fails is logged."""

    def __init__(
        self, name: str, call: Callable[[], object], *, every_s: float, rest_s: float = 0.0
    ) -> None:
        """After each call it rests `rest_s`, then waits to be woken, `every_s` seconds at most."""
        assert every_s > 0, "a pause between calls"
        self._rest_s = rest_s
        self._name = name
        self._call = call
        self._every_s = every_s
        self._outage = Outage(name)
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    def start(self) -> None:
        """Begin with a call at once."""
        self._thread.start()

    def wake(self) -> None:
        """Call now instead of later."""
        self._wanted.set()

    def stop(self) -> None:
        """Let a running call end. Safe to call twice, and before the start."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP_SECONDS_MAX)

    def _keep(self) -> None:
        while True:
            self._wanted.clear()
            if self._stopping.is_set():  # asked after: the wake-up of a stop must not be cleared
                return
            try:
                self._call()
            except OpenAOCError as error:
                if not self._outage.went(error):
                    _LOG.warning("storage.ticker.failed", ticker=self._name, error=str(error))
            except Exception:  # noqa: BLE001 - the ticker outlives every fault
                _LOG.exception("storage.ticker.failed", ticker=self._name)
            else:
                self._outage.back()
            self._stopping.wait(self._rest_s)
            self._wanted.wait(self._every_s)
