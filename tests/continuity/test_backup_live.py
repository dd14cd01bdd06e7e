"""Backed up under load, restored elsewhere: nothing acknowledged before is lost, nothing sent."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.channels.institution import Stub, serving
from tests.cli.load import Load
from tests.cli.server import Server, end_left_behind
from tests.cli.world import fresh_key, ndjson, post, report, transfer
from tests.continuity.live import (
    BATCHES,
    BATCHES_TWICE,
    WAITING,
    Centre,
    counted,
    prepare,
    until,
)

REPORTERS = 4
SET_ASIDE = 5
"""Orders at least that the bank was not sent before the backup."""


@dataclass
class World:
    """What came of the first centre."""

    server: Server
    bank: Stub
    load: Load
    keys: dict[str, str]
    backup: Path
    sealed: Path
    receipt: dict[str, Any]
    acknowledged: int
    """Reports that were acknowledged before the backup began."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("backup")
    server = Centre(folder / "first").start()
    try:
        with serving(Stub("SCB")) as bank:
            load, keys = prepare(server, bank)
            load.start(reporters=REPORTERS)
            until(lambda: len(load.record.answers) > 3, "answers")
            bank.status = 503
            # Of those that are on their way, one of each client, the bank may know the orders.
            acknowledged = len(load.record.receipts) + REPORTERS + SET_ASIDE
            until(lambda: len(load.record.receipts) >= acknowledged, "reports nobody was sent")
            words = ("backup", str(folder / "bak"), "--keys", str(folder / "keys.sealed"))
            acknowledged = len(load.record.receipts)
            done = server.run_json(*words)
            bank.status = 202
            more = len(load.record.receipts) + 3
            until(lambda: len(load.record.receipts) >= more, "work after the backup")
            load.stop()
            assert load.record.problems == []
            assert server.stop() == 0
            receipt = done["backup"]
            sealed = folder / "keys.sealed"
            yield World(server, bank, load, keys, folder / "bak", sealed, receipt, acknowledged)
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        end_left_behind(server)


def restored(world: World, folder: Path) -> tuple[Server, dict[str, Any]]:
    server = Centre(folder)
    folder.mkdir()
    words = ("restore", str(world.backup), "--keys", str(world.sealed))
    return server, server.run_json(*words)


def test_the_restored_centre_has_everything_and_sends_nothing(world: World, tmp_path: Path) -> None:
    server, receipt = restored(world, tmp_path / "second")
    assert receipt["ledger_position"] == world.receipt["ledger_position"] > 0
    assert receipt["set_aside"] >= SET_ASIDE
    assert receipt["epoch"] == 2
    seen = len(world.bank.batches)
    try:
        server.start()
        with server.client(world.keys["administrator"]) as client:
            _check_reports(client, world)
            _check_ledger(server, world)
            verdict = server.run_json("journal", "verify", key=world.keys["administrator"])
            assert verdict["ok"], verdict
            _reconcile(server, world, seen=seen, aside=receipt["set_aside"])
        batches = receipt["ledger_transfers"] // 3 + 1
        until(lambda: counted(server.data, BATCHES) == batches, "a row for each batch")
        assert counted(server.data, BATCHES_TWICE) == 0
        until(lambda: counted(server.data, WAITING) == 0, "a place in the journal for each row")
        assert server.stop() == 0
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        end_left_behind(server)


def _check_reports(client: Any, world: World) -> None:
    """All that was acknowledged before; what came after may be there or not, but whole."""
    for _, row, receipt in world.load.record.receipts[: world.acknowledged]:
        view = client.get(f"/v1/cases/{receipt['case']}")
        assert view.status_code == 200, view.text
        assert view.json()["loss_minor"] == row["amount_minor"]


def _check_ledger(server: Server, world: World) -> None:
    rows = [row for batch in world.load.record.batches[: world.acknowledged] for row in batch]
    headers = {"Content-Type": "application/x-ndjson", **fresh_key()}
    with server.client(world.keys["feed"]) as feed:
        receipt = feed.post("/v1/ledger/transfers", content=ndjson(*rows), headers=headers).json()
    assert (receipt["accepted"], receipt["repeated"]) == (0, len(rows))


