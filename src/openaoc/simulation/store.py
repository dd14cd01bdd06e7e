"""Simulation: what the institutions keep on disk, so that a nation stopped at any moment goes on.

One SQLite file of the institutions' own; the centre never sees it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from openaoc.simulation.books import Books
from openaoc.simulation.neighbour import Arrival
from openaoc.simulation.truth import Truth
from openaoc.simulation.world import Move, Tick

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (
    account INTEGER PRIMARY KEY, balance INTEGER NOT NULL, scam INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS scams (
    scam INTEGER PRIMARY KEY, reported INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS moves (
    scam INTEGER, payment INTEGER, step INTEGER, at_s REAL, at_us INTEGER,
    amount_minor INTEGER, transfer INTEGER, PRIMARY KEY (scam, payment, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS feed (
    number INTEGER PRIMARY KEY AUTOINCREMENT, institution TEXT NOT NULL, rows INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS reports (
    scam INTEGER PRIMARY KEY, body BLOB NOT NULL, by_bank TEXT, due_us INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, institution TEXT NOT NULL, kind TEXT NOT NULL,
    body BLOB NOT NULL, due_us INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS messages_waiting ON messages (due_us) WHERE done = 0;
CREATE TABLE IF NOT EXISTS orders (
    "order" TEXT PRIMARY KEY, institution TEXT NOT NULL, account INTEGER, revision INTEGER NOT NULL,
    blocked INTEGER NOT NULL, ends_us INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS orders_blocking ON orders (ends_us) WHERE blocked > 0;
CREATE TABLE IF NOT EXISTS answers (
    "order" TEXT PRIMARY KEY, institution TEXT NOT NULL, body BLOB NOT NULL,
    due_us INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS errands (
    key TEXT PRIMARY KEY, institution TEXT NOT NULL, kind TEXT NOT NULL, "case" TEXT NOT NULL,
    body BLOB NOT NULL, due_us INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS cases (
    "case" TEXT PRIMARY KEY, scam INTEGER NOT NULL, secret TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS crossings (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS arrivals (number INTEGER PRIMARY KEY, body BLOB NOT NULL, at_s REAL);
"""
FEED_WAITING_MAX: Final = 2_000
"""Feed batches the centre has not acknowledged; past it the nation stands still and says so."""
MESSAGES_PER_LOOK_MAX: Final = 200


class FeedBatch(NamedTuple):
    """Transfers one institution has to report, as an Arrow IPC stream."""

    number: int
    institution: str
    rows: int
    body: bytes


class WaitingReport(NamedTuple):
    """A report to be handed in; `by_bank` is None for hotline and web."""

    scam: int
    body: bytes
    by_bank: str | None


class WaitingMessage(NamedTuple):
    """A message of the centre the institution has not dealt with yet."""

    key: str
    institution: str
    kind: str
    body: bytes


class WaitingAnswer(NamedTuple):
    """An answer the centre has not acknowledged yet."""

    order: str
    institution: str
    body: bytes
    attempts: int


class HeldOrder(NamedTuple):
    """What an institution knows of an order. `account` is None when it has no such account."""

    order: str
    institution: str
    account: int | None
    revision: int
    blocked_minor: int
    ends_us: int
    ended: int


