"""ruff, mypy --strict and the contracts between packages, run as a maintainer would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_ruff_is_clean() -> None:
    done = run(str(BIN / "ruff"), "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


def test_format_is_ruffs() -> None:
    done = run(str(BIN / "ruff"), "format", "--check", "--no-cache", "src", "tests", "examples")
    assert done.returncode == 0, done.stdout[-4000:]


def test_types_are_strict() -> None:
    done = run(str(BIN / "mypy"))
    assert done.returncode == 0, done.stdout[-6000:]


def test_packages_keep_their_contracts() -> None:
    done = run(str(BIN / "lint-imports"), "--no-cache")
    assert done.returncode == 0, done.stdout[-6000:]
