"""Exchange, files: a spreadsheet: a sheet about it, one sheet for each kind, one row an object.

Writes texts as texts, so that no account loses its zeros and no cell becomes a formula.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from openpyxl import Workbook, load_workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._read_only import ReadOnlyWorksheet
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

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
from openaoc.exchange.objects import (
    FIELDS,
    REFS,
    FieldForm,
    Fields,
    FieldValue,
    ObjectKind,
    Refs,
    ReleasedObject,
)
from openaoc.kernel.clock import format_time, parse_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.markings import Marking

NAME: Final = "objects.xlsx"
ABOUT: Final = "about"
UNPACKED_BYTES_MAX: Final = 512 << 20
CELL_CHARACTERS_MAX: Final = 32_767
"""What a cell holds."""
COLUMNS_MAX: Final = 64
BETWEEN: Final = "\n"
"""Between several texts of one cell."""
_CHANGED: Final = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
"""What a spreadsheet does not keep: control characters, and its own way of writing them."""
_OWN: Final = ("id", "created", "modified", "marking", "revoked")
_YES: Final = "yes"


def write_xlsx(header: Header, objects: Sequence[ReleasedObject]) -> bytes:
    """The file. Raises BadInput for a text no cell can hold: send that as JSON Lines."""
    assert header.objects == len(objects), "a header counts its objects"
    # All of it is looked at before anything is written: a book given up half-way leaves files.
    sheets = {ABOUT: [[name, str(value)] for name, value in msgspec.to_builtins(header).items()]}
    for kind in ObjectKind:
        columns = _columns(kind)
        found = [_cells(one) for one in objects if one.kind is kind]
        if found:
            rows = [[cells.get(name, "") for name in columns] for cells in found]
            sheets[kind.value] = [columns, *rows]
    for title, rows in sheets.items():
        _check_kept(rows, title=title)
    book = Workbook(write_only=True)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for texts in rows:
            _append(sheet, texts)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _check_kept(rows: Iterable[Iterable[str]], *, title: str) -> None:
    """Raises BadInput for a text that comes back from no spreadsheet as it was."""
    for texts in rows:
        for text in texts:
            if len(text) > CELL_CHARACTERS_MAX or _CHANGED.search(text):
                raise BadInput("a text that no cell holds as it is: use JSON Lines", where=title)


def _columns(kind: ObjectKind) -> list[str]:
    return [*_OWN, *FIELDS[kind], *(f"ref {name}" for name in REFS.get(kind, {}))]


def _append(sheet: WriteOnlyWorksheet, texts: Iterable[str]) -> None:
    row = []
    for text in texts:
        cell = WriteOnlyCell(sheet, value=text)
        cell.data_type = "s"  # else a text that begins with "=" is a formula
        cell.number_format = "@"
        row.append(cell)
    sheet.append(row)


def _cells(one: ReleasedObject) -> dict[str, str]:
    cells = {
        "id": one.id,
        "created": format_time(one.created),
        "modified": format_time(one.modified),
        "marking": one.marking.value,
        "revoked": _YES if one.revoked else "",
    }
    for name, value in one.fields.items():
        texts = value if isinstance(value, tuple) else (str(value),)
        listed = isinstance(value, tuple)
        if not texts or not all(texts) or (listed and any(BETWEEN in text for text in texts)):
            raise BadInput("empty, or a list of texts with line breaks: use JSON Lines", where=name)
        cells[name] = BETWEEN.join(texts)
    for name, ids in one.refs.items():
        cells[f"ref {name}"] = BETWEEN.join(ids)
    return cells


def read_xlsx(data: bytes) -> Content:
    """The file's content. Raises BadFile with sheet, row and column of everything wrong."""
    book = _open(data)
    problems: list[FileProblem] = []
    header = _header(book[ABOUT], problems)
    objects: list[ReleasedObject] = []
    for name in book.sheetnames:
        if name == ABOUT:
            continue
        kind = next((kind for kind in ObjectKind if kind.value == name), None)
        if kind is None:
            reason = "no kind of object has this name"
            problems.append(FileProblem(file=name[:80], line=None, column=None, reason=reason))
            continue
        for one in _read_sheet(book[name], kind, problems):
            objects.append(one)
            if len(objects) > OBJECTS_MAX:
                raise broken(NAME, f"more than {OBJECTS_MAX} objects")
    if header is not None and header.objects != len(objects) and not problems:
        reason = f"says {header.objects} objects; there are {len(objects)}"
        problems.append(FileProblem(file=ABOUT, line=None, column="objects", reason=reason))
    if problems or header is None:
        raise BadFile(problems)
    return Content(header=header, objects=tuple(objects))


