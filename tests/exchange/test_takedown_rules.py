"""Take-downs: what may be asked for at all, and what an answer has to say. Pure."""

from __future__ import annotations

from datetime import timedelta
from importlib import resources

import pytest

from openaoc.exchange.takedowns.clocks import (
    FILE,
    PACKAGE,
    read_rules,
    shared_hosts,
    takedown_rules,
)
from openaoc.exchange.takedowns.collateral import collateral_of
from openaoc.exchange.takedowns.model import (
    TRANSITIONS,
    Answer,
    Done,
    NeverWhole,
    Outcome,
    State,
    Step,
    Target,
    WrongTakedownStep,
    after_step,
)
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Kind
from tests.conftest import START


def test_every_state_is_reached_and_only_two_are_ends() -> None:
    after = {row.after for row in TRANSITIONS}
    assert after | {State.DRAFTED} == set(State)
    before = {row.before for row in TRANSITIONS}
    assert set(State) - before == {State.RESTORED}
    assert len({(row.before, row.step) for row in TRANSITIONS}) == len(TRANSITIONS)
    for row in TRANSITIONS:
        assert after_step(row.before, row.step) is row.after
    with pytest.raises(WrongTakedownStep):
        after_step(State.DRAFTED, Step.SEND)
    withdrawable = {row.before for row in TRANSITIONS if row.step is Step.WITHDRAW}
    assert withdrawable == set(State) - {State.WITHDRAWN, State.RESTORED}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.DOMAIN, "facebook.com"),
        (Kind.DOMAIN, "www.facebook.com"),
        (Kind.DOMAIN, "line.me"),
        (Kind.DOMAIN, "lin.ee"),
        (Kind.DOMAIN, "github.io"),
        (Kind.URL, "https://bit.ly/"),
        (Kind.URL, "https://www.facebook.com/"),
    ],
)
def test_what_many_share_is_never_asked_for_whole(kind: Kind, value: str) -> None:
    with pytest.raises(NeverWhole):
        collateral_of(kind, value, others="none", never_whole=shared_hosts())


@pytest.mark.parametrize(
    ("kind", "value", "others", "whole", "two"),
    [
        (Kind.URL, "https://www.facebook.com/some-page", "", False, False),
        (Kind.URL, "https://bit.ly/3xYz", "", False, False),
        (Kind.DOMAIN, "kbank-secure.com", "none", True, False),
        (Kind.URL, "https://kbank-secure.com/", "none", True, False),
        (Kind.DOMAIN, "kbank-secure.com", "few", True, True),
        (Kind.DOMAIN, "login.school.ac.th", "none", True, True),
        (Kind.DOMAIN, "scam.github.io", "none", True, False),
        (Kind.URL, "http://203.0.113.7/", "none", True, True),
        (Kind.PHONE, "+66812345678", "", False, False),
    ],
)
def test_what_else_lives_there(
    kind: Kind, value: str, others: str, *, whole: bool, two: bool
) -> None:
    found = collateral_of(kind, value, others=others, never_whole=shared_hosts())
    assert (found.whole, bool(found.two_persons)) == (whole, two)


def test_a_whole_site_needs_a_look_at_what_else_lives_there() -> None:
    for others, error in (("", BadInput), ("some", BadInput), ("many", NeverWhole)):
        with pytest.raises(error):
            collateral_of(
                Kind.DOMAIN, "kbank-secure.com", others=others, never_whole=shared_hosts()
            )


def test_rules_are_whole_and_ask_for_no_freeze() -> None:
    rules = takedown_rules()
    assert set(rules.target) == set(Target)
    text = resources.files(PACKAGE).joinpath(FILE).read_text("utf-8")
    assert read_rules(text) == rules
    for before, after in (
        ('asks = ["reviewed"', 'asks = ["account-frozen", "reviewed"'),
        ("acknowledge_hours = 2\n", "acknowledge_hours = 48\n"),
        ("[target.app]", "[target.other]"),
    ):
        assert before in text
        with pytest.raises(BadInput):
            read_rules(text.replace(before, after))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(outcome=Outcome.DONE),
        Answer(outcome=Outcome.ACKNOWLEDGED, done=(Done.REMOVED,)),
        Answer(outcome=Outcome.PARTLY, done=(Done.REMOVED,)),
        Answer(outcome=Outcome.REFUSED),
        Answer(outcome=Outcome.DONE, done=(Done.REMOVED, Done.REMOVED)),
        Answer(outcome=Outcome.ACKNOWLEDGED, at=START + timedelta(days=1)),
        Answer(outcome=Outcome.ACKNOWLEDGED, at=START - timedelta(days=1_000)),
    ],
)
def test_an_answer_that_says_nothing_exact_is_refused(answer: Answer) -> None:
    with pytest.raises(BadInput):
        answer.check(now=START)
