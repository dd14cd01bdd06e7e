"""Files whose presence in a data folder forbids a centre to start on it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from openaoc.kernel.errors import Conflict

RESTORE_MARK: Final = "restore.unfinished"
STANDBY_MARK: Final = "standby.json"
FENCED_MARK: Final = "fenced.json"


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
