"""Stage tracing: a trace that crosses into cold days.

Loads the complete histories of the accounts that the money reaches, traces, and goes on until it
reaches no account it has not loaded: a trace depends on nothing else. Keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openaoc.kernel.errors import BadInput
from openaoc.ledger.accounts_file import AccountsTable
from openaoc.ledger.arrays import LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.ledger.history import History
from openaoc.ledger.model import AccountName
from openaoc.ledger.naming import AccountNames, intern
from openaoc.ledger.schema import SCHEMA, TransferTable
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.model import (
    BadOrigin,
    CaseTrace,
    Claim,
    HoldEvent,
    HoldKind,
    Rule,
    Trace,
    TraceLimits,
)
from openaoc.tracing.names import exit_sides, to_document

ROUNDS_MAX: Final = 200
"""Each round follows the money by at least one layer."""
_LIMITS: Final = TraceLimits()

Openings = Callable[[Sequence[AccountName]], AccountsTable]


class CrossClaim(msgspec.Struct, frozen=True, kw_only=True):
    """`Claim`, its transfer named by arrival number."""

    sequence: int
    amount_minor: int | None = None
    case: int = 0


class CrossHold(msgspec.Struct, frozen=True, kw_only=True):
    """`HoldEvent`, its account and paying transfer named."""

    kind: HoldKind
    at_us: int
    case: int
    account: AccountName
    amount_minor: int
    transfer_sequence: int | None = None


class Crossing:
    """A trace across stores, with the part of the ledger it needed.

    Row numbers in `cases` are rows of `arrays`, account numbers those of `account`.
    """

    def __init__(
        self, table: pa.Table, arrays: LedgerArrays, names: AccountNames, cases: list[CaseTrace]
    ) -> None:
        self._table, self._names = table, names
        self.arrays, self.cases = arrays, cases

    def account(self, index: int, /) -> AccountName:
        """The name of an account number."""
        name = self._names[index]
        return AccountName(bank=name.bank, account=name.account, currency=name.currency)

    def transfer_id(self, row: int, /) -> str:
        """The id of a transfer's row."""
        value: str = self._table["transfer_id"][row].as_py()
        return value

    def sequence(self, row: int, /) -> int:
        """The arrival number of a transfer's row."""
        value: int = self._table["sequence"][row].as_py()
        return value

    def document(self, case: int, *, rule: Rule, at_us: int) -> Trace:
        """One case's trace with names; `at_us` is the moment it is told for."""
        numbers = self.cases[case]
        return to_document(
            numbers,
            exit_sides(numbers, self.arrays),
            self,
            rule=rule,
            at_us=at_us,
            currency=self._table["currency"][0].as_py(),
        )


def trace_across(
    histories: Sequence[History],
    origins: pa.Table,
    claims: Sequence[CrossClaim],
    *,
    rule: Rule,
    at_us: int | None = None,
    holds: Sequence[CrossHold] = (),
    hubs: frozenset[AccountName] = frozenset(),
    dust_minor: int = 0,
    openings: Openings | None = None,
    limits: TraceLimits = _LIMITS,
) -> Crossing:
    """Follow the claims through all stores: as `engine.trace_cases` over one ledger of them all.

    `origins`: the transfers claimed (HISTORY_SCHEMA). `openings`: the opening balances of
    accounts, where known. Past `limits.accounts_max` the last round stands, `truncated`. Raises
    BadOrigin and BadInput as `trace_cases` does.
    """
    table = origins
    loaded: set[AccountName] = set()
    wanted = set(_parties(origins)) | {hold.account for hold in holds}
    for _ in range(ROUNDS_MAX):
        new = sorted(wanted - loaded - hubs, key=msgspec.structs.astuple)
        loaded.update(new)
        parts = [table, *(h.accounts_history(new, until_us=at_us) for h in histories)]
        table = _each_once(parts)
        crossing = _trace(
            table,
            claims,
            rule=rule,
            at_us=at_us,
            holds=holds,
            hubs=hubs,
            dust_minor=dust_minor,
            openings=openings(sorted(loaded, key=msgspec.structs.astuple)) if openings else None,
            limits=limits,
        )
        wanted = _reached(crossing)
        if wanted <= loaded | hubs:
            return crossing
        if len(loaded | wanted) > limits.accounts_max:
            return _truncated(crossing, "accounts")
    return _truncated(crossing, "rounds")


