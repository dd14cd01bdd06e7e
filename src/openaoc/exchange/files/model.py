"""Exchange, files: what every file says of itself, and what is wrong with one. Decides nothing."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from openaoc.exchange.objects import ReleasedObject
from openaoc.kernel.errors import BadInput, Refused

FORMAT: Final = "openaoc-objects"
VERSION: Final = 1
FILE_BYTES_MAX: Final = 64 << 20
OBJECTS_MAX: Final = 20_000
"""Objects of one file; what is beyond is in the next, from the mark on."""
PROBLEMS_SHOWN_MAX: Final = 20
_NAME_CHARACTERS_MAX: Final = 200
_ONWARD_CHARACTERS_MAX: Final = 12_000
"""All whom an agreement may name."""


class Form(enum.StrEnum):
    """In which form a file is."""

    JSONL = "jsonl"
    XLSX = "xlsx"
    MISP = "misp"
    STIX = "stix"


SUFFIXES: Final = {
    Form.JSONL: "jsonl",
    Form.XLSX: "xlsx",
    Form.MISP: "misp.zip",
    Form.STIX: "stix.json",
}


class NotSigned(Refused):
    """The file is not signed by a verified key of the partner."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of itself. `mark`: how far it goes; the next begins behind it."""

    source: Annotated[str, Meta(min_length=1, max_length=_NAME_CHARACTERS_MAX)]
    to: Annotated[str, Meta(max_length=_NAME_CHARACTERS_MAX)]
    agreement: Annotated[str, Meta(max_length=_NAME_CHARACTERS_MAX)]
    made_at: Annotated[datetime, Meta(tz=True)]
    objects: Annotated[int, Meta(ge=0, le=OBJECTS_MAX)]
    mark: Annotated[int, Meta(ge=0, le=2**53)] = 0
    onward: Annotated[str, Meta(max_length=_ONWARD_CHARACTERS_MAX)] = ""
    object_to: Annotated[str, Meta(max_length=1_000)] = ""
    """Whom to tell that something in it is wrong."""
    format: Literal["openaoc-objects"] = "openaoc-objects"
    version: Literal[1] = 1


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read: its header, and its objects as its sender wrote them."""

    header: Header
    objects: tuple[ReleasedObject, ...]


class FileProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `line`: of a text, or row of a sheet, from 1; `column`: a field."""

    file: str
    line: int | None
    column: str | None
    reason: str

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        column = "" if not self.column else f", {self.column}"
        return f"{self.file}{line}{column}: {self.reason}"


class BadFile(BadInput):
    """The file cannot be taken; nothing of it was."""

    def __init__(self, problems: Sequence[FileProblem]) -> None:
        assert problems, "a refusal names what it refuses"
        self.problems = list(problems[:PROBLEMS_SHOWN_MAX])
        shown = "; ".join(str(problem) for problem in self.problems)
        more = len(problems) - len(self.problems)
        super().__init__(shown + (f"; and {more} more" if more else ""))


def broken(file: str, reason: str, *, line: int | None = None, column: str = "") -> BadFile:
    """A refusal for one reason."""
    return BadFile([FileProblem(file=file, line=line, column=column or None, reason=reason)])


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be kept: where it stood, and why."""

    path: str
    reason: str


class FileReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: how many objects were taken, and what was not, the first by name."""

    partner: str
    form: Form
    signed_by: str | None
    objects: int
    taken: int
    lost: list[Lost]
    lost_count: int


class FileMark(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the journal: its digest and counts."""

    partner: str
    form: str
    objects: int
    digest: str
    signed_by: str | None = None
    taken: int | None = None
