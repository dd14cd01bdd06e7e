"""Groups of linked cases: traced once for all, kept while they stand, doubted within limits."""

from __future__ import annotations

import numpy as np
import pytest

from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing import engine, group
from openaoc.tracing.model import CaseTrace, Claim, Rule, TraceLimits
from openaoc.tracing.service import CaseClaim, Tracing
from tests.tracing.ledgers import Pay, small
from tests.tracing.test_service import CHAIN, Centre, FakeLedger, _hold

_trace = engine.trace_cases


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[Rule]:
    """The rule of every trace that was really made, in turn."""
    made: list[Rule] = []

    def counting(
        arrays: LedgerArrays, claims: list[Claim], *, rule: Rule, **others: object
    ) -> list[CaseTrace]:
        made.append(rule)
        return _trace(arrays, claims, rule=rule, **others)  # type: ignore[arg-type]  # mixed

    monkeypatch.setattr(group, "trace_cases", counting)
    return made


def _linked() -> tuple[FakeLedger, Tracing]:
    rows = [Pay(1, "a", "x", 100), Pay(2, "b", "x", 50), Pay(3, "c", "x", 20), Pay(4, "x", "y", 90)]
    fake = FakeLedger(small(rows).arrays)
    service = Tracing(fake)
    for number in range(3):
        service.register(f"C{number}", [CaseClaim(row=number, filed=number)])
    return fake, service


def test_linked_cases_share_one_trace_until_one_changes(traced: list[Rule]) -> None:
    _, service = _linked()
    looks = [service.look(key) for key in ("C0", "C1", "C2")]
    assert [look.linked for look in looks] == [("C1", "C2"), ("C0", "C2"), ("C0", "C1")]
    assert looks[0].group is looks[2].group
    made = len(traced)
    assert service.look("C1").group is looks[0].group
    assert service.settle() == 0
    assert len(traced) == made, "nothing changed and something was traced"
    service.record("C2", _hold(3, 5, at=9))
    assert service.look("C0").group is not looks[0].group
    assert service.look("C0").group is service.look("C2").group


def test_a_correction_nobody_can_see_is_traced_again_once_it_is_told(traced: list[Rule]) -> None:
    fake, service = _linked()
    assert service.look("C0").trace.located[0].amount_minor == 90
    fake.arrays = small(
        [Pay(1, "a", "x", 100), Pay(2, "b", "x", 50), Pay(3, "c", "x", 20), Pay(0, "x", "y", 90)]
    ).arrays
    made = len(traced)
    service.distrust()
    assert len(traced) == made, "telling of it waits for no trace"
    assert service.look("C0").trace.located[0].amount_minor == 100


def test_doubt_is_traced_when_asked_and_kept_with_the_group(traced: list[Rule]) -> None:
    _, service = _linked()
    look = service.look("C0")
    assert set(traced) == {Rule.FIFO}
    place = look.located[0]
    assert service.doubt(look, place.account_index).fifo_minor == place.amount_minor
    made = len(traced)
    service.doubt(service.look("C0"), place.account_index)
    assert len(traced) == made


def test_doubt_is_traced_with_the_cases_that_prevail_and_no_others() -> None:
    rows = [Pay(1, "a", "x", 100), Pay(2, "x", "y", 60), Pay(3, "b", "y", 50), Pay(4, "y", "z", 70)]
    ledger = small(rows)
    service = Tracing(FakeLedger(ledger.arrays))
    for key, row in {"first": 0, "second": 1, "beside": 2}.items():
        service.register(key, [CaseClaim(row=row, filed=row)])
    look = service.look("second")
    assert set(look.linked) == {"first", "beside"}
    assert [file.key for file in look.group.prevailing("second")] == ["second", "first"]
    assert [file.key for file in look.group.prevailing("beside")] == ["beside"]
    # All that "second" claims is the money of "first", under every rule.
    assert look.numbers.loss_minor == 0
    assert service.doubt(look, ledger.numbers["z"]).lifo_minor == 0


def test_what_was_not_traced_to_its_end_counts_as_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group, "DOUBT_LIMITS", TraceLimits(transfers_max=1))
    ledger = small(CHAIN, opening={"next": 30})
    service = Tracing(FakeLedger(ledger.arrays))
    service.register("A", [CaseClaim(row=1, filed=1)])
    look = service.look("A")
    doubt = service.doubt(look, ledger.numbers["mule"])
    assert doubt.fifo_minor == 90
    assert doubt.unknown == ("lifo", "pro-rata", "opening-unknown")
    assert (doubt.lifo_minor, doubt.pro_rata_minor) == (0, 0)


@pytest.mark.parametrize("seed", range(30))
def test_dust_never_makes_a_doubtful_amount_larger(seed: int) -> None:
    """Of one case alone: what is not followed is missing downstream, and added nowhere."""
    centre = Centre(seed)
    arrays = centre.ledger(80)
    for claims in centre.claims.values():
        claim = [Claim(claims[0].row)]
        exact = _trace(arrays, claim, rule=Rule.PRO_RATA)[0]
        coarse = _trace(arrays, claim, rule=Rule.PRO_RATA, dust_minor=4)[0]
        true = {item.account: item.amount_minor for item in exact.located}
        for item in coarse.located:
            assert item.amount_minor <= true.get(item.account, 0)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_kept_is_what_a_fresh_service_finds(seed: int) -> None:
    """Cases come, gain holds and leave while the ledger grows; asked in any order, any time."""
    centre, rng = Centre(seed), np.random.default_rng(seed)
    fake = FakeLedger(centre.ledger(20))
    service = Tracing(fake)
    keys: list[str] = sorted(centre.claims)
    open_now: dict[str, int] = {}
    rows = 20
    for _ in range(40):
        key = keys[int(rng.integers(len(keys)))]
        step = int(rng.integers(5))
        if step == 0:
            rows = min(rows + int(rng.integers(1, 6)), 80)
            fake.arrays = centre.ledger(rows)
        elif step == 1 and key in open_now:
            service.forget(key)
            del open_now[key]
        elif step == 2 and key in open_now and open_now[key] < len(centre.holds[key]):
            service.record(key, centre.holds[key][open_now[key]])
            open_now[key] += 1
        elif key not in open_now and all(claim.row < rows for claim in centre.claims[key]):
            service.register(key, centre.claims[key])
            open_now[key] = 0
        fresh = Tracing(fake)
        for other, holds in open_now.items():
            fresh.register(other, centre.claims[other], centre.holds[other][:holds])
        for asked in rng.permutation(sorted(open_now)).tolist()[:3]:
            kept, new = service.look(asked), fresh.look(asked)
            assert kept.trace == new.trace
            assert kept.located == new.located
            assert sorted(kept.excess, key=str) == sorted(new.excess, key=str)
