"""Stage tracing: the kernels as plain functions, and the same functions compiled.

One source, two ways to run it: a command that follows a few transfers is done before a compiler
is loaded; the centre compiles once and keeps the result on disk.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Final, NamedTuple

MODULES: Final = (
    "openaoc.tracing.kernels_common",
    "openaoc.tracing.kernels_lots",
    "openaoc.tracing.kernels_shares",
    "openaoc.tracing.kernels_accounts",
    "openaoc.tracing.kernels_replay",
    "openaoc.tracing.kernels",
)
"""Every function in them is a kernel; a module uses only those before it."""


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
    from numba import njit

    modules = [importlib.import_module(name) for name in MODULES]
    fast: dict[FunctionType, object] = {}
    for module in modules:
        for name, value in list(vars(module).items()):
            if not isinstance(value, FunctionType) or not value.__module__.startswith(MODULES):
                continue
            if value not in fast:
                assert value.__module__ == module.__name__, f"{name} is used before its module"
                fast[value] = njit(cache=True, nogil=True)(value)
            setattr(module, name, fast[value])
