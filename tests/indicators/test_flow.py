"""From reports and partners to opinions, persons' decisions and public answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openaoc.exchange.protection.model import NewMark, Person, PersonsIdentifier, Sign
from openaoc.indicators.holding import held
from openaoc.indicators.model import (
    SAID_AT_ONCE_MAX,
    Indicator,
    NoSuchIndicator,
    Said,
    SourceKind,
    Status,
    WrongIndicatorState,
)
from openaoc.kernel.actor import CITIZEN, SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Identifier, Kind, normalise
from openaoc.kernel.limits import INDICATORS_PER_REPORT_MAX, PAYMENTS_PER_REPORT_MAX
from openaoc.kernel.offences import Offence
from openaoc.parties.model import PooledKind
from openaoc.parties.permissions import NotPermitted
from openaoc.reports.model import Indicator as Named
from openaoc.workflow.noticing import REPORTS_AT_ONCE_MAX
from tests.workflow.centre import ADMIN, INVESTIGATOR, SUPERVISOR, Centre, machine

PHONE = Identifier(kind=Kind.PHONE, value="+66812345678")
TRAINED = Actor(id="usr_trained", roles=frozenset({Role.PROTECTION_OFFICER}))
PERSON = Identifier(kind=Kind.PERSON, value=normalise(Kind.PERSON, "TH:1101700230708"))
MULE = Identifier(kind=Kind.BANK_ACCOUNT, value="SCB:222")


def known(centre: Centre, *wanted: Identifier) -> dict[Identifier, Indicator]:
    with centre.database.uow.read(INVESTIGATOR) as tx:
        found = centre.matter.indicators.find(tx, wanted)
    return {one.identifier: one for one in found}


def public(centre: Centre, identifier: Identifier) -> Status | None:
    with centre.database.uow.read(CITIZEN) as tx:
        return centre.matter.indicators.public_status(tx, identifier)


def hear(
    centre: Centre, partner: str = "VN-A05", ref: str = "indicator--1", *, of: Identifier = PHONE
) -> Indicator:
    said = Said(
        identifier=of,
        kind=SourceKind.PARTNER,
        source=f"partner:{partner}",
        ref=ref,
        at=centre.clock.now(),
        said_at=centre.clock.now(),
        offence=Offence.JOB,
    )
    with centre.database.uow.begin(SYSTEM) as tx:
        return centre.matter.indicators.hear(tx, [said])[0]


def decide(centre: Centre, one: Indicator, *, good: bool, reason: str = "called it") -> Indicator:
    with centre.database.uow.begin(SUPERVISOR) as tx:
        verbs = centre.matter.indicators
        verb = verbs.confirm if good else verbs.withdraw
        return verb(tx, one.id, reason=reason)


def mark(centre: Centre, kind: str, value: str) -> None:
    """Whose identifier it is may be a victim of trafficking."""
    whose = Person(identifiers=(PersonsIdentifier(kind=kind, value=value),))
    with centre.database.uow.begin(TRAINED) as tx:
        centre.matter.sharing.marking.mark(tx, NewMark(person=whose, signs=(Sign.CONFINED,)))


def actions(centre: Centre) -> list[str]:
    with centre.database.uow.read(SYSTEM) as tx:
        rows = tx.connection.exec_driver_sql(
            "select action from journal_rows where action like 'indicators.%%' order by id"
        )
        return [row[0] for row in rows]


def file(centre: Centre, *named: tuple[str, str]) -> str:
    paid = centre.pay("KBANK:111", "SCB:222", 5_000_00)
    indicators = [Named(kind=kind, value=value) for kind, value in named]
    receipt = centre.file(paid, indicators=indicators, scam_type="3")
    centre.matter.duties.run_due()
    return receipt.case


def test_a_report_proposes_what_it_names_and_where_the_money_went(centre: Centre) -> None:
    file(centre, ("phone", "081-234-5678"), ("phone", "not a number"), ("fax", "1"))
    found = known(centre, PHONE, MULE)
    assert set(found) == {PHONE, MULE}
    assert found[MULE].status is Status.PROPOSED
    assert found[MULE].confidence == 50
    assert found[MULE].scam_types == (Offence.JOB,)
    assert found[MULE].reports == 1
    assert actions(centre) == ["indicators.indicator.proposed"] * 2
    file(centre, ("mobile", "+66 81 234 5678"))
    again = known(centre, PHONE, MULE)
    assert again[PHONE].id == found[PHONE].id
    assert again[PHONE].reports == 2
    assert again[PHONE].confidence == 50  # one bank, one voice
    assert len(actions(centre)) == 2


def test_a_report_as_long_as_it_may_be_is_taken_with_others(centre: Centre) -> None:
    many = [("line", f"@shop{number}") for number in range(INDICATORS_PER_REPORT_MAX)]
    file(centre, *many)
    file(centre)
    with centre.database.uow.read(INVESTIGATOR) as tx:
        page = centre.matter.indicators.page(tx, kind=Kind.LINE)
    assert len(page.indicators) == INDICATORS_PER_REPORT_MAX
    longest = PAYMENTS_PER_REPORT_MAX + INDICATORS_PER_REPORT_MAX
    assert REPORTS_AT_ONCE_MAX * longest <= SAID_AT_ONCE_MAX


def test_an_account_of_many_is_nobodys_mule(centre: Centre) -> None:
    with centre.database.uow.begin(ADMIN) as tx:
        centre.matter.pooled.add(
            tx, code="SCB", account="222", kind=PooledKind.ACQUIRER, reason="card payments"
        )
    file(centre)
    assert known(centre, MULE) == {}


def test_public_answers_wait_until_the_holds_are_answered(centre: Centre) -> None:
    case = file(centre)
    found = known(centre, MULE)[MULE]
    assert found.under_pursuit
    decide(centre, found, good=True)
    assert public(centre, MULE) is None
    centre.matter.duties.run_due()
    assert public(centre, MULE) is None
    for order in centre.orders(case):
        centre.answer(order.order, order.institution, order.amount_minor)
    centre.matter.duties.run_due()
    assert not known(centre, MULE)[MULE].under_pursuit
    assert public(centre, MULE) is Status.CONFIRMED


def test_what_is_only_named_is_never_public(centre: Centre) -> None:
    hear(centre)
    assert known(centre, PHONE)[PHONE].status is Status.PROPOSED
    assert public(centre, PHONE) is None
    assert public(centre, MULE) is None


def test_a_withdrawal_reaches_public_answers_at_once(centre: Centre) -> None:
    one = hear(centre)
    decide(centre, one, good=True)
    assert public(centre, PHONE) is Status.CONFIRMED
    file(centre, ("phone", "0812345678"))
    assert known(centre, PHONE)[PHONE].under_pursuit
    decide(centre, one, good=False)
    assert public(centre, PHONE) is None


def test_what_is_a_possible_victims_is_gone_from_public_answers(centre: Centre) -> None:
    decide(centre, hear(centre), good=True)
    assert public(centre, PHONE) is Status.CONFIRMED
    mark(centre, "phone", "081 234 5678")
    assert public(centre, PHONE) is None


def test_partners_words_are_proposals_however_many(centre: Centre) -> None:
    for partner in "ABCDEFGH":
        one = hear(centre, partner)
    assert one.status is Status.PROPOSED
    assert one.confidence == 50


def test_what_a_person_withdrew_stays_so(centre: Centre) -> None:
    one = decide(centre, hear(centre), good=False)
    assert one.confidence == 0
    assert hear(centre, "KH", "indicator--2").status is Status.WITHDRAWN
    back = decide(centre, one, good=True)
    assert back.status is Status.CONFIRMED
    with pytest.raises(WrongIndicatorState):
        decide(centre, one, good=True)


def test_a_wrong_source_weighs_less_the_next_time(centre: Centre) -> None:
    decide(centre, hear(centre), good=False)
    said = Said(
        identifier=MULE,
        kind=SourceKind.PARTNER,
        source="partner:VN-A05",
        ref="indicator--9",
        at=centre.clock.now(),
        said_at=centre.clock.now(),
    )
    with centre.database.uow.begin(SYSTEM) as tx:
        assert centre.matter.indicators.hear(tx, [said])[0].confidence == 20
    with centre.database.uow.read(INVESTIGATOR) as tx:
        record = centre.matter.indicators.record(tx, "partner:VN-A05")
    assert (record.right, record.wrong) == (0, 1)


def test_a_partner_may_take_its_word_back(centre: Centre) -> None:
    hear(centre)
    hear(centre, "KH", "indicator--2")
    with centre.database.uow.begin(SYSTEM) as tx:
        verbs = centre.matter.indicators
        (one,) = verbs.take_back(tx, source="partner:VN-A05", ref="indicator--1", said_at=tx.now)
        assert (one.status, one.confidence) == (Status.PROPOSED, 30)
        assert (
            verbs.take_back(tx, source="partner:VN-A05", ref="indicator--1", said_at=tx.now) == []
        )
        assert verbs.take_back(tx, source="partner:KH", ref="indicator--1", said_at=tx.now) == []
        (one,) = verbs.take_back(tx, source="partner:KH", ref="indicator--2", said_at=tx.now)
    assert one.status is Status.WITHDRAWN
    assert actions(centre)[-1] == "indicators.indicator.retracted"


def test_what_only_a_partner_said_is_matched_with_nobody(centre: Centre) -> None:
    hear(centre)
    with centre.database.uow.read(SYSTEM) as tx:
        assert held(tx, [PHONE.kind.value], limit=10) == []
    file(centre, ("phone", PHONE.value))
    with centre.database.uow.read(SYSTEM) as tx:
        assert held(tx, [PHONE.kind.value], limit=10) == [PHONE]


def test_a_person_is_named_by_an_institution_and_matched_unless_a_victim(centre: Centre) -> None:
    document = ("national_id", "TH:1101700230708")
    file(centre, document)
    with centre.database.uow.read(SYSTEM) as tx:
        assert held(tx, [Kind.PERSON.value], limit=10) == [PERSON]
        rows = tx.connection.exec_driver_sql("select value from report_indicators").scalars()
        assert document[1][3:] not in "".join(rows)
    mark(centre, *document)
    with centre.database.uow.read(SYSTEM) as tx:
        names = [(PERSON.kind.value, PERSON.value)]
        assert centre.matter.sharing.agreed.protected(tx, names) == set(names)


def test_nobody_is_told_of_a_person(centre: Centre) -> None:
    decide(centre, hear(centre, of=PERSON), good=True)
    assert public(centre, PERSON) is None


def test_an_older_version_of_a_word_changes_nothing(centre: Centre) -> None:
    old = centre.clock.now()
    centre.clock.advance(timedelta(minutes=5))
    one = hear(centre)
    verbs = centre.matter.indicators
    with centre.database.uow.begin(SYSTEM) as tx:
        assert verbs.take_back(tx, source="partner:VN-A05", ref="indicator--1", said_at=old) == []
        now = centre.clock.now()
        (gone,) = verbs.take_back(tx, source="partner:VN-A05", ref="indicator--1", said_at=now)
        replayed = Said(
            identifier=PHONE,
            kind=SourceKind.PARTNER,
            source="partner:VN-A05",
            ref="indicator--1",
            at=old,
            said_at=old,
        )
        (still,) = verbs.hear(tx, [replayed])
    assert (gone.id, gone.confidence, still.confidence) == (one.id, 0, 0)


def test_opinions_age_and_are_renewed(centre: Centre) -> None:
    one = hear(centre)
    centre.clock.advance(timedelta(days=91))
    centre.matter.duties.run_due()
    assert known(centre, PHONE)[PHONE].status is Status.EXPIRED
    again = hear(centre, ref="indicator--2")
    assert (again.id, again.status) == (one.id, Status.PROPOSED)
    assert again.valid_until == centre.clock.now() + timedelta(days=90)


def test_who_may_look_and_decide(centre: Centre) -> None:
    one = hear(centre)
    with centre.database.uow.begin(machine("KBANK")) as tx:
        with pytest.raises(NotPermitted):
            centre.matter.indicators.show(tx, one.id)
        with pytest.raises(NotPermitted):
            centre.matter.indicators.confirm(tx, one.id, reason="sure")
        rows = tx.connection.exec_driver_sql("select count(*) from indicators").scalar_one()
        assert rows == 0
    with centre.database.uow.begin(SUPERVISOR) as tx:
        with pytest.raises(NotPermitted):
            centre.matter.indicators.hear(tx, [])
        with pytest.raises(BadInput):
            centre.matter.indicators.confirm(tx, one.id, reason=" ")
        with pytest.raises(NoSuchIndicator):
            centre.matter.indicators.show(tx, "indicator--none")


def test_pages_show_each_once(centre: Centre) -> None:
    for number in range(5):
        centre.clock.advance(timedelta(seconds=number % 2))
        said = Said(
            identifier=Identifier(kind=Kind.LINE, value=f"@shop{number}"),
            kind=SourceKind.CITIZEN,
            source="citizen",
            ref=f"rep_{number}",
            at=centre.clock.now(),
            said_at=centre.clock.now(),
        )
        with centre.database.uow.begin(SYSTEM) as tx:
            centre.matter.indicators.hear(tx, [said])
    seen: list[str] = []
    cursor = None
    with centre.database.uow.read(INVESTIGATOR) as tx:
        while True:
            page = centre.matter.indicators.page(tx, kind=Kind.LINE, cursor=cursor, limit=2)
            seen += [one.value for one in page.indicators]
            cursor = page.cursor
            if cursor is None:
                break
        with pytest.raises(BadInput):
            centre.matter.indicators.page(tx, cursor="nonsense")
    assert sorted(seen) == [f"@shop{number}" for number in range(5)]
