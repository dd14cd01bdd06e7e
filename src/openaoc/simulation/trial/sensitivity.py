"""Simulation, trials: what happens when one assumption is another: a list of scenarios.

Each changes one figure of `base`, for every arm that has it.
"""

from __future__ import annotations

from typing import Final

from openaoc.simulation.parameters import Parameters
from openaoc.simulation.trial.scenario import Change, Scenario, figure

CLERK_S: Final = 1_800.0
"""A person at the institution looks up where the money went."""
PUBLISHED_HOPS: Final = 1
"""With so many hops the telephone arm freezes as few accounts a case as were published (1 to 2)."""


def _at_rest(share: float) -> Change:
    return lambda parameters: figure(parameters, "layers", at_rest_share=share)


def _noticed(factor: float) -> Change:
    def change(parameters: Parameters) -> Parameters:
        medians = [median * factor for median in parameters.notice.medians_s.value]
        return figure(parameters, "notice", medians_s=medians)

    return change


def _mule_life(payments: int) -> Change:
    return lambda parameters: figure(parameters, "mules", payments_until_burnt=payments)


def _as_it_is(parameters: Parameters) -> Parameters:
    return parameters


def _one_hop(parameters: Parameters) -> Parameters:
    return figure(parameters, "telephone", hops_max=PUBLISHED_HOPS)


def _courts(share: float) -> Change:
    return lambda parameters: figure(parameters, "people", authority_share=share)


def _clerks(parameters: Parameters) -> Parameters:
    return figure(parameters, "machines", onward_mean_s=CLERK_S)


SENSITIVITY: Final = (
    Scenario(
        name="notice-quarter", says="victims notice four times as soon", change=_noticed(0.25)
    ),
    Scenario(name="notice-double", says="victims notice twice as late", change=_noticed(2.0)),
    Scenario(name="rest-0.10", says="at rest 0.10", change=_at_rest(0.10)),
    Scenario(name="rest-0.20", says="at rest 0.20", change=_at_rest(0.20)),
    Scenario(name="mule-life-2", says="a mule serves 2 payments, not 6", change=_mule_life(2)),
    Scenario(
        name="coverage-0.75", says="three quarters of accounts", change=_as_it_is, coverage=0.75
    ),
    Scenario(
        name="heeding-0.31",
        says="if 31 % heeded a warning there is not",
        change=_as_it_is,
        heeding=0.31,
    ),
    Scenario(
        name="heeding-0.60",
        says="if 60 % heeded a warning there is not",
        change=_as_it_is,
        heeding=0.60,
    ),
    Scenario(
        name="resuming-0.35",
        says="35 % of gangs, not all, go on once theirs is blocked",
        change=_as_it_is,
        resuming=0.35,
    ),
    Scenario(
        name="exit-delay-6h",
        says="coins leave 6 hours later",
        change=_as_it_is,
        crypto_delay_s=21_600.0,
    ),
    Scenario(name="rule-lifo", says="traced last in, first out", change=_as_it_is, rule="lifo"),
    Scenario(name="rule-pro-rata", says="traced pro rata", change=_as_it_is, rule="pro-rata"),
    Scenario(name="courts-all", says="courts take every hold over", change=_courts(1.0)),
    Scenario(name="hop-clerks", says="onward looked up in 30 minutes", change=_clerks),
    Scenario(name="telephone-1-hop", says="banks freeze the first account alone", change=_one_hop),
)
