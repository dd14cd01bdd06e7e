"""A ledger is a function of the facts told, whatever the order, the batches and the repeats."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from tests.ledger.worlds import HOUR_US, Row, assert_pure, ledger, positions, row, table

# Without shrinking: a smaller seed is not a smaller story.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
ACCOUNTS = ["A/1", "A/2", "B/1", "B/2", "B/3", "C/1"]


def _story(draw: Random, number: int, when: list[int]) -> list[list[Row]]:
    """All that is told of one transfer: chains in which each report needs the one before."""
    debtor, creditor = draw.sample(ACCOUNTS, 2)
    if draw.random() < 0.05:
        creditor = debtor
    channel = draw.choice(["transfer"] * 6 + ["cash_withdrawal", "card_purchase"])
    name = f"T{number}"
    amount, at = draw.randint(1, 1000), when.pop()
    chain: list[Row] = [
        row(name, at=at, amount=amount, debtor=debtor, creditor=creditor, channel=channel)
    ]
    both = debtor[0] != creditor[0] and draw.random() < 0.4
    for revision in range(1, draw.choice([1, 1, 2, 4])):
        parties = [debtor, creditor]
        if not both and draw.random() < 0.5:
            parties = draw.sample(ACCOUNTS, 2)
        new_id = name if draw.random() < 0.7 else f"{name}-r{revision}"
        chain.append(
            row(
                new_id,
                at=when.pop(),
                amount=draw.randint(1, 1000),
                reporter=debtor[0],
                corrects=name,
                revision=revision,
                debtor=parties[0],
                creditor=parties[1],
                channel=channel,
            )
        )
    chains = [chain]
    if both:
        other = row(
            name,
            at=at + 1,
            amount=amount,
            debtor=debtor,
            creditor=creditor,
            reporter=creditor[0],
            channel=draw.choice(["transfer", channel]),
        )
        chains.append([other])
    return chains


def _deliveries(draw: Random, chains: list[list[Row]]) -> list[list[Row]]:
    """The chains interleaved at random with repeats, cut into batches."""
    chains = [list(chain) for chain in chains]
    stream: list[Row] = []
    while chains:
        chain = draw.choice(chains)
        stream.append(chain.pop(0))
        if not chain:
            chains.remove(chain)
        if draw.random() < 0.2:
            stream.append(draw.choice(stream))
    batches = []
    while stream:
        size = draw.randint(1, 12)
        batches.append(stream[:size])
        stream = stream[size:]
    return batches


@settings(max_examples=100, deadline=None, phases=NO_SHRINKING)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_any_order_of_the_same_facts_gives_the_same_lines(seed: int, count: int) -> None:
    draw = Random(seed)  # noqa: S311 - repeatable, not secret
    when = draw.sample(range(0, 20 * HOUR_US, 7), 5 * count)
    chains = [chain for number in range(count) for chain in _story(draw, number, when)]
    seen = []
    for _ in range(2):
        with ledger() as opened:
            for batch in _deliveries(draw, chains):
                opened.ingest(table(batch), live=False)
            assert_pure(opened)
            seen.append(positions(opened))
    assert seen[0] == seen[1]
    assert len(seen[0]) == count


@settings(max_examples=25, deadline=None, phases=NO_SHRINKING)
@example(136604, 30)
@example(3512328, 25)
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_a_restart_changes_nothing(seed: int, count: int) -> None:
    draw = Random(seed)  # noqa: S311 - repeatable, not secret
    when = draw.sample(range(0, 20 * HOUR_US, 7), 5 * count)
    chains = [chain for number in range(count) for chain in _story(draw, number, when)]
    with ledger() as steady, tempfile.TemporaryDirectory() as folder:
        for batch in _deliveries(draw, chains):
            receipt = steady.ingest(table(batch), live=False)
            with ledger(Path(folder)) as restarted:
                assert restarted.ingest(table(batch), live=False) == receipt
                if draw.random() < 0.4:
                    restarted.snapshot()
                assert_pure(restarted)
        with ledger(Path(folder)) as restarted:
            assert positions(restarted) == positions(steady)
            assert [restarted.transfer(n) for n in range(count)] == [
                steady.transfer(n) for n in range(count)
            ]
            assert restarted.unjournalled() == steady.unjournalled()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS)),
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
def test_ties_stand_in_order_of_arrival(told: list[tuple[int, str, str]], draw: Random) -> None:
    rows = [row(f"T{n}", at=at, debtor=d, creditor=c) for n, (at, d, c) in enumerate(told)]
    with ledger() as opened:
        while rows:
            size = draw.randint(1, 9)
            opened.ingest(table(rows[:size]), live=False)
            rows = rows[size:]
        assert_pure(opened)
