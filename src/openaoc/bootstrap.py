"""Bootstrap: the only place that builds concrete things from settings, starts and stops them.

Start order is the order of need, stop order its reverse; what was begun is undone when a later
step fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from openaoc.channels.keys import CentreKeys
from openaoc.channels.service import Channels
from openaoc.channels.transport import Transport
from openaoc.continuity.control import ControlServer
from openaoc.continuity.fencing import Fencing
from openaoc.continuity.primary import StandbyLine
from openaoc.continuity.timekeeper import TimeKeeper
from openaoc.continuity.verbs import control_verbs
from openaoc.continuity.witnessing import Witnessing
from openaoc.exchange.files.service import Files
from openaoc.holds.legal import check_may_go_live
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import Clock, SteadyClock
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.parties.service import Parties
from openaoc.statistics.model import LiveFigures
from openaoc.statistics.public_report import PublicReports
from openaoc.statistics.service import Statistics
from openaoc.storage.centre_state import CentreState, read_state
from openaoc.storage.database import Database, open_database
from openaoc.storage.files import private_folder, write_once
from openaoc.storage.journal import JournalService, Sequencer
from openaoc.storage.marks import check_marks
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import UnitOfWork
from openaoc.storage.vault import Vault
from openaoc.tracing.model import Rule
from openaoc.tracing.service import Tracing
from openaoc.tracing.warm import warm
from openaoc.workflow.acknowledging import Acknowledging
from openaoc.workflow.answering import Answering
from openaoc.workflow.between import Between, build_between
from openaoc.workflow.control import CONTROL_CHECK
from openaoc.workflow.filing import build_files
from openaoc.workflow.telling import Telling
from openaoc.workflow.wiring import Matter, build_matter

log = structlog.get_logger("openaoc")

LOCK_FILE: Final = "centre.lock"
KEY_FILE: Final = "administrator.key"
LEDGER_FOLDER: Final = "ledger"
WATCH_SECONDS: Final = 0.5
"""How often it is asked whether a case's money has moved; a batch of transfers asks at once."""
FIGURES_SECONDS: Final = 0.5
"""Published figures are computed at most so often, however many look."""


class InUse(Conflict):
    """Another centre uses this data folder."""


