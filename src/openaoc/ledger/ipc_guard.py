"""Stage ledger, files: how large an Arrow stream becomes when its buffers are decompressed.

Answers from the messages' own headers, before anything is decompressed: a megabyte of zeros can
say that it is a terabyte. Reads no value.
"""

from __future__ import annotations

import struct
from typing import Final

import pyarrow as pa

_HEADER: Final = 2
"""Field of Message (Message.fbs of the Arrow format)."""
_BUFFERS: Final = 2
_COMPRESSION: Final = 3
"""Fields of RecordBatch."""
_DICTIONARY_DATA: Final = 1
"""Field of DictionaryBatch: the record batch inside it."""
_PAIR_BYTES: Final = 16


class _Table:
    """A flatbuffers table: where its fields are. Raises struct.error outside the buffer."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place
        self._vtable = place - struct.unpack_from("<i", data, place)[0]
        self._length: int = struct.unpack_from("<H", data, self._vtable)[0]

    def place(self, field: int) -> int | None:
        """Where the field is, None when it is not given."""
        entry = 4 + 2 * field
        if entry + 2 > self._length or self._vtable < 0:
            return None
        offset: int = struct.unpack_from("<H", self._data, self._vtable + entry)[0]
        return self._place + offset if offset else None

    def table(self, field: int) -> _Table | None:
        """The table that the field refers to."""
        place = self.place(field)
        if place is None:
            return None
        return _Table(self._data, place + struct.unpack_from("<I", self._data, place)[0])

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """The field as a vector of (offset, length)."""
        place = self.place(field)
        if place is None:
            return []
        start = place + struct.unpack_from("<I", self._data, place)[0]
        count = struct.unpack_from("<I", self._data, start)[0]
        if start + 4 + count * _PAIR_BYTES > len(self._data):
            raise struct.error("a vector ends outside its message")
        first = start + 4
        return [
            struct.unpack_from("<qq", self._data, first + n * _PAIR_BYTES) for n in range(count)
        ]


def decompressed_bytes(source: pa.Buffer) -> int:
    """Bytes of all buffers of an Arrow stream once decompressed, as its messages declare.

    Arrow allocates what is declared and refuses a buffer that holds anything else, so this is a
    true bound. Raises ArrowInvalid when the stream is broken.
    """
    total = 0
    reader = pa.ipc.MessageReader.open_stream(source)
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return total
        if message.type == "schema":
            continue
        try:
            total += _message_bytes(message)
        except struct.error as error:
            raise pa.ArrowInvalid(f"broken message: {error}") from None


def _message_bytes(message: pa.Message) -> int:
    metadata, body = message.metadata.to_pybytes(), message.body
    root = _Table(metadata, struct.unpack_from("<I", metadata, 0)[0])
    header = root.table(_HEADER)
    if header is not None and message.type == "dictionary":
        header = header.table(_DICTIONARY_DATA)
    size = body.size if body is not None else 0
    if header is None or header.place(_COMPRESSION) is None:
        return size
    total = 0
    for offset, length in header.pairs(_BUFFERS):
        if length < struct.calcsize("<q"):
            continue
        if not 0 <= offset <= size - struct.calcsize("<q"):
            raise struct.error("a buffer begins outside its message")
        (declared,) = struct.unpack("<q", body.slice(offset, 8).to_pybytes())
        # -1 says that this buffer is stored as it is.
        total += declared if declared >= 0 else length
    return total
