"""The institutions' process against a centre of straw: feed, reports, orders, signed answers."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import httpx
import msgspec
import pytest

from openaoc.channels.model import Delivery, Message
from openaoc.channels.signing import HEADER, Jwks, new_signing_key, verify
from openaoc.holds.model import Answer
from openaoc.kernel.clock import SystemClock
from openaoc.ledger.table import parse_transfers
from openaoc.reports.model import Report, ReportReceipt
from openaoc.simulation import couriers, errands
from openaoc.simulation.centre import ARROW
from openaoc.simulation.credentials import (
    Credentials,
    InstitutionCredentials,
    load_credentials,
    save_credentials,
)
from openaoc.simulation.desk import Desk
from openaoc.simulation.endpoint import CentreKeys, Door, Endpoint
from openaoc.simulation.institutions import InstitutionsProcess, ProcessFigures
from openaoc.simulation.nation import Nation
from openaoc.workflow.confirming import PAYMENT_CONFIRM
from openaoc.workflow.control import CONTROL_CHECK
from tests.simulation.nations import SEED, open_nation
from tests.simulation.orders import CENTRE_KEY, delivery, order, signature

PATIENCE_S = 60.0
KEYS = {code: new_signing_key(kid=f"key-{code}") for code in ("BANK1", "BANK2", "WALLET1")}


class Straw(ThreadingHTTPServer):
    """Takes what a centre takes, now and then says that it is busy, and remembers it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.rows: dict[str, int] = {}
        self.openings: set[str] = set()
        self.reports: list[Report] = []
        self.answers: dict[str, Answer] = {}
        self.told: list[tuple[str, str, str | None, bytes]] = []
        """Path, key, case secret and body of what is said of a report later."""
        self.standing: Literal["automatic", "needs_person"] = "automatic"
        self.refused = 0
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Straw

    def do_GET(self) -> None:
        self._reply(200, msgspec.json.encode(Jwks(keys=[CENTRE_KEY.public()])))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.asked += 1
            if self.server.asked % 5 == 0:
                self._reply(503, b"{}")
                return
            self._take(body)

    def _take(self, body: bytes) -> None:
        centre, key = self.server, self.headers["Authorization"].removeprefix("Bearer ")
        if not self.headers["Idempotency-Key"]:
            self._reply(400, b"{}")
        elif self.path == "/v1/ledger/accounts":
            centre.openings.add(key)
            self._reply(201, b'{"accounts":1}')
        elif self.path == "/v1/ledger/transfers":
            name = self.headers["Idempotency-Key"]
            centre.rows[name] = parse_transfers(body, ARROW).table.num_rows
            self._reply(201, b"{}")
        elif self.path == "/v1/reports":
            centre.reports.append(msgspec.json.decode(body, type=Report))
            receipt = _receipt(len(centre.reports), centre.standing)
            self._reply(201, msgspec.json.encode(receipt))
        elif self.path.startswith("/v1/cases/"):
            centre.told.append((self.path, key, self.headers["OpenAOC-Case-Secret"], body))
            self._reply(200, b"{}")
        elif match := re.fullmatch(r"/v1/holds/(\w+)/answers", self.path):
            signer = KEYS[key].public()
            verify(
                body,
                header=self.headers[HEADER],
                keys={signer.kid: signer},
                method="POST",
                path=self.path,
                now=SystemClock().now(),
            )
            centre.answers[match.group(1)] = msgspec.json.decode(body, type=Answer)
            self._reply(200, b"{}")
        else:
            centre.refused += 1
            self._reply(404, b"{}")

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # inherited name
        """Quiet."""


def _receipt(number: int, standing: Literal["automatic", "needs_person"]) -> ReportReceipt:
    return ReportReceipt(
        case=f"AOC-{number}",
        secret="",
        mode="live",
        standing=standing,
        payments=[],
        located_minor=0,
        exited_minor=0,
        orders=[],
    )


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


@pytest.fixture
def straw() -> Iterator[Straw]:
    server = Straw()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def seen(process: InstitutionsProcess) -> ProcessFigures:
    return msgspec.json.decode(process.figures(), type=ProcessFigures)


def credentials(url: str) -> Credentials:
    known = {
        code: InstitutionCredentials(
            api_key=code, kid=key.kid, secret=base64.b64encode(key.secret_bytes()).decode()
        )
        for code, key in KEYS.items()
    }
    return Credentials(centre=url, institutions=known, hotline_key="hotline")


