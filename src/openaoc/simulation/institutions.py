"""Simulation: the process of the institutions: their books, endpoints, feed, victims and clock.

Started by the demonstration as a child of its own; speaks to the centre over HTTP alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

from openaoc.kernel.clock import Clock, SystemClock
from openaoc.kernel.errors import OpenAOCError
from openaoc.simulation.centre import Centre, Fate
from openaoc.simulation.countries import two_countries
from openaoc.simulation.couriers import CourierFigures, Couriers
from openaoc.simulation.credentials import Credentials, load_credentials
from openaoc.simulation.desk import Desk
from openaoc.simulation.endpoint import CentreKeys, Door, Endpoint
from openaoc.simulation.nation import Nation, NationFigures
from openaoc.simulation.next_door import NextDoor
from openaoc.simulation.openings import send_openings
from openaoc.simulation.parameters import load_parameters
from openaoc.simulation.population import make_population
from openaoc.simulation.warnings import Countries, Warnings

TICK_SECONDS: Final = 0.5
DESK_SECONDS: Final = 0.05
WAIT_SECONDS: Final = 0.2
JOIN_SECONDS: Final = 3.0


class ProcessFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What `/figures` answers: the demonstration's view of the institutions' process."""

    phase: str
    """founding, waiting (for keys), openings, history, live."""
    nation: NationFigures
    couriers: CourierFigures
    orders_blocking: int
    messages_waiting: int
    answers_waiting: int


class InstitutionsProcess:
    """Everything of it. Implements endpoint.Institutions."""

    def __init__(
        self,
        nation: Nation,
        desk: Desk,
        *,
        clock: Clock,
        folder: Path,
        warnings: Warnings | None = None,
    ) -> None:
        self.phase = "founding"
        self.stop = threading.Event()
        self._nation = nation
        self._desk = desk
        self._clock = clock
        self._folder = folder
        self._couriers: Couriers | None = None
        self._next_door = NextDoor(nation, folder)
        self._warnings = warnings
        if warnings is not None:
            nation.heed(warnings.stops)

    def reachable(self, institution: str) -> bool:
        """Whether the institution's system is up."""
        return self._desk.reachable(institution)

    def take_in(self, institution: str, body: bytes) -> int:
        """Keep a delivery of the centre."""
        return self._desk.take_in(institution, body)

    def from_next_door(self, body: bytes, token: str) -> None:
        """Keep what is on its way here from the country next door."""
        self._next_door.take(body, token=token)

    def figures(self) -> bytes:
        """ProcessFigures as JSON."""
        blocking, messages, answers = self._desk.orders.counts()
        couriers = self._couriers
        return msgspec.json.encode(
            ProcessFigures(
                phase=self.phase,
                nation=self._nation.figures(),
                couriers=couriers.figures if couriers is not None else CourierFigures(),
                orders_blocking=blocking,
                messages_waiting=messages,
                answers_waiting=answers,
            )
        )

    def run(self) -> None:
        """Found the nation, hand in openings and history, then live until stopped."""
        fresh = self._nation.live_history() > 0
        self.phase = "waiting"
        credentials = self._wait_for_credentials()
        if credentials is None:
            return
        self.phase = "openings"
        if not self._send_openings(credentials):
            return
        self._couriers = Couriers(
            self._nation,
            self._desk,
            credentials,
            clock=self._clock,
            stop=self.stop,
            next_door=self._next_door,
            warnings=self._warnings,
        )
        self._couriers.start_feed()
        self.phase = "history"
        while fresh and self._nation.store.feed_waiting() and not self.stop.wait(WAIT_SECONDS):
            self._desk.work()
        self.phase = "live"
        self._couriers.start_reports()
        threading.Thread(target=self._desk_loop, name="desk", daemon=True).start()
        while not self.stop.wait(TICK_SECONDS):
            self._nation.live()
        self._couriers.join(timeout_s=JOIN_SECONDS)
        self._next_door.close()
        if self._warnings is not None:
            self._warnings.close()

    def _wait_for_credentials(self) -> Credentials | None:
        while not self.stop.is_set():
            credentials = load_credentials(self._folder)
            if credentials is not None:
                return credentials
            self.stop.wait(WAIT_SECONDS)
        return None

    def _send_openings(self, credentials: Credentials) -> bool:
        """Tell the centre every opening balance once; False when stopped before."""
        if self._nation.store.meta().get("openings_sent") == "1":
            return True
        centre = Centre(credentials.centre, clock=self._clock)
        for code, known in credentials.institutions.items():
            while True:
                outcome = send_openings(
                    centre, self._nation.population, code=code, credentials=known
                )
                if outcome.fate is Fate.TAKEN:
                    break
                if outcome.fate is Fate.REFUSED:
                    reason = outcome.body[:300].decode("utf-8", "replace")
                    sys.stderr.write(f"openings of {code} refused: {outcome.status} {reason}\n")
                    break
                if self.stop.wait(WAIT_SECONDS):
                    return False
        centre.close()
        self._nation.store.note({"openings_sent": 1})
        return True

    def _desk_loop(self) -> None:
        while not self.stop.is_set():
            if not self._desk.work():
                time.sleep(DESK_SECONDS)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="openaoc.simulation.institutions")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--centre", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--accounts", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--speed", type=float, required=True)
    parser.add_argument("--country", default="", help="with a second country: which this one is")
    return parser.parse_args(argv)


