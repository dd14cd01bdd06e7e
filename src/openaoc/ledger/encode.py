"""A batch on its way into the hot ledger: as it is logged, and as numbers for the kernels.

Answers what a table's columns are in both forms. Decides nothing about a transfer.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.ledger.arrays import CHANNELS
from openaoc.ledger.columns import buffers
from openaoc.ledger.kernels_text import CODED_MAX, code_column, hash_column
from openaoc.ledger.schema import SCHEMA

_CODED: Final = ("reported_by", "debtor_bank", "creditor_bank", "currency", "channel")
"""Columns of few values: logged and interned once per value."""
_RARE: Final = ("corrects", "revision")


@dataclass(frozen=True, kw_only=True)
class Words:
    """A column of few different values: row i says values[codes[i]]; -1 where it says nothing."""

    codes: NDArray[np.int32]
    values: list[str]


@dataclass(frozen=True, kw_only=True)
class Text:
    """A column of many values: row i is data[offsets[i]:offsets[i+1]], with its hash."""

    offsets: NDArray[np.int32]
    data: NDArray[np.uint8]
    hashes: NDArray[np.uint64]

    def value(self, row: int) -> bytes:
        """The text of one row."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Batch row `index` corrects the transfer its reporter told as `corrects`."""

    index: int
    corrects: str
    revision: int


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A batch as numbers and texts; everything that needs no knowledge of the ledger is done."""

    rows: int
    reporter: Words
    debtor_bank: Words
    creditor_bank: Words
    currency: Words
    transfer_id: Text
    debtor_account: Text
    creditor_account: Text
    no_creditor: NDArray[np.bool_]
    time_us: NDArray[np.int64]
    amount: NDArray[np.int64]
    channel: NDArray[np.uint8]
    corrections: tuple[Correction, ...]

    @property
    def amount_total(self) -> int:
        """The sum of all amounts, exact beyond 64 bits."""
        high = int((self.amount >> 32).sum())
        return (high << 32) + int((self.amount & 0xFFFFFFFF).sum())


def to_logged(table: pa.Table) -> memoryview:
    """The table (in SCHEMA) as an Arrow IPC stream with its small vocabularies coded.

    A rare column that says nothing takes no room.
    """
    table = table.combine_chunks()
    columns = []
    for name in SCHEMA.names:
        column = _one(table, name)
        if name in _RARE and column.null_count == len(column):
            column = pa.nulls(len(column))
        elif name in _CODED:
            column = _coded(column)
        columns.append(column)
    coded = pa.record_batch(columns, names=list(SCHEMA.names))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, coded.schema) as writer:
        writer.write_batch(coded)
    return memoryview(sink.getvalue())


def _coded(column: pa.Array) -> pa.DictionaryArray:
    """The column with its different values numbered; one byte a row where they are few."""
    text = buffers(column)
    codes, first = np.zeros(len(column), np.int8), np.zeros(CODED_MAX, np.int64)
    count = int(code_column(text.data, text.offsets, codes, first))
    empty = codes < 0
    if count < 0 or np.count_nonzero(empty) != column.null_count:
        return pc.dictionary_encode(column)
    values = column.take(pa.array(first[:count]))
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=empty), values)


def from_logged(payload: bytes | memoryview, *, seed: int) -> Prepared:
    """The batch that `to_logged` wrote, with hashes under the ledger's seed."""
    with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
        batch = reader.read_next_batch()
    column = {name: batch.column(name) for name in SCHEMA.names}
    channel = words_of(column["channel"])
    numbers = np.array([CHANNELS.index(value) for value in channel.values], np.uint8)
    creditor = column["creditor_account"]
    return Prepared(
        rows=batch.num_rows,
        reporter=words_of(column["reported_by"]),
        debtor_bank=words_of(column["debtor_bank"]),
        creditor_bank=words_of(column["creditor_bank"]),
        currency=words_of(column["currency"]),
        transfer_id=text_of(column["transfer_id"], seed),
        debtor_account=text_of(column["debtor_account"], seed),
        creditor_account=text_of(creditor, seed),
        no_creditor=creditor.is_null().to_numpy(zero_copy_only=False),
        time_us=column["booked_at"].view(pa.int64()).to_numpy(zero_copy_only=False),
        amount=column["amount_minor"].to_numpy(zero_copy_only=False),
        channel=numbers[channel.codes] if batch.num_rows else np.zeros(0, np.uint8),
        corrections=_corrections(column["corrects"], column["revision"]),
    )


def digest(payload: bytes | memoryview) -> str:
    """SHA-256, in hex, of a batch as it is logged."""
    return hashlib.sha256(payload).hexdigest()


def _one(table: pa.Table, name: str) -> pa.Array:
    chunks = table[name].chunks
    return chunks[0] if chunks else pa.array([], SCHEMA.field(name).type)


def words_of(array: pa.DictionaryArray) -> Words:
    """A coded column."""
    codes = pc.fill_null(array.indices.cast(pa.int32()), -1)
    return Words(codes=codes.to_numpy(zero_copy_only=False), values=array.dictionary.to_pylist())


def text_of(array: pa.Array, seed: int) -> Text:
    """A text column over its own memory, with hashes under the seed."""
    _, offset_buffer, data_buffer = array.buffers()
    offsets = np.zeros(1, np.int32)
    if offset_buffer is not None and len(array):
        offsets = np.frombuffer(offset_buffer, np.int32)
        offsets = offsets[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer else np.zeros(0, np.uint8)
    # A kernel is compiled anew for memory that may be written, which depends on where it is from.
    offsets.flags.writeable = data.flags.writeable = False
    hashes = np.zeros(len(array), np.uint64)
    hash_column(data, offsets, np.uint64(seed), hashes)
    return Text(offsets=offsets, data=data, hashes=hashes)


def _corrections(corrects: pa.Array, revision: pa.Array) -> tuple[Correction, ...]:
    if corrects.null_count == len(corrects):
        return ()
    places = np.flatnonzero(corrects.is_valid().to_numpy(zero_copy_only=False))
    chosen = pa.array(places)
    texts, numbers = corrects.take(chosen).to_pylist(), revision.take(chosen).to_pylist()
    return tuple(
        Correction(index=int(place), corrects=text, revision=int(number))
        for place, text, number in zip(places, texts, numbers, strict=True)
    )
