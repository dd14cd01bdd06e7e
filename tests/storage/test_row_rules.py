"""Row-level security is real: PostgreSQL itself hides other institutions' rows."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy as sa

from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import OpenAOCError, Refused
from openaoc.parties.model import InstitutionKind
from openaoc.parties.service import Parties
from openaoc.storage import roles
from openaoc.storage.database import Database
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import UnitOfWork

OURS = Actor(id="usr_ours", roles=frozenset({Role.LIAISON}), institution="OURS")
MACHINE = Actor(id="usr_machine", roles=frozenset({Role.MACHINE}), institution="OURS")
UNBOUND = Actor(id="usr_unbound", roles=frozenset({Role.LIAISON}))
AGENT = Actor(id="usr_agent", roles=frozenset({Role.AGENT}))
NAMES = sa.text("SELECT name FROM users ORDER BY name")


@pytest.fixture(autouse=True)
def people(uow: UnitOfWork, keys: Keyring) -> None:
    parties = Parties(keys=keys)
    with uow.begin(SYSTEM) as tx:
        for code in ("OURS", "THEIRS"):
            parties.add_institution(
                tx, code=code, name=code, kind=InstitutionKind.BANK, jurisdiction="TH"
            )
            parties.add_user(tx, name=f"liaison {code}", role=Role.LIAISON, institution=code)
        parties.add_user(tx, name="agent", role=Role.AGENT)


@pytest.mark.parametrize("actor", [OURS, MACHINE])
def test_an_institutions_people_see_their_own_rows_only(uow: UnitOfWork, actor: Actor) -> None:
    with uow.read(actor) as tx:
        assert list(tx.connection.execute(NAMES).scalars()) == ["liaison OURS"]


def test_staff_see_all(uow: UnitOfWork) -> None:
    for actor in (SYSTEM, AGENT):
        with uow.read(actor) as tx:
            assert len(tx.connection.execute(NAMES).all()) == 3


def test_a_liaison_without_an_institution_sees_nothing(uow: UnitOfWork) -> None:
    with uow.read(UNBOUND) as tx:
        assert tx.connection.execute(NAMES).all() == []


def test_a_connection_that_says_nothing_sees_nothing(database: Database) -> None:
    with database.engine.connect() as connection:
        assert connection.execute(NAMES).all() == []


def test_what_one_transaction_said_is_forgotten_by_the_next(
    database: Database, uow: UnitOfWork
) -> None:
    for _ in range(5):
        with uow.read(SYSTEM) as tx:
            assert len(tx.connection.execute(NAMES).all()) == 3
        with database.engine.connect() as connection:
            assert connection.execute(NAMES).all() == []


def test_other_institutions_rows_cannot_be_changed_or_made(uow: UnitOfWork) -> None:
    with uow.begin(OURS) as tx:
        changed = tx.connection.execute(sa.text("UPDATE users SET name = 'x'"))
        assert changed.rowcount == 1
    with pytest.raises(Refused), uow.begin(OURS) as tx:
        tx.connection.execute(sa.text("UPDATE users SET institution = 'THEIRS'"))
    statement = (
        "INSERT INTO users (id, name, roles, institution, added_at)"
        " VALUES ('u', 'n', ARRAY['liaison'], 'THEIRS', now())"
    )
    with pytest.raises(Refused), uow.begin(OURS) as tx:
        tx.connection.execute(sa.text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "DROP POLICY users_own_institution ON users",
        "CREATE OR REPLACE FUNCTION openaoc_sees(t text) RETURNS bool RETURN true",
        "ALTER ROLE CURRENT_USER BYPASSRLS",
        "COPY users TO PROGRAM 'cat'",
        "CREATE TABLE mine (n int)",
        "SELECT * FROM alembic_version",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_the_application_cannot_free_itself(uow: UnitOfWork, statement: str) -> None:
    with pytest.raises(OpenAOCError), uow.begin(OURS) as tx:
        tx.connection.execute(sa.text(statement))


def test_row_security_off_shows_an_error_and_no_row(uow: UnitOfWork) -> None:
    def look() -> None:
        with uow.begin(OURS) as tx:
            tx.connection.execute(sa.text("SET LOCAL row_security = off"))
            tx.connection.execute(NAMES)

    with pytest.raises(Refused):
        look()


def test_a_powerful_role_is_not_accepted_as_the_application(
    make_owner: Callable[[], dict[str, str]],
) -> None:
    with roles.connect(make_owner()) as connection, pytest.raises(Refused):
        roles.check_application(connection)


def test_each_database_has_its_own_application(
    database: Database, make_owner: Callable[[], dict[str, str]]
) -> None:
    other = make_owner()
    with roles.connect(other) as connection:
        roles.ensure_application(connection, database=other["dbname"], password="another")
    stranger = {**database.application, "dbname": other["dbname"]}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(roles.connection_string(stranger))
