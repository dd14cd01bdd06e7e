"""A trace that crosses into cold days equals the trace over one ledger, under every rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from openaoc.kernel.clock import SystemClock
from openaoc.kernel.settings import Settings
from openaoc.ledger.accounts_file import ACCOUNT_SCHEMA, AccountsTable
from openaoc.ledger.arrays import SELF
from openaoc.ledger.bulk import build_arrays
from openaoc.ledger.cold import ColdStore
from openaoc.ledger.history import History, HotHistory
from openaoc.ledger.model import AccountName
from openaoc.ledger.naming import intern
from openaoc.ledger.schema import SCHEMA, TransferTable
from openaoc.ledger.service import Ledger
from openaoc.tracing.across import CrossClaim, CrossHold, trace_across
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.files import FileLedger
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
from tests.ledger_files.random_ledger import history, random_table

RULES = list(Rule)


class _Memory:
    """Histories of a table in memory: the plainest store there can be."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.asked: list[AccountName] = []

    def accounts_history(
        self, accounts: Sequence[AccountName], *, until_us: int | None = None
    ) -> pa.Table:
        self.asked += accounts
        wanted = {(a.bank, a.account) for a in accounts}
        rows = [
            number
            for number, row in enumerate(self.table.to_pylist())
            if (row["debtor_bank"], row["debtor_account"]) in wanted
            or (row["creditor_bank"], row["creditor_account"]) in wanted
        ]
        del until_us
        return self.table.take(pa.array(rows, pa.int64()))


def whole(table: pa.Table, openings: AccountsTable | None) -> FileLedger:
    """The table as one ledger."""
    transfers = TransferTable(table=table.select(SCHEMA.names))
    columns, names = intern(transfers, openings)
    arrays = build_arrays(**columns._asdict())
    return FileLedger(table=transfers, arrays=arrays, accounts=names)


def some_openings(table: pa.Table, seed: int) -> AccountsTable:
    """Opening balances for half of the accounts."""
    rng = np.random.default_rng(seed)
    names = sorted(
        set(zip(table["debtor_bank"].to_pylist(), table["debtor_account"].to_pylist(), strict=True))
    )
    chosen = [pair for pair in names if rng.random() < 0.5]
    columns = [
        [bank for bank, _ in chosen],
        [account for _, account in chosen],
        rng.integers(0, 2000, len(chosen)),
        ["THB"] * len(chosen),
    ]
    return AccountsTable(table=pa.table([pa.array(c) for c in columns], schema=ACCOUNT_SCHEMA))


def documents(
    histories: Sequence[History],
    table: pa.Table,
    claims: Sequence[Claim],
    *,
    rule: Rule,
    openings: AccountsTable | None = None,
    at_us: int | None = None,
) -> tuple[list[Trace], list[Trace]]:
    """The traces across the stores and over one ledger, with names."""
    ledger = whole(table, openings)
    first = int(table["sequence"][0].as_py())
    origins = table.take(pa.array([claim.row for claim in claims]))
    crossing = trace_across(
        histories,
        origins,
        [
            CrossClaim(sequence=first + c.row, amount_minor=c.amount_minor, case=c.case)
            for c in claims
        ],
        rule=rule,
        at_us=at_us,
        openings=(lambda _: openings) if openings is not None else None,
    )
    direct = trace_cases(ledger.arrays, claims, rule=rule, at_us=at_us)
    shown = [crossing.document(n, rule=rule, at_us=0) for n in range(len(crossing.cases))]
    return shown, [document(case, ledger, rule) for case in direct]


def document(case: CaseTrace, ledger: FileLedger, rule: Rule) -> Trace:
    """A trace over one ledger, with names."""
    sides = exit_sides(case, ledger.arrays)
    return to_document(case, sides, ledger, rule=rule, at_us=0, currency="THB")


