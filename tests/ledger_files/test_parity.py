"""The fast checks against the plain rules of one row, on random rows good and bad."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.kernel.clock import parse_time, to_us
from openaoc.kernel.errors import BadInput
from openaoc.ledger import plain
from openaoc.ledger.columns import buffers
from openaoc.ledger.refusals import RefusedRows
from openaoc.ledger.schema import COLUMNS
from openaoc.ledger.table import TransferTable, parse_transfers, read_transfers
from openaoc.ledger.times import check_range, parse_times
from tests.ledger_files.rows import Row, as_csv, as_ndjson

ODD = st.sampled_from(
    [
        "",
        " ",
        "x",
        "a b",
        "A-1/2.3",
        "ไทย",
        "ß",
        "É",
        "é" * 40,
        "a\x00",
        "a\n",
        '"',
        ",",
        "\x7f",
        "--",
        "\u200b1",
        "1\xa02",
        "7" * 64,
        "7" * 65,
        "b" * 33,
        "0x1",
        "1.0",
        "1e3",
        "-1",
        "{",
        "[",
        "\\",
    ]
)
ACCOUNT = st.from_regex(r"[0-9a-zA-Z .\-/]{1,20}", fullmatch=True)
BANK = st.sampled_from(["BANKA", "bankb", "Bank-C", "SCB", "ธกส", "D1"])
TIME = st.one_of(
    st.from_regex(
        r"(19|20|21|22)[0-9]{2}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{1,10})?(Z|z|[+-][0-2][0-9]:[0-6][0-9])?",
        fullmatch=True,
    ),
    st.datetimes().map(lambda d: d.isoformat() + "Z"),
)
AMOUNT = st.one_of(
    st.integers(1, 2**62 - 1), st.sampled_from([0, 1, 2**62 - 1, 2**62, 2**63, 2**64, 10**19])
).map(str)


def mostly(good: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Nearly always a good value."""
    return st.integers(0, 24).flatmap(lambda n: ODD if n == 0 else good)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "transfer_id": mostly(st.from_regex(r"[!-~]{1,64}", fullmatch=True)),
            "reported_by": mostly(st.one_of(BANK, st.just(""))),
            "booked_at": mostly(TIME),
            "debtor_bank": mostly(BANK),
            "debtor_account": mostly(ACCOUNT),
            "creditor_bank": mostly(BANK),
            "creditor_account": mostly(ACCOUNT),
            "amount_minor": mostly(AMOUNT),
            "currency": mostly(st.sampled_from(["THB", "USD", "VND"])),
            "channel": mostly(st.sampled_from(["transfer", "", "cheque", "crypto_purchase"])),
            "corrects": mostly(st.sampled_from(["", "", "", "T0"])),
            "revision": mostly(st.sampled_from(["", "1", "2"])),
        }
    ),
    max_size=12,
)


def plain_result(rows: Sequence[Row]) -> tuple[list[plain.Row], set[tuple[int, str]]]:
    """Good rows normalised, and (row, column) of every fault, one row at a time."""
    good, faults = [], set()
    for number, values in enumerate(rows, start=1):
        normal, found = plain.check_row({k: str(v) for k, v in values.items()})
        if found:
            faults |= {(number, column) for column, _ in found}
        else:
            good.append(normal)
    return good, faults


def as_rows(table: TransferTable) -> list[dict[str, object]]:
    """The table with times in microseconds."""
    shown: list[dict[str, object]] = table.table.drop_columns(["booked_at"]).to_pylist()
    for one, us in zip(shown, table.numpy("booked_at").tolist(), strict=True):
        one["booked_at"] = us
    return shown


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_the_fast_checks_and_the_plain_rules_agree(rows: list[Row]) -> None:
    expected, faults = plain_result(rows)
    data = as_csv(rows) if rows else ",".join(COLUMNS).encode() + b"\n"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(data)
        if faults:
            with pytest.raises(RefusedRows) as caught:
                read_transfers([path])
            assert {(fault.row, fault.column) for fault in caught.value.rows} == faults
        table = read_transfers([path], skip_bad=True)
        assert {(fault.row, fault.column) for fault in table.refused} == faults
        assert (Path(folder) / "t.refused.csv").exists() == bool(faults)
    assert as_rows(table) == expected


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_every_format_gives_the_same_table(rows: list[Row]) -> None:
    good, _ = plain_result(rows)
    kept = [one for number, one in enumerate(rows, 1) if number not in {r for r, _ in _}]
    if not kept:
        return
    typed = [
        {
            name: int(str(value)) if name in ("amount_minor", "revision") else value
            for name, value in one.items()
            if value != ""
        }
        for one in kept
    ]
    from_csv = parse_transfers(as_csv(kept), "text/csv")
    from_json = parse_transfers(as_ndjson(typed), "application/x-ndjson")
    assert as_rows(from_csv) == good
    assert from_json.table.equals(from_csv.table)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, from_csv.table.schema) as writer:
        writer.write_table(from_csv.table)
    stream = sink.getvalue().to_pybytes()
    arrow = parse_transfers(stream, "application/vnd.apache.arrow.stream")
    assert arrow.table.equals(from_csv.table)
    parquet = io.BytesIO()
    pq.write_table(from_csv.table, parquet, compression="zstd")
    again = parse_transfers(parquet.getvalue(), "application/vnd.apache.parquet")
    assert again.table.equals(from_csv.table)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(TIME, ODD), max_size=8), st.booleans())
def test_times_of_a_column_agree_with_the_clock(
    texts: list[str],
    assume_utc: bool,  # noqa: FBT001 - hypothesis passes it
) -> None:
    text = buffers(pa.array(texts, pa.string()))
    times = parse_times(offsets=text.offsets, data=text.data, assume_utc=assume_utc)
    for text_, us, bad in zip(texts, times.us.tolist(), times.bad.tolist(), strict=True):
        try:
            expected = check_range(to_us(parse_time(text_, assume_utc=assume_utc)))
        except BadInput:
            assert bad
            continue
        if text_ == text_.strip():
            assert not bad
            assert us == expected


def test_random_moments_survive_every_zone() -> None:
    rng = np.random.default_rng(5)
    for us in rng.integers(-(2**50), 2**52, 300).tolist():
        for zone in ("+07:00", "-11:30", "+00:00", "+23:59"):
            sign = -1 if zone[0] == "-" else 1
            shift = sign * (int(zone[1:3]) * 60 + int(zone[4:])) * 60_000_000
            moment = np.datetime64(us + shift, "us")
            text = buffers(pa.array([f"{moment}{zone}"], pa.string()))
            times = parse_times(offsets=text.offsets, data=text.data, assume_utc=False)
            assert times.us.tolist() == [us]
