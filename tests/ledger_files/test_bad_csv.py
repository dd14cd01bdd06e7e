"""Every kind of broken CSV gets a refusal that names file, row, line, column and reason."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from openaoc.ledger.refusals import RefusedRows
from openaoc.ledger.table import read_transfers
from tests.ledger_files.rows import Row, as_csv, read, refusal, row

GOOD = as_csv([row()])

BAD_VALUES: list[tuple[str, object, str]] = [
    ("transfer_id", "", "is empty"),
    ("transfer_id", "x" * 65, "longer than 64"),
    ("transfer_id", "a\0b", "U+0000"),
    ("transfer_id", "a\tb", "U+0009"),
    ("transfer_id", "a\nb", "U+000A"),
    ("transfer_id", "a\u202eb", "U+202E"),
    ("transfer_id", " a", "begins or ends with a space"),
    ("debtor_bank", "", "empty"),
    ("debtor_bank", "B" * 33, "longer than 32"),
    ("debtor_bank", "BANKA ", "begins or ends with a space"),
    ("debtor_account", "", "empty"),
    ("debtor_account", "- . /", "empty"),
    ("debtor_account", "1" * 65, "longer than 64"),
    ("debtor_account", "12\u00a034", "U+00A0"),
    ("debtor_account", "12\u200b34", "U+200B"),
    ("creditor_account", "", "is empty though creditor_bank is given"),
    ("creditor_bank", "", "is empty though creditor_account is given"),
    ("creditor_account", "--", "empty"),
    ("amount_minor", "", "is empty"),
    ("amount_minor", "0", "not a positive amount"),
    ("amount_minor", "-5", "is negative"),
    ("amount_minor", "+5", "signed"),
    ("amount_minor", "1.0", "decimal"),
    ("amount_minor", "1,000", "decimal"),
    ("amount_minor", "1e3", "exponent"),
    ("amount_minor", "0x10", "not a number"),
    ("amount_minor", "NaN", "not a number"),
    ("amount_minor", " 5", "not a number"),
    ("amount_minor", "๑๒", "not a number"),
    ("amount_minor", str(2**62), "2^62 or more"),
    ("amount_minor", str(2**63), "2^62 or more"),
    ("amount_minor", str(2**64), "out of range"),
    ("amount_minor", "9" * 19, "2^62 or more"),
    ("currency", "", "is empty"),
    ("currency", "thb", "must be written THB"),
    ("currency", "ZZZ", "not an ISO 4217 currency"),
    ("currency", "764", "not an ISO 4217 currency"),
    ("booked_at", "", "is empty"),
    ("booked_at", "2026-01-02T03:04:05", "no time zone"),
    ("booked_at", "2026-01-02", "not an RFC 3339 time"),
    ("booked_at", "02/01/2026 03:04", "not an RFC 3339 time"),
    ("booked_at", "1767323045", "not an RFC 3339 time"),
    ("booked_at", "2026-02-29T03:04:05Z", "not a time"),
    ("booked_at", "2026-01-02T24:04:05Z", "not an RFC 3339 time"),
    ("booked_at", "2026-01-02T03:04:05+07:60", "not an RFC 3339 time"),
    ("booked_at", "๒๐๒๖-01-02T03:04:05Z", "not an RFC 3339 time"),
    ("booked_at", "2026-01-02T03:04:60Z", "not an RFC 3339 time"),
    ("booked_at", "2026-01-02T03:04:05.1234567890Z", "not an RFC 3339 time"),
    ("booked_at", "1899-12-31T23:59:59Z", "outside the years"),
    ("booked_at", "2200-01-01T00:00:00Z", "outside the years"),
    ("booked_at", "0000-01-01T00:00:00Z", "not a time"),
    ("channel", "teleport", "is not a channel"),
    ("channel", "Transfer", "is not a channel"),
    ("reported_by", "R" * 33, "longer than 32"),
    ("corrects", "x" * 65, "longer than 64"),
    ("revision", "1.5", "decimal"),
    ("revision", "-1", "negative"),
    ("revision", str(2**31), "not a revision number"),
]


@pytest.mark.parametrize(("column", "value", "reason"), BAD_VALUES)
def test_a_bad_value_is_refused_in_its_row_and_column(
    tmp_path: Path, column: str, value: object, reason: str
) -> None:
    rows: list[Row] = [row(transfer_id="A"), row(transfer_id="B"), row(transfer_id="C")]
    rows[1][column] = value
    error = refusal(tmp_path, as_csv(rows))
    fault = error.rows[0]
    assert (fault.row, fault.line) == (2, 3)
    assert fault.column == column
    assert reason in fault.reason
    assert error.total == 1


def test_every_fault_of_every_row_is_told(tmp_path: Path) -> None:
    rows = [
        row(transfer_id="A", amount_minor="-1", currency="XXXX"),
        row(transfer_id="B"),
        row(transfer_id="C", booked_at="yesterday"),
    ]
    error = refusal(tmp_path, as_csv(rows))
    told = [(fault.row, fault.column) for fault in error.rows]
    assert told == [(1, "amount_minor"), (1, "currency"), (3, "booked_at")]


def test_a_transfer_without_creditor_must_be_an_exit(tmp_path: Path) -> None:
    error = refusal(tmp_path, as_csv([row(creditor_bank="", creditor_account="")]))
    assert error.rows[0].column == "creditor_account"
    assert "not an exit" in error.rows[0].reason


def test_a_correction_names_its_revision(tmp_path: Path) -> None:
    for revision in ("", "0"):
        error = refusal(tmp_path, as_csv([row(corrects="T0", revision=revision)]))
        assert error.rows[0].column == "revision"


WHOLE_FILES: list[tuple[str, bytes, str | None, str]] = [
    ("empty", b"", None, "the file is empty"),
    ("only blank lines", b"\n\r\n\n", None, "the file is empty"),
    ("no header", b"T1,2026-01-01T00:00:00Z,A,1,B,2,5,THB\n", "transfer_id", "missing"),
    ("semicolons", GOOD.replace(b",", b";"), "transfer_id", "separated by semicolons"),
    ("tabs", GOOD.replace(b",", b"\t"), "transfer_id", "separated by tabs"),
    ("capitals", GOOD.replace(b"currency", b"CURRENCY"), "currency", "is it the column"),
    ("a column missing", GOOD.replace(b"amount_minor", b"amount"), "amount_minor", "missing"),
    ("a column twice", GOOD.replace(b"transfer_id", b"currency"), "currency", "more than once"),
    ("utf-16", GOOD.decode().encode("utf-16"), None, "UTF-16"),
    ("utf-16 without mark", GOOD.decode().encode("utf-16-le"), None, "UTF-16"),
    ("broken header", b'"transfer_id,x\n1,2\n', None, "header is broken"),
    ("header not utf-8", b"transfer_id,\xa1\n1,2\n", None, "not UTF-8"),
    ("300 columns", b",".join(b"c%d" % n for n in range(300)) + b"\n", None, "300 columns"),
]


@pytest.mark.parametrize(
    ("data", "column", "reason"),
    [case[1:] for case in WHOLE_FILES],
    ids=[case[0] for case in WHOLE_FILES],
)
def test_a_file_that_is_no_transfers_file(
    tmp_path: Path, data: bytes, column: str | None, reason: str
) -> None:
    fault = refusal(tmp_path, data).rows[0]
    assert fault.column == column
    assert reason in fault.reason


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("chanel", "channel"), ("reportedby", "reported_by"), ("revison", "revision")],
)
def test_a_misspelt_optional_column_is_not_ignored(tmp_path: Path, wrong: str, right: str) -> None:
    fault = refusal(tmp_path, as_csv([{**row(), wrong: ""}])).rows[0]
    assert fault.column == wrong
    assert f"did you mean {right}" in fault.reason


BROKEN_RECORDS: list[tuple[str, bytes, str | None, str]] = [
    ("too few fields", b"T2,2026-01-02T03:04:05Z,A\n", None, "has 3 fields"),
    ("too many fields", GOOD.splitlines()[1] + b",9,9\n", None, "has 10 fields"),
    ("white space only", b"  \n", None, "has 1 fields"),
    ("open quote", b'"T2,2026-01-02T03:04:05Z,A,1,B,2,5,THB\n', None, "never closed"),
    ("text after a quote", b'"T2"x,2026-01-02T03:04:05Z,A,1,B,2,5,THB\n', None, "closing quote"),
    ("quote inside", b'T"2,2026-01-02T03:04:05Z,A,1,B,2,5,THB\n', None, "not quoted"),
    (
        "tis-620",
        "ท2,2026-01-02T03:04:05Z,A,1,B,2,5,THB\n".encode("tis-620"),
        "transfer_id",
        "UTF-8",
    ),
    (
        "latin-1",
        "T2,2026-01-02T03:04:05Z,CAFÉ,1,B,2,5,THB\n".encode("latin-1"),
        "debtor_bank",
        "UTF-8",
    ),
    (
        "10 MB field",
        b"T2,2026-01-02T03:04:05Z,A," + b"1" * 10_000_000 + b",B,2,5,THB\n",
        None,
        "longer than",
    ),
    (
        "2 kB field",
        b"T2,2026-01-02T03:04:05Z,A," + b"-1" * 1100 + b",B,2,5,THB\n",
        "debtor_account",
        "longer than",
    ),
]


@pytest.mark.parametrize(
    ("record", "column", "reason"),
    [case[1:] for case in BROKEN_RECORDS],
    ids=[case[0] for case in BROKEN_RECORDS],
)
def test_a_broken_record_is_named_by_row_and_line(
    tmp_path: Path, record: bytes, column: str | None, reason: str
) -> None:
    data = GOOD + b"\n\n" + record + GOOD.splitlines()[1] + b"\n"
    error = refusal(tmp_path, data)
    fault = error.rows[0]
    assert (fault.row, fault.line) == (2, 5)
    assert fault.column == column
    assert reason in fault.reason


def test_a_quote_that_swallows_rows_takes_nothing(tmp_path: Path) -> None:
    lines = as_csv([row(transfer_id=f"T{n}") for n in range(20)]).splitlines()
    lines[5] = b'"' + lines[5]
    lines[9] = b'"' + lines[9]
    error = refusal(tmp_path, b"\n".join(lines))
    assert error.rows[0].row == 5
    assert error.rows[0].line == 6


def test_a_cut_gzip_file(tmp_path: Path) -> None:
    whole = gzip.compress(as_csv([row(transfer_id=f"T{n}") for n in range(5000)]))
    fault = refusal(tmp_path, whole[: len(whole) // 2], "transfers.csv.gz").rows[0]
    assert "cut short" in fault.reason
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 0xFF
    fault = refusal(tmp_path, bytes(broken), "transfers.csv.gz").rows[0]
    assert "gzip" in fault.reason


def test_no_such_file_and_a_folder(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.csv", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(RefusedRows, match=reason):
            read_transfers([path])


def test_more_faults_than_are_shown(tmp_path: Path) -> None:
    error = refusal(tmp_path, as_csv([row(transfer_id=f"T{n}", currency="?") for n in range(3000)]))
    assert len(error.rows) == 1000
    assert error.total == 3000
    assert "and 2999 more" in str(error)


def test_faults_of_several_files_are_told_together(tmp_path: Path) -> None:
    paths = []
    for name in ("a.csv", "b.csv"):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(as_csv([row(currency="?")]))
    with pytest.raises(RefusedRows, match="and 1 more") as caught:
        read_transfers(paths)
    assert [Path(fault.file).name for fault in caught.value.rows] == ["a.csv", "b.csv"]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b"\r"),
        GOOD.rstrip(b"\n"),
        GOOD + b"\n\r\n\n",
        b"\n" + GOOD,
        GOOD.replace(b"T1", b'"T1"'),
        b'"' + GOOD.splitlines()[0].replace(b",", b'","') + b'"\n' + GOOD.splitlines()[1],
    ],
)
def test_harmless_differences_change_nothing(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data).table.equals(read(tmp_path, GOOD).table)


def test_unknown_columns_are_ignored_with_a_note(tmp_path: Path) -> None:
    rows = [{**row(), "note": 'he said "hi"\nand left, \u0e17', "": "x"}]
    table = read(tmp_path, as_csv(rows))
    assert table.table.equals(read(tmp_path, GOOD).table)
    assert len(table.notes) == 1
    assert "'note'" in table.notes[0]
