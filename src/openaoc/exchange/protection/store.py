"""Protection: marks, the keyed digests of names, and referrals in PostgreSQL.

SQL only; private to the stage.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.engine import Connection

from openaoc.exchange.protection.model import Mark, MarkState, Referral, ReferralState, Sign
from openaoc.kernel.paging import Asked
from openaoc.storage import pages
from openaoc.storage.tables import metadata, moment

ASKED_ONE_BY_ONE_MAX: Final = 20_000
"""Of more digests than this all that are marked are read: there are far fewer."""

marks: Final = sa.Table(
    "protection_marks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("signs", ARRAY(sa.Text), nullable=False),
    sa.Column("case", sa.Text),
    sa.Column("origin", sa.Text),
    sa.Column("origin_ref", sa.Text),
    sa.Column("marked_by", sa.Text, nullable=False),
    sa.Column("marked_at", moment, nullable=False),
    sa.Column("lift_proposed_by", sa.Text),
    sa.Column("lifted_by", sa.Text),
    sa.Column("lifted_at", moment),
)
names: Final = sa.Table(
    "protection_names",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("mark", sa.Text, primary_key=True),
    sa.Column("standing", sa.Boolean, nullable=False),
)
referrals: Final = sa.Table(
    "protection_referrals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("mark", sa.Text, nullable=False),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("fields", ARRAY(sa.Text), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("proposed_at", moment, nullable=False),
    sa.Column("approved_by", sa.Text),
    sa.Column("legal_basis", sa.Text),
    sa.Column("approved_at", moment),
    sa.Column("delivered_at", moment),
    sa.Column("last_error", sa.Text),
)


def standing(connection: Connection, digests: Collection[bytes]) -> set[bytes]:
    """Those of the digests that are of a marked person."""
    query = sa.select(names.c.digest).where(names.c.standing)
    if len(digests) > ASKED_ONE_BY_ONE_MAX:
        every = {bytes(row.digest) for row in connection.execute(query)}
        return every.intersection(digests)
    query = query.where(
        names.c.digest == sa.any_(sa.bindparam("digests", type_=ARRAY(sa.LargeBinary)))
    )
    return {bytes(row.digest) for row in connection.execute(query, {"digests": list(digests)})}


def is_empty(connection: Connection) -> bool:
    """Whether nobody is marked now."""
    query = sa.select(sa.exists().where(names.c.standing))
    return not connection.execute(query).scalar_one()


def add(connection: Connection, one: Mark, *, digests: Collection[bytes]) -> None:
    """A mark with the digests of its person's names."""
    values = msgspec.structs.asdict(one) | {"signs": [sign.value for sign in one.signs]}
    connection.execute(sa.insert(marks).values(**values))
    connection.execute(
        insert(names).on_conflict_do_nothing(),
        [{"digest": digest, "mark": one.id, "standing": True} for digest in digests],
    )


def save(connection: Connection, one: Mark) -> None:
    """It has changed; lifted, its names are free."""
    values = msgspec.structs.asdict(one) | {"signs": [sign.value for sign in one.signs]}
    connection.execute(sa.update(marks).where(marks.c.id == one.id).values(**values))
    if one.state is MarkState.LIFTED:
        connection.execute(sa.update(names).where(names.c.mark == one.id).values(standing=False))


def find(connection: Connection, mark_id: str, *, lock: bool = False) -> Mark | None:
    """One."""
    query = sa.select(marks).where(marks.c.id == mark_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _mark(row)


def find_origin(connection: Connection, *, origin: str, ref: str) -> Mark | None:
    """The mark that was made for a partner's referral."""
    query = sa.select(marks).where(marks.c.origin == origin, marks.c.origin_ref == ref)
    row = connection.execute(query).one_or_none()
    return None if row is None else _mark(row)


def newest(connection: Connection, asked: Asked) -> list[Mark]:
    """Newest first: a page, and one more where there are more."""
    query = pages.newest(sa.select(marks), at=marks.c.marked_at, name=marks.c.id, asked=asked)
    return [_mark(row) for row in connection.execute(query)]


def _mark(row: sa.Row[*tuple[object, ...]]) -> Mark:
    kept = dict(row._mapping)  # noqa: SLF001 - the row as a mapping
    signs = tuple(Sign(one) for one in kept.pop("signs"))
    return Mark(**{**kept, "state": MarkState(kept["state"])}, signs=signs)


def add_referral(connection: Connection, one: Referral) -> None:
    """A proposed referral."""
    values = msgspec.structs.asdict(one) | {"fields": list(one.fields)}
    connection.execute(sa.insert(referrals).values(**values))


def save_referral(connection: Connection, one: Referral) -> None:
    """It has changed."""
    values = msgspec.structs.asdict(one) | {"fields": list(one.fields)}
    connection.execute(sa.update(referrals).where(referrals.c.id == one.id).values(**values))


def find_referral(
    connection: Connection, referral_id: str, *, lock: bool = False
) -> Referral | None:
    """One."""
    query = sa.select(referrals).where(referrals.c.id == referral_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _referral(row)


def newest_referrals(connection: Connection, asked: Asked) -> Sequence[Referral]:
    """As `newest`."""
    column = referrals.c
    query = pages.newest(sa.select(referrals), at=column.proposed_at, name=column.id, asked=asked)
    return [_referral(row) for row in connection.execute(query)]


def _referral(row: sa.Row[*tuple[object, ...]]) -> Referral:
    kept = dict(row._mapping)  # noqa: SLF001 - the row as a mapping
    state, fields = ReferralState(kept.pop("state")), tuple(kept.pop("fields"))
    return Referral(**kept, state=state, fields=fields)
