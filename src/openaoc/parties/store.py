"""The parties' tables and their SQL; private to this stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from openaoc.kernel.actor import Role
from openaoc.kernel.ids import InstitutionCode, KeyId, UserId
from openaoc.parties.model import (
    ApiKey,
    Institution,
    InstitutionKind,
    MessageFormat,
    PublicKey,
    Switch,
    SwitchState,
    User,
)
from openaoc.storage.tables import metadata, moment

institutions: Final = sa.Table(
    "institutions",
    metadata,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("jurisdiction", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text),
    sa.Column("message_format", sa.Text, nullable=False),
    sa.Column("added_at", moment, nullable=False),
)
institution_keys: Final = sa.Table(
    "institution_keys",
    metadata,
    sa.Column("institution", sa.ForeignKey("institutions.code"), primary_key=True),
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("jwk", sa.Text, nullable=False),
    sa.Column("added_at", moment, nullable=False),
    sa.Column("retired_at", moment),
)
users: Final = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("roles", ARRAY(sa.Text), nullable=False),
    sa.Column("institution", sa.ForeignKey("institutions.code")),
    sa.Column("partner", sa.Text),
    sa.Column("added_at", moment, nullable=False),
    sa.Column("disabled_at", moment),
)
api_keys: Final = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id"), nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("added_at", moment, nullable=False),
    sa.Column("ends_at", moment),
    sa.Column("revoked_at", moment),
)
switches: Final = sa.Table(
    "live_switches",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("proposed_by", sa.Text),
    sa.Column("proposed_at", moment),
    sa.Column("approved_by", sa.Text),
    sa.Column("changed_at", moment, nullable=False),
)

_KEY_COLUMNS: Final = (
    api_keys.c.id,
    api_keys.c.user_id,
    api_keys.c.added_at,
    api_keys.c.ends_at,
    api_keys.c.revoked_at,
)
_INSTITUTION: Final = sa.select(
    institutions, sa.func.coalesce(switches.c.state == SwitchState.LIVE.value, False).label("live")
).select_from(
    institutions.outerjoin(
        switches, switches.c.scope == sa.func.concat("institution:", institutions.c.code)
    )
)


class StoredKey(NamedTuple):
    """A key with its hash and its user, for signing in."""

    key: ApiKey
    hash: bytes
    user: User


def _institution(row: sa.Row[*tuple[object, ...]]) -> Institution:
    return Institution(
        code=InstitutionCode(row.code),
        name=row.name,
        kind=InstitutionKind(row.kind),
        jurisdiction=row.jurisdiction,
        endpoint=row.endpoint,
        message_format=MessageFormat(row.message_format),
        live=row.live,
        added_at=row.added_at,
    )


def _user(row: sa.Row[*tuple[object, ...]]) -> User:
    return User(
        id=UserId(row.id),
        name=row.name,
        roles=tuple(Role(role) for role in row.roles),
        institution=None if row.institution is None else InstitutionCode(row.institution),
        added_at=row.added_at,
        disabled_at=row.disabled_at,
        partner=row.partner,
    )


def _key(row: sa.Row[*tuple[object, ...]]) -> ApiKey:
    return ApiKey(
        id=KeyId(row.id),
        user=UserId(row.user_id),
        added_at=row.added_at,
        ends_at=row.ends_at,
        revoked_at=row.revoked_at,
    )


def insert_institution(connection: sa.Connection, one: Institution) -> bool:
    """False when the code is taken."""
    made = connection.execute(
        insert(institutions)
        .values(
            code=one.code,
            name=one.name,
            kind=one.kind.value,
            jurisdiction=one.jurisdiction,
            endpoint=one.endpoint,
            message_format=one.message_format.value,
            added_at=one.added_at,
        )
        .on_conflict_do_nothing()
        .returning(institutions.c.code)
    )
    return made.first() is not None


def find_institution(
    connection: sa.Connection, code: str, *, lock: bool = False
) -> Institution | None:
    """One institution with its own switch; with `lock` its row is held to the end."""
    query = _INSTITUTION.where(institutions.c.code == code)
    if lock:
        query = query.with_for_update(of=institutions)
    row = connection.execute(query).first()
    return None if row is None else _institution(row)


def list_institutions(connection: sa.Connection, *, limit: int) -> list[Institution]:
    """By code."""
    rows = connection.execute(_INSTITUTION.order_by(institutions.c.code).limit(limit))
    return [_institution(row) for row in rows]


def update_endpoint(connection: sa.Connection, one: Institution) -> None:
    """Where its system listens, and in which form it takes orders."""
    connection.execute(
        sa.update(institutions)
        .where(institutions.c.code == one.code)
        .values(endpoint=one.endpoint, message_format=one.message_format.value)
    )


def insert_public_key(connection: sa.Connection, key: PublicKey) -> bool:
    """False when the institution has a key of that id."""
    made = connection.execute(
        insert(institution_keys)
        .values(institution=key.institution, kid=key.kid, jwk=key.jwk, added_at=key.added_at)
        .on_conflict_do_nothing()
        .returning(institution_keys.c.kid)
    )
    return made.first() is not None


def list_public_keys(
    connection: sa.Connection, code: str, *, now: datetime | None
) -> list[PublicKey]:
    """The institution's keys, oldest first; with `now` only those in force then."""
    query = sa.select(institution_keys).where(institution_keys.c.institution == code)
    if now is not None:
        ended = institution_keys.c.retired_at
        query = query.where(sa.or_(ended.is_(None), ended > now))
    rows = connection.execute(query.order_by(institution_keys.c.added_at, institution_keys.c.kid))
    return [
        PublicKey(
            kid=row.kid,
            institution=InstitutionCode(row.institution),
            jwk=row.jwk,
            added_at=row.added_at,
            retired_at=row.retired_at,
        )
        for row in rows
    ]


