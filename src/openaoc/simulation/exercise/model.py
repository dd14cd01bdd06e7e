"""Simulation, exercises: what was seen of each side, and the result sheet, as plain types.

A layer is the number of hops from the victim: 1 is the account the victim paid, on whichever side
of the border. Amounts are minor units, times seconds.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from openaoc.exchange.crossborder.sums import Amounts
from openaoc.simulation.trial.pair_model import CountryFigures

Origin = tuple[str, int]
"""Whose money it is: the victim's country, and the scam's number there."""


class Way(enum.Enum):
    """Where a movement of stolen money leads."""

    ON = "on"
    """To an account of the same country."""
    CROSSED = "crossed"
    """To an account next door: there it comes as `ON`, in the layer after."""
    GONE = "gone"
    """Cash, coins, goods, or money in a country nobody knows of."""


class When(enum.StrEnum):
    """What stood in the way of money when it was gone."""

    BEFORE_REPORT = "before the report"
    """The victim had not told anybody, or never did."""
    BEFORE_ORDER = "before an order"
    """It was told, but no order of its case had reached the institution."""
    DESPITE_ORDER = "in spite of an order"
    """An order was there: too late, for too little, or not yet carried out."""


class Movement(NamedTuple):
    """Stolen money that moved. `layer`: of the place it left; 0 the victim's own payment.

    `debtor` and `creditor` are accounts of this country, below 0 where there is none.
    """

    origin: Origin
    layer: int
    at_s: float
    amount_minor: int
    debtor: int
    creditor: int
    way: Way
    transfer_id: str


class Ordered(NamedTuple):
    """An order as it stood at the end. `layer` as the centre counts it, from the victim on."""

    origin: Origin | None
    layer: int
    account: int | None
    amount_minor: int
    applied_minor: int
    told_s: float
    sent_s: float | None
    applied_s: float | None


class Asked(NamedTuple):
    """A request across the border; times from the report on. `amounts`: the last answer's."""

    amount_minor: int
    asked_s: float
    answered_s: float | None
    withdrawn: bool
    held_most_minor: int
    amounts: Amounts | None


class SideSeen(NamedTuple):
    """What was seen of one country. `held_minor` by account: stolen money brought under holds.

    `found_minor` by transfer: what the centre's traces carried over it. `told_s`: when each of its
    own scams was told. `taken_out_minor`: taken out after a hold had ended.
    """

    country: str
    figures: CountryFigures
    movements: list[Movement]
    orders: list[Ordered]
    requests: list[Asked]
    found_minor: dict[str, int]
    told_s: dict[int, float]
    held_minor: NDArray[np.int64]
    lies_minor: int
    returned_minor: int
    taken_out_minor: int


class LayerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One layer on one side of the border; layer 0 is what its own victims paid.

    came = moved_on + crossed + gone + stayed; gone is split by what stood in its way. found: of
    what came, what a trace of this side's centre carried. ordered: what orders ask for at the end;
    applied: what institutions blocked for them, whosever it was, each block once; held: stolen
    money alone.
    Times run from the report, wherever it was made.
    """

    side: str
    layer: int
    came_minor: int
    came_across_minor: int
    """Of it, from next door."""
    found_minor: int
    orders: int
    ordered_minor: int
    applied_minor: int
    held_minor: int
    moved_on_minor: int
    crossed_minor: int
    gone_minor: int
    gone_before_report_minor: int
    gone_before_order_minor: int
    gone_despite_order_minor: int
    stayed_minor: int
    sent_p50_s: float | None
    sent_p90_s: float | None
    applied_p50_s: float | None
    applied_p90_s: float | None


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one side asked the other. The amounts are the last answers'; held_most: at one time."""

    asked_by: str
    asked_of: str
    requests: int
    withdrawn: int
    answered: int
    asked_minor: int
    amounts: Amounts
    held_most_minor: int
    asked_p50_s: float | None
    """From the report to the request."""
    answered_p50_s: float | None
    """From the request to the first answer."""
    answered_p90_s: float | None


class SideRow(msgspec.Struct, frozen=True, kw_only=True):
    """One country as a whole. `stayed` of all layers = lies + returned + taken_out.

    lies: on accounts at the end, under a hold or not. taken_out: after a hold had ended.
    """

    side: str
    lies_minor: int
    returned_minor: int
    taken_out_minor: int
    figures: CountryFigures


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Where money got away: on which side, in which layer, and what stood in its way."""

    side: str
    layer: int
    when: When
    amount_minor: int


class ExercisePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is played. `days` of new scams, lived for `lived_days` in all.

    `officer_minutes`: how long each person takes to decide; None: as the figures have it.
    `exchange`: whether the centres work together.
    """

    seed: int = 1
    days: float = 1.0
    lived_days: float = 12.0
    officer_minutes: float | None = None
    exchange: bool = True


class ExerciseSheet(msgspec.Struct, frozen=True, kw_only=True):
    """What came out. Nothing in it is real, and `mark` says so wherever it goes."""

    mark: str
    scenario: str
    says: str
    figures: str
    """Digest of every figure the exercise rests on."""
    plan: ExercisePlan
    currency: str
    sides: list[SideRow]
    layers: list[LayerRow]
    requests: list[RequestRow]
    losses: list[Loss]
    """Where money got away, the most first."""
