"""Simulation, trials: what is different in each trial of two countries, as changes of figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from openaoc.simulation.countries import TwoCountries
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.trial.scenario import Change, figure

TWO: Final = "two-countries"
ABROAD: Final = 0.30
TOLD_S: Final = 600.0

ChangePair = Callable[[TwoCountries], TwoCountries]


def _same(parameters: Parameters) -> Parameters:
    return parameters


def _same_pair(pair: TwoCountries) -> TwoCountries:
    return pair


class PairScenario(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario: what is changed in both nations, and in what they have with each other."""

    name: str
    says: str
    change: Change = _same
    change_pair: ChangePair = _same_pair


def _heeding(share: float) -> ChangePair:
    def change(pair: TwoCountries) -> TwoCountries:
        heeds = msgspec.structs.replace(pair.warning.heeds_share, value=share)
        warning = msgspec.structs.replace(pair.warning, heeds_share=heeds)
        return msgspec.structs.replace(pair, warning=warning)

    return change


def _victims(share: float) -> ChangePair:
    def change(pair: TwoCountries) -> TwoCountries:
        victims = msgspec.structs.replace(pair.crossing.victims_share, value=share)
        crossing = msgspec.structs.replace(pair.crossing, victims_share=victims)
        return msgspec.structs.replace(pair, crossing=crossing)

    return change


def _more_abroad(parameters: Parameters) -> Parameters:
    """More leaves by the exit abroad; the others give way in proportion."""
    exits = parameters.exits
    left = (1 - ABROAD) / (1 - exits.abroad_share.value)
    others = {
        name: getattr(exits, name).value * left
        for name in ("crypto_share", "atm_share", "counter_share", "goods_share")
    }
    return figure(parameters, "exits", abroad_share=ABROAD, **others)


def _told_soon(parameters: Parameters) -> Parameters:
    return figure(parameters, "notice", shares=[1.0], medians_s=[TOLD_S], sigma_log=0.0)


PAIR: Final = PairScenario(name=TWO, says="Two nations as the figures have them, side by side.")
PAIR_SENSITIVITY: Final = (
    PairScenario(name="abroad-0.30", says="30 % leave by the exit abroad", change=_more_abroad),
    PairScenario(
        name="victims-0.20", says="one victim in five pays abroad", change_pair=_victims(0.20)
    ),
    PairScenario(name="told-soon", says="victims notice within ten minutes", change=_told_soon),
    PairScenario(name="heeds-0", says="nobody heeds a warning", change_pair=_heeding(0.0)),
    PairScenario(
        name="heeds-0.18", says="18 % heed, as with text messages", change_pair=_heeding(0.18)
    ),
    PairScenario(name="heeds-0.60", says="60 % heed", change_pair=_heeding(0.60)),
)
