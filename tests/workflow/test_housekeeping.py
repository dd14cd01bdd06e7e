"""Identities a crash left behind are destroyed; what the duties say of a database that is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.ids import new_report_id
from openaoc.storage.errors import DatabaseDown
from openaoc.storage.unit_of_work import Transaction
from openaoc.storage.vault import NotSealed, Shredded
from openaoc.workflow import housekeeping
from openaoc.workflow.duties import Done, Duties
from openaoc.workflow.housekeeping import UNUSED_AGE
from tests.workflow.centre import SUPERVISOR, Centre

WAIT_SECONDS_MAX = 60.0


def seal(centre: Centre, subject: str) -> None:
    with centre.database.uow.begin(SYSTEM) as tx:
        centre.vault.seal(tx, subject, b'{"name":"Somchai"}')


def is_kept(centre: Centre, subject: str) -> bool:
    with centre.database.uow.begin(SUPERVISOR, purpose="look") as tx:
        try:
            centre.vault.open(tx, subject, reason="a test looks")
        except (Shredded, NotSealed):
            return False
        return True


def key_files(centre: Centre) -> int:
    folder: Path = centre.database.keys.folder
    return len(list(folder.glob("identities/*/*.key")))


def test_an_identity_without_its_report_is_destroyed_after_a_while(centre: Centre) -> None:
    filed = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000)).case
    with centre.database.uow.read(SUPERVISOR) as tx:
        [report] = centre.matter.reports.of_case(tx, filed)
    left = new_report_id()
    seal(centre, left)
    seal(centre, "appeal_1")
    centre.matter.housekeeping.run_due()
    assert is_kept(centre, left), "its report may still come"
    centre.clock.advance(UNUSED_AGE + timedelta(seconds=1))
    fresh = new_report_id()
    seal(centre, fresh)
    assert key_files(centre) == 4
    centre.matter.housekeeping.run_due()
    assert not is_kept(centre, left)
    assert key_files(centre) == 3, "the key itself is gone"
    for kept in (report.id, fresh, "appeal_1"):
        assert is_kept(centre, kept), kept
    centre.clock.advance(UNUSED_AGE + timedelta(seconds=1))
    centre.matter.housekeeping.run_due()
    assert not is_kept(centre, fresh)


def test_more_than_one_look_can_take(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "IDENTITIES_PER_LOOK_MAX", 2)
    left = [new_report_id() for _ in range(5)]
    for subject in left:
        seal(centre, subject)
    centre.clock.advance(UNUSED_AGE + timedelta(seconds=1))
    centre.matter.housekeeping.run_due()
    assert [s for s in left if is_kept(centre, s)] == []


class Failing(Duties):
    """Duties of which the first rounds fail."""

    failures: list[Exception]
    rounds: int = 0

    def run_due(self, *, hurried: bool = False) -> Done:
        self.rounds += 1
        if self.failures:
            raise self.failures.pop(0)
        return super().run_due(hurried=hurried)


def logged(centre: Centre, failures: list[Exception]) -> list[tuple[str, str]]:
    """(event, level) of what the duties' thread logs through these failures and one good round."""
    matter = centre.matter
    duties = Failing(
        uow=centre.database.uow,
        holds=matter.holds,
        pursuit=matter.pursuit,
        ledger_journal=matter.duties._ledger_journal,
    )
    duties.failures = list(failures)
    with capture_logs() as logs:
        duties.start()
        wait(lambda: duties.rounds > len(failures) + 1, duties.wake)
        duties.stop()
    known = {"storage.database.away", "storage.database.back", "workflow.duties.failed"}
    return [(log["event"], log["log_level"]) for log in logs if log["event"] in known]


def wait(done: Callable[[], bool], nudge: Callable[[], None]) -> None:
    until = time.monotonic() + WAIT_SECONDS_MAX
    while not done():
        assert time.monotonic() < until, "the duties stand still"
        nudge()
        threading.Event().wait(0.01)


def test_an_outage_is_said_once_when_it_begins_and_once_when_it_ends(centre: Centre) -> None:
    assert logged(centre, [DatabaseDown("away"), DatabaseDown("away"), DatabaseDown("away")]) == [
        ("storage.database.away", "warning"),
        ("storage.database.back", "warning"),
    ]


def test_another_fault_is_told_each_time_and_the_duties_go_on(centre: Centre) -> None:
    told = logged(centre, [ValueError("odd"), DatabaseDown("away"), ValueError("odd")])
    assert [event for event, _ in told] == [
        "workflow.duties.failed",
        "storage.database.away",
        "workflow.duties.failed",
        "storage.database.back",
    ]


def test_a_seal_that_is_not_committed_leaves_nothing_to_find(centre: Centre) -> None:
    subject = new_report_id()

    def broken(tx: Transaction) -> None:
        centre.vault.seal(tx, subject, b"{}")
        raise RuntimeError("crash")

    with pytest.raises(RuntimeError), centre.database.uow.begin(SYSTEM) as tx:
        broken(tx)
    centre.clock.advance(UNUSED_AGE + timedelta(seconds=1))
    centre.matter.housekeeping.run_due()
    assert not is_kept(centre, subject)
