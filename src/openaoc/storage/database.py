"""The way to PostgreSQL: the embedded server or a DSN, owner and application, pool and limits.

Answers where transactions come from. Never runs the application as the owner.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from typing import Final

import psycopg
import sqlalchemy as sa

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import Clock
from openaoc.kernel.settings import Settings
from openaoc.storage import migrate, roles
from openaoc.storage.claim import Claim
from openaoc.storage.files import private_folder
from openaoc.storage.journal_keys import JournalKeys
from openaoc.storage.keyring import Keyring
from openaoc.storage.marks import STANDBY_NAME, has_standby
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.storage.unit_of_work import UnitOfWork
from openaoc.storage.vault import Vault

POOL_SIZE: Final = 60
POOL_OVERFLOW: Final = 0
"""A connection costs both sides some ten milliseconds to make: those made are kept."""
POOL_WAIT_SECONDS_MAX: Final = 10
STATEMENT_SECONDS_MAX: Final = 60
LOCK_SECONDS_MAX: Final = 10
IDLE_IN_TRANSACTION_SECONDS_MAX: Final = 120
"""A trace is computed inside of one; nothing waits for people or for the network in one."""
CENTRE_LOCK_NUMBER: Final = 0x0A0C_CE7
"""The advisory lock of the one centre that works on a database."""
OWNER_PASSWORD_NAME: Final = "postgres-owner.password"  # noqa: S105 - a file's name
APPLICATION_PASSWORD_NAME: Final = "postgres-application.password"  # noqa: S105 - a file's name

_OPTIONS: Final = " ".join(
    f"-c {name}={value}"
    for name, value in (
        ("statement_timeout", f"{STATEMENT_SECONDS_MAX}s"),
        ("lock_timeout", f"{LOCK_SECONDS_MAX}s"),
        ("idle_in_transaction_session_timeout", f"{IDLE_IN_TRANSACTION_SECONDS_MAX}s"),
        ("default_transaction_isolation", "read\\ committed"),
        ("timezone", "UTC"),
    )
)


class Database:
    """One centre's database: `uow` for everybody, `migrate` at start, `close` at the end."""

    def __init__(
        self,
        *,
        owner: Mapping[str, str],
        application: Mapping[str, str],
        keys: Keyring,
        clock: Clock,
        server: EmbeddedPostgres | None = None,
    ) -> None:
        self.owner = dict(owner)
        self.application = dict(application)
        self.keys = keys
        self.journal_keys = JournalKeys(keys)
        self.clock = clock
        self.server = server
        self.engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=self.connect,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=POOL_WAIT_SECONDS_MAX,
            pool_use_lifo=True,
        )
        sa.event.listen(self.engine, "checkout", _still_there)
        self.uow = UnitOfWork(self.engine, clock=clock)
        self._claim = Claim(self.application, number=CENTRE_LOCK_NUMBER)

    def connect(self) -> psycopg.Connection:
        """A connection of its own as the application, outside of the pool."""
        return psycopg.connect(roles.connection_string(self.application), options=_OPTIONS)

    def migrate(self) -> tuple[str | None, str]:
        """Bring the tables up to date as the owner; revision before and after.

        Then checks what the application relies on, and finishes what a crash interrupted in the
        vault. Raises Refused when the application's role could pass by the row rules, Unavailable
        when the master key is not this database's.
        """
        revisions = migrate.migrate(self.owner, keys=self.keys)
        with roles.connect(self.application) as connection:
            roles.check_application(connection)
        with self.uow.read(SYSTEM, purpose="finish shredding") as tx:
            Vault(keys=self.keys, uow=self.uow).reconcile(tx)
        return revisions

    def claim(self, *, on_lost: Callable[[], None]) -> None:
        """Be this database's one centre until `close`. Raises Conflict when there is another.

        `on_lost`: another took it while the way to the server was lost; this one must end.
        """
        self._claim.take()
        self._claim.keep(on_lost=on_lost)

    def revision(self) -> str | None:
        """The revision in place, None before the first migration."""
        return migrate.current(self.owner)

    def close(self) -> None:
        """Close the pool and stop the embedded server."""
        self._claim.release()
        self.engine.dispose()
        if self.server is not None:
            self.server.stop()


def _still_there(connection: psycopg.Connection, *_: object) -> None:
    """Leave a connection that its server has ended: with it all others of the pool are.

    Nobody speaks on a connection at rest; whatever can be read of it is its end. Looked at where
    it lies, for asking the server costs every transaction a way there and back.
    """
    watched = select.poll()
    if not connection.closed:
        watched.register(connection.fileno(), select.POLLIN)
    if connection.closed or watched.poll(0):
        raise sa.exc.InvalidatePoolError


def open_database(settings: Settings, *, clock: Clock) -> Database:
    """The settings' database, reachable and with its roles; tables are `migrate`'s work.

    Raises Unavailable when the server does not start or cannot be reached, or is too old; Refused
    when the owner may not do what is needed; BadInput for a DSN that is none.
    """
    private_folder(settings.data_path)
    keys = Keyring(settings.keys_path)
    private_folder(settings.keys_path)
    if settings.dsn is None:
        return _open_embedded(settings, keys=keys, clock=clock)
    owner = roles.parse_dsn(settings.dsn)
    return connect_database(owner, keys=keys, clock=clock)


def connect_database(
    owner: Mapping[str, str],
    *,
    keys: Keyring,
    clock: Clock,
    server: EmbeddedPostgres | None = None,
) -> Database:
    """A database on a running server, by its owner's connection parameters."""
    password = keys.secret(APPLICATION_PASSWORD_NAME)
    with roles.connect(owner) as connection:
        roles.check_server(connection)
        role = roles.ensure_application(
            connection, database=connection.info.dbname, password=password
        )
        name = connection.info.dbname
    application = {**owner, "user": role, "password": password, "dbname": name}
    return Database(owner=owner, application=application, keys=keys, clock=clock, server=server)


def _replication(settings: Settings) -> dict[str, str]:
    """A server that has had a standby commits nothing without it, from its first moment on."""
    known = settings.standby_listen is not None and has_standby(settings.data_path)
    return {"synchronous_standby_names": STANDBY_NAME} if known else {}


def _open_embedded(settings: Settings, *, keys: Keyring, clock: Clock) -> Database:
    server = EmbeddedPostgres(settings.data_path, keys=keys, more_settings=_replication(settings))
    server.start()
    try:
        password = keys.secret(OWNER_PASSWORD_NAME)
        with server.superuser() as connection:
            roles.ensure_embedded(connection, owner_password=password)
            roles.ensure_application(
                connection,
                database=roles.EMBEDDED_DATABASE,
                password=keys.secret(APPLICATION_PASSWORD_NAME),
            )
        base = server.parameters(database=roles.EMBEDDED_DATABASE)
        application = {
            **base,
            "user": roles.application_role(roles.EMBEDDED_DATABASE),
            "password": keys.secret(APPLICATION_PASSWORD_NAME),
        }
        return Database(
            owner={**base, "user": roles.EMBEDDED_OWNER, "password": password},
            application=application,
            keys=keys,
            clock=clock,
            server=server,
        )
    except BaseException:  # whatever it is, the server must not outlive it
        server.stop()
        raise
