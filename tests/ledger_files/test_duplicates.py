"""Rows that speak of one transfer: repeats, both banks, corrections, contradictions."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner

from openaoc.cli import client, ledger
from openaoc.kernel.errors import Conflict
from openaoc.ledger.refusals import RefusedRows
from openaoc.ledger.table import TransferTable, parse_transfers, read_transfers, resolve_duplicates
from tests.ledger_files.rows import Row, as_csv, as_ndjson, row


def resolved(rows: list[Row]) -> TransferTable:
    """The rows as one table, each transfer once."""
    return resolve_duplicates(parse_transfers(as_ndjson(rows), "application/x-ndjson"))


def amounts(table: TransferTable) -> list[tuple[str, int]]:
    """(id, amount) in order."""
    ids = table.table["transfer_id"].to_pylist()
    return list(zip(ids, table.numpy("amount_minor").tolist(), strict=True))


def test_without_repeats_nothing_changes() -> None:
    table = parse_transfers(as_ndjson([row(), row(transfer_id="T2")]), "application/x-ndjson")
    assert resolve_duplicates(table) is table


def test_an_exact_repeat_is_nothing() -> None:
    rows = [row(), row(transfer_id="T2"), row(debtor_account="001-122-3344", channel="transfer")]
    table = resolved(rows)
    assert amounts(table) == [("T1", 15_000), ("T2", 15_000)]
    assert table.aliases.num_rows == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("amount_minor", 15_001),
        ("booked_at", "2026-01-02T03:04:05.000007Z"),
        ("creditor_account", "1"),
        ("currency", "USD"),
        ("channel", "cheque"),
    ],
)
def test_the_same_id_with_other_content_is_an_error(
    tmp_path: Path, column: str, value: object
) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    paths[0].write_bytes(as_csv([row(transfer_id="T0"), row()]))
    paths[1].write_bytes(as_csv([row(**{column: value})]))
    with pytest.raises(RefusedRows) as caught:
        resolve_duplicates(read_transfers(paths))
    fault = caught.value.rows[0]
    assert (fault.file, fault.row, fault.column) == (str(paths[1]), 1, "transfer_id")
    assert f"BANKA/T1 says something else in row 2 of {paths[0]} ({column})" in fault.reason


def test_a_missing_creditor_differs_from_one() -> None:
    out = {"channel": "cheque"}
    rows = [row(**out), row(**out, creditor_bank=None, creditor_account=None)]
    with pytest.raises(RefusedRows, match="creditor_bank, creditor_account"):
        resolved(rows)


def test_one_id_of_two_reporters_is_two_transfers() -> None:
    table = resolved([row(reported_by="BANKA"), row(reported_by="SWITCH", amount_minor=7)])
    assert amounts(table) == [("T1", 15_000), ("T1", 7)]
    assert table.find("T1") == [0, 1]
    assert table.find("T1", reported_by="SWITCH") == [1]


@pytest.mark.parametrize("creditor_first", [True, False])
def test_one_payment_of_both_banks_is_one_and_the_debtors_time_stands(
    creditor_first: bool,  # noqa: FBT001 - pytest passes it
) -> None:
    debtor = row(reported_by="banka", booked_at="2026-01-02T03:00:00Z", channel="transfer")
    creditor = row(reported_by="BANKB", booked_at="2026-01-02T03:00:09Z")
    between = row(transfer_id="T2")
    pair = [creditor, between, debtor] if creditor_first else [debtor, between, creditor]
    table = resolved(pair)
    assert amounts(table) == [("T1", 15_000), ("T2", 15_000)]
    assert table.table["reported_by"][0].as_py() == "BANKA"
    assert table.table["booked_at"][0].as_py().isoformat() == "2026-01-02T03:00:00+00:00"
    assert table.find("T1", reported_by="BANKB") == [0]
    assert table.find("T1") == [0]


def test_both_banks_with_repeats_and_different_content() -> None:
    debtor, creditor = row(reported_by="BANKA"), row(reported_by="BANKB")
    assert len(amounts(resolved([creditor, debtor, creditor, debtor]))) == 1
    other = row(reported_by="BANKB", amount_minor=1)
    assert len(amounts(resolved([debtor, other]))) == 2
    elsewhere = row(reported_by="BANKB", creditor_account="5")
    assert len(amounts(resolved([debtor, elsewhere]))) == 2


def test_a_correction_replaces_the_content_and_keeps_the_place() -> None:
    rows = [
        row(),
        row(transfer_id="T2"),
        row(corrects="T1", revision=2, amount_minor=9_000, booked_at="2026-01-05T00:00:00Z"),
    ]
    for order in (rows, [rows[2], rows[0], rows[1]]):
        table = resolved(order)
        assert amounts(table) == [("T1", 9_000), ("T2", 15_000)]
        assert table.table["booked_at"][0].as_py().day == 5
    assert amounts(resolved(rows[::-1])) == [("T2", 15_000), ("T1", 9_000)]


def test_the_highest_revision_stands_whatever_the_order() -> None:
    rows = [
        row(),
        row(corrects="T1", revision=1, amount_minor=1),
        row(corrects="T1", revision=3, amount_minor=3),
        row(corrects="T1", revision=2, amount_minor=2),
        row(corrects="T1", revision=3, amount_minor=3),
        row(),
    ]
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(rows))
        assert amounts(resolved([rows[n] for n in order])) == [("T1", 3)]


def test_a_correction_under_an_id_of_its_own() -> None:
    rows = [
        row(transfer_id="T0"),
        row(),
        row(transfer_id="C1", corrects="T1", revision=1, amount_minor=1),
        row(transfer_id="C2", corrects="C1", revision=2, amount_minor=2),
    ]
    table = resolved(rows)
    assert amounts(table) == [("T0", 15_000), ("T1", 2)]
    assert table.find("C2") == table.find("C1") == table.find("T1") == [1]
    assert table.find("C1", reported_by="BANKA") == [1]


def test_a_correction_joins_what_both_banks_say() -> None:
    rows = [
        row(reported_by="BANKB", amount_minor=700),
        row(reported_by="BANKA"),
        row(reported_by="BANKA", corrects="T1", revision=1, amount_minor=700),
    ]
    table = resolved(rows)
    assert amounts(table) == [("T1", 700)]
    assert table.table["reported_by"].to_pylist() == ["BANKA"]


BAD_CORRECTIONS: list[tuple[str, list[Row]]] = [
    ("never told", [row(), row(transfer_id="C", corrects="T9", revision=1)]),
    ("never told", [row(), row(transfer_id="C", corrects="T1", revision=1, reported_by="BANKB")]),
    (
        "says something else",
        [row(), *[row(corrects="T1", revision=1, amount_minor=n) for n in (1, 2)]],
    ),
    (
        "id of another transfer",
        [row(), row(transfer_id="T2"), row(transfer_id="T2", corrects="T1", revision=1)],
    ),
    (
        "circle",
        [
            row(transfer_id="C1", corrects="C2", revision=1),
            row(transfer_id="C2", corrects="C1", revision=1),
        ],
    ),
]


@pytest.mark.parametrize(("reason", "rows"), BAD_CORRECTIONS)
def test_a_correction_that_makes_no_sense(reason: str, rows: list[Row]) -> None:
    with pytest.raises(RefusedRows, match=reason):
        resolved(rows)


def test_only_the_reporter_corrects_itself() -> None:
    evil = {"corrects": "T1", "revision": 1, "reported_by": "EVIL", "amount_minor": 1}
    with pytest.raises(RefusedRows, match="'T1' was never told by EVIL"):
        resolved([row(), row(**evil)])


def test_what_the_creditors_bank_corrects_changes_no_payment_that_both_told() -> None:
    correction = {"corrects": "T1", "revision": 1, "reported_by": "BANKB", "amount_minor": 1}
    told = [row(), row(reported_by="BANKB"), row(**correction)]
    assert amounts(resolved(told)) == amounts(resolved(told[::-1])) == [("T1", 15_000)]
    assert amounts(resolved(told[1:])) == [("T1", 1)]
    with pytest.raises(RefusedRows, match="BANKB/T1 says something else in row 3"):
        resolved([*told, row(**{**correction, "amount_minor": 2})])


def test_what_a_correction_makes_one_payment_was_one() -> None:
    rows = [
        row(reported_by="BANKB", amount_minor=700),
        row(transfer_id="T2"),
        row(),
        row(reported_by="BANKB", corrects="T1", revision=1),
    ]
    assert amounts(resolved(rows[:3])) == [("T1", 700), ("T2", 15_000), ("T1", 15_000)]
    table = resolved(rows)
    assert amounts(table) == [("T1", 15_000), ("T2", 15_000)]
    assert table.table["reported_by"].to_pylist() == ["BANKA", "BANKA"]


@pytest.mark.parametrize("seed", range(6))
def test_a_correction_after_both_banks_told_is_of_that_one_payment(seed: int) -> None:
    rows = [
        row(reported_by="BANKB"),
        row(reported_by="BANKA"),
        row(reported_by="BANKA", transfer_id="C", corrects="T1", revision=1, amount_minor=9),
        row(reported_by="BANKB"),
    ]
    order = np.random.default_rng(seed).permutation(len(rows))
    table = resolved([rows[n] for n in order])
    assert amounts(table) == [("T1", 9)]
    assert table.table["reported_by"].to_pylist() == ["BANKA"]
    assert table.find("T1", reported_by="BANKB") == table.find("C") == [0]


def test_the_banks_of_a_payment_that_both_told_cannot_change() -> None:
    rows = [
        row(),
        row(reported_by="BANKB"),
        row(corrects="T1", revision=1, creditor_bank="BANKC"),
    ]
    with pytest.raises(RefusedRows, match="cannot change the banks"):
        resolved(rows)
    assert amounts(resolved([rows[0], rows[2]])) == [("T1", 15_000)]


class Taking:
    """A centre that takes everything, and what it took."""

    taken: ClassVar[list[str]] = []

    def post(self, path: str, **_: object) -> dict[str, int]:
        self.taken.append(path)
        return {"accepted": 2, "repeated": 0, "corrected": 0}


def test_a_file_of_several_batches_is_checked_whole_before_any_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "ROWS_PER_BATCH", 2)
    monkeypatch.setattr(client, "CentreClient", Taking)
    path = tmp_path / "t.csv"
    rows = [row(transfer_id=f"T{n}") for n in range(4)]
    path.write_bytes(as_csv([*rows, row(transfer_id="T0", amount_minor=1)]))
    refused = CliRunner().invoke(ledger.import_files, [str(path)])
    assert isinstance(refused.exception, RefusedRows)
    assert (refused.exception.rows[0].row, Taking.taken) == (5, [])
    path.write_bytes(as_csv([*rows, row(transfer_id="T0")]))
    assert CliRunner().invoke(ledger.import_files, [str(path)]).exit_code == 0
    assert len(Taking.taken) == 3


class Contradicting(Taking):
    """A centre whose ledger knows the second batch otherwise."""

    def post(self, path: str, **named: object) -> dict[str, int]:
        if self.taken:
            raise Conflict("body, row 1: T2 was told with another amount")
        return super().post(path, **named)


def test_where_the_centre_refuses_a_later_batch_it_is_said_what_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "ROWS_PER_BATCH", 2)
    monkeypatch.setattr(client, "CentreClient", Contradicting)
    monkeypatch.setattr(Taking, "taken", [])
    path = tmp_path / "t.csv"
    path.write_bytes(as_csv([row(amount_minor="x"), *(row(transfer_id=f"T{n}") for n in range(4))]))
    refused = CliRunner().invoke(ledger.import_files, [str(path), "--skip-bad"])
    assert isinstance(refused.exception, Conflict)
    assert str(refused.exception) == f"{path}, row 4: T2 was told with another amount"
    assert "the first 2 of 4 transfers are in the ledger" in refused.output
    monkeypatch.setattr(Taking, "taken", ["nothing before it"])
    again = CliRunner().invoke(ledger.import_files, [str(path), "--skip-bad"])
    assert "in the ledger" not in again.output
