"""Scenarios: each changes what it says, for both arms, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from openaoc.kernel.errors import BadInput
from openaoc.simulation.background import CRYPTO
from openaoc.simulation.parameters import load_parameters
from openaoc.simulation.trial.joining import members
from openaoc.simulation.trial.life import Life, nation_of
from openaoc.simulation.trial.persons import waiting_s
from openaoc.simulation.trial.run import digest_of
from openaoc.simulation.trial.scenario import SCENARIOS, SURGE, scenario_named
from openaoc.simulation.trial.sensitivity import SENSITIVITY
from tests.simulation.trials import SEED, small

PARAMETERS = load_parameters()
BASE = scenario_named("base")
CHANGED = {
    "base": set(),
    "uncalibrated": {"layers.at_rest_share"},
    "told-in-10-minutes": {"notice.shares", "notice.medians_s", "notice.sigma_log"},
    "hop-by-hop": {"feed"},
    "half-the-banks": {"coverage"},
    "surge": {"cases.a_day", "trial.a_day", "trial.days", "load"},
    "exit-delay": {"crypto_delay_s"},
    "false-reports": {"cases.false_report_share"},
    "honest-shops": {"layers.honest_hop_share"},
}


def figures_of(scenario: str) -> dict[str, Any]:
    """Every figure of the scenario's nation by its dotted name."""
    wanted = scenario_named(scenario)
    found: dict[str, Any] = {
        name: getattr(wanted, name)
        for name in ("coverage", "load", "crypto_delay_s", "heeding", "resuming", "rule", "feed")
    }
    nation = nation_of(PARAMETERS, wanted)
    for name in nation.__struct_fields__:
        group = getattr(nation, name)
        if isinstance(group, msgspec.Struct):
            for part in group.__struct_fields__:
                found[f"{name}.{part}"] = getattr(group, part)
        else:
            found[name] = group
    return found


@pytest.mark.parametrize("name", CHANGED)
def test_a_scenario_changes_what_it_says_and_nothing_else(name: str) -> None:
    before, after = figures_of("base"), figures_of(name)
    assert {part for part in after if after[part] != before[part]} == CHANGED[name]


def test_every_scenario_is_tested_and_has_figures_of_its_own() -> None:
    assert {scenario.name for scenario in SCENARIOS} == set(CHANGED)
    every = (*SCENARIOS, *SENSITIVITY)
    assert len({scenario.name for scenario in every}) == len(every)
    digests = [digest_of(PARAMETERS, scenario) for scenario in every]
    assert len(set(digests)) == len(digests)
    with pytest.raises(BadInput, match="told-in-10-minutes"):
        scenario_named("told-in-5-minutes")


def test_coins_leave_later_and_nothing_else_does() -> None:
    life = Life(small(), BASE, seed=SEED)
    delayed = Life(small(), scenario_named("exit-delay"), seed=SEED)
    seen = 0
    for number in range(life.scams.count):
        scam = life.scams.scam(number)
        assert delayed.scams.scam(number) == scam
        for place in range(len(scam.payments)):
            pairs = zip(
                life.scams.steps(scam, place), delayed.scams.steps(scam, place), strict=True
            )
            for before, after in pairs:
                coin = before.gone and before.channel == CRYPTO
                assert after.wait_s - before.wait_s == pytest.approx(86_400.0 if coin else 0.0)
                seen += coin
    assert seen


def test_a_surge_is_the_same_number_of_scams_in_less_time() -> None:
    life, surge = (Life(small(), scenario_named(n), seed=SEED) for n in ("base", "surge"))
    assert abs(surge.scams.count - life.scams.count) <= 1
    last = surge.scams.count - 1
    assert surge.scams.starts_at(last) <= small().trial.days.value * 86_400 / SURGE
    assert surge.scams.starts_at(last + 1) == float("inf")
    assert waiting_s(BASE, 1.5, 3_600.0) == 0
    assert waiting_s(scenario_named("surge"), 1.5, 3_600.0) == pytest.approx(2_640.0)


def test_half_the_banks_have_about_half_of_the_accounts() -> None:
    life = Life(small(), BASE, seed=SEED)
    everybody = members(life, coverage=1.0)
    assert set(everybody) == set(life.population.codes)
    half = members(life, coverage=0.5)
    share = {one.code: one.share for one in life.parameters.institutions}
    assert 0.5 <= sum(share[code] for code in half) < 0.65
    assert "ATM1" in half, "one without accounts always takes part"


def test_some_false_claims_are_believed_by_a_bank() -> None:
    life = Life(small(), scenario_named("false-reports"), seed=SEED)
    claims = [scam for scam in map(life.scams.scam, range(2_000)) if scam.false]
    assert len(claims) / 2_000 == pytest.approx(0.10, abs=0.02)
    believed = sum(scam.by_bank for scam in claims) / len(claims)
    wanted = life.parameters.people.false_by_bank_share.value
    assert believed == pytest.approx(wanted, abs=0.08)
