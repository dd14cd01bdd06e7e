"""Practice: a typology: a pattern of payments as data, and whether an account shows it. Pure.

Bounded numbers and no code. What shows it is a reason to look, never a reason to hold.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.tracing.flows import Flows, Inflow, Outflow

MINUTE_US: Final = 60_000_000
DAY_US: Final = 86_400_000_000
HUNDRED: Final = 100
PAYERS_MAX: Final = 1_000
WINDOW_MINUTES_MAX: Final = 31 * 24 * 60
WITHIN_MINUTES_MAX: Final = 7 * 24 * 60
HISTORY_DAYS_MAX: Final = 3_660


class Typology(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several payers within a while, and soon most of what they paid is gone.

    At least `payers_min` different payers within `window_minutes`, and of what they paid at least
    `passed_on_percent_min` left within `within_minutes` of the last of them.
    `exits_only`: only what left as cash, to a wallet or abroad counts as passed on.
    `history_days_max`: the account's earliest known payment lay at most so long before the
    pattern began; a shop that has been there for years does not show it. None: any account.
    """

    payers_min: Annotated[int, Meta(ge=1, le=PAYERS_MAX)]
    window_minutes: Annotated[int, Meta(ge=1, le=WINDOW_MINUTES_MAX)]
    passed_on_percent_min: Annotated[int, Meta(ge=1, le=HUNDRED)]
    within_minutes: Annotated[int, Meta(ge=1, le=WITHIN_MINUTES_MAX)]
    exits_only: bool = False
    history_days_max: Annotated[int, Meta(ge=1, le=HISTORY_DAYS_MAX)] | None = None

    def words(self) -> str:
        """The condition as one sentence."""
        out = "left as cash, to a wallet or abroad" if self.exits_only else "was passed on"
        text = (
            f"received from {self.payers_min} or more payers within {self.window_minutes} minutes,"
            f" and {self.passed_on_percent_min} % or more of it {out} within"
            f" {self.within_minutes} minutes"
        )
        if self.history_days_max is not None:
            text += f", on an account first seen at most {self.history_days_max} days before"
        return text


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Where an account shows the pattern: the earliest place; amounts in minor units."""

    payers: int
    received_minor: int
    passed_on_minor: int
    from_us: int
    until_us: int


def shows(typology: Typology, flows: Flows) -> Shown | None:
    """The earliest place at which the account shows the pattern, None where it does not.

    A place begins at one receipt and ends with the last one within the window. What left between
    its first receipt and `within_minutes` after its last counts, at most what came.
    """
    first_us = _first_seen(flows)
    outs = [one for one in flows.outflows if one.exit or not typology.exits_only]
    reach = [0]
    for one in outs:
        reach.append(reach[-1] + one.amount_minor)
    window = _Window(flows.inflows, width_us=typology.window_minutes * MINUTE_US)
    left = _Places(outs)
    for start in range(len(flows.inflows)):
        began_us = flows.inflows[start].at_us
        window.begin(start)
        old = typology.history_days_max is not None and (
            began_us - first_us > typology.history_days_max * DAY_US
        )
        if old or window.payers < typology.payers_min:
            continue
        until_us = window.last_us + typology.within_minutes * MINUTE_US
        gone = reach[left.after(until_us)] - reach[left.before(began_us)]
        passed_on = min(gone, window.received_minor)
        if passed_on * HUNDRED >= window.received_minor * typology.passed_on_percent_min:
            return Shown(
                payers=window.payers,
                received_minor=window.received_minor,
                passed_on_minor=passed_on,
                from_us=began_us,
                until_us=until_us,
            )
    return None


def _first_seen(flows: Flows) -> int:
    times = [one.at_us for one in flows.inflows[:1]] + [one.at_us for one in flows.outflows[:1]]
    return min(times, default=0)


class _Window:
    """Receipts within a width from one on; the start only moves forward."""

    def __init__(self, inflows: tuple[Inflow, ...], *, width_us: int) -> None:
        self._inflows = inflows
        self._width_us = width_us
        self._start = 0
        self._end = 0
        self._payers: Counter[int] = Counter()
        self.received_minor = 0

    def begin(self, start: int) -> None:
        """The window from this receipt on."""
        while self._start < start:
            gone = self._inflows[self._start]
            self._start += 1
            self._payers[gone.payer] -= 1
            if not self._payers[gone.payer]:
                del self._payers[gone.payer]
            self.received_minor -= gone.amount_minor
        limit_us = self._inflows[start].at_us + self._width_us
        while self._end < len(self._inflows) and self._inflows[self._end].at_us <= limit_us:
            came = self._inflows[self._end]
            self._end += 1
            self._payers[came.payer] += 1
            self.received_minor += came.amount_minor

    @property
    def payers(self) -> int:
        """How many different ones."""
        return len(self._payers)

    @property
    def last_us(self) -> int:
        """When the last of the receipts came."""
        return self._inflows[self._end - 1].at_us


class _Places:
    """Where times stand among payments out, asked in order."""

    def __init__(self, outs: list[Outflow]) -> None:
        self._outs = outs
        self._before = 0
        self._after = 0

    def before(self, at_us: int) -> int:
        """How many lie before this time."""
        while self._before < len(self._outs) and self._outs[self._before].at_us < at_us:
            self._before += 1
        return self._before

    def after(self, at_us: int) -> int:
        """How many lie at or before this time."""
        while self._after < len(self._outs) and self._outs[self._after].at_us <= at_us:
            self._after += 1
        return self._after
