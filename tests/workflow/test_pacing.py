"""An institution gets no more questions an hour than it takes; further ones wait, none is lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.kernel.actor import CITIZEN, SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.storage.database import Database
from openaoc.workflow.confirming import ANSWER_WITHIN, PAYMENT_CONFIRM
from tests.workflow.centre import BANKS, Centre

PER_HOUR = 3


@pytest.fixture
def centre(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Centre]:
    """A centre that asks little."""
    built = Centre(database, tmp_path, clock, questions_per_hour=PER_HOUR)
    built.go_live(*BANKS)
    yield built
    built.close()


def asked(centre: Centre, count: int) -> None:
    """So many reports by citizens, of payments that nobody told."""
    paid = centre.pay("KBANK:1", "SCB:2", 1_000)
    report = centre.report(paid, reporter=None)
    for n in range(count):
        [payment] = report.payments
        unseen = msgspec.structs.replace(payment, transfer_id=None, debtor_account=f"5{n}")
        centre.matter.intake.receive(
            msgspec.structs.replace(report, payments=[unseen]),
            sender=CITIZEN,
            idempotency_key=f"q{count}-{n}",
        )


def moments(centre: Centre) -> list[timedelta | None]:
    """When each question goes out, from now; None where it is not put off."""
    now = centre.clock.now()
    questions = [m for m in centre.outbox.sent if m.kind == PAYMENT_CONFIRM]
    for one in questions:
        assert one.not_before is not None
        assert one.answer_by == one.not_before + ANSWER_WITHIN
    return [m.not_before - now for m in questions if m.not_before is not None]


def test_beyond_so_many_an_hour_a_question_waits_for_the_next(centre: Centre) -> None:
    asked(centre, 2 * PER_HOUR + 1)
    none, hour = timedelta(0), timedelta(hours=1)
    assert moments(centre) == [none] * PER_HOUR + [hour] * PER_HOUR + [2 * hour]
    with centre.database.uow.read(SYSTEM) as tx:
        noted = tx.connection.execute(
            sa.text("select count(*) from journal_rows where action = 'workflow.question.put_off'")
        ).scalar_one()
    assert noted == PER_HOUR + 1


def test_after_the_hour_it_may_be_asked_again_at_once(centre: Centre) -> None:
    asked(centre, PER_HOUR)
    centre.clock.advance(timedelta(hours=1))
    asked(centre, 1)
    assert moments(centre)[-1] == timedelta(0)
