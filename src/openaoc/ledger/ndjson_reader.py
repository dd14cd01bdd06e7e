"""Stage ledger, files: NDJSON (one flat JSON object per line) to raw columns.

Plain files go through Arrow, after a look at the raw bytes that no line is anything but one flat
object; any other file is read line by line. No number is ever read from a float.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.json as pajson

from openaoc.kernel.errors import BadInput
from openaoc.ledger.file_limits import BATCH_ROWS, COLUMNS_MAX, LINE_BYTES_MAX
from openaoc.ledger.raw import Raw, check_names
from openaoc.ledger.refusals import RefusedRow
from openaoc.ledger.schema import COLUMNS, OPTIONAL, REQUIRED
from openaoc.ledger.text import check_encoding, decode, is_utf8

_BLOCK_BYTES: Final = 4 << 20
_NUMBERS: Final = frozenset({"amount_minor", "revision", "opening_minor"})
_INT64_MAX: Final = 2**63 - 1
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_BLANK: Final = b" \t\r"
_CREDITOR: Final = ("creditor_bank", "creditor_account")
_NEEDED: Final = tuple(name for name in REQUIRED if name not in _CREDITOR)
"""Keys that some line must give; a line without a creditor may leave its keys out."""

JsonRow = dict[str, str | int | None]


def lines_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(line number, stripped line) of every line that is not blank."""
    position, number = 0, 0
    while position < len(data):
        end = data.find(b"\n", position)
        end = len(data) if end < 0 else end
        number += 1
        line = data[position:end].strip(_BLANK)
        if line:
            yield number, line
        position = end + 1


def is_flat(data: bytes) -> bool:
    """Whether every line that is not empty holds one pair of braces, around it, and no bracket.

    Then no parser can be led into deep nesting.
    """
    if b"[" in data or (b"\r" in data and b"\r" in data.replace(b"\r\n", b"\n")):
        return False
    text = np.frombuffer(data, np.uint8)
    breaks = np.flatnonzero(text == ord("\n"))
    starts = np.concatenate(([0], breaks + 1))
    ends = np.concatenate((breaks, [len(text)]))
    windows = (ends > starts) & (text[np.maximum(ends - 1, 0)] == ord("\r"))
    ends = ends - windows
    if np.max(ends - starts) > LINE_BYTES_MAX:
        return False
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    count = len(starts)
    framed = (text[starts] == ord("{")).all() and (text[ends - 1] == ord("}")).all()
    braces = int(np.count_nonzero(text == ord("{"))), int(np.count_nonzero(text == ord("}")))
    return bool(framed) and braces == (count, count)


def read_ndjson(data: bytes, *, file: str) -> Raw:
    """The file as raw columns. Raises RefusedRows when it is no such file at all."""
    data = check_encoding(data, file=file)
    if is_flat(data) and is_utf8(data):
        table = _read_fast(data)
        if table is not None and set(_NEEDED) <= set(_given(table)):
            names = _given(table)
            kept = [name for name in COLUMNS if name in names or name in _CREDITOR]
            return Raw(
                file=file,
                batches=_batches(table.select(kept)),
                notes=_check_keys(
                    names, file=file, needed=_NEEDED, optional=(*_CREDITOR, *OPTIONAL)
                ),
                lines=partial(_lines, data),
                originals=partial(_originals, data),
            )
    return read_lines(data, file=file)


def _given(table: pa.Table) -> list[str]:
    """Columns that at least one line gave a value: Arrow adds the known ones nobody gave."""
    return [name for name in table.column_names if table[name].null_count < table.num_rows]


def _read_fast(data: bytes) -> pa.Table | None:
    """Through Arrow, which refuses floats, wrong kinds and repeated keys; None when it did."""
    schema = pa.schema(
        [(name, pa.int64() if name in _NUMBERS else pa.string()) for name in COLUMNS]
    )
    try:
        return pajson.read_json(
            pa.BufferReader(data),
            read_options=pajson.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pajson.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="infer"
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None


def _batches(table: pa.Table) -> Iterator[Mapping[str, pa.Array]]:
    for start in range(0, table.num_rows, BATCH_ROWS):
        part = table.slice(start, BATCH_ROWS).combine_chunks()
        yield {name: part[name].chunk(0) for name in part.column_names}


class _OddNumber(str):
    """A number that is no integer, as it was written."""

    __slots__ = ()


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadInput(f"the key {key[:64]!r} is there twice")
            seen.add(key)
    return made


def _whole(text: str) -> object:
    return int(text) if len(text) <= len(str(_INT64_MAX)) + 1 else _OddNumber(text)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_OddNumber, parse_int=_whole, parse_constant=_OddNumber
)


