"""CLI: logs as lines on stderr: JSON for machines, plain on a terminal. No personal data.

Of an unexpected error the kind and the places are written, never its message: a database's message
may quote a row.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from openaoc.kernel.errors import OpenAOCError

FRAMES_MAX: Final = 12


def _places(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace exc_info by the error's kind and where it went through."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()[1]
    elif isinstance(info, tuple):
        info = info[1]
    if isinstance(info, BaseException):
        event["error_kind"] = type(info).__name__
        if isinstance(info, OpenAOCError):
            event["error_text"] = str(info)[:200]
        frames = traceback.extract_tb(info.__traceback__)[-FRAMES_MAX:]
        event["places"] = [f"{f.filename.rpartition('/src/')[2]}:{f.lineno}" for f in frames]
    return event


def configure(*, level: str = "info") -> None:
    """Send all logs to stderr. Libraries may warn; their chatter stays away."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _places,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
