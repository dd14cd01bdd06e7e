"""Killed at random moments under load: nothing acknowledged is lost, nothing doubled in effect."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from openaoc.channels.signing import PublicJwk
from tests.channels.institution import Stub, serving
from tests.cli.load import Load, bank_key
from tests.cli.server import Server, end_left_behind
from tests.cli.world import LIMIT_SECONDS, World, fresh_key, ndjson, post

SETTLE_SECONDS_MAX = 240.0
WORK_SECONDS_MAX = 30.0
VIEWS_FROM_ONE_PLACE = 40
"""Fewer than one address may ask for in a minute; a hundred kills bring some thousand cases."""


def crash(folder: Path, *, kills: int, seed: int) -> None:
    """Kill the server, and sometimes its PostgreSQL, `kills` times under load; then check."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    server = Server(folder).start()
    try:
        with serving(Stub("SCB")) as bank:
            load = _prepare(server, bank)
            load.start()
            for turn in range(kills):
                _wait_for_work(load, chance.randint(0, 8))
                time.sleep(chance.uniform(0.0, 0.5))
                if turn % 4 == 3:
                    os.kill(server.postgres_pid(), signal.SIGKILL)
                    time.sleep(chance.uniform(0.0, 0.5))
                server.kill()
                server.start()
            time.sleep(2)
            load.stop()
            assert load.record.problems == []
            with server.client(load.keys["administrator"]) as client:
                _settle(client, load)
                _check_transfers(server, load)
                orders = _check_cases(server, client, load)
                _check_effects(bank, load, orders)
            verdict = server.run_json("journal", "verify")
            assert verdict["ok"], verdict
            assert load.record.retries > 0, "the load never met a dead server"
            assert len(load.record.receipts) >= kills
        assert server.stop() == 0
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop(signal.SIGKILL)
        end_left_behind(server)


def _wait_for_work(load: Load, acknowledgements: int) -> None:
    """Until so much more was acknowledged; with none, the kill may fall into the start itself."""
    record = load.record
    enough = len(record.receipts) + len(record.answers) + acknowledgements
    until = time.monotonic() + WORK_SECONDS_MAX
    while time.monotonic() < until and len(record.receipts) + len(record.answers) < enough:
        time.sleep(0.01)


def _prepare(server: Server, bank: Stub) -> Load:
    world = World(server).fill(SCB=bank.url)
    key = bank_key()
    added = post(world.as_("SCB-machine"), "/v1/institutions/SCB/keys", key.public())
    assert added.status_code == 201, added.text
    jwks = world.as_("nobody").get("/.well-known/jwks.json").json()
    bank.keys = {jwk["kid"]: msgspec.convert(jwk, PublicJwk) for jwk in jwks["keys"]}
    keys = {
        "feed": world.keys["feed"],
        "machine": world.keys["KBANK-machine"],
        "bank": world.keys["SCB-machine"],
        "administrator": world.keys["administrator"],
    }
    world.close()
    return Load(server, keys, bank, key)


def _settle(client: Any, load: Load) -> None:
    """Wait until every acknowledged order was answered."""
    promised = {o["order"] for _, _, receipt in load.record.receipts for o in receipt["orders"]}
    until = time.monotonic() + SETTLE_SECONDS_MAX
    load.stopping.clear()
    load.threads.clear()
    load.start(reporters=0, answerers=2)
    while time.monotonic() < until and not promised <= set(load.record.answers):
        time.sleep(0.2)
    load.stop()
    lines = client.get("/v1/lines").text
    missing = promised - set(load.record.answers)
    assert not missing, f"{len(missing)} of {len(promised)} orders never arrived; {lines}"


def _check_transfers(server: Server, load: Load) -> None:
    rows = [row for batch in load.record.batches for row in batch]
    headers = {"Content-Type": "application/x-ndjson", **fresh_key()}
    with server.client(load.keys["feed"]) as feed:
        receipt = feed.post("/v1/ledger/transfers", content=ndjson(*rows), headers=headers).json()
    assert (receipt["accepted"], receipt["repeated"]) == (0, len(rows))


def _check_cases(server: Server, client: Any, load: Load) -> dict[str, dict[str, Any]]:
    """Every receipt still stands; the orders by id."""
    orders: dict[str, dict[str, Any]] = {}
    cursor: str | None = None
    while True:
        query = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/holds", params=query).json()
        orders |= {order["order"]: order for order in page["orders"]}
        cursor = page["cursor"]
        if cursor is None:
            break
    receipts = load.record.receipts
    for place, first in enumerate(range(0, len(receipts), VIEWS_FROM_ONE_PLACE), start=1):
        with server.client(place=place) as victims:
            for _, row, receipt in receipts[first : first + VIEWS_FROM_ONE_PLACE]:
                _check_case(victims, row["amount_minor"], receipt)
                for line in receipt["orders"]:
                    assert orders[line["order"]]["amount_minor"] == line["amount_minor"]
    for order, amount in load.record.answers.items():
        assert orders[order]["state"] == "applied"
        assert orders[order]["held_minor"] == amount
    return orders


def _check_case(victims: httpx.Client, amount_minor: int, receipt: dict[str, Any]) -> None:
    """A case counts what its orders hold in the round after the answer."""
    secret = {"OpenAOC-Case-Secret": receipt["secret"]}
    until = time.monotonic() + LIMIT_SECONDS
    held = 0
    while held != amount_minor:
        view = victims.get(f"/v1/cases/{receipt['case']}", headers=secret)
        assert view.status_code in (200, 429), view.text
        held = view.json()["held_minor"] if view.status_code == 200 else 0
        assert time.monotonic() < until, view.text
        if held != amount_minor:
            time.sleep(0.5)


def _check_effects(bank: Stub, load: Load, orders: dict[str, dict[str, Any]]) -> None:
    """The bank's books: one hold for each order, one order for each account of a case."""
    assert bank.bad_signatures == 0
    holds = [m["body"] for m in list(bank.effects.values()) if m["kind"] == "hold.order"]
    times = Counter((hold["order"], hold["revision"]) for hold in holds)
    assert max(times.values()) == 1
    assert max(Counter(hold["order"] for hold in holds).values()) == 1
    accounts = Counter((order["case"], order["account"]) for order in orders.values())
    assert max(accounts.values()) == 1
    reported = Counter(order["account"] for order in orders.values())
    assert max(reported.values()) == 1, "one payment became two cases"
    assert {hold["order"] for hold in holds} <= set(orders)


def test_ten_crashes_lose_and_double_nothing(tmp_path: Path) -> None:
    crash(tmp_path, kills=10, seed=1)
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundred_crashes_lose_and_double_nothing(tmp_path: Path) -> None:
    crash(tmp_path, kills=100, seed=2)
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()
