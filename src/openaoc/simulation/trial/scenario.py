"""Simulation, trials: what is different in each scenario, as changes of the nation's figures.

A scenario changes what it says and nothing else; both arms of a trial live in the same scenario.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from openaoc.kernel.errors import BadInput
from openaoc.simulation.parameters import Parameters

TOLD_S: Final = 600.0
SURGE: Final = 2.6
"""Reports a day over the ordinary, as in the first six days of Thailand's centre."""
EXIT_DELAY_S: Final = 86_400.0
FALSE_SHARE: Final = 0.10
HONEST_HOPS: Final = 0.30
HALF: Final = 0.5

Change = Callable[[Parameters], Parameters]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario.

    coverage: share of the nation's accounts whose institutions take part (feed and orders).
    load: reports a day over the ordinary. crypto_delay_s: how long every exit to a coin waits.
    rule: the rule by which the centre traces. heeding: share of victims who heed a warning at
    payment about an account of an open case; the centre of this version warns nobody, so that it
    is 0 but where the sensitivity is asked for. resuming: share of gangs that go on with another
    account once theirs is blocked; the others ask nobody for more. feed: whether institutions tell
    the centre their transfers; the arm hop by hop has none in any scenario.
    """

    name: str
    says: str
    change: Change
    coverage: float = 1.0
    load: float = 1.0
    crypto_delay_s: float = 0.0
    heeding: float = 0.0
    resuming: float = 1.0
    rule: str = "fifo"
    feed: bool = True


def figure(parameters: Parameters, group: str, **values: object) -> Parameters:
    """The parameters with these values of one group in place of theirs; marks are kept."""
    before = getattr(parameters, group)
    changed = {
        name: msgspec.structs.replace(getattr(before, name), value=value)
        for name, value in values.items()
    }
    return msgspec.structs.replace(
        parameters, **{group: msgspec.structs.replace(before, **changed)}
    )


def _as_it_is(parameters: Parameters) -> Parameters:
    return parameters


def _nothing_rests(parameters: Parameters) -> Parameters:
    return figure(parameters, "layers", at_rest_share=0.0)


def _told_at_once(parameters: Parameters) -> Parameters:
    return figure(parameters, "notice", shares=[1.0], medians_s=[TOLD_S], sigma_log=0.0)


def _surge(parameters: Parameters) -> Parameters:
    size = parameters.trial
    return figure(
        parameters,
        "trial",
        a_day=size.a_day.value * SURGE,
        days=size.days.value / SURGE,
    )


def _false_reports(parameters: Parameters) -> Parameters:
    return figure(parameters, "cases", false_report_share=FALSE_SHARE)


def _honest_shops(parameters: Parameters) -> Parameters:
    return figure(parameters, "layers", honest_hop_share=HONEST_HOPS)


SCENARIOS: Final = (
    Scenario(name="base", says="The nation as the figures have it.", change=_as_it_is),
    Scenario(
        name="uncalibrated",
        says="Nothing waits in a later layer: every baht runs on until it leaves.",
        change=_nothing_rests,
    ),
    Scenario(
        name="told-in-10-minutes",
        says="Every victim notices ten minutes after the last payment.",
        change=_told_at_once,
    ),
    Scenario(
        name="hop-by-hop",
        says="No institution tells a feed: the centre is the one that asks hop by hop.",
        change=_as_it_is,
        feed=False,
    ),
    Scenario(
        name="half-the-banks",
        says="Institutions with half of the accounts take part: feed and orders.",
        change=_as_it_is,
        coverage=HALF,
    ),
    Scenario(
        name="surge",
        says="2.6 times as many scams a day, for fewer days; staff is the ordinary one.",
        change=_surge,
        load=SURGE,
    ),
    Scenario(
        name="exit-delay",
        says="Exchanges pay out 24 hours later: every exit to a coin waits a day.",
        change=_as_it_is,
        crypto_delay_s=EXIT_DELAY_S,
    ),
    Scenario(
        name="false-reports",
        says="One report in ten is false and aims at an honest shop.",
        change=_false_reports,
    ),
    Scenario(
        name="honest-shops",
        says="Three hops in ten pass an honest shop, three times as many as in base.",
        change=_honest_shops,
    ),
)


def scenario_named(name: str) -> Scenario:
    """The scenario. Raises BadInput with the names there are."""
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    known = ", ".join(scenario.name for scenario in SCENARIOS)
    raise BadInput(f"there is no scenario {name!r}; there are {known}", where="scenario")
