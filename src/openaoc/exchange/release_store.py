"""Exchange: the ledger of releases, notices and marks in PostgreSQL.

SQL only; private to the stage.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.engine import Connection

from openaoc.exchange.ledger_model import (
    RecallKind,
    ReleaseRow,
)
from openaoc.exchange.objects import REFS, ObjectKind, ReleasedObject
from openaoc.kernel.clock import to_us
from openaoc.kernel.offences import Offence
from openaoc.storage.tables import metadata, moment

SUPERSEDED: Final = "superseded"
RECALLED: Final = "recalled"
"""Why a row is there that only says that an object is withdrawn."""

releases: Final = sa.Table(
    "exchange_releases",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("place", sa.BigInteger, nullable=False),
    sa.Column("agreement", sa.Text, nullable=False),
    sa.Column("confirmed", sa.Text, nullable=False),
    sa.Column("object_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("fields", ARRAY(sa.Text), nullable=False),
    sa.Column("body", sa.Text),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("released_by", sa.Text, nullable=False),
    sa.Column("released_at", moment, nullable=False),
    sa.Column("keep_until", moment, nullable=False),
    sa.Column("ended_as", sa.Text),
    sa.Column("ended_at", moment),
    sa.Column("speaks_of", ARRAY(sa.LargeBinary), nullable=False),
)
marks: Final = sa.Table(
    "exchange_marks",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("publisher", sa.Text, primary_key=True),
    sa.Column("agreement", sa.Text, nullable=False),
    sa.Column("mark", sa.Text, nullable=False),
)
recalls: Final = sa.Table(
    "exchange_recalls",
    metadata,
    sa.Column("object_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", moment, nullable=False),
)
requests: Final = sa.Table(
    "exchange_requests",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)

BODY: Final = msgspec.json.Decoder(ReleasedObject)
CURRENT: Final = releases.c.ended_as.is_(None)
_BOUND: Final = sorted(
    kind.value for kind, refs in REFS.items() if any(ref.required for ref in refs.values())
)
"""Kinds that say nothing without what they refer to."""


class NewRelease(msgspec.Struct, frozen=True, kw_only=True):
    """A row to add: what leaves, under what, and for how long it may be kept there.

    `body` is what the partner's view shows: without what names a person.
    """

    body: ReleasedObject
    fields: tuple[str, ...]
    digest: bytes
    purpose: Offence
    agreement: str
    keep_until: datetime
    speaks_of: frozenset[bytes] = frozenset()
    """Keyed digests of whom it names; protection/shield.py."""
    confirmed: str | None = None
    """The agreement under which the view shows it; by default the same."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner has of an object now."""

    sequence: int
    digest: bytes
    revoked: bool
    confirmed: str


def held(connection: Connection, partner: str, ids: Sequence[str]) -> dict[str, Held]:
    """Those of the objects the partner has now, withdrawn ones among them."""
    query = sa.select(
        releases.c.object_id,
        releases.c.sequence,
        releases.c.digest,
        releases.c.confirmed,
        releases.c.why,
    ).where(
        releases.c.partner == partner,
        CURRENT,
        releases.c.object_id == sa.any_(sa.bindparam("ids", type_=sa.ARRAY(sa.Text))),
    )
    return {
        row.object_id: Held(
            sequence=row.sequence,
            digest=row.digest,
            revoked=row.why == RECALLED,
            confirmed=row.confirmed,
        )
        for row in connection.execute(query, {"ids": list(ids)})
    }


def count_on(connection: Connection, partner: str, *, since: datetime) -> int:
    """Objects released to the partner since then, each time counted; withdrawals are free."""
    query = sa.select(sa.func.count()).where(
        releases.c.partner == partner,
        releases.c.released_at >= since,
        releases.c.why != RECALLED,
    )
    return int(connection.execute(query).scalar_one())


def end(
    connection: Connection, partner: str, ids: Sequence[str], *, as_kind: str, at: datetime
) -> None:
    """The partner's present releases of these objects are over; their content is not kept."""
    connection.execute(
        sa.update(releases)
        .where(
            releases.c.partner == partner,
            CURRENT,
            releases.c.object_id == sa.any_(sa.bindparam("ids", type_=sa.ARRAY(sa.Text))),
        )
        .values(ended_as=as_kind, ended_at=at, body=None),
        {"ids": list(ids)},
    )


