"""A random sample of uncontested holds is judged blind; nobody on the staff chooses it."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from openaoc.appeals import draw
from openaoc.appeals.blind import JudgedAlready
from openaoc.appeals.figures import blind_figures, contest_figures
from openaoc.appeals.model import BlindTask, BlindVerdict, BlindView, NotYourAppeal
from openaoc.holds.model import SamePerson
from openaoc.kernel.actor import Actor
from openaoc.kernel.errors import BadInput
from tests.appeals.contests import (
    OTHER,
    REVIEWER,
    SUPERVISOR,
    contest,
    decide,
    held,
    refuse,
    take,
    uphold,
)
from tests.workflow.centre import Centre, machine


def test_two_in_a_hundred_are_drawn_and_anybody_can_check() -> None:
    seed = draw.seed_of(date(2026, 1, 5), key=b"k" * 32)
    chosen = [n for n in range(20_000) if draw.is_drawn(f"ord_{n}", seed=seed)]
    assert 320 <= len(chosen) <= 480
    other = draw.seed_of(date(2026, 1, 6), key=b"k" * 32)
    assert chosen != [n for n in range(20_000) if draw.is_drawn(f"ord_{n}", seed=other)]
    assert draw.commitment_of(seed) == hashlib.sha256(seed).digest()


@given(judged=st.integers(1, 5_000), data=st.data())
def test_the_interval_holds_the_share(judged: int, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, judged))
    found = draw.interval(wrong, judged)
    assert found is not None
    low, high = found
    assert 0.0 <= low <= wrong / judged <= high <= 1.0 + 1e-12
    assert high > low


def test_the_interval_is_the_known_one() -> None:
    found = draw.interval(10, 100)
    assert found is not None
    assert [round(edge, 4) for edge in found] == [0.0552, 0.1744]
    assert draw.interval(0, 0) is None


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hold is drawn."""
    monkeypatch.setattr("openaoc.appeals.blind.is_drawn", lambda _order, seed: bool(seed))


def next_day(centre: Centre) -> list[BlindView]:
    centre.matter.duties.run_due()
    centre.clock.advance(timedelta(days=1))
    centre.matter.duties.run_due()
    with centre.database.uow.read(SUPERVISOR) as tx:
        return centre.matter.blind.list(tx).reviews


def open_task(centre: Centre, review: str, who: Actor = REVIEWER) -> BlindTask:
    with centre.database.uow.begin(who) as tx:
        return centre.matter.blind.take(tx, review)


def judge(centre: Centre, review: str, who: Actor = REVIEWER, **changes: object) -> BlindView:
    values: dict[str, object] = {"verdict": "right", "note": "as traced"} | changes
    with centre.database.uow.begin(who) as tx:
        return centre.matter.blind.judge(tx, review, msgspec.convert(values, BlindVerdict))


@pytest.mark.usefixtures("everything")
def test_a_drawn_hold_is_judged_on_facts_alone(centre: Centre) -> None:
    order = held(centre)
    [drawn] = next_day(centre)
    task = open_task(centre, drawn.review)
    shown = repr(task).replace(task.review, "its own number")
    with centre.database.uow.read(SUPERVISOR) as tx:
        view = centre.matter.holds.show(tx, order)
    for hidden in (order, view.case, view.account + "'", "automatic", "standing", *view.why):
        assert hidden not in shown, hidden
    assert task.ordered_minor == 100_000
    with pytest.raises(NotYourAppeal):
        open_task(centre, drawn.review, OTHER)
    with pytest.raises(NotYourAppeal):
        judge(centre, drawn.review, OTHER)
    with pytest.raises(BadInput):
        judge(centre, drawn.review, verdict="wrong")
    with pytest.raises(BadInput):
        judge(centre, drawn.review, wrong_minor=5)
    assert judge(centre, drawn.review).verdict == "right"
    with pytest.raises(JudgedAlready):
        judge(centre, drawn.review)
    since = centre.clock.now() - timedelta(days=30)
    with centre.database.uow.read(SUPERVISOR) as tx:
        figures = blind_figures(tx, since=since)
    assert (figures.drawn, figures.judged, figures.wrong, figures.share) == (1, 1, 0, 0.0)
    assert figures.high is not None
    assert figures.high > 0.7, "one judgement proves little"


