"""How sure the centre is, how long it stands, and who may change it: the rules alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaoc.indicators.ageing import valid_until
from openaoc.indicators.confidence import confidence_of
from openaoc.indicators.model import (
    TRANSITIONS,
    Record,
    Source,
    SourceKind,
    Status,
    Step,
    WrongIndicatorState,
    after_step,
)
from openaoc.indicators.weighing import read_weighing, weighing
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Kind
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from tests.conftest import START

RULES = weighing()


def voice(kind: SourceKind, source: str, ref: str = "r", *, taken_back: bool = False) -> Source:
    return Source(
        kind=kind,
        source=source,
        ref=ref,
        offence=Offence.JOB,
        marking=Marking.AMBER,
        first_seen=START,
        last_seen=START,
        said_at=START,
        taken_back_at=START if taken_back else None,
    )


def sure(*voices: Source, status: Status = Status.PROPOSED, **records: Record) -> int:
    named = {record.source: record for record in records.values()}
    return confidence_of(voices, named, status=status, rules=RULES)


VOICES = st.builds(
    voice,
    st.sampled_from(SourceKind),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["1", "2", "3", "4"]),
    taken_back=st.booleans(),
)


@given(st.lists(VOICES, max_size=12), VOICES)
def test_another_voice_never_makes_it_less_sure(voices: list[Source], more: Source) -> None:
    assert 0 <= sure(*voices) <= sure(*voices, more) <= 100


def test_a_thousand_false_reports_stay_below_the_cap_of_citizens() -> None:
    many = [voice(SourceKind.CITIZEN, "citizen", str(n)) for n in range(1_000)]
    assert sure(*many) == RULES.source[SourceKind.CITIZEN].cap


def test_partners_alone_stay_below_their_cap_however_many() -> None:
    many = [voice(SourceKind.PARTNER, f"partner:{n}") for n in range(100)]
    assert sure(*many) == RULES.source[SourceKind.PARTNER].cap


def test_one_source_that_says_it_often_is_one_voice() -> None:
    often = [voice(SourceKind.PARTNER, "partner:VN", str(n)) for n in range(50)]
    assert sure(*often) == RULES.source[SourceKind.PARTNER].weight


def test_a_source_that_was_wrong_weighs_less() -> None:
    said = voice(SourceKind.INSTITUTION, "institution:KBANK")
    wrong = Record(source="institution:KBANK", wrong=8)
    right = Record(source="institution:KBANK", right=8)
    assert sure(said, it=wrong) < sure(said) == sure(said, it=right)


def test_what_was_taken_back_or_withdrawn_weighs_nothing() -> None:
    assert sure(voice(SourceKind.PARTNER, "partner:VN", taken_back=True)) == 0
    assert sure(voice(SourceKind.INSTITUTION, "institution:SCB"), status=Status.WITHDRAWN) == 0


def test_a_persons_confirmation_is_worth_more_than_voices() -> None:
    said = voice(SourceKind.CITIZEN, "citizen")
    assert sure(said, status=Status.CONFIRMED) == RULES.confirmed.floor > sure(said)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_ages_and_slower_when_confirmed(kind: Kind) -> None:
    proposed = valid_until(kind, START, status=Status.PROPOSED, rules=RULES)
    confirmed = valid_until(kind, START, status=Status.CONFIRMED, rules=RULES)
    assert timedelta(0) < proposed - START < confirmed - START


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("step", list(Step))
def test_only_the_tables_steps_are_taken(status: Status, step: Step) -> None:
    allowed = {(t.before, t.step): t.after for t in TRANSITIONS}
    if (status, step) in allowed:
        assert after_step(status, step) is allowed[status, step]
    else:
        with pytest.raises(WrongIndicatorState):
            after_step(status, step)


def test_nothing_but_a_person_confirms() -> None:
    assert all(t.person for t in TRANSITIONS if t.after is Status.CONFIRMED)
    assert not [t for t in TRANSITIONS if t.before is Status.WITHDRAWN and not t.person]


@pytest.mark.parametrize(
    "text", ["[source]", "not toml =", "[source.citizen]\nweight = 200\ncap=1"]
)
def test_broken_rules_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read_weighing(text)
