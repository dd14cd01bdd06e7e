"""The page of commands and the commands say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import rich_click as click
from click.testing import CliRunner

from openaoc.cli.bench import BENCHES
from openaoc.cli.main import COMMANDS, load

PAGE = (Path(__file__).parents[2] / "docs/reference/commands.md").read_text("utf-8")
ROW = re.compile(r"^\| `openaoc ([^`]+)`", re.MULTILINE)
NOT_LISTED = {"--json", "--help"}


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Every command under this one, with its whole name; a measurement's options are its own."""
    if isinstance(command, click.Group) and name != "bench":
        for part in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), part)
            assert found is not None
            yield from commands(f"{name} {part}", found)
    else:
        yield name, command


def options(command: click.Command) -> set[str]:
    """The command's options, without those that all have."""
    named = {name for p in command.params if isinstance(p, click.Option) for name in p.opts}
    return {name for name in named if name.startswith("--")} - NOT_LISTED


@pytest.mark.parametrize("group", COMMANDS)
def test_every_command_and_option_is_on_the_page(group: str) -> None:
    rows = [row.replace("\\|", "|") for row in ROW.findall(PAGE)]
    for name, command in commands(group, load(group)):
        mine = [row for row in rows if row == name or row.startswith(f"{name} ")]
        assert len(mine) == 1, f"one row for `openaoc {name}`"
        written = set(re.findall(r"--[a-z-]+", mine[0]))
        assert written == options(command), name


@pytest.mark.parametrize("group", COMMANDS)
def test_every_command_has_help_and_json(group: str) -> None:
    found = list(commands(group, load(group)))
    if group == "bench":
        bench = load(group)
        assert isinstance(bench, click.Group)
        measures = [(n, bench.resolve_command(click.Context(bench), [n])[1]) for n in BENCHES]
        found = [(name, command) for name, command in measures if command is not None]
    assert found
    for name, command in found:
        assert "--json" in {option for part in command.params for option in part.opts}, name
        shown = CliRunner().invoke(command, ["--help"])
        assert shown.exit_code == 0, name
        assert "--json" in shown.output, name


def test_page_names_no_command_that_is_not_there() -> None:
    known = {name for group in COMMANDS for name, _ in commands(group, load(group))}
    for row in ROW.findall(PAGE):
        words = row.split()
        assert any(" ".join(words[:size]) in known for size in (1, 2, 3)), row
