"""Stage tracing: traces through files of transfers, without a centre.

Sees only what the files say and only the origins given; holds nothing and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.limits import ORIGINS_PER_TRACE_MAX
from openaoc.ledger.arrays import LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.ledger.table import (
    AccountNames,
    TransferTable,
    intern,
    read_accounts,
    read_transfers,
    resolve_duplicates,
)
from openaoc.tracing.hubs import Hub
from openaoc.tracing.model import BadOrigin, Claim, Rule, Trace, TraceLimits
from openaoc.tracing.names import AccountNameLike, EndOfLedger, exit_sides, to_document
from openaoc.tracing.prepare import check_origin

FILE_LIMITS: Final = TraceLimits(
    transfers_max=20_000_000, accounts_max=20_000_000, lots_max=20_000_000
)
"""A trace over files runs alone on its machine and may take minutes."""
SHOWN_MAX: Final = 5
INTERPRET_MAX: Final = 500
"""Most traces follow fewer transfers; the interpreter is done before the compiler is loaded."""


@dataclass(frozen=True, kw_only=True)
class FileLedger:
    """The transfers of files as a ledger, with their names."""

    table: TransferTable
    arrays: LedgerArrays
    accounts: AccountNames

    def account(self, index: int, /) -> AccountNameLike:
        """The name of an account number."""
        return self.accounts[index]

    def transfer_id(self, row: int, /) -> str:
        """The id of a transfer's row."""
        value: str = self.table.table["transfer_id"][row].as_py()
        return value

    def currency(self, row: int, /) -> str:
        """The currency of a transfer's row."""
        value: str = self.table.table["currency"][row].as_py()
        return value

    def claim(self, text: str) -> Claim:
        """The claim that `[REPORTER/]TRANSFER_ID[=AMOUNT_MINOR]` means.

        An id may contain `/` and `=`: every reading is tried. Raises BadOrigin when none or more
        than one is in the files.
        """
        found: dict[tuple[int, int | None], str] = {}
        for reporter, transfer_id, amount in _readings(text):
            for row in self.table.find(transfer_id, reported_by=reporter):
                found[row, amount] = self._reported_by(row)
        if not found:
            raise BadOrigin(
                "no transfer of the files has this id"
                " (write [REPORTER/]TRANSFER_ID or TRANSFER_ID=AMOUNT in whole minor units)",
                where=_where(text),
            )
        if len(found) > 1:
            reporters = sorted(set(found.values()))[:SHOWN_MAX]
            raise BadOrigin(
                "more than one transfer is meant: write REPORTER/TRANSFER_ID"
                f" (reported by {', '.join(reporters)})",
                where=_where(text),
            )
        ((row, amount),) = found
        return Claim(row, amount)

    def trace(
        self,
        origins: Sequence[str],
        *,
        rule: Rule = Rule.FIFO,
        at_us: int | None = None,
        hubs: frozenset[int] = frozenset(),
        dust_minor: int = 0,
        limits: TraceLimits = FILE_LIMITS,
    ) -> Trace:
        """The trace of one case with these origins, in the order of filing.

        Raises BadOrigin for an origin that is not there, is claimed above its amount, goes from an
        account to itself, is booked after `at_us` or is in another currency than the first.
        """
        from openaoc.tracing.engine import trace_cases

        if not 0 < len(origins) <= ORIGINS_PER_TRACE_MAX:
            raise BadOrigin(f"{len(origins)} origins; 1 to {ORIGINS_PER_TRACE_MAX} can be traced")
        claims = []
        for text in origins:
            claim = self.claim(text)
            check_origin(self.arrays, claim, at_us=at_us, where=_where(text))
            claims.append(claim)
        currencies = sorted({self.currency(claim.row) for claim in claims})
        if len(currencies) > 1:
            raise BadOrigin(f"the origins are in {' and '.join(currencies)}; one trace has one")
        (numbers,) = trace_cases(
            self.arrays,
            claims,
            rule=rule,
            at_us=at_us,
            hubs=hubs,
            dust_minor=dust_minor,
            limits=limits,
            interpret_max=INTERPRET_MAX,
        )
        return to_document(
            numbers,
            exit_sides(numbers, self.arrays),
            self,
            rule=rule,
            at_us=EndOfLedger().of(self.arrays) if at_us is None else at_us,
            currency=currencies[0],
        )

    def numbers_of(self, hubs: Sequence[Hub]) -> tuple[frozenset[int], int]:
        """The account numbers of pooled accounts, and how many of them the files do not know."""
        wanted = set(hubs)
        banks, accounts = self.accounts.bank.to_pylist(), self.accounts.account.to_pylist()
        currencies = self.accounts.currency.to_pylist()
        known: set[Hub] = set()
        numbers: set[int] = set()
        for number, name in enumerate(zip(banks, accounts, strict=True)):
            for hub in (Hub(*name, None), Hub(*name, currencies[number])):
                if hub in wanted:
                    numbers.add(number)
                    known.add(hub)
        return frozenset(numbers), len(wanted - known)

    def _reported_by(self, row: int) -> str:
        value: str = self.table.table["reported_by"][row].as_py()
        return value


def read_ledger(
    transfers: Sequence[Path],
    *,
    accounts: Path | None = None,
    assume_utc: bool = False,
    skip_bad: bool = False,
) -> FileLedger:
    """Read files into a ledger; rows in the order of the files.

    Raises RefusedRows for what the files say wrongly, TooLarge where a line would pass 2⁶².
    """
    table = resolve_duplicates(read_transfers(transfers, assume_utc=assume_utc, skip_bad=skip_bad))
    columns, names = intern(table, read_accounts(accounts) if accounts else None)
    return FileLedger(table=table, arrays=build_arrays(**columns._asdict()), accounts=names)


def _where(text: str) -> str:
    return f"origin {text[:100]!r}"


def _readings(text: str) -> list[tuple[str | None, str, int | None]]:
    """Every (reporter, transfer id, amount) that an origin may mean."""
    forms: list[tuple[str, int | None]] = [(text, None)]
    name, equals, amount = text.rpartition("=")
    if equals and amount.removeprefix("-").isdecimal() and amount.isascii():
        if len(amount) > len(str(2**63)):
            raise BadInput("the claimed amount has too many digits", where=_where(text))
        forms.append((name, int(amount)))
    readings: list[tuple[str | None, str, int | None]] = []
    for form, claimed in forms:
        readings.append((None, form, claimed))
        for place, character in enumerate(form):
            if character == "/":
                readings.append((form[:place].upper(), form[place + 1 :], claimed))
    return readings
