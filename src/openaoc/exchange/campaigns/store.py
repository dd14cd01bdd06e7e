"""Campaigns and what belongs to them, in PostgreSQL. SQL only; private to the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.exchange.campaigns.model import Belonging, Campaign
from openaoc.kernel.paging import Asked
from openaoc.storage import pages
from openaoc.storage.tables import metadata, moment

campaigns: Final = sa.Table(
    "campaigns",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("changed_at", moment, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
belongings: Final = sa.Table(
    "campaign_indicators",
    metadata,
    sa.Column("campaign", sa.Text, primary_key=True),
    sa.Column("indicator", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("attached", sa.Boolean, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", moment, nullable=False),
)
_CAMPAIGN: Final = msgspec.json.Decoder(Campaign)


def put(connection: Connection, one: Campaign) -> None:
    """A campaign, as it is now."""
    values = {"changed_at": one.changed_at, "body": msgspec.json.encode(one).decode("utf-8")}
    connection.execute(
        insert(campaigns)
        .values(id=one.id, **values)
        .on_conflict_do_update(index_elements=["id"], set_=values)
    )


def find(connection: Connection, campaign_id: str, *, lock: bool = False) -> Campaign | None:
    """The one with this id."""
    query = sa.select(campaigns.c.body).where(campaigns.c.id == campaign_id)
    body = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    return None if body is None else _CAMPAIGN.decode(body)


def by_ids(connection: Connection, ids: Sequence[str]) -> list[Campaign]:
    """Those with these ids, by id."""
    query = sa.select(campaigns.c.body).where(campaigns.c.id.in_(list(ids)))
    found = connection.execute(query.order_by(campaigns.c.id))
    return [_CAMPAIGN.decode(row.body) for row in found]


def newest(connection: Connection, asked: Asked) -> list[Campaign]:
    """The last changed first: a page, and one more where there are more."""
    column = campaigns.c
    query = pages.newest(sa.select(column.body), at=column.changed_at, name=column.id, asked=asked)
    return [_CAMPAIGN.decode(row.body) for row in connection.execute(query)]


# What belongs to them.


def belong(connection: Connection, rows: Sequence[Belonging]) -> None:
    """These indicators belong to their campaigns, or do not any more."""
    for one in rows:
        values = {"attached": one.attached, "by": one.by, "at": one.at}
        connection.execute(
            insert(belongings)
            .values(campaign=one.campaign, indicator=one.indicator, id=one.id, **values)
            .on_conflict_do_update(index_elements=["campaign", "indicator"], set_=values)
        )


def of_campaigns(connection: Connection, ids: Sequence[str]) -> list[Belonging]:
    """Everything that belongs or belonged to these campaigns, in the order it was attached."""
    return _read(connection, belongings.c.campaign.in_(list(ids)))


def of_indicators(connection: Connection, ids: Sequence[str]) -> list[Belonging]:
    """Everything these indicators belong or belonged to."""
    return _read(connection, belongings.c.indicator.in_(list(ids)))


def of_links(connection: Connection, ids: Sequence[str]) -> list[Belonging]:
    """Those that partners see under these ids."""
    return _read(connection, belongings.c.id.in_(list(ids)))


def _read(connection: Connection, which: sa.ColumnElement[bool]) -> list[Belonging]:
    order = (belongings.c.at, belongings.c.campaign, belongings.c.indicator)
    query: sa.Select[Any] = sa.select(belongings).where(which).order_by(*order)
    return [
        Belonging(
            id=row.id,
            campaign=row.campaign,
            indicator=row.indicator,
            attached=row.attached,
            by=row.by,
            at=row.at,
        )
        for row in connection.execute(query)
    ]
