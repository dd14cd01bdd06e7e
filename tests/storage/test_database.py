"""Opening a database by its connection string, and bringing it up to date."""

from __future__ import annotations

import contextlib
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg import conninfo, sql
from sqlalchemy import text

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput, Conflict, Corrupt, Refused, Unavailable
from openaoc.kernel.settings import Settings
from openaoc.storage import migrate, roles
from openaoc.storage.claim import Claim
from openaoc.storage.database import Database, connect_database, open_database
from openaoc.storage.errors import DatabaseDown
from openaoc.storage.keyring import MASTER_NAME, Keyring
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.storage.unit_of_work import UnitOfWork

NEWEST = migrate.newest()
_KIND = text(
    "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
)


@pytest.fixture
def empty(postgres: EmbeddedPostgres) -> Iterator[Callable[[str], str]]:
    """A call that makes an empty database owned by a role with these rights; its DSN."""
    made: list[str] = []

    def make(rights: str) -> str:
        name = f"empty_{len(made)}"
        made.append(name)
        with postgres.superuser() as connection:
            identifier = sql.Identifier(name)
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'p' ").format(identifier) + sql.SQL(rights)
            )
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, identifier)
            )
            if "CREATEROLE" in rights.split():
                connection.execute(
                    sql.SQL("GRANT openaoc_application TO {} WITH ADMIN OPTION").format(identifier)
                )
        parameters = {**postgres.parameters(database=name), "user": name, "password": "p"}
        return conninfo.make_conninfo(**parameters)

    yield make
    with postgres.superuser() as connection:
        for name in made:
            identifier = sql.Identifier(name)
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
            role = sql.Identifier(roles.application_role(name))
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(identifier))


def settings(tmp_path: Path, dsn: str) -> Settings:
    return Settings(data_dir=str(tmp_path / "data"), dsn=dsn)


def test_a_dsn_of_an_owner_who_may_make_roles_is_enough(
    tmp_path: Path, empty: Callable[[str], str], clock: ManualClock
) -> None:
    wanted = settings(tmp_path, empty("CREATEROLE"))
    for expected in ((None, NEWEST), (NEWEST, NEWEST)):
        database = open_database(wanted, clock=clock)
        assert database.migrate() == expected
        assert database.revision() == NEWEST
        with database.uow.begin(SYSTEM) as tx:
            tx.journal(action="test.thing.done", subject="thing")
        database.close()
    assert database.application["user"] == "empty_0_app"


def test_an_owner_who_may_not_is_told_what_to_run(
    tmp_path: Path, empty: Callable[[str], str], clock: ManualClock
) -> None:
    with pytest.raises(Refused, match="CREATEROLE"):
        open_database(settings(tmp_path, empty("NOCREATEROLE")), clock=clock)


