"""Continuity: how an operator's command reaches the running centre: a socket in its data folder.

Only who may open the socket's file is heard: the user the centre runs as, and root. Over the
network nobody is, whatever key they have: a backup holds every transfer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from openaoc.kernel.errors import NotFound, OpenAOCError, Unavailable

SOCKET_NAME: Final = "control.sock"
REQUEST_BYTES_MAX: Final = 64 << 10
ANSWER_BYTES_MAX: Final = 1 << 20
CALLERS_MAX: Final = 8
CONNECT_SECONDS_MAX: Final = 5.0
SILENCE_SECONDS_MAX: Final = 10.0
"""A caller that asks nothing for so long, or takes no answer, is left: it keeps others out."""
_LOG = structlog.get_logger(__name__)

Say = Callable[[str], None]
Verb = Callable[[msgspec.Raw, Say], object]
"""Takes the request's arguments and a way to tell progress; returns the result."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call: a verb and its arguments."""

    verb: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What comes back, one a line: progress, and at the end a result or an error."""

    progress: str = ""
    result: msgspec.Raw = msgspec.Raw(b"")
    error: str = ""
    code: str = ""


class FromControl(OpenAOCError):
    """The centre refused."""

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail)
        self._code = code

    @property
    def code(self) -> str:
        """The centre's own name for the error."""
        return self._code


class ControlServer:
    """Listens in the data folder while the process runs."""

    def __init__(self, data: Path, verbs: Mapping[str, Verb]) -> None:
        self._data = data
        self._verbs = dict(verbs)
        self._listener: socket.socket | None = None
        self._slots = threading.BoundedSemaphore(CALLERS_MAX)

    def start(self) -> None:
        """Begin to listen. Raises Unavailable when the folder takes no socket."""
        path = self._data / SOCKET_NAME
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short_name(path) as name:
                listener.bind(name)
            path.chmod(0o600)
            listener.listen(CALLERS_MAX)
        except OSError as error:
            listener.close()
            raise Unavailable(f"no control socket: {error.strerror}", where=str(path)) from error
        self._listener = listener
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def stop(self) -> None:
        """Hear nobody any more. Safe to call twice."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            (self._data / SOCKET_NAME).unlink(missing_ok=True)

    def finish(self, seconds_max: float) -> bool:
        """After `stop`: wait until everybody who asked has their answer; whether they have."""
        until = time.monotonic() + seconds_max
        taken = [
            self._slots.acquire(timeout=max(0.0, until - time.monotonic()))
            for _ in range(CALLERS_MAX)
        ]
        for _ in filter(None, taken):
            self._slots.release()
        return all(taken)

    def _accept(self) -> None:
        while True:
            listener = self._listener
            if listener is None:
                return
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            if not self._slots.acquire(blocking=False):
                caller.close()
                continue
            threading.Thread(target=self._serve, args=(caller,), name="control-call").start()

    def _serve(self, caller: socket.socket) -> None:
        try:
            caller.settimeout(SILENCE_SECONDS_MAX)
            with caller, caller.makefile("rwb") as stream:
                self._answer(caller, stream)
        except OSError as error:
            _LOG.info("continuity.control.gone", error=type(error).__name__)
        finally:
            self._slots.release()

    def _verb(self, name: str) -> Verb:
        verb = self._verbs.get(name)
        if verb is None:
            raise NotFound(f"this process does not know {name!r}")
        return verb

    def _answer(self, caller: socket.socket, stream: Any) -> None:
        def send(line: Line) -> None:
            stream.write(msgspec.json.encode(line) + b"\n")
            stream.flush()

        if _user_of(caller) not in (0, os.geteuid()):
            send(Line(error="only the centre's own user is heard", code="refused"))
            return
        try:
            request = msgspec.json.decode(stream.readline(REQUEST_BYTES_MAX), type=Request)
            result = self._verb(request.verb)(
                request.arguments, lambda text: send(Line(progress=text))
            )
            send(Line(result=msgspec.Raw(msgspec.json.encode(result))))
        except OpenAOCError as error:
            send(Line(error=str(error), code=error.code))
        except msgspec.MsgspecError as error:
            send(Line(error=str(error), code="bad-input"))
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - the caller is told, the centre lives on
            _LOG.exception("continuity.control.failed")
            send(Line(error=f"unexpected: {type(error).__name__}", code="unexpected"))


def _user_of(caller: socket.socket) -> int:
    """The user at the other end; ourselves where the system does not tell: the mode decides."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return os.geteuid()
    raw = caller.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])


@contextlib.contextmanager
def _short_name(path: Path) -> Iterator[str]:
    """A name of the path that is short enough for a socket: through the folder's descriptor."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        near = f"/proc/self/fd/{descriptor}/{path.name}"
        yield near if Path("/proc/self/fd").is_dir() else str(path)
    finally:
        os.close(descriptor)


def is_running(data: Path) -> bool:
    """Whether a process listens in that data folder."""
    with contextlib.suppress(OSError), _connected(data):
        return True
    return False


@contextlib.contextmanager
def _connected(data: Path) -> Iterator[socket.socket]:
    path = data / SOCKET_NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(CONNECT_SECONDS_MAX)
        with _short_name(path) as name:
            caller.connect(name)
        caller.settimeout(None)
        yield caller


def call(
    data: Path, verb: str, arguments: object = None, *, progress: Say = lambda _: None
) -> msgspec.Raw:
    """The result of a verb of the process that runs on the data folder.

    Raises Unavailable when none does, FromControl with its reason.
    """
    try:
        with _connected(data) as caller, caller.makefile("rwb") as stream:
            raw = msgspec.Raw(msgspec.json.encode(arguments if arguments is not None else {}))
            stream.write(msgspec.json.encode(Request(verb=verb, arguments=raw)) + b"\n")
            stream.flush()
            while True:
                text = stream.readline(ANSWER_BYTES_MAX)
                if not text:
                    raise Unavailable("the centre ended before it answered", where=str(data))
                line = msgspec.json.decode(text, type=Line)
                if line.error:
                    raise FromControl(line.error, line.code)
                if bytes(line.result):
                    return line.result
                progress(line.progress)
    except OSError as error:
        raise Unavailable("no centre runs on this data folder", where=str(data)) from error
