"""Days that expired cannot be reached; traces of what is left stay as they were."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from openaoc.kernel.clock import ManualClock, from_us
from openaoc.kernel.errors import BadInput
from openaoc.ledger.accounts_file import ACCOUNT_SCHEMA, AccountsTable
from openaoc.ledger.cold import ColdStore
from openaoc.ledger.committer import Committer
from openaoc.ledger.model import DiskRefused, Expired, TransferExpired
from openaoc.ledger.service import Ledger
from openaoc.tracing.model import Rule
from openaoc.tracing.service import CaseClaim, Tracing
from tests.ledger.worlds import NOW, SETTINGS, START_US, Row, row, table
from tests.tracing.test_cold_days import doubted, looked, said

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
ACCOUNTS = ["A/1", "A/2", "B/1", "B/2", "C/1"]
OLD_US, MIDDLE_US = 1_000, 2_000
BEFORE = NOW + timedelta(days=5)
"""Between the telling of old days and of newer ones."""


class Centres:
    """One ledger that keeps everything in memory, and one whose old days expire."""

    def __init__(self, folder: Path, draw: Random) -> None:
        self.folder, self.draw, self.clock = folder, draw, ManualClock(NOW)
        self.lives, self.corrected = 0, 0
        self.whole, self.kept = self._open("whole"), self._open("kept0")
        self.told: list[Row] = []

    def _open(self, name: str) -> Ledger:
        return Ledger.open(self.folder / name, settings=SETTINGS, clock=self.clock)

    def close(self) -> None:
        self.whole.close()
        self.kept.close()

    def expire(self) -> Expired | None:
        return self.kept.expire(from_us(self.end_us), told_before=BEFORE)

    def restart(self) -> None:
        """Of the one whose days expire, as if it had been killed."""
        last, self.lives = self.folder / f"kept{self.lives}", self.lives + 1
        shutil.copytree(last, self.folder / f"kept{self.lives}")
        self.kept.close()
        self.kept = self._open(f"kept{self.lives}")

    def tell(self, rows: Sequence[Row]) -> None:
        for ledger in (self.whole, self.kept):
            ledger.ingest(table(rows), live=False)
        self.told += rows

    def rows(self, count: int, since: int) -> list[Row]:
        """Transfers booked in the 1000 microseconds from `since` on."""
        draw = self.draw
        found: list[Row] = []
        for number in range(len(self.told), len(self.told) + count):
            debtor, creditor = draw.sample(ACCOUNTS, 2)
            channel = draw.choice(["transfer"] * 6 + ["cash_withdrawal"])
            at, amount = since + draw.randrange(OLD_US), draw.randint(1, 500)
            found.append(
                row(f"T{number}", at=at, debtor=debtor, creditor=creditor, amount=amount,
                    channel=channel)
            )  # fmt: skip
        return found

    def correction(self) -> Row:
        """Of a transfer that is not expired."""
        self.corrected += 1
        item = self.draw.choice([r for r in self.told if int(str(r["booked_at"])) >= self.end_us])
        new = {"corrects": item["transfer_id"], "revision": self.corrected}
        return {**item, **new, "amount_minor": self.draw.randint(1, 500)}

    @property
    def end_us(self) -> int:
        return START_US + OLD_US

    def open_lines(self) -> None:
        names = self.draw.sample(ACCOUNTS, 2)
        columns = [[n[0] for n in names], [n[2:] for n in names], [300, 50], ["THB", "THB"]]
        arrays = [pa.array(column) for column in columns]
        opened = AccountsTable(table=pa.table(arrays, schema=ACCOUNT_SCHEMA))
        for ledger in (self.whole, self.kept):
            ledger.set_openings(opened, from_us(START_US))

    def live(self) -> None:
        """Old days become cold, then come newer ones, of which some become cold."""
        if self.draw.random() < 0.5:
            self.open_lines()
        self.tell(self.rows(self.draw.randint(1, 25), 0))
        self.kept.cut(from_us(self.end_us))
        self.clock.advance(timedelta(days=10))
        self.tell(self.rows(self.draw.randint(2, 25), OLD_US))
        if self.draw.random() < 0.6:
            self.kept.cut(from_us(self.end_us + self.draw.randrange(OLD_US)))
        if self.draw.random() < 0.3:
            self.kept.snapshot()

    def compare(self) -> None:
        """The same cases tell the same, under every rule."""
        numbers = [n for n, r in enumerate(self.told) if int(str(r["booked_at"])) >= self.end_us]
        claims = [CaseClaim(row=n, amount_minor=None, filed=n) for n in numbers]
        chosen = self.draw.sample(claims, min(2, len(claims)))
        for rule in Rule:
            services = [
                Tracing(ledger, rule=rule, archive=ledger.archive)
                for ledger in (self.whole, self.kept)
            ]
            for key, claim in enumerate(chosen):
                for service in services:
                    service.register(f"C{key}", [claim])
            for key in range(len(chosen)):
                looks = [looked(service, f"C{key}", None) for service in services]
                assert said(looks[0]) == said(looks[1])
                doubts = [doubted(*pair) for pair in zip(services, looks, strict=True)]
                assert doubts[0] == doubts[1]


def gone(centres: Centres) -> bool:
    """Whether the old days cannot be reached, and the others can."""
    ledger, missing = centres.kept, set()
    for number, item in enumerate(centres.told):
        if item["corrects"] is not None:
            continue
        who, what = str(item["reported_by"]), str(item["transfer_id"])
        found = ledger.find(reported_by=who, transfer_id=what)
        if int(str(item["booked_at"])) >= centres.end_us:
            assert found == number
            assert ledger.transfer(number).transfer_id == what
        elif found is None:
            missing.add(what)
            with pytest.raises(TransferExpired):
                ledger.transfer(number)
    old = sum(int(str(r["booked_at"])) < centres.end_us for r in centres.told)
    assert len(missing) in (0, old)
    return len(missing) == old


@settings(max_examples=6, deadline=None, phases=NO_SHRINKING)
@given(st.integers(0, 2**32))
def test_traces_of_what_is_left_stay(seed: int) -> None:
    expire_and_check(seed)


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_traces_of_what_is_left_stay_in_many_lives(block: int) -> None:
    for seed in range(50 * block, 50 * block + 50):
        expire_and_check(seed)


def expire_and_check(seed: int) -> None:
    """A life before an expiry, and five things after it; each is compared with the whole ledger."""
    draw = Random(seed)  # noqa: S311 - repeatable, not secret
    with tempfile.TemporaryDirectory() as folder:
        centres = Centres(Path(folder), draw)
        try:
            centres.live()
            centres.compare()
            expired = centres.expire()
            assert expired is not None
            old = [r for r in centres.told if int(str(r["booked_at"])) < centres.end_us]
            assert expired.transfers == len(old)
            assert centres.expire() is None
            for then in draw.sample(["late", "correct", "restart", "snapshot", "cut"], 5):
                if then == "late":
                    centres.tell(centres.rows(3, OLD_US))
                elif then == "correct":
                    item = centres.correction()
                    for ledger in (centres.whole, centres.kept):
                        ledger.ingest(table([item]), live=False)
                elif then == "cut":
                    centres.kept.cut(from_us(START_US + MIDDLE_US))
                elif then == "snapshot":
                    centres.kept.snapshot()
                else:
                    centres.restart()
                centres.compare()
                assert gone(centres)
            assert centres.kept.expired() == [expired]
            centres.kept.expiry_journalled(expired)
            assert centres.kept.expired() == []
        finally:
            centres.close()


@pytest.mark.parametrize("step", ["bases", "log", "drop", "snapshot"])
def test_an_expiry_is_done_whole_or_not_at_all(tmp_path: Path, step: str) -> None:
    centres = Centres(tmp_path, Random(5))  # noqa: S311 - repeatable, not secret
    try:
        centres.live()
        killed = mock.patch.object(ColdStore, "drop", side_effect=OSError("killed"))
        fails = {
            "bases": mock.patch.object(ColdStore, "accounts_in", side_effect=OSError("killed")),
            "log": mock.patch.object(Committer, "log_expired", side_effect=DiskRefused("full")),
            "drop": killed,
            "snapshot": killed,
        }
        with fails[step], pytest.raises((DiskRefused, OSError)):
            centres.expire()
        if step == "snapshot":
            centres.kept.snapshot()
        centres.restart()
        logged = step in ("drop", "snapshot")
        assert gone(centres) == logged
        assert len(centres.kept.expired()) == logged
        centres.compare()
        assert (centres.expire() is None) == logged
        assert gone(centres)
        centres.compare()
    finally:
        centres.close()


def test_what_is_too_old_in_memory_becomes_cold_first(tmp_path: Path) -> None:
    centres = Centres(tmp_path, Random(1))  # noqa: S311 - repeatable, not secret
    try:
        centres.tell(centres.rows(5, 0))
        assert centres.kept.expire(BEFORE, told_before=NOW) is None, "told later"
        centres.clock.advance(timedelta(days=10))
        centres.tell([{**item, "booked_at": int(str(item["booked_at"])) + 9 * 10**11}
                      for item in centres.rows(5, 0)])  # fmt: skip
        expired = centres.kept.expire(BEFORE, told_before=BEFORE)
        assert expired is not None
        assert (expired.transfers, centres.kept.stats().transfers) == (5, 5)
        opened = AccountsTable(table=ACCOUNT_SCHEMA.empty_table())
        with pytest.raises(BadInput, match="has expired"):
            centres.kept.set_openings(opened, from_us(START_US))
    finally:
        centres.close()
