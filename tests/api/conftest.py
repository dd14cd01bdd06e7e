"""One running centre for all tests of the API; each test uses accounts of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.server import Server, running
from tests.cli.world import World

_numbers = itertools.count(10_000_000)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("api")
    with running(folder) as started:
        yield started


@pytest.fixture(scope="session")
def world(server: Server) -> Iterator[World]:
    filled = World(server).fill()
    yield filled
    filled.close()


@pytest.fixture
def number() -> str:
    """Eight digits nobody else uses."""
    return str(next(_numbers))
