"""Practice: packages, what came of trying them, and how far partners were asked, in PostgreSQL.

SQL only; private to the stage.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.kernel.markings import Marking
from openaoc.kernel.paging import Asked
from openaoc.practice.model import (
    LISTED_MAX,
    Bundle,
    Figures,
    Observation,
    Package,
    PackageKind,
    Standing,
    Voice,
)
from openaoc.storage import pages
from openaoc.storage.tables import metadata, moment

CHANGES: Final = "practice_changes"

packages: Final = sa.Table(
    "practice_packages",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("partner", sa.Text),
    sa.Column("bundle", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("marking", sa.Text, nullable=False),
    sa.Column("standing", sa.Text, nullable=False),
    sa.Column("since", moment, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("voice", sa.Text),
    sa.Column("full", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("changed_at", moment, nullable=False),
    sa.Column(
        "change",
        sa.BigInteger,
        nullable=False,
        unique=True,
        server_default=sa.text(f"nextval('{CHANGES}')"),
    ),
)
"""`change` orders changes as they are committed: whoever writes holds the stage's lock."""

observations: Final = sa.Table(
    "practice_observations",
    metadata,
    sa.Column("package_id", sa.Text, primary_key=True),
    sa.Column("institution", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("currency", sa.Text, primary_key=True),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("named", sa.Boolean, nullable=False),
    sa.Column("payers", sa.BigInteger, nullable=False),
    sa.Column("received_minor", sa.BigInteger, nullable=False),
    sa.Column("passed_on_minor", sa.BigInteger, nullable=False),
    sa.Column("first_at", moment, nullable=False),
    sa.Column("seen_at", moment, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("mule", sa.Boolean),
    sa.Column("known_at", moment),
)

lines: Final = sa.Table(
    "practice_lines",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("after", sa.BigInteger, nullable=False),
    sa.Column("notice", sa.BigInteger, nullable=False),
    sa.Column("fetched_at", moment),
    sa.Column("error", sa.Text),
)

_BUNDLE: Final = msgspec.json.Decoder(Bundle)
_VOICE: Final = msgspec.json.Decoder(Voice)
_KEY: Final = ("package_id", "institution", "account", "currency")


class PracticeLine(msgspec.Struct, frozen=True, kw_only=True):
    """How far a partner was asked for what is new, in which life of it, and what failed last."""

    partner: str
    epoch: int = 0
    after: int = 0
    notice: int = 0
    fetched_at: datetime | None = None
    error: str | None = None


# Packages.


def bundle_of(connection: Connection, package_id: str) -> bytes | None:
    """The signed bytes."""
    query = sa.select(packages.c.bundle).where(packages.c.id == package_id)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else found.encode("utf-8")


def add(connection: Connection, one: Package, *, data: bytes) -> Package:
    """Keep a new one; it with its place among changes."""
    values = {**_values(one), "id": one.id, "bundle": data.decode("utf-8")}
    values["kind"] = one.bundle.kind.value
    change = connection.execute(
        sa.insert(packages).values(**values).returning(packages.c.change)
    ).scalar_one()
    return msgspec.structs.replace(one, change=change)


def save(connection: Connection, one: Package) -> Package:
    """Its new state, at a new place among changes."""
    change = connection.execute(
        sa.update(packages)
        .where(packages.c.id == one.id)
        .values(**_values(one), change=sa.text(f"nextval('{CHANGES}')"))
        .returning(packages.c.change)
    ).scalar_one()
    return msgspec.structs.replace(one, change=change)


def _values(one: Package) -> dict[str, Any]:
    voice = None if one.voice is None else msgspec.json.encode(one.voice).decode("utf-8")
    return {
        "partner": one.partner,
        "digest": one.digest,
        "signature": one.signature,
        "marking": one.marking.value,
        "standing": one.standing.value,
        "since": one.since,
        "shared": one.shared,
        "voice": voice,
        "full": one.full,
        "reason": one.reason,
        "changed_at": one.changed_at,
    }


def _package(row: sa.Row[Any]) -> Package:
    return Package(
        bundle=_BUNDLE.decode(row.bundle),
        marking=Marking(row.marking),
        standing=Standing(row.standing),
        since=row.since,
        signature=row.signature,
        digest=row.digest,
        partner=row.partner,
        shared=row.shared,
        voice=None if row.voice is None else _VOICE.decode(row.voice),
        full=row.full,
        reason=row.reason,
        changed_at=row.changed_at,
        change=row.change,
    )


def by_ids(connection: Connection, ids: Sequence[str], *, lock: bool = False) -> list[Package]:
    """Those of these packages there are."""
    query = sa.select(packages).where(packages.c.id.in_(list(ids)))
    query = query.with_for_update() if lock else query
    return [_package(row) for row in connection.execute(query)]


def page(
    connection: Connection, asked: Asked, *, kind: PackageKind | None, standing: Standing | None
) -> list[Package]:
    """The last changed first: a page, and one more where there are more."""
    query = sa.select(packages)
    if kind is not None:
        query = query.where(packages.c.kind == kind.value)
    if standing is not None:
        query = query.where(packages.c.standing == standing.value)
    query = pages.last(query, number=packages.c.change, asked=asked)
    return [_package(row) for row in connection.execute(query)]


def rules_in_shadow(connection: Connection) -> list[Package]:
    """Legal rules as they were sent, the last changed first, at most LISTED_MAX."""
    query = (
        sa.select(packages)
        .where(
            packages.c.kind == PackageKind.RULES.value,
            packages.c.standing == Standing.SHADOW.value,
        )
        .order_by(packages.c.change.desc())
        .limit(LISTED_MAX)
    )
    return [_package(row) for row in connection.execute(query)]


def tried(connection: Connection, standings: Collection[Standing]) -> list[Package]:
    """Typologies of these standings, the oldest change first, at most LISTED_MAX."""
    query = (
        sa.select(packages)
        .where(
            packages.c.kind == PackageKind.TYPOLOGY.value,
            packages.c.standing.in_([one.value for one in standings]),
        )
        .order_by(packages.c.change)
        .limit(LISTED_MAX)
    )
    return [_package(row) for row in connection.execute(query)]


def own_after(connection: Connection, *, after: int, limit: int) -> list[Package]:
    """Our own that were ever shared, in the order of changes."""
    query = (
        sa.select(packages)
        .where(packages.c.partner.is_(None), packages.c.shared, packages.c.change > after)
        .order_by(packages.c.change)
        .limit(limit)
    )
    return [_package(row) for row in connection.execute(query)]


# What came of trying them.


def figures_of(connection: Connection, ids: Sequence[str]) -> dict[str, Figures]:
    """Figures by package; one that was not tried is left out."""
    seen = observations.c
    query = (
        sa.select(
            seen.package_id,
            sa.func.count().label("looked"),
            sa.func.count().filter(seen.named).label("named"),
            sa.func.count().filter(seen.named, seen.mule).label("right"),
            sa.func.count().filter(seen.named, sa.not_(seen.mule)).label("wrong"),
            sa.func.count().filter(sa.not_(seen.named), seen.mule).label("missed"),
        )
        .where(seen.package_id.in_(list(ids)))
        .group_by(seen.package_id)
    )
    return {
        row.package_id: Figures(
            looked=row.looked, named=row.named, right=row.right, wrong=row.wrong, missed=row.missed
        )
        for row in connection.execute(query)
    }


def observe(connection: Connection, found: Sequence[Observation]) -> None:
    """Keep what was seen: an account once named stays named, as it was named first."""
    if not found:
        return
    statement = insert(observations)
    fresh = statement.excluded
    changed = {
        name: sa.case((observations.c.named, observations.c[name]), else_=fresh[name])
        for name in ("case_id", "named", "payers", "received_minor", "passed_on_minor")
    }
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(_KEY), set_={**changed, "seen_at": fresh.seen_at}
        ),
        [msgspec.structs.asdict(one) for one in found],
    )


