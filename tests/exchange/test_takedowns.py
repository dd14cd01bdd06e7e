"""Take-downs: from a confirmed indicator to a signed receipt, and back, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import msgspec
import pytest

from openaoc.channels.signing import BadSignature, SigningKey, new_signing_key, sign
from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.model import PartnerKind, SecondPerson
from openaoc.exchange.objects import ObjectKind
from openaoc.exchange.protection.model import NewMark, Person, PersonsIdentifier, Sign
from openaoc.exchange.takedowns.asking import NotConfirmed
from openaoc.exchange.takedowns.documents import Form, document
from openaoc.exchange.takedowns.model import (
    Answer,
    Done,
    NeverWhole,
    NewTakedown,
    NoSuchTakedown,
    Outcome,
    Receipt,
    ReceivedTakedown,
    State,
    Takedown,
    Target,
)
from openaoc.exchange.takedowns.saying import said_of
from openaoc.kernel.actor import SYSTEM, Actor, Role
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
TRAINED = Actor(id="usr_trained", roles=frozenset({Role.PROTECTION_OFFICER}))


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
    assert report["domain"] == "paper.com"
    assert one.released is not None
    fields = {**one.released.fields, "value": "http://8.8.8.8/login"}
    bare = msgspec.structs.replace(
        one, released=msgspec.structs.replace(one.released, fields=fields)
    )
    number = json.loads(document(bare, form=Form.XARF, centre="TH-AOC", contact="a@aoc.example"))
    assert (number["source_identifier"], "domain" in number) == ("8.8.8.8", False)
    again = msgspec.structs.replace(one, revision=2)
    later = json.loads(document(again, form=Form.XARF, centre="TH-AOC", contact="a@aoc.example"))
    assert later["report_id"] != report["report_id"] == one.id.partition("--")[2]
    assert f"openaoc:{one.id}" in later["tags"]
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
    assert (heard(abroad, one.id).state, heard(abroad, one.id).restore) == (State.WITHDRAWN, True)
    restored = Answer(outcome=Outcome.RESTORED)
    with abroad.database.uow.begin(SUPERVISOR) as tx:
        receiving.answer(tx, one.id, restored, partner="TH-AOC")
    abroad.between.outreach.run()
    assert now(home, one.id).state is State.RESTORED
    over = heard(abroad, one.id)
    assert (over.state, over.restore) == (State.RESTORED, False)
    assert over.request.fields["value"] == "withdrawn", "nothing is left to do about it"
    other = sent(home, new(confirmed(home, Kind.DOMAIN, "vn-shop.com"), partner="VN-AOC"))
    home.between.outreach.run()
    refused = Answer(outcome=Outcome.REFUSED, reason="the court has to say so")
    with abroad.database.uow.begin(INVESTIGATOR) as tx:
        receiving.answer(tx, other.id, refused, partner="TH-AOC")
    with abroad.database.uow.read(SYSTEM) as tx:
        figures = abroad.matter.sharing.requests.figures(tx).countries
    assert [(f.received, f.met, f.refused) for f in figures] == [(2, 1, 1)]


def heard(abroad: Country, takedown_id: str) -> ReceivedTakedown:
    """As the centre that was asked has it."""
    with abroad.database.uow.read(SUPERVISOR) as tx:
        page = abroad.between.outreach.takedowns.receiving.page(tx)
    return next(each for each in page.takedowns if each.id == takedown_id)


def protect(home: Country, account: str) -> None:
    """A trained person marks the account's holder as a possible victim."""
    whose = Person(identifiers=(PersonsIdentifier(kind="bank_account", value=account),))
    with home.database.uow.begin(TRAINED) as tx:
        new = NewMark(person=whose, signs=(Sign.ACCOUNT_TAKEN,))
        home.matter.sharing.marking.mark(tx, new)


def looked_at(home: Country, account: str, partner: str = "VN-AOC") -> Takedown:
    indicator = confirmed(home, Kind.BANK_ACCOUNT, account)
    return sent(home, new(indicator, partner=partner, target=Target.MONEY_ACCOUNT))