class NationStore:
    """The file. One connection behind a lock; `writing` is one transaction."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.RLock()
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Write everything into the one file and close it."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or, on an exception, nothing."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:  # whatever comes, nothing half-written stays
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    # The nation's life

    def meta(self) -> dict[str, str]:
        """Everything noted by name."""
        return {str(name): str(value) for name, value in self._all("SELECT * FROM meta")}

    def save_tick(
        self,
        tick: Tick,
        *,
        books: Books,
        truth: Truth,
        meta: dict[str, int | float],
        feed: list[tuple[str, int, bytes]],
        reports: list[tuple[int, bytes, str | None, int]],
        crossings: Sequence[Arrival] = (),
    ) -> None:
        """Everything that one step of the nation changed, at once.

        feed: institution, rows, body. reports: scam, body, bank or None, due on the wall in µs.
        crossings: what went next door, to be told there.
        """
        stays = tick.rows.creditor[tick.rows.creditor >= 0]
        came = [one.creditor for _, one in tick.arrived]
        touched: NDArray[np.int64] = np.unique(
            np.concatenate([tick.rows.debtor, stays, came]).astype(np.int64)
        )
        came_s = {move.scam: move.at_s for move in tick.moves}
        accounts = zip(
            touched.tolist(),
            books.balance[touched].tolist(),
            truth.scam[touched].tolist(),
            strict=True,
        )
        with self.writing() as sql:
            sql.executemany("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)", accounts)
            sql.executemany("INSERT INTO scams (scam) VALUES (?)", [(n,) for n in tick.started])
            sql.executemany("INSERT INTO moves VALUES (?, ?, ?, ?, ?, ?, ?)", tick.moves)
            sql.executemany(
                "UPDATE scams SET reported = 1 WHERE scam = ?", [(s.number,) for s in tick.noticed]
            )
            closed = [(number,) for number in tick.closed]
            sql.executemany("DELETE FROM moves WHERE scam = ?", closed)
            sql.executemany("DELETE FROM scams WHERE scam = ?", closed)
            sql.executemany("INSERT INTO feed (institution, rows, body) VALUES (?, ?, ?)", feed)
            sql.executemany("INSERT OR IGNORE INTO reports VALUES (?, ?, ?, ?)", reports)
            sql.executemany(
                "INSERT INTO crossings VALUES (?, ?)",
                [(one.number, msgspec.json.encode(one)) for one in crossings],
            )
            sql.executemany(
                "UPDATE arrivals SET at_s = ? WHERE number = ?",
                [(came_s[one.number], one.number) for _, one in tick.arrived],
            )
            _note(sql, meta)

    def note(self, meta: dict[str, int | float]) -> None:
        """Note values by name."""
        with self.writing() as sql:
            _note(sql, meta)

    def load(self, *, books: Books, truth: Truth) -> None:
        """Bring books and truth to where they were."""
        rows = self._all("SELECT account, balance, scam FROM accounts")
        if rows:
            table = np.array(rows, np.int64)
            books.balance[table[:, 0]] = table[:, 1]
            truth.scam[table[:, 0]] = table[:, 2]
        for account, blocked in self._all(
            "SELECT account, sum(blocked) FROM orders WHERE blocked > 0 GROUP BY account"
        ):
            books.blocked[int(account)] = int(blocked)

    def open_scams(self) -> tuple[list[int], set[int], list[Move]]:
        """Scams under way, which of them are reported, and what has been done of them."""
        rows = [(int(n), bool(r)) for n, r in self._all("SELECT scam, reported FROM scams")]
        moves = [Move(*row) for row in self._all("SELECT * FROM moves ORDER BY at_s")]
        return [n for n, _ in rows], {n for n, reported in rows if reported}, moves

    def moves_of(self, scam: int) -> dict[int, Move]:
        """The victim's own payments of one scam: payment number → move."""
        rows = self._all("SELECT * FROM moves WHERE scam = ? AND step = -1", scam)
        return {move.payment: move for move in (Move(*row) for row in rows)}

    # The country next door

    def crossings(self, *, limit: int) -> list[Arrival]:
        """What went next door and was not told there yet."""
        rows = self._all("SELECT body FROM crossings ORDER BY number LIMIT ?", limit)
        return [msgspec.json.decode(body, type=Arrival) for (body,) in rows]

    def crossings_told(self, told: Sequence[Arrival]) -> None:
        """Next door they know of these."""
        with self.writing() as sql:
            numbers = [(one.number,) for one in told]
            sql.executemany("DELETE FROM crossings WHERE number = ?", numbers)

    def take_arrivals(self, arrivals: Sequence[Arrival]) -> None:
        """Keep what is said to be on its way here; the same again changes nothing."""
        rows = [(one.number, msgspec.json.encode(one)) for one in arrivals]
        with self.writing() as sql:
            sql.executemany("INSERT OR IGNORE INTO arrivals VALUES (?, ?, NULL)", rows)

    def arrivals(self, *, came: bool) -> list[tuple[Arrival, float]]:
        """What has come and is under way here, and when; or what is still to come."""
        if came:
            rows = self._all(
                "SELECT body, at_s FROM arrivals JOIN scams ON scam = number ORDER BY number"
            )
        else:
            rows = self._all("SELECT body, at_s FROM arrivals WHERE at_s IS NULL ORDER BY number")
        return [(msgspec.json.decode(body, type=Arrival), at_s or 0.0) for body, at_s in rows]

    # The feed and the reports

    def feed_batch(self, institution: str) -> FeedBatch | None:
        """The institution's oldest batch the centre has not acknowledged."""
        rows = self._all(
            "SELECT number, institution, rows, body FROM feed WHERE institution = ?"
            " ORDER BY number LIMIT 1",
            institution,
        )
        return FeedBatch(*rows[0]) if rows else None

    def feed_done(self, number: int) -> None:
        """The centre has acknowledged this batch."""
        with self.writing() as sql:
            sql.execute("DELETE FROM feed WHERE number = ?", (number,))

    def feed_waiting(self) -> int:
        """Batches not yet acknowledged."""
        return int(self._all("SELECT count(*) FROM feed")[0][0])

    def report(self, *, now_us: int, skip: Iterable[int]) -> WaitingReport | None:
        """The report longest due, but for those of `skip`, that are being handed in."""
        taken = set(skip)
        rows = self._all(
            "SELECT scam, body, by_bank FROM reports WHERE due_us <= ? ORDER BY due_us LIMIT ?",
            now_us,
            len(taken) + 1,
        )
        waiting = (WaitingReport(*row) for row in rows)
        return next((report for report in waiting if report.scam not in taken), None)

    def report_later(self, scam: int, *, due_us: int) -> None:
        """Try again then."""
        with self.writing() as sql:
            sql.execute("UPDATE reports SET due_us = ? WHERE scam = ?", (due_us, scam))

    def report_done(self, scam: int) -> None:
        """The centre has the report, or refused it for good."""
        with self.writing() as sql:
            sql.execute("DELETE FROM reports WHERE scam = ?", (scam,))


def _note(sql: sqlite3.Connection, meta: dict[str, int | float]) -> None:
    sql.executemany(
        "INSERT OR REPLACE INTO meta VALUES (?, ?)",
        [(name, repr(value)) for name, value in meta.items()],
    )
