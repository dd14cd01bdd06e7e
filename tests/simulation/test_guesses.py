"""What ranks and guesses is measured against the truth, and a worse guess measures worse."""

from __future__ import annotations

import pytest

from openaoc.holds.merchant import Trade, Verdict
from openaoc.simulation.parameters import load_parameters
from openaoc.simulation.population import Kind
from openaoc.simulation.trial import guesses
from openaoc.simulation.trial.guesses import GuessFigures, measure_guesses
from openaoc.simulation.trial.scenario import figure, scenario_named
from tests.simulation.trials import small

TOLD = scenario_named("told-in-10-minutes")


def measured() -> GuessFigures:
    nation = figure(load_parameters(), "layers", honest_hop_share=0.3)
    return measure_guesses(small(nation), TOLD, seeds=(1, 2))


def test_every_account_a_report_leads_to_is_judged_and_counted() -> None:
    found = measured()
    assert measured() == found, "the same each time"
    assert found.reports > 0
    assert [one.holder for one in found.holders] == [kind.name.lower() for kind in Kind]
    accounts = sum(one.accounts for one in found.holders)
    assert accounts == sum(one.places for one in found.ranking) > found.reports
    for one in found.holders:
        assert one.likely_innocent + one.likely_mule <= one.accounts
    said = [one.said for one in found.ranking if one.said is not None]
    assert said == sorted(said)
    assert found.brier is not None
    assert 0 < found.brier < 1


def test_a_worse_guess_measures_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    before = measured()

    def everybody(_: Trade) -> Verdict:
        return Verdict(likely_innocent=True, why=("said blindly",))

    monkeypatch.setattr(guesses, "judge", everybody)
    monkeypatch.setattr(guesses, "chance_to_move", lambda *_, **__: 1.0)
    after = measured()
    mules = next(one for one in after.holders if one.holder == "mule")
    assert mules.likely_innocent == mules.accounts > 0
    assert mules.likely_mule == 0
    assert before.brier is not None
    assert after.brier is not None
    assert after.brier > before.brier


def test_a_ledger_that_began_yesterday_knows_less() -> None:
    nation = small(figure(load_parameters(), "layers", honest_hop_share=0.3))
    usual, short = (
        measure_guesses(nation, TOLD, seeds=(1, 2), past_days=days) for days in (10.0, 0.5)
    )
    assert (usual.past_days, short.past_days) == (10.0, 0.5)
    shops = [next(h for h in one.holders if h.holder == "shop") for one in (usual, short)]
    assert shops[1].likely_innocent < shops[0].likely_innocent <= shops[0].accounts


def test_where_nobody_reports_nothing_is_said() -> None:
    nation = figure(small(), "trial", a_day=1.0, days=0.1)
    found = measure_guesses(nation, TOLD, seeds=(1,))
    assert (found.reports, found.brier) == (0, None)
    assert all(one.said is None for one in found.ranking)