def _each_once(parts: Sequence[pa.Table]) -> pa.Table:
    """The rows of all parts, one per arrival number, by arrival."""
    whole = pa.concat_tables(parts).combine_chunks()
    _, first = np.unique(whole["sequence"].to_numpy(), return_index=True)
    return whole.take(pa.array(first)).combine_chunks()


def _parties(table: pa.Table) -> list[AccountName]:
    """Debtors and creditors of the rows; an exit's creditor is in no ledger."""
    found = []
    for row in table.to_pylist():
        sides = ["debtor"]
        if row["channel"] == "transfer":
            sides.append("creditor")
        for side in sides:
            bank, account = row[f"{side}_bank"], row[f"{side}_account"]
            found.append(AccountName(bank=bank, account=account, currency=row["currency"]))
    return found


def _trace(
    table: pa.Table,
    claims: Sequence[CrossClaim],
    *,
    rule: Rule,
    at_us: int | None,
    holds: Sequence[CrossHold],
    hubs: frozenset[AccountName],
    dust_minor: int,
    openings: AccountsTable | None,
    limits: TraceLimits,
) -> Crossing:
    """One trace over what is loaded so far."""
    columns, names = intern(TransferTable(table=table.select(SCHEMA.names)), openings)
    arrays = build_arrays(**columns._asdict())
    sequences: NDArray[np.int64] = table["sequence"].to_numpy()
    cases = trace_cases(
        arrays,
        [Claim(_row(sequences, c.sequence), c.amount_minor, c.case) for c in claims],
        rule=rule,
        at_us=at_us,
        holds=[
            HoldEvent(
                kind=hold.kind,
                at_us=hold.at_us,
                case=hold.case,
                account=_number(names, hold.account),
                amount_minor=hold.amount_minor,
                transfer_row=None
                if hold.transfer_sequence is None
                else _row(sequences, hold.transfer_sequence),
            )
            for hold in holds
        ],
        hubs=frozenset(
            number
            for hub in hubs
            if (number := names.index(bank=hub.bank, account=hub.account, currency=hub.currency))
            is not None
        ),
        dust_minor=dust_minor,
        limits=limits,
    )
    return Crossing(table, arrays, names, cases)


def _row(sequences: NDArray[np.int64], sequence: int) -> int:
    row = int(np.searchsorted(sequences, sequence))
    if row >= len(sequences) or sequences[row] != sequence:
        raise BadOrigin(f"no transfer has the arrival number {sequence}")
    return row


def _number(names: AccountNames, account: AccountName) -> int:
    number = names.index(bank=account.bank, account=account.account, currency=account.currency)
    if number is None:
        raise BadInput(f"a hold stands on an account at {account.bank} that has no transfer")
    return number


def _reached(crossing: Crossing) -> set[AccountName]:
    """Every account that a tainted transfer touched, held accounts included."""
    arrays = crossing.arrays
    rows = np.unique([item.row for case in crossing.cases for item in case.transfers]).astype(int)
    creditors = arrays.creditor[rows]
    numbers = np.unique(np.concatenate((arrays.debtor[rows], creditors[creditors >= 0])))
    return {crossing.account(int(number)) for number in numbers}


def _truncated(crossing: Crossing, limit: str) -> Crossing:
    crossing.cases = [
        msgspec.structs.replace(case, truncated=case.truncated or limit) for case in crossing.cases
    ]
    return crossing
