"""Stage ledger, files: transfers from Parquet, CSV, NDJSON, Arrow, pacs.008 or rows in memory.

Answers what a file says, or exactly why it is refused; never takes half of one unasked. Knows
nothing of the running ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openaoc.kernel.errors import BadInput
from openaoc.kernel.limits import (
    REFUSED_ROWS_SHOWN_MAX,
    TRANSFERS_BODY_BYTES_MAX,
    TRANSFERS_PER_BATCH_MAX,
)
from openaoc.ledger import plain
from openaoc.ledger.accounts_file import AccountsTable, parse_accounts, read_accounts
from openaoc.ledger.csv_reader import read_csv
from openaoc.ledger.duplicates import resolve_duplicates
from openaoc.ledger.file_limits import (
    BODY_TABLE_BYTES_MAX,
    FILES_MAX,
    REFUSED_ROWS_WRITTEN_MAX,
    ROWS_MAX,
    TABLE_BYTES_MAX,
)
from openaoc.ledger.naming import AccountNames, BulkColumns, intern
from openaoc.ledger.ndjson_reader import read_ndjson
from openaoc.ledger.open_file import CONTENT_TYPES, FileKind, open_file
from openaoc.ledger.parquet_reader import read_arrow, read_parquet
from openaoc.ledger.raw import Raw
from openaoc.ledger.refusals import RefusedRow, RefusedRows, in_order, refuse_file
from openaoc.ledger.schema import COLUMNS, SCHEMA, Source, TransferTable
from openaoc.ledger.skipped import write_refused
from openaoc.ledger.text import read_limited
from openaoc.ledger.times import from_timestamps
from openaoc.ledger.validate import validate

__all__ = [
    "CONTENT_TYPES",
    "SCHEMA",
    "AccountNames",
    "AccountsTable",
    "BulkColumns",
    "RefusedRow",
    "RefusedRows",
    "Source",
    "TransferRow",
    "TransferTable",
    "intern",
    "parse_accounts",
    "parse_transfers",
    "read_accounts",
    "read_transfers",
    "resolve_duplicates",
    "transfers_from_rows",
]


class TransferRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One transfer as an institution writes it in JSON; the columns of a transfers file."""

    transfer_id: str
    booked_at: str
    debtor_bank: str
    debtor_account: str
    amount_minor: int
    currency: str
    creditor_bank: str | None = None
    creditor_account: str | None = None
    channel: str | None = None
    reported_by: str | None = None
    corrects: str | None = None
    revision: int | None = None


def read_transfers(
    paths: Sequence[Path], *, assume_utc: bool = False, skip_bad: bool = False
) -> TransferTable:
    """All transfers of the files, in the order of the files and of their rows.

    The format is told by suffix, else by content: .parquet, .csv, .ndjson or .jsonl, .arrow, .xml
    (pacs.008); .gz of the text ones. Raises RefusedRows naming file, row, column and reason. With
    `skip_bad` the refused rows are written to `<name>.refused.csv` or `.refused.ndjson` beside the
    file and the rest is taken; a file that cannot be read as a whole is still refused.
    """
    if not 0 < len(paths) <= FILES_MAX:
        raise BadInput(f"{len(paths)} files; 1 to {FILES_MAX} are read together")
    parts: list[TransferTable] = []
    refused: list[RefusedRow] = []
    total = 0
    for path in paths:
        raw = _open(path, assume_utc=assume_utc)
        part, faults = _collect(raw, assume_utc=assume_utc, explain_all=skip_bad)
        if faults.rows and skip_bad:
            note = write_refused(path, raw, faults.rows)
            part = replace(part, notes=(*part.notes, note), refused=tuple(faults.rows))
        elif faults.rows:
            refused += faults.rows
            total += faults.total
        parts.append(part)
    if refused:
        raise RefusedRows(refused, total=total)
    return join(parts)


def parse_transfers(
    data: bytes | BinaryIO,
    content_type: str,
    *,
    name: str = "body",
    assume_utc: bool = False,
    bytes_max: int = TRANSFERS_BODY_BYTES_MAX,
    rows_max: int = TRANSFERS_PER_BATCH_MAX,
) -> TransferTable:
    """The transfers of one request body; `name` stands for the file in refusals.

    Content types: `application/x-ndjson`, `application/vnd.apache.arrow.stream`,
    `application/vnd.apache.parquet`, `text/csv`, `application/xml` (pacs.008). Raises RefusedRows,
    also for another type and past the limits.
    """
    kind = CONTENT_TYPES.get(content_type.partition(";")[0].strip().lower())
    if kind is None:
        known = ", ".join(CONTENT_TYPES)
        raise refuse_file(name, f"{content_type[:80]!r} is not taken; known are {known}")
    if not isinstance(data, bytes):
        data = read_limited(data, file=name, bytes_max=bytes_max)
    if len(data) > bytes_max:
        raise refuse_file(name, f"is larger than {bytes_max} bytes")
    raw = _raw(data, kind, file=name, assume_utc=assume_utc, bytes_max=BODY_TABLE_BYTES_MAX)
    table, faults = _collect(raw, assume_utc=assume_utc, rows_max=rows_max)
    if faults.rows:
        raise RefusedRows(faults.rows, total=faults.total)
    return table


def transfers_from_rows(rows: Sequence[TransferRow], *, name: str = "rows") -> TransferTable:
    """A few transfers in memory, such as the onward transfers of an institution's answer.

    Raises RefusedRows; `row` is the position from 1.
    """
    if not rows:
        return TransferTable(table=SCHEMA.empty_table())
    columns = {
        column: _array(column, [getattr(row, column) for row in rows], file=name)
        for column in COLUMNS
    }
    raw = Raw(file=name, batches=iter([columns]))
    table, faults = _collect(raw, assume_utc=False)
    if faults.rows:
        raise RefusedRows(faults.rows, total=faults.total)
    return table


