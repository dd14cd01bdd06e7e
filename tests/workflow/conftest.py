"""A centre of its own for each test of the flow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openaoc.kernel.clock import ManualClock
from openaoc.storage.database import Database
from tests.workflow.centre import BANKS, Centre


@pytest.fixture
def shadow_centre(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Centre]:
    """A centre as it starts: nothing is live."""
    centre = Centre(database, tmp_path, clock)
    yield centre
    centre.close()


@pytest.fixture
def centre(shadow_centre: Centre) -> Centre:
    """A centre that is live for all banks."""
    shadow_centre.go_live(*BANKS)
    return shadow_centre
