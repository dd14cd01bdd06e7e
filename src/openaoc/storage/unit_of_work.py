"""One change, whole or not at all: rows, journal and events commit together.

READ COMMITTED with row locks: who decides on a row locks it first (`SELECT … FOR UPDATE`), who
decides on a set locks its name (`Transaction.lock`). Never retries by itself: see `retrying`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect

from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.clock import Clock
from openaoc.kernel.errors import BadInput
from openaoc.kernel.events import Event
from openaoc.storage import journal_rows
from openaoc.storage.errors import TryAgain, translated

EVENTS_PER_TRANSACTION_MAX: Final = 10_000
ATTEMPTS_DEFAULT: Final = 5
RETRY_PAUSE_S: Final = 0.02
"""First pause between attempts; it doubles, and each is drawn between none and all of it."""
BOUND_ROLES: Final = frozenset({Role.LIAISON, Role.MACHINE})
"""Whoever carries one of these sees only what is addressed to their institution."""

_DIALECT: Final = psycopg_dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
_LOG = structlog.get_logger(__name__)
Result = TypeVar("Result")
Row = TypeVar("Row")
Handler = Callable[["Transaction", Event], None]


def is_bound(actor: Actor) -> bool:
    """Whether the actor sees only rows addressed to their institution, or released to them."""
    bound = BOUND_ROLES | {Role.PARTNER}
    addressed = actor.institution is not None or actor.partner is not None
    return addressed or not bound.isdisjoint(actor.roles)


class Transaction:
    """What a verb does its work with; only `UnitOfWork` makes one."""

    def __init__(
        self,
        connection: sa.Connection,
        *,
        actor: Actor,
        now: datetime,
        purpose: str,
        read_only: bool,
    ) -> None:
        self._connection = connection
        self.actor = actor
        self.now = now
        self.purpose = purpose
        self.read_only = read_only
        self.journalled = 0
        self._rows: list[journal_rows.Prepared] = []
        self._gathered: dict[str, tuple[list[Any], Callable[[Transaction, list[Any]], object]]] = {}
        self._waiting: list[tuple[sa.TextClause, Mapping[str, object]]] = []
        self._events: list[Event] = []
        self._afterwards: list[Callable[[], object]] = []

    @property
    def connection(self) -> sa.Connection:
        """What statements run on, with everything written that waits to be."""
        if self._waiting:
            self._flush()
        return self._connection

    def journal(
        self,
        *,
        action: str,
        subject: str,
        before: msgspec.Struct | None = None,
        after: msgspec.Struct | None = None,
        reason: str = "",
        authority: str = "",
    ) -> None:
        """Add a row to the journal that commits with the change it records.

        `before` and `after` hold no identity: ciphertext and commitments only. The purpose of the
        transaction stands in where no authority is given. All rows of the transaction are written
        in one statement at its end.
        """
        entry = journal_rows.JournalEntry(
            action=action,
            subject=subject,
            before=before,
            after=after,
            reason=reason,
            authority=authority,
        )
        self.journal_many([entry])

    def journal_many(self, entries: Sequence[journal_rows.JournalEntry]) -> None:
        """As `journal`, for many rows, in this order."""
        self._refuse_reading()
        self.journalled += len(entries)
        self._rows += [
            journal_rows.prepared(entry, at=self.now, who=self.actor.id, purpose=self.purpose)
            for entry in entries
        ]

    def write(self, statement: sa.TextClause, values: Mapping[str, object]) -> None:
        """Run a statement whose result nobody needs, at the latest before the commit.

        All that wait are sent together, in their order, before anything else is asked of the
        connection: what is written is always there for who looks.
        """
        self._refuse_reading()
        self._waiting.append((statement, values))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        driver = self._connection.connection.driver_connection
        assert driver is not None, "the connection is open"
        with driver.pipeline():
            for statement, values in waiting:
                driver.execute(_compiled(statement), values)

    def gather(
        self,
        name: str,
        rows: Sequence[Row],
        write: Callable[[Transaction, list[Row]], object],
    ) -> None:
        """Keep rows to be written together with all others of this name, before the commit.

        `write` is called once, at the end of the block, with the rows in the order in which they
        were given; it emits no events. For rows that nothing reads in this transaction.
        """
        self._refuse_reading()
        self._gathered.setdefault(name, ([], write))[0].extend(rows)

    def emit(self, event: Event) -> None:
        """Tell the stages that listen; their handlers run in this transaction before it commits."""
        self._refuse_reading()
        assert len(self._events) < EVENTS_PER_TRANSACTION_MAX, "too many events in one change"
        self._events.append(event)

    def after_commit(self, call: Callable[[], object]) -> None:
        """Run the call once this is committed; what it raises is logged, the change stands."""
        self._afterwards.append(call)

    def lock(self, name: str) -> None:
        """Wait until no other transaction holds this name; released at the end of this one.

        For rules over a set of rows that may still be empty. Raises TryAgain after the lock
        timeout.
        """
        digest = hashlib.sha256(name.encode("utf-8")).digest()
        number = int.from_bytes(digest[:8], "big", signed=True)
        self.connection.execute(sa.text("SELECT pg_advisory_xact_lock(:n)"), {"n": number})

    def _refuse_reading(self) -> None:
        assert not self.read_only, "this transaction was opened for reading"

    def _finish(self, listeners: Mapping[str, list[Handler]]) -> None:
        """Handlers may emit again; the queue is worked off in order until it is empty.

        Then what was gathered is written, and the journal last.
        """
        done = 0
        while done < len(self._events):
            event = self._events[done]
            for handler in (*listeners.get(event.name, ()), *listeners.get("*", ())):
                handler(self, event)
            done += 1
        for rows, write in self._gathered.values():
            write(self, rows)
        assert done == len(self._events), "what is written at the end emits nothing"
        rows, self._rows = self._rows, []
        if rows:
            self.write(*journal_rows.inserting(rows, at=self.now, who=self.actor.id))
        if self._waiting:
            self._flush()

    def _run_afterwards(self) -> None:
        for call in self._afterwards:
            try:
                call()
            except Exception:  # noqa: BLE001 - the change is committed, whatever comes
                _LOG.exception("storage.after_commit.failed", call=repr(call))


@functools.cache
def _compiled(statement: sa.TextClause) -> str:
    """The statement as the driver takes it; one per statement of the program."""
    return str(statement.compile(dialect=_DIALECT))


class UnitOfWork:
    """Opens transactions as the application role, under the row rules of the actor."""

    def __init__(self, engine: sa.Engine, *, clock: Clock) -> None:
        self._engine = engine
        self._looking = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._clock = clock
        self._listeners: dict[str, list[Handler]] = {}
        self._on_journal: list[Callable[[], None]] = []

    def subscribe(self, name: str, handler: Handler) -> None:
        """Call the handler for every event of that name (`*`: all), in order of subscription."""
        self._listeners.setdefault(name, []).append(handler)

    def on_journal(self, call: Callable[[], None]) -> None:
        """Call this after each commit that added journal rows: it wakes the sequencer."""
        self._on_journal.append(call)

    @contextlib.contextmanager
    def begin(self, actor: Actor, purpose: str = "") -> Iterator[Transaction]:
        """One change. Commits at the end of the block, rolls back on any error.

        Raises TryAgain when another change came between, Busy at a timeout or without a free
        connection, Unavailable without a database, Conflict for what exists already.
        """
        with self._opened(actor, purpose, read_only=False) as tx:
            yield tx
            tx._finish(self._listeners)  # noqa: SLF001 - the two are one mechanism
            if tx.journalled:
                tx._afterwards[:0] = self._on_journal  # noqa: SLF001 - one mechanism

    @contextlib.contextmanager
    def read(self, actor: Actor, purpose: str = "") -> Iterator[Transaction]:
        """One look: everything read in the block is of the same moment, nothing can be written."""
        with self._opened(actor, purpose, read_only=True) as tx:
            yield tx

    @contextlib.contextmanager
    def _opened(self, actor: Actor, purpose: str, *, read_only: bool) -> Iterator[Transaction]:
        if not actor.id or "\x00" in actor.id + (actor.institution or "") + (actor.partner or ""):
            raise BadInput("the actor has no proper id")
        engine = self._looking if read_only else self._engine
        with translated(), engine.connect() as connection, connection.begin():
            connection.execute(_WHO, _who(actor))
            tx = Transaction(
                connection,
                actor=actor,
                now=self._clock.now(),
                purpose=purpose,
                read_only=read_only,
            )
            yield tx
        tx._run_afterwards()  # noqa: SLF001 - the two are one mechanism


_WHO: Final = sa.text(
    "SELECT set_config('openaoc.role', :role, true),"
    " set_config('openaoc.scope', :scope, true),"
    " set_config('openaoc.institution', :institution, true),"
    " set_config('openaoc.partner', :partner, true)"
)


def _who(actor: Actor) -> dict[str, str]:
    """What the row rules read: they show nothing where these are not set."""
    return {
        "role": ",".join(sorted(role.value for role in actor.roles)),
        "scope": "institution" if is_bound(actor) else "centre",
        "institution": actor.institution or "",
        "partner": actor.partner or "",
    }


def retrying(call: Callable[[], Result], *, attempts: int = ATTEMPTS_DEFAULT) -> Result:
    """The call's result; called again when it raises TryAgain, `attempts` times in all.

    The call opens its own transaction each time and has no effect outside of it.
    """
    assert attempts > 0, "at least one attempt"
    pause_s = RETRY_PAUSE_S
    for left in range(attempts - 1, -1, -1):
        try:
            return call()
        except TryAgain:
            if left == 0:
                raise
            time.sleep(random.uniform(0, pause_s))  # noqa: S311 - spreads load, hides nothing
            pause_s *= 2
    raise AssertionError("unreachable: the last attempt returns or raises")
