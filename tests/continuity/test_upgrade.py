"""What an earlier version left, database and ledger, opens with this one, and goes on."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest
import sqlalchemy as sa
from psycopg import conninfo, sql

from openaoc.exchange.objects import ObjectKind, ReleasedObject, new_object_id
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import Conflict
from openaoc.kernel.markings import Marking
from openaoc.storage import migrate, roles
from openaoc.storage.centre_state import read_state
from openaoc.storage.database import Database, connect_database
from openaoc.storage.journal import JournalService, Sequencer
from openaoc.storage.keyring import Keyring
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.storage.vault import Vault
from tests.cli.server import Server, end_left_behind
from tests.cli.world import World, ndjson, post, report, tell, transfer
from tests.continuity.live import BATCHES_TWICE, counted
from tests.exchange.sharing_site import Site
from tests.style.sources import ROOT

EARLIER = "25d5b04"
"""The last commit before the tables of revision 0009."""
EARLIER_REVISION = "0008"
SHARING_REVISION = "0024"
"""The last before what partners tell, and campaigns."""
_RELEASED = """
INSERT INTO exchange_releases (partner, agreement, confirmed, object_id, kind, purpose, fields,
    body, digest, why, released_by, released_at, keep_until, speaks_of)
VALUES (:partner, :agreement, :agreement, :id, 'indicator', 'investment', '{}', :body, '',
    'offered', 'system', :at, :keep_until, '{}')
