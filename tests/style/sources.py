"""The project's own Python files, parsed once for the style rules."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]


class Source(msgspec.Struct, frozen=True):
    """One file: its path from the root, its lines, its tree."""

    path: str
    lines: list[str]
    tree: ast.Module


@cache
def tracked_files() -> tuple[str, ...]:
    """Every file of the project: tracked by git, or on the way to be."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(sorted(n for n in set(listing.stdout.split("\n")) if n and (ROOT / n).is_file()))


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the package, the tests and the examples."""
    found = []
    for name in tracked_files():
        if name.endswith(".py"):
            text = (ROOT / name).read_text("utf-8")
            found.append(Source(name, text.split("\n"), ast.parse(text)))
    assert len(found) > 50, "the style test looks in the wrong place"
    return tuple(found)


def package_sources() -> tuple[Source, ...]:
    """Only what is installed."""
    return tuple(s for s in sources() if s.path.startswith("src/openaoc/"))
