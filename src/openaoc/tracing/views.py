"""Stage tracing: a note of where arrays stand, and in compiled code the arrays from such a note.

Loads the compiler. A note is three numbers an array: address, rows, bytes from row to row. Whoever
gives a note keeps the arrays alive while it is used.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype
from numpy.typing import DTypeLike, NDArray

from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing.scratch import BOOKS_COLUMNS, SCRATCH_COLUMNS, Books, Scratch

NOTED: Final = 3
_tools: Any = cgutils
_INT: Any = _tools.ir.IntType(64)


class Shape(NamedTuple):
    """One array of a tuple: its type, and its columns (0: one row is one value)."""

    dtype: DTypeLike
    columns: int = 0


@intrinsic
def _write_note(_context: Any, values: Any, note: Any) -> Any:
    """Address, rows and bytes from row to row of every array of the tuple."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out = context.make_array(signature.args[1])(context, builder, value=arguments[1])
        members = _tools.unpack_tuple(builder, arguments[0])
        for at, (kind, part) in enumerate(zip(signature.args[0].types, members, strict=True)):
            array = context.make_array(kind)(context, builder, value=part)
            numbers = (
                builder.ptrtoint(array.data, _INT),
                _tools.unpack_tuple(builder, array.shape)[0],
                _tools.unpack_tuple(builder, array.strides)[0],
            )
            for k, number in enumerate(numbers):
                place = builder.gep(out.data, [_INT(NOTED * at + k)])
                builder.store(number, place)
        return context.get_dummy_value()

    return types.none(values, note), write


_noted: Any = _write_note
_populate: Any = populate_array
_tuples: Any = types.BaseTuple


@njit(cache=True)
def _note(note: NDArray[np.int64], *arrays: NDArray[np.generic]) -> None:
    _noted(arrays, note)


def note_of(arrays: tuple[NDArray[np.generic], ...]) -> NDArray[np.int64]:
    """Where the arrays stand."""
    note = np.empty(NOTED * len(arrays), np.int64)
    _note(note, *arrays)
    return note


def maker(kind: type[tuple[Any, ...]], shapes: tuple[Shape, ...]) -> object:
    """For compiled code: a function of a note that gives the named tuple of its arrays.

    Nobody owns them, so passing them about counts nothing. One dimension: any stride. Two: rows
    behind each other, and the compiler knows their width.
    """
    members = [
        types.Array(from_dtype(np.dtype(shape.dtype)), 2, "C")
        if shape.columns
        else types.Array(from_dtype(np.dtype(shape.dtype)), 1, "A")
        for shape in shapes
    ]
    made = _tuples.from_types(members, kind)

    @intrinsic
    def arrays_at(_context: Any, note: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            given = context.make_array(signature.args[0])(context, builder, value=arguments[0])

            def number(at: int) -> Any:
                return builder.load(builder.gep(given.data, [_INT(at)]))

            parts = []
            for at, (member, shape) in enumerate(zip(members, shapes, strict=True)):
                array = context.make_array(member)(context, builder)
                size = np.dtype(shape.dtype).itemsize
                address, rows = number(NOTED * at), number(NOTED * at + 1)
                if shape.columns:
                    extent = [rows, _INT(shape.columns)]
                    steps = [_INT(size * shape.columns), _INT(size)]
                else:
                    extent, steps = [rows], [number(NOTED * at + 2)]
                _populate(
                    array,
                    data=builder.inttoptr(address, array.data.type),
                    shape=extent,
                    strides=steps,
                    itemsize=_INT(size),
                    meminfo=None,
                )
                parts.append(array._getvalue())  # noqa: SLF001 - numba's way to end a struct
            return context.make_tuple(builder, made, parts)

        return made(note), build

    return arrays_at


def _of_ledger() -> tuple[Shape, ...]:
    narrow = {"debtor", "creditor", "out_len", "in_len", "out_rows", "in_rows"}
    kinds = dict.fromkeys(narrow, np.int32) | dict.fromkeys(("flags", "channel"), np.uint8)
    return tuple(Shape(kinds.get(name, np.int64)) for name in LedgerArrays._fields)


ledger_at = maker(LedgerArrays, _of_ledger())
scratch_at = maker(Scratch, tuple(Shape(np.int64, width) for width in SCRATCH_COLUMNS))
books_at = maker(Books, tuple(Shape(np.int64, width) for width in BOOKS_COLUMNS))
