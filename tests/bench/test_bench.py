"""Bench: each measurement runs as its users run it, small, and gives one document of figures.

Asserts what was counted, never how long anything took.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

from openaoc.cli.bench import BENCHES

SECONDS_MAX: Final = 240.0
SMALL: Final = {
    "trace": ("--transfers", "20000", "--peers", "false"),
    "ingest": ("--transfers", "20000", "--peers", "false"),
    "restart": ("--transfers", "20000"),
    "report": ("--rate", "5", "--seconds", "2"),
    "pursuit": ("--pursuits", "20", "--rate", "500", "--seconds", "2", "--moves", "5"),
    "taxii": ("--objects", "1000", "--large", "2000"),
    "match": ("--ours", "200", "--theirs", "500", "--shared", "20", "--peers", "false"),
}
COUNTED: Final[dict[str, dict[str, object]]] = {
    "trace": {"transfers": 20_000},
    "ingest": {"transfers": 20_000, "arrow.transfers": 20_000},
    "restart": {"transfers": 20_000},
    "report": {"reports": 10, "failed": 0, "orders_never_on_wire": 0},
    "pursuit": {"pursuits": 20},
    "taxii": {"objects": 1_000, "read_objects": 1_000, "large": 2_000},
    "match": {"shared": 20, "openaoc.hits": 20},
}
"""What a run of this size has counted in the end, by the place in its document."""


def test_every_measurement_is_tried_here() -> None:
    assert list(SMALL) == list(BENCHES)
    assert list(COUNTED) == list(BENCHES)


@pytest.mark.parametrize(
    "name",
    [
        # It feeds half a million transfers a second for ten seconds, however few were asked for.
        pytest.param(name, marks=pytest.mark.long if name == "ingest" else ())
        for name in BENCHES
    ],
)
def test_one_document_and_what_it_counted(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openaoc", "bench", name, *SMALL[name], "--json"],
        capture_output=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    document = msgspec.json.decode(done.stdout)
    found = {place: _at(document, place) for place in COUNTED[name]}
    assert found == COUNTED[name]
    figures = list(_figures(document))
    assert len(figures) > len(COUNTED[name])
    assert all(figure >= 0 for figure in figures)


def _at(document: dict[str, Any], place: str) -> object:
    value: Any = document
    for name in place.split("."):
        value = value[name]
    return value


def _figures(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _figures(item)
    elif isinstance(value, list):
        for item in value:
            yield from _figures(item)
    elif isinstance(value, int | float):
        yield value