def _open(data: bytes) -> Workbook:
    if len(data) > FILE_BYTES_MAX:
        raise broken(NAME, f"more than {FILE_BYTES_MAX} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(item.file_size for item in packed.infolist()) > UNPACKED_BYTES_MAX:
                raise broken(NAME, f"unpacked more than {UNPACKED_BYTES_MAX} bytes")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except (
        zipfile.BadZipFile,
        InvalidFileException,
        KeyError,
        ValueError,
        TypeError,
        SyntaxError,
        OSError,
        EOFError,
    ) as error:
        raise broken(NAME, "is no .xlsx spreadsheet") from error
    if ABOUT not in book.sheetnames:
        raise broken(NAME, f"without the sheet {ABOUT!r}")
    return book


def _rows(sheet: object, *, name: str) -> Iterator[tuple[int, list[object]]]:
    if not isinstance(sheet, ReadOnlyWorksheet):
        raise broken(name, "is a chart")
    sheet.reset_dimensions()  # what a file says of its own size is not relied on
    lines = sheet.iter_rows(values_only=True, max_col=COLUMNS_MAX, max_row=OBJECTS_MAX + 2)
    for number, line in enumerate(lines, start=1):
        yield number, list(line)


def _header(sheet: object, problems: list[FileProblem]) -> Header | None:
    values = {
        str(line[0]): str(line[1]) if line[1:] and line[1] is not None else ""
        for _, line in _rows(sheet, name=ABOUT)
        if line and line[0] is not None
    }
    try:
        return msgspec.convert(values, Header, strict=False)
    except msgspec.ValidationError as error:
        problems.append(FileProblem(file=ABOUT, line=None, column=None, reason=str(error)))
        return None


def _read_sheet(
    sheet: object, kind: ObjectKind, problems: list[FileProblem]
) -> Iterator[ReleasedObject]:
    rows = _rows(sheet, name=kind.value)
    head = [str(value or "") for value in next(rows, (1, []))[1]]
    known = _columns(kind)
    strange = [name for name in head if name and name not in known]
    missing = [name for name in _OWN if name not in head]
    for name, reason in (
        *((name, "no such column") for name in strange),
        *((name, "the column is missing") for name in missing),
    ):
        problems.append(FileProblem(file=kind.value, line=1, column=name[:80], reason=reason))
    if strange or missing:
        return
    for number, line in rows:
        cells = {name: value for name, value in zip(head, line, strict=False) if name}
        if all(value is None or value == "" for value in cells.values()):
            continue
        try:
            yield _object(kind, cells)
        except BadInput as error:
            column = error.where.removeprefix("fields.").removeprefix("refs.")
            problems.append(
                FileProblem(file=kind.value, line=number, column=column, reason=error.detail)
            )


def _object(kind: ObjectKind, cells: dict[str, object]) -> ReleasedObject:
    texts = {name: _text(name, value) for name, value in cells.items() if value not in (None, "")}
    fields: Fields = {
        name: _value(text, FIELDS[kind][name].form, where=name)
        for name, text in texts.items()
        if name in FIELDS[kind]
    }
    refs: Refs = {
        name.removeprefix("ref "): tuple(text.split(BETWEEN))
        for name, text in texts.items()
        if name.startswith("ref ")
    }
    marking = next((one for one in Marking if one.value == texts.get("marking")), None)
    if marking is None:
        raise BadInput(f"none of {', '.join(Marking)}", where="marking")
    if texts.get("revoked", _YES) != _YES:
        raise BadInput("neither empty nor 'yes'", where="revoked")
    return check_received(
        ReleasedObject(
            id=texts.get("id", ""),
            kind=kind,
            created=parse_time(texts.get("created", ""), where="created"),
            modified=parse_time(texts.get("modified", ""), where="modified"),
            marking=marking,
            fields=fields,
            refs=refs,
            revoked="revoked" in texts,
        )
    )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadInput("is not text: a number loses zeros, format the column as text", where=name)
    return value


def _value(text: str, form: FieldForm, *, where: str) -> FieldValue:
    if form is FieldForm.TEXTS:
        return tuple(text.split(BETWEEN))
    if form is FieldForm.NUMBER:
        try:
            return int(text)
        except ValueError as error:
            raise BadInput("not a whole number", where=where) from error
    return text
