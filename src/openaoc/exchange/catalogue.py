"""Exchange: which stages publish, and how they are asked for what is new.

A publisher tells what the centre knows, whole; what of it leaves is decided afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from openaoc.exchange.objects import SharedObject
from openaoc.storage.unit_of_work import Transaction

PUBLISHERS_MAX: Final = 20


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Objects that are new or changed, in the publisher's order, and how far one has read.

    `mark` is the publisher's own: passed back it gives what comes after. `more`: there is more now.
    """

    objects: Sequence[SharedObject]
    mark: str
    more: bool


class Publisher(Protocol):
    """One stage's objects."""

    @property
    def name(self) -> str:
        """Unique among publishers."""
        ...

    def changed(self, tx: Transaction, *, after: str, limit: int) -> Changed:
        """At most `limit` objects after the mark, `""` for all there are, none left out ever.

        An object that was changed, revoked or re-marked comes again, after all that were there.
        """
        ...

    def find(self, tx: Transaction, ids: Sequence[str]) -> Sequence[SharedObject]:
        """Those of the objects there are, as they are now."""
        ...


class Catalogue:
    """The publishers of the centre."""

    def __init__(self) -> None:
        self._publishers: dict[str, Publisher] = {}

    def register(self, publisher: Publisher) -> None:
        """Ask this one too from now on."""
        assert publisher.name not in self._publishers, "a publisher's name is its own"
        assert len(self._publishers) < PUBLISHERS_MAX, "more publishers than are asked"
        self._publishers[publisher.name] = publisher

    @property
    def publishers(self) -> tuple[Publisher, ...]:
        """All of them, in the order in which they were registered."""
        return tuple(self._publishers.values())

    def find(self, tx: Transaction, ids: Sequence[str]) -> dict[str, SharedObject]:
        """The objects of these ids, whoever publishes them."""
        found: dict[str, SharedObject] = {}
        for publisher in self.publishers:
            found.update((one.id, one) for one in publisher.find(tx, ids))
        return found