def test_a_mark_takes_back_what_was_asked_about_the_account_and_says_it_no_more(
    pair: tuple[Country, Country, SigningKey],
) -> None:
    home, abroad, _ = pair
    idle, acted, crossing = (f"KBANK:77{number}4567" for number in range(3))
    asked = {account: looked_at(home, account) for account in (idle, acted, crossing)}
    home.between.outreach.run()
    for account, one in asked.items():
        assert heard(abroad, one.id).request.fields["value"] == account
    receiving = abroad.between.outreach.takedowns.receiving
    restricted = Answer(outcome=Outcome.DONE, done=(Done.RESTRICTED,))
    with abroad.database.uow.begin(INVESTIGATOR) as tx:
        receiving.answer(tx, asked[acted].id, restricted, partner="TH-AOC")
    abroad.between.outreach.run()
    with abroad.database.uow.begin(INVESTIGATOR) as tx:  # said, and not carried yet
        receiving.answer(tx, asked[crossing].id, restricted, partner="TH-AOC")
    for account in asked:
        protect(home, account)
    home.between.outreach.run()
    found = {account: heard(abroad, one.id) for account, one in asked.items()}
    assert {one.state for one in found.values()} == {State.WITHDRAWN}
    assert [one.restore for one in found.values()] == [False, True, True]
    assert found[idle].request.fields["value"] == "withdrawn"
    assert found[acted].request.fields["value"] == acted, "else nobody could restore it"
    assert found[crossing].request.fields["value"] == crossing
    for left in (each.request for each in found.values()):
        assert set(left.fields) == {"identifier_kind", "value", "target"}
        assert left.revoked
    with home.database.uow.read(partner_user("VN-AOC")) as tx:
        seen = home.between.outreach.takedowns.asking.of_partner(
            tx, "VN-AOC", cursor=None, limit=50
        )
        notices = home.matter.sharing.exchange.recalling.notices(tx).notices
    told = msgspec.json.encode(seen).decode()
    assert idle not in told
    assert acted in told
    ours = [n for n in notices if n.object_id in {one.id for one in asked.values()}]
    assert [notice.reason for notice in ours] == ["withdrawn"] * 3, "once, and never why"
    letter = document(
        now(home, asked[idle].id), form=Form.TEXT, centre="TH-AOC", contact="a@aoc.example"
    )
    assert idle not in letter
    abroad.between.outreach.run()
    assert now(home, asked[crossing].id).acted, "the answer that crossed is kept"
    with abroad.database.uow.begin(INVESTIGATOR) as tx:
        restored = Answer(outcome=Outcome.RESTORED)
        receiving.answer(tx, asked[acted].id, restored, partner="TH-AOC")
    abroad.between.outreach.run()
    after = now(home, asked[acted].id)
    assert after.state is State.RESTORED
    assert said_of(after).fields["value"] == "withdrawn"
    assert heard(abroad, asked[acted].id).request.fields["value"] == "withdrawn"


def test_what_was_withdrawn_before_the_mark_says_no_more_either(
    pair: tuple[Country, Country, SigningKey],
) -> None:
    home, abroad, _ = pair
    account = "KBANK:7794567"
    one = looked_at(home, account)
    home.between.outreach.run()
    with home.database.uow.begin(SUPERVISOR) as tx:
        takedowns = home.between.outreach.takedowns.asking
        takedowns.withdraw(tx, one.id, words="not wanted any more", wrong=False)
    home.between.outreach.run()
    before = heard(abroad, one.id)
    assert (before.state, before.request.fields["value"]) == (State.WITHDRAWN, account)
    for _ in range(2):
        protect(home, account)
        home.between.outreach.run()
    after = heard(abroad, one.id)
    assert after.state is State.WITHDRAWN
    assert after.request.fields["value"] == "withdrawn"
    assert after.revision == before.revision + 1, "once, however often it is marked"
    with home.database.uow.read(SYSTEM) as tx:
        view = home.matter.sharing.exchange.view(
            tx, "VN-AOC", after=0, limit=1_000, kinds=list(ObjectKind)
        )
    assert account not in msgspec.json.encode(view).decode()
    assert one.id in {each.object.id for each in view.objects}