def _reconcile(server: Server, world: World, *, seen: int, aside: int) -> None:
    admin, supervisor = world.keys["administrator"], world.keys["supervisor"]
    row = transfer("99000001", reported_by="KBANK")
    headers = {"Content-Type": "application/x-ndjson", **fresh_key()}
    with server.client(world.keys["feed"]) as feed:
        told = feed.post("/v1/ledger/transfers", content=ndjson(row), headers=headers)
        assert told.is_success, told.text
    with server.client(world.keys["KBANK-machine"]) as machine:
        fresh = post(machine, "/v1/reports", report(row)).json()
    order = fresh["orders"][0]["order"]
    status = server.run_json("reconcile", "status", key=admin)
    assert status["state"]["reconciling_since"]
    assert len(status["uncertain"]) == aside
    time.sleep(1.5)
    assert len(world.bank.batches) == seen, "something was sent before a person said so"
    refused = server.run("reconcile", "decide", "--all", "--drop", "--reason", "no", key=admin)
    assert refused.returncode == 1, "an administrator decides on no order"
    words = ("decide", "--all", "--drop", "--reason", "the bank has them all")
    assert server.run_json("reconcile", *words, key=supervisor)["messages"] == aside
    resumed = server.run_json("reconcile", "resume", "--reason", "checked", key=supervisor)
    assert resumed["reconciling_since"] is None

    def arrived() -> bool:
        messages = [m for batch in world.bank.batches[seen:] for m in batch]
        return any(m["body"].get("order") == order for m in messages)

    until(arrived, "the new order at the bank")
    old = {m["subject"] for m in status["uncertain"]}
    later = {m["body"].get("order") for batch in world.bank.batches[seen:] for m in batch}
    assert not old & later, "an uncertain order was sent though a person said no"
    assert world.bank.epochs[-1] == 2


def test_a_target_that_holds_anything_is_refused(world: World, tmp_path: Path) -> None:
    server = Centre(tmp_path / "third")
    server.data.mkdir(parents=True)
    shutil.copytree(world.server.data / "keys", server.data / "keys")
    (server.data / "something").write_text("precious")
    done = server.run("restore", str(world.backup))
    assert done.returncode == 1
    assert b"not empty" in done.stderr
    assert (server.data / "something").read_text() == "precious"


def test_a_backup_into_a_folder_that_holds_anything_is_refused(world: World) -> None:
    before = sorted(world.backup.rglob("*"))
    done = world.server.run("backup", str(world.backup))
    assert done.returncode == 1
    assert b"not empty" in done.stderr
    assert sorted(world.backup.rglob("*")) == before


def test_a_stopped_centre_is_backed_up_too(world: World, tmp_path: Path) -> None:
    done = world.server.run_json("backup", str(tmp_path / "cold"))
    assert done["backup"]["ledger_transfers"] >= world.receipt["ledger_transfers"]
    server = Centre(tmp_path / "fourth")
    server.folder.mkdir()
    words = ("restore", str(tmp_path / "cold"), "--check", "--keys", str(world.sealed))
    assert server.run_json(*words)["whole"] is True


def test_keys_and_data_are_not_put_together(world: World, tmp_path: Path) -> None:
    words = ("backup", str(tmp_path / "b"), "--keys", str(tmp_path / "b" / "keys.sealed"))
    done = world.server.run(*words)
    assert done.returncode == 1
    assert b"another medium" in done.stderr
    assert not (tmp_path / "b").exists()


def test_no_key_is_in_a_backup(world: World) -> None:
    secrets = [
        path.read_bytes()
        for path in (world.server.data / "keys").rglob("*")
        if path.is_file() and path.stat().st_size >= 32
    ]
    assert len(secrets) > 3
    for path in (world.backup / "ledger").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not any(secret in content for secret in secrets)
    names = {path.name for path in world.backup.rglob("*")}
    assert not names & {"master.key", "keys", "journal-signing.pem", "identities"}
