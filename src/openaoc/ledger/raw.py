"""Stage ledger, files: what a reader hands to the checks, and the header rules all formats share.

Reads nothing itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openaoc.ledger.file_limits import COLUMNS_MAX
from openaoc.ledger.refusals import RefusedRow, refuse_file
from openaoc.ledger.schema import COLUMNS, OPTIONAL, REQUIRED

_ALIKE: Final = 0.8
"""An unknown name this close to an optional column that is absent is taken for a typing error."""
_NAMES_SHOWN_MAX: Final = 10


def _no_lines(rows: Sequence[int]) -> dict[int, int]:
    """A format without lines."""
    del rows
    return {}


def _no_originals(rows: Sequence[int]) -> dict[int, Mapping[str, object]]:
    """A source nobody writes refused rows for."""
    del rows
    return {}


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One source: batches of raw columns as `validate` wants them, in file order.

    numbers: the data row (from 1) of each row of the batches together; None: 1, 2, 3 ….
    refused: rows the reader itself could not take, which are in no batch.
    lines: data rows → line numbers. originals: data rows → the fields as they stood.
    """

    file: str
    batches: Iterator[Mapping[str, pa.Array]]
    numbers: NDArray[np.int64] | None = None
    refused: Sequence[RefusedRow] = ()
    notes: Sequence[str] = ()
    lines: Callable[[Sequence[int]], dict[int, int]] = _no_lines
    originals: Callable[[Sequence[int]], dict[int, Mapping[str, object]]] = _no_originals
    header: Sequence[str] = field(default=COLUMNS)
    is_csv: bool = False


def check_names(
    names: Sequence[str],
    *,
    file: str,
    required: Sequence[str] = REQUIRED,
    optional: Sequence[str] = OPTIONAL,
) -> list[str]:
    """Notes about columns that are ignored.

    Raises RefusedRows when a column is missing, twice there, or looks like a typing error for an
    optional one: taken silently, `chanel` would turn every exit into a transfer.
    """
    if len(names) > COLUMNS_MAX:
        raise refuse_file(file, f"has {len(names)} columns; at most {COLUMNS_MAX} are read")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise refuse_file(file, "the column is there more than once", column=twice[0][:64])
    unknown = [name for name in names if name not in (*required, *optional)]
    missing = [name for name in required if name not in names]
    if missing:
        raise refuse_file(file, _missing(missing, unknown, names), column=missing[0])
    absent = [name for name in optional if name not in names]
    for name in unknown:
        close = difflib.get_close_matches(name.strip().lower(), absent, n=1, cutoff=_ALIKE)
        if close:
            raise refuse_file(
                file, f"is not a known column; did you mean {close[0]}?", column=name[:64]
            )
    if not unknown:
        return []
    shown = ", ".join(repr(name[:64]) for name in unknown[:_NAMES_SHOWN_MAX])
    more = len(unknown) - _NAMES_SHOWN_MAX
    return [f"{file}: ignored unknown columns {shown}" + (f" and {more} more" if more > 0 else "")]


def _missing(missing: Sequence[str], unknown: Sequence[str], names: Sequence[str]) -> str:
    reason = (
        f"the column is missing ({', '.join(missing)})"
        if missing[1:]
        else ("the column is missing")
    )
    if len(names) == 1:
        for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if mark in names[0]:
                return f"{reason}; the header is separated by {word}, commas are needed"
    close = difflib.get_close_matches(
        missing[0], [name.strip().lower() for name in unknown], n=1, cutoff=_ALIKE
    )
    if close:
        return f"{reason}; is it the column {close[0][:64]!r}?"
    if not names or names == [""]:
        return f"{reason}; the file has no header"
    shown = ", ".join(repr(name[:32]) for name in names[:_NAMES_SHOWN_MAX])
    return f"{reason}; the header has {shown}"
