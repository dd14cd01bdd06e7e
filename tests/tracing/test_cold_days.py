"""Traces over a ledger whose older days are cold equal those over one that has all in memory."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from openaoc.holds.history import history_missing
from openaoc.kernel.clock import from_us, to_us
from openaoc.kernel.errors import BadInput
from openaoc.ledger.service import Ledger
from openaoc.tracing.model import BadOrigin, HoldKind, Rule
from openaoc.tracing.service import CaseClaim, CaseHold, CaseLook, Doubt, Tracing
from tests.ledger.twins import Twins, stream
from tests.ledger.worlds import START_US

# Without shrinking: a smaller seed is not a smaller story.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
KINDS = [HoldKind.HOLD] * 4 + [HoldKind.RELEASE, HoldKind.RESTITUTION]


class Centres:
    """The same cases in two centres: one with all days in memory, one without."""

    def __init__(self, twins: Twins, draw: Random, rule: Rule) -> None:
        self.twins, self.draw, self.rule = twins, draw, rule
        self.claims: dict[str, list[CaseClaim]] = {}
        self.holds: dict[str, list[CaseHold]] = {}
        self.hubs: frozenset[int] = frozenset()
        self.sequence = 0
        self.start()

    def start(self) -> None:
        """Both anew, as after a restart."""
        self.services = [self._service(ledger) for ledger in (self.twins.whole, self.twins.split)]

    def _service(self, ledger: Ledger) -> Tracing:
        service = Tracing(ledger, rule=self.rule, archive=ledger.archive, hubs=self.hubs)
        for key, claims in self.claims.items():
            service.register(key, claims, self.holds[key])
        return service

    def report(self, latest: int) -> None:
        """A case more, or what an institution did for one."""
        count = self.twins.whole.stats().transfers
        if not count:
            return
        draw = self.draw
        if draw.random() < 0.6 or not self.claims:
            self._open_case(f"C{len(self.claims)}", count)
            return
        key = draw.choice(sorted(self.claims))
        with self.twins.whole.reading() as arrays:
            accounts = len(arrays.base_in)
            paying = [n for n in range(count) if not arrays.flags[n]]
        self.sequence += 1
        account, row = draw.randrange(accounts), None
        kind = draw.choice(KINDS)
        if kind is HoldKind.RESTITUTION and paying and draw.random() < 0.7:
            row = draw.choice(paying)
            with self.twins.whole.reading() as arrays:
                account = int(arrays.debtor[row])
        hold = CaseHold(
            order=f"O{self.sequence}",
            kind=kind,
            at_us=draw.randint(START_US, latest),
            account=account,
            amount_minor=draw.randint(1, 600),
            sequence=self.sequence,
            transfer_row=row,
        )
        self.holds[key].append(hold)
        for service in self.services:
            service.record(key, hold)

    def _open_case(self, key: str, count: int) -> None:
        draw = self.draw
        claims = [
            CaseClaim(
                row=draw.randrange(count),
                amount_minor=draw.choice([None, draw.randint(1, 300)]),
                filed=100 * len(self.claims) + place,
            )
            for place in range(draw.choice([1, 1, 2]))
        ]
        said = []
        for service in self.services:
            try:
                service.check(claims)
                said.append("")
            except BadOrigin as error:
                said.append(f"{error.detail} {error.where}")
        assert said[0] == said[1]
        if not said[0]:
            self.claims[key], self.holds[key] = claims, []
            for service in self.services:
                service.register(key, claims)

    def distrust(self) -> None:
        """Something may have been corrected."""
        for service in self.services:
            service.distrust()

    def compare(self, latest: int) -> None:
        """Every verb of tracing, for every case."""
        for key in self.claims:
            at = from_us(self.draw.randint(START_US, latest))
            for moment in (at, None):
                looks = [looked(service, key, moment) for service in self.services]
                assert said(looks[0]) == said(looks[1])
            doubts = [doubted(*pair) for pair in zip(self.services, looks, strict=True)]
            assert doubts[0] == doubts[1]
        with self.twins.whole.reading() as arrays:
            accounts = len(arrays.base_in)
        for number in range(accounts):
            before = from_us(self.draw.randint(START_US, latest + 1))
            known = [
                (s.conduct(number, before=before), s.account_history(number, history_missing))
                for s in self.services
            ]
            assert known[0] == known[1]


def looked(service: Tracing, key: str, at: datetime | None) -> CaseLook | str:
    """The look, or why there is none: a correction may leave a hold event wrong."""
    try:
        return service.look(key, at=at)
    except BadInput as error:
        return error.detail


def doubted(service: Tracing, look: CaseLook | str) -> list[tuple[Doubt, Doubt]]:
    """How sure each located amount is."""
    if isinstance(look, str):
        return []
    numbers = [item.account_index for item in look.located]
    return [(service.doubt(look, n), service.doubt_held(look, n)) for n in numbers]


def said(look: CaseLook | str) -> object:
    """All that a look tells."""
    if isinstance(look, str):
        return look
    # With no hot day at all, a corrected cold one may stand for the ledger's end.
    trace = msgspec.structs.replace(look.trace, at=from_us(0))
    return (
        look.numbers,
        look.located,
        look.exits,
        look.excess,
        look.inferred_under_hold,
        look.linked,
        trace,
    )


def live_through(seed: int, count: int) -> bool:
    """Tell both centres the same, cut the ledger of one now and then; True: they told the same."""
    draw = Random(seed)  # noqa: S311 - repeatable, not secret
    told = stream(draw, count)
    latest = max(to_us(from_us(int(str(row["booked_at"])))) for row in told)
    rule = draw.choice(list(Rule))
    with tempfile.TemporaryDirectory() as folder:
        twins = Twins(Path(folder))
        try:
            centres = Centres(twins, draw, rule)
            centres.hubs = frozenset(draw.sample(range(6), draw.choice([0, 0, 1])))
            centres.start()
            while told:
                size = draw.randint(1, 12)
                twins.ingest(told[:size])
                told = told[size:]
                centres.distrust()
                centres.report(latest)
                what = draw.random()
                if what < 0.4:
                    twins.cut(draw, draw.randint(START_US, latest + 2))
                elif what < 0.5:
                    twins.restart()
                    centres.start()
                elif what < 0.6:
                    twins.open_lines(draw, draw.randrange(latest - START_US + 1))
                if draw.random() < 0.4:
                    centres.compare(latest)
            for _ in range(4):
                centres.report(latest)
            centres.compare(latest)
        finally:
            twins.close()
    return True


@settings(max_examples=10, deadline=None, phases=NO_SHRINKING)
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_any_cuts_of_any_story(seed: int, count: int) -> None:
    assert live_through(seed, count)


@pytest.mark.long
@pytest.mark.parametrize("block", range(8))
def test_hundreds_of_stories(block: int) -> None:
    for seed in range(40 * block, 40 * block + 40):
        assert live_through(seed, 1 + seed % 40)
