"""Continuity: a warm standby: holds what the centre acknowledges, and takes over when told to.

Follows PostgreSQL's stream, the ledger's log and the keys; sends nothing to anybody and answers no
institution. Never promotes itself: a person says so.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from openaoc.continuity.files import write_durably
from openaoc.continuity.line import (
    CERTIFICATE_NAME,
    Channel,
    Hello,
    LineBroken,
    Welcome,
    context,
    dial,
    pump,
)
from openaoc.continuity.model import BadTarget
from openaoc.continuity.primary import REPLICA_PASSWORD_NAME, REPLICA_ROLE
from openaoc.continuity.standby_model import (
    BEAT,
    Ack,
    CopyHead,
    FileHead,
    Following,
    Listing,
    StandbyStatus,
)
from openaoc.continuity.supply import (
    COLD_FOLDER,
    forget_cold,
    listing,
    receive_files,
    safe_place,
)
from openaoc.kernel.errors import Corrupt, OpenAOCError, Unavailable
from openaoc.kernel.settings import Settings
from openaoc.ledger.tail import Frame, LogKeeper, drop_covered, last_position
from openaoc.ledger.wal import CUT
from openaoc.storage.files import destroy, private_folder
from openaoc.storage.keyring import Keyring
from openaoc.storage.marks import STANDBY_MARK, STANDBY_NAME
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.storage.postgres_files import SOCKET_NAME, socket_folder
from openaoc.storage.postgres_identity import binaries, choose_identity

RETRY_S: Final = 1.0
BASE_SECONDS_MAX: Final = 24 * 3600
REFRESH_BYTES: Final = 2 << 30
"""So much log is kept before the snapshot's new files are fetched: it bounds the take-over."""
SIGNAL_NAME: Final = "standby.signal"
TUNNELS_MAX: Final = 8
_LOG = structlog.get_logger(__name__)


def read_following(data: Path) -> Following | None:
    """Whom this data folder follows, None when it is no standby's. Raises Corrupt."""
    path = data / STANDBY_MARK
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Following)
    except msgspec.MsgspecError as error:
        raise Corrupt(str(error), where=str(path)) from error


