"""The process: start, first key, second start, locks, ports, signals; and help without a centre."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from openaoc.cli.ending import told_to_end
from openaoc.cli.serve import at, clean_signals, listening
from openaoc.kernel.settings import Settings
from tests.cli.server import STOP_SECONDS_MAX, Server, running
from tests.cli.world import World, report, tell, transfer

ROOT = Path(__file__).parents[2]


def alone(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command without any centre."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENAOC_")}
    return subprocess.run(
        [sys.executable, "-m", "openaoc", *words],
        capture_output=True,
        env=kept | environment,
        timeout=STOP_SECONDS_MAX,
        check=False,
    )


def test_second_start_continues_and_signals_end_it_cleanly(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        key_file = server.data / "administrator.key"
        assert key_file.stat().st_mode & 0o777 == 0o600
        key = server.administrator_key()
        assert key not in server.log()
        world = World(server).fill()
        row = transfer("800001")
        tell(world.as_("feed"), {**row, "reported_by": "KBANK"})
        paper = msgspec.json.encode(report(row))
        made = server.run_json(
            "report", "submit", "-", key=world.keys["KBANK-machine"], stdin=paper
        )
        world.close()

        second = Server(tmp_path)
        refused = subprocess.run(
            [sys.executable, "-m", "openaoc", "serve", "--port", "0"],
            capture_output=True,
            env=second.environment(),
            timeout=STOP_SECONDS_MAX,
            check=False,
        )
        assert refused.returncode == 1
        assert b"runs a centre" in refused.stderr

        assert server.stop(signal.SIGTERM) == 0
        assert not (server.data / "postgres" / "postmaster.pid").exists()
        server.start()
        assert server.administrator_key() == key
        view = server.run_json("case", "show", made["case"])
        assert view["located_minor"] == 500_000
        assert server.stop(signal.SIGINT) == 0
        said = ("{", "OpenAOC on ", "data in ", "the administrator's key ")
        other = [line for line in server.log().splitlines() if not line.startswith(said)]
        assert not other, "its address, and a log of JSON lines"


def test_port_in_use_is_told_before_anything_starts(tmp_path: Path, server: Server) -> None:
    done = alone("serve", "--port", str(server.port), "--data-dir", str(tmp_path / "other"))
    assert done.returncode == 1
    assert b"stop it, or choose another" in done.stderr
    assert not (tmp_path / "other").exists()


def test_database_of_a_running_centre_is_not_migrated(server: Server) -> None:
    done = server.run("db", "migrate")
    assert done.returncode == 1
    assert b"runs a centre" in done.stderr


def test_migrate_alone_prepares_a_folder(tmp_path: Path) -> None:
    first = alone("db", "migrate", "--json", OPENAOC_DATA_DIR=str(tmp_path / "d"))
    again = alone("db", "migrate", "--json", OPENAOC_DATA_DIR=str(tmp_path / "d"))
    assert first.returncode == again.returncode == 0, first.stderr
    assert msgspec.json.decode(first.stdout)["before"] is None
    newest = msgspec.json.decode(again.stdout)
    assert newest["before"] == newest["after"]


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"OPENAOC_PORT": "many"}, b"int"),
        ({"OPENAOC_RULE": "dice", "OPENAOC_PORT": "0"}, b"no rule"),
        ({"OPENAOC_HOST": "192.0.2.1"}, b"192.0.2.1"),
        ({"OPENAOC_DSN": "nonsense"}, b"OPENAOC_DSN"),
        ({"OPENAOC_DSN": "host=127.0.0.1 port=9 dbname=x user=x"}, b"127.0.0.1"),
    ],
)
def test_wrong_settings_are_a_clear_refusal(
    tmp_path: Path, environment: dict[str, str], reason: bytes
) -> None:
    named = {"OPENAOC_DATA_DIR": str(tmp_path / "d"), "OPENAOC_PORT": "0", **environment}
    done = alone("serve", **named)
    assert done.returncode == 1, done.stderr
    assert reason in done.stderr
    assert b"Traceback" not in done.stderr


def test_without_a_centre_a_command_says_so() -> None:
    done = alone("hold", "list", OPENAOC_URL="http://127.0.0.1:9", OPENAOC_API_KEY="x")
    assert done.returncode == 1
    assert b"no centre answers" in done.stderr
    no_key = alone("hold", "list", OPENAOC_URL="http://127.0.0.1:9", OPENAOC_DATA_DIR="/nowhere")
    assert no_key.returncode == 1
    assert b"OPENAOC_API_KEY" in no_key.stderr


def test_administrators_key_is_not_sent_elsewhere() -> None:
    done = alone("hold", "list", OPENAOC_URL="http://centre.example")
    assert done.returncode == 1
    assert b"OPENAOC_API_KEY" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "openaoc", "--help"],
        capture_output=True,
        check=True,
    ).stderr.decode()
    assert re.search(r"\| +rich_click$", loaded, re.MULTILINE), "imports within imports are seen"
    for heavy in ("numpy", "pyarrow", "litestar", "sqlalchemy", "httpx", "duckdb", "numba"):
        found = re.search(rf"\| +{heavy}$", loaded, re.MULTILINE)
        assert not found, f"{heavy} is imported for --help"


def test_a_witness_that_is_told_to_end_ends_well(tmp_path: Path) -> None:
    words = ["witness", "serve", str(tmp_path / "book"), "--port", "0"]
    with subprocess.Popen([sys.executable, "-m", "openaoc", *words], stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        assert one.stdout.readline().startswith(b"witness on http://127.0.0.1:")
        one.send_signal(signal.SIGTERM)
        assert one.wait(STOP_SECONDS_MAX) == 0


def test_a_centre_that_is_told_to_end_the_moment_it_says_where_it_is_ends(tmp_path: Path) -> None:
    server = Server(tmp_path)
    words = [sys.executable, "-m", "openaoc", "serve", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=server.environment()) as one:
        assert one.stdout is not None
        assert one.stdout.readline().startswith(b"OpenAOC on http://127.0.0.1:")
        one.send_signal(signal.SIGTERM)
        try:
            assert one.wait(STOP_SECONDS_MAX) == 0
        finally:
            one.kill()
    assert not (server.data / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_free_port_is_known_to_all_that_tell_of_it(host: str, shown: str) -> None:
    settings = Settings(host=host, port=0)
    with listening(settings) as listener:
        port = listener.getsockname()[1]
        assert at(listener, settings).base_url == f"http://{shown}:{port}" != settings.base_url
        assert at(listener, Settings(url="https://centre.example")).base_url[:6] == "https:"


def test_signals_end_a_start_and_then_reach_the_server() -> None:
    told: list[int] = []
    with clean_signals() as started:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        started(lambda number, _: told.append(number))
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert told == [signal.SIGTERM, signal.SIGINT]


def test_what_serves_hears_that_it_shall_end_and_gives_the_signals_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with told_to_end(signal.SIGHUP) as ended:
        assert not ended.is_set()
        signal.raise_signal(signal.SIGHUP)
        assert ended.is_set()
    assert signal.getsignal(signal.SIGTERM) is before
