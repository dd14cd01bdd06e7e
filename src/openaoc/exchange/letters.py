"""Exchange: letters: messages on the line to a partner's centre, carried until they are taken.

Of each matter only the last word is kept, and said as often as it takes; once more to a centre that
was restored from a backup. Never decides what is said, and never speaks to a partner without an
agreement in force.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random, SystemRandom
from typing import Any, Final

import msgspec
import structlog

from openaoc.channels.transport import NotReached
from openaoc.exchange import letter_store as store
from openaoc.exchange.letter_store import Letter
from openaoc.exchange.line import Agreed, BadAnswer, Line, PeerBusy, PeerRefused
from openaoc.exchange.model import NoAgreement
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import (
    BadInput,
    Conflict,
    NotFound,
    NotSignedIn,
    OpenAOCError,
    Refused,
)
from openaoc.storage.centre_state import read_state
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

LETTERS_PER_RUN_MAX: Final = 50
BACKOFF_FIRST: Final = timedelta(seconds=2)
BACKOFF_MAX: Final = timedelta(minutes=5)
REFUSED_AGAIN: Final = timedelta(minutes=10)
"""What a partner refuses, or answers what cannot be, is offered again after this: its person may
change it.
"""
KEPT: Final = timedelta(days=30)
"""So long the last word is kept after it was written: a partner restored from an older backup than
that hears of it from a person.
"""
ERROR_CHARACTERS_MAX: Final = 300
_DOUBLINGS_MAX: Final = 12
_LOG = structlog.get_logger("openaoc.letters")

Taken = Callable[[Transaction, str, str, Any], None]


class Letters:
    """One instance per centre; stages say which places they write to."""

    def __init__(
        self, *, uow: UnitOfWork, agreed: Agreed, line: Line, random: Random | None = None
    ) -> None:
        self._uow = uow
        self._agreed = agreed
        self._line = line
        self._random = random or SystemRandom()
        self._places: dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct], Taken]] = {}
        self._may_send: Callable[[], bool] = lambda: True
        self._wake: Callable[[], object] = lambda: None

    def send_only_while(self, may_send: Callable[[], bool]) -> None:
        """Ask before each run whether this centre is the one that sends. Before the start."""
        self._may_send = may_send

    def wake_with(self, wake: Callable[[], object]) -> None:
        """Call this when a letter was written and is committed."""
        self._wake = wake

    def place(
        self,
        path: str,
        *,
        says: type[msgspec.Struct],
        answers: type[msgspec.Struct],
        taken: Taken,
    ) -> None:
        """Letters may be written to this path; `taken(tx, partner, matter, answer)` follows."""
        assert path not in self._places, "one writer a path"
        self._places[path] = (says, answers, taken)

    def write(
        self, tx: Transaction, partner: str, *, path: str, matter: str, message: msgspec.Struct
    ) -> None:
        """The last word to a partner on this matter: one that waits is replaced."""
        assert type(message) is self._places[path][0], "a place takes its own message"
        store.put(
            tx.connection,
            partner=partner,
            path=path,
            matter=matter,
            body=msgspec.json.encode(message),
            now=tx.now,
        )
        tx.after_commit(self._wake)

    def run(self) -> int:
        """Carry what is due; how many letters were tried."""
        with self._uow.read(SYSTEM, purpose="letters to partners") as tx:
            if not read_state(tx.connection).delivers or not self._may_send():
                return 0
            due = store.due(tx.connection, now=tx.now, limit=LETTERS_PER_RUN_MAX)
        closed: set[str] = set()
        for letter in due:
            if letter.partner not in closed and not self._carry(letter):
                closed.add(letter.partner)
        return len(due)

    def _carry(self, letter: Letter) -> bool:
        """Whether the partner can be spoken to."""
        says, answers, taken = self._places[letter.path]
        try:
            with self._uow.read(SYSTEM, purpose="who a letter is for") as tx:
                peer = self._agreed.peer(tx, letter.partner)
            message = msgspec.json.decode(letter.body, type=says)
            answer = self._line.ask(peer, letter.path, message, answers)
        except PeerRefused as error:
            self._again(letter, error, wait=REFUSED_AGAIN)
            return True
        except NoAgreement as error:
            self._again(letter, error, wait=REFUSED_AGAIN)
            return False
        except (NotReached, PeerBusy, BadAnswer) as error:
            bound = min(BACKOFF_FIRST * (1 << min(letter.failures, _DOUBLINGS_MAX)), BACKOFF_MAX)
            self._again(letter, error, wait=bound * self._random.random())
            return False
        try:
            with self._uow.begin(SYSTEM, purpose="a partner took a letter") as tx:
                store.done(tx.connection, letter)
                store.forget(tx.connection, before=tx.now - KEPT)
                taken(tx, letter.partner, letter.matter, answer)
        except (BadInput, Conflict, NotFound, NotSignedIn, Refused) as error:
            # What it answered cannot be: the other letters do not wait for that.
            self._again(letter, error, wait=REFUSED_AGAIN)
        return True

    def _again(self, letter: Letter, error: OpenAOCError, *, wait: timedelta) -> None:
        short = f"{error.code}: {error}"[:ERROR_CHARACTERS_MAX]
        with self._uow.begin(SYSTEM, purpose="a letter was not taken") as tx:
            store.failed(tx.connection, letter, error=short, due_at=tx.now + wait)
        _LOG.warning("letter_not_taken", partner=letter.partner, error=error.code)

    def say_again(self, tx: Transaction, partner: str) -> None:
        """The partner was restored from a backup: it may have forgotten what it took."""
        if store.say_again(tx.connection, partner, now=tx.now):
            tx.after_commit(self._wake)
