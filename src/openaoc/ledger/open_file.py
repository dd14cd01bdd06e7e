"""Stage ledger, files: which format a file is in, and its bytes.

Answers by magic bytes first, then suffix, then first character; judges no content.
"""

from __future__ import annotations

import enum
import stat
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from openaoc.ledger.file_limits import TEXT_BYTES_MAX
from openaoc.ledger.parquet_reader import ARROW_FILE_MAGIC, PARQUET_MAGIC
from openaoc.ledger.refusals import refuse_file
from openaoc.ledger.text import GZIP_MAGIC, gunzip, read_limited


class FileKind(enum.Enum):
    """The formats that are read."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    ARROW_FILE = "arrow file"
    ARROW_STREAM = "arrow stream"
    PACS008 = "pacs.008"


_SUFFIXES: Final = {
    ".csv": FileKind.CSV,
    ".ndjson": FileKind.NDJSON,
    ".jsonl": FileKind.NDJSON,
    ".json": FileKind.NDJSON,
    ".parquet": FileKind.PARQUET,
    ".pq": FileKind.PARQUET,
    ".arrow": FileKind.ARROW_STREAM,
    ".arrows": FileKind.ARROW_STREAM,
    ".xml": FileKind.PACS008,
}
CONTENT_TYPES: Final = {
    "application/x-ndjson": FileKind.NDJSON,
    "application/ndjson": FileKind.NDJSON,
    "application/jsonl": FileKind.NDJSON,
    "text/csv": FileKind.CSV,
    "application/vnd.apache.arrow.stream": FileKind.ARROW_STREAM,
    "application/vnd.apache.parquet": FileKind.PARQUET,
    "application/xml": FileKind.PACS008,
}
_HEAD_BYTES: Final = 4096


class OpenedFile(NamedTuple):
    """`data`: all bytes of a text file, a seekable file for the others."""

    kind: FileKind
    data: bytes | pa.NativeFile


def kind_of(name: str, head: bytes) -> FileKind:
    """The format, from the first bytes and the name without `.gz`."""
    if head.startswith(PARQUET_MAGIC):
        return FileKind.PARQUET
    if head.startswith(ARROW_FILE_MAGIC):
        return FileKind.ARROW_FILE
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return FileKind.NDJSON if start == b"{" else FileKind.CSV


def open_file(path: Path) -> OpenedFile:
    """The file's format and bytes, decompressed. Raises RefusedRows when it cannot be read."""
    file = str(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise refuse_file(file, "is a folder, not a file")
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES) if stat.S_ISREG(mode) else b""
            kind = kind_of(path.name, head)
            table = kind in (FileKind.PARQUET, FileKind.ARROW_FILE, FileKind.ARROW_STREAM)
            if table and head and not head.startswith(GZIP_MAGIC):
                return OpenedFile(kind, pa.memory_map(file))
            data = read_limited(stream, file=file, bytes_max=TEXT_BYTES_MAX, head=head)
    except FileNotFoundError:
        raise refuse_file(file, "there is no such file") from None
    except (OSError, ValueError) as error:
        raise refuse_file(file, f"cannot be read: {error}") from None
    if data.startswith(GZIP_MAGIC):
        data = gunzip(data, file=file)
    if not data:
        raise refuse_file(file, "the file is empty")
    kind = kind_of(path.name, data[:_HEAD_BYTES])
    if kind in (FileKind.CSV, FileKind.NDJSON, FileKind.PACS008):
        return OpenedFile(kind, data)
    return OpenedFile(kind, pa.BufferReader(data))
