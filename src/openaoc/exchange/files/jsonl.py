"""Exchange, files: JSON Lines: a header, then one object a line. Half a file is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from openaoc.exchange.files.model import (
    FILE_BYTES_MAX,
    OBJECTS_MAX,
    BadFile,
    Content,
    FileProblem,
    Header,
    broken,
)
from openaoc.exchange.files.objects import check_received
from openaoc.exchange.objects import ReleasedObject
from openaoc.kernel.errors import BadInput

NAME: Final = "objects.jsonl"
LINE_BYTES_MAX: Final = 1 << 20
_PLACE: Final = re.compile(r"^(?P<reason>.*) - at `\$\.?(?P<path>[^`]*)`$", re.DOTALL)
_ENCODER: Final = msgspec.json.Encoder()
_Kind = TypeVar("_Kind", Header, ReleasedObject)


def write_jsonl(header: Header, objects: Sequence[ReleasedObject]) -> bytes:
    """The file: UTF-8, one JSON document a line, a line feed after each."""
    assert header.objects == len(objects), "a header counts its objects"
    return _ENCODER.encode_lines([header, *objects])


def read_jsonl(data: bytes) -> Content:
    """The file's content. Raises BadFile with line and field of everything that is wrong."""
    if len(data) > FILE_BYTES_MAX:
        raise broken(NAME, f"more than {FILE_BYTES_MAX} bytes")
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()  # the line feed at the end
    if not lines:
        raise broken(NAME, "empty")
    if len(lines) - 1 > OBJECTS_MAX:
        raise broken(NAME, f"more than {OBJECTS_MAX} objects")
    problems: list[FileProblem] = []
    header = _decoded(lines[0], Header, line=1, problems=problems)
    objects = [
        _object(line, number=number, problems=problems)
        for number, line in enumerate(lines[1:], start=2)
    ]
    if header is not None and header.objects != len(objects):
        reason = f"says {header.objects} objects; there are {len(objects)}: the file is cut short"
        problems.append(FileProblem(file=NAME, line=1, column="objects", reason=reason))
    if problems or header is None:
        raise BadFile(problems)
    return Content(header=header, objects=tuple(one for one in objects if one is not None))


def _object(line: bytes, *, number: int, problems: list[FileProblem]) -> ReleasedObject | None:
    found = _decoded(line, ReleasedObject, line=number, problems=problems)
    if found is None:
        return None
    try:
        return check_received(found)
    except BadInput as error:
        problems.append(
            FileProblem(file=NAME, line=number, column=error.where, reason=error.detail)
        )
        return None


def _decoded(
    data: bytes, kind: type[_Kind], *, line: int, problems: list[FileProblem]
) -> _Kind | None:
    if len(data) > LINE_BYTES_MAX:
        reason = f"longer than {LINE_BYTES_MAX} bytes"
        problems.append(FileProblem(file=NAME, line=line, column=None, reason=reason))
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        match = _PLACE.match(str(error))
        reason, path = (match["reason"], match["path"]) if match else (str(error), "")
        problems.append(FileProblem(file=NAME, line=line, column=path or None, reason=reason))
        return None
