"""Continuity: taking over from a primary that is gone, and telling it so should it come back.

A promotion begins a new epoch and signs with fresh keys; the former primary refuses to go on once
it hears of the epoch. Never promotes beside a primary that is heard of.
"""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from openaoc.channels.keys import CentreKeys
from openaoc.continuity.files import write_durably
from openaoc.continuity.line import CERTIFICATE_NAME, Hello, context, dial
from openaoc.continuity.primary import LEASE_S
from openaoc.continuity.standby_model import Following, FollowState, StandbyStatus
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import Clock
from openaoc.kernel.errors import OpenAOCError, Refused, Unavailable
from openaoc.kernel.settings import Settings
from openaoc.storage.centre_state import begin_epoch, read_state
from openaoc.storage.database import Database, open_database
from openaoc.storage.files import sync_folder
from openaoc.storage.marks import KNOWN_MARK, STANDBY_MARK
from openaoc.storage.ticker import Ticker

FORMER_MARK: Final = "former-primary.json"
"""Whom we took over from, until it has heard of it."""
TELL_EVERY_S: Final = 5.0
PROMOTE_AFTER_S: Final = 20.0
"""Silence of the primary before a promotion: its lease to send, and the longest request to an
institution that it may have begun within the lease."""
assert PROMOTE_AFTER_S > LEASE_S + 13, "a request takes at most 3 s to connect and 10 s to answer"
_LOG = structlog.get_logger(__name__)


class PrimaryAlive(Refused):
    """The primary is heard of."""


class MayLose(Refused):
    """This standby may not have everything that was acknowledged."""


class Promoted(msgspec.Struct, frozen=True, kw_only=True):
    """What `openaoc standby promote` says."""

    epoch: int
    position: int
    former: str


def check_promotable(status: StandbyStatus, *, force: bool) -> None:
    """Raises PrimaryAlive while the primary is heard of, MayLose when it went on alone.

    `force` is a person's word that the primary is off, and that a loss is accepted.
    """
    if force:
        return
    if status.heard_s is not None and status.heard_s < PROMOTE_AFTER_S:
        left = PROMOTE_AFTER_S - status.heard_s
        raise PrimaryAlive(f"stop it, then wait {left:.0f} s; two servers must never send")
    if status.heard_s is None:
        raise MayLose(
            "it has not heard from the primary since it started, so it cannot say; with --force it"
            " takes over all the same"
        )
    if status.state not in (FollowState.IN_SYNC, FollowState.WAITING):
        raise MayLose(f"the primary said last: {status.state or 'nothing'}; --force accepts a loss")


def take_over(settings: Settings, *, following: Following, position: int, clock: Clock) -> Promoted:
    """Make the stopped standby's data folder a centre's, in a new epoch, with fresh signing keys.

    A crash in between leaves a standby that is promoted again. Raises Unavailable, Corrupt.
    """
    data = settings.data_path
    (data / "postgres" / "standby.signal").unlink(missing_ok=True)
    (data / KNOWN_MARK).unlink(missing_ok=True)
    write_durably(data / FORMER_MARK, msgspec.json.encode(following))
    database = open_database(settings, clock=clock)
    try:
        database.migrate()
        with database.uow.begin(SYSTEM, purpose="take over from the primary") as tx:
            state = begin_epoch(tx, why=f"promoted; the primary was {following.primary}")
            keys = CentreKeys(settings.keys_path, exercise=settings.exercise)
            keys.open(tx.now).rotate(tx.now, revoke=True)
    finally:
        database.close()
    (data / STANDBY_MARK).unlink()
    sync_folder(data)
    _LOG.warning("continuity.standby.promoted", epoch=state.epoch, position=position)
    return Promoted(epoch=state.epoch, position=position, former=following.primary)


class Fencing:
    """Tells the former primary, for as long as it takes, that it is no longer the centre."""

    def __init__(self, *, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._ticker = Ticker("fencing", self.tell, every_s=TELL_EVERY_S)

    def start(self) -> None:
        """Begin, where there is a former primary."""
        if (self._settings.data_path / FORMER_MARK).exists():
            self._ticker.start()

    def stop(self) -> None:
        """End after the attempt at hand."""
        self._ticker.stop()

    def tell(self) -> bool:
        """Whether the former primary knows. It is usually off: that is no failure."""
        mark = self._settings.data_path / FORMER_MARK
        if not mark.exists():
            return True
        former = msgspec.json.decode(mark.read_bytes(), type=Following)
        with self._database.uow.read(SYSTEM, purpose="tell the former primary") as tx:
            epoch = read_state(tx.connection).epoch
        tls = context(self._settings.keys_path / CERTIFICATE_NAME, server=False)
        try:
            channel, _ = dial(former.primary, tls, Hello(kind="fence", epoch=epoch))
        except Unavailable as error:
            _LOG.debug("continuity.fencing.not_told", error=str(error)[:200])
            return False
        except OpenAOCError as error:
            _LOG.warning("continuity.fencing.refused", error=str(error)[:200])
            return False
        channel.close()
        mark.unlink()
        sync_folder(self._settings.data_path)
        _LOG.warning("continuity.fencing.told", former=former.primary, epoch=epoch)
        return True
