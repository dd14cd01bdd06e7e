"""Simulation: what institutions and victims still have to tell the centre about a report.

The payer's institution confirms a payment, or sees through a false claim; the paying account's
holder reads a code in the bank's app and gives it back. SQL and chance only; couriers carry it.
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from openaoc.simulation.store import MESSAGES_PER_LOOK_MAX, NationStore
from openaoc.workflow.confirming import PAYMENT_CONFIRM
from openaoc.workflow.control import CONTROL_CHECK

ASK_CODES: Final = "ask for codes"
"""The hotline has codes sent to the holders of the paying accounts."""
MEAN_S: Final = {PAYMENT_CONFIRM: 15.0, CONTROL_CHECK: 10.0}
"""How long the institution's people, or the holder, take, on the wall; assumed."""
SHARE: Final = {PAYMENT_CONFIRM: 1.0, CONTROL_CHECK: 0.6}
"""Holders who have the app at hand; assumed."""
SEES_THROUGH: Final = 0.9
"""Share of false claims the institution recognises in its customer's account; assumed."""


class Errand(NamedTuple):
    """Something to be told the centre of a case; `body` is the centre's message, if any."""

    key: str
    institution: str
    kind: str
    case: str
    body: bytes
    attempts: int


class KnownCase(NamedTuple):
    """What the victim got from the centre."""

    scam: int
    secret: str


def wait_us(kind: str) -> int | None:
    """How long it takes, in microseconds on the wall; None when it will not be done."""
    if random.random() >= SHARE[kind]:  # noqa: S311 - a simulated person
        return None
    return int(random.expovariate(1 / MEAN_S[kind]) * 1e6)


class Errands:
    """The errands' part of the institutions' file."""

    def __init__(self, store: NationStore) -> None:
        self._store = store

    def add(
        self, key: str, *, institution: str, kind: str, case: str, body: bytes, due_us: int
    ) -> None:
        """To be done then; the same key again changes nothing."""
        with self._store.writing() as sql:
            sql.execute(
                "INSERT OR IGNORE INTO errands VALUES (?, ?, ?, ?, ?, ?, 0)",
                (key, institution, kind, case, body, due_us),
            )

    def due(self, *, now_us: int) -> list[Errand]:
        """What is to be done now, longest due first."""
        with self._store.writing() as sql:
            rows = sql.execute(
                'SELECT key, institution, kind, "case", body, attempts FROM errands'
                " WHERE due_us <= ? ORDER BY due_us LIMIT ?",
                (now_us, MESSAGES_PER_LOOK_MAX),
            ).fetchall()
        return [Errand(*row) for row in rows]

    def done(self, key: str) -> None:
        """The centre has it, or nothing is to be told."""
        with self._store.writing() as sql:
            sql.execute("DELETE FROM errands WHERE key = ?", (key,))

    def later(self, key: str, *, due_us: int) -> None:
        """Try again then."""
        with self._store.writing() as sql:
            sql.execute(
                "UPDATE errands SET due_us = ?, attempts = attempts + 1 WHERE key = ?",
                (due_us, key),
            )

    def note_case(self, case: str, known: KnownCase) -> None:
        """The victim has the case's number and secret."""
        with self._store.writing() as sql:
            sql.execute("INSERT OR REPLACE INTO cases VALUES (?, ?, ?)", (case, *known))

    def case(self, case: str) -> KnownCase | None:
        """What the victim got; None while the receipt is on its way."""
        with self._store.writing() as sql:
            row = sql.execute('SELECT scam, secret FROM cases WHERE "case" = ?', (case,)).fetchone()
        return KnownCase(*row) if row else None
