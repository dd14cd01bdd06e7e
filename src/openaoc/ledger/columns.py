"""Stage ledger, files: a text column looked at as raw bytes, all rows at once.

Answers which rows of a column are empty, too long or hold odd characters, and normalises
accounts; a row with a character outside ASCII is left to the plain rules in `plain.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.bank_account import DROPPED
from openaoc.kernel.limits import FIELD_BYTES_MAX
from openaoc.ledger.byte_classes import (
    CASE_STEP,
    SPACE,
    is_capital,
    is_digit,
    is_printable,
    is_small,
    is_visible,
)


class TextBuffers(NamedTuple):
    """An Arrow string array as numpy views: value i is data[offsets[i]:offsets[i+1]]."""

    offsets: NDArray[np.int32]
    data: NDArray[np.uint8]

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Bytes per value; 0 for null."""
        return np.diff(self.offsets)

    @property
    def region(self) -> NDArray[np.uint8]:
        """The bytes of all values together."""
        return self.data[self.offsets[0] : self.offsets[-1]]


def buffers(array: pa.Array) -> TextBuffers:
    """Views into a string array's own memory (nulls must hold no bytes, see `without_nulls`)."""
    assert array.type == pa.string(), array.type
    _, offset_buffer, data_buffer = array.buffers()
    if offset_buffer is None or len(array) == 0:
        return TextBuffers(np.zeros(len(array) + 1, np.int32), np.zeros(0, np.uint8))
    offsets = np.frombuffer(offset_buffer, np.int32)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer else np.zeros(0, np.uint8)
    return TextBuffers(offsets, data)


def from_buffers(text: TextBuffers, *, present: NDArray[np.bool_] | None = None) -> pa.Array:
    """A string array over the same memory; `present` False: null."""
    count = len(text.offsets) - 1
    validity = None
    if present is not None and not present.all():
        validity = pa.py_buffer(np.packbits(present, bitorder="little"))
    arrays = [validity, pa.py_buffer(np.ascontiguousarray(text.offsets)), pa.py_buffer(text.data)]
    return pa.Array.from_buffers(pa.string(), count, arrays)


def as_text(array: pa.Array) -> pa.Array:
    """A string array of the same text: no dictionary, narrow offsets, null as empty text."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary.take(array.indices)
    if array.type != pa.string():
        array = array.cast(pa.string())
    return pc.fill_null(array, "") if array.null_count else array


def rows_holding(text: TextBuffers, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rows in whose bytes `wanted` (one flag per byte of the region) is set, ascending."""
    places = np.flatnonzero(wanted) + int(text.offsets[0])
    return np.unique(np.searchsorted(text.offsets, places, side="right") - 1)


class Checked(NamedTuple):
    """A normalised string array and which rows of it are refused."""

    array: pa.Array
    bad: NDArray[np.bool_]


def check_ids(
    array: pa.Array, *, rule: Callable[[str], str], characters_max: int, required: bool
) -> Checked:
    """Ids are kept as they are: non-empty where required, printable, short, no space at an end.

    `rule` is the plain rule; it is asked about rows with a control character or one outside ASCII.
    """
    text = buffers(array)
    lengths = text.lengths
    bad = lengths > characters_max
    if required:
        bad |= lengths == 0
    region = text.region
    if is_visible(region).all():
        return Checked(array, bad)
    filled = np.flatnonzero(lengths)
    for ends in (text.offsets[:-1][filled], text.offsets[1:][filled] - 1):
        bad[filled[text.data[ends] == SPACE]] = True
    odd = rows_holding(text, ~is_printable(region))
    for row, value in zip(odd.tolist(), array.take(pa.array(odd)).to_pylist(), strict=True):
        bad[row] = _ask(rule, value)[1]
    return Checked(array, bad)