"""
SNAPSHOT = """
import sys
from pathlib import Path
from openaoc.kernel.clock import SystemClock
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
settings = Settings(ledger_rows_max=5_000_000, ledger_accounts_max=1_000_000)
ledger = Ledger.open(Path(sys.argv[1]), settings=settings, clock=SystemClock())
print(ledger.snapshot())
ledger.close()
"""


def earlier_source(folder: Path) -> Path:
    """The earlier version's package, out of the repository's history."""
    done = subprocess.run(
        ["git", "archive", EARLIER, "src"], cwd=ROOT, capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("the repository's history is not here")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


class Earlier(Server):
    """The earlier version on the same kind of folder."""

    source: Path

    def environment(self, **extra: str) -> dict[str, str]:
        return super().environment(PYTHONPATH=str(self.source), **extra)


def snapshot(server: Earlier) -> None:
    """The earlier version writes a snapshot of its ledger while it is stopped."""
    done = subprocess.run(
        [sys.executable, "-c", SNAPSHOT, str(server.data / "ledger")],
        env=os.environ | {"PYTHONPATH": str(server.source)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.long
def test_a_centre_of_the_earlier_version_goes_on(tmp_path: Path) -> None:
    server = Earlier(tmp_path / "centre")
    server.source = earlier_source(tmp_path / "earlier")
    rows = [transfer(f"3{number:07d}", reported_by="KBANK") for number in range(12)]
    later = Server(tmp_path / "centre", port=server.port)
    try:
        server.start()
        world = World(server).fill_at_home()
        assert tell(world.as_("feed"), *rows[:6]).is_success
        first = post(world.as_("KBANK-machine"), "/v1/reports", report(rows[0])).json()
        assert server.stop() == 0
        snapshot(server)
        server.start()
        assert tell(world.as_("feed"), *rows[6:]).is_success
        second = post(world.as_("KBANK-machine"), "/v1/reports", report(rows[7])).json()
        held = post(
            world.as_("SCB-machine"),
            f"/v1/holds/{first['orders'][0]['order']}/answers",
            {"outcome": "applied", "applied_minor": rows[0]["amount_minor"]},
        )
        assert held.is_success, held.text
        keys = world.keys
        world.close()
        assert server.stop() == 0
        later.start()
        with later.client(keys["administrator"]) as client:
            for receipt, row, held_minor in ((first, rows[0], True), (second, rows[7], False)):
                view = client.get(f"/v1/cases/{receipt['case']}").json()
                assert view["loss_minor"] == row["amount_minor"]
                assert bool(view["held_minor"]) is held_minor
        with later.client(keys["feed"]) as feed:
            headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "again"}
            told = feed.post("/v1/ledger/transfers", content=ndjson(*rows), headers=headers).json()
        assert (told["accepted"], told["repeated"]) == (0, len(rows))
        with later.client(keys["KBANK-machine"]) as machine:
            third = post(machine, "/v1/reports", report(rows[3])).json()
        assert third["orders"]
        assert later.run_json("journal", "verify", key=keys["administrator"])["ok"]
        assert counted(later.data, BATCHES_TWICE) == 0
        assert later.stop() == 0
    finally:
        for one in (server, later):
            if one.process is not None and one.process.poll() is None:
                one.stop()
        end_left_behind(later)


@contextlib.contextmanager
def earlier(
    postgres: EmbeddedPostgres, *, revision: str, keys: Keyring, clock: ManualClock
) -> Iterator[Database]:
    """A database as a version with that revision left it."""
    name = f"test_upgrade_{revision}"
    with postgres.superuser() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        roles.ensure_application(connection, database=name, password="unused")
    owner = postgres.parameters(database=name)
    try:
        assert migrate.migrate(owner, keys=keys, revision=revision)[1] == revision
        database = connect_database(owner, keys=keys, clock=clock)
        try:
            yield database
        finally:
            database.close()
    finally:
        with postgres.superuser() as connection:
            drop = "DROP DATABASE {} WITH (FORCE)"
            connection.execute(sql.SQL(drop).format(sql.Identifier(name)))


def test_a_database_of_the_earlier_revision_is_brought_up_to_date(
    postgres: EmbeddedPostgres, keys: Keyring, clock: ManualClock
) -> None:
    with earlier(postgres, revision=EARLIER_REVISION, keys=keys, clock=clock) as database:
        vault = Vault(keys=keys, uow=database.uow)
        with database.uow.begin(SYSTEM, purpose="test") as tx:
            vault.seal(tx, "victim", b"Somchai")
            for number in range(5):
                tx.journal(action="test.thing.done", subject=str(number))
        Sequencer(database).place()
        before = JournalService(database).head()
        assert database.migrate() == (EARLIER_REVISION, migrate.newest())
        with database.uow.begin(SYSTEM, purpose="test") as tx:
            assert vault.open(tx, "victim", reason="a test") == b"Somchai"
            assert read_state(tx.connection).epoch == 1
            assert read_state(tx.connection).delivers
        Sequencer(database).place()
        assert JournalService(database).verify(witnessed=[before]).ok
        _newer_is_refused(database.owner)


def test_what_was_shared_before_an_upgrade_stands_after_it_row_by_row(
    postgres: EmbeddedPostgres, keys: Keyring, clock: ManualClock
) -> None:
    with earlier(postgres, revision=SHARING_REVISION, keys=keys, clock=clock) as database:
        site = Site(database, clock)
        agreement = site.agree("SG")
        one = _released_then(database, clock, agreement=agreement.id)
        before = everything(database)
        assert {"exchange_agreements", "exchange_releases", "journal_rows"} <= before.keys()
        assert database.migrate() == (SHARING_REVISION, migrate.newest())
        after = everything(database)
        for table, rows in before.items():
            kept = [{name: row[name] for name in rows[0]} for row in after[table]]
            assert sorted(kept, key=str) == sorted(rows, key=str), table
        assert site.has("SG") == [one]
        later = site.indicator()
        site.offer("SG", later)
        assert site.has("SG") == [one, later.id], "what comes later stands behind it"
        with database.uow.begin(SYSTEM, purpose="test") as tx:
            told = ReleasedObject(
                id=new_object_id(ObjectKind.CAMPAIGN),
                kind=ObjectKind.CAMPAIGN,
                created=clock.now(),
                modified=clock.now(),
                marking=Marking.GREEN,
            )
            assert site.sharing.context.receive(tx, agreement=agreement, objects=[told]) == []


def _released_then(database: Database, clock: ManualClock, *, agreement: str) -> str:
    """A row of the release ledger as it was written before places had numbers of their own."""
    shared = ReleasedObject(
        id=new_object_id(ObjectKind.INDICATOR),
        kind=ObjectKind.INDICATOR,
        created=clock.now(),
        modified=clock.now(),
        marking=Marking.GREEN,
    )
    row = {
        "partner": "SG",
        "agreement": agreement,
        "id": shared.id,
        "body": msgspec.json.encode(shared).decode("utf-8"),
        "at": clock.now(),
        "keep_until": clock.now() + timedelta(days=30),
    }
    with database.uow.begin(SYSTEM, purpose="test") as tx:
        tx.connection.execute(sa.text(_RELEASED), row)
    return shared.id


def everything(database: Database) -> dict[str, list[dict[str, object]]]:
    """Every row there is but the revision, by table that has any."""
    found: dict[str, list[dict[str, object]]] = {}
    with roles.connect(database.owner) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (name,) in names.fetchall():
            rows = sql.SQL("SELECT to_jsonb(t) FROM {} t").format(sql.Identifier(name))
            got = connection.execute(rows).fetchall()
            if got and name != "alembic_version":
                found[name] = [row for (row,) in got]
    return found


def _newer_is_refused(owner: dict[str, str]) -> None:
    with psycopg.connect(conninfo.make_conninfo(**owner), autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict, match="newer version"):
        migrate.migrate(owner)
