"""Workflow: whose a standing block is now, where an earlier payment is filed after a later one.

Of what a hold blocks in excess, other cases keep what is theirs: the block stays, its owner
changes. Used while the matter is held, before anything is planned; the plan gives back the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from openaoc.holds.continuing import Takeover, take_over, taking_over
from openaoc.holds.drafting import Grounds
from openaoc.holds.model import HOLDING, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.holds.service import Holds
from openaoc.storage.unit_of_work import Transaction
from openaoc.tracing.service import CaseLook, LocatedLook, Tracing
from openaoc.workflow.placing import Planned, Surroundings, drafts, plan_one
from openaoc.workflow.registry import Blocked, Registry

TAKEOVERS_MAX: Final = 200
"""In one transaction; what is above it is given back and ordered anew."""
_LEFT: Final = HOLDING | {OrderState.CONVERTED}
"""States in which the order's institution, or another's measure, blocks money of the case."""


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a new owner's order rests on.

    `agreed` is a drafted order that persons have agreed to: a block on its account may go over to
    its case, up to its amount.
    """

    grounds_of: Callable[[str], Grounds]
    around: Callable[[Sequence[CaseLook]], Surroundings]
    agreed: OrderRecord | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A block that found less than it holds."""

    blocked: Blocked
    order: OrderRecord
    excess_minor: int


class Succession:
    """The change of a block's owner. One instance per centre."""

    def __init__(self, *, tracing: Tracing, registry: Registry, holds: Holds) -> None:
        self._tracing = tracing
        self._registry = registry
        self._holds = holds

    def foresee(self, tx: Transaction, looks: Iterable[CaseLook], means: Means) -> list[Takeover]:
        """Which blocks go over; traced from now on as if they had. `carry_out` follows.

        By itself only to an order that would go out by itself, of no more than would.
        """
        found: list[Takeover] = []
        for standing in self._in_excess(tx, looks):
            left = standing.excess_minor
            for heir in self._heirs(standing):
                if not left or len(found) == TAKEOVERS_MAX:
                    break
                one = self._takeover(tx, standing, heir, left, means, taken=found)
                if one is not None:
                    self._registry.foresee(one.foreseen())
                    found.append(one)
                    left -= one.amount_minor
        return found

    def carry_out(self, tx: Transaction, takeovers: Sequence[Takeover]) -> None:
        """Write and tell them, in this order."""
        now: dict[str, OrderRecord] = {}
        for one in takeovers:
            current = now.get(one.old.id, one.old)
            now[one.old.id] = take_over(
                tx,
                self._holds.book,
                msgspec.structs.replace(one, old=current),
                authority=f"trace of {one.fresh.case_id}",
            )
            if one.agreed is not None:
                [kept, *_] = self._holds.lower(
                    tx,
                    [now.get(one.agreed.id, one.agreed)],
                    excess_minor=one.amount_minor,
                    kind="continued",
                )
                now[kept.id] = kept

    def _in_excess(self, tx: Transaction, looks: Iterable[CaseLook]) -> list[Standing]:
        """The blocks in excess of all cases traced together with these, the oldest first."""
        groups = {id(look.group): look.group for look in looks if look.case in self._registry}
        wrong = {
            order: (case, amount)
            for group in groups.values()
            for case, order, amount in group.in_excess
        }
        if not wrong:
            return []
        found = []
        for order in self._holds.orders_of(tx, sorted({case for case, _ in wrong.values()})):
            if order.id not in wrong or order.state not in HOLDING or order.mode != "live":
                continue
            blocked = self._registry.blocked(order.case_id, order.id)
            excess = min(wrong[order.id][1], order.held_minor)
            if blocked is not None and excess:
                found.append(Standing(blocked=blocked, order=order, excess_minor=excess))
        return sorted(found, key=lambda one: (one.blocked, one.order.sequence))

    def _heirs(self, standing: Standing) -> list[str]:
        """The other cases with free money on the account when it was blocked, earliest first."""
        since, account = standing.blocked
        group = self._tracing.look(standing.order.case_id, at=since).group
        heirs = [
            file.key
            for file in group.files
            if file.key != standing.order.case_id
            and file.key in self._registry
            and group.of(file.key).located_minor().get(account)
        ]
        return sorted(heirs, key=self._registry.first_origin)

    def _takeover(
        self,
        tx: Transaction,
        standing: Standing,
        heir: str,
        left_minor: int,
        means: Means,
        *,
        taken: Sequence[Takeover],
    ) -> Takeover | None:
        """What of the block goes over to this case; None for nothing."""
        old, (since, account) = standing.order, standing.blocked
        grounds = means.grounds_of(heir)
        look = self._tracing.look(heir, at=since)
        place = next((one for one in look.located if one.account_index == account), None)
        if place is None:
            return None
        own = [o for o in self._holds.orders_of(tx, [heir]) if o.place == old.place]
        around = means.around([look])
        planned = self._planned(look, place, own, standing, around)
        if planned is None:
            return None
        agreed = self._agreed(own, grounds, means.agreed)
        amount = min(planned.order.amount_minor, left_minor)
        if agreed is not None:
            used = sum(one.amount_minor for one in taken if one.agreed == agreed)
            amount = min(amount, agreed.amount_minor - used)
        if amount <= 0:
            return None
        capped = msgspec.structs.replace(planned.order, amount_minor=amount)
        [fresh] = drafts([msgspec.structs.replace(planned, order=capped)], grounds, around)
        if agreed is not None and means.agreed is not None:
            fresh = msgspec.structs.replace(fresh, approvals=means.agreed.approvals)
        elif fresh.state is not OrderState.ISSUED:
            return None
        if fresh.mode != "live":
            return None
        return Takeover(old=old, fresh=taking_over(fresh, old), since=since, agreed=agreed)

    def _planned(
        self,
        look: CaseLook,
        place: LocatedLook,
        own: Sequence[OrderRecord],
        standing: Standing,
        around: Surroundings,
    ) -> Planned | None:
        """What the case might have ordered when the money was blocked, as far as it still may.

        What its own later holds found of it is held already; what a person gave free stays so.
        """
        held = 0
        for order in own:
            later = self._registry.blocked(order.case_id, order.id)
            if order.state in _LEFT and later is not None and later > standing.blocked:
                held += order.held_minor
        short = sum(order.short_minor for order in own)
        key = standing.order.place
        blocked = around.held_by_all.get(key, 0)
        around.held_by_all[key] = max(blocked - standing.excess_minor, 0)
        planned = plan_one(look, place, active=held, short=short, around=around)
        return planned if isinstance(planned, Planned) else None

    @staticmethod
    def _agreed(
        own: Sequence[OrderRecord], grounds: Grounds, agreed: OrderRecord | None
    ) -> OrderRecord | None:
        """The drafted order that persons agreed to, as it is kept; None where none is needed."""
        if agreed is None or grounds.standing == "automatic":
            return None
        return next((order for order in own if order.id == agreed.id), None)
