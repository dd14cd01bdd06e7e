"""The centre's verbs: a case in full view of all others, in whatever order they became known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest

from openaoc.kernel.clock import from_us
from openaoc.kernel.errors import NotFound
from openaoc.ledger.arrays import SELF, LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.tracing import engine
from openaoc.tracing.model import BadOrigin, CaseTrace, Claim, HoldEvent, HoldKind, Rule
from openaoc.tracing.service import CaseClaim, CaseHold, Tracing
from tests.tracing.ledgers import Pay, Small, small


class Name(NamedTuple):
    bank: str
    account: str
    currency: str


class Row(NamedTuple):
    transfer_id: str


class FakeLedger:
    """Arrays that a test may replace, with names made of numbers."""

    def __init__(self, arrays: LedgerArrays) -> None:
        self.arrays = arrays

    @contextmanager
    def reading(self) -> Iterator[LedgerArrays]:
        yield self.arrays

    def account(self, index: int, /) -> Name:
        return Name("BANK", f"{index:04d}", "USD" if index == 99 else "THB")

    def transfer(self, row: int, /) -> Row:
        return Row(f"T{row}")


def _service(ledger: Small, *, rule: Rule = Rule.FIFO) -> Tracing:
    return Tracing(FakeLedger(ledger.arrays), rule=rule)


def _hold(account: int, amount: int, *, at: int, sequence: int = 0) -> CaseHold:
    return CaseHold(
        order=f"ord_{sequence}",
        kind=HoldKind.HOLD,
        at_us=at,
        account=account,
        amount_minor=amount,
        sequence=sequence,
    )


CHAIN = [
    Pay(1, "shop", "mule", 50),
    Pay(2, "victim", "mule", 100),
    Pay(3, "mule", "next", 60),
    Pay(4, "next", "out", 20, exit=True),
]


def test_a_look_has_names_and_the_doubt_of_each_amount() -> None:
    ledger = small(CHAIN, opening={"next": 30})
    service = _service(ledger)
    service.register("A", [CaseClaim(row=1, filed=1)])
    look = service.look("A")
    assert (look.trace.loss_minor, look.trace.currency, look.trace.at) == (100, "THB", from_us(4))
    found = {item.account_index: item for item in look.located}
    mule, after = found[ledger.numbers["mule"]], found[ledger.numbers["next"]]
    assert (mule.amount_minor, mule.layer, mule.bank) == (90, 1, "BANK")
    doubt = service.doubt(look, mule.account_index)
    assert (doubt.fifo_minor, doubt.lifo_minor, doubt.pro_rata_minor) == (90, 40, 60)
    assert doubt.unknown == ()
    # With 30 of its own, the cash came from the clean money; without, ten of it was the victim's.
    doubt = service.doubt(look, after.account_index)
    assert (after.amount_minor, doubt.opening_unknown_minor) == (10, 10)
    assert [out.transfer_id for out in look.trace.exited] == []


def test_an_earlier_origin_filed_later_takes_the_lots_over() -> None:
    ledger = small([Pay(1, "victim", "mule", 100), Pay(2, "mule", "next", 100)])
    service = _service(ledger)
    service.register("late", [CaseClaim(row=1, filed=1)])
    assert service.look("late").trace.loss_minor == 100
    service.register("early", [CaseClaim(row=0, filed=2)])
    assert service.look("late").trace.loss_minor == 0
    assert service.look("late").linked == ("early",)
    service.forget("early")
    assert service.look("late").trace.loss_minor == 100


def test_a_hold_that_lost_its_money_to_an_earlier_origin_is_excess() -> None:
    ledger = small([Pay(1, "victim", "mule", 100), Pay(2, "mule", "next", 100)])
    service = _service(ledger)
    account = ledger.numbers["next"]
    service.register("late", [CaseClaim(row=1, filed=1)])
    service.record("late", _hold(account, 100, at=3, sequence=7))
    assert service.look("late").excess == ()
    assert [item.amount_minor for item in service.look("late").trace.held] == [100]
    service.register("early", [CaseClaim(row=0, filed=2)])
    look = service.look("late")
    assert [(item.order, item.amount_minor) for item in look.excess] == [("ord_7", 100)]


def test_a_preview_is_not_kept() -> None:
    service = _service(small(CHAIN))
    assert service.preview("A", [CaseClaim(row=1, filed=1)]).trace.loss_minor == 100
    assert service.registered() == ()
    with pytest.raises(NotFound):
        service.look("A")


def test_claims_are_checked_when_filed() -> None:
    ledger = small([*CHAIN, Pay(5, "mule", "mule", 5)])
    service = _service(ledger)
    for claim in (CaseClaim(row=4, filed=1), CaseClaim(row=1, amount_minor=101, filed=1)):
        with pytest.raises(BadOrigin):
            service.check([claim])
    with pytest.raises(BadOrigin):
        service.register("A", [])


def test_money_that_moved_on_links_cases_that_were_apart() -> None:
    rows = [Pay(1, "a", "x", 100), Pay(1, "b", "y", 100), Pay(5, "x", "z", 100)]
    later = [*rows, Pay(6, "y", "z", 50), Pay(7, "z", "w", 120)]
    names = dict.fromkeys(["a", "x", "b", "y", "z", "w"], 0)
    fake = FakeLedger(small(rows, opening=names).arrays)
    service = Tracing(fake)
    service.register("A", [CaseClaim(row=0, filed=1)])
    service.register("B", [CaseClaim(row=1, filed=2)])
    assert service.look("A").linked == ()
    fake.arrays = small(later, opening=names).arrays
    assert service.look("A").linked == ("B",)


class Centre:
    """Random cases with holds, asked of the service and of the engine with everything at once."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows, accounts = 80, 30
        debtor = rng.integers(0, accounts, rows).astype(np.int32)
        creditor = rng.integers(0, accounts, rows).astype(np.int32)
        self.columns: dict[str, Any] = {
            "time_us": rng.integers(0, 60, rows),
            "debtor": debtor,
            "creditor": creditor,
            "amount": rng.integers(1, 20, rows),
            "flags": np.where(debtor == creditor, SELF, 0).astype(np.uint8),
            "channel": np.zeros(rows, np.uint8),
        }
        self.opening = rng.integers(0, 10, accounts)
        good = np.flatnonzero(debtor != creditor)
        self.claims = {
            f"C{case}": [CaseClaim(row=int(row), filed=10 * case + place)]
            for case in range(8)
            for place, row in enumerate(rng.choice(good, 1))
        }
        self.holds = {
            key: [
                _hold(int(rng.integers(0, accounts)), int(rng.integers(1, 20)), at=at, sequence=n)
                for n, at in enumerate(rng.integers(0, 60, int(rng.integers(0, 4))).tolist())
            ]
            for key in self.claims
        }

    def ledger(self, rows: int) -> LedgerArrays:
        """The first rows that became known."""
        known = {name: column[:rows] for name, column in self.columns.items()}
        return build_arrays(**known, opening=self.opening)

    def all_at_once(self, arrays: LedgerArrays, keys: list[str]) -> dict[str, CaseTrace]:
        claims = [Claim(c.row, None, n) for n, key in enumerate(keys) for c in self.claims[key]]
        events = sorted(
            (h.at_us, h.sequence, key, n, h) for n, key in enumerate(keys) for h in self.holds[key]
        )
        holds = [
            HoldEvent(kind=h.kind, at_us=at, case=n, account=h.account, amount_minor=h.amount_minor)
            for at, _, _, n, h in events
        ]
        traces = engine.trace_cases(arrays, claims, rule=Rule.FIFO, holds=holds)
        return dict(zip(keys, traces, strict=True))


@pytest.mark.parametrize("seed", range(40))
def test_a_case_traced_with_its_links_is_as_if_all_were_traced_together(seed: int) -> None:
    centre = Centre(seed)
    fake = FakeLedger(centre.ledger(0))
    service = Tracing(fake)
    order = np.random.default_rng(seed).permutation(sorted(centre.claims)).tolist()
    known: list[str] = []
    for rows, key in zip((40, 50, 60, 60, 70, 70, 80, 80), order, strict=True):
        fake.arrays = centre.ledger(rows)
        if all(claim.row < rows for claim in centre.claims[key]):
            known.append(key)
            service.register(key, centre.claims[key], centre.holds[key])
        expected = centre.all_at_once(fake.arrays, sorted(known))
        for asked in known:
            numbers = service.look(asked).numbers
            together = expected[asked]
            assert numbers.located == together.located
            assert numbers.held == together.held
            assert numbers.overlap_minor == together.overlap_minor
            excess = [item.amount_minor for item in together.excess]
            assert [item.amount_minor for item in numbers.excess] == excess
