"""Bench: a transfer out of an open pursuit until the pursuit's next order is committed.

A whole centre in this process, with its threads and its PostgreSQL; a feed tells it batches of
transfers at fixed moments, some of which move a case's money on. Measures this machine alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from openaoc.bench.feed import Feed
from openaoc.bootstrap import Centre, build_centre
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.clock import SystemClock
from openaoc.kernel.interpreter import suit_interpreter
from openaoc.kernel.settings import Settings
from openaoc.ledger.schema import SCHEMA
from openaoc.ledger.tickets import write_table
from openaoc.parties.model import InstitutionKind
from openaoc.reports.model import Channel, Payment, Proof, Report

BANKS: Final = ("KBANK", "SCB", "BBL")
ADMIN: Final = Actor(id="bench_admin", roles=frozenset({Role.ADMINISTRATOR}))
ONE: Final = Actor(id="bench_one", roles=frozenset({Role.SUPERVISOR}))
TWO: Final = Actor(id="bench_two", roles=frozenset({Role.SUPERVISOR}))
PAYER: Final = Actor(id="bench_kbank", roles=frozenset({Role.MACHINE}), institution="KBANK")
LOSS_MINOR: Final = 1_000_000
BATCHES_PER_SECOND: Final = 10
REPORTERS: Final = 48
LOOK_SECONDS: Final = 0.005
"""How often the committed orders are looked at: the measured times are late by as much."""
DRAIN_SECONDS_MAX: Final = 15.0


def run(
    *,
    pursuits: int = 10_000,
    rate: int = 50_000,
    seconds: int = 20,
    moves: int = 20,
    folder: str = "",
) -> dict[str, object]:
    """`pursuits` open cases; then `rate` transfers a second, `moves` of them out of a case.

    Times in milliseconds from handing a batch to the centre to its order at the next institution
    being committed and visible to another connection.
    """
    home = Path(tempfile.mkdtemp(prefix="openaoc-bench-", dir=folder or None))
    settings = Settings(
        data_dir=str(home / "data"), ledger_rows_max=2 * pursuits + rate * seconds + 1_000_000
    )
    centre = build_centre(settings)
    try:
        centre.start()
        bench = _Bench(centre)
        bench.go_live()
        opened = bench.open(pursuits)
        suit_interpreter()
        return {
            "cpus": os.cpu_count() or 0,
            "pursuits": pursuits,
            "opened_per_s": round(pursuits / opened, 1),
            **bench.measure(rate=rate, seconds=seconds, moves=moves),
        }
    finally:
        centre.stop()
        shutil.rmtree(home, ignore_errors=True)


class _Bench:
    """The feed, the reporters and the onlooker of one measurement."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._clock = SystemClock()
        self._begun = self._clock.now()
        self._seen: dict[str, int] = {}
        """By account: when an order on it was seen committed (monotonic, ns)."""
        self._done = threading.Event()

    def go_live(self) -> None:
        """Three banks without a system of their own, live."""
        uow, parties = self._centre.uow, self._centre.parties
        with uow.begin(ADMIN) as tx:
            for code in BANKS:
                parties.add_institution(
                    tx, code=code, name=code, kind=InstitutionKind.BANK, jurisdiction="TH"
                )
        for scope in ("jurisdiction:TH", *(f"institution:{code}" for code in BANKS)):
            with uow.begin(ONE) as tx:
                parties.propose_live(tx, scope)
            with uow.begin(TWO) as tx:
                parties.approve_live(tx, scope)

    def open(self, count: int) -> float:
        """Report `count` losses that rest on a first account each; the seconds it took."""
        numbers = range(count)
        payments = [self._payment(number) for number in numbers]
        rows = [
            _row(p.transfer_id or "", p, at=self._begun - timedelta(minutes=5)) for p in payments
        ]
        self._tell(write_table(pa.Table.from_pylist(rows, schema=SCHEMA)))
        start = time.monotonic()
        with ThreadPoolExecutor(REPORTERS) as pool:
            receipts = list(pool.map(self._report, payments))
        assert all(len(receipt.orders) == 1 for receipt in receipts), "each has an order"
        return time.monotonic() - start

    def _payment(self, number: int) -> Payment:
        return Payment(
            transfer_id=f"P{number}",
            booked_at=self._begun - timedelta(minutes=5),
            debtor_bank="KBANK",
            debtor_account=f"1{number:09}",
            creditor_bank="SCB",
            creditor_account=f"2{number:09}",
            amount_minor=LOSS_MINOR,
            currency="THB",
        )

    def _report(self, payment: Payment) -> Any:
        report = Report(
            channel=Channel.INSTITUTION,
            reported_at=self._begun,
            payments=[payment],
            proof=Proof(kind="institution"),
        )
        intake = self._centre.matter.intake
        return intake.receive(report, sender=PAYER, idempotency_key=secrets.token_hex(8))[0]

    def _tell(self, body: bytes) -> None:
        self._centre.telling.transfers(
            body,
            "application/vnd.apache.arrow.stream",
            actor=ADMIN,
            key=secrets.token_hex(8),
            live=True,
            assume_utc=False,
        )

    def measure(self, *, rate: int, seconds: int, moves: int) -> dict[str, Any]:
        """Tell batches at their moments, and watch the orders come."""
        batches, per_batch = self._batches(rate=rate, seconds=seconds, moves=moves)
        onlooker = threading.Thread(target=self._look, daemon=True)
        onlooker.start()
        time.sleep(1.0)
        start, told, late = time.monotonic_ns(), [], 0.0
        for number, body in enumerate(batches):
            due = start + number * 1_000_000_000 // BATCHES_PER_SECOND
            time.sleep(max(due - time.monotonic_ns(), 0) / 1e9)
            late = max(late, (time.monotonic_ns() - due) / 1e6)
            told.append(time.monotonic_ns())
            self._tell(body)
        span = (time.monotonic_ns() - start) / 1e9
        expected = per_batch * len(batches)
        until = time.monotonic() + DRAIN_SECONDS_MAX
        while len(self._seen) < expected and time.monotonic() < until:
            time.sleep(0.05)
        self._done.set()
        onlooker.join()
        times = [
            (at - told[int(account[1:]) // per_batch]) / 1e6 for account, at in self._seen.items()
        ]
        ordered = sorted(times)
        return {
            "transfers_per_s": round(rate * seconds / span),
            "batch_late_max_ms": round(late, 1),
            "moved": expected,
            "ordered": len(ordered),
            **{
                f"{name}_ms": round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 1)
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
                if ordered
            },
        }

    def _batches(self, *, rate: int, seconds: int, moves: int) -> tuple[list[bytes], int]:
        """The bodies, made ahead, and how many moves each holds."""
        size, per_batch = rate // BATCHES_PER_SECOND, max(moves // BATCHES_PER_SECOND, 1)
        feed = Feed(max(rate * seconds, 1_000))
        bodies = []
        for batch in range(seconds * BATCHES_PER_SECOND):
            rows = []
            for number in range(batch * per_batch, (batch + 1) * per_batch):
                payment = self._payment(number)
                moved = msgspec.structs.replace(
                    payment,
                    debtor_bank="SCB",
                    debtor_account=payment.creditor_account,
                    creditor_bank="BBL",
                    creditor_account=f"3{number:09}",
                )
                rows.append(_row(f"M{number}", moved, at=self._clock.now()))
            table = pa.Table.from_pylist(rows, schema=SCHEMA)
            other = feed.table(batch * size, size - per_batch, prefix="B")
            bodies.append(write_table(pa.concat_tables([other, table]).combine_chunks()))
        return bodies, per_batch

    def _look(self) -> None:
        """Note when each new order at the next institution is visible."""
        query = (
            "SELECT sequence, account FROM hold_orders"
            " WHERE institution = 'BBL' AND sequence > %s ORDER BY sequence"
        )
        last = 0
        with self._centre.database.connect() as connection:
            connection.execute("SELECT set_config('openaoc.scope', 'centre', false)")
            connection.commit()
            while not self._done.wait(LOOK_SECONDS):
                for sequence, account in connection.execute(query, (last,)).fetchall():
                    # A transaction that began later may be seen first: look back a little.
                    last = max(last, sequence - 1_000)
                    self._seen.setdefault(account, time.monotonic_ns())
                connection.commit()


def _row(name: str, payment: Payment, *, at: Any) -> dict[str, Any]:
    return {
        "transfer_id": name,
        "reported_by": payment.debtor_bank,
        "booked_at": at,
        "debtor_bank": payment.debtor_bank,
        "debtor_account": payment.debtor_account,
        "creditor_bank": payment.creditor_bank,
        "creditor_account": payment.creditor_account,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "channel": "transfer",
        "corrects": None,
        "revision": None,
    }
