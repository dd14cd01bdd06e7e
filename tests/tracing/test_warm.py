"""What set-up compiles is all that a centre's first hours run: nobody waits for a compiler."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
import pyarrow as pa
from numba.core.registry import CPUDispatcher
from openaoc.kernel.clock import SystemClock
from openaoc.kernel.settings import Settings
from openaoc.ledger import warm as ledger_warm
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import parse_transfers
from openaoc.tracing import warm
from openaoc.tracing.model import Rule
from openaoc.tracing.service import CaseClaim, Tracing

def compiled():
    found = [one for one in gc.get_objects() if isinstance(one, CPUDispatcher)]
    return {(one.py_func.__module__, one.py_func.__name__): len(one.signatures) for one in found}

def batch(start, count):
    numbers, begin = range(start, start + count), datetime(2026, 1, 1, tzinfo=UTC)
    table = pa.table({
        "transfer_id": [f"T{n:09d}" for n in numbers],
        "reported_by": ["AAA"] * count,
        "booked_at": pa.array([begin + timedelta(seconds=n) for n in numbers],
                              pa.timestamp("us", tz="UTC")),
        "debtor_bank": ["AAA"] * count,
        "debtor_account": [f"{n % 6000:010d}" for n in numbers],
        "creditor_bank": [None if n % 9 == 0 else "BBB" for n in numbers],
        "creditor_account": [None if n % 9 == 0 else f"{n * 7 % 6000:010d}" for n in numbers],
        "amount_minor": pa.array([100 + n for n in numbers], pa.int64()),
        "currency": ["THB"] * count,
        "channel": ["cash_withdrawal" if n % 9 == 0 else "transfer" for n in numbers],
    })
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return parse_transfers(bytes(sink.getvalue()), "application/vnd.apache.arrow.stream")

warm.warm(), warm.warm_centre(), ledger_warm.warm()
before = compiled()
assert len(before) > 20, before
with tempfile.TemporaryDirectory() as folder:
    settings = Settings(ledger_rows_max=50_000, ledger_accounts_max=50_000)
    ledger = Ledger.open(Path(folder), settings=settings, clock=SystemClock())
    for start in (0, 10, 9_000, 100):
        ledger.ingest(batch(start, 9_000), live=False)
    tracing = Tracing(ledger, archive=ledger.archive)
    row = ledger.find(reported_by="AAA", transfer_id="T000000001")
    tracing.register("C", [CaseClaim(row=row, filed=1)])
    look = tracing.look("C")
    tracing.doubt(look, look.located[0].account_index if look.located else 0)
    for rule in Rule:
        tracing.trace("C", rule=rule)
    ledger.close()
new = {name: count for name, count in compiled().items() if count > before.get(name, 0)}
assert not new, new
"""


def test_nothing_is_compiled_after_set_up() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
