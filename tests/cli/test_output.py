"""CLI: what a terminal is shown while long work lasts, and how a failure is told."""

from __future__ import annotations

import io

import pytest

from openaoc.cli.output import report_error, show_json, working


class Terminal(io.StringIO):
    """What is written to it, and that it is one."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_shown_what_lasts_and_the_document_stays_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal)
    with working("counting"):
        pass
    show_json([1])
    assert "counting" in terminal.getvalue()
    assert capsys.readouterr().out == "[\n  1\n]\n"


def test_a_log_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    with working("counting"):
        pass
    assert log.getvalue() == ""


def test_even_what_nobody_expected_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAOC_DEBUG", raising=False)
    assert report_error(ZeroDivisionError("two\nlines")) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
