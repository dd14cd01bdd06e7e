"""Simulation: an institution's own record of hold orders, the centre's messages and its answers.

SQL only; what to do with an order is decided in desk.py.
"""

from __future__ import annotations

from openaoc.simulation.store import (
    MESSAGES_PER_LOOK_MAX,
    HeldOrder,
    NationStore,
    WaitingAnswer,
    WaitingMessage,
)


class OrdersStore:
    """The orders' part of the institutions' file."""

    def __init__(self, store: NationStore) -> None:
        self._store = store

    def take_in(self, rows: list[tuple[str, str, str, bytes, int]]) -> int:
        """Keep messages (key, institution, kind, body, due in µs); repeats change nothing.

        Returns how many were new. Returns only when they are kept.
        """
        with self._store.writing() as sql:
            number = int(sql.execute("SELECT coalesce(max(number), 0) FROM messages").fetchone()[0])
            new = 0
            for key, institution, kind, body, due_us in rows:
                number += 1
                done = sql.execute(
                    "INSERT OR IGNORE INTO messages (key, number, institution, kind, body, due_us)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (key, number, institution, kind, body, due_us),
                )
                new += done.rowcount
        return new

    def due_messages(self, *, now_us: int) -> list[WaitingMessage]:
        """Messages to be dealt with now, oldest first."""
        with self._store.writing() as sql:
            rows = sql.execute(
                "SELECT key, institution, kind, body FROM messages WHERE done = 0 AND due_us <= ?"
                " ORDER BY due_us, number LIMIT ?",
                (now_us, MESSAGES_PER_LOOK_MAX),
            ).fetchall()
        return [WaitingMessage(*row) for row in rows]

    def order(self, order: str) -> HeldOrder | None:
        """What is known of the order."""
        with self._store.writing() as sql:
            row = sql.execute('SELECT * FROM orders WHERE "order" = ?', (order,)).fetchone()
        return HeldOrder(*row) if row else None

    def over(self, *, now_us: int) -> list[HeldOrder]:
        """Orders that still block and whose time is over."""
        with self._store.writing() as sql:
            rows = sql.execute(
                "SELECT * FROM orders WHERE blocked > 0 AND ends_us <= ? LIMIT ?",
                (now_us, MESSAGES_PER_LOOK_MAX),
            ).fetchall()
        return [HeldOrder(*row) for row in rows]

    def save(
        self,
        held: HeldOrder | None,
        *,
        also: HeldOrder | None = None,
        message: str | None = None,
        answer: bytes | None = None,
        due_us: int = 0,
    ) -> None:
        """The order as it now stands, the message dealt with and the answer to send, at once.

        `also` is the other order where a block goes over from one to the other.
        """
        with self._store.writing() as sql:
            if also is not None:
                sql.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", also)
            if held is not None:
                sql.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", held)
                if answer is not None:
                    sql.execute(
                        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, 0)",
                        (held.order, held.institution, answer, due_us),
                    )
            if message is not None:
                sql.execute("UPDATE messages SET done = 1, body = x'' WHERE key = ?", (message,))

    def due_answers(self, *, now_us: int) -> list[WaitingAnswer]:
        """Answers to send now."""
        with self._store.writing() as sql:
            rows = sql.execute(
                'SELECT "order", institution, body, attempts FROM answers WHERE due_us <= ?'
                " ORDER BY due_us LIMIT ?",
                (now_us, MESSAGES_PER_LOOK_MAX),
            ).fetchall()
        return [WaitingAnswer(*row) for row in rows]

    def answer_done(self, order: str) -> None:
        """The centre has the answer, or refused it for good."""
        with self._store.writing() as sql:
            sql.execute('DELETE FROM answers WHERE "order" = ?', (order,))

    def answer_later(self, order: str, *, due_us: int) -> None:
        """Try again then."""
        with self._store.writing() as sql:
            sql.execute(
                'UPDATE answers SET due_us = ?, attempts = attempts + 1 WHERE "order" = ?',
                (due_us, order),
            )

    def counts(self) -> tuple[int, int, int]:
        """Orders that block now, messages waiting, answers waiting."""
        with self._store.writing() as sql:
            row = sql.execute(
                "SELECT (SELECT count(*) FROM orders WHERE blocked > 0),"
                " (SELECT count(*) FROM messages WHERE done = 0), (SELECT count(*) FROM answers)"
            ).fetchone()
        return int(row[0]), int(row[1]), int(row[2])
