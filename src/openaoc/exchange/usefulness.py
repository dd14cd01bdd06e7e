"""Exchange: how useful each partnership is: what they gave that hit, what of ours hit with them.

Officers see every partner, a partner itself alone; of others it sees sums by kind, and no small
number in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from openaoc.exchange import usefulness_store as store
from openaoc.exchange.agreeing import Agreements
from openaoc.exchange.model import Partner, PartnerKind
from openaoc.exchange.usefulness_store import Asked, Got, Warned
from openaoc.indicators.giving import Gave, given_by_partners
from openaoc.kernel.actor import Actor
from openaoc.kernel.small_cells import CELL_MIN
from openaoc.parties.permissions import Permission, permits, require
from openaoc.storage.unit_of_work import Transaction

PARTNERS_SHOWN_MIN: Final = 3
"""Of fewer partners of a kind a sum is one partner's figure, or nearly."""


class PartnerUsefulness(msgspec.Struct, frozen=True, kw_only=True):
    """One partnership, in whole numbers."""

    partner: str
    kind: PartnerKind
    jurisdiction: str
    gave: Gave
    got: Got
    takedowns: Asked
    advisories: Warned


class KindUsefulness(msgspec.Struct, frozen=True, kw_only=True):
    """All other partners of a kind together; null where the number is too small to be told."""

    kind: PartnerKind
    partners: int
    given: int | None
    hit: int | None
    wrong: int | None
    received: int | None
    sighted: int | None
    takedowns_asked: int | None
    takedowns_done: int | None


class Usefulness(msgspec.Struct, frozen=True, kw_only=True):
    """For officers all partners; for a partner itself, and others by kind."""

    hidden_below: int
    partners: list[PartnerUsefulness]
    others: list[KindUsefulness]


class Measuring:
    """The verb. One instance per centre."""

    def __init__(self, agreements: Agreements) -> None:
        self._agreements = agreements

    def figures(self, tx: Transaction, *, viewer: Actor) -> Usefulness:
        """As the viewer may see it; the transaction is the centre's own, for it counts over all.

        Raises NotPermitted.
        """
        if not permits(viewer, Permission.EXCHANGE_RECEIVE):
            require(viewer, Permission.EXCHANGE_READ)
        rows = self._rows(tx)
        if viewer.partner is None:
            return Usefulness(hidden_below=CELL_MIN, partners=rows, others=[])
        own = [one for one in rows if one.partner == viewer.partner]
        return Usefulness(
            hidden_below=CELL_MIN,
            partners=own,
            others=by_kind([one for one in rows if one.partner != viewer.partner]),
        )

    def _rows(self, tx: Transaction) -> list[PartnerUsefulness]:
        partners: Sequence[Partner] = self._agreements.partners.all_of(tx)
        gave = given_by_partners(tx)
        got = store.got(tx.connection)
        asked = store.asked(tx.connection)
        warned = store.warned(tx.connection)
        return [
            PartnerUsefulness(
                partner=one.code,
                kind=one.kind,
                jurisdiction=one.jurisdiction,
                gave=gave.get(one.code, Gave()),
                got=got.get(one.code, Got()),
                takedowns=asked.get(one.code, Asked()),
                advisories=warned.get(one.code, Warned()),
            )
            for one in partners
        ]


def by_kind(rows: Sequence[PartnerUsefulness]) -> list[KindUsefulness]:
    """Sums over partners of one kind, where there are enough of them. Pure."""
    found = []
    for kind in PartnerKind:
        of = [one for one in rows if one.kind is kind]
        if len(of) < PARTNERS_SHOWN_MIN:
            continue
        found.append(
            KindUsefulness(
                kind=kind,
                partners=len(of),
                given=told(sum(one.gave.given for one in of)),
                hit=told(sum(one.gave.hit for one in of)),
                wrong=told(sum(one.gave.wrong for one in of)),
                received=told(sum(one.got.received for one in of)),
                sighted=told(sum(one.got.sighted for one in of)),
                takedowns_asked=told(sum(one.takedowns.asked for one in of)),
                takedowns_done=told(sum(one.takedowns.done for one in of)),
            )
        )
    return found


def told(count: int) -> int | None:
    """The count, or None where it is small enough to be one matter. Pure."""
    return None if count < CELL_MIN else count