def _open_nation(arguments: argparse.Namespace, clock: Clock) -> Nation:
    """The one nation, or one of two that are neighbours."""
    country: str = arguments.country
    if not country:
        return Nation(
            load_parameters(),
            folder=arguments.folder,
            accounts=arguments.accounts,
            seed=arguments.seed,
            speed=arguments.speed,
            clock=clock,
        )
    pair = two_countries()
    other = pair.other(country)
    people = make_population(
        pair.parameters(other), accounts=arguments.accounts, seed=pair.seed(other, arguments.seed)
    )
    return Nation(
        pair.for_demo(country),
        folder=arguments.folder,
        accounts=arguments.accounts,
        seed=pair.seed(country, arguments.seed),
        speed=arguments.speed,
        clock=clock,
        country=country,
        neighbour=pair.neighbour(other, people),
    )


def _warnings(arguments: argparse.Namespace, nation: Nation) -> Warnings | None:
    """Banks that warn, where there are two countries."""
    if nation.neighbour is None:
        return None
    countries = Countries(
        country=arguments.country,
        own=nation.population,
        next_door=nation.neighbour.population,
    )
    return Warnings(arguments.folder, countries, seed=arguments.seed)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT, or until the parent's pipe on stdin closes."""
    arguments = _arguments(argv)
    clock = SystemClock()
    try:
        nation = _open_nation(arguments, clock)
    except OpenAOCError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    desk = Desk(nation, seed=arguments.seed, clock=clock)
    process = InstitutionsProcess(
        nation,
        desk,
        clock=clock,
        folder=arguments.folder,
        warnings=_warnings(arguments, nation),
    )

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        process.stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    codes = frozenset(nation.population.codes)
    door = Door(CentreKeys(arguments.centre), clock)
    endpoint = Endpoint(process, codes=codes, door=door, port=arguments.port)
    threading.Thread(target=endpoint.serve_forever, name="endpoint", daemon=True).start()
    threading.Thread(target=_follow_parent, args=(process.stop,), daemon=True).start()
    sys.stdout.write(f"{endpoint.port}\n")
    sys.stdout.flush()
    try:
        process.run()
    finally:
        endpoint.shutdown()
        endpoint.server_close()
        nation.close()
    return 0


def _follow_parent(stop: threading.Event) -> None:
    """A demonstration that was killed closes the pipe: nobody is left behind."""
    while os.read(0, 1):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