def untold(connection: Connection, package_id: str, *, limit: int) -> list[Observation]:
    """Accounts it names that no indicator was proposed for, and of which nothing is known."""
    seen = observations.c
    query = (
        sa.select(observations)
        .where(seen.package_id == package_id, seen.named, sa.not_(seen.told), seen.mule.is_(None))
        .order_by(seen.first_at, seen.institution, seen.account)
        .limit(limit)
    )
    return [_observation(row) for row in connection.execute(query)]


def set_told(connection: Connection, one: Observation, *, told: bool) -> None:
    """Whether an indicator was proposed."""
    connection.execute(sa.update(observations).where(_is(one)).values(told=told))


def not_live_any_more(connection: Connection) -> list[str]:
    """Packages that proposed something and are live no more, at most LISTED_MAX."""
    told = sa.select(observations.c.package_id).where(observations.c.told).distinct()
    query = (
        sa.select(packages.c.id)
        .where(packages.c.id.in_(told), packages.c.standing != Standing.LIVE.value)
        .order_by(packages.c.id)
        .limit(LISTED_MAX)
    )
    return list(connection.execute(query).scalars())


def forget_told(connection: Connection, package_id: str) -> None:
    """What it proposed was taken back."""
    connection.execute(
        sa.update(observations)
        .where(observations.c.package_id == package_id, observations.c.told)
        .values(told=False)
    )


