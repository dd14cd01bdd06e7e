"""CLI: `openaoc serve`: start a centre, say where it is, run until SIGTERM or Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Final

import rich_click as click

from openaoc.cli.output import json_option, note, say, show_json
from openaoc.kernel.errors import Conflict, Unavailable
from openaoc.kernel.interpreter import suit_end, suit_interpreter
from openaoc.kernel.settings import Settings

BACKLOG: Final = 2048
KEEP_ALIVE_SECONDS: Final = 30
STOP_SECONDS_MAX: Final = 20
CONNECTIONS_MAX: Final = 2_000
"""Beyond it new requests get 503 at once: the machine keeps its memory."""


REQUEST_THREADS: Final = 128
"""Requests at work at once: most of them sleep until their transaction, shared, is on disk."""


class PortInUse(Conflict):
    """Something else listens there."""


@click.command(help="Run the centre.")
@click.option("--host", help="Address to listen on; default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; default 8441, 0 for a free one.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where the centre keeps its data."
)
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
)
@json_option
def command(
    host: str | None, port: int | None, data_dir: Path | None, log_level: str, *, as_json: bool
) -> None:
    """Run the centre until it is told to stop; a second start continues where this one ended."""
    from openaoc.cli.logs import configure
    from openaoc.kernel.settings import load_settings, unknown_variables

    configure(level=log_level)
    environ = dict(os.environ)
    for told in unknown_variables(environ):
        note(told)
    if data_dir is not None:
        environ["OPENAOC_DATA_DIR"] = str(data_dir.absolute())
    if host is not None:
        environ["OPENAOC_HOST"] = host
    if port is not None:
        environ["OPENAOC_PORT"] = str(port)
    run(load_settings(environ), as_json=as_json)


def run(settings: Settings, *, as_json: bool = False) -> None:
    """Listen first, so that a port in use is found before anything is started; then serve."""
    import uvicorn
    from litestar.concurrency import set_asyncio_executor

    from openaoc.api.app import build_app
    from openaoc.api.heads import with_heads
    from openaoc.bootstrap import build_centre
    from openaoc.public.missing import missing_page
    from openaoc.public.routes import ROUTES

    with listening(settings) as listener, clean_signals() as started:
        settings = at(listener, settings)
        centre = build_centre(settings)
        app = with_heads(build_app(centre, pages=ROUTES, missing=missing_page))
        centre.start()
        try:
            config = uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS_MAX,
                limit_concurrency=CONNECTIONS_MAX,
                backlog=BACKLOG,
            )
            server = uvicorn.Server(config)
            suit_interpreter()
            set_asyncio_executor(ThreadPoolExecutor(REQUEST_THREADS, thread_name_prefix="request"))
            started(server.handle_exit)
            announce(settings, key_file=centre.key_file, as_json=as_json)
            server.run(sockets=[listener])
        finally:
            centre.stop()
            suit_end()


Ending = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def clean_signals() -> Iterator[Callable[[Ending], None]]:
    """SIGTERM and SIGINT end the start like Ctrl-C; once serving, they end it cleanly.

    Call what this yields with the server's own way to end, when the start is over and before it is
    said: a signal before the server listens for them, or one it raises again when it has ended,
    must neither be lost nor cut off the rest of the stop.
    """
    end: list[Ending] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if not end:
            raise KeyboardInterrupt(signal.Signals(number).name)
        end[-1](number, frame)

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield end.append
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listening(settings: Settings) -> socket.socket:
    """A bound socket. Raises PortInUse, or Unavailable for an address that is not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        place = f"{settings.host}:{settings.port}"
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                "something else listens there; stop it, or choose another with --port", where=place
            ) from error
        raise Unavailable(error.strerror or "cannot listen", where=place) from error
    listener.set_inheritable(True)
    return listener


def at(listener: socket.socket, settings: Settings) -> Settings:
    """With the port that was found where a free one was asked for: others are told of it."""
    import msgspec

    return msgspec.structs.replace(settings, port=listener.getsockname()[1])


def announce(settings: Settings, *, key_file: Path, as_json: bool) -> None:
    """Say where the centre is and where its first key lies."""
    url = settings.base_url
    if as_json:
        show_json({"url": url, "administrator_key_file": str(key_file), "pid": os.getpid()})
        return
    say(f"OpenAOC on {url}")
    say(f"data in {settings.data_path}")
    if key_file.exists():
        say(f"the administrator's key is in {key_file}")
