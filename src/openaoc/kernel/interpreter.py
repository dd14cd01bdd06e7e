"""The interpreter's own settings, for a process of many threads and long-lived records."""

from __future__ import annotations

import gc
import sys
from typing import Final

COLLECT_AFTER: Final = (20_000, 20, 50)
"""Records are made in thousands and rarely in circles: at the usual 700, looking for circles took
an eighth of a busy centre's time."""
SWITCH_SECONDS: Final = 0.001
"""Who comes back from the database waits no longer for the interpreter; usually it is 5 ms."""


def suit_interpreter() -> None:
    """Settle them for a process that has started and is about to serve."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    sys.setswitchinterval(SWITCH_SECONDS)


def suit_end() -> None:
    """Let the end of the process find what was set apart: else libraries report it as leaked."""
    gc.unfreeze()
