"""Scams: the mix, the means and the ways come out as the parameters say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.simulation.background import ABROAD, CASH, CRYPTO, NOWHERE, TRANSFER
from openaoc.simulation.parameters import load_parameters
from openaoc.simulation.population import Kind
from openaoc.simulation.scams import Scam, Scams, Step
from tests.simulation.nations import SEED, people

PARAMETERS = load_parameters()
PEOPLE = people()
SCAMS = Scams(PARAMETERS, PEOPLE, seed=SEED)
MANY = 6_000


@pytest.fixture(scope="module")
def many() -> list[Scam]:
    return [scam for scam in map(SCAMS.scam, range(MANY)) if not scam.false]


def arrived(steps: list[Step]) -> list[float]:
    """What share of the payment each step moves."""
    shares: list[float] = []
    for step in steps:
        shares.append(step.share * (shares[step.parent] if step.parent >= 0 else 1.0))
    return shares


def test_the_mix_and_the_mean_losses_are_those_of_the_parameters(many: list[Scam]) -> None:
    mix = Counter(scam.kind for scam in many)
    for number, kind in enumerate(PARAMETERS.types):
        assert mix[number] / len(many) == pytest.approx(kind.share.value, abs=0.02)
    losses = np.array([sum(p.amount_minor for p in scam.payments) for scam in many])
    expected = sum(kind.share.value * kind.mean_minor.value for kind in PARAMETERS.types)
    assert losses.mean() == pytest.approx(expected, rel=0.12)
    assert losses.max() <= PARAMETERS.loss_cap_minor.value
    older = np.array([scam.older for scam in many])
    assert older.mean() == pytest.approx(PARAMETERS.cases.older_share.value, abs=0.03)
    share = losses[older].sum() / losses.sum()
    assert share == pytest.approx(PARAMETERS.cases.older_loss_share.value, abs=0.10)


def test_payments_are_as_many_and_as_spread_as_the_parameters_say(many: list[Scam]) -> None:
    for number, kind in enumerate(PARAMETERS.types):
        counts = [len(scam.payments) for scam in many if scam.kind == number]
        assert np.mean(counts) == pytest.approx(kind.payments.value, rel=0.15)
    sizes = np.log([p.amount_minor for scam in many for p in scam.payments])
    assert sizes.std() == pytest.approx(1.48, abs=0.1)


def test_victims_notice_after_the_published_time(many: list[Scam]) -> None:
    hours = [(scam.notice_s - scam.payments[-1].at_s) / 3_600 for scam in many]
    assert 18 < np.mean(hours) < 29
    assert np.mean(np.array(hours) < 1) == pytest.approx(0.2, abs=0.03)


def test_false_claims_are_rare_and_against_honest_shops() -> None:
    claims = [scam for scam in map(SCAMS.scam, range(MANY)) if scam.false]
    share = PARAMETERS.cases.false_report_share.value
    assert len(claims) / MANY == pytest.approx(share, abs=0.005)
    assert all(PEOPLE.kind[scam.payments[0].payee] == Kind.SHOP for scam in claims)
    assert all(SCAMS.steps(scam, 0) == [] for scam in claims)
    assert not any(scam.by_bank for scam in claims)


def test_as_many_scams_a_day_as_the_parameters_say() -> None:
    days = 10
    count = next(n for n in range(MANY * 2) if SCAMS.starts_at(n) > days * 86_400)
    assert count / days == pytest.approx(PARAMETERS.cases.a_day.value, rel=0.05)
    starts = [SCAMS.starts_at(number) for number in range(3_000)]
    assert starts == sorted(starts)


@given(st.integers(0, 10**7))
@settings(max_examples=60, deadline=None)
def test_a_scam_is_always_the_same_and_loses_no_money_on_the_way(number: int) -> None:
    scam = SCAMS.scam(number)
    assert scam == Scams(PARAMETERS, PEOPLE, seed=SEED).scam(number)
    assert all(payment.amount_minor > 0 for payment in scam.payments)
    for place in range(len(scam.payments)):
        steps = SCAMS.steps(scam, place)
        if scam.false:
            continue
        assert steps == SCAMS.steps(scam, place)
        gone = sum(s for s, step in zip(arrived(steps), steps, strict=True) if step.gone)
        assert gone == pytest.approx(1.0)
        for here, step in enumerate(steps):
            assert step.parent < here
            assert step.wait_s >= 0
            comes_from = scam.payments[place].payee if step.parent < 0 else None
            assert step.debtor == (comes_from or steps[step.parent].creditor)
            assert step.debtor != step.creditor


def test_money_rests_and_leaves_as_the_parameters_say(many: list[Scam]) -> None:
    total, resting = 0.0, 0.0
    ways: Counter[int] = Counter()
    hops = honest = 0
    first_waits: list[float] = []
    for scam in many[:1_500]:
        for place in range(len(scam.payments)):
            steps = SCAMS.steps(scam, place)
            first_waits.append(min(step.wait_s for step in steps if step.parent < 0))
            total += 1
            for share, step in zip(arrived(steps), steps, strict=True):
                if step.wait_s >= PARAMETERS.layers.at_rest_least_s.value:
                    resting += share
                if step.gone:
                    ways[step.channel] += share  # type: ignore[assignment] # shares of money
                elif step.creditor != NOWHERE and step.channel == TRANSFER:
                    hops += 1
                    honest += PEOPLE.kind[step.creditor] == Kind.SHOP
    layers, exits = PARAMETERS.layers, PARAMETERS.exits
    assert resting / total == pytest.approx(layers.at_rest_share.value, abs=0.03)
    assert np.median(first_waits) == pytest.approx(layers.dwell_first_half_life_s.value, rel=0.1)
    assert 0.03 < honest / hops < 0.15
    cash = exits.atm_share.value + exits.counter_share.value
    assert ways[CRYPTO] / total == pytest.approx(exits.crypto_share.value, abs=0.04)
    assert ways[CASH] / total == pytest.approx(cash, abs=0.04)
    assert ways[ABROAD] / total == pytest.approx(exits.abroad_share.value, abs=0.03)
    assert ways[TRANSFER] / total == pytest.approx(exits.goods_share.value, abs=0.03)


def test_a_mule_serves_several_victims_and_then_the_next_one_does() -> None:
    gangs = len(PEOPLE.mules)
    payees = [SCAMS.scam(turn * gangs).payments[0].payee for turn in range(12)]
    runs = Counter(payees)
    assert len(runs) > 2
    assert max(runs.values()) > 1
