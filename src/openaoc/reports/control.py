"""Reports: does the reporter control the paying account? One-time codes by way of its institution.

The code is shown to the account's holder by the institution alone; who can give it back controls
the account. Works in the caller's transaction; never decides what follows.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from openaoc.kernel.errors import Refused
from openaoc.kernel.ids import as_spoken, random_text
from openaoc.reports import control_store
from openaoc.reports.control_store import CheckRow
from openaoc.storage.unit_of_work import Transaction

__all__ = ["CheckRow", "ControlChecks", "ControlNotProven", "code_of", "plain_code"]

CODE_DIGITS: Final = 8
VALID_FOR: Final = timedelta(minutes=15)
WRONG_MAX: Final = 5
"""Wrong codes one check takes: a guess succeeds once in twenty million checks."""
DAY: Final = timedelta(days=1)
CHECKS_PER_ACCOUNT_AND_DAY_MAX: Final = 3
"""Over all cases: nobody is flooded with codes they did not ask for."""
CHECKS_PER_CASE_AND_DAY_MAX: Final = 10
CHECKS_PER_SENDER_AND_DAY_MAX: Final = 300
"""Of one person of the centre. A citizen's sender is the case, by its secret."""
PROOFS_KEPT_FOR: Final = timedelta(days=30)
PROOFS_PER_ACCOUNT_MAX: Final = 3
"""In PROOFS_KEPT_FOR. Who pays an honest shop again and again to report it each time soon meets a
person.
"""
_KEY_BYTES_MIN: Final = 32


class ControlNotProven(Refused):
    """The case, its secret or the code is wrong, or the code's time or attempts are used up."""


class ControlMark(msgspec.Struct, frozen=True, kw_only=True):
    """A check in the journal: neither its code nor the account."""

    check: str
    institution: str
    wrong: int
    proven: bool


def code_of(check_id: str, *, key: bytes) -> str:
    """The check's code: eight digits that follow from a key outside the database.

    Kept nowhere, so no copy of the database tells it.
    """
    assert len(key) >= _KEY_BYTES_MIN, "a key of 256 bits"
    digest = int.from_bytes(hmac.digest(key, check_id.encode("ascii"), "sha256"), "big")
    return f"{digest % 10**CODE_DIGITS:0{CODE_DIGITS}d}"


def plain_code(text: str) -> str | None:
    """The digits of a code as a person types it; None for what cannot be one."""
    digits = as_spoken(text)
    good = len(digits) == CODE_DIGITS and digits.isascii() and digits.isdigit()
    return digits if good else None


class ControlChecks:
    """The verbs of checks. `key` makes the codes. One instance per centre."""

    def __init__(self, *, key: bytes) -> None:
        self._key = key

    def refusal(
        self, tx: Transaction, *, case_id: str, bank: str, account: str, asked_by: str
    ) -> str | None:
        """Why no further check may be asked for this account now; None when one may be."""
        day, month = tx.now - DAY, tx.now - PROOFS_KEPT_FOR
        counted = control_store.counts(
            tx.connection, case_id=case_id, bank=bank, account=account, by=asked_by, since=day
        )
        if counted.account >= CHECKS_PER_ACCOUNT_AND_DAY_MAX:
            return "this account was asked too often today"
        if counted.case >= CHECKS_PER_CASE_AND_DAY_MAX:
            return "too many checks of this case today"
        if counted.sender >= CHECKS_PER_SENDER_AND_DAY_MAX:
            return "you asked for too many checks today"
        proofs = control_store.proofs(tx.connection, bank=bank, account=account, since=month)
        if proofs >= PROOFS_PER_ACCOUNT_MAX:
            return "this account has proven too many cases lately: a person decides"
        return None

    def open(
        self, tx: Transaction, *, case_id: str, bank: str, account: str, asked_by: str
    ) -> CheckRow:
        """A fresh check. The caller asked `refusal`, and nobody else asks meanwhile."""
        check = CheckRow(
            id="ctl_" + random_text(20).lower(),
            case_id=case_id,
            bank=bank,
            account=account,
            asked_by=asked_by,
            asked_at=tx.now,
            ends_at=tx.now + VALID_FOR,
        )
        control_store.add(tx.connection, check)
        self._journal(tx, "asked", None, check)
        return check

    def usable(self, tx: Transaction, case_id: str, *, lock: bool = False) -> list[CheckRow]:
        """The case's checks whose time is not over and that were not tried too often."""
        found = control_store.standing(tx.connection, case_id=case_id, now=tx.now, lock=lock)
        return [check for check in found if check.wrong < WRONG_MAX]

    def matching(self, checks: Sequence[CheckRow], code: str) -> CheckRow | None:
        """The check whose code this is, in a time that tells nothing about it."""
        found = None
        for check in checks:
            right = code_of(check.id, key=self._key).encode("ascii")
            if hmac.compare_digest(right, code.encode("ascii")):
                found = check
        return found

    def note_wrong(self, tx: Transaction, checks: Sequence[CheckRow]) -> None:
        """A wrong code counts against every check it was tried on."""
        for check in checks:
            counted = msgspec.structs.replace(check, wrong=check.wrong + 1)
            control_store.save(tx.connection, counted)
            if counted.wrong >= WRONG_MAX:
                self._journal(tx, "spent", check, counted)

    def note_proven(self, tx: Transaction, check: CheckRow) -> None:
        """The right code came: the case's payments from this account are by whoever reported."""
        if check.proven_at is not None:
            return
        proven = msgspec.structs.replace(check, proven_at=tx.now)
        control_store.save(tx.connection, proven)
        control_store.mark_payments(tx.connection, proven, at=tx.now)
        self._journal(tx, "proven", check, proven)

    @staticmethod
    def _journal(tx: Transaction, what: str, before: CheckRow | None, after: CheckRow) -> None:
        tx.journal(
            action=f"reports.control.{what}",
            subject=after.case_id,
            before=None if before is None else _mark(before),
            after=_mark(after),
        )


def _mark(check: CheckRow) -> ControlMark:
    return ControlMark(
        check=check.id,
        institution=check.bank,
        wrong=check.wrong,
        proven=check.proven_at is not None,
    )
