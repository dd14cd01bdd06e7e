"""Who may do what inside PostgreSQL: an owner that migrates, an application that runs.

The application role is no superuser, owns nothing and cannot pass by row-level security.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg import conninfo, sql
from psycopg import errors as pg

from openaoc.kernel.errors import BadInput, Refused, Unavailable
from openaoc.storage.errors import DatabaseDown

APPLICATION_GROUP: Final = "openaoc_application"
"""All grants go to this role, which cannot log in; each database's own login role is its member."""
EMBEDDED_DATABASE: Final = "openaoc"
EMBEDDED_OWNER: Final = "openaoc_owner"
VERSION_MIN: Final = 160000
NAME_BYTES_MAX: Final = 63
CONNECT_SECONDS_MAX: Final = 10
WATCHED: Final = {
    "connect_timeout": "30",
    "tcp_user_timeout": "30000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
"""A server elsewhere that is gone without a word is noticed in half a minute; with the system's
own settings whoever waits for its answer waits for two hours. What a DSN says itself counts."""

Parameters = Mapping[str, str]


def application_role(database: str) -> str:
    """The login role of one database: two centres on one server do not share it."""
    return f"{database[: NAME_BYTES_MAX - len('_app')]}_app"


def connection_string(parameters: Parameters) -> str:
    """Libpq's spelling of the parameters, for psycopg.connect; the server is watched."""
    return conninfo.make_conninfo(**(WATCHED | dict(parameters)))


def connect(parameters: Parameters) -> psycopg.Connection:
    """An autocommitting connection. Raises DatabaseDown with the server's name only."""
    try:
        return psycopg.connect(
            connection_string({"connect_timeout": str(CONNECT_SECONDS_MAX), **parameters}),
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        place = parameters.get("host", "the default server")
        kind = "the password or role is refused" if "auth" in str(error) else "no connection"
        raise DatabaseDown(f"{kind} at {place}") from error


def parse_dsn(dsn: str) -> dict[str, str]:
    """A connection string's parts. Raises BadInput, without repeating the string."""
    try:
        parts = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise BadInput("not a PostgreSQL connection string", where="OPENAOC_DSN") from error
    return {name: str(value) for name, value in parts.items() if value is not None}


def check_server(connection: psycopg.Connection) -> None:
    """Raises Unavailable for a server older than we are tested with or not in UTF-8."""
    if connection.info.server_version < VERSION_MIN:
        number = connection.info.server_version // 10000
        raise Unavailable(f"PostgreSQL {VERSION_MIN // 10000} or newer is needed, not {number}")
    row = connection.execute("SHOW server_encoding").fetchone()
    if row is None or row[0] != "UTF8":
        raise Unavailable("the database must be in UTF8")


def _ensure_role(
    connection: psycopg.Connection, *, role: str, login: bool, password: str | None
) -> None:
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    name = sql.Identifier(role)
    if found is None:
        kind = sql.SQL("LOGIN" if login else "NOLOGIN")
        connection.execute(sql.SQL("CREATE ROLE {} {}").format(name, kind))
    if password is not None:
        # The verifier is made here: the password itself never reaches the server or its log.
        verifier = connection.pgconn.encrypt_password(
            password.encode("utf-8"), role.encode("utf-8"), b"scram-sha-256"
        ).decode("ascii")
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(verifier)))


def ensure_application(connection: psycopg.Connection, *, database: str, password: str) -> str:
    """Make or renew the application's login role on the connected server; its name.

    Raises Refused with the statements to run where the owner may not make roles.
    """
    role = application_role(database)
    try:
        _ensure_role(connection, role=APPLICATION_GROUP, login=False, password=None)
        _ensure_role(connection, role=role, login=True, password=password)
        member = connection.execute(
            "SELECT pg_has_role(%s, %s, 'member')", [role, APPLICATION_GROUP]
        ).fetchone()
        if member is None or not member[0]:
            grant = sql.SQL("GRANT {} TO {}")
            connection.execute(
                grant.format(sql.Identifier(APPLICATION_GROUP), sql.Identifier(role))
            )
        for statement in (
            "REVOKE CONNECT ON DATABASE {} FROM PUBLIC",
            "GRANT CONNECT ON DATABASE {} TO {}",
        ):
            names = [sql.Identifier(database), sql.Identifier(role)]
            connection.execute(sql.SQL(statement).format(*names[: statement.count("{}")]))
    except pg.InsufficientPrivilege as error:
        raise Refused(
            "the owner in OPENAOC_DSN may not make the application's role; as a superuser:"
            f" ALTER ROLE <owner> CREATEROLE; and, if role {APPLICATION_GROUP} exists,"
            f" GRANT {APPLICATION_GROUP} TO <owner> WITH ADMIN OPTION"
        ) from error
    return role


def check_application(connection: psycopg.Connection) -> None:
    """Raises Refused when the connected role could pass by the row rules."""
    row = connection.execute(
        "SELECT rolsuper OR rolbypassrls OR EXISTS (SELECT 1 FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND pg_has_role(r.oid, relowner, 'member'))"
        " FROM pg_roles r WHERE rolname = current_user"
    ).fetchone()
    if row is None or row[0]:
        raise Refused("the application's database role is a superuser or owns tables")


def ensure_embedded(connection: psycopg.Connection, *, owner_password: str) -> None:
    """The owner role and the centre's database on the embedded server, as its superuser."""
    _ensure_role(connection, role=EMBEDDED_OWNER, login=True, password=owner_password)
    found = connection.execute(
        "SELECT 1 FROM pg_database WHERE datname = %s", [EMBEDDED_DATABASE]
    ).fetchone()
    if found is None:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(EMBEDDED_DATABASE), sql.Identifier(EMBEDDED_OWNER)
            )
        )
