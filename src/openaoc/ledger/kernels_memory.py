"""Compiled code's own way to memory: arrays that nobody counts, places that are asked for early.

A compiled function counts the references to every array of every tuple it is given, each by an
atomic step. Who calls it holds the arrays anyway.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

_tools: Any = cgutils
_WORD: Final = 8
_ALL: Final = np.uint64(2**64 - 1)


@intrinsic
def _uncounted(_context: Any, values: Any) -> Any:
    def view(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        parts = []
        members = zip(kind.types, _tools.unpack_tuple(builder, arguments[0]), strict=True)
        for member, part in members:
            if not isinstance(member, types.Array):
                parts.append(part)
                continue
            made = context.make_array(member)(context, builder, value=part)
            made.meminfo = _tools.get_null_value(made.meminfo.type)
            made.parent = _tools.get_null_value(made.parent.type)
            parts.append(made._getvalue())  # noqa: SLF001 - numba's way to end a struct
        return context.make_tuple(builder, kind, parts)

    return values(values), view


@intrinsic
def _soon(_context: Any, array: Any, _place: Any) -> Any:
    def hint(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, value=arguments[0])
        pointer, number = _tools.voidptr_t, _tools.int32_t
        kind = _tools.ir.FunctionType(_tools.ir.VoidType(), [pointer, number, number, number])
        fetch = _tools.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        stride = _tools.unpack_tuple(builder, made.strides, 1)[0]
        base = builder.bitcast(made.data, pointer)
        at = builder.gep(base, [builder.mul(arguments[1], stride)])
        builder.call(fetch, [at, number(0), number(3), number(1)])  # to read, keep, as data
        return context.get_dummy_value()

    return types.none(array, types.intp), hint


uncounted: Any = _uncounted
"""The same tuple, its arrays owned by nobody, so that passing them on counts nothing: valid as long
as the caller holds the tuple.
"""
soon: Any = _soon
"""A hint to the processor to fetch one place of an array; never a fault, even past its end."""


@intrinsic
def _load_word(_context: Any, data: Any, _place: Any) -> Any:
    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, value=arguments[0])
        wide = _tools.ir.IntType(64)
        at = builder.bitcast(builder.gep(made.data, [arguments[1]]), wide.as_pointer())
        return builder.load(at, align=1)

    return types.uint64(data, types.intp), load


_load_eight: Any = _load_word
"""Eight bytes from any place of a byte array as one number; the caller sees to its end."""


@njit(cache=True, nogil=True, inline="always")
def load_word(data: NDArray[np.uint8], at: int, length: int) -> np.uint64:
    """data[at : at + length], at most eight bytes, as a number, the first byte lowest."""
    if length == 0:
        return np.uint64(0)
    if at + _WORD <= data.size:
        return np.uint64(_load_eight(data, at)) & (_ALL >> np.uint64(8 * (_WORD - length)))
    word = np.uint64(0)
    for i in range(length):
        word |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return word
