"""One server for all proofs of this run; each gets an empty database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import conninfo

from openaoc.proofs.frame import Proof, run_proof
from openaoc.proofs.scratch import Scratch

Run = Callable[[str], Proof]


@pytest.fixture
def scratch(tmp_path: Path, make_owner: Callable[[], dict[str, str]]) -> Scratch:
    """A place for one proof."""
    return Scratch(tmp_path, lambda: conninfo.make_conninfo(**make_owner()))


@pytest.fixture
def run(scratch: Scratch) -> Run:
    """Run one proof on this test run's server."""
    return lambda name: run_proof(name, fresh_dsn=scratch.fresh_dsn)
