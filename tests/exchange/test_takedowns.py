"""Take-downs: from a confirmed indicator to a signed receipt, and back, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import resources

import msgspec
import pytest

from openaoc.channels.signing import BadSignature, SigningKey, new_signing_key, sign
from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.model import PartnerKind, SecondPerson
from openaoc.exchange.objects import ObjectKind
from openaoc.exchange.takedowns.asking import NotConfirmed
from openaoc.exchange.takedowns.clocks import (
    FILE,
    PACKAGE,
    read_rules,
    shared_hosts,
    takedown_rules,
)
from openaoc.exchange.takedowns.collateral import collateral_of
from openaoc.exchange.takedowns.documents import Form, document
from openaoc.exchange.takedowns.model import (
    TRANSITIONS,
    Answer,
    Done,
    NeverWhole,
    NewTakedown,
    NoSuchTakedown,
    Outcome,
    Receipt,
    State,
    Step,
    Takedown,
    Target,
    WrongTakedownStep,
    after_step,
)
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.kernel.identifiers.kinds import Kind
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from tests.conftest import START
from tests.exchange.outreach_site import (
    BASIS,
    GRANTS,
    agree,
    company,
    confirmed,
    grant_all,
    partner_user,
)
from tests.exchange.two import Country
from tests.workflow.centre import INVESTIGATOR, SECOND, SUPERVISOR

Owner = Callable[[], dict[str, str]]
BANK = "TH-HOST"


@pytest.fixture(scope="module")
def pair(
    make_shared_owner: Owner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Country, Country, SigningKey]]:
    """Two centres with an agreement, on one clock, and a host at home that has no system."""
    clock, made = ManualClock(START), []
    for code in ("TH-AOC", "VN-AOC"):
        folder = tmp_path_factory.mktemp(code)
        database = connect_database(make_shared_owner(), keys=Keyring(folder / "keys"), clock=clock)
        made.append(Country(database, folder, clock, code=code))
    home, abroad = made
    home.befriend(abroad, country="VN", grants=GRANTS)
    abroad.befriend(home, country="SG", grants=GRANTS)
    key = company(home, BANK, kind=PartnerKind.HOST)
    yield home, abroad, key
    for country in made:
        country.close()
        country.database.close()


def new(indicator: str, partner: str = BANK, **changes: object) -> NewTakedown:
    usual = NewTakedown(
        partner=partner,
        indicator=indicator,
        target=Target.SITE,
        reason="it copies a bank's page and asks for passwords",
        legal_basis=BASIS,
        others="none",
    )
    return msgspec.structs.replace(usual, **changes)


def approved(home: Country, asked: NewTakedown) -> Takedown:
    """Drafted, and approved by as many persons as it takes."""
    takedowns = home.between.outreach.takedowns.asking
    with home.database.uow.begin(INVESTIGATOR) as tx:
        one = takedowns.draft(tx, asked)
    for actor in (INVESTIGATOR, SUPERVISOR)[: 2 if one.two_persons else 1]:
        with home.database.uow.begin(actor) as tx:
            one = takedowns.approve(tx, one.id, words="looked at it")
    assert one.state is State.APPROVED
    return one


def now(home: Country, takedown_id: str) -> Takedown:
    with home.database.uow.read(SUPERVISOR) as tx:
        return home.between.outreach.takedowns.asking.show(tx, takedown_id)


def sent(home: Country, asked: NewTakedown) -> Takedown:
    one = approved(home, asked)
    home.between.outreach.run()
    one = now(home, one.id)
    assert one.state is State.SENT, one.why
    return one


def receipt(
    home: Country,
    key: SigningKey | None,
    one: Takedown,
    outcome: Outcome,
    *,
    number: int = 1,
    partner: str = BANK,
    done: tuple[Done, ...] = (),
    reason: str = "",
) -> Takedown:
    """A receipt as the partner's system sends it, signed unless there is no key."""
    said = Receipt(takedown=one.id, number=number, outcome=outcome, done=done, reason=reason)
    body = msgspec.json.encode(said)
    signature = None
    if key is not None:
        signature = sign(
            body,
            key=key,
            method="RECEIPT",
            path=one.id,
            now=home.clock.now(),
            audience=home.code,
        )
    with home.database.uow.begin(SYSTEM) as tx:
        return home.between.outreach.takedowns.receipts.take(
            tx, partner, body=body, signature=signature, by="usr_them"
        )


