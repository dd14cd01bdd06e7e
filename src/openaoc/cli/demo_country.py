"""CLI: one country of the demonstration: its centre and its institutions, as children of ours.

Starts, registers, looks and stops; says nothing on a screen itself but lines of progress.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import msgspec

from openaoc.cli.demo_children import Child, check_port_free
from openaoc.cli.demo_register import register
from openaoc.kernel.errors import Unavailable
from openaoc.kernel.settings import Settings, load_settings
from openaoc.simulation.institutions import ProcessFigures
from openaoc.simulation.parameters import Parameters
from openaoc.statistics.model import LiveFigures

START_SECONDS_MAX: Final = 180.0
LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS_MAX: Final = 10.0
MARKS_KEPT: Final = 60


class DemoPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; of each country, where there are two."""

    minutes: float | None
    speed: float
    accounts: int
    seed: int
    countries: int = 1


class DemoView(msgspec.Struct, frozen=True, kw_only=True):
    """One look at one country."""

    url: str
    plan: DemoPlan
    phase: str
    running_s: float
    first_order_s: float | None
    """Seconds from our start to the first order an institution applied."""
    continued: bool
    country: str = ""
    """Its code, where there are two."""
    exercise: bool = False
    centre: LiveFigures | None = None
    nation: ProcessFigures | None = None
    transfers_per_s: float = 0.0
    reports_per_minute: float = 0.0


class Country:
    """One country's processes. Whoever starts it calls `end`, whatever happens."""

    def __init__(
        self,
        plan: DemoPlan,
        *,
        environ: dict[str, str],
        parameters: Parameters,
        country: str = "",
        say: Callable[[str], None],
    ) -> None:
        """`country`: its code, where there are two; it is then part of what is said."""
        self._plan = plan
        self._environ = environ
        self._parameters = parameters
        self._say = say
        self._started = time.monotonic()
        self._settings: Settings = load_settings(environ)
        self._children: list[Child] = []
        self._http = httpx.Client(timeout=ANSWER_SECONDS_MAX, trust_env=False)
        self._marks: list[tuple[float, int, int]] = []
        self.code = country
        self.data: Path = self._settings.data_path
        self.folder = self.data / "nation"
        self.url = f"http://{self._settings.host}:{self._settings.port}"
        self.centre_code = self._settings.centre_code
        self.nation_url = ""
        continued = (self.folder / "credentials.json").exists()
        self.view = DemoView(
            url=self.url,
            plan=plan,
            phase="starting",
            running_s=0.0,
            first_order_s=None,
            continued=continued,
            country=country,
            exercise=self._settings.exercise,
        )

    def check_free(self) -> None:
        """Raises PortTaken when somebody listens where the centre is to."""
        check_port_free(self._settings.host, self._settings.port)

    def _named(self, what: str) -> str:
        return f"{what} of {self.code}" if self.code else what

    def start(self) -> None:
        """Start the centre and the institutions; neither is asked anything yet."""
        goes_on = "goes on" if self.view.continued else "begins"
        self._say(f"The nation {self.code} {goes_on} in {self.data}".replace("  ", " "))
        code = "from openaoc.cli.main import main; main()"
        serve = Child(
            self._named("the centre"),
            ["-c", code, "serve"],
            log=self.data / "logs" / "centre.log",
            environ=self._environ,
            talks=False,
        )
        self._children.append(serve)
        more = ("--country", self.code) if self.code else ()
        institutions = Child(
            self._named("the institutions"),
            [
                *("-m", "openaoc.simulation.institutions"),
                *("--folder", str(self.folder), "--centre", self.url),
                *("--accounts", str(self._plan.accounts), "--seed", str(self._plan.seed)),
                *("--speed", str(self._plan.speed), *more),
            ],
            log=self.data / "logs" / "institutions.log",
            environ=self._environ,
            talks=True,
        )
        self._children.insert(0, institutions)
        port = int(institutions.first_line())
        self.nation_url = f"http://127.0.0.1:{port}"
        self._say(f"{self._named('The institutions')} listen on port {port}")

    def register(self, stop: threading.Event) -> bool:
        """Wait for the centre, and make the institutions known to it; False when stopped before."""
        if not self._wait_for_health(stop):
            return False
        self._say(f"{self._named('The centre')} serves {self.url}; registering the institutions")
        register(
            self._parameters,
            url=self.url,
            data_dir=self.data,
            folder=self.folder,
            port=int(self.nation_url.rpartition(":")[2]),
            jurisdiction=self._settings.jurisdiction,
        )
        return True

    def _wait_for_health(self, stop: threading.Event) -> bool:
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            self.check()
            with contextlib.suppress(httpx.HTTPError):  # it is not up yet
                if self._http.get(f"{self.url}/health").is_success:
                    return True
            if stop.wait(LOOK_SECONDS / 4):
                return False
        raise Unavailable(f"the centre does not come up: {self._children[-1].last_words()}")

    def check(self) -> None:
        """Raises ChildDied when a process has ended."""
        for child in self._children:
            child.check()

    def look(self) -> DemoView:
        """The figures now. Raises httpx.HTTPError, msgspec.MsgspecError."""
        reply = self._http.get(f"{self.nation_url}/figures")
        nation = msgspec.json.decode(reply.raise_for_status().content, type=ProcessFigures)
        reply = self._http.get(f"{self.url}/v1/status")
        centre = msgspec.json.decode(reply.raise_for_status().content, type=LiveFigures)
        running_s = round(time.monotonic() - self._started, 1)
        first = self.view.first_order_s
        if first is None and nation.couriers.applied:
            first = running_s
        if nation.phase != "live":
            self._marks.clear()
        self._marks.append((running_s, nation.couriers.feed_rows, nation.couriers.reports))
        self._marks = self._marks[-MARKS_KEPT:]
        past = self._marks[0]
        seconds = max(running_s - past[0], LOOK_SECONDS)
        self.view = msgspec.structs.replace(
            self.view,
            phase=nation.phase,
            running_s=running_s,
            centre=centre,
            nation=nation,
            first_order_s=first,
            transfers_per_s=round((nation.couriers.feed_rows - past[1]) / seconds, 1),
            reports_per_minute=round((nation.couriers.reports - past[2]) * 60 / seconds, 1),
        )
        return self.view

    def end(self) -> None:
        """The institutions first, so that nothing knocks at a closed door; then the centre."""
        for child in self._children:
            self._say(f"Stopping {child.name}")
            if not child.stop():
                self._say(f"{child.name} did not end when asked and was ended")
        self._http.close()