def parse_line(line: bytes) -> dict[str, object]:
    """One line as an object whose numbers are integers or _OddNumber. Raises BadInput."""
    if len(line) > LINE_BYTES_MAX:
        raise BadInput(f"the line is longer than {LINE_BYTES_MAX} bytes")
    try:
        value = _DECODER.decode(decode(line))
    except RecursionError:
        raise BadInput("is nested too deep; a line is one flat object") from None
    except json.JSONDecodeError as error:
        raise BadInput(f"is not JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(value, dict):
        raise BadInput(f"is not a JSON object but {_kind(value)}")
    if len(value) > COLUMNS_MAX:
        raise BadInput(f"has {len(value)} keys; at most {COLUMNS_MAX} are read")
    return value


def _kind(value: object) -> str:
    if isinstance(value, _OddNumber):
        return f"the number {value[:32]}"
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "null" if value is None else "a number")


def convert(
    fields: Mapping[str, object], columns: Sequence[str] = COLUMNS
) -> tuple[JsonRow, list[tuple[str, str]]]:
    """The known columns of one object in their own kind, and faults as (column, reason)."""
    row: JsonRow = {}
    faults: list[tuple[str, str]] = []
    for name in columns:
        value = fields.get(name)
        row[name] = None
        if value is None:
            continue
        if name in _NUMBERS:
            if isinstance(value, _OddNumber) or (
                isinstance(value, int) and not -_INT64_MAX <= value <= _INT64_MAX
            ):
                faults.append((name, f"{str(value)[:32]} is not a 64-bit integer"))
            elif isinstance(value, int) and not isinstance(value, bool):
                row[name] = value
            else:
                faults.append((name, f"is {_kind(value)}, not an integer"))
        elif isinstance(value, str) and not isinstance(value, _OddNumber):
            if value.isascii() or not _SURROGATE.search(value):
                row[name] = value
            else:
                faults.append((name, "holds half of a surrogate pair"))
        else:
            faults.append((name, f"is {_kind(value)}, not a text in quotes"))
    return row, faults


def read_lines(
    data: bytes,
    *,
    file: str,
    needed: Sequence[str] = _NEEDED,
    optional: Sequence[str] = (*_CREDITOR, *OPTIONAL),
) -> Raw:
    """Line by line: every line that is no row is refused, the others are kept.

    A key that is `needed` and that no line gives is a missing column.
    """
    known = (*needed, *optional)
    refused: list[RefusedRow] = []
    numbers: list[int] = []
    kept: dict[str, list[str | int | None]] = {name: [] for name in known}
    names: dict[str, None] = {}
    for number, (line, text) in enumerate(lines_of(data), start=1):
        try:
            fields = parse_line(text)
        except BadInput as error:
            refused.append(RefusedRow(file=file, row=number, line=line, reason=error.detail))
            continue
        names.update(dict.fromkeys(fields))
        row, faults = convert(fields, known)
        refused += [
            RefusedRow(file=file, row=number, line=line, column=column, reason=reason)
            for column, reason in faults
        ]
        if not faults:
            numbers.append(number)
            for name, value in row.items():
                kept[name].append(value)
    notes: list[str] = []
    if names or numbers:
        notes = _check_keys(list(names), file=file, needed=needed, optional=optional)
    columns = {
        name: pa.array(values, pa.int64() if name in _NUMBERS else pa.string())
        for name, values in kept.items()
        if name in names or name in _CREDITOR
    }
    return Raw(
        file=file,
        batches=iter([columns] if numbers else []),
        numbers=np.array(numbers, np.int64),
        refused=refused,
        notes=notes,
        lines=partial(_lines, data),
        originals=partial(_originals, data),
    )


def _check_keys(
    names: Sequence[str], *, file: str, needed: Sequence[str], optional: Sequence[str]
) -> list[str]:
    """Notes on ignored keys. Raises RefusedRows for a missing or misspelt one."""
    if len(names) > COLUMNS_MAX:
        unknown = set(names) - {*needed, *optional}
        return [f"{file}: ignored {len(unknown)} unknown keys"]
    return check_names(names, file=file, required=needed, optional=optional)


def _lines(data: bytes, rows: Sequence[int]) -> dict[int, int]:
    """The line of each data row, for a few rows."""
    wanted, last = set(rows), max(rows, default=0)
    found: dict[int, int] = {}
    for number, (line, _) in enumerate(lines_of(data), start=1):
        if number in wanted:
            found[number] = line
        if number >= last:
            break
    return found


def _originals(data: bytes, rows: Sequence[int]) -> dict[int, Mapping[str, object]]:
    """Some data rows as they stood: the object's own keys, or the text under `refused_text`."""
    wanted, last = set(rows), max(rows, default=0)
    found: dict[int, Mapping[str, object]] = {}
    for number, (_, text) in enumerate(lines_of(data), start=1):
        if number in wanted:
            try:
                found[number] = json.loads(json.dumps(parse_line(text)))
            except (BadInput, RecursionError):
                shown = text[:LINE_BYTES_MAX].decode("utf-8", "replace")
                found[number] = {"refused_text": shown}
        if number >= last:
            break
    return found