# Pure.


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


# A company at home.


def test_from_an_indicator_to_a_signed_receipt(pair: tuple[Country, Country, SigningKey]) -> None:
    home, _, key = pair
    indicator = confirmed(home, Kind.DOMAIN, "kbank-login.com")
    one = sent(home, new(indicator))
    assert one.two_persons == ()
    assert one.sent_at is not None
    assert one.acknowledge_by == one.sent_at + timedelta(hours=4)
    with home.database.uow.read(partner_user(BANK)) as tx:
        (seen,) = home.between.outreach.takedowns.asking.of_partner(
            tx, BANK, cursor=None, limit=10
        ).takedowns
    assert seen.request.fields["value"] == "kbank-login.com"
    assert "reports" in seen.request.fields
    with home.database.uow.read(SUPERVISOR) as tx:
        row = home.matter.sharing.exchange.released(tx, object_id=one.id).releases[0]
    assert (row.partner, row.kind) == (BANK, ObjectKind.TAKE_DOWN)
    assert receipt(home, key, one, Outcome.ACKNOWLEDGED).state is State.ACKNOWLEDGED
    done = receipt(home, key, one, Outcome.DONE, number=2, done=(Done.SUSPENDED,))
    assert (done.state, done.receipts[-1].kid) == (State.DONE, key.kid)
    assert receipt(home, key, one, Outcome.DONE, number=2, done=(Done.SUSPENDED,)) == done
    with pytest.raises(Conflict):
        receipt(home, key, one, Outcome.DONE, number=2, done=(Done.REMOVED,))
    takedowns = home.between.outreach.takedowns.asking
    with home.database.uow.begin(INVESTIGATOR) as tx:
        assert takedowns.look(tx, one.id, gone=True, words="no answer").state is State.VERIFIED
    with home.database.uow.begin(INVESTIGATOR) as tx:
        back = takedowns.look(tx, one.id, gone=False, words="it is there again")
    assert back.state is State.REOPENED
    home.between.outreach.run()
    again = now(home, one.id)
    assert (again.state, again.revision) == (State.SENT, 2)
    assert (
        receipt(home, None, again, Outcome.REFUSED, number=3, reason="the customer moved it away")
        .receipts[-1]
        .kid
        is None
    )


def test_a_receipt_is_believed_from_its_partner_alone(
    pair: tuple[Country, Country, SigningKey],
) -> None:
    home, _, key = pair
    one = sent(home, new(confirmed(home, Kind.DOMAIN, "kbank-two.com")))
    with pytest.raises(BadSignature):
        receipt(home, new_signing_key(kid=key.kid), one, Outcome.ACKNOWLEDGED)
    with pytest.raises(NoSuchTakedown):
        receipt(home, None, one, Outcome.ACKNOWLEDGED, partner="VN-AOC")
    with pytest.raises(BadInput):
        receipt(home, key, one, Outcome.DONE, done=(Done.DISCONNECTED,))
    with home.database.uow.begin(SYSTEM) as tx, pytest.raises(BadInput):
        home.between.outreach.takedowns.receipts.take(tx, BANK, body=b"{}", signature=None, by="x")
    assert now(home, one.id).state is State.SENT


def test_only_what_a_person_confirmed_is_asked_for(
    pair: tuple[Country, Country, SigningKey],
) -> None:
    home, _, _ = pair
    proposed = confirmed(home, Kind.DOMAIN, "only-named.com", confirm=False)
    good = confirmed(home, Kind.DOMAIN, "kbank-three.com")
    phone = confirmed(home, Kind.PHONE, "+66811111111")
    takedowns = home.between.outreach.takedowns.asking
    for asked, error in (
        (new(proposed), NotConfirmed),
        (new(good, target=Target.NUMBER), BadInput),
        (new(good, partner="VN-AOC", target=Target.APP), BadInput),
        (new(phone, target=Target.NUMBER), BadInput),
        (new(good, asks=(Done.DISCONNECTED,)), BadInput),
        (new(good, reason="ask Mr Lee at 081-222-3333"), BadInput),
        (new(good, others=""), BadInput),
        (new(confirmed(home, Kind.DOMAIN, "lin.ee")), NeverWhole),
    ):
        with home.database.uow.begin(INVESTIGATOR) as tx, pytest.raises(error):
            takedowns.draft(tx, asked)
    first = approved(home, new(good))
    with home.database.uow.begin(INVESTIGATOR) as tx, pytest.raises(Conflict):
        takedowns.draft(tx, new(good))
    assert first.state is State.APPROVED


