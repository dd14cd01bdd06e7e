"""One page of a query, by time or number, the last first: where it begins, its order, its size.

A row that comes meanwhile moves no page: a page begins after a row, not after a count.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from openaoc.kernel.paging import Asked, Place


def newest(
    query: sa.Select[Any],
    *,
    at: sa.ColumnElement[Any],
    name: sa.ColumnElement[str],
    asked: Asked,
) -> sa.Select[Any]:
    """The rows of the page, and one more where there are more. `name`: unique within a moment.

    Raises BadInput for a limit or a cursor that is not of this list.
    """
    return older(query, at=at, name=name, place=asked.place).limit(asked.size + 1)


def last(query: sa.Select[Any], *, number: sa.ColumnElement[int], asked: Asked) -> sa.Select[Any]:
    """As `newest`, by a number that each row has for itself."""
    before = asked.number
    if before is not None:
        query = query.where(number < before)
    return query.order_by(number.desc()).limit(asked.size + 1)


def older(
    query: sa.Select[Any],
    *,
    at: sa.ColumnElement[Any],
    name: sa.ColumnElement[str],
    place: Place | None,
) -> sa.Select[Any]:
    """All rows after the place, the newest first."""
    if place is not None:
        query = query.where(sa.tuple_(at, name) < sa.tuple_(*place))
    return query.order_by(at.desc(), name.desc())
