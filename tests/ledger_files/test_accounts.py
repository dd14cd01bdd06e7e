"""Files of opening balances, and accounts by number for a trace over files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from openaoc.ledger.arrays import EXIT, SELF
from openaoc.ledger.refusals import RefusedRows
from openaoc.ledger.table import TransferRow as Transfer
from openaoc.ledger.table import (
    intern,
    parse_accounts,
    parse_transfers,
    read_accounts,
    transfers_from_rows,
)
from tests.ledger_files.rows import Row, as_ndjson, row

HEADER = "bank,account,opening_minor,currency\n"
GOOD = HEADER + "banka,001-122,0,THB\nBANKB,009,4611686018427387903,THB\nBANKB,009,5,USD\n"


def csv_file(tmp_path: Path, text: str) -> Path:
    """A CSV file of accounts."""
    path = tmp_path / "accounts.csv"
    path.write_text(text, "utf-8")
    return path


def test_every_format_gives_the_same_accounts(tmp_path: Path) -> None:
    table = read_accounts(csv_file(tmp_path, GOOD)).table
    assert table["account"].to_pylist() == ["001122", "009", "009"]
    assert table["bank"].to_pylist() == ["BANKA", "BANKB", "BANKB"]
    assert table["opening_minor"].to_pylist() == [0, 2**62 - 1, 5]
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in table.to_pylist())
    sink, stream = io.BytesIO(), pa.BufferOutputStream()
    pq.write_table(table, sink)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    arrow = stream.getvalue().to_pybytes()
    bodies = {
        "text/csv": GOOD.encode(),
        "application/x-ndjson": lines,
        "application/vnd.apache.parquet": sink.getvalue(),
        "application/vnd.apache.arrow.stream": arrow,
    }
    for content_type, body in bodies.items():
        assert parse_accounts(body, content_type).table.equals(table)
    for name, body in (("a.ndjson", lines), ("a.parquet", sink.getvalue()), ("a.arrow", arrow)):
        (tmp_path / name).write_bytes(body)
        assert read_accounts(tmp_path / name).table.equals(table)


BAD: list[tuple[str, str, str]] = [
    ("A,1,-1,THB", "opening_minor", "is negative"),
    ("A,1,1.5,THB", "opening_minor", "decimal"),
    ("A,1,,THB", "opening_minor", "is empty"),
    ("A,1,4611686018427387904,THB", "opening_minor", "below 2^62"),
    ("A,1,99999999999999999999,THB", "opening_minor", "out of range"),
    (",1,5,THB", "bank", "empty"),
    ("A,-,5,THB", "account", "empty"),
    ("A,1,5,BAHT", "currency", "ISO 4217"),
]


@pytest.mark.parametrize(("line", "column", "reason"), BAD)
def test_a_bad_row_is_named(tmp_path: Path, line: str, column: str, reason: str) -> None:
    with pytest.raises(RefusedRows) as caught:
        read_accounts(csv_file(tmp_path, HEADER + "A,9,5,THB\n" + line + "\n"))
    fault = caught.value.rows[0]
    assert (fault.row, fault.line, fault.column) == (2, 3, column)
    assert reason in fault.reason


def test_an_account_twice(tmp_path: Path) -> None:
    same = read_accounts(
        csv_file(tmp_path, HEADER + "A,1,5,THB\nB,1,6,THB\na,0-1,7,THB\nA,1,5,THB\n")
    )
    assert same.opening_minor.tolist() == [5, 6, 7]
    with pytest.raises(RefusedRows, match="row 3, column account: is there already in row 1"):
        read_accounts(csv_file(tmp_path, HEADER + "A,1,5,THB\nB,1,6,THB\na,1,7,THB\n"))


def test_what_is_no_accounts_file(tmp_path: Path) -> None:
    for text, reason in (("", "empty"), ("bank,account\n", "missing"), ("{}\n", "missing")):
        with pytest.raises(RefusedRows, match=reason):
            read_accounts(csv_file(tmp_path, text))
    table = pa.table({"bank": ["A"], "account": [1], "opening_minor": [5], "currency": ["THB"]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    with pytest.raises(RefusedRows, match="leading zeros"):
        read_accounts(path)
    with pytest.raises(RefusedRows, match="not taken"):
        parse_accounts(b"x", "image/png")


def test_no_accounts_at_all_is_fine(tmp_path: Path) -> None:
    assert read_accounts(csv_file(tmp_path, HEADER)).table.num_rows == 0


def test_accounts_by_number(tmp_path: Path) -> None:
    rows: list[Row] = [
        row(transfer_id="1", debtor_account="1", creditor_account="2"),
        row(transfer_id="2", debtor_account="1", creditor_account="1", creditor_bank="BANKA"),
        row(transfer_id="3", debtor_account="1", creditor_account="2", currency="USD"),
        row(transfer_id="4", debtor_bank="BANKB", debtor_account="2", channel="cheque"),
        row(
            transfer_id="5",
            debtor_bank="BANKB",
            debtor_account="2",
            channel="cash_withdrawal",
            creditor_bank=None,
            creditor_account=None,
        ),
    ]
    table = parse_transfers(as_ndjson(rows), "application/x-ndjson")
    text = HEADER + "BANKB,2,77,THB\nBANKC,9,5,THB\nBANKB,2,1,VND\n"
    columns, names = intern(table, read_accounts(csv_file(tmp_path, text)))
    assert columns.flags.tolist() == [0, SELF, 0, EXIT, EXIT]
    assert columns.channel.tolist() == [0, 0, 0, 6, 1]
    assert columns.creditor.tolist()[3:] == [-1, -1]
    mule = names.index(bank="BANKB", account="2", currency="THB")
    assert mule is not None
    assert columns.creditor[0] == columns.debtor[3] == columns.debtor[4] == mule
    assert names[int(columns.creditor[2])].currency == "USD"
    assert columns.opening[mule] == 77
    assert columns.opening.sum() == 77 + 5 + 1
    assert names.index(bank="BANKB", account="2", currency="EUR") is None
    assert columns.debtor.dtype == np.int32


def test_accounts_of_nothing() -> None:
    columns, names = intern(transfers_from_rows([]))
    assert (len(names), len(columns.debtor), len(columns.opening)) == (0, 0, 0)


def test_rows_in_memory() -> None:
    rows = [
        Transfer(
            transfer_id=f"T{n}",
            booked_at="2026-01-01T07:00:00+07:00",
            debtor_bank="a",
            debtor_account="0-1",
            creditor_bank="b",
            creditor_account="2",
            amount_minor=n,
            currency="THB",
        )
        for n in (1, 2)
    ]
    table = transfers_from_rows(rows).table
    assert table["debtor_account"].to_pylist() == ["01", "01"]
    assert table["reported_by"].to_pylist() == ["A", "A"]
    assert str(table["booked_at"][0].as_py()) == "2026-01-01 00:00:00+00:00"
    bad = [rows[0], *[replace(rows[1], amount_minor=n) for n in (0, 2**70)]]
    with pytest.raises(RefusedRows, match="rows, row 2, column amount_minor"):
        transfers_from_rows(bad[:2], name="rows")
    with pytest.raises(RefusedRows, match="column amount_minor: holds a number past 64 bits"):
        transfers_from_rows(bad)
