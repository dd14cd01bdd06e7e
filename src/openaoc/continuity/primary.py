"""Continuity: the centre's side of its standby: nothing is acknowledged before the standby has it.

Serves the line: PostgreSQL's stream, the ledger's log, keys, and copies to begin with. Decides
whether the centre may acknowledge and send; never promotes anybody.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import msgspec
import psycopg
import structlog

from openaoc.continuity.files import write_durably
from openaoc.continuity.key_line import KeyLine
from openaoc.continuity.line import (
    Channel,
    Hello,
    LineBroken,
    Welcome,
    context,
    line_certificate,
    parse_address,
    pump,
)
from openaoc.continuity.standby_model import (
    BEAT,
    Ack,
    Fenced,
    FollowState,
    LineStatus,
)
from openaoc.continuity.supply import send_cold, send_copy
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import OpenAOCError, Unavailable
from openaoc.kernel.settings import Settings
from openaoc.ledger.model import LedgerStopped
from openaoc.ledger.service import Ledger
from openaoc.ledger.tail import LogGone, LogTail
from openaoc.storage.centre_state import read_state
from openaoc.storage.database import Database
from openaoc.storage.files import sync_folder
from openaoc.storage.marks import FENCED_MARK, KNOWN_MARK, STANDBY_NAME, has_standby
from openaoc.storage.ticker import Ticker
from openaoc.storage.vault import Vault

REPLICA_ROLE: Final = "openaoc_replica"
REPLICA_PASSWORD_NAME: Final = "postgres-replica.password"  # noqa: S105 - a file's name
LOOK_S: Final = 0.5
BEAT_S: Final = 0.5
"""How often a channel with nothing to carry is heard of."""
ALONE_AFTER_S: Final = 10.0
"""How long a standby may be away before a centre that need not wait goes on alone."""
LEASE_S: Final = 5.0
"""A centre that has not heard from its standby for so long sends nothing; a standby that is
promoted waits longer than this, so that two never send."""
CONNECTIONS_MAX: Final = 16
RELEASE_EVERY_S: Final = 0.5
_END_WAITING: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE wait_event = 'SyncRep' AND clock_timestamp() - state_change > interval '2 seconds'"
)
_STREAMING: Final = (
    "SELECT sync_state = 'sync' AND flush_lsn >= %s::pg_lsn FROM pg_stat_replication"
    " WHERE application_name = %s AND state = 'streaming' LIMIT 1"
)
_LOG = structlog.get_logger(__name__)


class StandbyLine:
    """Listens for the one standby while the centre runs."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        ledger: Ledger,
        on_fenced: Callable[[], None],
    ) -> None:
        assert settings.standby_listen is not None, "only a centre with a standby has a line"
        if database.server is None:
            raise Unavailable(
                "a standby needs the embedded PostgreSQL; with OPENAOC_DSN use its own"
            )
        self._settings, self._database, self._ledger = settings, database, ledger
        self._server = database.server
        self._on_fenced = on_fenced
        self._address = parse_address(settings.standby_listen, where="standby_listen")
        self._changed = threading.Condition()
        self._deciding = threading.Lock()
        """Held by who decides what the state is next: a look does not undo a person's word."""
        self._acked = self._durable = 0
        self._postgres_here = False
        self._follower: Channel | None = None
        """The newest connection that takes the ledger's log; one before it may end later."""
        self._heard: float | None = None
        self._gone_since = time.monotonic()
        self._state = self._before_joining = FollowState.NONE
        self._joined_at = "0/0"
        self._stopping = False
        self._epoch = 1
        self._keys = KeyLine(
            database.keys.folder, beat_s=BEAT_S, must_wait=self._must_wait, erased=self._erased
        )
        self._keys_joined = threading.Event()
        self._keys_joined.set()
        self._ticker = Ticker("standby", self._look_alone, every_s=LOOK_S)
        self._releasing = Ticker("standby-release", self._release_waiting, every_s=RELEASE_EVERY_S)
        self._listener: socket.socket | None = None
        self._slots = threading.BoundedSemaphore(CONNECTIONS_MAX)

    def start(self) -> None:
        """Listen, and from here on acknowledge nothing that the standby must have and has not."""
        with self._database.uow.read(SYSTEM) as tx:
            self._epoch = read_state(tx.connection).epoch
        with self._server.superuser() as connection:
            _ensure_replica(connection, self._database.keys.secret(REPLICA_PASSWORD_NAME))
        if has_standby(self._settings.data_path):
            self._state = FollowState.WAITING
        certificate = line_certificate(self._database.keys, self._database.clock)
        self._tls = context(certificate, server=True)
        try:
            listener = socket.create_server(self._address, backlog=CONNECTIONS_MAX)
        except OSError as error:
            where = f"standby_listen {self._settings.standby_listen}"
            raise Unavailable(error.strerror or "cannot listen", where=where) from error
        self._listener = listener
        self.address = listener.getsockname()[:2]
        self._durable = self._ledger.stats().position
        self._ledger.follow(self.confirm)
        self._database.keys.changed = self._keys.changed
        threading.Thread(target=self._accept, name="standby-line", daemon=True).start()
        self._ticker.start()
        _LOG.info("continuity.line.listening", port=self.address[1], state=self._state.value)

    def begin_stop(self) -> None:
        """The centre ends: who waits for a standby that is away is not kept waiting.

        Their changes are on our own disk and not acknowledged.
        """
        self._releasing.start()

    def _release_waiting(self) -> None:
        with self._server.superuser() as connection:
            connection.execute(_END_WAITING)
        if self._state is not FollowState.IN_SYNC:
            self._end_waiting()

    def _end_waiting(self) -> None:
        self._keys.stop()
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Let nobody follow any more."""
        self._releasing.stop()
        self._ticker.stop()
        self._end_waiting()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def may_send(self) -> bool:
        """Whether this centre is the one that sends: its standby was heard of, or it has none."""
        if self._state in (FollowState.NONE, FollowState.ALONE, FollowState.JOINING):
            return True
        if self._state is FollowState.FENCED or self._heard is None:
            return False
        return time.monotonic() - self._heard < LEASE_S

    def status(self) -> LineStatus:
        """For the operator and `/health`."""
        return LineStatus(
            state=self._state,
            position=self._durable,
            acknowledged=self._acked,
            database=self._postgres_here,
            ledger=self._follower is not None,
            keys=self._keys.here,
        )

    def forget(self) -> LineStatus:
        """A person says that the standby is gone for good: go on without one."""
        with self._deciding:
            (self._settings.data_path / KNOWN_MARK).unlink(missing_ok=True)
            sync_folder(self._settings.data_path)
            self._set_synchronous(on=False)
            self._become(FollowState.NONE)
        self._ledger.retain(None)
        return self.status()

    def confirm(self, position: int) -> None:
        """Return when the standby has the entry, or need not. Raises LedgerStopped at the end."""
        with self._changed:
            self._durable = position
            self._changed.notify_all()
            while self._must_wait() and self._acked < position:
                if self._stopping:
                    raise LedgerStopped("the standby did not confirm it; it is not acknowledged")
                self._changed.wait(1.0)

    def _erased(self, names: Collection[str]) -> list[str]:
        vault = Vault(keys=self._database.keys, uow=self._database.uow)
        with self._database.uow.read(SYSTEM, purpose="tell the standby what is erased") as tx:
            return vault.erased(tx, names)

    def _must_wait(self) -> bool:
        return self._state not in (FollowState.NONE, FollowState.ALONE)

    def _become(self, state: FollowState) -> None:
        """Go over to a state; a look that was under way leads nobody back from being fenced."""
        with self._changed:
            if self._state is FollowState.FENCED:
                return
            if state is not self._state:
                _LOG.warning("continuity.standby.state", now=state.value, before=self._state.value)
            self._state = state
            self._changed.notify_all()

    def _look_alone(self) -> None:
        with self._deciding:
            self._look()

    def _look(self) -> None:
        """What the state is now, from what is connected."""
        with self._server.superuser() as connection:
            row = connection.execute(_STREAMING, [self._joined_at, STANDBY_NAME]).fetchone()
        self._postgres_here = row is not None
        here = self._postgres_here and self._follower is not None and self._keys.here
        now = time.monotonic()
        if here:
            self._gone_since = now
        match self._state:
            case FollowState.NONE | FollowState.ALONE if here:
                self._join()
            case FollowState.JOINING | FollowState.WAITING if here:
                # What was acknowledged before nobody had to wait is over there too, by now.
                kept = bool(row and row[0]) and self._acked >= self._durable
                if kept and self._keys_joined.is_set():
                    self._in_sync()
            case FollowState.JOINING:
                self._set_synchronous(on=False)
                self._become(self._before_joining)
            case FollowState.IN_SYNC if not here:
                self._become(FollowState.WAITING)
            case FollowState.WAITING if self._heard is not None and self._may_go_alone(now):
                self._set_synchronous(on=False)
                self._become(FollowState.ALONE)

    def _may_go_alone(self, now: float) -> bool:
        return not self._settings.standby_required and now - self._gone_since > ALONE_AFTER_S

    def _join(self) -> None:
        """From now on wait for the standby; in sync once it has what came before, too."""
        self._before_joining = self._state
        self._become(FollowState.JOINING)
        self._keys_joined = self._keys.behind_these()
        self._set_synchronous(on=True)
        with self._server.superuser() as connection:
            row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        assert row is not None, "a server has a place in its log"
        self._joined_at = str(row[0])

    def _in_sync(self) -> None:
        mark = self._settings.data_path / KNOWN_MARK
        if not mark.exists():
            now = format_time(self._database.clock.now())
            write_durably(mark, f"{now}\n".encode("ascii"))
        self._become(FollowState.IN_SYNC)

    def _set_synchronous(self, *, on: bool) -> None:
        with self._server.superuser() as connection:
            name = STANDBY_NAME if on else ""
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'".encode())
            connection.execute("SELECT pg_reload_conf()")

    def _accept(self) -> None:
        while not self._stopping and self._listener is not None:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            if not self._slots.acquire(blocking=False):
                plain.close()
                continue
            threading.Thread(
                target=self._guarded, args=(plain,), name="standby", daemon=True
            ).start()

    def _guarded(self, plain: socket.socket) -> None:
        try:
            plain.settimeout(LEASE_S)
            channel = Channel(self._tls.wrap_socket(plain, server_side=True))
        except OSError as error:
            plain.close()
            _LOG.warning("continuity.line.stranger", error=type(error).__name__)
            self._slots.release()
            return
        try:
            self._serve(channel, channel.receive(Hello))
        except (OpenAOCError, OSError) as error:
            if not self._stopping:
                _LOG.info("continuity.line.ended", error=str(error)[:200])
        finally:
            channel.close()
            self._slots.release()

    def _serve(self, channel: Channel, hello: Hello) -> None:
        if hello.epoch > self._epoch:
            self._fence(hello.epoch)
            channel.send(
                Welcome(epoch=self._epoch, refused="" if hello.kind == "fence" else "fenced")
            )
            return
        refused = self._refusal(hello)
        if refused:
            channel.send(Welcome(epoch=self._epoch, refused=refused))
            return
        channel.send(Welcome(epoch=self._epoch))
        match hello.kind:
            case "postgres":
                self._serve_postgres(channel)
            case "ledger":
                self._serve_ledger(channel, hello.position)
            case "keys":
                self._keys.serve(channel)
            case "copy" | "snapshot":
                log = hello.kind == "copy"
                send_copy(channel, self._ledger, hello.have, log=log)
            case "cold":
                send_cold(channel, self._ledger_folder, hello.have)

    def _refusal(self, hello: Hello) -> str:
        if hello.kind == "fence":
            return "this centre is of a later epoch"
        if hello.kind == "ledger" and hello.position > self._durable:
            return "the standby knows more than this centre: promote it, or make it anew"
        return ""

    @property
    def _ledger_folder(self) -> Path:
        return self._settings.data_path / "ledger"

    def _fence(self, epoch: int) -> None:
        """Another server took over: acknowledge and send nothing any more, after a restart too."""
        said = Fenced(epoch=epoch, at=format_time(self._database.clock.now()))
        write_durably(self._settings.data_path / FENCED_MARK, msgspec.json.encode(said))
        self._become(FollowState.FENCED)
        _LOG.error("continuity.centre.fenced", epoch=epoch)
        self._on_fenced()

    def _serve_postgres(self, channel: Channel) -> None:
        parameters = self._server.parameters()
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with plain:
            plain.connect(f"{parameters['host']}/.s.PGSQL.{parameters['port']}")
            pump(channel.sock, plain)

    def _serve_ledger(self, channel: Channel, position: int) -> None:
        tail = LogTail(self._ledger_folder, after=position)
        self._ledger.retain(position)
        self._note(position)
        self._follower = channel
        try:
            said: FollowState | None = None
            while not self._stopping:
                if said is not self._state:
                    # However much there is to carry: who takes over must know how we stood.
                    said = self._beat(channel)
                frame = tail.next(durable=self._durable)
                if frame is None:
                    if not self._wait_for_more(tail.position):
                        said = self._beat(channel)
                    continue
                channel.send_bytes(frame.content)
                ack = channel.receive(Ack)
                self._ledger.retain(ack.position)
                self._note(ack.position)
        except LogGone as error:
            channel.send_bytes(b"")
            raise LineBroken("the log no longer reaches back so far") from error
        finally:
            if self._follower is channel:
                self._follower = None

    def _wait_for_more(self, position: int) -> bool:
        """Whether the ledger went on within a beat."""
        with self._changed:
            return self._changed.wait_for(lambda: self._durable > position, BEAT_S)

    def _beat(self, channel: Channel) -> FollowState:
        """Say how we stand, and hear that the standby is there; what was said."""
        state = self._state
        channel.send_bytes(BEAT + state.value.encode("ascii"))
        self._note(channel.receive(Ack).position)
        return state

    def _note(self, position: int) -> None:
        with self._changed:
            self._heard = time.monotonic()
            self._acked = max(self._acked, position)
            self._changed.notify_all()


def _ensure_replica(connection: psycopg.Connection, password: str) -> None:
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [REPLICA_ROLE])
    if found.fetchone() is None:
        connection.execute(f"CREATE ROLE {REPLICA_ROLE} LOGIN REPLICATION".encode())
    verifier = connection.pgconn.encrypt_password(
        password.encode(), REPLICA_ROLE.encode(), b"scram-sha-256"
    ).decode("ascii")
    connection.execute(f"ALTER ROLE {REPLICA_ROLE} PASSWORD '{verifier}'".encode())
    slot = "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s"
    if connection.execute(slot, [STANDBY_NAME]).fetchone() is None:
        connection.execute("SELECT pg_create_physical_replication_slot(%s)", [STANDBY_NAME])