@pytest.mark.usefixtures("everything")
def test_a_hold_found_wrong_is_contested_for_its_holder(centre: Centre) -> None:
    held(centre)
    [drawn] = next_day(centre)
    open_task(centre, drawn.review)
    judge(centre, drawn.review, verdict="wrong", wrong_minor=60_000)
    with centre.database.uow.read(SUPERVISOR) as tx:
        [opened] = centre.matter.appeals.list(tx).appeals
        assert centre.matter.appeals.statements(tx, opened.appeal, reason="none").statements == []
    assert (opened.source, opened.statements) == ("blind_review", 0)


@pytest.mark.usefixtures("everything")
def test_contested_and_shadow_holds_are_not_drawn(centre: Centre) -> None:
    contest(centre, held(centre))
    assert next_day(centre) == []


@pytest.mark.usefixtures("everything")
def test_who_opened_the_case_does_not_judge(centre: Centre) -> None:
    held(centre)
    [drawn] = next_day(centre)
    opener = Actor(id=machine("KBANK").id, roles=REVIEWER.roles)
    with pytest.raises(SamePerson):
        open_task(centre, drawn.review, opener)


def test_the_seed_is_committed_to_before_its_day_and_shown_after(centre: Centre) -> None:
    centre.matter.duties.run_due()
    tomorrow = (centre.clock.now() + timedelta(days=1)).date()
    with centre.database.uow.read(SUPERVISOR) as tx:
        draws = {d.day: d for d in centre.matter.blind.draws(tx).draws}
    assert draws[tomorrow].seed is None
    next_day(centre)
    centre.clock.advance(timedelta(days=1))
    centre.matter.duties.run_due()
    centre.matter.duties.run_due()
    with centre.database.uow.read(SUPERVISOR) as tx:
        made = next(d for d in centre.matter.blind.draws(tx).draws if d.day == tomorrow)
        rows = tx.connection.execute(
            sa.text(
                "select action from journal_rows where subject = :day and action like"
                " 'appeals.draw.%' order by id"
            ),
            {"day": tomorrow.isoformat()},
        ).scalars()
        assert list(rows) == ["appeals.draw.committed", "appeals.draw.made"]
    assert made.commitment == draws[tomorrow].commitment
    assert made.seed is not None
    assert hashlib.sha256(bytes.fromhex(made.seed)).hexdigest() == made.commitment


def test_contests_are_counted(centre: Centre) -> None:
    order = held(centre, shop=True)
    appeal = contest(centre, order).appeal
    take(centre, appeal)
    centre.clock.advance(timedelta(hours=2))
    decide(centre, appeal, uphold())
    other = centre.pay("KBANK:1", "SCB:77", 50_000)
    line = centre.file(other).orders[0]
    centre.answer(line.order, "SCB", 50_000)
    refused = contest(centre, line.order).appeal
    take(centre, refused)
    decide(centre, refused, refuse())
    late = centre.file(centre.pay("KBANK:1", "SCB:78", 50_000)).orders[0]
    centre.answer(late.order, "SCB", 50_000)
    contest(centre, late.order)
    centre.clock.advance(timedelta(hours=5))
    since = centre.clock.now() - timedelta(days=30)
    with centre.database.uow.read(SUPERVISOR) as tx:
        figures = contest_figures(tx, since=since, currency="THB")
    assert (figures.filed, figures.open, figures.late, figures.late_unexplained) == (3, 1, 1, 1)
    assert (figures.upheld, figures.refused, figures.upheld_share) == (1, 1, 0.5)
    assert (figures.p50_hours, figures.p95_hours) == (0.0, 2.0)
    assert figures.wrongful_minor_hours == 2 * figures.wrongful_minor > 0
