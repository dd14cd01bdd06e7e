"""Simulation: the nation with its clock, its books and its file, behind one lock.

Steps forward with the wall clock at a chosen speed; everything a step changed is on disk before
anybody hears of it.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from openaoc.kernel.clock import Clock, to_us
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.simulation.books import Books
from openaoc.simulation.crossings import crossed
from openaoc.simulation.feed import Feed
from openaoc.simulation.neighbour import Neighbour, arrives_after_s
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.population import Population, make_population
from openaoc.simulation.reporting import write_report
from openaoc.simulation.scams import Scam, Scams
from openaoc.simulation.store import FEED_WAITING_MAX, NationStore
from openaoc.simulation.truth import Truth, TruthFigures
from openaoc.simulation.world import VICTIM, Move, Stops, Tick, World

PAST_TICKS: Final = 5
HISTORY_TICKS: Final = 8
"""The ordinary past, and then the time before the first start, are lived in so many steps."""
DAY_US: Final = 86_400_000_000
TICK_SECONDS_MAX: Final = 5.0
"""A step later than this many wall seconds (a machine that slept) is lived as one of this length:
the nation slept too.
"""
FEED_BUSY: Final = 20
"""With so many batches waiting, steps become longer and batches fewer and larger."""
BUSY_SECONDS: Final = 3.0
SPEED_MAX: Final = 3_600.0


class NationFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The nation as it knows itself; amounts in minor units."""

    simulated_s: float
    speed: float
    transfers: int
    scams: int
    stolen_minor: int
    inside_minor: int
    gone_minor: int
    held_minor: int
    rightly_held_minor: int
    wrongly_held_minor: int
    wrongly_from_honest_minor: int
    held_from_honest_minor: int
    feed_waiting: int
    standing_still: bool
    crossed_minor: int = 0
    """Stolen money that went to the country next door, and that came from there."""
    arrived_minor: int = 0
    averted_minor: int = 0
    """What victims did not pay because their bank warned them."""


class _Anchor(NamedTuple):
    """One moment of both clocks."""

    simulated_s: float
    wall_us: int


