"""A clock that is set back or forward: time goes on, small steps are followed, large ones told."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.continuity.timekeeper import TimeKeeper
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import CLOCK_STEP_MAX, SteadyClock
from openaoc.storage.centre_state import keep_moment, latest_moment
from openaoc.storage.unit_of_work import UnitOfWork
from tests.conftest import START

SECOND = timedelta(seconds=1)


class Machine:
    """A clock that people set, and the seconds that nobody sets."""

    def __init__(self) -> None:
        self.wall, self.seconds = START, 100.0

    def pass_(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds

    def clock(self) -> SteadyClock:
        return SteadyClock(wall=lambda: self.wall, elapsed_s=lambda: self.seconds)


def test_small_steps_are_followed_and_time_never_goes_back() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.pass_(10)
    assert clock.now() == START + 10 * SECOND
    machine.wall -= 60 * SECOND
    assert clock.now() == START + 10 * SECOND, "it stands still"
    machine.pass_(61)
    assert clock.now() == START + 11 * SECOND
    machine.wall += 200 * SECOND
    assert clock.now() == START + 211 * SECOND
    assert clock.step == timedelta(0)


def test_a_year_ahead_ends_no_hold_and_is_told() -> None:
    machine = Machine()
    clock = machine.clock()
    year = timedelta(days=365)
    machine.wall += year
    machine.pass_(30)
    assert clock.now() == START + 30 * SECOND
    assert clock.step == year
    machine.wall -= year
    assert clock.now() == START + 30 * SECOND
    assert clock.step == timedelta(0)


def test_a_day_back_stops_no_clock() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall -= timedelta(days=1)
    machine.pass_(30)
    assert clock.now() == START + 30 * SECOND
    assert clock.step == -timedelta(days=1)


def test_a_start_is_not_before_what_is_on_disk(uow: UnitOfWork) -> None:
    with uow.read(SYSTEM) as tx:
        assert latest_moment(tx.connection) is None
    with uow.begin(SYSTEM) as tx:
        keep_moment(tx)
    machine = Machine()
    machine.wall = START - timedelta(days=3)
    clock = machine.clock()
    keeper = TimeKeeper(uow=uow, clock=clock)
    keeper.begin()
    machine.pass_(5)
    assert clock.now() == START + 5 * SECOND
    assert keeper.off_s() == -3 * 86_400
    keeper.keep()
    with uow.read(SYSTEM) as tx:
        assert latest_moment(tx.connection) == START


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1_000), st.floats(-10_000_000, 10_000_000)), min_size=1, max_size=30
    )
)
def test_time_never_goes_back_nor_ahead_of_what_may_be_followed(
    steps: list[tuple[float, float]],
) -> None:
    machine = Machine()
    clock = machine.clock()
    last: datetime = clock.now()
    for passed, step in steps:
        machine.pass_(passed)
        machine.wall += timedelta(seconds=step)
        moment = clock.now()
        assert moment >= last
        assert moment - last <= timedelta(seconds=passed) + CLOCK_STEP_MAX + SECOND
        last = moment