def check_accounts(
    array: pa.Array, *, rule: Callable[[str], str], characters_max: int, required: bool
) -> Checked:
    """Accounts upper-cased and without space `-` `.` `/`; `rule` is the plain rule."""
    text = buffers(array)
    raw_lengths = text.lengths
    region = text.region
    if (is_digit(region) | is_capital(region)).all():
        lengths, out, odd = raw_lengths, array, np.zeros(0, np.int64)
    else:
        odd = rows_holding(text, ~is_printable(region))
        normal = _normalise_ascii(text)
        lengths, out = normal.lengths, from_buffers(normal)
    bad = (lengths > characters_max) | (raw_lengths > FIELD_BYTES_MAX)
    bad |= (lengths == 0) & ((raw_lengths > 0) | required)
    if len(odd):
        answers = [_ask(rule, value) for value in array.take(pa.array(odd)).to_pylist()]
        bad[odd] = raw_lengths[odd] > FIELD_BYTES_MAX
        bad[odd] |= np.array([fault for _, fault in answers])
        mask = np.zeros(len(array), bool)
        mask[odd] = True
        values = pa.array([value for value, _ in answers], pa.string())
        out = pc.replace_with_mask(out, pa.array(mask), values)
    return Checked(out, bad)


def _ask(rule: Callable[[str], str], value: str) -> tuple[str, bool]:
    try:
        return rule(value), False
    except BadInput:
        return "", True


def _normalise_ascii(text: TextBuffers) -> TextBuffers:
    """Small letters made capitals, and the dropped characters taken out of every value."""
    region = text.region
    upper = np.where(is_small(region), region - np.uint8(CASE_STEP), region)
    keep = np.ones(len(region), bool)
    for character in DROPPED:
        keep &= region != ord(character)
    offsets = text.offsets - text.offsets[0]
    if keep.all():
        return TextBuffers(offsets, upper)
    before = np.zeros(len(region) + 1, np.int32)
    np.cumsum(keep, out=before[1:])
    return TextBuffers(before[offsets], upper[keep])


class Coded(NamedTuple):
    """A column of few different values: value of row i is values[codes[i]]."""

    codes: NDArray[np.int32]
    values: list[str]
    array: pa.Array | None
    """The same as a string array where nothing had to be changed, else None."""

    def decode(self, *, empty_is_null: bool = False) -> pa.Array:
        """The column as a string array; with `empty_is_null`, null for empty text."""
        has_empty = empty_is_null and "" in self.values
        if self.array is not None and not has_empty:
            return self.array
        values: list[str | None] = [
            None if empty_is_null and not value else value for value in self.values
        ]
        return pa.array(values, pa.string()).take(pa.array(self.codes))


def code(array: pa.Array) -> Coded:
    """Number the different values of a text or dictionary array; null counts as empty text."""
    encoded = array
    if not pa.types.is_dictionary(array.type):
        array = as_text(array)
        encoded = array.dictionary_encode()
    indices = encoded.indices
    values = ["" if value is None else value for value in as_text(encoded.dictionary).to_pylist()]
    if indices.null_count:
        values.append("")
        indices = pc.fill_null(indices.cast(pa.int32()), len(values) - 1)
    codes = indices.cast(pa.int32()).to_numpy(zero_copy_only=False)
    plain = array if array.type == pa.string() else None
    return Coded(codes, values, plain)


def recode(column: Coded, rule: Callable[[str], str]) -> tuple[Coded, NDArray[np.bool_]]:
    """Every different value through `rule`, and which rows it refuses (BadInput).

    Values that become equal get one code.
    """
    numbers: dict[str, int] = {}
    mapping = np.zeros(max(len(column.values), 1), np.int32)
    refused = np.zeros(max(len(column.values), 1), bool)
    for position, value in enumerate(column.values):
        normal, refused[position] = _ask(rule, value)
        mapping[position] = numbers.setdefault(normal, len(numbers))
    values = list(numbers)
    bad = refused[column.codes] if refused.any() else np.zeros(len(column.codes), bool)
    if values == column.values:
        return column, bad
    return Coded(mapping[column.codes], values, None), bad