def _array(column: str, values: Sequence[str | int | None], *, file: str) -> pa.Array:
    try:
        return pa.array(values, pa.int64() if column in ("amount_minor", "revision") else None)
    except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
        raise refuse_file(
            file, "holds a number past 64 bits or broken text", column=column
        ) from None


def join(parts: Sequence[TransferTable]) -> TransferTable:
    """The tables one after the other. Raises RefusedRows past the limit of rows."""
    rows = sum(part.rows for part in parts)
    if rows > ROWS_MAX:
        raise refuse_file(
            parts[-1].sources[-1].file, f"with it there are more than {ROWS_MAX} rows"
        )
    return TransferTable(
        table=pa.concat_tables([part.table for part in parts]),
        sources=tuple(source for part in parts for source in part.sources),
        notes=tuple(note for part in parts for note in part.notes),
        refused=tuple(row for part in parts for row in part.refused),
    )


def _open(path: Path, *, assume_utc: bool) -> Raw:
    opened = open_file(path)
    return _raw(opened.data, opened.kind, file=str(path), assume_utc=assume_utc)


def _raw(
    data: bytes | pa.NativeFile,
    kind: FileKind,
    *,
    file: str,
    assume_utc: bool,
    bytes_max: int = TABLE_BYTES_MAX,
) -> Raw:
    if isinstance(data, bytes):
        if not data:
            raise refuse_file(file, "the file is empty")
        if kind is FileKind.CSV:
            return read_csv(data, file=file)
        if kind is FileKind.NDJSON:
            return read_ndjson(data, file=file)
        if kind is FileKind.PACS008:
            from openaoc.ledger.pacs008_reader import read_pacs008

            return read_pacs008(data, file=file)
        data = pa.BufferReader(data)
    if kind is FileKind.PARQUET:
        return read_parquet(data, file=file, assume_utc=assume_utc, bytes_max=bytes_max)
    stream = kind is FileKind.ARROW_STREAM
    return read_arrow(data, file=file, assume_utc=assume_utc, stream=stream, bytes_max=bytes_max)


class Faults(NamedTuple):
    """Explained refusals, in row order, and how many rows are refused altogether."""

    rows: list[RefusedRow]
    total: int


def _collect(
    raw: Raw, *, assume_utc: bool, explain_all: bool = False, rows_max: int = ROWS_MAX
) -> tuple[TransferTable, Faults]:
    """The good rows of a source, and why the others are refused."""
    tables: list[pa.Table] = []
    kept: list[NDArray[np.int64]] = []
    explained = list(raw.refused)
    most = REFUSED_ROWS_WRITTEN_MAX if explain_all else REFUSED_ROWS_SHOWN_MAX
    total, start, cut = len({row.row for row in raw.refused}), 0, 0
    for columns in raw.batches:
        checked = validate(columns, assume_utc=assume_utc)
        count, cut = checked.table.num_rows, cut + checked.cut
        if start + count > rows_max:
            raise refuse_file(raw.file, f"has more than {rows_max} rows")
        numbers = _numbers(raw, start, count)
        start += count
        if not checked.bad.any():
            tables.append(checked.table)
            kept.append(numbers)
            continue
        bad = np.flatnonzero(checked.bad)
        total += len(bad)
        chosen = bad[: max(most - len(explained), 0)]
        explained += _explain(raw, columns, chosen, numbers=numbers, assume_utc=assume_utc)
        good = np.flatnonzero(~checked.bad)
        tables.append(checked.table.take(pa.array(good)))
        kept.append(numbers[good])
    if explain_all and total > REFUSED_ROWS_WRITTEN_MAX:
        raise refuse_file(raw.file, f"more than {REFUSED_ROWS_WRITTEN_MAX} rows are refused")
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    notes = list(raw.notes)
    if cut:
        notes.append(f"{raw.file}: cut {cut} times of booked_at to the microsecond")
    whole = not total and raw.numbers is None
    rows = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    source = Source(file=raw.file, rows=table.num_rows, numbers=None if whole else rows)
    made = TransferTable(table=table, sources=(source,), notes=tuple(notes))
    return made, Faults(in_order(explained), max(total, len(explained)))


def _numbers(raw: Raw, start: int, count: int) -> NDArray[np.int64]:
    """The data rows in the file of `count` rows from the `start`-th that the reader gave."""
    if raw.numbers is None:
        return np.arange(start + 1, start + count + 1)
    return raw.numbers[start : start + count]


def _explain(
    raw: Raw,
    columns: Mapping[str, pa.Array],
    chosen: NDArray[np.int64],
    *,
    numbers: NDArray[np.int64],
    assume_utc: bool,
) -> list[RefusedRow]:
    """Every fault of the chosen rows, by the plain rules."""
    picked = {name: _python(array.take(pa.array(chosen))) for name, array in columns.items()}
    lines = raw.lines([int(numbers[row]) for row in chosen])
    explained: list[RefusedRow] = []
    for position, row in enumerate(chosen):
        values = {name: column[position] for name, column in picked.items()}
        _, faults = plain.check_row(values, assume_utc=assume_utc)
        assert faults, f"the fast and the plain rules disagree about {raw.file}"
        number = int(numbers[row])
        explained += [
            RefusedRow(
                file=raw.file, row=number, line=lines.get(number), column=column, reason=reason
            )
            for column, reason in faults
        ]
    return explained


def _python(array: pa.Array) -> list[str | int | None]:
    if not pa.types.is_timestamp(array.type):
        values: list[str | int | None] = array.to_pylist()
        return values
    us = from_timestamps(array).us.tolist()
    return [us[i] if array[i].is_valid else None for i in range(len(array))]