class Tunnel:
    """A private socket on which PostgreSQL's programs find the primary's server."""

    def __init__(self, home: Path, dial_postgres: Callable[[], Channel]) -> None:
        self._dial = dial_postgres
        self.folder = socket_folder(private_folder(home / "line"))
        (self.folder / SOCKET_NAME).unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.folder / SOCKET_NAME))
        (self.folder / SOCKET_NAME).chmod(0o666)
        self._listener.listen(TUNNELS_MAX)

    def start(self) -> None:
        """Carry each connection over the line, in threads."""
        threading.Thread(target=self._accept, name="tunnel", daemon=True).start()

    def stop(self) -> None:
        """Carry no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(plain,), daemon=True).start()

    def _carry(self, plain: socket.socket) -> None:
        with plain:
            try:
                channel = self._dial()
            except OpenAOCError as error:
                _LOG.debug("continuity.tunnel.away", error=str(error)[:200])
                return
            try:
                pump(channel.sock, plain)
            finally:
                channel.close()


class Standby:
    """One standby on one data folder; `make` copies, `start` follows, `stop` ends."""

    def __init__(self, settings: Settings, *, primary: str) -> None:
        self._settings = settings
        self._primary = primary
        self._keys = Keyring(settings.keys_path)
        if not self._keys.has_master() or not self._keys.has(CERTIFICATE_NAME):
            raise Unavailable(
                "put the centre's keys here first, sealed after it began to listen for a standby",
                where=str(settings.keys_path),
            )
        self._tls = context(self._keys.folder / CERTIFICATE_NAME, server=False)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._channels: set[Channel] = set()
        self._heard: float | None = None
        self._state = ""
        self._epoch = 0
        self._keeper: LogKeeper | None = None
        self._ledger_here = self._keys_here = False
        self._since_refresh = 0
        self._fetching_cold = threading.Lock()
        self._refreshing = threading.Lock()
        self._server: EmbeddedPostgres | None = None
        self._tunnel: Tunnel | None = None

    @property
    def _ledger(self) -> Path:
        return self._settings.data_path / "ledger"

    def make(self, progress: Callable[[str], None]) -> None:
        """Copy ledger and database into the empty data folder. Raises BadTarget, Unavailable."""
        data = self._settings.data_path
        for entry in data.iterdir():
            if entry != self._settings.keys_path and entry.name != "centre.lock":
                raise BadTarget("the data folder is not empty", where=str(entry))
        progress("copying the ledger")
        channel, welcome = self._dial("copy", 0)
        try:
            channel.receive(CopyHead)
            receive_files(channel, private_folder(self._ledger))
            channel.send(Ack())
        finally:
            channel.close()
        progress("copying the database")
        self._epoch = welcome.epoch
        self._base_backup(data / "postgres.coming")
        (data / "postgres.coming").rename(data / "postgres")
        following = Following(primary=self._primary, epoch=welcome.epoch)
        write_durably(data / STANDBY_MARK, msgspec.json.encode(following))

    def _base_backup(self, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        tunnel = Tunnel(self._settings.data_path, lambda: self._dial("postgres", 0)[0])
        tunnel.start()
        try:
            done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
                [str(binaries() / "pg_basebackup"), f"--pgdata={target}", "--wal-method=stream",
                 "--checkpoint=fast", f"--host={tunnel.folder}", f"--username={REPLICA_ROLE}",
                 "--no-password"],
                env={"PGPASSWORD": self._keys.secret(REPLICA_PASSWORD_NAME), "LC_ALL": "C"},
                capture_output=True,
                timeout=BASE_SECONDS_MAX,
                check=False,
            )  # fmt: skip
        finally:
            tunnel.stop()
        if done.returncode != 0:
            text = done.stderr.decode("utf-8", "replace").strip()[-500:]
            raise Unavailable(f"the database was not copied: {text}")
        choose_identity(target).give(target)

    def start(self) -> None:
        """Follow until `stop`. Raises Unavailable, Corrupt, Conflict."""
        following = read_following(self._settings.data_path)
        if following is None:
            raise Unavailable("this data folder is no standby's; `openaoc standby make` makes one")
        self._epoch = following.epoch
        self._keeper = LogKeeper(self._ledger, position=last_position(self._ledger))
        self._tunnel = Tunnel(self._settings.data_path, lambda: self._dial("postgres", 0)[0])
        choose_identity(self._settings.data_path / "postgres").give(self._tunnel.folder)
        self._tunnel.start()
        (self._settings.data_path / "postgres" / SIGNAL_NAME).touch(mode=0o600)
        self._server = EmbeddedPostgres(
            self._settings.data_path,
            keys=self._keys,
            more_settings={
                "primary_conninfo": (
                    f"host={self._tunnel.folder} port=5432 user={REPLICA_ROLE}"
                    f" password={self._keys.secret(REPLICA_PASSWORD_NAME)}"
                    f" application_name={STANDBY_NAME}"
                ),
                "primary_slot_name": STANDBY_NAME,
                "wal_receiver_timeout": "10s",
                "wal_retrieve_retry_interval": "1s",
            },
        )
        for name, follow in (("ledger", self._follow_ledger), ("keys", self._follow_keys)):
            thread = threading.Thread(target=self._keep_on, args=(name, follow), name=name)
            thread.start()
            self._threads.append(thread)
        self._server.start()

    def stop(self) -> None:
        """End; what was confirmed is on disk."""
        self._stopping.set()
        for channel in list(self._channels):
            channel.close()
        for thread in self._threads:
            thread.join()
        if self._server is not None:
            self._server.stop()
        if self._tunnel is not None:
            self._tunnel.stop()
        if self._keeper is not None:
            self._keeper.close()

    def status(self) -> StandbyStatus:
        """As it sees itself."""
        heard = self._heard
        return StandbyStatus(
            primary=self._primary,
            epoch=self._epoch,
            position=self._keeper.position if self._keeper else 0,
            state=self._state,
            heard_s=None if heard is None else round(time.monotonic() - heard, 1),
            database=self._server is not None and self._server.running,
            ledger=self._ledger_here,
            keys=self._keys_here,
        )

    def _dial(
        self, kind: str, position: int, have: dict[str, int] | None = None
    ) -> tuple[Channel, Welcome]:
        hello = Hello(kind=kind, epoch=self._epoch, position=position, have=have or {})
        return dial(self._primary, self._tls, hello)

    def _keep_on(self, name: str, follow: Callable[[], None]) -> None:
        """Follow, and begin again when the line breaks, until told to stop."""
        told = False
        while not self._stopping.is_set():
            try:
                follow()
            except (OpenAOCError, OSError) as error:
                if not told and not self._stopping.is_set():
                    _LOG.warning("continuity.standby.away", what=name, error=str(error)[:200])
                    told = True
            else:
                told = False
            self._stopping.wait(RETRY_S)

    def _follow_ledger(self) -> None:
        keeper = self._keeper
        assert keeper is not None, "started"
        # A snapshot that was fetched may reach past a cut whose frame is not asked for any more.
        self._fetch_cold()
        channel, welcome = self._dial("ledger", keeper.position)
        self._epoch = welcome.epoch
        self._ledger_here = True
        self._channels.add(channel)
        try:
            while not self._stopping.is_set():
                content = channel.receive_bytes()
                if not content:
                    raise LineBroken("too far behind: make the standby anew")
                self._heard = time.monotonic()
                if content.startswith(BEAT):
                    self._state = content.removeprefix(BEAT).decode("ascii")
                else:
                    self._keep(keeper, content)
                channel.send(Ack(position=keeper.position))
        finally:
            self._ledger_here = False
            self._channels.discard(channel)
            channel.close()

    def _keep(self, keeper: LogKeeper, content: bytes) -> None:
        keeper.keep(content, needs=self._fetch_cut)
        self._since_refresh += len(content)
        if self._since_refresh > REFRESH_BYTES and self._refreshing.acquire(blocking=False):
            self._since_refresh = 0
            keeper.rotate()
            threading.Thread(target=self._refresh, name="refresh", daemon=True).start()

    def _fetch_cut(self, frame: Frame) -> None:
        """What a cut moves out of memory must be here before its frame is.

        With the frame alone a promotion would make the cut and have nothing of what left.
        """
        if CUT in frame.kinds:
            self._fetch_cold()

    def _fetch_cold(self) -> None:
        """One at a time: an older list of what is cold must not come after a newer one."""
        with self._fetching_cold:
            have = {k: v for k, v in listing(self._ledger).items() if _cold(k)}
            self._fetch("cold", have)
            forget_cold(self._ledger)

    def _refresh(self) -> None:
        """Fetch the snapshot's new files; one at a time, for two would write the same ones."""
        try:
            self._fetch("snapshot", listing(self._ledger))
            self._fetch_cold()
            drop_covered(self._ledger)
        except (OpenAOCError, OSError) as error:
            _LOG.warning("continuity.standby.not_refreshed", error=str(error)[:200])
        finally:
            self._refreshing.release()

    def _fetch(self, kind: str, have: dict[str, int]) -> None:
        channel, _ = self._dial(kind, 0, have)
        self._channels.add(channel)
        try:
            if self._stopping.is_set():
                raise LineBroken("the standby ends")
            channel.receive(CopyHead)
            receive_files(channel, self._ledger)
            channel.send(Ack())
        finally:
            self._channels.discard(channel)
            channel.close()

    def _follow_keys(self) -> None:
        channel, _ = self._dial("keys", 0)
        self._keys_here = True
        self._channels.add(channel)
        try:
            channel.send(Listing(files=listing(self._keys.folder)))
            while not self._stopping.is_set():
                head = channel.receive(FileHead)
                if head.name:
                    self._keep_key(head.name, channel.receive_bytes())
                channel.send(Ack())
        finally:
            self._keys_here = False
            self._channels.discard(channel)
            channel.close()

    def _keep_key(self, name: str, content: bytes) -> None:
        place = safe_place(self._keys.folder, name)
        private_folder(place.parent)
        if not content:
            destroy(place)
        elif not place.exists() or place.read_bytes() != content:
            write_durably(place, content)


def _cold(name: str) -> bool:
    return name.startswith(f"{COLD_FOLDER}/")
