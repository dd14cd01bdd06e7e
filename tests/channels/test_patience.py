"""Nobody waits for who sends a byte now and then: not for a reply's head, nor for its body."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from openaoc.channels import transport
from openaoc.channels.patience import BoundedTransport
from openaoc.channels.transport import HttpTransport, NotReached
from tests.channels.institution import Stub, serving

HEAD = b"HTTP/1.1 200 OK\r\nX-Slow: "
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
PAUSE_S = 0.01
PATIENCE_S = 0.3


@contextlib.contextmanager
def trickling(begin: bytes) -> Iterator[str]:
    """The address of a server that begins so and goes on, byte by byte, until it is left."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while not ended.is_set():
                caller, _ = listener.accept()
                with caller, contextlib.suppress(OSError):
                    caller.recv(1 << 16)
                    caller.sendall(begin)
                    while not ended.wait(PAUSE_S):
                        caller.sendall(b"a")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        listener.close()


@pytest.mark.parametrize("begin", [HEAD, BODY], ids=["head", "body"])
def test_a_reply_that_trickles_in_is_not_waited_for(begin: bytes) -> None:
    bounded = BoundedTransport(seconds_max=PATIENCE_S)
    with (
        trickling(begin) as url,
        httpx.Client(transport=bounded, timeout=60, trust_env=False) as client,
    ):
        with pytest.raises(httpx.ReadTimeout):
            client.get(url)
        with pytest.raises(httpx.ReadTimeout):  # each has its own time
            client.get(url)


def test_an_institution_that_trickles_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with trickling(HEAD) as url, serving(Stub("KBANK")) as bank:
        patient = HttpTransport(connections_max=2)
        assert patient.post(bank.url, body=b'{"messages":[]}', headers={}).status == 202
        patient.close()
        monkeypatch.setattr(transport, "REPLY_SECONDS_MAX", PATIENCE_S)
        monkeypatch.setattr(transport, "CONNECT_SECONDS_MAX", PATIENCE_S)
        hasty = HttpTransport(connections_max=2)
        with pytest.raises(NotReached):
            hasty.post(url, body=b"{}", headers={})
        hasty.close()
