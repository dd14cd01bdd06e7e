"""Trials: both arms live one nation, money is conserved, the same seed gives the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from openaoc.simulation.trial.arm import Arm
from openaoc.simulation.trial.centre import CentreArm
from openaoc.simulation.trial.model import ArmFigures, TrialFigures
from openaoc.simulation.trial.stage import stage
from tests.simulation.trials import SEED, telephone, trial_json, with_centre


@pytest.fixture(scope="module")
def lived() -> Iterator[tuple[CentreArm, ArmFigures]]:
    """One arm with a centre, lived to its end."""
    with stage() as made, with_centre(made) as arm:
        figures = arm.run()
        yield arm, figures


def check_money(arm: Arm, figures: ArmFigures) -> None:
    """Nothing comes from nowhere, nothing is lost on the way."""
    life = arm.life
    books, truth = life.books, life.truth
    assert truth.stolen_minor == int(truth.scam.sum()) + truth.gone_minor
    assert (truth.scam >= 0).all()
    assert (truth.scam <= books.balance).all()
    assert (books.blocked >= 0).all()
    assert (books.blocked <= books.balance).all()
    there = int(books.balance.sum()) + books.left_minor
    assert there == int(life.population.opening_minor.sum())
    paid = figures.stolen_minor + figures.averted_minor + figures.unpaid_minor
    assert figures.attempted_minor == paid == life.attempted_minor()
    causes = sum(arm.tally.by_cause.values())
    assert causes == figures.standing_minor <= figures.stolen_minor
    assert figures.standing_minor <= figures.held_minor
    assert figures.blocked_minor == figures.held_minor + sum(c.blocked_minor for c in figures.clean)


def test_the_centre_holds_stolen_money_and_money_is_conserved(
    lived: tuple[CentreArm, ArmFigures],
) -> None:
    arm, figures = lived
    check_money(arm, figures)
    assert 2 <= figures.reports <= arm.life.scams.count
    assert figures.held_minor > 0
    assert figures.orders > figures.reports
    assert arm.refused == []
    at_once = [times for times in figures.times if times.wave == "at once"]
    assert at_once
    assert all(t.sent_p50_s is not None and t.sent_p50_s >= 2 for t in at_once)


def test_the_telephone_freezes_whole_accounts_and_money_is_conserved(
    lived: tuple[CentreArm, ArmFigures],
) -> None:
    arm = telephone()
    figures = arm.run()
    check_money(arm, figures)
    assert figures.attempted_minor == lived[1].attempted_minor, "the same nation and plans"
    assert figures.reports == lived[1].reports
    clean = sum(item.blocked_minor for item in figures.clean)
    assert clean > sum(item.blocked_minor for item in lived[1].clean)
    first = [times for times in figures.times if times.layer == 1]
    assert [
        times.applied_p50_s for times in first if not 540 <= (times.applied_p50_s or 0) <= 900
    ] == []


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_money_is_conserved_in_other_nations(seed: int) -> None:
    arm = telephone(seed=seed)
    check_money(arm, arm.run())


def test_scammers_use_another_account_once_something_is_blocked() -> None:
    arm = telephone()
    burnt_at: dict[int, float] = {}
    used_after: list[int] = []
    burn, moved = arm.burn, arm.moved

    def note_burn(account: int) -> None:
        burnt_at.setdefault(account, arm.now_s)
        burn(account)

    def note_moves(tick: object) -> None:
        moved(tick)  # type: ignore[arg-type]  # a part is enough
        rows = tick.rows  # type: ignore[attr-defined]  # the part has it
        stays = rows.creditor[rows.creditor >= 0].tolist()
        if len(tick.moves):  # type: ignore[attr-defined]  # the part has it
            used_after.extend(
                a for a in stays if a in burnt_at and arm.life.population.kind[a] == 3
            )

    arm.burn, arm.moved = note_burn, note_moves  # type: ignore[method-assign]  # the test listens
    arm.run()
    assert burnt_at
    assert used_after == []


def test_warned_victims_do_not_pay_and_who_heeds_is_settled_once() -> None:
    class Warned(type(telephone())):  # type: ignore[misc]  # a class made here
        def known(self, account: int) -> bool:
            return account >= 0

    scenario = msgspec.structs.replace(telephone().scenario, heeding=1.0)
    plain = telephone(scenario)
    arm = Warned(plain.life, scenario, seed=SEED)
    figures = arm.run()
    assert figures.averted_minor > 0
    assert (figures.stolen_minor, figures.reports) == (0, 0)
    check_money(arm, figures)


def test_the_same_seed_gives_the_same_bytes_whatever_the_process(tmp_path: Path) -> None:
    first = trial_json()
    code = (
        "import sys; from tests.simulation.trials import trial_json;"
        " sys.stdout.buffer.write(trial_json())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "77", "TZ": "Pacific/Kiritimati"},
        cwd=root,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    assert done.stdout.splitlines()[-1] == first
    trial = msgspec.json.decode(first, type=TrialFigures)
    assert trial.centre.attempted_minor == trial.telephone.attempted_minor
    assert np.isfinite(trial.centre.innocent_baht_hours)
