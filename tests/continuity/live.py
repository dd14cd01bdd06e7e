"""A centre under load, and looks behind it that a test may take and a user may not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import conninfo, rows

from openaoc.channels.signing import PublicJwk
from openaoc.storage.postgres import PASSWORD_NAME, SUPERUSER
from openaoc.storage.postgres_files import read_postmaster
from tests.channels.institution import Stub
from tests.cli.load import Load, bank_key
from tests.cli.server import Server
from tests.cli.world import World, post

WAIT_SECONDS_MAX = 60.0
PASSPHRASE = "correct horse battery staple"


class Centre(Server):
    """A server whose operator knows the passphrase of the sealed keys."""

    def environment(self, **extra: str) -> dict[str, str]:
        return super().environment(OPENAOC_KEYS_PASSPHRASE=PASSPHRASE, **extra)


def until(done: Callable[[], object], what: str, seconds: float = WAIT_SECONDS_MAX) -> None:
    """Wait for it, or fail saying what was waited for."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.05)


def prepare(server: Server, bank: Stub) -> tuple[Load, dict[str, str]]:
    """A live world whose bank SCB listens, the load for it, and everybody's keys."""
    world = World(server).fill(SCB=bank.url)
    key = bank_key()
    added = post(world.as_("SCB-machine"), "/v1/institutions/SCB/keys", key.public())
    assert added.status_code == 201, added.text
    learn_keys(server, bank)
    world.close()
    chosen = {
        "feed": world.keys["feed"],
        "machine": world.keys["KBANK-machine"],
        "bank": world.keys["SCB-machine"],
        "administrator": world.keys["administrator"],
    }
    return Load(server, chosen, bank, key), world.keys


def learn_keys(server: Server, bank: Stub) -> None:
    """The bank fetches the keys that the centre signs with now."""
    with server.client() as nobody:
        jwks = nobody.get("/.well-known/jwks.json").json()
    bank.keys = {jwk["kid"]: msgspec.convert(jwk, PublicJwk) for jwk in jwks["keys"]}


def superuser_parameters(data: Path, keys: Path | None = None) -> dict[str, str]:
    """Where the embedded server of a data folder is, and its superuser's password."""
    state = read_postmaster(data / "postgres")
    assert state is not None, "PostgreSQL is not running"
    return {
        "host": state.socket_folder,
        "port": "5432",
        "user": SUPERUSER,
        "password": ((keys or data / "keys") / PASSWORD_NAME).read_text("ascii"),
        "dbname": "openaoc",
    }


@contextlib.contextmanager
def superuser(data: Path, keys: Path | None = None) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """The database as its superuser sees it: for checks, and to do what no centre does."""
    text = conninfo.make_conninfo(**superuser_parameters(data, keys))
    with psycopg.connect(text, autocommit=True, row_factory=rows.dict_row) as connection:
        yield connection


def counted(data: Path, query: str) -> int:
    """The one number a query gives."""
    with superuser(data) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(next(iter(row.values())))


BATCHES_TWICE = (
    "SELECT count(*) FROM (SELECT subject FROM journal_rows WHERE action = 'ledger.batch.taken'"
    " GROUP BY subject HAVING count(*) > 1) AS twice"
)
BATCHES = "SELECT count(*) FROM journal_rows WHERE action = 'ledger.batch.taken'"
WAITING = "SELECT count(*) FROM journal_waiting"
"""Committed rows that have no place in the tree yet: the sequencer's next round has them."""