class Nation:
    """Everything that lives in the institutions' process."""

    def __init__(
        self,
        parameters: Parameters,
        *,
        folder: Path,
        accounts: int,
        seed: int,
        speed: float,
        clock: Clock,
        country: str = "",
        neighbour: Neighbour | None = None,
    ) -> None:
        """Open or found the nation in `folder`.

        `country`: its own code, where there is a neighbour. Raises Conflict when another nation
        (seed, size or number of countries) lives there, BadInput for a speed outside 0…SPEED_MAX.
        """
        if not 0 < speed <= SPEED_MAX:
            raise BadInput(f"the speed is above 0 and at most {SPEED_MAX:.0f}")
        self.parameters = parameters
        self.population: Population = make_population(parameters, accounts=accounts, seed=seed)
        self.store = NationStore(folder / "institutions.sqlite")
        self.lock = threading.RLock()
        self.books = Books(self.population.opening_minor)
        self.speed = speed
        self._clock = clock
        self._truth = Truth(self.population.size)
        self._country = country
        self.neighbour = neighbour
        self._on_the_way: set[int] = set()
        self._seed = seed
        self._scams = Scams(parameters, self.population, seed=seed, neighbour=neighbour)
        self._world = World(self.population, self._scams, self.books, self._truth, seed=seed)
        machines = next((o.code for o in parameters.institutions if o.kind == "atm_network"), None)
        self._feed = Feed(self.population, machines=machines, neighbour=neighbour)
        self._owed_rows = 0.0
        self._still = False
        self._begin(accounts=accounts, seed=seed)

    def heed(self, stops: Stops) -> None:
        """From now on victims are stopped before they pay, where this says so."""
        with self.lock:
            self._world.stops = stops

    @property
    def founded(self) -> bool:
        """Whether the time before the first start has been lived."""
        return self._world.ticks >= PAST_TICKS + HISTORY_TICKS

    def _begin(self, *, accounts: int, seed: int) -> None:
        meta = self.store.meta()
        countries = 1 if self.neighbour is None else 2
        now_us = to_us(self._clock.now())
        if not meta:
            self._founded_us = now_us
            history_us = self.parameters.nation.history_s.value / self.speed * 1e6
            self._anchor = _Anchor(0.0, now_us - int(history_us))
            known = {"accounts": accounts, "seed": seed, "countries": countries}
            self.store.note({**known, **self._meta()})
            self._world.border_open = False
            return
        known = {"accounts": accounts, "seed": seed, "countries": countries}
        for name, value in known.items():
            if int(meta.get(name, "1")) != value:
                raise Conflict(
                    f"another nation lives in this data folder: its {name} is {meta[name]}, "
                    f"not {value}"
                )
        self._founded_us = int(meta["founded_us"])
        world, truth = self._world, self._truth
        world.now_s, world.ticks = float(meta["now_s"]), int(meta["ticks"])
        world.next_scam = int(meta["next_scam"])
        world.next_transfer = int(meta["next_transfer"])
        truth.stolen_minor, truth.gone_minor = int(meta["stolen"]), int(meta["gone"])
        truth.crossed_minor = int(meta.get("crossed", "0"))
        truth.arrived_minor = int(meta.get("arrived", "0"))
        truth.averted_minor = int(meta.get("averted", "0"))
        self.books.left_minor = int(meta["left"])
        self.store.load(books=self.books, truth=truth)
        world.border_open = self.founded
        for arrival, at_s in self.store.arrivals(came=True):
            world.expect(arrival, at_s=at_s)
        opened, reported, moves = self.store.open_scams()
        world.resume(opened=opened, moves=moves, reported=reported)
        if self.founded:
            self._anchor = _Anchor(world.now_s, now_us)
        else:
            ahead_s = self.parameters.nation.history_s.value - world.now_s
            self._anchor = _Anchor(world.now_s, now_us - int(ahead_s / self.speed * 1e6))

    @property
    def founded_us(self) -> int:
        """The moment on the wall of the first start; makes this nation's request keys its own."""
        return self._founded_us

    def _meta(self) -> dict[str, int | float]:
        world, truth = self._world, self._truth
        return {
            "founded_us": self._founded_us,
            "now_s": world.now_s,
            "ticks": world.ticks,
            "next_scam": world.next_scam,
            "next_transfer": world.next_transfer,
            "stolen": truth.stolen_minor,
            "gone": truth.gone_minor,
            "crossed": truth.crossed_minor,
            "averted": truth.averted_minor,
            "arrived": truth.arrived_minor,
            "left": self.books.left_minor,
        }

    def _stamp(self, simulated_s: float) -> int:
        ahead_s = (simulated_s - self._anchor.simulated_s) / self.speed
        return self._anchor.wall_us + int(ahead_s * 1e6)

    def live_history(self) -> int:
        """Live the time before the first start, or what is left of it; returns its transfers."""
        figures = self.parameters.nation
        rows = 0
        while self._world.ticks < PAST_TICKS:
            rows += self._past(figures.past_transfers.value // PAST_TICKS)
        while not self.founded:
            done = self._world.ticks + 1 - PAST_TICKS
            to_s = figures.history_s.value * done / HISTORY_TICKS
            rows += self._step(to_s, figures.history_transfers.value // HISTORY_TICKS)
        if rows:
            self._anchor = _Anchor(self._world.now_s, to_us(self._clock.now()))
        return rows

    def live(self) -> int:
        """Live until now; returns how many transfers were made.

        Stands still while the centre has not acknowledged FEED_WAITING_MAX batches: an
        institution does not throw away what it has to report.
        """
        now_us = to_us(self._clock.now())
        last_us = self._stamp(self._world.now_s)
        gap_s = (now_us - last_us) / 1e6
        waiting = self.store.feed_waiting()
        self._still = waiting >= FEED_WAITING_MAX
        if not self._still and waiting > FEED_BUSY and gap_s < BUSY_SECONDS:
            return 0
        if self._still or gap_s > TICK_SECONDS_MAX:
            self._anchor = _Anchor(self._world.now_s, now_us)
            return 0
        if gap_s <= 0:
            return 0
        self._owed_rows += gap_s * self.parameters.nation.transfers_per_second.value
        count = int(self._owed_rows)
        self._owed_rows -= count
        return self._step(self._world.now_s + gap_s * self.speed, count)

    def _past(self, count: int) -> int:
        """One stretch of the ordinary past, which ends where the history begins."""
        length_us = int(self.parameters.nation.past_days.value * DAY_US) // PAST_TICKS
        from_us = self._stamp(0.0) - length_us * (PAST_TICKS - self._world.ticks)
        with self.lock:
            tick = self._world.live_past(count=count, from_us=from_us, to_us=from_us + length_us)
            self._save(tick, reports=[])
        return len(tick.rows.debtor)

    def _step(self, to_s: float, count: int) -> int:
        with self.lock:
            in_history = not self.founded
            self._world.border_open = not in_history
            self._await_arrivals()
            tick = self._world.step(to_s=to_s, count=count, stamp=self._stamp)
            heard = [] if in_history else tick.noticed
            reports = [one for scam in heard if (one := self._report(scam, tick))]
            self._save(tick, reports=reports)
        return len(tick.rows.debtor)

    def _await_arrivals(self) -> None:
        """What next door has told is on its way here."""
        if self.neighbour is None or not self.founded:
            return
        for arrival, _ in self.store.arrivals(came=False):
            if arrival.number not in self._on_the_way:
                self._on_the_way.add(arrival.number)
                after_s = arrives_after_s(self.neighbour, arrival.number, seed=self._seed)
                self._world.arrive(arrival, at_s=self._world.now_s + after_s)

    def _save(self, tick: Tick, *, reports: list[tuple[int, bytes, str | None, int]]) -> None:
        self.store.save_tick(
            tick,
            books=self.books,
            truth=self._truth,
            meta=self._meta(),
            feed=self._feed.encode(tick),
            reports=reports,
            crossings=[one for _, one in crossed(tick, self.population, country=self._country)],
        )
        self._on_the_way.difference_update(one.number for _, one in tick.arrived)

    def _report(self, scam: Scam, tick: Tick) -> tuple[int, bytes, str | None, int] | None:
        """The waiting report of a victim who notices; not before the present on the wall."""
        paid: dict[int, Move] = self.store.moves_of(scam.number)
        for move in tick.moves:
            if move.scam == scam.number and move.step == VICTIM:
                paid[move.payment] = move
        now = self._clock.now()
        report = write_report(
            self.parameters,
            self.population,
            scam,
            paid,
            reported_at=now - timedelta(microseconds=now.microsecond),
            neighbour=self.neighbour,
        )
        if report is None:
            return None
        bank = self.population.codes[self.population.institution[scam.victim]]
        body = msgspec.json.encode(report)
        return scam.number, body, bank if scam.by_bank else None, to_us(now)

    def is_false(self, scam: int) -> bool:
        """Whether the report of this scam is a false claim: for the measures alone."""
        return self._scams.scam(scam).false

    def figures(self) -> NationFigures:
        """The nation's own measures."""
        with self.lock:
            truth: TruthFigures = self._truth.figures(
                blocked=self.books.blocked, kind=self.population.kind
            )
            world = self._world
            return NationFigures(
                simulated_s=world.now_s,
                speed=self.speed,
                transfers=world.next_transfer - 1,
                scams=world.next_scam,
                stolen_minor=truth.stolen,
                inside_minor=truth.inside,
                gone_minor=truth.gone,
                held_minor=truth.held,
                rightly_held_minor=truth.rightly_held,
                wrongly_held_minor=truth.wrongly_held,
                wrongly_from_honest_minor=truth.wrongly_from_honest,
                held_from_honest_minor=truth.held_from_honest,
                feed_waiting=self.store.feed_waiting(),
                standing_still=self._still,
                crossed_minor=self._truth.crossed_minor,
                arrived_minor=self._truth.arrived_minor,
                averted_minor=self._truth.averted_minor,
            )

    def close(self) -> None:
        """Close the file; everything is on disk already."""
        self.store.close()
