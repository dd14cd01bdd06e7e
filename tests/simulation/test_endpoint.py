"""The institutions' endpoint takes only what the centre has signed for them, once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from openaoc.channels.signing import HEADER, PublicJwk, new_signing_key, sign
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput
from openaoc.simulation.endpoint import CentreKeys, Door, Endpoint
from tests.simulation.orders import CENTRE_KEY, signature

PATH = "/BANK1/v1/holds"
BODY = b'{"messages":[]}'
PATIENCE_S = 60.0


class Known(CentreKeys):
    """A centre's keys without a centre."""

    def current(self, *, again: bool = False) -> dict[str, PublicJwk]:
        del again
        return {CENTRE_KEY.kid: CENTRE_KEY.public()}


class Bank:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.up = True
        self.taken: list[tuple[str, bytes]] = []

    def reachable(self, institution: str) -> bool:
        assert institution in {"BANK1", "BANK2"}
        return self.up

    def from_next_door(self, body: bytes, token: str) -> None:
        raise AssertionError((body, token, "nobody is next door"))

    def take_in(self, institution: str, body: bytes) -> int:
        if body == b"nonsense":
            raise BadInput("not a delivery")
        self.taken.append((institution, body))
        return 1

    def figures(self) -> bytes:
        return b'{"fine":true}'


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def url(bank: Bank, clock: ManualClock) -> Iterator[str]:
    door = Door(Known(""), clock)
    server = Endpoint(bank, codes=frozenset({"BANK1", "BANK2"}), door=door, port=0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    server.server_close()


def post(url: str, body: bytes, header: str | None, path: str = PATH) -> int:
    headers = {HEADER: header} if header is not None else {}
    with httpx.Client(timeout=PATIENCE_S, trust_env=False) as client:
        return client.post(url + path, content=body, headers=headers).status_code


def test_a_signed_message_is_taken_once(url: str, bank: Bank, clock: ManualClock) -> None:
    header = signature(BODY, institution="BANK1", path=PATH, now=clock.now())
    assert post(url, BODY, header) == 202
    assert post(url, BODY, header) == 401
    assert bank.taken == [("BANK1", BODY)]


def test_forged_stale_and_misdirected_messages_are_refused(
    url: str, bank: Bank, clock: ManualClock
) -> None:
    now = clock.now()
    stranger = new_signing_key(kid=CENTRE_KEY.kid)
    forged = sign(BODY, key=stranger, method="POST", path=PATH, now=now, audience="BANK1")
    good = signature(BODY, institution="BANK1", path=PATH, now=now)
    stale = signature(BODY, institution="BANK1", path=PATH, now=now - timedelta(minutes=10))
    assert post(url, BODY, None) == 401
    assert post(url, BODY, "a..b") == 401
    assert post(url, BODY, forged) == 401
    assert post(url, BODY, stale) == 401
    assert post(url, BODY + b" ", good) == 401
    assert post(url, BODY, good, path="/BANK2/v1/holds") == 401
    assert post(url, BODY, good, path="/BANK9/v1/holds") == 404
    assert bank.taken == []


def test_an_institution_out_of_reach_says_nothing(url: str, bank: Bank, clock: ManualClock) -> None:
    bank.up = False
    header = signature(BODY, institution="BANK1", path=PATH, now=clock.now())
    assert post(url, BODY, header) == 503
    bank.up = True
    assert post(url, BODY, header) == 202


def test_what_is_no_delivery_is_refused_and_figures_are_shown(url: str, clock: ManualClock) -> None:
    header = signature(b"nonsense", institution="BANK1", path=PATH, now=clock.now())
    assert post(url, b"nonsense", header) == 400
    with httpx.Client(timeout=PATIENCE_S, trust_env=False) as client:
        assert client.get(f"{url}/figures").json() == {"fine": True}
        assert client.get(f"{url}/other").status_code == 404
