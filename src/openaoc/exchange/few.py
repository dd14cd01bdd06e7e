"""Exchange: a publisher of few objects: all of them are offered whenever one of them changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.exchange.catalogue import Changed
from openaoc.exchange.objects import SharedObject
from openaoc.storage.canonical import canonical_json
from openaoc.storage.unit_of_work import Transaction

LOOKED_EVERY: Final = timedelta(seconds=10)
"""Partners are offered something many times a second; these change some times a year."""


class FewPublisher:
    """One stage's few objects. One instance per centre."""

    def __init__(self, name: str, every: Callable[[Transaction], Sequence[SharedObject]]) -> None:
        """`every`: all there are, the revoked ones too, in an order that stays."""
        self.name = name
        self._every = every
        self._looked: tuple[datetime, str] | None = None
        """When all were read last, and the mark of who has read all of them."""

    def changed(self, tx: Transaction, *, after: str, limit: int) -> Changed:
        """From the beginning when anything is another than the mark knows."""
        if self._looked is not None:
            at, mark = self._looked
            if after == mark and timedelta(0) <= tx.now - at < LOOKED_EVERY:
                return Changed(objects=[], mark=after, more=False)
        every = self._every(tx)
        digest = _digest(every)
        self._looked = (tx.now, f"{digest}:{len(every)}")
        known, _, place = after.partition(":")
        start = int(place) if known == digest and place.isdecimal() else 0
        part = every[start : start + limit]
        end = start + len(part)
        return Changed(objects=part, mark=f"{digest}:{end}", more=end < len(every))

    def find(self, tx: Transaction, ids: Sequence[str]) -> Sequence[SharedObject]:
        """Those of the ids that are among them."""
        wanted = set(ids)
        return [one for one in self._every(tx) if one.id in wanted]


def _digest(every: Sequence[SharedObject]) -> str:
    """Of what they say; when they were looked at says nothing."""
    said = [msgspec.structs.replace(one, modified=one.created) for one in every]
    return hashlib.sha256(canonical_json(said)).hexdigest()