def test_clocks_remind_and_give_up(pair: tuple[Country, Country, SigningKey]) -> None:
    home, _, _ = pair
    one = sent(home, new(confirmed(home, Kind.DOMAIN, "kbank-slow.com")))
    home.clock.advance(timedelta(hours=5))
    home.between.outreach.run()
    late = now(home, one.id)
    assert (late.reminders, late.overdue(home.clock.now())) == (1, "acknowledge")
    home.between.outreach.run()
    assert now(home, one.id).reminders == 1
    with home.database.uow.read(SUPERVISOR) as tx:
        shown = home.between.outreach.takedowns.asking.page(tx, overdue=True, partner=BANK)
    assert one.id in [each.id for each in shown.takedowns]
    home.clock.advance(timedelta(days=30))
    home.between.outreach.run()
    assert now(home, one.id).state is State.EXPIRED
    late_word = receipt(home, None, one, Outcome.DONE, done=(Done.REMOVED,))
    assert late_word.state is State.DONE


def test_an_objection_upheld_takes_it_back_and_asks_to_restore(
    pair: tuple[Country, Country, SigningKey],
) -> None:
    home, _, key = pair
    one = sent(home, new(confirmed(home, Kind.DOMAIN, "honest-shop.com")))
    receipt(home, key, one, Outcome.DONE, done=(Done.SUSPENDED,))
    takedowns = home.between.outreach.takedowns.asking
    with home.database.uow.begin(INVESTIGATOR) as tx:
        takedowns.object(tx, one.id, words="the owner shows the shop's licence")
    with home.database.uow.begin(INVESTIGATOR) as tx, pytest.raises(SecondPerson):
        takedowns.decide(tx, one.id, upheld=True, words="mine")
    with home.database.uow.begin(SECOND) as tx:
        gone = takedowns.decide(tx, one.id, upheld=True, words="the licence is good")
    assert (gone.state, gone.wrong) == (State.WITHDRAWN, True)
    with home.database.uow.read(partner_user(BANK)) as tx:
        notices = home.matter.sharing.exchange.recalling.notices(tx).notices
        seen = takedowns.asked_of(tx, BANK, one.id)
    assert one.id in [notice.object_id for notice in notices]
    assert (seen.restore, seen.request.revoked) == (True, True)
    assert receipt(home, key, one, Outcome.RESTORED, number=2).state is State.RESTORED


def test_what_it_rests_on_falls_and_takes_it_along(
    pair: tuple[Country, Country, SigningKey],
) -> None:
    home, _, _ = pair
    indicator = confirmed(home, Kind.DOMAIN, "was-wrong.com")
    one = sent(home, new(indicator))
    with home.database.uow.begin(SUPERVISOR) as tx:
        home.matter.indicators.withdraw(tx, indicator, reason="a mistake")
    assert (now(home, one.id).state, now(home, one.id).wrong) == (State.WITHDRAWN, True)


def test_no_grant_no_request_and_it_says_so(pair: tuple[Country, Country, SigningKey]) -> None:
    home, _, _ = pair
    hidden = {ObjectKind.TAKE_DOWN: grant_all(ObjectKind.TAKE_DOWN, value=Minimisation.MASKED)}
    other = {ObjectKind.INDICATOR: grant_all(ObjectKind.INDICATOR)}
    for number, grants in enumerate((hidden, other)):
        code = f"TH-HOST{number}"
        company(home, code, kind=PartnerKind.HOST, grants=grants)
        asked = new(confirmed(home, Kind.DOMAIN, f"kept-{number}.com"), partner=code)
        one = approved(home, asked)
        home.between.outreach.run()
        stays = now(home, one.id)
        assert (stays.state, stays.released) == (State.APPROVED, None)
        assert stays.why
        with home.database.uow.read(partner_user(code)) as tx:
            seen = home.between.outreach.takedowns.asking.of_partner(tx, code, cursor=None, limit=9)
        assert seen.takedowns == []
    agree(home, "TH-HOST0", grants=GRANTS)
    home.clock.advance(timedelta(minutes=11))
    home.between.outreach.run()
    with home.database.uow.read(partner_user("TH-HOST0")) as tx:
        seen = home.between.outreach.takedowns.asking.of_partner(
            tx, "TH-HOST0", cursor=None, limit=9
        )
    assert len(seen.takedowns) == 1


