"""Workflow: what the clock asks for: holds end, late answers escalate, open cases are traced.

Each duty is a function that may be called at any time, twice, or by a test with its own clock;
the thread only calls them often enough.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from openaoc.holds.service import DUE_BATCH_MAX, Holds
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import Busy, Unavailable
from openaoc.storage.errors import DatabaseDown
from openaoc.storage.outage import Outage
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying
from openaoc.workflow.onward import LedgerJournal
from openaoc.workflow.pursuit import CASES_PER_RUN_MAX, Pursuit

EVERY: Final = timedelta(milliseconds=500)
"""After its rest a round waits so long for an event that wakes it."""
REST_SECONDS: Final = 0.5
"""Between two rounds, however often it is woken: what becomes due meanwhile is done together."""
RESTS_PER_ROUND: Final = 3.0
"""It rests so many times longer than a round took: reports and answers come before second looks."""
REST_SECONDS_MAX: Final = 3.0
ROUNDS_MAX: Final = 20
"""One duty runs at most so often in a row before the others get their turn."""
UNHURRIED_ROUNDS: Final = 20
"""Every so many rounds the unhurried duties are looked at too: every 20 seconds at rest."""
UNHURRIED_SECONDS_MAX: Final = 60.0
"""And at the latest after so long, however long a round takes: partners wait for what they do."""
STOP_SECONDS_MAX: Final = 30.0

_LOG = structlog.get_logger(__name__)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What one round of duties did."""

    expired: int
    escalated: int
    retraced: int
    journalled: int
    other: int


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """A further duty: a call that does at most `full` things and says how many it did."""

    call: Callable[[], int]
    full: int


class Duties:
    """The periodic work of the matter. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        holds: Holds,
        pursuit: Pursuit,
        ledger_journal: LedgerJournal,
        unhurried: Sequence[Duty] = (),
    ) -> None:
        """`unhurried`: what need not be looked at more often than every few rounds."""
        self._uow = uow
        self._holds = holds
        self._pursuit = pursuit
        self._ledger_journal = ledger_journal
        self._unhurried = tuple(unhurried)
        self._rounds = 0
        self._all_at_s = 0.0
        self._all = threading.Event()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._outage = Outage("workflow.duties")

    def run_due(self, *, hurried: bool = False) -> Done:
        """Do everything that is due now, to the end or to the named limits.

        `hurried` leaves out what need not be looked at in every round. A duty that fails keeps no
        other from its turn: holds end on time whatever else goes wrong. What the first of them
        raised is raised at the end, or at once where there is no database.
        """
        unhurried = () if hurried else self._unhurried
        failed: list[Exception] = []
        _turn(failed, self._pursuit.pursue)
        done = Done(
            expired=_turn(failed, lambda: self._drain(self.expire_due, DUE_BATCH_MAX)),
            escalated=_turn(failed, lambda: self._drain(self.escalate_due, DUE_BATCH_MAX)),
            retraced=_turn(
                failed, lambda: self._drain(self._pursuit.retrace_due, CASES_PER_RUN_MAX)
            ),
            journalled=_turn(failed, self._ledger_journal.reconcile),
            other=sum(
                _turn(failed, functools.partial(self._drain, duty.call, duty.full))
                for duty in unhurried
            ),
        )
        if failed:
            raise failed[0]
        return done

    def expire_due(self) -> int:
        """End the orders whose time is over; how many."""
        return self._in_transaction(self._holds.expire_due, "holds end by themselves")

    def escalate_due(self) -> int:
        """Say which orders were not answered in time; how many."""
        return self._in_transaction(self._holds.escalate_due, "escalate late answers")

    def wake(self) -> None:
        """Something became due: do not wait for the next look."""
        self._wake.set()

    def wake_all(self) -> None:
        """As `wake`, and look at the unhurried duties too."""
        self._all.set()
        self._wake.set()

    def start(self) -> None:
        """Register open cases, journal what the ledger took, and begin."""
        assert self._thread is None, "the duties are running"
        self._pursuit.start()
        self._ledger_journal.reconcile()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="duties", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the duty under way and end."""
        if self._thread is None:
            return
        self._stop.set()
        self._wake.set()
        self._thread.join(STOP_SECONDS_MAX)
        self._thread = None

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(EVERY.total_seconds())
            self._wake.clear()
            if self._stop.is_set():
                return
            began = time.monotonic()
            try:
                self.run_due(hurried=not self.looks_at_all(began))
            except (Busy, Unavailable) as error:
                # It comes back, or the way is free again; what is due stays due in its table.
                if not self._outage.went(error):
                    _LOG.warning("workflow.duties.put_off", why=str(error))
            except Exception:  # noqa: BLE001 - the next look tries again
                _LOG.exception("workflow.duties.failed")
            else:
                self._outage.back()
            rest = RESTS_PER_ROUND * (time.monotonic() - began)
            self._stop.wait(min(max(rest, REST_SECONDS), REST_SECONDS_MAX))

    def looks_at_all(self, now_s: float) -> bool:
        """Whether the round that begins now looks at the unhurried duties too."""
        asked = self._all.is_set()
        if asked:
            self._all.clear()
        late = now_s - self._all_at_s >= UNHURRIED_SECONDS_MAX
        this = 0 if asked or late else self._rounds
        self._rounds = (this + 1) % UNHURRIED_ROUNDS
        if this == 0:
            self._all_at_s = now_s
        return this == 0

    def _drain(self, duty: Callable[[], int], full: int) -> int:
        total = 0
        for _ in range(ROUNDS_MAX):
            count = duty()
            total += count
            if count < full or self._stop.is_set():
                break
        return total

    def _in_transaction(self, duty: Callable[[Transaction], int], purpose: str) -> int:
        return on_time(self._uow, duty, purpose=purpose)()


def _turn(failed: list[Exception], duty: Callable[[], int]) -> int:
    """What the duty did; 0 where it fails, with its fault among those that are raised later."""
    try:
        return duty()
    except DatabaseDown:
        raise
    except Exception as error:  # noqa: BLE001 - raised when the others had their turn
        if failed:
            _LOG.exception("workflow.duties.failed_too")
        failed.append(error)
        return 0


def on_time(
    uow: UnitOfWork, duty: Callable[[Transaction], int], *, purpose: str = "what the clock asks for"
) -> Callable[[], int]:
    """The duty in a transaction of the centre's own, whenever it is called."""

    def once() -> int:
        with uow.begin(SYSTEM, purpose=purpose) as tx:
            return duty(tx)

    return lambda: retrying(once)
