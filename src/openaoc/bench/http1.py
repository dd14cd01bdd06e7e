"""Bench: HTTP/1.1 over plain sockets, so cheap that a measurement measures the other side.

Keeps connections alive and sends prepared bytes; knows bodies with a length only.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from typing import Final, NamedTuple

RECEIVE_BYTES: Final = 1 << 18
HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length:"


class Message(NamedTuple):
    """A request or a response; `status` is a response's."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.head[9:12])


class Connection:
    """One socket, non-blocking; calls `on_message` with each whole message that comes."""

    def __init__(
        self, sock: socket.socket, on_message: Callable[[Connection, Message], None]
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.on_message = on_message
        self._in = bytearray()
        self._out = bytearray()

    def send(self, data: bytes) -> None:
        """Send now what the socket takes, and keep the rest for `write`."""
        self._out += data
        self.write()

    def write(self) -> None:
        """Send what is left."""
        while self._out:
            try:
                del self._out[: self.sock.send(self._out)]
            except BlockingIOError:
                return

    @property
    def unsent(self) -> bool:
        """Whether something waits for the socket."""
        return bool(self._out)

    def read(self) -> bool:
        """Take what came; whether the connection is still open."""
        try:
            data = self.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self._in += data
        while (message := self._whole()) is not None:
            self.on_message(self, message)
        return bool(data)

    def _whole(self) -> Message | None:
        end = self._in.find(HEAD_END)
        if end < 0:
            return None
        head = bytes(self._in[:end])
        place = head.lower().find(LENGTH)
        length = 0 if place < 0 else int(head[place + len(LENGTH) :].split(b"\r", 1)[0])
        start = end + len(HEAD_END)
        if len(self._in) < start + length:
            return None
        body = bytes(self._in[start : start + length])
        del self._in[: start + length]
        return Message(head, body)


class Loop:
    """Many connections in one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def connect(
        self, address: tuple[str, int], on_message: Callable[[Connection, Message], None]
    ) -> Connection:
        """A new connection to a server."""
        connection = Connection(socket.create_connection(address), on_message)
        self._selector.register(connection.sock, selectors.EVENT_READ, connection)
        return connection

    def listen(self, on_message: Callable[[Connection, Message], None]) -> int:
        """A server on a free port of this machine; the port."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, on_message)
        return int(listener.getsockname()[1])

    def watch(self, descriptor: int, call: Callable[[], None]) -> None:
        """Call when this descriptor has something to read."""
        self._selector.register(descriptor, selectors.EVENT_READ, (call,))

    def turn(self, seconds: float) -> None:
        """Handle what happens within this time, and return after the first of it."""
        for key, events in self._selector.select(max(seconds, 0.0)):
            owner = key.data
            if isinstance(owner, Connection):
                if events & selectors.EVENT_READ and not owner.read():
                    self._selector.unregister(owner.sock)
                    owner.sock.close()
                    continue
                if events & selectors.EVENT_WRITE:
                    owner.write()
                self._want(owner)
            elif isinstance(owner, tuple):
                owner[0]()
            else:
                assert isinstance(key.fileobj, socket.socket), "a listener"
                accepted, _ = key.fileobj.accept()
                connection = Connection(accepted, owner)
                self._selector.register(accepted, selectors.EVENT_READ, connection)

    def send(self, connection: Connection, data: bytes) -> None:
        """Send, now or as soon as the socket takes it."""
        connection.send(data)
        self._want(connection)

    def _want(self, connection: Connection) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        if self._selector.get_key(connection.sock).events != events:
            self._selector.modify(connection.sock, events, connection)


def request(method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A whole request as it goes over the wire."""
    named = {"Host": "centre", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


class Sender:
    """Sends prepared requests at fixed moments, whether or not earlier ones were answered."""

    def __init__(self, address: tuple[str, int], *, connections_max: int) -> None:
        self._loop = Loop()
        self._address = address
        self._connections_max = connections_max
        self._idle: list[Connection] = []
        self._opened = 0
        self._number: dict[Connection, int] = {}
        self._responses: dict[int, tuple[int, Message]] = {}

    def run(
        self, prepared: list[bytes], *, rate: int, start_ns: int, wait_seconds: float
    ) -> dict[int, tuple[int, Message]]:
        """By number: when the response was whole (monotonic, ns) and what it was.

        Request n goes out at start + n / rate, later where no connection is free. Gives up
        `wait_seconds` after the last was due.
        """
        last = start_ns + len(prepared) * 1_000_000_000 // rate
        following = 0
        while len(self._responses) < len(prepared):
            now = time.monotonic_ns()
            if now > last + wait_seconds * 1e9:
                break
            while following < len(prepared) and start_ns + following * 1_000_000_000 // rate <= now:
                connection = self._free()
                if connection is None:
                    break
                self._number[connection] = following
                self._loop.send(connection, prepared[following])
                following += 1
            due = start_ns + following * 1_000_000_000 // rate
            self._loop.turn(min(max(due - now, 0) / 1e9, 0.05) or 0.001)
        return self._responses

    def _free(self) -> Connection | None:
        if self._idle:
            return self._idle.pop()
        if self._opened >= self._connections_max:
            return None
        self._opened += 1
        return self._loop.connect(self._address, self._answered)

    def _answered(self, connection: Connection, message: Message) -> None:
        self._responses[self._number.pop(connection)] = (time.monotonic_ns(), message)
        self._idle.append(connection)
