"""CLI: what goes to stdout and stderr: one JSON document with --json, else plain lines.

A failure is one line on stderr and exit code 1; with --json also an `error` document on stdout.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import rich_click as click

from openaoc.kernel.errors import OpenAOCError

REFUSED: Final = 1
DEBUG_VARIABLE: Final = "OPENAOC_DEBUG"
CONTEXT_KEY: Final = "openaoc.json"
LINE_CHARACTERS_MAX: Final = 1000

Command = TypeVar("Command", bound=Callable[..., object])


def json_option(command: Command) -> Command:
    """The option --json that every command has; handed over as `as_json`."""

    def remember(
        ctx: click.Context,
        _: click.Parameter,
        value: bool,  # noqa: FBT001 - click's callback
    ) -> bool:
        ctx.find_root().meta[CONTEXT_KEY] = value
        _state["json"] = value
        return value

    option: Callable[[Command], Command] = click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=remember,
        is_eager=True,
        help="One JSON document on stdout.",
    )
    return option(command)


_state: dict[str, bool] = {"json": False}


def say(line: str = "") -> None:
    """One line for a person on stdout."""
    click.echo(line)


def note(line: str) -> None:
    """One line for a person on stderr: progress, warnings."""
    click.echo(line, err=True)


@contextmanager
def working(what: str) -> Iterator[None]:
    """While this lasts a terminal shows what is being done and for how long; nothing elsewhere.

    On stderr, so that a document on stdout stays one. Gone when it is done.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=1,  # what is measured meanwhile is not to feel it
    ) as shown:
        shown.add_task(what, total=None)
        yield


def show_json(document: object) -> None:
    """One JSON document on stdout; structs, lists and plain values."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(document), indent=2)
    click.echo(text.decode("utf-8"))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under column names, aligned; numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    kept = [list(row) for row in rows]
    for place, name in enumerate(columns):
        numeric = bool(kept) and all(isinstance(row[place], int) for row in kept)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in kept:
        table.add_row(*("" if value is None else str(value) for value in row))
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False).print(table)


def reason_of(error: BaseException) -> str:
    """The one line a person reads."""
    text = str(error) if isinstance(error, OpenAOCError | OSError) else f"unexpected: {error!r}"
    return " ".join(text.split())[:LINE_CHARACTERS_MAX]


def report_error(error: BaseException) -> int:
    """Say why it failed; the exit code. OPENAOC_DEBUG=1 shows the trace of any error."""
    expected = isinstance(error, OpenAOCError | OSError)
    debug = bool(os.environ.get(DEBUG_VARIABLE))
    if debug:
        traceback.print_exception(error)
    if _state["json"]:
        code = error.code if isinstance(error, OpenAOCError) else "unexpected"
        show_json({"error": {"code": code, "detail": reason_of(error), **_rows_of(error)}})
    hint = "" if expected or debug else f" ({DEBUG_VARIABLE}=1 shows where)"
    click.echo(f"openaoc: {reason_of(error)}{hint}", err=True)
    return REFUSED


def _rows_of(error: BaseException) -> dict[str, Any]:
    rows = getattr(error, "rows", None)
    return {"rows": rows} if rows else {}