def add(
    connection: Connection,
    partner: str,
    rows: Sequence[NewRelease],
    *,
    why: str,
    by: str,
    at: datetime,
) -> None:
    """New rows, in this order, each in a place behind all that the partner had.

    The partner is locked by the caller.
    """
    if not rows:
        return
    connection.execute(
        sa.insert(releases),
        [
            {
                "partner": partner,
                "place": place,
                "agreement": one.agreement,
                "confirmed": one.confirmed or one.agreement,
                "object_id": one.body.id,
                "kind": one.body.kind.value,
                "purpose": one.purpose.value,
                "fields": list(one.fields),
                "body": msgspec.json.encode(one.body).decode("utf-8"),
                "digest": one.digest,
                "why": why,
                "released_by": by,
                "released_at": at,
                "keep_until": one.keep_until,
                "speaks_of": sorted(one.speaks_of),
            }
            for place, one in enumerate(
                rows, start=next_place(connection, releases, partner, at=at)
            )
        ],
    )


def next_place(connection: Connection, table: sa.Table, partner: str, *, at: datetime) -> int:
    """A number that rises for this partner and rests on the time and its own rows alone.

    Partners see it: one number for all would tell each how much the others receive.
    """
    last = sa.select(sa.func.max(table.c.place)).where(table.c.partner == partner)
    return max(connection.execute(last).scalar_one() or 0, to_us(at)) + 1


def confirm(connection: Connection, partner: str, ids: Sequence[str], *, agreement: str) -> None:
    """The same would leave under this agreement too: the partner's view goes on showing it."""
    connection.execute(
        sa.update(releases)
        .where(
            releases.c.partner == partner,
            CURRENT,
            releases.c.object_id == sa.any_(sa.bindparam("ids", type_=sa.ARRAY(sa.Text))),
        )
        .values(confirmed=agreement),
        {"ids": list(ids)},
    )


class CurrentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One present release, with what it takes to withdraw it."""

    partner: str
    object_id: str
    agreement: str
    confirmed: str
    purpose: Offence
    keep_until: datetime
    body: ReleasedObject | None
    speaks_of: frozenset[bytes]


def _current(row: sa.Row[*tuple[object, ...]]) -> CurrentRow:
    return CurrentRow(
        partner=row.partner,
        object_id=row.object_id,
        agreement=row.agreement,
        confirmed=row.confirmed,
        purpose=Offence(row.purpose),
        keep_until=row.keep_until,
        body=None if row.body is None else BODY.decode(row.body),
        speaks_of=frozenset(map(bytes, row.speaks_of)),
    )


def receivers(connection: Connection, object_id: str) -> list[CurrentRow]:
    """Everybody who has the object now, by partner, locked."""
    query = (
        sa.select(releases)
        .where(releases.c.object_id == object_id, CURRENT)
        .order_by(releases.c.partner)
        .with_for_update()
    )
    return [_current(row) for row in connection.execute(query)]


def of_partner(connection: Connection, partner: str, ids: Sequence[str]) -> list[CurrentRow]:
    """Those of the objects the partner has now, locked."""
    query = (
        sa.select(releases)
        .where(
            releases.c.partner == partner,
            CURRENT,
            releases.c.object_id == sa.any_(sa.bindparam("ids", type_=sa.ARRAY(sa.Text))),
        )
        .order_by(releases.c.object_id)
        .with_for_update()
    )
    return [_current(row) for row in connection.execute(query, {"ids": list(ids)})]


def speaking_of(connection: Connection, digests: Collection[bytes]) -> list[tuple[str, str]]:
    """Partner and object of every present release that speaks of one of these.

    What was withdrawn before is among them, as long as it says more than which it is.
    """
    query = sa.select(releases.c.partner, releases.c.object_id).where(
        CURRENT,
        releases.c.kind != ObjectKind.REFERRAL.value,
        releases.c.speaks_of.overlap(sa.bindparam("digests", type_=ARRAY(sa.LargeBinary))),
    )
    rows = connection.execute(query, {"digests": list(digests)})
    return [(row.partner, row.object_id) for row in rows]


def held_by(connection: Connection, ids: Collection[str]) -> list[tuple[str, str]]:
    """Partner and object of every present release of one of these objects, withdrawn ones too."""
    query = sa.select(releases.c.partner, releases.c.object_id).where(
        CURRENT,
        releases.c.object_id == sa.any_(sa.bindparam("ids", type_=sa.ARRAY(sa.Text))),
    )
    rows = connection.execute(query, {"ids": list(ids)})
    return [(row.partner, row.object_id) for row in rows]


def referring(connection: Connection, partner: str, object_id: str, *, limit: int) -> list[str]:
    """What the partner has that says nothing without this object: relationships and sightings."""
    query = (
        sa.select(releases.c.object_id)
        .where(
            releases.c.partner == partner,
            CURRENT,
            releases.c.why != RECALLED,
            releases.c.kind.in_(_BOUND),
            # As the body names it; its own row is over by now.
            sa.func.strpos(releases.c.body, f'"{object_id}"') > 0,
        )
        .order_by(releases.c.sequence)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def who_kept_too_long(connection: Connection, *, now: datetime) -> list[str]:
    """Partners with present releases whose time is over."""
    query = sa.select(releases.c.partner).where(CURRENT, releases.c.keep_until <= now).distinct()
    return sorted(connection.execute(query).scalars())


def kept_too_long(
    connection: Connection, partners: Collection[str], *, now: datetime, limit: int
) -> list[CurrentRow]:
    """Present releases of these partners whose time is over, locked, the longest over first."""
    query = (
        sa.select(releases)
        .where(CURRENT, releases.c.keep_until <= now, releases.c.partner.in_(partners))
        .order_by(releases.c.keep_until, releases.c.sequence)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_current(row) for row in connection.execute(query)]


def page(
    connection: Connection,
    *,
    partner: str | None,
    object_id: str | None,
    before: int | None,
    limit: int,
) -> list[ReleaseRow]:
    """The ledger, newest first: by the partner's own numbers, or over all by the centre's."""
    number = releases.c.sequence if partner is None else releases.c.place
    query = sa.select(releases, number.label("number")).order_by(number.desc()).limit(limit)
    if partner is not None:
        query = query.where(releases.c.partner == partner)
    if object_id is not None:
        query = query.where(releases.c.object_id == object_id)
    if before is not None:
        query = query.where(number < before)
    return [
        ReleaseRow(
            sequence=row.number,
            partner=row.partner,
            agreement=row.agreement,
            object_id=row.object_id,
            kind=ObjectKind(row.kind),
            purpose=Offence(row.purpose),
            fields=tuple(row.fields),
            why=row.why,
            released_by=row.released_by,
            released_at=row.released_at,
            keep_until=row.keep_until,
            ended_as=row.ended_as,
            ended_at=row.ended_at,
        )
        for row in connection.execute(query)
    ]


def set_recalled(connection: Connection, object_id: str, *, kind: RecallKind, at: datetime) -> None:
    """Nobody gets the object as it was until then."""
    values = {"kind": kind.value, "at": at}
    connection.execute(
        insert(recalls)
        .values(object_id=object_id, **values)
        .on_conflict_do_update(index_elements=["object_id"], set_=values)
    )


def recalled(connection: Connection, ids: Sequence[str]) -> dict[str, datetime]:
    """Those of the objects that were taken back, and when."""
    query = sa.select(recalls.c.object_id, recalls.c.at).where(
        recalls.c.object_id == sa.any_(sa.bindparam("ids", type_=sa.ARRAY(sa.Text)))
    )
    return {row.object_id: row.at for row in connection.execute(query, {"ids": list(ids)})}


# Marks, counts


def mark_of(connection: Connection, partner: str, *, publisher: str, agreement: str) -> str:
    """How far the publisher was read for the partner under this agreement; "" for not at all."""
    query = sa.select(marks.c.mark).where(
        marks.c.partner == partner,
        marks.c.publisher == publisher,
        marks.c.agreement == agreement,
    )
    return str(connection.execute(query).scalar_one_or_none() or "")


def set_mark(
    connection: Connection, partner: str, *, publisher: str, agreement: str, mark: str
) -> None:
    """It was read so far."""
    values = {"agreement": agreement, "mark": mark}
    connection.execute(
        insert(marks)
        .values(partner=partner, publisher=publisher, **values)
        .on_conflict_do_update(index_elements=["partner", "publisher"], set_=values)
    )


def count_request(connection: Connection, partner: str, *, day: date, outcome: str) -> None:
    """One more request of this outcome."""
    added = insert(requests).values(partner=partner, day=day, outcome=outcome, count=1)
    connection.execute(
        added.on_conflict_do_update(
            index_elements=["partner", "day", "outcome"], set_={"count": requests.c.count + 1}
        )
    )


def request_counts(connection: Connection) -> list[tuple[str, str, int]]:
    """Partner, outcome and how many, over all days."""
    query = (
        sa.select(requests.c.partner, requests.c.outcome, sa.func.sum(requests.c.count))
        .group_by(requests.c.partner, requests.c.outcome)
        .order_by(requests.c.partner, requests.c.outcome)
    )
    return [(row[0], row[1], int(row[2])) for row in connection.execute(query)]
