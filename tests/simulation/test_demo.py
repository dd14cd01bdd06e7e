"""The demonstration: its screen, its children, and one whole run with its continuation."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from rich.console import Console

from openaoc.cli.demo_agree import Side, terms
from openaoc.cli.demo_between import BetweenView, OneWay, ReleasedCount
from openaoc.cli.demo_children import Child, ChildDied, PortTaken, check_port_free
from openaoc.cli.demo_country import DemoPlan, DemoView
from openaoc.cli.demo_run import Demo, TwoView
from openaoc.cli.demo_screen import clock, open_screen, plain, render
from openaoc.cli.demo_words import money
from openaoc.exchange.agreement import Minimisation, check_terms
from openaoc.exchange.crossborder.sums import Amounts
from openaoc.exchange.model import Contact, Partner, PartnerKind
from openaoc.exchange.objects import FIELDS, FieldClass
from openaoc.simulation.couriers import CourierFigures
from openaoc.simulation.institutions import ProcessFigures
from openaoc.simulation.nation import NationFigures
from openaoc.statistics.model import InstitutionFigures, LiveFigures, Spread
from openaoc.storage.postgres_files import is_alive
from tests.cli.server import SOON_SECONDS_MAX, free_port

T = TypeVar("T")
PLAN = DemoPlan(minutes=None, speed=60, accounts=2_000, seed=1)


def view() -> DemoView:
    nation = NationFigures(
        simulated_s=3 * 86_400 + 4_500,
        speed=60,
        transfers=1_234_567,
        scams=900,
        stolen_minor=900_000_000,
        inside_minor=80_000_000,
        gone_minor=820_000_000,
        held_minor=50_000_000,
        rightly_held_minor=45_000_000,
        wrongly_held_minor=5_000_000,
        wrongly_from_honest_minor=1_000_000,
        held_from_honest_minor=2_000_000,
        feed_waiting=0,
        standing_still=False,
    )
    centre = LiveFigures(
        at=datetime(2026, 11, 21, tzinfo=UTC),
        mode="live",
        currency="THB",
        window_hours=24,
        reports=77,
        cases=76,
        orders=321,
        orders_by_state={"applied": 300, "drafted": 21},
        report_to_first_applied=Spread(count=70, p50_s=0.41, p95_s=2.5),
        report_to_last_applied=Spread(count=70, p50_s=1.5, p95_s=9.25),
        loss_minor=600_000_000,
        located_minor=100_000_000,
        held_minor=50_000_000,
        exited_minor=500_000_000,
        institutions=[
            InstitutionFigures(
                code="BANK1", name="A Bank", live=True, orders=9, answered=8, held_minor=7_700
            )
        ],
    )
    return DemoView(
        url="http://127.0.0.1:8441",
        plan=PLAN,
        phase="live",
        running_s=61.0,
        first_order_s=14.0,
        continued=False,
        centre=centre,
        nation=ProcessFigures(
            phase="live",
            nation=nation,
            couriers=CourierFigures(needs_person=12),
            orders_blocking=300,
            messages_waiting=0,
            answers_waiting=0,
        ),
        transfers_per_s=1_987.0,
        reports_per_minute=36.0,
    )


@pytest.mark.parametrize(("wide", "width"), [(True, 112), (False, 80)])
def test_the_screen_shows_what_matters(*, wide: bool, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render(view(), wide=wide))
    shown = console.export_text()
    for text in ("LIVE", "1,234,567", "77", "321", "p50 0.41 s", "p95 9.25 s", "5.00 m", "A Bank"):
        assert text in shown, text
    for words in ("wrongly held", "from honest people", "wait for a person", "14 s"):
        assert words in shown, words
    assert max(map(len, shown.splitlines())) <= width


def test_away_from_a_terminal_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = plain(view())
    assert "77 reports, 321 orders" in line
    assert "\n" not in line
    with open_screen(quiet=False) as screen:
        screen.show(view())
        screen.show(view())
    assert capsys.readouterr().out.replace("\n", " ").count("77 reports") == 1
    with open_screen(quiet=True) as screen:
        screen.say("nothing")
        screen.show(view())
    assert capsys.readouterr().out == ""


def test_an_exercise_says_so_on_the_screen_too() -> None:
    for exercise in (True, False):
        shown = msgspec.structs.replace(view(), exercise=exercise)
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(render(shown, wide=True))
        assert ("EXERCISE" in console.export_text()) is exercise
        assert ("EXERCISE" in plain(shown)) is exercise


def two() -> TwoView:
    """Two countries, one asking the other about money that crossed."""
    there = OneWay(
        sender="TH-AOC",
        receiver="XN-AOC",
        asked=6,
        answered=5,
        agree=5,
        asked_minor=333_500_000,
        amounts=Amounts(held_minor=138_400_000, not_found_minor=195_100_000),
        received={"needs_person": 1, "opened": 5},
        released=[
            ReleasedCount(
                kind="trace-request",
                objects=6,
                fields=[
                    "account",
                    "amount_minor",
                    "case",
                    "currency",
                    "institution",
                    "reason",
                    "x",
                ],
            )
        ],
        told=57,
        holds=2,
        hold_p50_s=12.9,
        hold_max_s=15.4,
    )
    back = OneWay(sender="XN-AOC", receiver="TH-AOC")
    countries = [msgspec.structs.replace(view(), country=code) for code in ("TH", "XN")]
    return TwoView(countries=countries, between=BetweenView(ways=[there, back], approved=10))


@pytest.mark.parametrize(("wide", "width"), [(True, 120), (False, 80)])
def test_of_two_countries_requests_answers_and_releases_are_shown(
    *, wide: bool, width: int
) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render(two(), wide=wide))
    shown = console.export_text()
    for text in ("centre of TH", "centre of XN", "TH-AOC → XN-AOC", "6, 5", "3.33 m", "1.38 m"):
        assert text in shown, text
    for words in ("needs person", "p50 12.9 s", "6 trace-request", "and 1 more", "10 orders"):
        assert words in shown, words
    assert max(map(len, shown.splitlines())) <= width
    lines = plain(two()).splitlines()
    assert len(lines) == 4
    assert "6 requests, 5 answered" in lines[2]


def test_terms_of_the_two_centres_let_nothing_leave_that_names_a_person() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    side = Side(country="XN", code="XN-AOC", url="http://127.0.0.1:1", data=Path("none"))
    partner = Partner(
        code=side.code,
        name="abroad",
        kind=PartnerKind.CENTRE,
        jurisdiction="XN",
        contact=Contact(name="desk", email="desk@centre.example"),
        endpoint=None,
        added_at=now,
    )
    agreed = check_terms(terms(side, now=now), partner=partner, home="TH", now=now)
    for kind, granted in agreed.grants.items():
        assert granted.fields["case"] is Minimisation.PSEUDONYM
        personal = {name for name, f in FIELDS[kind].items() if f.kind is FieldClass.PERSONAL}
        assert not personal & set(granted.fields)


def test_money_and_time_are_short() -> None:
    assert [money(99), money(123_456_700), money(0)] == ["0", "1.23 m", "0"]
    assert clock(3 * 86_400 + 4_500) == "3 d 01:15"


def test_a_taken_port_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match="OPENAOC_PORT"):
            check_port_free("127.0.0.1", port)
        monkeypatch.setenv("OPENAOC_PORT", str(port))
        monkeypatch.setenv("OPENAOC_DATA_DIR", str(tmp_path / "data"))
        with open_screen(quiet=True) as screen, pytest.raises(PortTaken):
            Demo(PLAN, screen=screen, stop=threading.Event()).run()
    assert not (tmp_path / "data").exists()
    check_port_free("127.0.0.1", port)


def test_a_child_that_dies_says_why_and_one_that_lives_is_stopped(tmp_path: Path) -> None:
    environ = dict(os.environ)
    dead = Child(
        "the dead",
        ["-c", "import sys; sys.stderr.write('no such luck\\n'); sys.exit(3)"],
        log=tmp_path / "dead.log",
        environ=environ,
        talks=True,
    )
    with pytest.raises(ChildDied, match="no such luck"):
        dead.first_line()
    with pytest.raises(ChildDied, match="ended with 3"):
        dead.check()
    alive = Child(
        "the living",
        ["-c", "import sys; print(42, flush=True); sys.stdin.read()"],
        log=tmp_path / "alive.log",
        environ=environ,
        talks=True,
    )
    assert alive.first_line() == "42"
    alive.check()
    assert alive.stop()
    with pytest.raises(ChildDied):
        alive.check()


@pytest.mark.skipif(sys.platform != "linux", reason="told by the kernel")
def test_children_end_with_a_demonstration_that_is_killed(tmp_path: Path) -> None:
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(3_600)"
    parent = (
        "import os, sys, time; from pathlib import Path\n"
        "from openaoc.cli.demo_children import Child\n"
        f"one = Child('one', ['-c', {child!r}], log=Path(sys.argv[1]), environ=dict(os.environ),"
        " talks=False)\n"
        "time.sleep(3_600)"
    )
    log = tmp_path / "child.log"
    with subprocess.Popen([sys.executable, "-c", parent, str(log)]) as demo:
        pid = int(soon(lambda: log.is_file() and log.read_text().strip()))
        assert is_alive(pid)
        demo.kill()
    assert soon(lambda: not is_alive(pid))


def soon(found: Callable[[], T]) -> T:
    """What is found, as soon as it is."""
    until = time.monotonic() + SOON_SECONDS_MAX
    while not (one := found()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return one


def run_demo(folder: Path, *, minutes: float) -> dict[str, object]:
    port = free_port(following=1)
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from openaoc.cli.main import main; main()", "demo", "--json"),
            *("--minutes", str(minutes), "--accounts", "5000"),
        ],
        env={**os.environ, "OPENAOC_DATA_DIR": str(folder), "OPENAOC_PORT": str(port)},
        cwd=folder.parent,
        capture_output=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.long
def test_a_whole_run_holds_money_and_a_second_one_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = run_demo(folder, minutes=1.5)
    centre, nation = first["centre"], first["nation"]
    assert isinstance(centre, dict)
    assert isinstance(nation, dict)
    assert first["continued"] is False
    assert centre["mode"] == "live"
    assert centre["reports"] > 5
    assert centre["held_minor"] > 0
    assert isinstance(first["first_order_s"], float)
    assert nation["couriers"]["feed_refused"] == 0
    assert nation["couriers"]["answers_refused"] == 0, nation["couriers"]["last_refusal"]
    assert nation["couriers"]["reports_refused"] == 0
    second = run_demo(folder, minutes=1.0)
    assert second["continued"] is True
    assert isinstance(second["centre"], dict)
    assert second["centre"]["reports"] >= centre["reports"]
    assert isinstance(second["nation"], dict)
    assert second["nation"]["nation"]["transfers"] > nation["nation"]["transfers"]


class Until:
    """A screen that stops the demonstration as soon as there is enough to see."""

    def __init__(self, enough: Callable[[TwoView], bool]) -> None:
        self.stop = threading.Event()
        self._enough = enough

    def say(self, line: str) -> None:
        assert line

    def show(self, view: DemoView | TwoView) -> None:
        assert isinstance(view, TwoView)
        if all(one.nation is not None for one in view.countries) and self._enough(view):
            self.stop.set()


def asked(view: TwoView) -> int:
    """Requests of both sides."""
    assert view.between is not None
    return sum(way.asked for way in view.between.ways)


def enough(view: TwoView) -> bool:
    """Money crossed, was asked about, and indicators were read."""
    if view.between is None:
        return False
    ways = view.between.ways
    return any(way.answered for way in ways) and any(way.told for way in ways)


@pytest.mark.long
def test_two_countries_ask_and_answer_and_a_second_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAOC_PORT", str(free_port(following=1)))
    monkeypatch.setenv("OPENAOC_DATA_DIR", str(tmp_path / "data"))
    plan = DemoPlan(minutes=8, speed=600, accounts=5_000, seed=1441, countries=2)
    screen = Until(enough)
    first = Demo(plan, screen=screen, stop=screen.stop).run()
    assert isinstance(first, TwoView)
    assert first.between is not None
    assert [one.country for one in first.countries] == ["TH", "XN"]
    for one in first.countries:
        assert not one.continued
        assert one.centre is not None
        assert one.nation is not None
        assert one.centre.mode == "live"
        assert one.nation.couriers.feed_refused == one.nation.couriers.answers_refused == 0
    assert any(one.nation and one.nation.nation.crossed_minor for one in first.countries)
    kinds = {one.kind for way in first.between.ways for one in way.released}
    assert {"trace-request", "trace-answer", "indicator"} <= kinds
    again = Until(lambda view: view.between is not None and asked(view) >= asked(first))
    second = Demo(plan, screen=again, stop=again.stop).run()
    assert isinstance(second, TwoView)
    assert all(one.continued for one in second.countries)
    assert asked(second) >= asked(first), "what was asked stays asked"
