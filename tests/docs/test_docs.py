"""The documents say what is there: links lead somewhere, commands exist, words stand once."""

from __future__ import annotations

import re

import pytest
import rich_click as click

from openaoc.cli.main import COMMANDS, load
from openaoc.exchange.objects import CASE, FIELDS, REFS, FieldClass, ObjectKind
from openaoc.kernel.settings import Settings
from tests.style.sources import ROOT, tracked_files

DOCUMENTS = [n for n in tracked_files() if n.endswith(".md")]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"(?:^ *(?:\$ )?(?:[A-Z_]+=\S+ )*|`)openaoc ([^`\n]+)", re.MULTILINE)
"""On a line of its own, after settings for it, or in the middle of a text."""
OPTION = re.compile(r"(?<=\s)--[a-z][a-z-]*")
FOR_ALL = {"--json", "--help", "--version"}
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


def command_of(line: str) -> click.Command | None:
    """The command that a line calls, or the group it names; None where there is none such."""
    first, *words = line.split()
    if first not in COMMANDS:
        return None
    command: click.Command | None = load(first)
    for word in words:
        if not isinstance(command, click.Group) or not re.fullmatch(r"[a-z][a-z0-9-]*", word):
            break
        command = command.get_command(click.Context(command), word)
    return command


@pytest.mark.parametrize("name", [n for n in DOCUMENTS if not n.endswith("commands.md")])
def test_commands_in_documents_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    for line in COMMAND.findall(text):
        said = line.split("#")[0]
        if said.startswith("-"):
            continue
        command = command_of(said)
        assert command is not None, f"{name}: openaoc {said}"
        if line.startswith("bench "):
            continue
        options = {name for p in command.params if isinstance(p, click.Option) for name in p.opts}
        unknown = set(OPTION.findall(said)) - options - FOR_ALL
        assert not unknown, f"{name}: openaoc {said}: {unknown}"


def test_a_command_that_is_not_there_is_noticed() -> None:
    assert len(COMMAND.findall((ROOT / "README.md").read_text("utf-8"))) > 5
    assert command_of("hold answer-by-phone ord_… --refused") is not None
    for line in ("holds list", "hold shout", "exchange partner shout", "case notice shout"):
        assert command_of(line) is None


def test_every_setting_is_described_and_no_other() -> None:
    page = (ROOT / "docs/operating/serve.md").read_text("utf-8")
    rows = "\n".join(line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `"))
    known = {f"OPENAOC_{name.upper()}" for name in Settings.__struct_fields__}
    written = set(re.findall(r"`(OPENAOC_[A-Z_]+)`", rows))
    assert written == known - {"OPENAOC_URL"}, "which is where commands find a centre"
    assert "| `url`" in rows


def test_every_field_that_may_leave_is_named_and_no_other() -> None:
    page = (ROOT / "docs/reference/agreement-fields.md").read_text("utf-8")
    named = {}
    for line in page.splitlines():
        if line.startswith("| `"):
            kind, _, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            named[kind.strip("`")] = [re.findall(r"`([^`]+)`", cell) for cell in cells]
    for kind in ObjectKind:
        fields = {name: field for name, field in FIELDS[kind].items() if name != CASE}
        personal = [n for n, field in fields.items() if field.kind is FieldClass.PERSONAL]
        plain = [name for name in fields if name not in personal]
        assert named.pop(kind.value) == [plain, list(REFS.get(kind, {})), personal], kind
    assert not named


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
