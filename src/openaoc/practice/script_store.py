"""Practice: scripts in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.kernel.paging import Asked
from openaoc.practice.script_model import Medium, Script, ScriptState
from openaoc.practice.store import CHANGES
from openaoc.storage import pages
from openaoc.storage.tables import metadata, moment

scripts: Final = sa.Table(
    "practice_scripts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("partner", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("medium", sa.Text, nullable=False),
    sa.Column("offences", postgresql.ARRAY(sa.Text), nullable=False),
    sa.Column("marking", sa.Text, nullable=False),
    sa.Column("removed", sa.Text, nullable=False),
    sa.Column("case_id", sa.Text),
    sa.Column("seen_at", moment, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("approved_by", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("made_at", moment, nullable=False),
    sa.Column("changed_at", moment, nullable=False),
    sa.Column(
        "change",
        sa.BigInteger,
        nullable=False,
        unique=True,
        server_default=sa.text(f"nextval('{CHANGES}')"),
    ),
)

_REMOVED: Final = msgspec.json.Decoder(dict[str, int])
_NEXT: Final = sa.text(f"nextval('{CHANGES}')")


def add(connection: Connection, one: Script) -> Script:
    """Keep a new one; it with its place among changes."""
    change = connection.execute(
        sa.insert(scripts).values(**_values(one)).returning(scripts.c.change)
    ).scalar_one()
    return msgspec.structs.replace(one, change=change)


def save(connection: Connection, one: Script) -> Script:
    """Its new state, at a new place among changes."""
    change = connection.execute(
        sa.update(scripts)
        .where(scripts.c.id == one.id)
        .values(**_values(one), change=_NEXT)
        .returning(scripts.c.change)
    ).scalar_one()
    return msgspec.structs.replace(one, change=change)


def by_ids(connection: Connection, ids: Sequence[str], *, lock: bool = False) -> list[Script]:
    """Those of these scripts there are."""
    query = sa.select(scripts).where(scripts.c.id.in_(list(ids)))
    query = query.with_for_update() if lock else query
    return [_script(row) for row in connection.execute(query)]


def page(connection: Connection, asked: Asked, *, state: ScriptState | None) -> list[Script]:
    """The last changed first: a page, and one more where there are more."""
    query = sa.select(scripts)
    if state is not None:
        query = query.where(scripts.c.state == state.value)
    query = pages.last(query, number=scripts.c.change, asked=asked)
    return [_script(row) for row in connection.execute(query)]


def own_after(connection: Connection, *, after: int, limit: int) -> list[Script]:
    """Our own that were ever approved, in the order of changes."""
    query = (
        sa.select(scripts)
        .where(
            scripts.c.partner.is_(None),
            scripts.c.approved_by.is_not(None),
            scripts.c.change > after,
        )
        .order_by(scripts.c.change)
        .limit(limit)
    )
    return [_script(row) for row in connection.execute(query)]


def newest_change(connection: Connection) -> int:
    """The last change of any script."""
    query = sa.select(sa.func.coalesce(sa.func.max(scripts.c.change), 0))
    return int(connection.execute(query).scalar_one())


def approved(connection: Connection, *, limit: int) -> list[tuple[str, str]]:
    """Ids and texts of what is approved, the newest first."""
    query = (
        sa.select(scripts.c.id, scripts.c.text)
        .where(scripts.c.state == ScriptState.APPROVED.value)
        .order_by(scripts.c.change.desc())
        .limit(limit)
    )
    return [(row.id, row.text) for row in connection.execute(query)]


def _values(one: Script) -> dict[str, Any]:
    values = msgspec.structs.asdict(one)
    del values["change"]
    return {
        **values,
        "state": one.state.value,
        "medium": one.medium.value,
        "offences": [offence.value for offence in one.offences],
        "marking": one.marking.value,
        "removed": msgspec.json.encode(one.removed).decode("utf-8"),
    }


def _script(row: sa.Row[Any]) -> Script:
    values = {name: getattr(row, name) for name in Script.__struct_fields__}
    return Script(
        **{
            **values,
            "state": ScriptState(row.state),
            "medium": Medium(row.medium),
            "offences": tuple(Offence(name) for name in row.offences),
            "marking": Marking(row.marking),
            "removed": _REMOVED.decode(row.removed),
        }
    )
