"""`openaoc trace` on files: the document, the origins a person may name, the refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from openaoc.kernel.errors import BadInput
from openaoc.tracing.files import FileLedger, read_ledger
from openaoc.tracing.hubs import Hub, read_hubs
from openaoc.tracing.model import BadOrigin, Rule

HEADER = (
    "transfer_id,booked_at,debtor_bank,debtor_account,creditor_bank,creditor_account,"
    "amount_minor,currency,channel,reported_by\n"
)
ROWS = """\
T1,2026-01-01T00:00:01Z,SCB,victim-1,KBANK,mule 1,1000,THB,transfer,
T2,2026-01-01T00:00:02Z,KBANK,MULE1,BBL,next,700,THB,transfer,
T3,2026-01-01T00:00:03Z,BBL,NEXT,,,200,THB,cash_withdrawal,
T4,2026-01-01T00:00:04Z,SCB,VICTIM1,SCB,VICTIM1,50,THB,transfer,
D,2026-01-01T00:00:05Z,SCB,A,KBANK,B,10,THB,transfer,
D,2026-01-01T00:00:06Z,BBL,C,KBANK,B,10,THB,transfer,
U,2026-01-01T00:00:07Z,SCB,A,KBANK,B,10,USD,transfer,
a/b=5,2026-01-01T00:00:08Z,SCB,A,KBANK,B,10,THB,transfer,
"""


@pytest.fixture
def transfers(tmp_path: Path) -> Path:
    path = tmp_path / "transfers.csv"
    path.write_text(HEADER + ROWS)
    return path


@pytest.fixture
def ledger(transfers: Path) -> FileLedger:
    return read_ledger([transfers])


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["openaoc", "trace", *map(str, arguments)]
    program = f"import sys; sys.argv = {command!r}; from openaoc.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_the_document_is_the_contracts(transfers: Path) -> None:
    done = _run("--transfers", transfers, "--origin", "T1", "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document == {
        "rule": "fifo",
        "at": "2026-01-01T00:00:08Z",
        "currency": "THB",
        "loss_minor": 1000,
        "overlap_minor": 0,
        "dropped_minor": 0,
        "restituted_minor": 0,
        "located": [
            {
                "bank": "BBL",
                "account": "NEXT",
                "amount_minor": 500,
                "layer": 2,
                "received_at": "2026-01-01T00:00:02Z",
                "hub": False,
                "returned": False,
            },
            {
                "bank": "KBANK",
                "account": "MULE1",
                "amount_minor": 300,
                "layer": 1,
                "received_at": "2026-01-01T00:00:01Z",
                "hub": False,
                "returned": False,
            },
        ],
        "held": [],
        "exited": [
            {
                "channel": "cash_withdrawal",
                "bank": "BBL",
                "account": "NEXT",
                "amount_minor": 200,
                "transfer_id": "T3",
            }
        ],
        "transfers": [
            {"transfer_id": "T1", "tainted_minor": 1000},
            {"transfer_id": "T2", "tainted_minor": 700},
            {"transfer_id": "T3", "tainted_minor": 200},
        ],
        "truncated": None,
    }


def test_a_person_reads_a_table(transfers: Path) -> None:
    done = _run("--transfers", transfers, "--origin", "SCB/T1=400", "--rule", "lifo")
    assert done.returncode == 0, done.stderr
    assert "loss 4.00 THB by lifo" in done.stdout
    assert "MULE1" in done.stdout


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ("T9", "no transfer"),
        ("T1=1001", "1001"),
        ("T1=0", "0"),
        ("T1=-5", "-5"),
        ("T1=1.5", "no transfer"),
        ("T1=--5", "no transfer"),
        ("T1=9223372036854775808", "9223372036854775808"),
        ("T4", "itself"),
        ("D", "REPORTER/TRANSFER_ID"),
        ("KBANK/D", "no transfer"),
        ("T1=" + "9" * 30, "digits"),
    ],
)
def test_origins_that_are_wrong_are_refused(ledger: FileLedger, origin: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        ledger.trace([origin])


def test_refusals_exit_1_and_wrong_usage_exits_2(transfers: Path) -> None:
    refused = _run("--transfers", transfers, "--origin", "T9")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert _run("--transfers", transfers).returncode == 2
    assert _run("--transfers", transfers, "--origin", "T1", "--rule", "poison").returncode == 2
    assert _run("--transfers", "missing.csv", "--origin", "T1").returncode == 1
    before = ("--at", "2026-01-01T00:00:00Z")
    assert _run("--transfers", transfers, "--origin", "T1", *before).returncode == 1
    assert _run("--transfers", transfers, "--origin", "T1", "--at", "noon").returncode == 1


def test_mixed_currencies_are_refused(ledger: FileLedger) -> None:
    with pytest.raises(BadOrigin, match="THB and USD"):
        ledger.trace(["T1", "U"])
    assert ledger.trace(["U"]).currency == "USD"


def test_an_origin_is_found_by_reporter_and_by_any_reading(ledger: FileLedger) -> None:
    assert ledger.trace(["bbl/D"]).loss_minor == 10
    assert ledger.trace(["SCB/D=4"]).loss_minor == 4
    assert ledger.trace(["a/b=5"]).loss_minor == 10
    assert ledger.trace(["a/b=5=3"]).loss_minor == 3
    assert ledger.trace(["SCB/a/b=5=3"]).loss_minor == 3


def test_the_time_is_inclusive_and_openings_count(transfers: Path, tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("bank,account,opening_minor,currency\nKBANK,MULE-1,600,THB\n")
    ledger = read_ledger([transfers], accounts=accounts)
    trace = ledger.trace(["T1"], at_us=1_767_225_602_000_000)
    assert [(item.account, item.amount_minor) for item in trace.located] == [
        ("MULE1", 900),
        ("NEXT", 100),
    ]
    assert trace.exited == ()


def test_rules_and_hubs_are_taken_from_the_command_line(transfers: Path, tmp_path: Path) -> None:
    hubs = tmp_path / "hubs.csv"
    hubs.write_text("bank,account\nKBANK,mule-1\nKBANK,NOBODY\n")
    done = _run("--transfers", transfers, "--origin", "T1", "--hubs", hubs, "--json")
    assert done.returncode == 0, done.stderr
    (only,) = json.loads(done.stdout)["located"]
    assert (only["account"], only["amount_minor"], only["hub"]) == ("MULE1", 1000, True)
    assert "1 of 2" in done.stderr


def test_a_pooled_account_may_be_listed_in_one_currency_or_in_several(ledger: FileLedger) -> None:
    listed = [Hub("KBANK", "B", currency) for currency in ("THB", "USD", "VND")]
    both, unknown = ledger.numbers_of(listed)
    assert {ledger.accounts[number].currency for number in both} == {"THB", "USD"}
    assert unknown == 1
    assert ledger.numbers_of([Hub("KBANK", "B", None)]) == (both, 0)
    one, _ = ledger.numbers_of(listed[1:2])
    assert [ledger.accounts[number].currency for number in one] == ["USD"]


@pytest.mark.parametrize(
    "text",
    [
        "bank,account\nKBANK,MULE 1\n",
        "account,bank\nMULE1,KBANK\n",
        "KBANK,MULE1\n",
        "KBANK,MULE1,\n\n",
        '{"bank":"kbank","account":"mule-1"}\n',
    ],
)
def test_hubs_are_read_in_every_form(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hubs"
    path.write_text(text)
    assert read_hubs(path) == [Hub("KBANK", "MULE1", None)]


@pytest.mark.parametrize(
    "content",
    [b"KBANK\n", b"KBANK,\n", b"\xff\xfe", b'{"bank":1}\n', b'"a\n', b"a,b,c,d,e\n", b"K,1,thb\n"],
)
def test_broken_hubs_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hubs"
    path.write_bytes(content)
    with pytest.raises(BadInput):
        read_hubs(path)
    with pytest.raises(BadInput):
        read_hubs(tmp_path / "missing")


def test_every_rule_answers_with_dust(ledger: FileLedger) -> None:
    for rule in Rule:
        trace = ledger.trace(["T1"], rule=rule, dust_minor=10)
        assert trace.rule is rule
        assert trace.loss_minor == 1000