@contextlib.contextmanager
def data_folder(settings: Settings) -> Iterator[Path]:
    """The data folder, for this process alone. Raises InUse while another process has it.

    The lock is the kernel's: it ends with the process, however that ends.
    """
    folder = private_folder(settings.data_path)
    path = folder / LOCK_FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise InUse(f"process {holder or '?'} runs a centre on it", where=str(folder)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield folder
    finally:
        os.close(descriptor)


class Centre:
    """A running centre: its stages, built from settings by `build_centre`."""

    def __init__(
        self, *, settings: Settings, clock: Clock, line_to: Transport | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._line_to = line_to
        self.database: Database
        self.uow: UnitOfWork
        self.parties: Parties
        self.channels: Channels
        self.ledger: Ledger
        self.tracing: Tracing
        self.matter: Matter
        self.between: Between
        self.files: Files
        self.answering: Answering
        self.watching: Ticker
        self.telling: Telling
        self.journal: JournalService
        self.witnessing: Witnessing
        self.time: TimeKeeper
        self.statistics: Statistics
        self.public_reports: PublicReports
        self.line: StandbyLine | None = None
        self._undo = contextlib.ExitStack()
        self._figures_lock = threading.Lock()
        self._figures: tuple[float, LiveFigures] | None = None

    @property
    def key_file(self) -> Path:
        """Where the first administrator's key is."""
        return self.settings.data_path / KEY_FILE

    def start(self) -> Centre:
        """Open everything and begin to work. Raises InUse, Unavailable, Corrupt, BadInput."""
        with contextlib.ExitStack() as undo:
            try:
                self._open(undo)
                self._run(undo)
            except BaseException:  # whatever it is, nobody may wait for a standby meanwhile
                self._end_waiting()
                raise
            self._undo = undo.pop_all()
        log.info("centre_started", jurisdiction=self.settings.jurisdiction)
        return self

    def stop(self) -> None:
        """Finish what is under way and close; everything acknowledged is on disk already."""
        self._end_waiting()
        self._undo.close()
        log.info("centre_stopped")

    def _end_waiting(self) -> None:
        if self.line is not None:
            self.line.begin_stop()

    @contextlib.contextmanager
    def opened(self) -> Iterator[Centre]:
        """Everything built and nothing running by itself: for who brings a clock of their own."""
        with contextlib.ExitStack() as undo:
            self._open(undo)
            yield self

    def _open(self, undo: contextlib.ExitStack) -> None:
        undo.enter_context(data_folder(self.settings))
        self._open_storage(undo)
        self._build(undo)
        self._administrator()
        log.info("kernels_ready", seconds=round(warm(), 1))

    def _open_storage(self, undo: contextlib.ExitStack) -> None:
        check_marks(self.settings.data_path)
        self.database = open_database(self.settings, clock=self.clock)
        undo.callback(self.database.close)
        before, after = self.database.migrate()
        self.database.claim(on_lost=end_process)
        log.info("database_ready", before=before, after=after)
        self.uow = self.database.uow
        self.time = TimeKeeper(uow=self.uow, clock=self.clock)
        self.time.begin()
        self.ledger = Ledger.open(
            self.settings.data_path / LEDGER_FOLDER, settings=self.settings, clock=self.clock
        )
        undo.callback(self.ledger.close)
        self._open_line(undo)

    def _open_line(self, undo: contextlib.ExitStack) -> None:
        """Before anything is acknowledged: the standby must have it too."""
        if self.settings.standby_listen is not None:
            self.line = StandbyLine(
                settings=self.settings,
                database=self.database,
                ledger=self.ledger,
                on_fenced=end_process,
            )
            undo.callback(self.line.stop)
            self.line.start()

    def _build(self, undo: contextlib.ExitStack) -> None:
        try:
            rule = Rule(self.settings.rule)
        except ValueError as error:
            raise BadInput(f"{self.settings.rule!r} is no rule", where="rule") from error
        keys = self.database.keys
        centre_keys = CentreKeys(self.settings.keys_path, exercise=self.settings.exercise).open(
            self.clock.now()
        )
        self.parties = Parties(keys=keys, may_go_live=check_may_go_live)
        self.channels = Channels(
            uow=self.uow,
            parties=self.parties,
            keys=centre_keys,
            clock=self.clock,
            centre=f"OPENAOC-{self.settings.jurisdiction}",
        )
        self.tracing = Tracing(self.ledger, rule=rule, archive=self.ledger.archive)
        self.matter = build_matter(
            database=self.database,
            ledger=self.ledger,
            tracing=self.tracing,
            parties=self.parties,
            outbox=self.channels,
            vault=Vault(keys=keys, uow=self.uow),
            settings=self.settings,
        )
        self.between = build_between(
            database=self.database,
            ledger=self.ledger,
            tracing=self.tracing,
            matter=self.matter,
            keys=centre_keys,
            clock=self.clock,
            settings=self.settings,
            transport=self._line_to,
        )
        undo.callback(self.between.close)
        self.files = build_files(
            database=self.database, matter=self.matter, keys=centre_keys, settings=self.settings
        )
        self.channels.complete_with(CONTROL_CHECK, self.matter.control.with_code)
        self.answering = Answering(uow=self.uow, holds=self.matter.holds, outbox=self.channels)
        self.watching = Ticker("watch", self.matter.pursuit.pursue, every_s=WATCH_SECONDS)
        self.telling = Telling(
            uow=self.uow,
            ledger=self.ledger,
            parties=self.parties,
            wake=self.matter.duties.wake,
            applied=self.watching.wake,
            corrected=self.tracing.distrust,
        )
        self.journal = JournalService(self.database)
        self.witnessing = Witnessing(uow=self.uow, journal=self.journal)
        self.statistics = Statistics(self.settings)
        self.public_reports = PublicReports(self.settings)

    def _administrator(self) -> None:
        """The first start makes an administrator whose key is written once, for its owner alone.

        The key reaches the disk before the user is committed: a crash between the two leaves a
        file that the next start replaces, never a user whose key nobody has.
        """
        with self.uow.begin(SYSTEM, purpose="first start") as tx:
            made = self.parties.ensure_administrator(tx)
            if made is not None:
                self.key_file.unlink(missing_ok=True)
                write_once(self.key_file, (made[1] + "\n").encode("ascii"))

    def _run(self, undo: contextlib.ExitStack) -> None:
        sequencer = Sequencer(self.database)
        sequencer.start()
        undo.callback(sequencer.stop)
        self.witnessing.start()
        undo.callback(self.witnessing.stop)
        self.matter.housekeeping.start()
        undo.callback(self.matter.housekeeping.stop)
        self.matter.collecting.start()
        undo.callback(self.matter.collecting.stop)
        self.matter.duties.start()
        undo.callback(self.matter.duties.stop)
        self.watching.start()
        undo.callback(self.watching.stop)
        acknowledging = Acknowledging(uow=self.uow, holds=self.matter.holds)
        acknowledging.start()
        undo.callback(acknowledging.stop)
        if self.line is not None:
            self.channels.send_only_while(self.line.may_send)
            self.between.carrier.send_only_while(self.line.may_send)
            self.between.outreach.letters.send_only_while(self.line.may_send)
            self.between.together.telling.send_only_while(self.line.may_send)
        self.time.start()
        undo.callback(self.time.stop)
        fencing = Fencing(settings=self.settings, database=self.database)
        fencing.start()
        undo.callback(fencing.stop)
        self.channels.start(on_answer=self.answering.inline, on_delivered=acknowledging.delivered)
        undo.callback(self.channels.stop)
        self.between.start()
        undo.callback(self.between.stop)
        control = ControlServer(self.settings.data_path, control_verbs(self))
        control.start()
        undo.callback(control.stop)

    def figures(self) -> LiveFigures:
        """The published figures, at most FIGURES_SECONDS old."""
        with self._figures_lock:
            now = time.monotonic()
            if self._figures is None or now - self._figures[0] > FIGURES_SECONDS:
                with self.uow.read(SYSTEM, purpose="published figures") as tx:
                    self._figures = (now, self.statistics.live(tx))
            return self._figures[1]

    def check_health(self) -> CentreState:
        """The centre's standing. Raises Unavailable unless database and ledger answer."""
        with self.uow.read(SYSTEM, purpose="health") as tx:
            state = read_state(tx.connection)
        self.ledger.check()
        return state


def end_process() -> None:
    """Another server took over, or has the database: end as if told to."""
    os.kill(os.getpid(), signal.SIGTERM)


def build_centre(
    settings: Settings, *, clock: Clock | None = None, line_to: Transport | None = None
) -> Centre:
    """A centre that is not started yet. `line_to`: how other centres are reached; else by HTTP."""
    return Centre(settings=settings, clock=clock or SteadyClock(), line_to=line_to)
