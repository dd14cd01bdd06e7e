"""Every kind of broken NDJSON gets a refusal that names file, row, line, column and reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openaoc.ledger.accounts_file import parse_accounts
from openaoc.ledger.ndjson_reader import is_flat
from openaoc.ledger.refusals import RefusedRows
from openaoc.ledger.table import parse_transfers
from tests.ledger_files.rows import Row, as_csv, as_ndjson, read, refusal, row

GOOD = as_ndjson([row()])
TEXT = GOOD.decode().strip()

BROKEN_LINES: list[tuple[str, str, str | None, str]] = [
    ("a list", "[1, 2]", None, "not a JSON object but a list"),
    ("a number", "17", None, "not a JSON object but a number"),
    ("a text", '"T1"', None, "not a JSON object but a text"),
    ("null", "null", None, "not a JSON object but null"),
    ("true", "true", None, "not a JSON object but true or false"),
    ("no JSON", "transfer T1", None, "is not JSON"),
    ("cut short", TEXT[:-1], None, "is not JSON"),
    ("two objects", TEXT + TEXT, None, "is not JSON"),
    ("trailing comma", TEXT[:-1] + ",}", None, "is not JSON"),
    ("comment", "// " + TEXT, None, "is not JSON"),
    ("raw NUL", TEXT.replace("T1", "T\0"), None, "is not JSON"),
    ("raw tab", TEXT.replace("T1", "T\t1"), None, "is not JSON"),
    ("escaped NUL", TEXT.replace("T1", "T\\u0000"), "transfer_id", "U+0000"),
    ("half a surrogate", TEXT.replace("T1", "T\\ud800"), "transfer_id", "surrogate"),
    ("repeated key", TEXT[:-1] + ', "currency": "THB"}', None, "'currency' is there twice"),
    ("same key escaped", TEXT[:-1] + ', "\\u0063urrency": "THB"}', None, "'currency' is there"),
    ("deep nesting", '{"x":' * 3000 + "1" + "}" * 3000, None, "nested too deep"),
    ("deep lists", "[" * 30_000 + "]" * 30_000, None, "nested too deep"),
    ("very long line", '{"x": "' + "y" * 100_000 + '"}', None, "longer than"),
    ("10 MB field", TEXT.replace("T1", "T" * 10_000_000), None, "longer than"),
    ("2 kB field", TEXT.replace("T1", "T" * 2_000), "transfer_id", "longer than"),
    ("float", TEXT.replace("15000", "15000.0"), "amount_minor", "not a 64-bit integer"),
    ("exponent", TEXT.replace("15000", "15e3"), "amount_minor", "not a 64-bit integer"),
    ("NaN", TEXT.replace("15000", "NaN"), "amount_minor", "not a 64-bit integer"),
    ("2^63", TEXT.replace("15000", str(2**63)), "amount_minor", "64-bit"),
    ("2^62", TEXT.replace("15000", str(2**62)), "amount_minor", "2^62 or more"),
    ("5000 digits", TEXT.replace("15000", "9" * 5000), "amount_minor", "64-bit"),
    ("text amount", TEXT.replace("15000", '"15000"'), "amount_minor", "is a text, not an integer"),
    ("true amount", TEXT.replace("15000", "true"), "amount_minor", "is true or false"),
    ("list amount", TEXT.replace("15000", "[15000]"), "amount_minor", "is a list"),
    ("null amount", TEXT.replace("15000", "null"), "amount_minor", "is empty"),
    ("zero", TEXT.replace("15000", "0"), "amount_minor", "0 is not a positive"),
    ("minus zero", TEXT.replace("15000", "-0"), "amount_minor", "0 is not a positive"),
    ("negative", TEXT.replace("15000", "-15000"), "amount_minor", "-15000 is not a positive"),
    ("number as account", TEXT.replace('"0011223344"', "11223344"), "debtor_account", "a number"),
    ("object as bank", TEXT.replace('"BANKA"', '{"code": "A"}'), "debtor_bank", "an object"),
    ("time without zone", TEXT.replace("06Z", "06"), "booked_at", "no time zone"),
    (
        "number as time",
        TEXT.replace('"2026-01-02T03:04:05.000006Z"', "17"),
        "booked_at",
        "a number",
    ),
    ("key missing", TEXT.replace('"currency"', '"money"'), "currency", "is empty"),
]


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [case[1:] for case in BROKEN_LINES],
    ids=[case[0] for case in BROKEN_LINES],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, column: str | None, reason: str) -> None:
    data = GOOD + b"\n" + line.encode() + b"\n" + GOOD
    error = refusal(tmp_path, data, "transfers.ndjson")
    fault = error.rows[0]
    assert (fault.row, fault.line) == (2, 3)
    assert fault.column == column
    assert reason in fault.reason


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    data = GOOD + GOOD.replace(b"T1", "ท1".encode("tis-620"))
    fault = refusal(tmp_path, data, "transfers.ndjson").rows[0]
    assert (fault.row, fault.line) == (2, 2)
    assert "not UTF-8" in fault.reason
    fault = refusal(tmp_path, GOOD.decode().encode("utf-16"), "transfers.ndjson").rows[0]
    assert "UTF-16" in fault.reason


@pytest.mark.parametrize("data", [b"", b"\n\n", b"   \n"])
def test_an_empty_file(tmp_path: Path, data: bytes) -> None:
    assert "empty" in refusal(tmp_path, data, "transfers.ndjson").rows[0].reason


def test_a_key_no_line_has_is_a_missing_column(tmp_path: Path) -> None:
    rows: list[Row] = [row(transfer_id="A", currency=None), row(transfer_id="B", currency=None)]
    fault = refusal(tmp_path, as_ndjson(rows), "transfers.ndjson").rows[0]
    assert fault.column == "currency"
    assert "missing" in fault.reason


@pytest.mark.parametrize("data", [b"{}", b"{}\n{}\n", b"\n {} \n"])
def test_objects_without_a_key_lack_every_column(tmp_path: Path, data: bytes) -> None:
    fault = refusal(tmp_path, data, "transfers.ndjson").rows[0]
    assert fault.column == "transfer_id"
    assert "missing" in fault.reason
    with pytest.raises(RefusedRows, match="bank"):
        parse_accounts(data, "application/x-ndjson")


def test_a_misspelt_optional_key(tmp_path: Path) -> None:
    fault = refusal(tmp_path, as_ndjson([{**row(), "chanel": "cheque"}]), "t.ndjson").rows[0]
    assert fault.column == "chanel"


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.rstrip(b"\n"),
        b"\n\n" + GOOD + b"\r\n\n",
        b"  " + GOOD,
        GOOD.replace(b'"T1"', b'"\\u00541"'),
        GOOD.replace(b"}", b', "note": {"deep": [1, {"a": 2.5}]}}'),
        GOOD.replace(b"}", b', "note": 1.5, "corrects": null, "revision": null}'),
    ],
)
def test_harmless_differences_change_nothing(tmp_path: Path, data: bytes) -> None:
    table = read(tmp_path, data, "transfers.ndjson")
    assert table.table.equals(read(tmp_path, as_csv([row()])).table)


def test_exits_may_leave_the_creditor_out(tmp_path: Path) -> None:
    line = row(creditor_bank=None, creditor_account=None, channel="cash_withdrawal")
    table = read(tmp_path, as_ndjson([line, {**line, "transfer_id": "T2"}]), "t.jsonl").table
    assert table["creditor_account"].null_count == 2
    assert table["creditor_bank"].null_count == 2


def test_lines_that_need_the_slow_way_are_never_given_to_the_fast_one() -> None:
    assert is_flat(GOOD)
    for bad in (b"null", b'{"a":{}}', b'{"a":[]}', b"}{", b'{"a":1}{"b":2}', b'{"a":1,\n"b":2}'):
        assert not is_flat(bad + b"\n" + GOOD)


def test_the_body_of_a_request_is_named_as_such() -> None:
    with pytest.raises(RefusedRows, match=r"body, row 1 \(line 1\), column amount_minor"):
        parse_transfers(as_ndjson([row(amount_minor=0)]), "application/x-ndjson")
    with pytest.raises(RefusedRows, match="'image/png' is not taken"):
        parse_transfers(b"x", "image/png")
    with pytest.raises(RefusedRows, match="larger than 10 bytes"):
        parse_transfers(GOOD, "application/x-ndjson", bytes_max=10)
    with pytest.raises(RefusedRows, match="more than 1 rows"):
        parse_transfers(GOOD + GOOD, "application/x-ndjson", rows_max=1)
    with pytest.raises(RefusedRows, match="empty"):
        parse_transfers(b"", "application/vnd.apache.arrow.stream")


def test_a_file_of_one_json_list_says_what_is_needed(tmp_path: Path) -> None:
    data = json.dumps([row()]).encode()
    assert "but a list" in refusal(tmp_path, data, "transfers.json").rows[0].reason
