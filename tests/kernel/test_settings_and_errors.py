"""Settings, and what errors say."""

from __future__ import annotations

from pathlib import Path

import pytest

from openaoc.kernel.errors import BadInput, NotSignedIn, TooLarge
from openaoc.kernel.settings import DEFAULT_PORT, load_settings, unknown_variables


def test_defaults_need_no_file(tmp_path: Path) -> None:
    settings = load_settings({}, folder=tmp_path)
    assert settings.port == DEFAULT_PORT
    assert settings.data_path == tmp_path.resolve() / "openaoc-data"
    assert settings.keys_path.parent == settings.data_path


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "openaoc.toml").write_text('port = 9000\nrule = "lifo"\n')
    settings = load_settings({"OPENAOC_PORT": "9001"}, folder=tmp_path)
    assert (settings.port, settings.rule) == (9001, "lifo")


@pytest.mark.parametrize("text", ["prot = 9000", 'port = "many"', "port = ", "\x00"])
def test_a_mistyped_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "openaoc.toml").write_text(text)
    with pytest.raises(BadInput, match=r"openaoc\.toml"):
        load_settings({}, folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "text"), [("PORT", "many"), ("PORT", "70000"), ("LEDGER_ROWS_MAX", "-1")]
)
def test_a_mistyped_variable_is_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(BadInput, match=f"^OPENAOC_{name}: Expected `int`"):
        load_settings({f"OPENAOC_{name}": text}, folder=tmp_path)


def test_an_empty_variable_is_as_none(tmp_path: Path) -> None:
    empty = {"OPENAOC_DSN": "", "OPENAOC_DATA_DIR": "", "OPENAOC_PORT": ""}
    assert load_settings(empty, folder=tmp_path) == load_settings({}, folder=tmp_path)


def test_a_variable_that_nothing_reads_is_told_with_what_was_meant() -> None:
    read = {"OPENAOC_API_KEY": "k", "OPENAOC_PORT": "1", "HOME": "/root"}
    assert unknown_variables({**read, "OPENAOC_LEDGER_COLD_DAY": "30", "OPENAOC_ZZ": "1"}) == [
        "OPENAOC_LEDGER_COLD_DAY is no setting; OPENAOC_LEDGER_COLD_DAYS is one",
        "OPENAOC_ZZ is no setting",
    ]


def test_errors_say_where_and_what() -> None:
    assert (
        str(BadInput("12.5 is not whole", where="a.csv row 3")) == "a.csv row 3: 12.5 is not whole"
    )
    assert str(NotSignedIn()) == "A valid key or signature is needed"
    assert (TooLarge().code, TooLarge().title) == (
        "too-large",
        "The input is larger than the limit allows",
    )
