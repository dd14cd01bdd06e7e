"""The examples do what their page says, and the converters what they promise."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from openaoc.cli.trace import command
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.identifiers.bank_account import normalise_account
from openaoc.ledger.table import read_accounts, read_transfers, resolve_duplicates
from openaoc.reports.model import Report
from openaoc.tracing.files import read_ledger
from openaoc.tracing.model import Rule

EXAMPLES = Path(__file__).parents[2] / "examples"
BLOCK = re.compile(r"```console\n\$ openaoc trace (.*)\n((?:.*\n)*?)```")


def module(name: str) -> ModuleType:
    """One of the converters, imported."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_page_shows_what_the_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in EXAMPLES.glob("*.csv"):
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((EXAMPLES / "README.md").read_text("utf-8"))
    assert len(blocks) == 3
    for arguments, expected in blocks:
        result = CliRunner().invoke(command, shlex.split(arguments))
        shown = result.output
        if result.exit_code:
            assert isinstance(result.exception, OpenAOCError)
            shown = str(result.exception)
        lines = [line.rstrip() for line in shown.splitlines()]
        assert lines == expected.splitlines()


def test_the_refused_rows_of_the_page_are_written_beside(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "bad.csv", tmp_path)
    table = read_transfers([tmp_path / "bad.csv"], skip_bad=True)
    assert table.table["transfer_id"].to_pylist() == ["P-1"]
    with (tmp_path / "bad.refused.csv").open(encoding="utf-8") as stream:
        columns = [row["refused_column"] for row in csv.DictReader(stream)]
    assert columns == ["booked_at; amount_minor", "creditor_account"]


def test_the_report_is_of_a_payment_that_the_transfers_tell() -> None:
    report = msgspec.json.decode((EXAMPLES / "report.json").read_bytes(), type=Report)
    [paid] = report.payments
    told = resolve_duplicates(read_transfers([EXAMPLES / "transfers.csv"]))
    assert paid.transfer_id is not None
    [row] = told.find(paid.transfer_id, reported_by=paid.reported_by)
    facts = told.table.slice(row, 1).to_pylist()[0]
    for name in ("booked_at", "debtor_bank", "creditor_bank", "amount_minor", "currency"):
        assert getattr(paid, name) == facts[name]
    assert normalise_account(paid.debtor_account) == facts["debtor_account"]


def test_amlgentex(tmp_path: Path) -> None:
    rows = {
        "ts": ["2023-01-01", "2023-01-01", "2023-01-02", "2023-01-02", "2023-01-02"],
        "type": ["INITALBALANCE", "TRANSFER", "TRANSFER", "TRANSFER", "TRANSFER"],
        "amount": [100.1, 20.85, 50.29, 0.0, 45.03],
        "nameOrig": [-2, -2, 7, 7, 8],
        "bankOrig": ["source", "source", "bank_a", "bank_a", "bank_b"],
        "nameDest": [7, 7, 8, 8, -1],
        "bankDest": ["bank_a", "bank_a", "bank_b", "bank_b", "sink"],
        "isSAR": pa.array([0, 0, 1, 0, 0], pa.int8()),
    }
    pq.write_table(pa.table(rows), tmp_path / "tx.parquet")
    module("convert_amlgentex").convert(tmp_path / "tx.parquet", tmp_path, currency="SEK")
    ledger = read_ledger([tmp_path / "transfers.parquet"], accounts=tmp_path / "accounts.csv")
    assert ledger.table.numpy("amount_minor").tolist() == [2085, 5029, 4503]
    assert (tmp_path / "origins.txt").read_text() == "G2\n"
    trace = ledger.trace(["G2"], rule=Rule.FIFO)
    assert [(e.channel, e.amount_minor) for e in trace.exited] == [("card_purchase", 4503)]
    assert trace.located[0].amount_minor == 5029 - 4503
    assert read_accounts(tmp_path / "accounts.csv").opening_minor.tolist() == [10010]


def test_amlgentex_with_amounts_that_are_not_hundredths(tmp_path: Path) -> None:
    column = pa.chunked_array([[1.25, 1.255]])
    with pytest.raises(SystemExit, match="more than two decimals"):
        module("convert_amlgentex").to_minor(column)


def test_amlsim(tmp_path: Path) -> None:
    nodes, transactions = tmp_path / "nodes.csv", tmp_path / "transactions.csv.gz"
    nodes.write_text("nodeid,isFraud,init_balance,fraudStep\n0,1,184.44,3\n1,1,5.5,3\n2,0,7,-1\n")
    text = "sourceNodeId,targetNodeId,value,time\n2,0,3.1,1\n0,1,147.8,2\n1,1,1,2\n"
    transactions.write_bytes(gzip.compress(text.encode()))
    converter = module("convert_amlsim")
    converter.convert(transactions, nodes, tmp_path, currency="USD")
    table = resolve_duplicates(read_transfers([tmp_path / "transfers.csv"]))
    assert table.numpy("amount_minor").tolist() == [310, 14780, 100]
    assert table.table["booked_at"][0].as_py().isoformat() == "2017-01-02T00:00:00+00:00"
    assert read_accounts(tmp_path / "accounts.csv").opening_minor.tolist() == [18444, 550, 700]
    assert (tmp_path / "origins.txt").read_text() == "A2\n"
    with pytest.raises(SystemExit, match="more than two decimals"):
        converter.to_minor("0.001")