def test_the_institutions_feed_report_block_and_answer(tmp_path: Path, straw: Straw) -> None:
    clock = SystemClock()
    nation: Nation = open_nation(tmp_path, clock, speed=1_800)
    desk = Desk(nation, seed=SEED, clock=clock)
    process = InstitutionsProcess(nation, desk, clock=clock, folder=tmp_path)
    codes = frozenset(nation.population.codes)
    server = Endpoint(process, codes=codes, door=Door(CentreKeys(straw.url), clock), port=0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    life = threading.Thread(target=process.run, daemon=True)
    life.start()
    wait_for(lambda: process.phase == "waiting")
    other = [code for code in codes if code not in KEYS]
    with nation.store.writing() as sql:
        sql.executemany("DELETE FROM feed WHERE institution = ?", [(code,) for code in other])
    save_credentials(tmp_path, credentials(straw.url))
    try:
        wait_for(lambda: process.phase == "live" and len(straw.reports) > 3)
        assert straw.openings == set(KEYS)
        wait_for(lambda: sum(list(straw.rows.values())) > 1_000)
        account = next(
            int(index)
            for index in nation.population.wage_payers
            if nation.population.codes[nation.population.institution[index]] in KEYS
        )
        asked = order(nation.population, account, 12_345, now=clock.now())
        path = f"/{asked.institution}/v1/holds"
        body = delivery(asked)

        def sent() -> bool:
            header = signature(body, institution=asked.institution, path=path, now=clock.now())
            address = f"http://127.0.0.1:{server.port}{path}"
            with httpx.Client(timeout=PATIENCE_S, trust_env=False) as client:
                reply = client.post(address, content=body, headers={HEADER: header})
            return reply.status_code == 202

        wait_for(sent)
        wait_for(lambda: "ord_1" in straw.answers)
        assert straw.answers["ord_1"].applied_minor == 12_345
        assert nation.books.blocked[account] == 12_345
        wait_for(lambda: seen(process).couriers.applied)
        shown = seen(process)
        assert shown.couriers.applied == 1
        assert shown.orders_blocking == 1
        assert shown.nation.held_minor == 12_345
        assert shown.couriers.feed_refused == 0
        assert straw.refused == 0
    finally:
        process.stop.set()
        life.join(PATIENCE_S)
        server.shutdown()
        server.server_close()
        nation.close()
    assert not life.is_alive()


def question(kind: str, **body: object) -> bytes:
    """A delivery of one message that is no order."""
    message = Message(
        id="msg_1", kind=kind, idempotency_key=kind, body=msgspec.Raw(msgspec.json.encode(body))
    )
    return msgspec.json.encode(Delivery(messages=[message]))


def test_the_payers_bank_confirms_and_the_holder_gives_the_code_back(
    tmp_path: Path, straw: Straw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errands, "MEAN_S", dict.fromkeys(errands.MEAN_S, 0.01))
    monkeypatch.setattr(errands, "SHARE", dict.fromkeys(errands.SHARE, 1.0))
    monkeypatch.setattr(couriers, "SEES_THROUGH", 0.0)
    clock = SystemClock()
    straw.standing = "needs_person"
    nation: Nation = open_nation(tmp_path, clock, speed=1_800)
    desk = Desk(nation, seed=SEED, clock=clock)
    stop = threading.Event()
    carry = couriers.Couriers(nation, desk, credentials(straw.url), clock=clock, stop=stop)
    case, secret = "AOC-7", "s7"
    try:
        carry.start_reports()
        desk.take_in("BANK1", question(CONTROL_CHECK, **control(case)))
        desk.take_in("BANK1", question(PAYMENT_CONFIRM, case=case))
        desk.take_in("BANK1", question("suspicion.notice", case=case))
        wait_for(lambda: desk.work() == 0 and desk.orders.counts()[1] == 0)
        assert straw.told == [], "the victim has no receipt yet"
        desk.errands.note_case(case, errands.KnownCase(3, secret))
        desk.errands.add(
            "ask", institution="", kind=errands.ASK_CODES, case=case, body=b"", due_us=0
        )
        wait_for(lambda: len(straw.told) == 3)
        wait_for(lambda: (carry.figures.confirmed, carry.figures.proven) == (1, 1))
    finally:
        stop.set()
        carry.join(timeout_s=5)
        nation.close()
    assert set(straw.told) == {
        ("/v1/cases/AOC-7/confirmation", "BANK1", None, b"{}"),
        ("/v1/cases/AOC-7/control-checks", "hotline", secret, b""),
        ("/v1/cases/AOC-7/control", "hotline", secret, b'{"code":"12345678"}'),
    }


def control(case: str) -> dict[str, object]:
    """What a bank shows to its customer, as the centre sends it."""
    return {
        "check": "chk_1",
        "case": case,
        "institution": "BANK1",
        "account": "1",
        "code": "12345678",
        "text": {"th": "ก", "en": "a"},
        "issued_at": "2026-01-19T00:00:00Z",
        "ends_at": "2026-01-19T00:15:00Z",
    }


def test_keys_are_kept_in_a_file_of_the_owner_alone(tmp_path: Path) -> None:
    assert load_credentials(tmp_path) is None
    save_credentials(tmp_path, credentials("http://127.0.0.1:1"))
    save_credentials(tmp_path, credentials("http://127.0.0.1:2"))
    found = load_credentials(tmp_path)
    assert found is not None
    assert found.centre.endswith(":2")
    assert found.institutions["BANK1"].signing_key().public() == KEYS["BANK1"].public()
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert "secret" not in repr(found)
