"""What `skip_bad` takes, what it leaves out, and what it writes beside the file."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openaoc.ledger.refusals import RefusedRows
from openaoc.ledger.table import read_transfers
from tests.ledger_files.rows import Row, as_csv, as_ndjson, read, row

ROWS: list[Row] = [
    row(transfer_id="A"),
    row(transfer_id="B", amount_minor="-3", currency="?"),
    row(transfer_id="C"),
    row(transfer_id="D", debtor_account='12"34,5\u200b'),
]


def test_csv_rows_are_written_beside_and_can_be_mended(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(as_csv(ROWS) + b"E,too,short\n")
    table = read_transfers([path], skip_bad=True)
    assert table.table["transfer_id"].to_pylist() == ["A", "C"]
    assert [table.place(0), table.place(1)] == [(str(path), 1), (str(path), 3)]
    written = tmp_path / "in.refused.csv"
    assert str(written) in table.notes[0]
    refused = list(csv.DictReader(io.StringIO(written.read_text("utf-8"))))
    assert [one["refused_row"] for one in refused] == ["2", "4", "5"]
    assert [one["refused_line"] for one in refused] == ["3", "5", "6"]
    assert refused[0]["refused_column"] == "amount_minor; currency"
    assert "is negative" in refused[0]["refused_reason"]
    assert refused[1]["debtor_account"] == '12"34,5\u200b'
    assert "has 3 fields" in refused[2]["refused_reason"]
    mended = written.read_text("utf-8").replace("-3", "3").replace("?", "THB").splitlines()[:2]
    path.write_text("\n".join(mended), "utf-8")
    assert read_transfers([path]).table["transfer_id"].to_pylist() == ["B"]


def test_lines_stay_lines(tmp_path: Path) -> None:
    path = tmp_path / "in.ndjson.gz"
    rows: list[Row] = [row(transfer_id="A"), row(transfer_id="B", amount_minor=0)]
    path.write_bytes(gzip.compress(as_ndjson(rows) + b"not json\n" + as_ndjson([row()])))
    table = read_transfers([path], skip_bad=True)
    assert table.table["transfer_id"].to_pylist() == ["A", "T1"]
    assert table.place(1) == (str(path), 4)
    lines = (tmp_path / "in.refused.ndjson").read_text("utf-8").splitlines()
    first, second = (json.loads(line) for line in lines)
    assert first["transfer_id"] == "B"
    assert first["refused"][0]["column"] == "amount_minor"
    assert second["refused_text"] == "not json"
    assert second["refused"][0]["line"] == 3


def test_parquet_rows_become_lines(tmp_path: Path) -> None:
    table = read(tmp_path, as_csv([row(transfer_id=f"T{n}") for n in range(5)])).table
    amounts = pa.array([1, 2, -3, 4, 5], pa.int64())
    path = tmp_path / "in.parquet"
    pq.write_table(table.set_column(7, "amount_minor", amounts), path)
    taken = read_transfers([path], skip_bad=True)
    assert taken.numpy("amount_minor").tolist() == [1, 2, 4, 5]
    (line,) = (tmp_path / "in.refused.ndjson").read_text("utf-8").splitlines()
    assert json.loads(line)["transfer_id"] == "T2"
    assert json.loads(line)["booked_at"].startswith("2026-01-02T03:04:05")


def test_by_default_nothing_is_taken_and_nothing_written(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(as_csv(ROWS))
    with pytest.raises(RefusedRows):
        read_transfers([path])
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.csv"]


def test_a_good_file_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(as_csv([row()]))
    assert read_transfers([path], skip_bad=True).refused == ()
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.csv"]


def test_what_cannot_be_read_as_a_whole_is_refused_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(as_csv([row()]).replace(b"currency", b"money"))
    with pytest.raises(RefusedRows, match="currency"):
        read_transfers([path], skip_bad=True)


def test_places_after_several_files(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.csv", "b.ndjson")]
    paths[0].write_bytes(as_csv([row(transfer_id="A"), row(transfer_id="B")]))
    paths[1].write_bytes(as_ndjson([row(transfer_id="C")]))
    table = read_transfers(paths)
    assert [table.place(n) for n in range(3)] == [
        (str(paths[0]), 1),
        (str(paths[0]), 2),
        (str(paths[1]), 1),
    ]