def known(
    connection: Connection, *, institution: str, account: str, mule: bool | None, at: datetime
) -> None:
    """A person found what the account is; None: that it is open again."""
    connection.execute(
        sa.update(observations)
        .where(observations.c.institution == institution, observations.c.account == account)
        .values(mule=mule, known_at=None if mule is None else at)
    )


def named(connection: Connection, package_id: str) -> list[Observation]:
    """Accounts it named, the newest first, at most LISTED_MAX."""
    seen = observations.c
    query = (
        sa.select(observations)
        .where(seen.package_id == package_id, seen.named)
        .order_by(seen.first_at.desc(), seen.institution, seen.account)
        .limit(LISTED_MAX)
    )
    return [_observation(row) for row in connection.execute(query)]


def forget_before(connection: Connection, moment_at: datetime, *, limit: int) -> int:
    """Delete what was last seen before this time; how many."""
    seen = observations.c
    old = (
        sa.select(*(seen[name] for name in _KEY))
        .where(seen.seen_at < moment_at)
        .order_by(seen.seen_at)
        .limit(limit)
    )
    keys = sa.tuple_(*(seen[name] for name in _KEY))
    return connection.execute(sa.delete(observations).where(keys.in_(old))).rowcount


def _observation(row: sa.Row[Any]) -> Observation:
    return Observation(**{name: getattr(row, name) for name in Observation.__struct_fields__})


def _is(one: Observation) -> sa.ColumnElement[bool]:
    return sa.and_(*(observations.c[name] == getattr(one, name) for name in _KEY))


# How far partners were asked.


def line_of(connection: Connection, partner: str) -> PracticeLine:
    """The partner's, a fresh one if it was never asked."""
    query = sa.select(lines).where(lines.c.partner == partner)
    row = connection.execute(query).first()
    if row is None:
        return PracticeLine(partner=partner)
    return PracticeLine(**{name: getattr(row, name) for name in PracticeLine.__struct_fields__})


def save_line(connection: Connection, one: PracticeLine) -> None:
    """Keep it."""
    values = msgspec.structs.asdict(one)
    connection.execute(
        insert(lines)
        .values(**values)
        .on_conflict_do_update(index_elements=["partner"], set_=values)
    )
