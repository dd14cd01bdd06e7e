"""The documents say what is there: links lead somewhere, commands exist, words stand once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.style.sources import ROOT, tracked_files

DOCUMENTS = [n for n in tracked_files() if n.endswith(".md")]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"^\s*openaoc ((?:[a-z]+ ?)+)", re.MULTILINE)
README_LINES_MAX = 120


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    targets = LINK.findall((ROOT / name).read_text("utf-8"))
    local = [t for t in targets if not t.startswith(("http:", "https:", "mailto:"))]
    missing = [t for t in local if not (folder / t).exists()]
    assert not missing, f"{name} links to {missing}"


def test_readme_is_short_and_names_both_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= README_LINES_MAX
    for target in ("demo", "test"):
        assert f"make {target}" in text
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def commands_in(name: str) -> set[str]:
    return {found.strip() for found in COMMAND.findall((ROOT / name).read_text("utf-8"))}


@pytest.mark.parametrize("name", ["README.md", *[n for n in DOCUMENTS if "/operating/" in n]])
def test_commands_in_documents_exist(name: str) -> None:
    openaoc = str(Path(sys.executable).parent / "openaoc")
    for words in sorted(commands_in(name)):
        asked = words.split()[:2]
        done = subprocess.run(
            [openaoc, *asked, "--help"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            done = subprocess.run(
                [openaoc, asked[0], "--help"], capture_output=True, text=True, check=False
            )
        assert done.returncode == 0, f"{name}: openaoc {words}: {done.stderr[-300:]}"


def test_glossary_words_stand_once_in_order() -> None:
    lines = (ROOT / "docs/glossary.md").read_text("utf-8").splitlines()
    words = [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:]
    assert len(words) > 30
    assert words == sorted(words, key=str.casefold)
    assert len(set(words)) == len(words)


def test_the_changelog_speaks_to_users() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    version = re.search(r'version = "([^"]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert version is not None
    assert f"## {version.group(1)}" in text