def test_documents_for_who_has_no_system(pair: tuple[Country, Country, SigningKey]) -> None:
    home, _, _ = pair
    one = sent(home, new(confirmed(home, Kind.URL, "https://paper.com/login")))
    report = json.loads(document(one, form=Form.XARF, centre="TH-AOC", contact="abuse@aoc.example"))
    for name in ("report_id", "timestamp", "source_identifier", "url", "fraud_type"):
        assert report[name], name
    assert (report["category"], report["type"]) == ("content", "fraud")
    assert set(report["reporter"]) == {"org", "contact", "domain"}
    assert report["reporter"]["domain"] == "aoc.example"
    letter = document(one, form=Form.TEXT, centre="TH-AOC", contact="abuse@aoc.example")
    assert "hxxps://paper[.]com/login" in letter
    assert one.id in letter
    with pytest.raises(BadInput):
        document(one, form=Form.TEXT, centre="TH-AOC", contact="")
    typed = Answer(outcome=Outcome.DONE, done=(Done.REMOVED,), reference="T-77")
    with home.database.uow.begin(INVESTIGATOR) as tx:
        after = home.between.outreach.takedowns.receipts.typed(tx, one.id, typed)
    assert (after.state, after.receipts[0].by) == (State.DONE, INVESTIGATOR.id)


# A centre abroad, over HTTP.


def test_a_centre_abroad_answers_with_its_signature(
    pair: tuple[Country, Country, SigningKey],
) -> None:
    home, abroad, _ = pair
    indicator = confirmed(home, Kind.DOMAIN, "vn-host-scam.com")
    one = approved(home, new(indicator, partner="VN-AOC"))
    assert "abroad" in one.two_persons[0]
    home.fault = abroad.fault = lambda: None
    abroad.fault = iter(["down", "cut", None, None, None, None, None]).__next__
    for _ in range(4):
        home.between.outreach.run()
        home.clock.advance(timedelta(minutes=1))
    abroad.fault = lambda: None
    with abroad.database.uow.read(SUPERVISOR) as tx:
        asked = [
            each
            for each in abroad.between.outreach.takedowns.receiving.page(tx).takedowns
            if each.id == one.id
        ]
    assert [each.request.fields["value"] for each in asked] == ["vn-host-scam.com"]
    assert now(home, one.id).delivered_at is not None
    receiving = abroad.between.outreach.takedowns.receiving
    for answer in (
        Answer(outcome=Outcome.ACKNOWLEDGED),
        Answer(outcome=Outcome.DONE, done=(Done.REMOVED,), reference="VN-9"),
    ):
        with abroad.database.uow.begin(INVESTIGATOR) as tx:
            receiving.answer(tx, one.id, answer, partner="TH-AOC")
        abroad.between.outreach.run()
    done = now(home, one.id)
    assert done.state is State.DONE
    assert [kept.receipt.outcome.value for kept in done.receipts] == ["acknowledged", "done"]
    assert done.receipts[-1].kid == abroad.keys.current().kid
    assert done.receipts[-1].receipt.reference == "VN-9"
    takedowns = home.between.outreach.takedowns.asking
    with home.database.uow.begin(SUPERVISOR) as tx:
        takedowns.withdraw(tx, one.id, words="it was a hospital's page", wrong=True)
    home.between.outreach.run()
    with abroad.database.uow.read(SUPERVISOR) as tx:
        heard = next(each for each in receiving.page(tx).takedowns if each.id == one.id)
    assert (heard.state, heard.restore) == (State.WITHDRAWN, True)
    restored = Answer(outcome=Outcome.RESTORED)
    with abroad.database.uow.begin(SUPERVISOR) as tx:
        receiving.answer(tx, one.id, restored, partner="TH-AOC")
    abroad.between.outreach.run()
    assert now(home, one.id).state is State.RESTORED
    with abroad.database.uow.read(SYSTEM) as tx:
        figures = abroad.matter.sharing.requests.figures(tx).countries
    assert [(f.received, f.met) for f in figures] == [(1, 1)]
