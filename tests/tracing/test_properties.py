"""What holds for every ledger: purity, conservation, additivity, causality, idempotence."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.ledger.arrays import SELF, LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.model import CaseTrace, Claim, Rule
from tests.tracing.ledgers import random_asked, random_columns

SEEDS = st.integers(0, 2**32 - 1)
RULES = st.sampled_from(list(Rule))


def _amounts(trace: CaseTrace) -> Counter[tuple[str, int]]:
    """Where the money of a trace is and what it went through."""
    found: Counter[tuple[str, int]] = Counter()
    for located in trace.located:
        found["located", located.account] += located.amount_minor
    for carried in trace.transfers:
        found["carried", carried.row] += carried.amount_minor
    for carried in trace.exited:
        found["exited", carried.row] += carried.amount_minor
    return found


@settings(max_examples=300, deadline=None)
@given(SEEDS, RULES, st.booleans())
def test_conservation(seed: int, rule: Rule, unknown: bool) -> None:  # noqa: FBT001 - hypothesis
    """Loss = located + held + exited + restituted + dropped, per case, holds and all."""
    asked = random_asked(seed)
    for trace in asked.trace(trace_cases, rule, openings_unknown=unknown):
        assert trace.loss_minor == trace.accounted_minor()


@settings(max_examples=300, deadline=None)
@given(SEEDS, RULES)
def test_loss_is_the_claims_less_the_overlap(seed: int, rule: Rule) -> None:
    asked = random_asked(seed)
    claimed: Counter[int] = Counter()
    for claim in asked.claims:
        amount, time = int(asked.arrays.amount[claim.row]), asked.arrays.time_us[claim.row]
        if asked.at_us is None or time <= asked.at_us:
            claimed[claim.case] += amount if claim.amount_minor is None else claim.amount_minor
    for case, trace in enumerate(asked.trace(trace_cases, rule)):
        assert trace.loss_minor == claimed[case] - trace.overlap_minor


@settings(max_examples=300, deadline=None)
@given(SEEDS, RULES)
def test_no_minor_unit_belongs_to_two_cases(seed: int, rule: Rule) -> None:
    """What a transfer carries of all cases is never more than its amount."""
    asked = random_asked(seed)
    carried: Counter[int] = Counter()
    for trace in asked.trace(trace_cases, rule):
        for row, amount in trace.transfers:
            carried[row] += amount
    assert all(total <= asked.arrays.amount[row] for row, total in carried.items())


@settings(max_examples=300, deadline=None)
@given(SEEDS, RULES)
def test_purity(seed: int, rule: Rule) -> None:
    """Rows of different times may arrive in any order, and claims be filed in any order.

    Only rows of one instant are told apart by arrival, and claims on one transfer by filing.
    """
    rng = np.random.default_rng(seed)
    columns = random_columns(rng)
    rows = len(columns["time_us"])
    place = np.arange(rows)
    rng.shuffle(place)
    place = place[np.argsort(columns["time_us"][place] % 7, kind="stable")]
    kept = np.lexsort((np.arange(rows), columns["time_us"]))
    columns["time_us"][kept] = np.arange(rows)
    once = build_arrays(**columns)
    shuffled = {name: column[place] for name, column in columns.items() if name != "opening"}
    again = build_arrays(**shuffled, opening=columns["opening"])
    origins = [row for row in range(rows) if not columns["flags"][row] & SELF][:4]
    claims = [Claim(row, None, number % 2) for number, row in enumerate(origins)]
    moved = {int(old): new for new, old in enumerate(place)}
    renamed = [Claim(moved[claim.row], None, claim.case) for claim in reversed(claims)]
    one, two = trace_cases(once, claims, rule=rule), trace_cases(again, renamed, rule=rule)
    assert len(one) == len(two)
    for left, right in zip(one, two, strict=True):
        assert left.located == right.located
        assert left.loss_minor == right.loss_minor
        rows_right = [(int(place[row]), amount) for row, amount in right.transfers]
        assert [tuple(item) for item in left.transfers] == rows_right


@settings(max_examples=300, deadline=None)
@given(SEEDS, RULES)
def test_additivity(seed: int, rule: Rule) -> None:
    """Cases traced together carry what all their claims as one case would."""
    asked = random_asked(seed, plain=True)
    apart = trace_cases(asked.arrays, asked.claims, rule=rule)
    as_one = [Claim(claim.row, claim.amount_minor, 0) for claim in asked.claims]
    together = trace_cases(asked.arrays, as_one, rule=rule)
    total: Counter[tuple[str, int]] = Counter()
    for trace in apart:
        total += _amounts(trace)
    assert total == sum((_amounts(trace) for trace in together), Counter())
    assert sum(t.loss_minor for t in apart) == sum(t.loss_minor for t in together)


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.sampled_from([Rule.FIFO, Rule.LIFO]))
def test_a_case_is_its_own_trace_less_what_earlier_origins_prevail_on(
    seed: int, rule: Rule
) -> None:
    """For whole claims: others only take away, and nothing from the earliest single origin."""
    asked = random_asked(seed, plain=True)
    together = trace_cases(asked.arrays, asked.claims, rule=rule)
    keys = [
        (int(asked.arrays.time_us[c.row]), c.row, filed) for filed, c in enumerate(asked.claims)
    ]
    for case, trace in enumerate(together):
        own = [Claim(c.row, c.amount_minor, 0) for c in asked.claims if c.case == case]
        if not own:
            continue
        (alone,) = trace_cases(asked.arrays, own, rule=rule)
        assert _amounts(trace) <= _amounts(alone)
        first = asked.claims[keys.index(min(keys))]
        if len(own) == 1 and first.case == case:
            assert _amounts(trace) == _amounts(alone)


@settings(max_examples=300, deadline=None)
@given(SEEDS, RULES, st.integers(0, 40))
def test_causality(seed: int, rule: Rule, at_us: int) -> None:
    """A trace at a time knows nothing of what comes after it."""
    asked = random_asked(seed)
    before = np.flatnonzero(asked.arrays.time_us <= at_us)
    number = {int(row): place for place, row in enumerate(before)}
    past = _part(asked.arrays, before)
    claims = [Claim(number[c.row], c.amount_minor, c.case) for c in asked.claims if c.row in number]
    events = [event for event in asked.holds if event.at_us <= at_us and event.transfer_row is None]
    now = trace_cases(
        asked.arrays, asked.claims, rule=rule, at_us=at_us, holds=events, hubs=asked.hubs
    )
    then = trace_cases(past, claims, rule=rule, holds=events, hubs=asked.hubs)
    for case, trace in enumerate(then):
        renamed = [(int(before[row]), amount) for row, amount in trace.transfers]
        assert [tuple(item) for item in now[case].transfers] == renamed
        assert now[case].located == trace.located
        assert now[case].held == trace.held
    for trace in now[len(then) :]:
        assert trace.loss_minor == 0


@settings(max_examples=200, deadline=None)
@given(SEEDS, RULES)
def test_idempotence(seed: int, rule: Rule) -> None:
    """Asked twice, or with every claim filed twice, the money is where it was."""
    asked = random_asked(seed, plain=True)
    once = trace_cases(asked.arrays, asked.claims, rule=rule)
    assert trace_cases(asked.arrays, asked.claims, rule=rule) == once
    twice = trace_cases(asked.arrays, [*asked.claims, *asked.claims], rule=rule)
    for left, right in zip(once, twice, strict=True):
        assert (left.located, left.transfers) == (right.located, right.transfers)
        assert left.loss_minor == right.loss_minor


def _part(arrays: LedgerArrays, rows: np.ndarray) -> LedgerArrays:
    return build_arrays(
        time_us=arrays.time_us[rows],
        debtor=arrays.debtor[rows],
        creditor=arrays.creditor[rows],
        amount=arrays.amount[rows],
        flags=arrays.flags[rows],
        channel=arrays.channel[rows],
        opening=arrays.base_in,
    )
