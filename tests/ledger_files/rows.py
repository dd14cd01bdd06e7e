"""Rows of a transfers file, one good row by default, and the files made of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from openaoc.ledger.refusals import RefusedRows
from openaoc.ledger.table import TransferTable, read_transfers

Row = dict[str, object]

HEADER = [
    "transfer_id",
    "reported_by",
    "booked_at",
    "debtor_bank",
    "debtor_account",
    "creditor_bank",
    "creditor_account",
    "amount_minor",
    "currency",
    "channel",
    "corrects",
    "revision",
]


def row(**changes: object) -> Row:
    """A good row with some columns changed; None leaves the column out."""
    made: Row = {
        "transfer_id": "T1",
        "booked_at": "2026-01-02T03:04:05.000006Z",
        "debtor_bank": "BANKA",
        "debtor_account": "0011223344",
        "creditor_bank": "BANKB",
        "creditor_account": "0099887766",
        "amount_minor": 15_000,
        "currency": "THB",
    }
    made.update(changes)
    return {name: value for name, value in made.items() if value is not None}


def as_csv(rows: Sequence[Row]) -> bytes:
    """A CSV file with every column that some row has."""
    names = [name for name in HEADER if any(name in one for one in rows)]
    names += sorted({name for one in rows for name in one} - set(names))
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def as_ndjson(rows: Sequence[Row]) -> bytes:
    """One JSON object per line."""
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in rows)


def read(tmp_path: Path, data: bytes, name: str = "transfers.csv") -> TransferTable:
    """The file of these bytes as a table."""
    path = tmp_path / name
    path.write_bytes(data)
    return read_transfers([path])


def refusal(tmp_path: Path, data: bytes, name: str = "transfers.csv") -> RefusedRows:
    """The refusal that these bytes get; fails when they are taken."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(RefusedRows) as caught:
        read_transfers([path])
    assert caught.value.rows[0].file == str(path)
    return caught.value
