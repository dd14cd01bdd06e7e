"""One exchange for each test, on a fresh database."""

from __future__ import annotations

import pytest

from openaoc.kernel.clock import ManualClock
from openaoc.storage.database import Database
from tests.exchange.sharing_site import Site


@pytest.fixture
def site(database: Database, clock: ManualClock) -> Site:
    """A centre with nothing but its exchange."""
    return Site(database, clock)
