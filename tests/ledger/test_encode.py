"""A batch as it is logged says what the table says, whatever its words are like."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.ledger.encode import from_logged, to_logged
from openaoc.ledger.kernels_memory import load_word
from openaoc.ledger.kernels_text import CODED_MAX, code_column, equals_stored, store_text
from openaoc.ledger.schema import SCHEMA

COUNT = 3 * CODED_MAX


def table(banks: list[str], creditors: list[str | None]) -> pa.Table:
    count = len(banks)
    columns = {
        "transfer_id": [f"T{number}" for number in range(count)],
        "reported_by": banks,
        "booked_at": pa.array(range(count), pa.int64()).view(pa.timestamp("us", "UTC")),
        "debtor_bank": banks,
        "debtor_account": [str(number) for number in range(count)],
        "creditor_bank": pa.array(creditors, pa.string()),
        "creditor_account": pa.array(creditors, pa.string()),
        "amount_minor": pa.array([1] * count, pa.int64()),
        "currency": ["THB"] * count,
        "channel": ["cash_withdrawal"] * count,
        "corrects": pa.nulls(count, pa.string()),
        "revision": pa.nulls(count, pa.int64()),
    }
    return pa.table(columns, schema=SCHEMA)


@pytest.mark.parametrize(
    "banks",
    [
        pytest.param(["A", "BB", "SEVENTEEN-LETTERS", "ÅÄÖ"] * 3, id="long words"),
        pytest.param([f"B{number}" for number in range(COUNT)], id="many words"),
        pytest.param(["TRUEMONEY", "TRUEMONE", "SHOPEE"] * 5, id="few words"),
        pytest.param([], id="no rows"),
    ],
)
def test_words_are_kept(banks: list[str]) -> None:
    creditors = [bank if place % 2 else None for place, bank in enumerate(banks)]
    read = from_logged(to_logged(table(banks, creditors)), seed=1)
    assert [read.debtor_bank.values[code] for code in read.debtor_bank.codes] == banks
    named = [
        read.creditor_bank.values[code] if code >= 0 else None for code in read.creditor_bank.codes
    ]
    assert named == creditors
    assert read.no_creditor.tolist() == [name is None for name in creditors]
    assert read.corrections == ()


def test_nobody_is_named() -> None:
    read = from_logged(to_logged(table(["A", "B"], [None, None])), seed=1)
    assert read.no_creditor.all()
    assert (read.creditor_bank.codes < 0).all()


def test_a_slice_of_a_table_is_its_rows() -> None:
    whole = table([f"B{number % 5}" for number in range(40)], ["C"] * 40)
    read = from_logged(to_logged(whole.slice(7, 9)), seed=1)
    assert [read.reporter.values[code] for code in read.reporter.codes] == [
        f"B{number % 5}" for number in range(7, 16)
    ]
    assert read.transfer_id.value(0) == b"T7"


@settings(deadline=None)
@given(st.binary(max_size=24), st.integers(0, 23), st.integers(0, 8))
def test_a_word_ends_with_its_array(data: bytes, at: int, length: int) -> None:
    if at + length <= len(data):
        array = np.frombuffer(data, np.uint8)
        assert int(load_word(array, at, length)) == int.from_bytes(data[at : at + length], "little")


@settings(deadline=None)
@given(st.binary(max_size=20), st.binary(max_size=20))
def test_texts_are_compared_whole(one: bytes, other: bytes) -> None:
    stored = np.zeros(len(one) + 2, np.uint8)
    store_text(stored, 0, np.frombuffer(one, np.uint8), 0, len(one))
    data = np.frombuffer(other, np.uint8)
    assert equals_stored(stored, 0, data, 0, len(other)) == (one == other)


@settings(deadline=None)
@given(st.lists(st.text("ABC", max_size=17), max_size=80))
def test_codes_are_by_first_row(values: list[str]) -> None:
    array = pa.array(values, pa.string())
    _, offsets, data = array.buffers()
    places = np.frombuffer(offsets, np.int32)[: len(values) + 1]
    text = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    codes, first = np.zeros(len(values), np.int8), np.zeros(CODED_MAX, np.int64)
    count = code_column(text, places, codes, first)
    known = list(dict.fromkeys(value for value in values if value))
    if any(len(value) > 16 for value in known) or len(known) > CODED_MAX:
        assert count == -1
        return
    assert count == len(known)
    assert codes.tolist() == [known.index(value) if value else -1 for value in values]
    assert [values[row] for row in first[:count].tolist()] == known
