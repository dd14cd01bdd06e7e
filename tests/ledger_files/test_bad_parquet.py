"""Broken Parquet and Arrow, and columns of a type that has lost something, are refused."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openaoc.ledger import ipc_guard
from openaoc.ledger import table as ledger_table
from openaoc.ledger.refusals import RefusedRows
from openaoc.ledger.table import SCHEMA, parse_transfers, read_transfers
from tests.ledger_files.rows import as_csv, read, refusal, row

ARROW = "application/vnd.apache.arrow.stream"


def good(tmp_path: Path, rows: int = 3) -> pa.Table:
    """A canonical table of a few transfers."""
    return read(tmp_path, as_csv([row(transfer_id=f"T{n}") for n in range(rows)])).table


def as_parquet(table: pa.Table) -> bytes:
    """The table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def as_stream(table: pa.Table) -> bytes:
    """The table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def with_one_bit_wrong(data: bytes, times: int) -> Iterator[bytes]:
    """The bytes with one random bit flipped, so many times."""
    rng = np.random.default_rng(len(data))
    for place, bit in zip(
        rng.integers(0, len(data), times), rng.integers(0, 8, times), strict=True
    ):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(bit)
        yield bytes(damaged)


def changed(table: pa.Table, name: str, array: pa.Array) -> pa.Table:
    """The table with one column replaced."""
    return table.set_column(table.column_names.index(name), name, array)


TYPES: list[tuple[str, pa.Array, str]] = [
    ("amount_minor", pa.array([1.0, 2.0, 3.0]), "double"),
    ("amount_minor", pa.array([1, 2, 3], pa.float32()), "float"),
    ("amount_minor", pa.array([Decimal("1.00")] * 3, pa.decimal128(10, 2)), "decimal128(10, 2)"),
    ("amount_minor", pa.array(["1", "2", "3"]), "integer column is needed"),
    ("amount_minor", pa.array([True, True, True]), "integer column is needed"),
    ("debtor_account", pa.array([1, 2, 3]), "leading zeros"),
    ("debtor_account", pa.array([1.0, 2, 3]), "leading zeros"),
    ("creditor_account", pa.array([1, 2, 3], pa.uint64()), "leading zeros"),
    ("transfer_id", pa.array([1, 2, 3]), "leading zeros"),
    ("debtor_bank", pa.array([[1], [2], [3]]), "text is needed"),
    ("booked_at", pa.array([1, 2, 3], pa.timestamp("us")), "without a time zone"),
    ("booked_at", pa.array([1, 2, 3]), "timestamp with a zone is needed"),
    ("booked_at", pa.array([date(2026, 1, 1)] * 3), "timestamp with a zone is needed"),
    ("revision", pa.array([1.0, None, 2.0]), "double"),
]


@pytest.mark.parametrize(("column", "array", "reason"), TYPES)
def test_a_column_of_a_wrong_type(
    tmp_path: Path, column: str, array: pa.Array, reason: str
) -> None:
    table = changed(good(tmp_path), column, array)
    fault = refusal(tmp_path, as_parquet(table), "t.parquet").rows[0]
    assert (fault.row, fault.column) == (None, column)
    assert reason in fault.reason
    with pytest.raises(RefusedRows, match=column):
        parse_transfers(as_stream(table), ARROW)


INT64_MAX = 2**63 - 1
VALUES: list[tuple[str, pa.Array, str]] = [
    ("amount_minor", pa.array([1, 0, 3]), "0 is not a positive"),
    ("amount_minor", pa.array([1, -4, 3], pa.int16()), "-4 is not a positive"),
    ("amount_minor", pa.array([1, None, 3]), "is empty"),
    ("amount_minor", pa.array([1, 2**62, 3]), "2^62 or more"),
    ("amount_minor", pa.array([1, 2**64 - 1, 3], pa.uint64()), "2^62 or more"),
    ("amount_minor", pa.array([1, 10**30, 3], pa.decimal128(38, 0)), "2^62 or more"),
    ("amount_minor", pa.array([1, -(10**30), 3], pa.decimal128(38, 0)), "not a positive"),
    ("booked_at", pa.array([1, None, 3], pa.timestamp("us", "UTC")), "is empty"),
    ("booked_at", pa.array([1, INT64_MAX, 3], pa.timestamp("us", "UTC")), "outside the years"),
    ("booked_at", pa.array([1, 2**50, 3], pa.timestamp("s", "UTC")), "outside the years"),
    ("booked_at", pa.array([1, -INT64_MAX, 3], pa.timestamp("ms", "UTC")), "outside the years"),
    ("booked_at", pa.array([1, INT64_MAX, 3], pa.timestamp("ns", "UTC")), "outside the years"),
    ("transfer_id", pa.array(["a", None, "c"]), "is empty"),
    ("transfer_id", pa.array([b"a", b"\xff", b"c"], pa.binary()), "U+0000"),
    ("debtor_account", pa.array(["1", "2" * 10_000_000, "3"]), "longer than"),
    ("currency", pa.array(["THB", None, "THB"]).dictionary_encode(), "is empty"),
    ("currency", pa.array(["THB", "BAHT", "THB"]).dictionary_encode(), "ISO 4217"),
]


@pytest.mark.parametrize(("column", "array", "reason"), VALUES)
def test_a_wrong_value_of_a_right_type(
    tmp_path: Path, column: str, array: pa.Array, reason: str
) -> None:
    table = changed(good(tmp_path), column, array)
    fault = refusal(tmp_path, as_parquet(table), "t.parquet").rows[0]
    assert (fault.row, fault.line, fault.column) == (2, None, column)
    assert reason in fault.reason
    with pytest.raises(RefusedRows, match="row 2"):
        parse_transfers(as_stream(table), ARROW)


def test_a_text_column_with_invalid_utf8(tmp_path: Path) -> None:
    bad = pa.array([b"a", b"\xe0\xb8", b"c"], pa.binary())
    lying = pa.Array.from_buffers(pa.string(), 3, bad.buffers())
    table = changed(good(tmp_path), "debtor_account", lying)
    with pytest.raises(RefusedRows, match="row 2, column debtor_account"):
        parse_transfers(as_stream(table), ARROW)
    fault = refusal(tmp_path, as_parquet(table), "t.parquet").rows[0]
    assert (fault.row, fault.column) == (2, "debtor_account")


EQUAL: list[tuple[str, Callable[[pa.Array], pa.Array]]] = [
    ("amount_minor", lambda a: a.cast(pa.int16())),
    ("amount_minor", lambda a: a.cast(pa.uint64())),
    ("amount_minor", lambda a: a.cast(pa.decimal128(38, 0))),
    ("amount_minor", lambda a: pa.array([Decimal(15_000)] * len(a), pa.decimal128(12, 0))),
    ("booked_at", lambda a: a.cast(pa.timestamp("ns", "Asia/Bangkok"))),
    ("booked_at", lambda a: a.cast(pa.timestamp("us", "America/New_York"))),
    ("booked_at", lambda a: pa.array(["2026-01-02T10:04:05.000006+07:00"] * len(a))),
    ("debtor_account", lambda a: a.cast(pa.large_string())),
    ("debtor_account", lambda a: a.cast(pa.binary())),
    ("debtor_account", lambda a: a.dictionary_encode()),
    ("debtor_bank", lambda a: a.dictionary_encode()),
    ("currency", lambda a: a.cast(pa.string_view())),
    ("corrects", lambda a: pa.nulls(len(a))),
    ("revision", lambda a: pa.nulls(len(a))),
]


@pytest.mark.parametrize(("column", "convert"), EQUAL)
def test_other_types_of_the_same_content(
    tmp_path: Path, column: str, convert: Callable[[pa.Array], pa.Array]
) -> None:
    table = good(tmp_path)
    other = changed(table, column, convert(table[column].combine_chunks()))
    assert parse_transfers(as_stream(other), ARROW).table.equals(table)
    assert read(tmp_path, as_parquet(other), "t.parquet").table.equals(table)


def test_times_without_zone_on_request(tmp_path: Path) -> None:
    table = good(tmp_path)
    naive = changed(table, "booked_at", table["booked_at"].cast(pa.timestamp("us")))
    path = tmp_path / "naive.parquet"
    path.write_bytes(as_parquet(naive))
    taken = read_transfers([path], assume_utc=True)
    assert taken.numpy("booked_at").tolist() == [1767323045000006] * 3


def test_nanoseconds_are_cut_with_a_note(tmp_path: Path) -> None:
    times = pa.array([1999, 2000, -1], pa.timestamp("ns", "UTC"))
    table = changed(good(tmp_path), "booked_at", times)
    taken = read(tmp_path, as_parquet(table), "t.parquet")
    assert taken.numpy("booked_at").tolist() == [1, 2, -1]
    assert "cut 2 times" in taken.notes[0]


def test_a_damaged_parquet_file_is_refused_or_read_whole(tmp_path: Path) -> None:
    table = good(tmp_path, 500)
    data = as_parquet(table)
    for length in (0, 3, 4, 100, len(data) // 2, len(data) - 1):
        error = refusal(tmp_path, data[:length], "t.parquet")
        assert error.rows[0].row is None
    refusal(tmp_path, b"PAR1" + b"\0" * 100 + b"PAR1", "t.parquet")
    path, whole = tmp_path / "damaged.parquet", 0
    for damaged in with_one_bit_wrong(data, 60):
        path.write_bytes(damaged)
        with contextlib.suppress(RefusedRows):
            taken = read_transfers([path])
            assert taken.table.schema.equals(SCHEMA)
            assert taken.rows == 500
            whole += 1
    assert whole < 60


def test_a_damaged_arrow_stream_is_refused_or_read_whole(tmp_path: Path) -> None:
    table = good(tmp_path, 500)
    data = as_stream(table)
    for length in (0, 3, 100, len(data) // 2):
        with pytest.raises(RefusedRows):
            parse_transfers(data[:length], ARROW)
    whole = 0
    for damaged in with_one_bit_wrong(data, 200):
        with contextlib.suppress(RefusedRows):
            assert parse_transfers(damaged, ARROW).rows in (0, 500)
            whole += 1
    assert whole < 200


def test_offsets_that_lie_are_refused_before_they_are_read(tmp_path: Path) -> None:
    table = good(tmp_path)
    offsets = pa.py_buffer(np.array([0, 4_000_000, 2, 3], np.int32))
    lying = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"abc")])
    with pytest.raises(RefusedRows, match="not a whole Arrow file"):
        parse_transfers(as_stream(changed(table, "transfer_id", lying)), ARROW)


def test_dictionary_indices_that_lie(tmp_path: Path) -> None:
    table = good(tmp_path)
    lying = pa.DictionaryArray.from_arrays(
        pa.array([0, 7, 0], pa.int32()), pa.array(["THB"]), safe=False
    )
    with pytest.raises(RefusedRows, match="not a whole Arrow file"):
        parse_transfers(as_stream(changed(table, "currency", lying)), ARROW)


@pytest.mark.parametrize("codec", ["zstd", "lz4", None])
def test_a_stream_that_grows_past_the_limit_is_refused_before_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str | None
) -> None:
    table = good(tmp_path, 2000)
    coded = changed(table, "currency", table["currency"].combine_chunks().dictionary_encode())
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_stream(sink, coded.schema, options=options) as writer:
        writer.write_table(coded)
    body = sink.getvalue().to_pybytes()
    declared = ipc_guard.decompressed_bytes(pa.py_buffer(body))
    assert 0.9 * coded.nbytes <= declared <= 1.1 * coded.nbytes
    assert parse_transfers(body, ARROW).table.equals(table)
    monkeypatch.setattr(ledger_table, "BODY_TABLE_BYTES_MAX", declared - 1)
    with pytest.raises(RefusedRows, match="when decompressed: too large"):
        parse_transfers(body, ARROW)


def test_an_arrow_file_is_as_good_as_a_stream(tmp_path: Path) -> None:
    table = good(tmp_path)
    for name in ("t.arrow", "t.anything"):
        with pa.ipc.new_file(tmp_path / name, table.schema) as writer:
            writer.write_table(table)
        assert read_transfers([tmp_path / name]).table.equals(table)
    (tmp_path / "s.arrow").write_bytes(as_stream(table))
    assert read_transfers([tmp_path / "s.arrow"]).table.equals(table)


def test_missing_and_repeated_columns(tmp_path: Path) -> None:
    table = good(tmp_path)
    fault = refusal(tmp_path, as_parquet(table.drop_columns(["currency"])), "t.parquet").rows[0]
    assert (fault.column, "missing" in fault.reason) == ("currency", True)
    twice = table.append_column("currency", table["currency"])
    fault = refusal(tmp_path, as_parquet(twice), "t.parquet").rows[0]
    assert (fault.column, "more than once" in fault.reason) == ("currency", True)


def test_a_stream_of_several_batches_counts_its_rows_through(tmp_path: Path) -> None:
    table = good(tmp_path, 10)
    bad = changed(table, "amount_minor", pa.array([1] * 7 + [0] + [1] * 2))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, bad.schema) as writer:
        writer.write_table(bad, max_chunksize=3)
    with pytest.raises(RefusedRows, match="row 8, column amount_minor"):
        parse_transfers(sink.getvalue().to_pybytes(), ARROW)


def test_tables_without_rows(tmp_path: Path) -> None:
    empty = SCHEMA.empty_table()
    assert read(tmp_path, as_parquet(empty), "t.parquet").rows == 0
    assert parse_transfers(as_stream(empty), ARROW).rows == 0
    assert parse_transfers(as_stream(empty.drop_columns(["corrects"])), ARROW).rows == 0
