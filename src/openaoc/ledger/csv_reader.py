"""Stage ledger, files: CSV with a header (RFC 4180, UTF-8) to raw columns, all of them text.

Well-formed files go through Arrow; a file with a broken record is read again record by record, to
say which. Decides nothing about what a value means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from openaoc.kernel.errors import BadInput
from openaoc.kernel.limits import FIELD_BYTES_MAX
from openaoc.ledger.file_limits import BATCH_ROWS, LINE_BYTES_MAX
from openaoc.ledger.raw import Raw, check_names
from openaoc.ledger.refusals import RefusedRow, refuse_file
from openaoc.ledger.schema import OPTIONAL, REQUIRED
from openaoc.ledger.text import check_encoding, decode, is_utf8

_BLOCK_BYTES: Final = 4 << 20
_FIELD: Final = re.compile(
    rb'(?:"([^"]*+(?:""[^"]*+)*+)"|([^",\r\n]*+))(,|\r\n|\n|\r|\Z)', re.DOTALL
)
_LINE_END: Final = re.compile(rb"\r\n|\n|\r|\Z")
_FEW_VALUES: Final = frozenset(
    {"reported_by", "debtor_bank", "creditor_bank", "currency", "channel", "bank"}
)


class Record(NamedTuple):
    """One record: the line it begins on, its fields, and what is wrong with it as a record."""

    line: int
    fields: list[bytes]
    fault: str


def records(data: bytes) -> Iterator[Record]:
    """Every record of the file, the header first; blank lines are passed over."""
    position, line = 0, 1
    end = len(data)
    while position < end:
        fields: list[bytes] = []
        start, fault = position, ""
        while True:
            match = _FIELD.match(data, position)
            if match is None:
                fault = _quote_fault(data, position)
                after = _LINE_END.search(data, position)
                assert after is not None
                position = after.end()
                break
            quoted, bare, ending = match.groups()
            fields.append(bare if quoted is None else quoted.replace(b'""', b'"'))
            position = match.end()
            if ending != b",":
                break
        text = data[start:position]
        if not fault and len(text) > LINE_BYTES_MAX:
            fault = _long_fault(fields)
        if fault or fields != [b""]:
            yield Record(line, fields, fault)
        line += text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def _quote_fault(data: bytes, position: int) -> str:
    if data[position : position + 1] == b'"':
        closing = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"').match(data, position)
        if closing is None:
            return "a quote is opened and never closed"
        return "there is text between a closing quote and the comma"
    return "there is a quote inside a field that is not quoted"


def _long_fault(fields: Sequence[bytes]) -> str:
    longest = max(range(len(fields)), key=lambda i: len(fields[i]))
    return (
        f"the record is longer than {LINE_BYTES_MAX} bytes"
        f" (field {longest + 1} has {len(fields[longest])})"
    )


def quotes_are_regular(data: bytes) -> bool:
    """Whether every quote stands where RFC 4180 lets it: around a field, or doubled inside one."""
    if b'"' not in data:
        return True
    text = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(text == ord('"'))
    if len(places) % 2:
        return False
    opening, closing = places[0::2], places[1::2]
    before = np.where(opening > 0, text[opening - 1], ord("\n"))
    after = np.where(closing + 1 < len(text), text[np.minimum(closing + 1, len(text) - 1)], 10)
    opens = np.isin(before, list(b',\r\n"'))
    closes = np.isin(after, list(b',\r\n"'))
    return bool(opens.all() and closes.all())


def read_csv(
    data: bytes,
    *,
    file: str,
    required: Sequence[str] = REQUIRED,
    optional: Sequence[str] = OPTIONAL,
) -> Raw:
    """The file as raw text columns. Raises RefusedRows when it is no such CSV file at all."""
    data = check_encoding(data, file=file)
    header = next(records(data), None)
    if header is None:
        raise refuse_file(file, "the file is empty")
    if header.fault:
        raise refuse_file(file, f"the header is broken: {header.fault}")
    try:
        names = [decode(name) for name in header.fields]
    except BadInput as error:
        raise refuse_file(file, f"the header is broken: {error.detail}") from None
    notes = check_names(names, file=file, required=required, optional=optional)
    known = [name for name in names if name in (*required, *optional)]
    lines = partial(_lines, data)
    originals = partial(_originals, data, names)
    regular = is_utf8(data) and quotes_are_regular(data)
    table = _read_fast(data, known) if regular else None
    if table is not None:
        return Raw(
            file=file,
            batches=_batches(table),
            notes=notes,
            lines=lines,
            originals=originals,
            header=names,
            is_csv=True,
        )
    return _read_slow(data, names=names, known=known, file=file, notes=notes)


def _read_fast(data: bytes, known: Sequence[str]) -> pa.Table | None:
    """Through Arrow; None when a record does not fit, which Arrow does not say clearly."""
    few = pa.dictionary(pa.int32(), pa.string())
    try:
        return pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pacsv.ParseOptions(newlines_in_values=b'"' in data),
            convert_options=pacsv.ConvertOptions(
                include_columns=list(known),
                column_types={n: few if n in _FEW_VALUES else pa.string() for n in known},
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _batches(table: pa.Table) -> Iterator[Mapping[str, pa.Array]]:
    for start in range(0, table.num_rows, BATCH_ROWS):
        part = table.slice(start, BATCH_ROWS).unify_dictionaries().combine_chunks()
        yield {name: part[name].chunk(0) for name in part.column_names}


def _read_slow(
    data: bytes, *, names: Sequence[str], known: Sequence[str], file: str, notes: Sequence[str]
) -> Raw:
    """Record by record: every record that does not fit is refused, the others are kept."""
    refused: list[RefusedRow] = []
    numbers: list[int] = []
    texts: dict[str, list[str]] = {name: [] for name in known}
    places = [(name, names.index(name)) for name in known]
    source = records(data)
    next(source)
    for number, record in enumerate(source, start=1):
        column, fault = None, record.fault
        if not fault and len(record.fields) != len(names):
            fault = f"has {len(record.fields)} fields where the header has {len(names)}"
        row: dict[str, str] = {}
        for name, at in places if not fault else ():
            try:
                row[name] = decode(record.fields[at])
            except BadInput as error:
                column, fault = name, error.detail
                break
        if fault:
            refused.append(
                RefusedRow(file=file, row=number, line=record.line, column=column, reason=fault)
            )
            continue
        numbers.append(number)
        for name, text in row.items():
            texts[name].append(text)
    columns = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    return Raw(
        file=file,
        batches=iter([columns] if numbers else []),
        numbers=np.array(numbers, np.int64),
        refused=refused,
        notes=notes,
        lines=partial(_lines, data),
        originals=partial(_originals, data, names),
        header=names,
        is_csv=True,
    )


def _lines(data: bytes, rows: Sequence[int]) -> dict[int, int]:
    """The line each data row begins on, for a few rows."""
    wanted, last = set(rows), max(rows, default=0)
    found: dict[int, int] = {}
    for number, record in enumerate(records(data)):
        if number in wanted:
            found[number] = record.line
        if number >= last:
            break
    return found


def _originals(
    data: bytes, names: Sequence[str], rows: Sequence[int]
) -> dict[int, Mapping[str, object]]:
    """The fields of some data rows as they stood, by column; what is too many under `extra`."""
    wanted, last = set(rows), max(rows, default=0)
    found: dict[int, Mapping[str, object]] = {}
    for number, record in enumerate(records(data)):
        if number in wanted:
            texts = [field[:FIELD_BYTES_MAX].decode("utf-8", "replace") for field in record.fields]
            found[number] = dict(zip(names, texts, strict=False))
        if number >= last:
            break
    return found
