"""Killed while money moves on: every move that was told is followed, and no order is doubled."""

from __future__ import annotations

import os
import random
import secrets
import signal
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from openaoc.channels.signing import PublicJwk
from openaoc.tracing.model import Claim, Rule
from openaoc.tracing.reference import trace_cases
from tests.channels.institution import Stub, serving
from tests.cli.server import Server, end_left_behind
from tests.cli.world import World, ndjson, post, report, shown, tell, transfer
from tests.workflow.pursuit_facts import Fact, Facts

CASES: Final = 12
LOSS_MINOR: Final = 1_000_000
PAUSE_SECONDS: Final = 0.02
FOLLOWED_SECONDS_MAX: Final = 120.0
ACKNOWLEDGED_SECONDS_MAX: Final = 120.0
WAITING: Final = ("issued", "acknowledged")


class Stream(threading.Thread):
    """Moves the cases' money on, all or half of what rests on an account, until told to stop."""

    def __init__(
        self, server: Server, key: str, origins: list[Fact], chance: random.Random
    ) -> None:
        super().__init__(daemon=True)
        self.server, self.key, self.chance = server, key, chance
        self.facts = Facts(known=list(origins))
        self.rests = [{str(fact.creditor): fact.amount} for fact in origins]
        self.told = len(origins)
        self.retries = 0
        self.stopping = threading.Event()
        self.problem: Exception | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self._tell([self._move() for _ in range(self.chance.randint(1, 3))])
                time.sleep(PAUSE_SECONDS)
        except Exception as error:  # noqa: BLE001 - told by the test at the end
            self.problem = error

    def _move(self) -> Fact:
        rests = self.rests[self.chance.randrange(CASES)]
        account = self.chance.choice(list(rests))
        amount = self.chance.choice([rests[account], max(rests[account] // 2, 1)])
        number = len(self.facts.known)
        leaves = self.chance.random() < 0.05 and len(rests) > 1
        away = None if leaves else f"{self.chance.choice(['SCB', 'BBL'])}:9{number:08}"
        moved = Fact(
            name=f"M-{number}",
            reporter=account.split(":", maxsplit=1)[0],
            at=datetime.now(UTC),
            debtor=account,
            creditor=away,
            amount=amount,
            channel="cash_withdrawal" if leaves else "transfer",
        )
        rests[account] -= amount
        if not rests[account]:
            del rests[account]
        if away:
            rests[away] = amount
        self.facts.known.append(moved)
        return moved

    def _tell(self, moves: list[Fact]) -> None:
        """Until it is acknowledged: the same batch under the same key."""
        body = ndjson(*({k: v for k, v in msgspec.to_builtins(one.row()).items() if v is not None}
                        for one in moves))  # fmt: skip
        headers = {
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": secrets.token_hex(8),
        }
        until = time.monotonic() + ACKNOWLEDGED_SECONDS_MAX
        while time.monotonic() < until:
            try:
                with self.server.client(self.key) as client:
                    answer = client.post("/v1/ledger/transfers", content=body, headers=headers)
            except httpx.TransportError:
                self.retries += 1
                time.sleep(5 * PAUSE_SECONDS)
                continue
            if answer.is_success:
                self.told += len(moves)
                return
            assert answer.status_code in (429, 503), answer.text
            self.retries += 1
            time.sleep(5 * PAUSE_SECONDS)
        raise AssertionError("a batch was never acknowledged")

    def expected(self) -> list[tuple[dict[str, int], int]]:
        """By case, from a replay of what was told: where its money rests, and what has left."""
        names = sorted({a for f in self.facts.known for a in (f.debtor, f.creditor) if a})
        traces = trace_cases(
            self.facts.arrays(names),
            [Claim(place, case=place) for place in range(CASES)],
            rule=Rule.FIFO,
        )
        return [
            (
                {names[item.account]: item.amount_minor for item in trace.located},
                sum(item.amount_minor for item in trace.exited),
            )
            for trace in traces
        ]


def crash_and_check(folder: Path, *, kills: int, seed: int) -> None:
    """Kill the server, and sometimes its PostgreSQL, while the money of open cases moves."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    server = Server(folder).start()
    try:
        with serving(Stub("SCB")) as one, serving(Stub("BBL")) as two:
            keys, cases, origins = _open(server, {"SCB": one, "BBL": two})
            stream = Stream(server, keys["feed"], origins, chance)
            stream.start()
            for turn in range(kills):
                enough = stream.told + chance.randint(1, 20)
                while stream.told < enough and stream.is_alive():
                    time.sleep(PAUSE_SECONDS)
                time.sleep(chance.uniform(0.0, 0.3))
                if turn % 4 == 3:
                    os.kill(server.postgres_pid(), signal.SIGKILL)
                    time.sleep(chance.uniform(0.0, 0.3))
                server.kill()
                server.start()
            stream.stopping.set()
            stream.join(ACKNOWLEDGED_SECONDS_MAX)
            assert not stream.is_alive()
            assert stream.problem is None, repr(stream.problem)
            assert stream.retries > 0, "the stream never met a dead server"
            with server.client(keys["administrator"]) as client:
                _check_followed(client, cases, stream)
                orders = _check_orders(client, cases, stream)
            _check_books([one, two], orders)
            verdict = server.run_json("journal", "verify")
            assert verdict["ok"], verdict
        assert server.stop() == 0
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop(signal.SIGKILL)
        end_left_behind(server)


def _open(server: Server, banks: dict[str, Stub]) -> tuple[dict[str, str], list[str], list[Fact]]:
    """Keys, cases with a loss that rests on a first account each, and the transfers of it."""
    world = World(server).fill(**{code: bank.url for code, bank in banks.items()})
    jwks = world.as_("nobody").get("/.well-known/jwks.json").json()
    for bank in banks.values():
        bank.keys = {jwk["kid"]: msgspec.convert(jwk, PublicJwk) for jwk in jwks["keys"]}
    rows = [
        transfer(f"{number:06}", amount_minor=LOSS_MINOR, reported_by="KBANK")
        for number in range(CASES)
    ]
    assert tell(world.as_("feed"), *rows).is_success
    cases = []
    for row in rows:
        answer = post(world.as_("KBANK-machine"), "/v1/reports", report(row))
        assert answer.status_code == 201, answer.text
        cases.append(answer.json()["case"])
    origins = [
        Fact(
            name=row["transfer_id"],
            reporter="KBANK",
            at=datetime.fromisoformat(row["booked_at"]),
            debtor=f"KBANK:{row['debtor_account']}",
            creditor=f"SCB:{row['creditor_account']}",
            amount=row["amount_minor"],
        )
        for row in rows
    ]
    keys = {name: world.keys[name] for name in ("feed", "administrator")}
    world.close()
    return keys, cases, origins


def _check_followed(client: httpx.Client, cases: list[str], stream: Stream) -> None:
    """Soon every case says what a replay of all that was told says."""
    expected = stream.expected()
    until = time.monotonic() + FOLLOWED_SECONDS_MAX
    found: list[tuple[dict[str, int], int]] = []
    while time.monotonic() < until and found != expected:
        time.sleep(0.2)
        found = []
        for case in cases:
            view = shown(client, case)
            rests = {f"{p['bank']}:{p['account']}": p["amount_minor"] for p in view["located"]}
            found.append((rests, view["exited_minor"]))
            assert view["conserved"], case
    assert found == expected


def _check_orders(
    client: httpx.Client, cases: list[str], stream: Stream
) -> dict[str, dict[str, Any]]:
    """One order for each account where money rests, of what rests there; none elsewhere."""
    orders: dict[str, dict[str, Any]] = {}
    cursor: str | None = None
    while True:
        query = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/holds", params=query).json()
        orders |= {order["order"]: order for order in page["orders"]}
        cursor = page["cursor"]
        if cursor is None:
            break
    accounts = Counter((order["case"], order["account"]) for order in orders.values())
    assert max(accounts.values()) == 1, "an account ordered twice"
    for case, (rests, _) in zip(cases, stream.expected(), strict=True):
        asked = {
            f"{order['institution']}:{order['account']}": order["amount_minor"]
            for order in orders.values()
            if order["case"] == case and order["state"] in WAITING
        }
        assert asked == rests, case
    assert {order["state"] for order in orders.values()} <= {*WAITING, "withdrawn"}
    return orders


def _check_books(banks: list[Stub], orders: dict[str, dict[str, Any]]) -> None:
    """What the banks were told, each message once, is what the centre believes they were asked."""
    until = time.monotonic() + FOLLOWED_SECONDS_MAX
    waiting = {name: o["amount_minor"] for name, o in orders.items() if o["state"] in WAITING}
    asked: dict[str, int] = {}
    while time.monotonic() < until and asked != waiting:
        time.sleep(0.2)
        asked = {}
        for bank in banks:
            told = list(bank.effects.values())
            ended = {m["body"]["order"] for m in told if m["kind"] == "hold.withdrawal"}
            holds = [m["body"] for m in told if m["kind"] == "hold.order"]
            for body in sorted(holds, key=lambda body: body["revision"]):
                if body["order"] not in ended:
                    asked[body["order"]] = body["amount_minor"]
            times = Counter((body["order"], body["revision"]) for body in holds)
            assert max(times.values(), default=1) == 1, "a revision in two messages"
            assert bank.bad_signatures == 0
    assert asked == waiting


def test_money_that_moves_while_the_centre_dies_is_followed(tmp_path: Path) -> None:
    crash_and_check(tmp_path, kills=3, seed=1)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_money_that_moves_through_sixty_crashes_is_followed(tmp_path: Path) -> None:
    crash_and_check(tmp_path, kills=60, seed=2)
