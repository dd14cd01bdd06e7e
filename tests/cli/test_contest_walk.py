"""Contests, breakers, undo and the telephone by command line, from notice to answer."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.cli.server import Server
from tests.cli.test_walk import people, write
from tests.cli.world import moment, report, transfer

__all__ = ["people"]


@pytest.fixture(scope="module")
def investigator(server: Server, people: dict[str, str]) -> str:
    """The key of somebody who had no part in any hold."""
    assert people["ann"]
    key: str = server.run_json("user", "add", "ivy", "--role", "investigator")["api_key"]
    return key


def ordered(server: Server, people: dict[str, str], folder: Path, number: str) -> str:
    """An order at SCB on an account of its own."""
    row = transfer(number)
    server.run_json("ledger", "import", str(write(folder / f"{number}.csv", row)))
    paper = folder / f"{number}.json"
    paper.write_bytes(msgspec.json.encode(report(row)))
    receipt = server.run_json("report", "submit", str(paper), key=people["kbank"])
    order: str = receipt["orders"][0]["order"]
    return order


def test_a_contest_is_filed_decided_and_seen(
    server: Server, people: dict[str, str], investigator: str, tmp_path: Path
) -> None:
    order = ordered(server, people, tmp_path, "710001")
    server.run_json("hold", "answer", order, "--applied", "500000", key=people["scb"])
    notice = server.run_json("hold", "notice", order, key=people["scb"])
    said = tmp_path / "said.txt"
    said.write_text("I sold a buffalo.", "utf-8")
    filed = server.run_json(
        "appeal", "file", order, "--code", notice["contest_code"], "--statement", str(said)
    )
    appeal = filed["appeal"]
    listed = server.run_json("appeal", "list", key=investigator)["appeals"]
    assert [one["appeal"] for one in listed] == [appeal]
    assert server.run_json("appeal", "take", appeal, key=investigator)["evidence"]["merchant"]
    words = server.run_json(
        "appeal", "statements", appeal, "--reason", "to decide", key=investigator
    )
    assert words["statements"][0]["statement"] == "I sold a buffalo."
    decided = server.run_json(
        *("appeal", "decide", appeal, "uphold", "--because", "honest_trade"),
        *("--note", "receipt seen", "--cause", "trace"),
        key=investigator,
    )
    assert decided["state"] == "proposed"
    assert b"a second person" in server.run("appeal", "show", appeal, key=investigator).stdout
    done = server.run_json("appeal", "second", appeal, "agree", "--note", "seen", key=people["ann"])
    assert done["state"] == "upheld"
    status = server.run_json("appeal", "status", order, "--code", notice["contest_code"])
    assert status["released_minor"] == 500_000
    records = server.run_json("appeal", "compensations", key=people["ann"])["compensations"]
    assert [record["cause"] for record in records] == ["trace"]
    assert server.run_json("appeal", "blind", key=investigator) == {"reviews": []}
    assert server.run_json("appeal", "blind", "--draws", key=investigator)["draws"]


def test_an_order_is_printed_checked_and_answered_by_voice(
    server: Server, people: dict[str, str], investigator: str, tmp_path: Path
) -> None:
    order = ordered(server, people, tmp_path, "710002")
    page = tmp_path / "order.html"
    printed = server.run_json("hold", "paper", order, "--out", str(page), key=investigator)
    assert printed["code"] in page.read_text("utf-8")
    assert server.run_json("hold", "check", order, printed["code"]) == {"valid": True}
    view = server.run_json(
        *("hold", "answer-by-phone", order, "--applied", "500000"),
        *("--spoke-to", "fraud desk", "--at", moment()),
        key=investigator,
    )
    assert view["state"] == "applied"


def test_stopped_taken_back_and_let_go(
    server: Server, people: dict[str, str], investigator: str, tmp_path: Path
) -> None:
    order = ordered(server, people, tmp_path, "710003")
    chosen = ("--institution", "SCB", "--since", moment(1))
    assert server.run("undo", "preview", "--since", moment(), key=investigator).returncode == 2
    found = server.run_json("undo", "preview", *chosen, key=investigator)
    assert order in [one["order"] for one in found["first"]]
    proposed = server.run_json("undo", "propose", *chosen, "--reason", "a drill", key=people["ann"])
    run = proposed["undo"]
    assert server.run("undo", "approve", run, key=people["ann"]).returncode == 1
    server.run_json("undo", "approve", run, key=people["bob"])
    shown = server.run_json("breaker", "list", key=investigator)["breakers"]
    assert [b["scope"] for b in shown if b["open"]] == ["institution:SCB"]
    closed = server.run_json(
        "breaker", "close", "institution:SCB", "--reason", "mended", "--resume", key=people["ann"]
    )
    assert closed["open"] is False
    assert run in [one["undo"] for one in server.run_json("undo", "list", key=investigator)["runs"]]
    assert server.run_json("undo", "show", run, key=investigator)["undo"]["approved_by"]
