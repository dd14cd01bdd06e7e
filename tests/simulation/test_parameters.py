"""The figures of the simulated nation: complete, marked, adding up."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from openaoc.kernel.errors import BadInput
from openaoc.simulation.losses import age_factors, clipped_mean, log_median
from openaoc.simulation.parameters import load_parameters


def shipped() -> str:
    return resources.files("openaoc.simulation").joinpath("parameters.toml").read_text("utf-8")


def test_the_mean_loss_over_all_types_is_the_published_one() -> None:
    parameters = load_parameters()
    mean = sum(kind.share.value * kind.mean_minor.value for kind in parameters.types)
    assert 8_000_000 < mean < 9_000_000


PUBLISHED = {
    "cases.a_day": 874.0,
    "cases.older_share": 0.22,
    "cases.older_loss_share": 0.49,
    "cases.false_report_share": 0.01,
    "loss_cap_minor": 490_000_000,
    "notice.shares": [0.20, 0.60, 0.20],
    "notice.medians_s": [20 * 60.0, 8 * 3_600.0, 3 * 86_400.0],
    "layers.dwell_first_half_life_s": 180.0,
    "layers.dwell_later_half_life_s": [120.0, 600.0],
    "layers.counts": [3, 4, 5, 6, 7],
    "layers.fan_out": [1, 2, 3, 4],
    "layers.honest_hop_share": 0.10,
    "exits.crypto_share": 0.45,
    "exits.atm_share": 0.20,
    "exits.counter_share": 0.15,
    "exits.goods_share": 0.12,
    "exits.abroad_share": 0.08,
    "mules.payments_until_burnt": 6,
    "mules.accounts_per_person": 13,
    "mules.recently_opened_share": 0.30,
    "answers.out_of_reach_share": 0.05,
    "people.decision_s": 4 * 3_600.0,
    "telephone.first_hop_s": [9 * 60.0, 15 * 60.0],
    "telephone.later_hop_s": [30 * 60.0, 120 * 60.0],
    "telephone.out_of_reach_share": 0.05,
}
TYPES = {
    "purchase": (0.57, 16_000, 1.1),
    "reward": (0.11, 120_000, 2.0),
    "job": (0.11, 126_000, 5.0),
    "investment": (0.06, 534_000, 8.0),
    "loan": (0.05, 49_000, 3.0),
    "threat": (0.04, 216_000, 3.0),
    "friend": (0.03, 40_000, 1.3),
    "rest": (0.03, 100_000, 1.3),
}
"""Share of the cases, mean loss in baht, payments a case."""


def test_what_calibrates_the_nation_stands_as_it_was_published() -> None:
    """No figure is moved to reach a result; the one residual has its published range."""
    parameters = load_parameters()
    for name, wanted in PUBLISHED.items():
        found: Any = parameters
        for part in name.split("."):
            found = getattr(found, part)
        assert found.value == wanted, name
    assert {
        kind.name: (kind.share.value, kind.mean_minor.value // 100, kind.payments.value)
        for kind in parameters.types
    } == TYPES
    layers, notice = parameters.layers, parameters.notice
    assert 0.10 <= layers.at_rest_share.value <= 0.20
    assert (layers.at_rest_share.mark, layers.at_rest_least_s.value) == ("assumed", 86_400.0)
    ways = zip(layers.fan_out.value, layers.fan_out_shares.value, strict=True)
    assert sum(count * share for count, share in ways) == pytest.approx(2.0)
    deep = dict(zip(layers.counts.value, layers.count_shares.value, strict=True))
    assert max(deep, key=lambda count: deep[count]) == 5
    spread = math.exp(notice.sigma_log.value**2 / 2)
    groups = zip(notice.shares.value, notice.medians_s.value, strict=True)
    assert 18 <= sum(share * median for share, median in groups) * spread / 3_600 <= 25


def test_every_type_has_a_lognormal_with_its_own_mean() -> None:
    parameters = load_parameters()
    older, younger = age_factors(parameters.cases)
    share = parameters.cases.older_share.value
    assert older * share + younger * (1 - share) == pytest.approx(1)
    for kind in parameters.types:
        mu = log_median(parameters, kind)
        clip = {
            "sigma": parameters.sigma_log.value,
            "floor": float(parameters.loss_floor_minor.value),
            "cap": float(parameters.loss_cap_minor.value),
        }
        clipped = share * _mean(mu, older, clip) + (1 - share) * _mean(mu, younger, clip)
        assert clipped == pytest.approx(kind.mean_minor.value, rel=1e-6)


def _mean(mu: float, factor: float, clip: dict[str, float]) -> float:
    return clipped_mean(mu + math.log(factor), **clip)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("crypto_share = { value = 0.45", "crypto_share = { value = 0.46", "exits do not add up"),
        ('share = { value = 0.57, mark = "known"', 'share = { value = 0.57, mark = "sure"', "sure"),
        ("[notice]", "[notices]", "notice"),
        ("gangs = {", "gang = {", "gang"),
        ("[cases]", "[cases", "Expected"),
    ],
)
def test_wrong_parameters_are_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = shipped()
    assert old in text
    path = tmp_path / "p.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(BadInput, match=reason):
        load_parameters(path)
