"""Cold segments: what is written is found again, whole, after every kind of restart."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from openaoc.kernel.errors import Corrupt, TooLarge
from openaoc.ledger import cold
from openaoc.ledger.cold import ColdStore
from openaoc.ledger.cold_format import HISTORY_SCHEMA, NAME_SCHEMA
from openaoc.ledger.model import AccountName, DiskRefused
from tests.ledger_files.random_ledger import START, history, random_table

MINUTE = timedelta(minutes=1)


def name(table: pa.Table, row: int, side: str = "debtor") -> AccountName:
    """The account on one side of a row."""
    values = table.slice(row, 1).to_pylist()[0]
    return AccountName(
        bank=values[f"{side}_bank"],
        account=values[f"{side}_account"],
        currency=values["currency"],
    )


def plain(table: pa.Table, accounts: list[AccountName]) -> list[int]:
    """The sequences that the accounts take part in, one row at a time."""
    wanted = {(a.bank, a.account, a.currency) for a in accounts}
    found = []
    for row in table.to_pylist():
        debtor = (row["debtor_bank"], row["debtor_account"], row["currency"])
        creditor = (row["creditor_bank"], row["creditor_account"], row["currency"])
        inside = row["channel"] == "transfer" and creditor in wanted
        if debtor in wanted or inside:
            found.append((row["booked_at"], row["sequence"]))
    return [sequence for _, sequence in sorted(found)]


def test_the_history_of_accounts_is_whole_and_in_ledger_order(tmp_path: Path) -> None:
    table = history(random_table(seed=1, rows=3000, accounts=60))
    store = ColdStore.open(tmp_path)
    for start in (2000, 0, 1000):
        store.write_segment(table.slice(start, 1000))
    for chosen in ([0], [5, 17, 900], list(range(0, 3000, 100))):
        accounts = [name(table, row) for row in chosen]
        found = store.accounts_history(accounts)
        assert found.schema.equals(HISTORY_SCHEMA)
        assert found["sequence"].to_pylist() == plain(table, accounts)
        expected = table.take(pa.array(found["sequence"].to_numpy()))
        assert found.equals(expected.combine_chunks())
    assert store.accounts_history([]).num_rows == 0
    nobody = AccountName(bank="X", account="1", currency="THB")
    assert store.accounts_history([nobody]).num_rows == 0
    store.close()


def test_until_is_inclusive(tmp_path: Path) -> None:
    table = history(random_table(seed=2, rows=500, accounts=8))
    store = ColdStore.open(tmp_path)
    store.write_segment(table)
    account = name(table, 0)
    times = store.accounts_history([account])["booked_at"].cast(pa.int64()).to_numpy()
    middle = int(times[len(times) // 2])
    found = store.accounts_history([account], until_us=middle)
    assert found.num_rows == int((times <= middle).sum())
    store.close()


def test_a_transfer_is_found_by_reporter_and_id_and_by_its_other_name(tmp_path: Path) -> None:
    table = history(random_table(seed=3, rows=200, accounts=20))
    alias = pa.table([["OTHER"], ["E2E-1"], [7]], schema=NAME_SCHEMA)
    store = ColdStore.open(tmp_path)
    store.write_segment(table.slice(0, 100), aliases=alias)
    store.write_segment(table.slice(100))
    for row in (0, 7, 150):
        values = table.slice(row, 1).to_pylist()[0]
        found = store.find(reported_by=values["reported_by"], transfer_id=values["transfer_id"])
        assert found.to_pylist() == [values]
    assert store.find(reported_by="OTHER", transfer_id="E2E-1")["sequence"].to_pylist() == [7]
    assert store.find(reported_by="OTHER", transfer_id="E2E-2").num_rows == 0
    store.close()


def test_an_amendment_replaces_a_row_wherever_its_accounts_were(tmp_path: Path) -> None:
    table = history(random_table(seed=4, rows=300, accounts=30))
    store = ColdStore.open(tmp_path)
    store.write_segment(table)
    row = table.slice(11, 1).to_pylist()[0]
    old = name(table, 11)
    new = AccountName(bank="ELSEWHERE", account="42", currency=row["currency"])
    row |= {"debtor_bank": new.bank, "debtor_account": new.account, "amount_minor": 1}
    store.write_segment(pa.Table.from_pylist([row], HISTORY_SCHEMA), amends=True)
    for again in range(2):
        assert 11 not in store.accounts_history([old])["sequence"].to_pylist()
        assert store.accounts_history([new])["amount_minor"].to_pylist() == [1]
        found = store.find(reported_by=row["reported_by"], transfer_id=row["transfer_id"])
        assert found.to_pylist() == [row]
        store.close()
        if not again:
            store = ColdStore.open(tmp_path)


def test_restart_forgets_what_no_manifest_names(tmp_path: Path) -> None:
    table = history(random_table(seed=5, rows=100, accounts=10))
    store = ColdStore.open(tmp_path)
    segment = store.write_segment(table)
    store.close()
    orphans = [tmp_path / "000009-sides.parquet", tmp_path / ".000002-names.parquet.draft"]
    for orphan in orphans:
        orphan.write_bytes(b"half")
    store = ColdStore.open(tmp_path)
    assert not any(orphan.exists() for orphan in orphans)
    assert store.stats().transfers == 100
    assert store.accounts_history([name(table, 0)]).num_rows > 0
    store.close()
    cut = tmp_path / segment.sides.name
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(Corrupt, match="missing or cut"):
        ColdStore.open(tmp_path)
    (tmp_path / "cold.json").write_text("{")
    with pytest.raises(Corrupt):
        ColdStore.open(tmp_path)


def test_a_crash_before_the_manifest_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = history(random_table(seed=6, rows=100, accounts=10))
    store = ColdStore.open(tmp_path)
    store.write_segment(table.slice(0, 50))

    def crash(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(cold, "write_manifest", crash)
    with pytest.raises(DiskRefused, match="no space left"):
        store.write_segment(table.slice(50))
    assert store.stats().transfers == 50
    store.close()
    monkeypatch.undo()
    store = ColdStore.open(tmp_path)
    store.write_segment(table.slice(50))
    assert store.stats().transfers == 100
    accounts = [name(table, row) for row in range(100)]
    assert store.accounts_history(accounts).num_rows == 100
    store.close()


def test_old_segments_expire_whole(tmp_path: Path) -> None:
    table = history(random_table(seed=7, rows=100, accounts=10))
    store = ColdStore.open(tmp_path)
    first = store.write_segment(table.slice(0, 50))
    store.write_segment(table.slice(50))
    assert store.expiring(first.last_us, told_before_us=2**62) == []
    assert store.expiring(first.last_us + 1, told_before_us=first.told_us) == []
    assert store.expiring(first.last_us + 1, told_before_us=2**62) == [first]
    store.drop(first.number)
    assert store.stats().transfers == 50
    accounts = [name(table, row) for row in range(100)]
    found = store.accounts_history(accounts)["sequence"].to_numpy()
    assert np.array_equal(np.sort(found), np.arange(50, 100))
    assert len(list(tmp_path.glob("0*"))) == 3
    store.close()


def test_sizes_and_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = history(random_table(seed=8, rows=100, accounts=10))
    store = ColdStore.open(tmp_path)
    assert store.stats().first_at is None
    with pytest.raises(TooLarge):
        store.write_segment(table.slice(0, 0))
    monkeypatch.setattr(cold, "SEGMENT_ROWS_MAX", 99)
    with pytest.raises(TooLarge):
        store.write_segment(table)
    monkeypatch.setattr(cold, "SEGMENT_ROWS_MAX", 100)
    store.write_segment(table)
    monkeypatch.setattr(cold, "LOOKUP_ROWS_MAX", 3)
    with pytest.raises(TooLarge):
        store.accounts_history([name(table, row) for row in range(50)])
    stats = store.stats()
    assert stats.transfers == 100
    assert stats.first_at is not None
    assert stats.first_at >= START
    assert stats.bytes == sum(path.stat().st_size for path in tmp_path.glob("0*"))
    assert START.tzinfo is UTC
    assert isinstance(stats.last_at, datetime)
    store.close()
