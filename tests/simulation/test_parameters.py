"""The figures of the simulated nation: complete, marked, adding up."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

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
    import math

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
