"""Files that say what a data folder is: half restored, a standby's, fenced, with a standby."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from openaoc.kernel.errors import Conflict

RESTORE_MARK: Final = "restore.unfinished"
STANDBY_MARK: Final = "standby.json"
FENCED_MARK: Final = "fenced.json"
KNOWN_MARK: Final = "standby.known"
"""There is a standby that has everything: nothing is acknowledged or sent without it."""
STANDBY_NAME: Final = "openaoc_standby"
"""What the standby's PostgreSQL calls itself."""


class NotACentre(Conflict):
    """No centre may start on this data folder."""


_WHY: Final = {
    RESTORE_MARK: "a restore did not finish; empty the folder and restore again",
    STANDBY_MARK: "it is a standby's; promote it with `openaoc standby promote`",
    FENCED_MARK: "another server took over from this one; make it a standby, or restore a backup",
}


def check_marks(data: Path) -> None:
    """Raises NotACentre with what to do."""
    for name, why in _WHY.items():
        if (data / name).exists():
            raise NotACentre(why, where=str(data))


def has_standby(data: Path) -> bool:
    """Whether this centre has a standby that it must not go on without."""
    return (data / KNOWN_MARK).exists()
