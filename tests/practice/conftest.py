"""Two countries that agreed on packages and scripts, on one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from openaoc.exchange.objects import PRACTICE
from openaoc.kernel.clock import ManualClock
from openaoc.practice.trial import Trial, practice_rules
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from tests.conftest import START
from tests.exchange.two import BANKS, Country, grant

SHORT = Trial(days_min=1, looked_min=6, known_min=3, wrong_percent_max=40)
Owner = Callable[[], dict[str, str]]


@pytest.fixture
def countries(make_owner: Owner, tmp_path: Path) -> Iterator[tuple[Country, Country]]:
    """Two countries that agreed on packages and scripts, on one clock."""
    made, clock = [], ManualClock(START)
    for code in ("TH-AOC", "VN-AOC"):
        folder = tmp_path / code
        folder.mkdir()
        database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
        country = Country(database, folder, clock, code=code)
        country.go_live(*BANKS)
        made.append(country)
    home, abroad = made
    grants = {kind: grant(kind) for kind in PRACTICE}
    home.befriend(abroad, country="VN", grants=grants)
    abroad.befriend(home, country="SG", grants=grants)
    packages = abroad.matter.practising.packages
    packages.rules = msgspec.structs.replace(practice_rules(), trial=SHORT)
    yield home, abroad
    for country in made:
        country.close()
        country.database.close()