def some_claims(table: pa.Table, seed: int, cases: int) -> list[Claim]:
    """Claims on a few transfers that may be origins, each of another case."""
    rng = np.random.default_rng(seed)
    arrays = whole(table, None).arrays
    rows = np.flatnonzero((arrays.flags & SELF) == 0)
    chosen = rng.choice(rows, cases, replace=False).tolist()
    return [
        Claim(row, int(arrays.amount[row]) if n % 2 else max(1, int(arrays.amount[row]) // 2), n)
        for n, row in enumerate(chosen)
    ]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(6))
def test_cold_and_hot_together_equal_one_ledger(tmp_path: Path, rule: Rule, seed: int) -> None:
    table = history(random_table(seed=seed, rows=400, accounts=40), first=1000)
    cold = ColdStore.open(tmp_path)
    cold.write_segment(table.slice(120, 130))
    cold.write_segment(table.slice(0, 120))
    hot = _Memory(table.slice(250))
    openings = some_openings(table, seed)
    claims = some_claims(table, seed, 3)
    shown, expected = documents([cold, hot], table, claims, rule=rule, openings=openings)
    assert shown == expected
    assert any(trace.located or trace.exited for trace in shown)
    middle = int(table["booked_at"].cast(pa.int64())[300].as_py())
    early = [claim for claim in claims if claim.row <= 300] or [Claim(claims[0].row % 300)]
    shown, expected = documents([cold, hot], table, early, rule=rule, at_us=middle)
    assert shown == expected
    cold.close()


@pytest.mark.parametrize("rule", RULES)
def test_the_real_hot_ledger_with_the_real_cold_store(tmp_path: Path, rule: Rule) -> None:
    table = history(random_table(seed=21, rows=500, accounts=50))
    cold = ColdStore.open(tmp_path / "cold")
    cold.write_segment(table.slice(0, 300))
    settings = Settings(ledger_rows_max=100_000, ledger_accounts_max=100_000)
    ledger = Ledger.open(tmp_path / "hot", settings=settings, clock=SystemClock())
    try:
        recent = TransferTable(table=table.slice(300).select(SCHEMA.names))
        assert ledger.ingest(recent, live=False).accepted == 200
        hot = HotHistory(ledger, first_sequence=300)
        claims = some_claims(table, 5, 4)
        shown, expected = documents([cold, hot], table, claims, rule=rule)
        assert shown == expected
        found = hot.find(reported_by=table["reported_by"][400].as_py(), transfer_id="T400")
        assert found["sequence"].to_pylist() == [400]
    finally:
        ledger.close()
        cold.close()


@pytest.mark.parametrize("rule", RULES)
def test_holds_cross_over_too(rule: Rule) -> None:
    table = history(random_table(seed=33, rows=300, accounts=25))
    ledger = whole(table, None)
    row = int(np.flatnonzero(ledger.arrays.flags[20:] == 0)[0]) + 20
    claim = Claim(row)
    account, at_us = int(ledger.arrays.creditor[row]), int(ledger.arrays.time_us[row])
    name = ledger.account(account)
    event = HoldEvent(kind=HoldKind.HOLD, at_us=at_us, case=0, account=account, amount_minor=5)
    (expected,) = trace_cases(ledger.arrays, [claim], rule=rule, holds=[event])
    crossing = trace_across(
        [_Memory(table.slice(0, 150)), _Memory(table.slice(150))],
        table.slice(claim.row, 1),
        [CrossClaim(sequence=claim.row, amount_minor=None)],
        rule=rule,
        holds=[
            CrossHold(
                kind=HoldKind.HOLD,
                at_us=at_us,
                case=0,
                account=AccountName(bank=name.bank, account=name.account, currency="THB"),
                amount_minor=5,
            )
        ],
    )
    (found,) = crossing.cases
    assert found.held
    assert [held.amount_minor for held in found.held] == [
        held.amount_minor for held in expected.held
    ]
    assert crossing.document(0, rule=rule, at_us=0) == document(expected, ledger, rule)


def test_only_reached_accounts_are_loaded_and_hubs_never() -> None:
    table = history(random_table(seed=44, rows=400, accounts=400))
    ledger = whole(table, None)
    claim = some_claims(table, 2, 1)[0]
    memory = _Memory(table)
    crossing = trace_across(
        [memory], table.slice(claim.row, 1), [CrossClaim(sequence=claim.row)], rule=Rule.FIFO
    )
    assert 0 < len(memory.asked) < 100
    assert len(set(memory.asked)) == len(memory.asked)
    creditor = ledger.account(int(ledger.arrays.creditor[claim.row]))
    hub = AccountName(bank=creditor.bank, account=creditor.account, currency="THB")
    memory.asked.clear()
    crossing = trace_across(
        [memory],
        table.slice(claim.row, 1),
        [CrossClaim(sequence=claim.row)],
        rule=Rule.FIFO,
        hubs=frozenset({hub}),
    )
    assert hub not in memory.asked
    assert [item.hub for item in crossing.cases[0].located] == [True]


def test_at_the_limit_of_accounts_it_says_so_and_the_sum_holds() -> None:
    table = history(random_table(seed=55, rows=2000, accounts=60))
    claim = some_claims(table, 3, 1)[0]
    crossing = trace_across(
        [_Memory(table)],
        table.slice(claim.row, 1),
        [CrossClaim(sequence=claim.row)],
        rule=Rule.PRO_RATA,
        limits=TraceLimits(accounts_max=5),
    )
    (case,) = crossing.cases
    assert case.truncated == "accounts"
    assert case.loss_minor == case.accounted_minor()


def test_an_origin_that_is_nowhere() -> None:
    table = history(random_table(seed=66, rows=10, accounts=5))
    with pytest.raises(BadOrigin, match="arrival number 99"):
        trace_across([_Memory(table)], table.slice(0, 1), [CrossClaim(sequence=99)], rule=Rule.FIFO)