def retire_public_key(connection: sa.Connection, code: str, *, kid: str, at: datetime) -> bool:
    """False when there is no such key in force."""
    found = connection.execute(
        sa.update(institution_keys)
        .where(institution_keys.c.institution == code, institution_keys.c.kid == kid)
        .where(sa.or_(institution_keys.c.retired_at.is_(None), institution_keys.c.retired_at > at))
        .values(retired_at=at)
    )
    return found.rowcount > 0


def insert_user(connection: sa.Connection, user: User) -> None:
    """A new user."""
    connection.execute(
        sa.insert(users).values(
            id=user.id,
            name=user.name,
            roles=[role.value for role in user.roles],
            institution=user.institution,
            partner=user.partner,
            added_at=user.added_at,
        )
    )


def find_user(connection: sa.Connection, user_id: str, *, lock: bool = False) -> User | None:
    """One user; with `lock` the row is held to the end."""
    query = sa.select(users).where(users.c.id == user_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _user(row)


def list_users(connection: sa.Connection, *, after: str, limit: int) -> list[User]:
    """By id, after the given one."""
    query = sa.select(users).where(users.c.id > after).order_by(users.c.id).limit(limit)
    return [_user(row) for row in connection.execute(query)]


def any_user(connection: sa.Connection) -> bool:
    """Whether somebody was ever added."""
    return connection.execute(sa.select(users.c.id).limit(1)).first() is not None


def disable_user(connection: sa.Connection, user_id: str, *, at: datetime) -> None:
    """No key of theirs works any more."""
    connection.execute(sa.update(users).where(users.c.id == user_id).values(disabled_at=at))


def insert_key(connection: sa.Connection, key: ApiKey, *, keyed_hash: bytes) -> None:
    """A new key, its hash only."""
    connection.execute(
        sa.insert(api_keys).values(
            id=key.id, user_id=key.user, hash=keyed_hash, added_at=key.added_at, ends_at=key.ends_at
        )
    )


def find_key(connection: sa.Connection, key_id: str) -> StoredKey | None:
    """A key with its hash and its user."""
    query = (
        sa.select(*_KEY_COLUMNS, api_keys.c.hash, *(c.label(f"u_{c.name}") for c in users.c))
        .join_from(api_keys, users)
        .where(api_keys.c.id == key_id)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    user = User(
        id=UserId(row.u_id),
        name=row.u_name,
        roles=tuple(Role(role) for role in row.u_roles),
        institution=None if row.u_institution is None else InstitutionCode(row.u_institution),
        added_at=row.u_added_at,
        disabled_at=row.u_disabled_at,
        partner=row.u_partner,
    )
    return StoredKey(_key(row), row.hash, user)


def list_keys(connection: sa.Connection, user_id: str) -> Sequence[ApiKey]:
    """All keys a user ever had, oldest first."""
    query = sa.select(*_KEY_COLUMNS).where(api_keys.c.user_id == user_id)
    return [_key(row) for row in connection.execute(query.order_by(api_keys.c.added_at))]


def revoke_key(connection: sa.Connection, key_id: str, *, at: datetime) -> None:
    """From this moment it does not work."""
    connection.execute(
        sa.update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=at)
    )


def end_key(connection: sa.Connection, key_id: str, *, at: datetime) -> None:
    """It works until that moment."""
    connection.execute(sa.update(api_keys).where(api_keys.c.id == key_id).values(ends_at=at))


def find_switch(connection: sa.Connection, scope: str, *, lock: bool = False) -> Switch:
    """The switch of the scope, in shadow where nobody ever touched it."""
    query = sa.select(switches).where(switches.c.scope == scope)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return Switch(scope=scope, state=SwitchState.SHADOW) if row is None else _switch(row)


def _switch(row: sa.Row[*tuple[object, ...]]) -> Switch:
    return Switch(
        scope=row.scope,
        state=SwitchState(row.state),
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        approved_by=row.approved_by,
        changed_at=row.changed_at,
    )


def list_switches(connection: sa.Connection, *, limit: int) -> list[Switch]:
    """Every switch somebody ever touched, by scope."""
    query = sa.select(switches).order_by(switches.c.scope).limit(limit)
    return [_switch(row) for row in connection.execute(query)]


def save_switch(connection: sa.Connection, switch: Switch) -> None:
    """The switch's new state."""
    values = {
        "state": switch.state.value,
        "proposed_by": switch.proposed_by,
        "proposed_at": switch.proposed_at,
        "approved_by": switch.approved_by,
        "changed_at": switch.changed_at,
    }
    connection.execute(
        insert(switches)
        .values(scope=switch.scope, **values)
        .on_conflict_do_update(index_elements=["scope"], set_=values)
    )


def which_live(connection: sa.Connection, scopes: Sequence[str]) -> set[str]:
    """Those of the scopes that are live."""
    query = sa.select(switches.c.scope).where(
        switches.c.scope == sa.any_(sa.bindparam("scopes", type_=sa.ARRAY(sa.Text))),
        switches.c.state == SwitchState.LIVE.value,
    )
    return set(connection.execute(query, {"scopes": list(scopes)}).scalars())


def live_scopes(connection: sa.Connection, scopes: Sequence[str]) -> int:
    """How many of the scopes are live."""
    query = sa.select(sa.func.count()).where(
        switches.c.scope.in_(scopes), switches.c.state == SwitchState.LIVE.value
    )
    return int(connection.execute(query).scalar_one())
