"""What a batch does: taken whole and once, or refused whole with the row named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import OpenAOCError, TooLarge
from openaoc.ledger import encode, service, store
from openaoc.ledger.arrays import EXIT, SELF
from openaoc.ledger.model import (
    AccountName,
    FromTheFuture,
    LedgerFull,
    LineTooLong,
    TransferConflict,
    UnknownCorrection,
)
from openaoc.ledger.service import Ledger
from tests.ledger.worlds import HOUR_US, NOW, SETTINGS, assert_pure, ledger, positions, row, table

Rows = Sequence[Mapping[str, object]]


def _refused(opened: Ledger, rows: Rows, error: type[OpenAOCError]) -> OpenAOCError:
    """The error, after checking that nothing of the batch was kept."""
    before = opened.stats()
    with pytest.raises(error) as caught:
        opened.ingest(table(rows), live=False)
    after = opened.stats()
    assert after == before
    for item in rows:
        if not before.transfers:
            assert opened.account_index(str(item["debtor_bank"]), "1", "THB") is None
    return caught.value


def test_a_batch_is_taken_once() -> None:
    batch = table([row("T1"), row("T2", at=5, amount=30), row("T1")])
    with ledger() as opened:
        first = opened.ingest(batch, live=False, told_by="SWITCH")
        again = opened.ingest(batch, live=False)
        assert (first.accepted, first.repeated, first.corrected, first.first_row) == (2, 1, 0, 0)
        assert (again.accepted, again.repeated, again.first_row) == (0, 3, -1)
        assert again.position == first.position == 1
        assert first.digest == again.digest
        assert opened.stats().transfers == 2
        assert len(opened.unjournalled()) == 1


def test_an_empty_batch_changes_nothing() -> None:
    with ledger() as opened:
        receipt = opened.ingest(table([]), live=True)
        assert (receipt.accepted, receipt.repeated, receipt.position) == (0, 0, 0)
        assert opened.unjournalled() == []


def test_evidence_says_who_told_and_when() -> None:
    clock = ManualClock(NOW)
    with ledger(clock=clock) as opened:
        opened.ingest(table([row("T1", debtor="A/1", creditor="B/2")]), live=False, told_by="X")
        clock.advance(timedelta(hours=1))
        opened.ingest(
            table([row("T9", channel="card_purchase", creditor="S/7")]), live=False, told_by="Y"
        )
        number = opened.find(reported_by="A", transfer_id="T9")
        assert number == 1
        evidence = opened.transfer(number)
        assert evidence.told_by == "Y"
        assert evidence.told_at == NOW + timedelta(hours=1)
        assert evidence.creditor == AccountName(bank="S", account="7", currency="THB")
        assert evidence.channel == "card_purchase"
        assert evidence.position == 2
        assert opened.transfer(0).told_by == "X"
        assert opened.find(reported_by="B", transfer_id="T1") is None
        with opened.reading() as arrays:
            assert arrays.creditor[number] == -1
            assert arrays.flags[number] == EXIT


def test_a_self_transfer_stands_on_no_line() -> None:
    with ledger() as opened:
        opened.ingest(table([row("T1", debtor="A/1", creditor="A/1")]), live=False)
        with opened.reading() as arrays:
            assert arrays.flags[0] == SELF
            assert arrays.out_len.sum() + arrays.in_len.sum() == 0
            assert (arrays.out_start[0], arrays.in_start[0]) == (-1, -1)


@pytest.mark.parametrize(
    "other",
    [{"amount": 101}, {"at": 1}, {"creditor": "B/3"}, {"channel": "cheque"}, {"currency": "USD"}],
)
def test_other_content_under_one_id_is_refused(other: dict[str, object]) -> None:
    with ledger() as opened:
        opened.ingest(table([row("T1")]), live=False)
        changed = row("T1", **other)  # type: ignore[arg-type]  # of several types
        rows = [row("N1", debtor="Z/1"), changed, row("N2")]
        error = _refused(opened, rows, TransferConflict)
        assert error.where == "row 2"
        assert "T1" in error.detail
        assert opened.account_index("Z", "1", "THB") is None
        assert opened.ingest(table([rows[0]]), live=False).accepted == 1
        assert_pure(opened)


def test_contradiction_inside_one_batch_is_refused() -> None:
    with ledger() as opened:
        error = _refused(opened, [row("T1"), row("T1", amount=7)], TransferConflict)
        assert error.where == "row 2"


def test_the_same_id_from_another_reporter_is_another_transfer() -> None:
    with ledger() as opened:
        opened.ingest(table([row("T1"), row("T1", reporter="SWITCH")]), live=False)
        assert opened.find(reported_by="A", transfer_id="T1") == 0
        assert opened.find(reported_by="SWITCH", transfer_id="T1") == 1


@pytest.mark.parametrize("payer_first", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_both_banks_tell_of_one_transfer(*, payer_first: bool, together: bool) -> None:
    told = [
        row("T1", at=10, reporter="A", channel="bill_payment"),
        row("T1", at=99, reporter="B", channel="transfer"),
    ]
    told = told if payer_first else told[::-1]
    with ledger() as opened:
        for batch in [told] if together else [[item] for item in told]:
            opened.ingest(table(batch), live=False)
        assert opened.stats().transfers == 1
        evidence = opened.transfer(0)
        assert evidence.reported_by == "A"
        assert evidence.both_banks
        assert evidence.channel == "bill_payment"
        with opened.reading() as arrays:
            assert arrays.time_us[0] == told[not payer_first]["booked_at"]
        assert opened.find(reported_by="B", transfer_id="T1") == 0
        assert opened.ingest(table(told), live=False).repeated == 2
        assert_pure(opened)


def test_what_only_the_second_bank_tells_is_kept(tmp_path: Path) -> None:
    told = [row("T1", at=9, reporter="B"), row("T1", at=3, reporter="A")]
    with ledger(tmp_path) as opened:
        for item in told:
            opened.ingest(table([item]), live=False)
        known = positions(opened)
        assert len(opened.unjournalled()) == 2
    with ledger(tmp_path) as opened:
        assert positions(opened) == known
        assert opened.transfer(0).reported_by == "A"


def test_a_correction_takes_effect_at_its_own_place() -> None:
    with ledger() as opened:
        opened.ingest(
            table([row("T1", at=10), row("T2", at=20, amount=50), row("T3", at=30)]), live=False
        )
        change = row("T2", at=5, amount=70, corrects="T2", revision=1)
        receipt = opened.ingest(table([change]), live=False)
        assert (receipt.accepted, receipt.corrected) == (0, 1)
        with opened.reading() as arrays:
            assert arrays.out_start.tolist() == [70, 0, 170]
        assert opened.transfer(1).revision == 1
        assert opened.ingest(table([change]), live=False).repeated == 1
        assert opened.ingest(table([row("T2", at=20, amount=50)]), live=False).repeated == 1
        assert_pure(opened)


def test_a_correction_may_have_an_id_of_its_own() -> None:
    with ledger() as opened:
        opened.ingest(table([row("T1")]), live=False)
        opened.ingest(table([row("K1", amount=7, corrects="T1", revision=1)]), live=False)
        opened.ingest(table([row("K2", amount=9, corrects="K1", revision=2)]), live=False)
        assert opened.find(reported_by="A", transfer_id="K2") == 0
        assert opened.transfer(0).amount_minor == 9
        _refused(opened, [row("K1")], TransferConflict)


def test_an_older_revision_changes_nothing() -> None:
    with ledger() as opened:
        opened.ingest(table([row("T1")]), live=False)
        opened.ingest(table([row("T1", amount=9, corrects="T1", revision=3)]), live=False)
        older = opened.ingest(table([row("T1", amount=8, corrects="T1", revision=2)]), live=False)
        assert (older.corrected, older.repeated) == (0, 1)
        assert opened.transfer(0).amount_minor == 9
        _refused(opened, [row("T1", amount=5, corrects="T1", revision=2)], TransferConflict)
        _refused(opened, [row("T1", amount=5, corrects="T1", revision=3)], TransferConflict)


def test_only_who_told_corrects() -> None:
    with ledger() as opened:
        opened.ingest(table([row("T1")]), live=False)
        wrong = row("T1", reporter="SWITCH", amount=5, corrects="T1", revision=1)
        error = _refused(opened, [row("N1"), wrong], UnknownCorrection)
        assert error.where == "row 2"
        _refused(opened, [row("X1", corrects="X0", revision=1)], UnknownCorrection)


def test_a_correction_turns_a_transfer_into_an_exit_and_back() -> None:
    with ledger() as opened:
        opened.ingest(table([row("T1"), row("T2", at=1)]), live=False)
        out = row("T1", channel="cash_withdrawal", creditor=None, corrects="T1", revision=1)
        opened.ingest(table([out]), live=False)
        assert opened.transfer(0).creditor is None
        named = row("T1", channel="card_purchase", creditor="S/9", corrects="T1", revision=2)
        opened.ingest(table([named]), live=False)
        assert opened.transfer(0).creditor == AccountName(bank="S", account="9", currency="THB")
        opened.ingest(table([row("T1", at=2, corrects="T1", revision=3)]), live=False)
        assert opened.transfer(0).channel == "transfer"
        assert_pure(opened)


def test_the_future_is_refused_on_live_ingest_only() -> None:
    clock = ManualClock(NOW)
    ahead = row("T1", at=400 * 24 * HOUR_US)
    with ledger(clock=clock) as opened:
        with pytest.raises(FromTheFuture) as caught:
            opened.ingest(table([row("T0"), ahead]), live=True)
        assert [(r.row, r.column) for r in caught.value.rows] == [(2, "booked_at")]
        assert caught.value.total == 1
        assert opened.stats().transfers == 0
        assert opened.ingest(table([ahead]), live=False).accepted == 1


def test_a_line_of_2_to_the_62_is_refused() -> None:
    large = 2**61
    with ledger() as opened:
        opened.ingest(table([row("T1", amount=large)]), live=False)
        opened.ingest(
            table([row("T2", at=1, debtor="B/2", creditor="C/3", amount=large)]), live=False
        )
        error = _refused(opened, [row("T3"), row("T4", at=2, amount=large)], LineTooLong)
        assert error.where == "row 2"
        opened.ingest(table([row("T5", at=3, amount=large - 1)]), live=False)
        opened.ingest(
            table([row("T6", debtor="D/1", creditor="D/2", amount=2**62 - 1)]), live=False
        )
        _refused(opened, [row("T7", debtor="D/2", creditor="D/1", at=4, amount=1)], LineTooLong)
        assert_pure(opened)


def test_a_full_ledger_says_so_and_keeps_what_it_has() -> None:
    small = msgspec.structs.replace(SETTINGS, ledger_rows_max=10, ledger_accounts_max=6)
    with ledger(settings=small) as opened:
        opened.ingest(table([row(f"T{n}") for n in range(8)]), live=False)
        _refused(opened, [row(f"N{n}") for n in range(3)], LedgerFull)
        rows = [row("N1", debtor="Z/1", creditor="Z/2"), row("N2", debtor="Z/3", creditor="Z/4")]
        assert opened.ingest(table(rows), live=False).accepted == 2
    with ledger(settings=small) as opened:
        rows = [row(f"T{n}", debtor=f"Y/{n}", creditor=f"Z/{n}") for n in range(4)]
        _refused(opened, rows, LedgerFull)
        assert opened.ingest(table(rows[:3]), live=False).accepted == 3
        assert_pure(opened)


def test_a_batch_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TRANSFERS_PER_BATCH_MAX", 2)
    with ledger() as opened:
        error = _refused(opened, [row(f"T{n}") for n in range(3)], TooLarge)
        assert "at most 2" in error.detail


def test_long_and_foreign_names_are_kept_apart() -> None:
    names = ["ก" * 64, "ก" * 63, "A" * 64, "A" * 63 + "B"]
    with ledger() as opened:
        rows = [row(name, debtor=f"A/{n}") for n, name in enumerate(names)]
        rows += [row(f"T{n}", debtor=f"{name[:32]}/{name}") for n, name in enumerate(names)]
        opened.ingest(table(rows), live=False)
        assert [opened.transfer(n).transfer_id for n in range(4)] == names
        assert [opened.transfer(4 + n).debtor.account for n in range(4)] == names
        assert opened.find(reported_by="A", transfer_id=names[3]) == 3


def test_names_under_one_hash_are_told_apart_by_the_whole_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hash finds candidates; the full name decides."""

    def one_hash(_: object, __: object, ___: object, out: np.ndarray) -> None:
        out[:] = 7

    monkeypatch.setattr(encode, "hash_column", one_hash)
    monkeypatch.setattr(store, "hash_bytes", lambda *_: np.uint64(7))
    rows = [row(f"T{n}", debtor=f"A/{n}", creditor=f"B/{n}") for n in range(40)]
    with ledger() as opened:
        assert opened.ingest(table(rows), live=False).accepted == 40
        for n in range(40):
            assert opened.find(reported_by="A", transfer_id=f"T{n}") == n
            assert opened.transfer(n).debtor.account == str(n)
            assert opened.account_index("B", str(n), "THB") is not None
        assert opened.find(reported_by="A", transfer_id="T40") is None
        assert opened.account_index("B", "40", "THB") is None
        assert opened.ingest(table(rows), live=False).repeated == 40


def test_candidates_are_the_nearest_first() -> None:
    with ledger() as opened:
        rows = [row(f"T{n}", at=n * 1000, creditor=f"B/{n % 2 + 2}") for n in range(10)]
        rows.append(row("X", at=4500, amount=7))
        rows.append(row("E", at=4100, channel="card_purchase", creditor="B/3"))
        opened.ingest(table(rows), live=False)
        debtor = opened.account_index("A", "1", "THB")
        creditor = opened.account_index("B", "3", "THB")
        assert debtor is not None
        around = int(str(rows[4]["booked_at"]))
        found = opened.candidates(
            debtor=debtor, creditor=None, amount_minor=100, around_us=around, window_us=1000
        )
        assert found == [4, 11, 3, 5]
        found = opened.candidates(
            debtor=debtor, creditor=creditor, amount_minor=100, around_us=around, window_us=1000
        )
        assert found == [11, 3, 5]
