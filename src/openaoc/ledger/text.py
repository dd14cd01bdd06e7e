"""Stage ledger, files: bytes that claim to be text: decompression within a limit, and UTF-8.

Answers whether bytes are text at all; changes nothing but the byte order mark.
"""

from __future__ import annotations

import gzip
import zlib
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from openaoc.kernel.errors import BadInput
from openaoc.ledger.file_limits import TEXT_BYTES_MAX
from openaoc.ledger.refusals import refuse_file

GZIP_MAGIC: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_CHUNK_BYTES: Final = 8 << 20
_HEAD_BYTES: Final = 64


class Readable(Protocol):
    """Anything that gives bytes piece by piece."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


def read_limited(
    stream: Readable, *, file: str, bytes_max: int = TEXT_BYTES_MAX, head: bytes = b""
) -> bytes:
    """`head` and all of the stream. Raises RefusedRows past `bytes_max`."""
    parts: list[bytes] = [head] if head else []
    total = len(head)
    while chunk := stream.read(_CHUNK_BYTES):
        total += len(chunk)
        if total > bytes_max:
            raise refuse_file(file, f"is larger than {bytes_max} bytes after decompression")
        parts.append(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def gunzip(data: bytes, *, file: str, bytes_max: int = TEXT_BYTES_MAX) -> bytes:
    """The content of a gzip file. Raises RefusedRows when it is broken, cut short or too large."""
    with gzip.GzipFile(fileobj=pa.BufferReader(data)) as stream:
        try:
            return read_limited(stream, file=file, bytes_max=bytes_max)
        except EOFError:
            raise refuse_file(file, "the gzip file is cut short") from None
        except (OSError, zlib.error) as error:
            raise refuse_file(file, f"the gzip file is broken: {error}") from None


def check_encoding(data: bytes, *, file: str) -> bytes:
    """The same bytes without a byte order mark.

    Raises RefusedRows when they are empty or UTF-16; single bytes that are not UTF-8 are for the
    reader to place.
    """
    data = data.removeprefix(_BOM)
    if not data[:_HEAD_BYTES].strip() and not data.strip():
        raise refuse_file(file, "the file is empty")
    head = np.frombuffer(data[:_HEAD_BYTES], np.uint8)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or np.count_nonzero(head == 0) * 3 > len(head):
        raise refuse_file(file, "is UTF-16 or binary; save it as UTF-8")
    return data


def is_utf8(data: bytes) -> bool:
    """Whether all of it is UTF-8, at memory speed."""
    offsets = pa.py_buffer(np.array([0, len(data)], np.int64))
    whole = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(data)])
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def decode(data: bytes) -> str:
    """The text. Raises BadInput that names the first byte which is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = data[error.start]
        raise BadInput(
            f"byte 0x{byte:02x} is not UTF-8 (is the file TIS-620, Windows-874 or Latin-1?)"
        ) from None
