"""The nation in time: history, live steps, restarts, feed and reports."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from openaoc.kernel.clock import ManualClock, to_us
from openaoc.ledger.table import parse_transfers
from openaoc.reports.model import Channel, Report
from openaoc.simulation.centre import ARROW
from openaoc.simulation.feed import transfer_id
from openaoc.simulation.line import Line
from openaoc.simulation.nation import (
    BUSY_SECONDS,
    DAY_US,
    FEED_BUSY,
    HISTORY_TICKS,
    PAST_TICKS,
    Nation,
)
from openaoc.simulation.parameters import load_parameters
from openaoc.simulation.store import FEED_WAITING_MAX
from tests.simulation.nations import open_nation

STEP = timedelta(seconds=0.5)


def lived(nation: Nation, clock: ManualClock, steps: int) -> int:
    rows = 0
    for _ in range(steps):
        clock.advance(STEP)
        rows += nation.live()
        if nation.store.feed_waiting() > FEED_BUSY:
            clock.advance(timedelta(seconds=BUSY_SECONDS))
            rows += nation.live()
    return rows


def drained(nation: Nation) -> list[pa.Table]:
    """Every feed batch, taken as a centre would."""
    tables = []
    for code in nation.population.codes:
        while (batch := nation.store.feed_batch(code)) is not None:
            table = parse_transfers(batch.body, ARROW).table
            assert table.num_rows == batch.rows
            assert set(table["reported_by"].to_pylist()) == {code}
            assert table["debtor_bank"].equals(table["reported_by"])
            tables.append(table)
            nation.store.feed_done(batch.number)
    return tables


def test_history_is_past_and_the_feed_is_what_the_centre_takes(
    tmp_path: Path, clock: ManualClock
) -> None:
    nation = open_nation(tmp_path, clock)
    rows = nation.live_history()
    tables = drained(nation)
    assert sum(table.num_rows for table in tables) == rows
    assert rows > 6_000
    times = np.concatenate([table["booked_at"].cast(pa.int64()).to_numpy() for table in tables])
    figures = nation.parameters.nation
    before_us = figures.history_s.value / nation.speed * 1e6 + figures.past_days.value * DAY_US
    assert nation.founded_us - before_us <= times.min() < nation.founded_us - 5 * DAY_US
    assert times.max() <= to_us(clock.now())
    ids = [name for table in tables for name in table["transfer_id"].to_pylist()]
    assert len(set(ids)) == len(ids)
    assert (PAST_TICKS + HISTORY_TICKS) * len(nation.population.codes) >= len(tables)
    channels = {name for table in tables for name in table["channel"].to_pylist()}
    assert channels >= {"transfer", "cash_withdrawal", "crypto_purchase", "bill_payment"}
    nation.close()


def test_a_second_start_goes_on_where_the_first_stopped(tmp_path: Path, clock: ManualClock) -> None:
    nation = open_nation(tmp_path, clock)
    nation.live_history()
    lived(nation, clock, 20)
    balance, ids = (
        nation.books.balance.copy(),
        {n for t in drained(nation) for n in t[0].to_pylist()},
    )
    before = nation.figures()
    nation.close()
    clock.advance(timedelta(hours=3))
    again = open_nation(tmp_path, clock)
    assert again.founded
    assert again.live_history() == 0
    assert np.array_equal(again.books.balance, balance)
    assert again.figures() == before
    lived(again, clock, 20)
    after = again.figures()
    assert after.transfers > before.transfers
    assert after.simulated_s - before.simulated_s < 20 * 60 * 8
    fresh = [name for table in drained(again) for name in table[0].to_pylist()]
    assert not ids & set(fresh)
    again.close()


def test_victims_report_payments_the_feed_has(tmp_path: Path, clock: ManualClock) -> None:
    nation = open_nation(tmp_path, clock, speed=3_000)
    nation.live_history()
    lived(nation, clock, 8)
    told = {
        (name, bank, account, amount)
        for table in drained(nation)
        for name, bank, account, amount in zip(
            *(
                table[column].to_pylist()
                for column in ("transfer_id", "debtor_bank", "debtor_account", "amount_minor")
            ),
            strict=True,
        )
    }
    seen: list[Report] = []
    known = {name[1:] for name in told}
    ids = {name[0] for name in told}
    while (waiting := nation.store.report(now_us=to_us(clock.now()), skip=())) is not None:
        report = msgspec.json.decode(waiting.body, type=Report)
        seen.append(report)
        assert (waiting.by_bank is None) == (report.channel is not Channel.INSTITUTION)
        for payment in report.payments:
            assert (payment.debtor_bank, payment.debtor_account, payment.amount_minor) in known
            if waiting.by_bank is not None:
                assert payment.debtor_bank == waiting.by_bank
                assert payment.transfer_id in ids
            else:
                assert payment.transfer_id is None
                assert payment.booked_at.second == 0
        nation.store.report_done(waiting.scam)
    by_bank = sum(report.channel is Channel.INSTITUTION for report in seen)
    assert len(seen) > 50
    assert 0.5 < by_bank / len(seen) < 0.9
    nation.close()


def test_the_nation_stands_still_while_nobody_takes_its_feed(
    tmp_path: Path, clock: ManualClock
) -> None:
    nation = open_nation(tmp_path, clock)
    nation.live_history()
    drained(nation)
    with nation.store.writing() as sql:
        sql.executemany(
            "INSERT INTO feed (institution, rows, body) VALUES ('BANK1', 0, x'')",
            [()] * FEED_WAITING_MAX,
        )
    assert lived(nation, clock, 3) == 0
    assert nation.figures().standing_still
    with nation.store.writing() as sql:
        sql.execute("DELETE FROM feed")
    assert lived(nation, clock, 3) > 0
    nation.close()


def test_a_transfer_id_fits_the_ledger_and_is_distinct() -> None:
    assert transfer_id(1) != transfer_id(10)
    assert len(transfer_id(10**12)) <= 64


def test_institutions_are_out_of_reach_for_the_share_of_time_the_parameters_say() -> None:
    answers = load_parameters().answers
    lines = [Line(answers, seed=1, number=number) for number in range(8)]
    looks = [line.reachable(second * 3.0) for line in lines for second in range(6_000)]
    away = 1 - sum(looks) / len(looks)
    assert abs(away - answers.out_of_reach_share.value) < 0.01
    delays = sorted(lines[0].delay_s() for _ in range(4_000))
    assert delays[2_000] < 0.5
    assert delays[int(4_000 * 0.95)] > 2


def test_reports_carry_times_of_the_past(tmp_path: Path, clock: ManualClock) -> None:
    nation = open_nation(tmp_path, clock, speed=3_000)
    nation.live_history()
    lived(nation, clock, 4)
    waiting = nation.store.report(now_us=to_us(clock.now()), skip=())
    assert waiting is not None
    report = msgspec.json.decode(waiting.body, type=Report)
    assert max(payment.booked_at for payment in report.payments) <= clock.now()
    assert report.reported_at <= clock.now()
    oldest = min(payment.booked_at for payment in report.payments)
    assert clock.now() - oldest < timedelta(minutes=3)
    nation.close()
