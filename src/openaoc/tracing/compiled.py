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

from numpy.typing import NDArray

from openaoc.tracing.scratch import Given

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


VIEWS: Final = "openaoc.tracing.views"
SOURCES: Final = (
    VIEWS,
    "openaoc.ledger.kernels_memory",
    "openaoc.ledger.arrays",
    "openaoc.tracing.model",
    "openaoc.tracing.scratch",
    "openaoc.tracing.compiled",
)
"""What else the compiled code depends on."""


class Kernels(NamedTuple):
    """The two entrances: see `kernels.walk` and `kernels_replay.replay`.

    `given` makes of a tuple of arrays what they take for it.
    """

    walk: Callable[..., int]
    replay: Callable[..., int]
    given: Given


_lock = threading.Lock()
_done: list[Kernels] = []


def is_compiled() -> bool:
    """Whether this process has the compiled kernels already."""
    return bool(_done)


def plain() -> Kernels:
    """The kernels interpreted; not after they were compiled."""
    assert not _done, "the compiled kernels stand in their place"
    return _entrances(_itself)


def _entrances(given: Given) -> Kernels:
    walk = importlib.import_module(MODULES[-1]).walk
    return Kernels(walk, importlib.import_module(MODULES[-2]).replay, given)


def _itself(arrays: tuple[NDArray[Any], ...]) -> object:
    return arrays


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
            _done.append(_entrances(importlib.import_module(VIEWS).note_of))
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

    from openaoc.ledger import kernels_memory as compiler
    from openaoc.tracing import kernels_memory as plainly
    from openaoc.tracing import views

    modules = [importlib.import_module(name) for name in MODULES]
    fast: dict[object, object] = {
        plainly.ledger_at: views.ledger_at,
        plainly.scratch_at: views.scratch_at,
        plainly.books_at: views.books_at,
        plainly.uncounted: compiler.uncounted,
        plainly.soon: compiler.soon,
    }
    for module in modules:
        for name, value in list(vars(module).items()):
            if not isinstance(value, FunctionType) or not value.__module__.startswith(MODULES):
                continue
            if value not in fast:
                assert value.__module__ == module.__name__, f"{name} is used before its module"
                entrance = value.__name__ in Kernels._fields[:-1]
                fast[value] = njit(cache=True, nogil=True, forceinline=not entrance)(value)
            setattr(module, name, fast[value])