def test_a_string_that_is_no_dsn_is_not_repeated(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(BadInput) as caught:
        open_database(settings(tmp_path, "my secret password"), clock=clock)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_named_without_its_password(
    tmp_path: Path, clock: ManualClock
) -> None:
    dsn = f"host={tmp_path} user=u password=secret dbname=d"
    with pytest.raises(DatabaseDown) as caught:
        open_database(settings(tmp_path, dsn), clock=clock)
    assert str(tmp_path) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_gone_without_a_word_is_noticed(database: Database) -> None:
    with database.uow.read(SYSTEM) as tx:
        raw = tx.connection.connection.driver_connection
        assert raw is not None
        said = {option.keyword.decode(): option.val for option in raw.pgconn.info}
    assert {name: said[name] for name in roles.WATCHED} == {
        name: value.encode() for name, value in roles.WATCHED.items()
    }
    own = {**database.application, "connect_timeout": "3"}
    assert conninfo.conninfo_to_dict(roles.connection_string(own))["connect_timeout"] == "3"


def test_a_wrong_password_is_called_so(tmp_path: Path, dsn: str, clock: ManualClock) -> None:
    wrong = conninfo.make_conninfo(dsn, password="wrong")
    with pytest.raises(DatabaseDown, match="refused"):
        open_database(settings(tmp_path, wrong), clock=clock)


def test_an_old_server_is_refused(
    tmp_path: Path, dsn: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "VERSION_MIN", 990000)
    with pytest.raises(Unavailable, match="99"):
        open_database(settings(tmp_path, dsn), clock=clock)


def test_two_that_migrate_at_once_wait_for_each_other(
    tmp_path: Path, empty: Callable[[str], str], clock: ManualClock
) -> None:
    database = open_database(settings(tmp_path, empty("CREATEROLE")), clock=clock)
    results: list[tuple[str | None, str]] = []
    threads = [
        threading.Thread(target=lambda: results.append(migrate.migrate(database.owner)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(before) for before, _ in results) == [NEWEST, NEWEST, "None"]
    database.close()


def test_one_database_one_centre(
    database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = connect_database(database.owner, keys=database.keys, clock=clock)
    ended: list[str] = []
    try:
        database.claim(on_lost=lambda: ended.append("first"))
        with monkeypatch.context() as patch:
            patch.setattr("openaoc.storage.claim.WAIT_SECONDS_MAX", 0.2)
            with pytest.raises(Conflict):
                second.claim(on_lost=lambda: ended.append("second"))
        database.close()
        second.claim(on_lost=lambda: ended.append("second"))
        assert not ended
    finally:
        second.close()


def test_a_claim_is_taken_again_when_its_connection_is_lost(database: Database) -> None:
    claim = Claim(database.application, number=1)
    claim.take()
    with roles.connect(database.owner) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        )
    assert claim.held()
    claim.release()


def test_a_claim_that_another_took_meanwhile_ends_its_centre_and_a_lost_session_does_not(
    database: Database,
) -> None:
    claim, other = (Claim(database.application, number=2) for _ in range(2))
    ended: list[str] = []
    claim.take()
    claim.keep(on_lost=lambda: ended.append("claim"))
    claim._ticker.stop()
    lost = claim._connection
    assert lost is not None
    claim._connection = None  # the server goes on believing in it
    claim._renew()
    while not claim.held():
        continue
    assert not ended
    claim.release()
    other.take()
    claim._renew()
    assert ended == ["claim"]
    other.release()
    lost.close()


def test_connections_the_server_has_ended_are_left_unseen(
    database: Database, uow: UnitOfWork, postgres: EmbeddedPostgres
) -> None:
    with contextlib.ExitStack() as together:
        for _ in range(3):  # so that as many connections rest in the pool
            together.enter_context(uow.read(SYSTEM))
    assert database.engine.pool.checkedin() >= 3  # type: ignore[attr-defined]  # a queue's
    with postgres.superuser() as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE usename = %s",
            [database.application["user"]],
        ).fetchone()
    assert ended is not None
    assert ended[0] >= 3
    for _ in range(5):
        with uow.read(SYSTEM) as tx:
            shown = tx.connection.execute(_KIND).one()
        assert tuple(shown) == ("repeatable read", "on")
        with uow.begin(SYSTEM) as tx:
            shown = tx.connection.execute(_KIND).one()
        assert tuple(shown) == ("read committed", "off")


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path,
    empty: Callable[[str], str],
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = open_database(settings(tmp_path, empty("CREATEROLE")), clock=clock)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(migrate, "bind_master", fail)
    with pytest.raises(ZeroDivisionError):
        migrate.migrate(database.owner, keys=database.keys)
    assert database.revision() is None
    monkeypatch.undo()
    assert migrate.migrate(database.owner) == (None, NEWEST)
    database.close()


def test_a_database_of_a_newer_program_is_left_alone(
    make_owner: Callable[[], dict[str, str]],
) -> None:
    owner = make_owner()
    with roles.connect(owner) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict, match="newer"):
        migrate.migrate(owner)


def test_a_key_file_is_made_once_and_a_broken_one_is_called_so(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    first = Keyring(folder).master_key()
    assert Keyring(folder).master_key() == first
    assert Keyring(folder).secret("a") == Keyring(folder).secret("a")
    assert Keyring(folder).derived("a") != Keyring(folder).derived("b")
    one, two = (Keyring(folder).signing_key("k").public_key() for _ in range(2))
    assert one == two
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for name, content in ((MASTER_NAME, b"x"), (MASTER_NAME, b"!"), ("k", b"x"), ("a", b"")):
        (folder / name).write_bytes(content)
    ring = Keyring(folder)
    with pytest.raises(Corrupt):
        ring.master_key()
    with pytest.raises(Corrupt):
        ring.signing_key("k")
    with pytest.raises(Corrupt):
        ring.secret("a")


def test_many_at_once_get_the_same_key(tmp_path: Path) -> None:
    rings = [Keyring(tmp_path / "keys") for _ in range(8)]
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda ring=ring: found.append(ring.master_key())) for ring in rings
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(rings)
    assert len(set(found)) == 1
