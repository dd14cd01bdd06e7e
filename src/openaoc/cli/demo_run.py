"""CLI: runs the demonstration: the centre, the institutions, and what is measured of both."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Final, Protocol

import httpx
import msgspec

from openaoc.cli.demo_children import Child, ChildDied, check_port_free
from openaoc.cli.demo_register import register
from openaoc.kernel.errors import Unavailable
from openaoc.kernel.settings import Settings, load_settings
from openaoc.simulation.institutions import ProcessFigures
from openaoc.simulation.parameters import load_parameters
from openaoc.statistics.model import LiveFigures

DATA_DIR: Final = "openaoc-data/demo"
START_SECONDS_MAX: Final = 180.0
LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS_MAX: Final = 10.0
LOOKS_FAILED_MAX: Final = 30
"""Looks at a running centre that may fail in a row before the demonstration gives up."""


class DemoPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    minutes: float | None
    speed: float
    accounts: int
    seed: int


class DemoView(msgspec.Struct, frozen=True, kw_only=True):
    """One look at everything."""

    url: str
    plan: DemoPlan
    phase: str
    running_s: float
    first_order_s: float | None
    """Seconds from our start to the first order an institution applied."""
    continued: bool
    centre: LiveFigures | None = None
    nation: ProcessFigures | None = None
    transfers_per_s: float = 0.0
    reports_per_minute: float = 0.0


class Screen(Protocol):
    """Where a look is shown."""

    def say(self, line: str) -> None:
        """One line of progress."""
        ...

    def show(self, view: DemoView) -> None:
        """The figures now."""
        ...


class Demo:
    """One run. Children are stopped whatever happens."""

    def __init__(self, plan: DemoPlan, *, screen: Screen, stop: threading.Event) -> None:
        self._plan = plan
        self._screen = screen
        self._stop = stop
        self._started = time.monotonic()
        environ = dict(os.environ)
        environ.setdefault("OPENAOC_DATA_DIR", str(Path(DATA_DIR).absolute()))
        self._environ = environ
        self._settings: Settings = load_settings(environ)
        self._data = self._settings.data_path
        self._folder = self._data / "nation"
        self._url = f"http://{self._settings.host}:{self._settings.port}"
        self._children: list[Child] = []
        self._http = httpx.Client(timeout=ANSWER_SECONDS_MAX, trust_env=False)
        self._nation_url = ""
        self._continued = (self._folder / "credentials.json").exists()
        self._view = self._look_at(phase="starting")
        self._marks: list[tuple[float, int, int]] = []

    def run(self) -> DemoView:
        """Start, show until stopped, stop; the last look."""
        check_port_free(self._settings.host, self._settings.port)
        try:
            self._begin()
            if not self._stop.is_set():
                self._watch()
        finally:
            self._end()
        return self._view

    def _look_at(
        self,
        *,
        phase: str,
        centre: LiveFigures | None = None,
        nation: ProcessFigures | None = None,
    ) -> DemoView:
        return DemoView(
            url=self._url,
            plan=self._plan,
            phase=phase,
            running_s=round(time.monotonic() - self._started, 1),
            first_order_s=None,
            continued=self._continued,
            centre=centre,
            nation=nation,
        )

    def _begin(self) -> None:
        goes_on = "goes on" if self._continued else "begins"
        self._screen.say(f"The nation {goes_on} in {self._data}")
        code = "from openaoc.cli.main import main; main()"
        serve = Child(
            "the centre",
            ["-c", code, "serve"],
            log=self._data / "logs" / "centre.log",
            environ=self._environ,
            talks=False,
        )
        self._children.append(serve)
        institutions = Child(
            "the institutions",
            [
                *("-m", "openaoc.simulation.institutions"),
                *("--folder", str(self._folder), "--centre", self._url),
                *("--accounts", str(self._plan.accounts), "--seed", str(self._plan.seed)),
                *("--speed", str(self._plan.speed)),
            ],
            log=self._data / "logs" / "institutions.log",
            environ=self._environ,
            talks=True,
        )
        self._children.insert(0, institutions)
        port = int(institutions.first_line())
        self._nation_url = f"http://127.0.0.1:{port}"
        self._screen.say(f"Institutions listen on port {port}; waiting for the centre")
        if not self._wait_for_health():
            return
        self._screen.say(f"The centre serves {self._url}; registering the institutions")
        register(
            load_parameters(),
            url=self._url,
            data_dir=self._data,
            folder=self._folder,
            port=port,
            jurisdiction=self._settings.jurisdiction,
        )

    def _wait_for_health(self) -> bool:
        """Whether the centre is up; False when stopped before."""
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            for child in self._children:
                child.check()
            with contextlib.suppress(httpx.HTTPError):  # it is not up yet
                if self._http.get(f"{self._url}/health").is_success:
                    return True
            if self._stop.wait(LOOK_SECONDS / 4):
                return False
        raise Unavailable(f"the centre does not come up: {self._children[-1].last_words()}")

    def _watch(self) -> None:
        until = None if self._plan.minutes is None else self._plan.minutes * 60
        failed = 0
        while not self._stop.wait(LOOK_SECONDS):
            for child in self._children:
                child.check()
            try:
                self._look()
                failed = 0
            except (httpx.HTTPError, msgspec.MsgspecError) as error:
                failed += 1
                if failed > LOOKS_FAILED_MAX:
                    raise ChildDied(f"no figures any more: {error}") from error
            if until is not None and time.monotonic() - self._started >= until:
                break

    def _look(self) -> None:
        reply = self._http.get(f"{self._nation_url}/figures")
        nation = msgspec.json.decode(reply.raise_for_status().content, type=ProcessFigures)
        reply = self._http.get(f"{self._url}/v1/status")
        centre = msgspec.json.decode(reply.raise_for_status().content, type=LiveFigures)
        before = self._view
        view = self._look_at(phase=nation.phase, centre=centre, nation=nation)
        first = before.first_order_s
        if first is None and nation.couriers.applied:
            first = view.running_s
        if nation.phase != "live":
            self._marks.clear()
        self._marks.append((view.running_s, nation.couriers.feed_rows, nation.couriers.reports))
        self._marks = self._marks[-60:]
        past = self._marks[0]
        seconds = max(view.running_s - past[0], LOOK_SECONDS)
        self._view = msgspec.structs.replace(
            view,
            first_order_s=first,
            transfers_per_s=round((nation.couriers.feed_rows - past[1]) / seconds, 1),
            reports_per_minute=round((nation.couriers.reports - past[2]) * 60 / seconds, 1),
        )
        self._screen.show(self._view)

    def _end(self) -> None:
        """The institutions first, so that nothing knocks at a closed door; then the centre."""
        for child in self._children:
            self._screen.say(f"Stopping {child.name}")
            if not child.stop():
                self._screen.say(f"{child.name} did not end when asked and was ended")
        self._http.close()
