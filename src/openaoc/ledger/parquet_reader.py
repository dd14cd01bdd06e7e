"""Stage ledger, files: Parquet and Arrow IPC to raw columns, types checked before any value.

A type that may already have lost something (a float amount, an integer account) refuses the whole
column. What comes from outside is validated by Arrow before its memory is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openaoc.ledger.file_limits import BATCH_ROWS, ROWS_MAX, TABLE_BYTES_MAX
from openaoc.ledger.ipc_guard import decompressed_bytes
from openaoc.ledger.raw import Raw, check_names
from openaoc.ledger.refusals import RefusedRows, refuse_file
from openaoc.ledger.schema import COLUMNS, OPTIONAL, REQUIRED

PARQUET_MAGIC: Final = b"PAR1"
ARROW_FILE_MAGIC: Final = b"ARROW1"
_FILE_HEAD_BYTES: Final = 8
"""Before the messages of an Arrow file: its magic bytes and two of padding."""
_FEW_VALUES: Final = ("reported_by", "debtor_bank", "creditor_bank", "currency", "channel")
_NUMBERS: Final = frozenset({"amount_minor", "revision", "opening_minor"})
_BROKEN: Final = (pa.ArrowException, OSError, UnicodeDecodeError)
_INT64_MAX: Final = 2**63 - 1
_INT64_DIGITS: Final = 19


def read_parquet(
    source: pa.NativeFile,
    *,
    file: str,
    assume_utc: bool,
    required: Sequence[str] = REQUIRED,
    optional: Sequence[str] = OPTIONAL,
    bytes_max: int = TABLE_BYTES_MAX,
) -> Raw:
    """A Parquet file as raw columns. Raises RefusedRows when it is broken or of wrong types."""
    try:
        plain = pq.ParquetFile(source)
        schema = plain.schema_arrow
        metadata = plain.metadata
    except _BROKEN as error:
        raise _broken(file, "Parquet", error) from None
    declared = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if metadata.num_rows > ROWS_MAX or declared > bytes_max:
        raise refuse_file(file, f"has {metadata.num_rows} rows and {declared} bytes: too large")
    notes, known = _check_schema(
        schema, file=file, assume_utc=assume_utc, required=required, optional=optional
    )
    coded = [name for name in _FEW_VALUES if name in known and _is_text(schema.field(name).type)]
    opened = pq.ParquetFile(source, read_dictionary=coded)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from opened.iter_batches(batch_size=BATCH_ROWS, columns=known)

    return Raw(
        file=file,
        batches=_checked(batches(), file=file, kind="Parquet", bytes_max=bytes_max),
        notes=notes,
        originals=partial(_originals, source, schema.names),
        header=schema.names,
    )


def read_arrow(
    source: pa.NativeFile,
    *,
    file: str,
    assume_utc: bool,
    stream: bool,
    required: Sequence[str] = REQUIRED,
    optional: Sequence[str] = OPTIONAL,
    bytes_max: int = TABLE_BYTES_MAX,
) -> Raw:
    """An Arrow IPC stream or file as raw columns. Raises RefusedRows as `read_parquet` does."""
    try:
        buffer = source.read_buffer()
        declared = decompressed_bytes(buffer if stream else buffer.slice(_FILE_HEAD_BYTES))
        if declared > bytes_max:
            raise refuse_file(file, f"has {declared} bytes when decompressed: too large")
        reader = pa.ipc.open_stream(buffer) if stream else pa.ipc.open_file(buffer)
        schema = reader.schema
    except _BROKEN as error:
        raise _broken(file, "Arrow", error) from None
    notes, known = _check_schema(
        schema, file=file, assume_utc=assume_utc, required=required, optional=optional
    )

    def batches() -> Iterator[pa.RecordBatch]:
        if stream:
            for batch in reader:
                yield batch.select(known)
        else:
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number).select(known)

    return Raw(
        file=file,
        batches=_checked(batches(), file=file, kind="Arrow", bytes_max=bytes_max),
        notes=notes,
    )


def _broken(file: str, kind: str, error: Exception) -> RefusedRows:
    text = " ".join(str(error).split())[:200]
    return refuse_file(file, f"is not a whole {kind} file: {text}")


def _check_schema(
    schema: pa.Schema,
    *,
    file: str,
    assume_utc: bool,
    required: Sequence[str],
    optional: Sequence[str],
) -> tuple[list[str], list[str]]:
    """Notes, and the known columns there are.

    Raises RefusedRows for a type that cannot be taken.
    """
    names = list(schema.names)
    notes = check_names(names, file=file, required=required, optional=optional)
    known = [name for name in (*required, *optional) if name in names]
    for name in known:
        reason = _type_fault(name, schema.field(name).type, assume_utc=assume_utc)
        if reason:
            raise refuse_file(file, reason, column=name)
    return notes, known


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _type_fault(name: str, kind: pa.DataType, *, assume_utc: bool) -> str:
    """Why a column of this type cannot be taken; empty when it can."""
    if pa.types.is_null(kind):
        return ""
    if name in _NUMBERS:
        return _number_fault(kind)
    if _is_text(kind):
        return ""
    if name == "booked_at":
        if not pa.types.is_timestamp(kind):
            return f"is {kind}: a timestamp with a zone is needed"
        naive = kind.tz is None and not assume_utc
        return f"is {kind} without a time zone (--assume-utc takes it as UTC)" if naive else ""
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    lost = ", a number has lost its leading zeros" if number else ""
    return f"is {kind}: text is needed{lost}"


def _number_fault(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return ""
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return f"is {kind}: amounts are whole minor units, never read from a fraction"
    return f"is {kind}: an integer column is needed"


def _checked(
    batches: Iterator[pa.RecordBatch], *, file: str, kind: str, bytes_max: int
) -> Iterator[Mapping[str, pa.Array]]:
    """Batches of at most BATCH_ROWS rows in the types `validate` wants."""
    rows = total = 0
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate()
            rows += batch.num_rows
            total += batch.nbytes
            if rows > ROWS_MAX or total > bytes_max:
                raise refuse_file(file, f"has more than {ROWS_MAX} rows or {bytes_max} bytes")
        except _BROKEN as error:
            raise _broken(file, kind, error) from None
        for start in range(0, batch.num_rows, BATCH_ROWS):
            part = batch.slice(start, BATCH_ROWS)
            try:
                yield {name: _typed(name, part.column(name)) for name in part.schema.names}
            except _BROKEN as error:
                raise _broken(file, kind, error) from None


def _typed(name: str, array: pa.Array) -> pa.Array:
    """The column in the type `validate` wants; values that do not fit become ones it refuses."""
    kind = array.type
    if name in _NUMBERS:
        return _to_int64(array)
    if pa.types.is_timestamp(kind):
        return array
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.string())
    try:
        array.validate(full=True)
        if pa.types.is_dictionary(kind):
            return array if kind.value_type == pa.string() else array.cast(_few_type())
        return array if kind == pa.string() else array.cast(pa.string())
    except pa.ArrowInvalid:
        return _repaired(array)


def _few_type() -> pa.DataType:
    return pa.dictionary(pa.int32(), pa.string())


def _repaired(array: pa.Array) -> pa.Array:
    """Text whose invalid UTF-8 is replaced by a NUL, which the rules then refuse in its row.

    Raises ArrowInvalid when more is wrong with the array than its characters.
    """
    if pa.types.is_dictionary(array.type):
        array.indices.validate(full=True)
        values = _as_bytes(array.dictionary)
        ends = pc.min_max(array.indices).as_py()
        if ends["max"] is not None and not 0 <= ends["min"] <= ends["max"] < len(values):
            raise pa.ArrowInvalid("an index is outside its dictionary")
        array = values.take(array.indices)
    pairs = _as_bytes(array).to_pylist()
    return pa.array([None if v is None else _utf8_or_nul(v) for v in pairs], pa.string())


def _as_bytes(array: pa.Array) -> pa.Array:
    """The same memory as a binary array, validated but for its characters."""
    kinds = {
        pa.string(): pa.binary(),
        pa.large_string(): pa.large_binary(),
        pa.string_view(): pa.binary_view(),
    }
    kind = kinds.get(array.type, array.type)
    made = pa.Array.from_buffers(kind, len(array), array.buffers(), offset=array.offset)
    made.validate(full=True)
    return made


def _utf8_or_nul(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return "\0"


def _to_int64(array: pa.Array) -> pa.Array:
    """int64; what does not fit becomes the nearest that does, which every rule refuses."""
    kind = array.type
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.int64())
    if kind == pa.uint64():
        array = pc.min_element_wise(array, pa.scalar(_INT64_MAX, kind), skip_nulls=False)
    elif pa.types.is_decimal(kind) and kind.precision >= _INT64_DIGITS:
        for end in (_INT64_MAX, -_INT64_MAX):
            limit = pa.scalar(end, kind)
            past = pc.greater(array, limit) if end > 0 else pc.less(array, limit)
            array = pc.if_else(past, limit, array)
    return array.cast(pa.int64())


def _originals(
    source: pa.NativeFile, names: Sequence[str], rows: Sequence[int]
) -> dict[int, Mapping[str, object]]:
    """Some data rows as they stood, by column, every value as text."""
    source.seek(0)
    table = pq.ParquetFile(source).read(columns=[name for name in names if name in COLUMNS])
    picked = table.take(pa.array([row - 1 for row in rows], pa.int64()))
    found: dict[int, Mapping[str, object]] = {}
    columns = {name: picked[name].to_pylist() for name in picked.column_names}
    for position, row in enumerate(rows):
        found[row] = {name: _shown(values[position]) for name, values in columns.items()}
    return found


def _shown(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    return value if value is None or isinstance(value, int) else str(value)[:1024]
