"""CLI: runs the demonstration: one country, or two that work together, and what is measured."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Final, Protocol

import httpx
import msgspec

from openaoc.cli.demo_between import Between, BetweenView
from openaoc.cli.demo_children import ChildDied
from openaoc.cli.demo_country import LOOK_SECONDS, Country, DemoPlan, DemoView
from openaoc.kernel.settings import load_settings
from openaoc.simulation.countries import two_countries
from openaoc.simulation.parameters import load_parameters

DATA_DIR: Final = "openaoc-data/demo"
TWO_DATA_DIR: Final = "openaoc-data/demo-two"
LOOKS_FAILED_MAX: Final = 30
"""Looks at a running centre that may fail in a row before the demonstration gives up."""


class TwoView(msgspec.Struct, frozen=True, kw_only=True):
    """One look at two countries, and at what is between them."""

    countries: list[DemoView]
    between: BetweenView | None = None


class Screen(Protocol):
    """Where a look is shown."""

    def say(self, line: str) -> None:
        """One line of progress."""
        ...

    def show(self, view: DemoView | TwoView) -> None:
        """The figures now."""
        ...


class Demo:
    """One run. Children are stopped whatever happens."""

    def __init__(self, plan: DemoPlan, *, screen: Screen, stop: threading.Event) -> None:
        self._plan = plan
        self._screen = screen
        self._stop = stop
        self._started = time.monotonic()
        two = plan.countries > 1
        self._countries = _two(plan, screen) if two else [_one(plan, screen)]
        self._between = Between(*self._countries, say=screen.say) if two else None

    def run(self) -> DemoView | TwoView:
        """Start, show until stopped, stop; the last look."""
        for country in self._countries:
            country.check_free()
        try:
            if self._begin():
                self._watch()
        finally:
            self._end()
        return self._view()

    def _view(self) -> DemoView | TwoView:
        if self._between is None:
            return self._countries[0].view
        return TwoView(
            countries=[country.view for country in self._countries], between=self._between.view
        )

    def _begin(self) -> bool:
        """Start everything; False when stopped before it is up."""
        if self._between is not None:
            self._between.close_doors()
        for country in self._countries:
            country.start()
        up = all(country.register(self._stop) for country in self._countries)
        if up and self._between is not None:
            self._between.begin(self._stop)
        return up and not self._stop.is_set()

    def _watch(self) -> None:
        until = None if self._plan.minutes is None else self._plan.minutes * 60
        failed = 0
        while not self._stop.wait(LOOK_SECONDS):
            for country in self._countries:
                country.check()
            try:
                for country in self._countries:
                    country.look()
                if self._between is not None:
                    self._between.look()
                self._screen.show(self._view())
                failed = 0
            except (httpx.HTTPError, msgspec.MsgspecError) as error:
                failed += 1
                if failed > LOOKS_FAILED_MAX:
                    raise ChildDied(f"no figures any more: {error}") from error
            if until is not None and time.monotonic() - self._started >= until:
                break

    def _end(self) -> None:
        if self._between is not None:
            self._between.end()
        for country in self._countries:
            country.end()


def _one(plan: DemoPlan, screen: Screen) -> Country:
    environ = dict(os.environ)
    environ.setdefault("OPENAOC_DATA_DIR", str(Path(DATA_DIR).absolute()))
    return Country(plan, environ=environ, parameters=load_parameters(), say=screen.say)


def _two(plan: DemoPlan, screen: Screen) -> list[Country]:
    """Each with a data folder, a port, keys and a database of its own, below one folder."""
    pair = two_countries()
    given = dict(os.environ)
    given.setdefault("OPENAOC_DATA_DIR", str(Path(TWO_DATA_DIR).absolute()))
    settings = load_settings(given)
    found = []
    for place, code in enumerate(pair.codes):
        environ = {
            **given,
            "OPENAOC_DATA_DIR": str(settings.data_path / code),
            "OPENAOC_PORT": str(settings.port + place),
            "OPENAOC_CENTRE": f"{code}-AOC",
        }
        found.append(
            Country(
                plan,
                environ=environ,
                parameters=pair.parameters(code),
                country=code,
                say=screen.say,
            )
        )
    return found
