"""Bench: OpenTAXII as a process of its own, with an API root and a collection anybody may use.

Installed into an environment of its own when asked. Knows nothing of the centre.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Final

import httpx

from openaoc.exchange.taxii.model import MEDIA_TYPE
from openaoc.kernel.errors import Unavailable

INSTALL: Final = "install"
PACKAGE: Final = "opentaxii"
START_SECONDS_MAX: Final = 20.0
_CONFIGURATION: Final = """
domain: "127.0.0.1:{port}"
taxii1:
taxii2:
  persistence_api:
    class: opentaxii.persistence.sqldb.Taxii2SQLDatabaseAPI
    parameters:
      db_connection: sqlite:///{home}/data.db
      create_tables: yes
  title: "Peer"
  public_discovery: true
  max_content_length: 209715200
auth_api:
  class: opentaxii.auth.sqldb.SQLDatabaseAPI
  parameters:
    db_connection: sqlite:///{home}/auth.db
    create_tables: yes
    secret: not-secret
logging:
  opentaxii: error
  root: error
"""
_SERVE: Final = (
    "import json, sys; json.JSONEncoder.default = lambda _, one: str(one);"
    " from werkzeug.serving import run_simple; from opentaxii.http import app;"
    " run_simple('127.0.0.1', int(sys.argv[1]), app, threaded=False)"
)
"""With its ids (0.9.3 answers 500 where one of them is to be written as JSON) as text."""


class OpenTaxii:
    """The peer's process."""

    def __init__(self, home: Path, *, where: str) -> None:
        """`where`: an environment it is installed in, or `install` to make one."""
        home.mkdir(parents=True)
        self._home = home
        self._bin = (_install(home) if where == INSTALL else Path(where)) / "bin"
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self._port: int = listener.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start it; the address of its one collection's objects. Raises Unavailable."""
        path = self._home / "opentaxii.yml"
        path.write_text(_CONFIGURATION.format(port=self._port, home=self._home), "utf-8")
        environment = {**os.environ, "OPENTAXII_CONFIG": str(path)}
        self._call("opentaxii-add-api-root", "--title", "Default", "--default", env=environment)
        root = self._root()
        self._call(
            "opentaxii-add-collection", "--rootid", root, "--title", "All", "--public",
            "--public-write", env=environment,
        )  # fmt: skip
        with (self._home / "serve.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the peer's own programme
                [self._bin / "python", "-c", _SERVE, str(self._port)],
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        # Its own list of collections answers with an error (0.9.3): the id is read where it lies.
        collection = self._number("SELECT id FROM opentaxii_collection")
        place = f"http://127.0.0.1:{self._port}/taxii2/{root}/collections/{collection}/objects/"
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until and self._process.poll() is None:
            try:
                answer = httpx.get(place, headers={"Accept": MEDIA_TYPE}, trust_env=False)
            except httpx.HTTPError:
                time.sleep(0.2)
                continue
            if answer.is_success:
                return place
            time.sleep(0.2)
        raise Unavailable((self._home / "serve.log").read_text("utf-8", "replace")[-500:])

    def _call(self, *words: str, env: dict[str, str]) -> None:
        command = [str(self._bin / words[0]), *words[1:]]
        done = subprocess.run(  # noqa: S603 - the peer's own programme
            command, env=env, capture_output=True, check=False
        )
        if done.returncode:
            raise Unavailable(done.stderr.decode("utf-8", "replace")[-500:])

    def _root(self) -> str:
        """The API root's id; opened to everybody, so that nobody's password is hashed each time."""
        with contextlib.closing(sqlite3.connect(self._home / "data.db")) as database, database:
            database.execute("UPDATE opentaxii_api_root SET is_public = 1")
        return self._number("SELECT id FROM opentaxii_api_root")

    def _number(self, asked: str) -> str:
        with contextlib.closing(sqlite3.connect(self._home / "data.db")) as database:
            (number,) = database.execute(asked).fetchone()
        return str(uuid.UUID(str(number)))

    def stop(self) -> None:
        """End the process by its id."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _install(home: Path) -> Path:
    place = home / "environment"
    for command in (
        [sys.executable, "-m", "venv", str(place)],
        [str(place / "bin" / "python"), "-m", "pip", "install", "-q", PACKAGE],
    ):
        done = subprocess.run(  # noqa: S603 - only what stands above
            command, capture_output=True, check=False
        )
        if done.returncode:
            raise Unavailable(done.stderr.decode("utf-8", "replace")[-500:], where=PACKAGE)
    return place
