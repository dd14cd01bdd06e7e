"""Stage tracing: the kernels as plain functions, and the same functions compiled.

One source, two ways to run it: a command that follows a few transfers is done before a compiler
is loaded; the centre compiles once and keeps the result on disk.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, Final, NamedTuple

MODULES: Final = (
    "openaoc.tracing.kernels_memory",
    "openaoc.tracing.kernels_common",
    "openaoc.tracing.kernels_lots",
    "openaoc.tracing.kernels_shares",
    "openaoc.tracing.kernels_accounts",
    "openaoc.tracing.kernels_replay",
    "openaoc.tracing.kernels",
)
"""Every function in them is a kernel; a module uses only those before it."""


SOURCES: Final = (
    "openaoc.ledger.arrays",
    "openaoc.tracing.model",
    "openaoc.tracing.scratch",
    "openaoc.tracing.compiled",
)
"""What else the compiled code depends on."""


class Kernels(NamedTuple):
    """The two entrances: see `kernels.walk` and `kernels_replay.replay`."""

    walk: Callable[..., int]
    replay: Callable[..., int]


_lock = threading.Lock()
_done: list[Kernels] = []


def is_compiled() -> bool:
    """Whether this process has the compiled kernels already."""
    return bool(_done)


def plain() -> Kernels:
    """The kernels as they are now: interpreted, unless they were compiled."""
    walk = importlib.import_module(MODULES[-1]).walk
    return Kernels(walk, importlib.import_module(MODULES[-2]).replay)


def compiled() -> Kernels:
    """The kernels compiled; from the cache on disk when they were compiled before.

    Puts the compiled functions in the place of the plain ones in their modules, so that each finds
    the others compiled.
    """
    if _done:
        return _done[0]
    with _lock:
        if not _done:
            _replace()
            _done.append(plain())
    return _done[0]


def _replace() -> None:
    from numba.core import config

    settings: Any = config
    usual = settings.CACHE_DIR
    if not usual:
        settings.CACHE_DIR = str(_cache_folder())
    try:
        _compile_all()
    finally:
        settings.CACHE_DIR = usual


def _cache_folder() -> Path:
    """Where the compiled kernels are kept: another folder whenever any of their sources changes.

    The compiler looks at a function's own file only; a kernel holds the code of many.
    """
    sources = [importlib.import_module(name).__file__ for name in (*SOURCES, *MODULES)]
    digest = hashlib.blake2b(digest_size=8)
    for source in sources:
        digest.update(Path(str(source)).read_bytes())
    beside = Path(__file__).parent / "__pycache__"
    own = os.access(beside if beside.is_dir() else beside.parent, os.W_OK)
    folder = beside if own else Path.home() / ".cache" / "openaoc"
    return folder / f"kernels-{digest.hexdigest()}"


def _compile_all() -> None:
    from numba import njit

    from openaoc.tracing import kernels_memory

    modules = [importlib.import_module(name) for name in MODULES]
    fast: dict[object, object] = {
        kernels_memory.uncounted: _view_without_owner(),
        kernels_memory.soon: _load_early(),
    }
    for module in modules:
        for name, value in list(vars(module).items()):
            if not isinstance(value, FunctionType) or not value.__module__.startswith(MODULES):
                continue
            if value not in fast:
                assert value.__module__ == module.__name__, f"{name} is used before its module"
                entrance = value.__name__ in Kernels._fields
                fast[value] = njit(cache=True, nogil=True, forceinline=not entrance)(value)
            setattr(module, name, fast[value])


def _view_without_owner() -> object:
    """In compiled code: the same array, owned by nobody, so that nothing is counted."""
    from numba.core import cgutils
    from numba.extending import intrinsic

    @intrinsic
    def uncounted(_context: Any, array: Any) -> Any:
        def view(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            made = context.make_array(signature.args[0])(context, builder, value=values[0])
            nobody: Any = cgutils.get_null_value
            made.meminfo, made.parent = nobody(made.meminfo.type), nobody(made.parent.type)
            return made._getvalue()  # noqa: SLF001 - numba's way to end a struct

        return array(array), view

    return uncounted


def _load_early() -> object:
    """In compiled code: a hint to the processor to fetch one place of an array."""
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    tools: Any = cgutils

    @intrinsic
    def soon(_context: Any, array: Any, _place: Any) -> Any:
        def hint(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            made = context.make_array(signature.args[0])(context, builder, value=values[0])
            pointer, number = tools.voidptr_t, tools.int32_t
            kind = tools.ir.FunctionType(tools.ir.VoidType(), [pointer, number, number, number])
            fetch = tools.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            at = builder.bitcast(builder.gep(made.data, [values[1]]), pointer)
            builder.call(fetch, [at, number(0), number(3), number(1)])  # to read, keep, as data
            return context.get_dummy_value()

        return types.none(array, types.intp), hint

    return soon
