"""Stage ledger, files: refused rows written beside their file.

A person can mend them there and bring them again. Never changes the file itself.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

from openaoc.ledger.raw import Raw
from openaoc.ledger.refusals import RefusedRow, refuse_file

REASON_COLUMNS: Final = ("refused_row", "refused_line", "refused_column", "refused_reason")
"""Put after the file's own columns in `<name>.refused.csv`; a reader ignores them."""
_TEXT_SUFFIXES: Final = (
    ".gz",
    ".csv",
    ".ndjson",
    ".jsonl",
    ".json",
    ".parquet",
    ".pq",
    ".arrow",
    ".xml",
)


def refused_path(path: Path, *, as_csv: bool) -> Path:
    """Where the refused rows of `path` go: `transfers.csv.gz` → `transfers.refused.csv`."""
    name = path.name
    for suffix in _TEXT_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
    return path.with_name(f"{name}.refused.{'csv' if as_csv else 'ndjson'}")


def write_refused(path: Path, raw: Raw, faults: Sequence[RefusedRow]) -> str:
    """Write the refused rows with their reasons and return a note on it.

    CSV stays CSV, everything else becomes NDJSON. Raises RefusedRows when nothing can be written
    there: a row is never left out without a trace of it.
    """
    by_row: dict[int, list[RefusedRow]] = {}
    for fault in faults:
        by_row.setdefault(fault.row or 0, []).append(fault)
    originals = raw.originals(sorted(by_row))
    target = refused_path(path, as_csv=raw.is_csv)
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            if raw.is_csv:
                _write_csv(stream, raw.header, by_row, originals)
            else:
                _write_ndjson(stream, by_row, originals)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(target)
    except OSError as error:
        raise refuse_file(str(target), f"the refused rows cannot be written: {error}") from error
    return f"{raw.file}: left out {len(by_row)} rows, see {target}"


def _write_csv(
    stream: TextIO,
    header: Sequence[str],
    by_row: Mapping[int, Sequence[RefusedRow]],
    originals: Mapping[int, Mapping[str, object]],
) -> None:
    writer = csv.writer(stream)
    writer.writerow([*header, *REASON_COLUMNS])
    for row, faults in by_row.items():
        fields = originals.get(row, {})
        line = next((fault.line for fault in faults if fault.line is not None), "")
        columns = "; ".join(fault.column or "" for fault in faults)
        reasons = "; ".join(fault.reason for fault in faults)
        values = [str(fields.get(name, "")) for name in header]
        writer.writerow([*values, row, line, columns, reasons])


def _write_ndjson(
    stream: TextIO,
    by_row: Mapping[int, Sequence[RefusedRow]],
    originals: Mapping[int, Mapping[str, object]],
) -> None:
    for row, faults in by_row.items():
        shown = [
            {"row": row, "line": fault.line, "column": fault.column, "reason": fault.reason}
            for fault in faults
        ]
        fields = originals.get(row, {})
        stream.write(json.dumps({**fields, "refused": shown}, ensure_ascii=False) + "\n")
