"""Which transfer a reported payment is, and what is no report at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from openaoc.kernel.actor import CITIZEN, Actor, Role
from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.identifiers.kinds import Kind, normalise
from openaoc.reports.matching import NEAR, WINDOW, Candidate, match_by_parties, match_exact
from openaoc.reports.model import Channel, Indicator, Payment, Report
from openaoc.reports.service import (
    PERSONS_PER_REPORT_MAX,
    UNREADABLE,
    check_key,
    normalised,
    source_of,
)

AT = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)


def candidate(row: int, *, away: timedelta = timedelta(0), **changes: object) -> Candidate:
    usual = Candidate(
        row=row,
        booked_at=AT + away,
        amount_minor=100,
        same_parties=True,
    )
    return msgspec.structs.replace(usual, **changes)


def report(**changes: object) -> Report:
    payment = Payment(
        booked_at=AT,
        debtor_bank=" kbank".strip(),
        debtor_account="012-3 4",
        creditor_bank="SCB",
        creditor_account="9",
        amount_minor=100,
        currency="THB",
    )
    payment = msgspec.structs.replace(payment, **changes)
    return Report(channel=Channel.HOTLINE, reported_at=AT, payments=[payment])


def test_an_exact_transfer_matches_and_a_mismatch_says_nothing() -> None:
    assert match_exact(candidate(7), amount_minor=60).row == 7
    for wrong in (None, candidate(7, same_parties=False), candidate(7, amount_minor=59)):
        match = match_exact(wrong, amount_minor=60)
        assert (match.row, match.candidates) == (None, 0)


def test_one_fits_several_do_not_and_the_only_near_one_does() -> None:
    far = [candidate(n, away=timedelta(hours=n)) for n in (2, 3)]
    near = candidate(9, away=NEAR)

    def match(*found: Candidate) -> tuple[int | None, int]:
        result = match_by_parties(found, amount_minor=100, booked_at=AT)
        return result.row, result.candidates

    assert match() == (None, 0)
    assert match(far[0]) == (2, 1)
    assert match(*far) == (None, 2)
    assert match(*far, near) == (9, 3)
    assert match(near, candidate(8)) == (None, 2)
    assert match(candidate(1, away=WINDOW + timedelta(seconds=1))) == (None, 0)
    assert match(candidate(1, amount_minor=99)) == (None, 0)


def test_banks_and_accounts_become_what_the_ledger_writes() -> None:
    payment = normalised(report()).payments[0]
    assert (payment.debtor_bank, payment.debtor_account) == ("KBANK", "01234")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"debtor_account": " - "}, "$.payments[0].debtor_account"),
        ({"currency": "XQQ"}, "$.payments[0].currency"),
        ({"creditor_bank": "S\x00B"}, "$.payments[0].creditor_bank"),
        ({"transfer_id": "a\nb"}, "$.payments[0].transfer_id"),
    ],
)
def test_bad_payments_are_refused_with_their_place(changes: dict[str, str], where: str) -> None:
    with pytest.raises(BadInput) as caught:
        normalised(report(**changes))
    assert caught.value.where == where


def test_a_persons_document_is_kept_nowhere() -> None:
    named = [
        Indicator(kind="phone", value="081 234 5678"),
        Indicator(kind="national_id", value="TH:1-1017-00230-70-8"),
        Indicator(kind="person", value="1101700230708"),
    ]
    kept = normalised(msgspec.structs.replace(report(), indicators=named)).indicators
    assert kept[0] == named[0]
    assert [one.kind for one in kept[1:]] == ["person", "person"]
    assert kept[1].value == normalise(Kind.PERSON, "TH:1101700230708")
    assert kept[2].value == UNREADABLE
    many = named[2:] * (PERSONS_PER_REPORT_MAX + 1)
    with pytest.raises(BadInput, match="persons"):
        normalised(msgspec.structs.replace(report(), indicators=many))


@pytest.mark.parametrize(
    "amount", ["0", "-1", "1.5", "9223372036854775808", "4611686018427387904", '"1"', "1e3", "null"]
)
def test_amounts_that_are_none_do_not_decode(amount: str) -> None:
    good = msgspec.json.encode(report()).decode()
    assert msgspec.json.decode(good, type=Report)
    bad = good.replace('"amount_minor":100', f'"amount_minor":{amount}')
    with pytest.raises(msgspec.ValidationError, match="payments"):
        msgspec.json.decode(bad, type=Report)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"reported_at":"2026-01-05T03:00:00Z"', '"reported_at":"2026-01-05T03:00:00"'),
        ('"channel":"hotline"', '"channel":"rumour"'),
        ('"narrative":""', '"narrative":"' + "x" * 20_001 + '"'),
        ('"narrative":""', '"nonsense":1'),
    ],
)
def test_what_the_contract_does_not_know_is_refused(old: str, new: str) -> None:
    text = msgspec.json.encode(report()).decode()
    assert old in text
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text.replace(old, new), type=Report)


def test_a_reporters_identity_is_not_printed() -> None:
    from openaoc.reports.model import Reporter

    assert "Somchai" not in repr(Reporter(name="Somchai"))


def test_an_anonymous_citizens_reference_names_nobody() -> None:
    named = msgspec.structs.replace(report(), source_ref="1")
    assert source_of(named, CITIZEN) is None
    assert source_of(named, Actor(id="usr_1", roles=frozenset({Role.AGENT}))) == "1"


@given(st.text(max_size=300))
def test_an_idempotency_key_is_short_and_printable(key: str) -> None:
    if len(key) > 128:
        with pytest.raises(TooLarge):
            check_key(key)
    elif not key.isprintable():
        with pytest.raises(BadInput):
            check_key(key)
    else:
        assert check_key(key) == (key or None)
