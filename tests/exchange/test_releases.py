"""What leaves, to whom, what is taken back, and what nobody gets."""

from __future__ import annotations

import itertools
from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openaoc.exchange.agreement import Agreement, Grant, Minimisation
from openaoc.exchange.ledger_model import AskedExplanation, NewApproval, NewRecall, RecallKind
from openaoc.exchange.model import NoAgreement, NoSuchObject
from openaoc.exchange.objects import (
    FIELDS,
    ObjectKind,
    SharedObject,
    new_object_id,
)
from openaoc.exchange.release import Reason, Released, Withheld
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.parties.permissions import NotPermitted
from tests.exchange.sharing_site import (
    AS_IS,
    INDICATOR_GRANT,
    INVESTIGATOR,
    OFFICER,
    SUPERVISOR,
    Site,
    partner_user,
)

K = ObjectKind
DAY = timedelta(days=1)


def reasons(result: Released | Withheld) -> tuple[Reason, ...]:
    return result.reasons if isinstance(result, Withheld) else ()


def test_what_leaves_is_in_the_ledger_before_it_is_shown(site: Site) -> None:
    agreed = site.agree("SG-SPF")
    one = site.indicator()
    (outcome,) = site.offer("SG-SPF", one)
    assert isinstance(outcome.result, Released)
    assert set(outcome.result.object.fields) == {"identifier_kind", "value", "status", "valid_from"}
    with site.uow.read(OFFICER) as tx:
        (row,) = site.exchange.released(tx).releases
    assert (row.partner, row.agreement, row.object_id) == ("SG-SPF", agreed.id, one.id)
    assert row.purpose is Offence.INVESTMENT
    assert set(row.fields) == {"identifier_kind", "value", "status", "valid_from"}
    assert row.keep_until == site.clock.now() + timedelta(days=30)
    assert site.has("SG-SPF") == site.has("SG-SPF", as_user=True) == [one.id]


def test_the_same_again_is_nothing_and_a_change_takes_its_place(site: Site) -> None:
    site.agree("SG-SPF")
    one = site.indicator()
    site.offer("SG-SPF", one)
    (again,) = site.offer("SG-SPF", msgspec.structs.replace(one, modified=site.clock.advance(DAY)))
    assert not again.fresh
    ended = msgspec.structs.replace(one, fields={**one.fields, "status": "expired"})
    site.offer("SG-SPF", ended)
    assert site.has("SG-SPF") == [one.id]
    with site.uow.read(OFFICER) as tx:
        assert [row.ended_as for row in site.exchange.released(tx).releases] == [None, "superseded"]


def test_without_an_agreement_in_force_nothing_leaves(site: Site) -> None:
    site.partner("SG-SPF")
    one = site.indicator()
    assert reasons(site.offer("SG-SPF", one)[0].result) == (Reason.NO_AGREEMENT,)
    site.key("SG-SPF")
    agreed = site.approve(site.draft("SG-SPF").id)
    with site.uow.begin(OFFICER) as tx:
        site.agreements.suspend(tx, agreed.id, reason="at once")
    assert reasons(site.offer("SG-SPF", one)[0].result) == (Reason.NO_AGREEMENT,)
    with pytest.raises(NoAgreement), site.uow.begin(SYSTEM) as tx:
        site.exchange.release(tx, one, partner="SG-SPF")
    assert site.has("SG-SPF") == []


def test_who_left_gets_nothing_more_but_hears_of_what_was_wrong(site: Site) -> None:
    agreed = site.agree("SG-SPF")
    one, later = site.indicator(), site.indicator()
    site.offer("SG-SPF", one)
    with site.uow.begin(OFFICER) as tx:
        site.agreements.end(tx, agreed.id, reason="given up")
    site.shelf.put(later)
    assert site.sharing.publishing.publish_due() == 0
    site.offer("SG-SPF", later)
    assert site.has("SG-SPF") == site.has("SG-SPF", as_user=True) == []
    with site.uow.begin(OFFICER) as tx:
        site.exchange.recalling.recall(
            tx, NewRecall(object=one.id, kind=RecallKind.WITHDRAWN, reason="a shop's number")
        )
    assert site.told("SG-SPF") == [(one.id, "withdrawn")]
    assert site.has("SG-SPF") == []


def test_a_recall_reaches_who_received_and_nobody_else(site: Site) -> None:
    for code in ("AA", "BB", "CC"):
        site.agree(code)
    one, other = site.indicator(), site.indicator()
    site.offer("AA", one, other)
    site.offer("BB", one)
    site.offer("CC", other)
    with site.uow.begin(INVESTIGATOR) as tx:
        done = site.exchange.recalling.recall(
            tx, NewRecall(object=one.id, kind=RecallKind.WITHDRAWN, reason="a shop's number")
        )
    assert done.partners == ["AA", "BB"]
    assert site.told("AA") == site.told("BB") == [(one.id, "withdrawn")]
    assert site.told("CC") == []
    assert site.has("AA") == [other.id, f"-{one.id}"]
    with site.uow.begin(INVESTIGATOR) as tx:
        again = site.exchange.recalling.recall(
            tx, NewRecall(object=one.id, kind=RecallKind.WITHDRAWN, reason="once more")
        )
    assert again.partners == []
    for nothing in ("", "+66812345678"):
        with pytest.raises(BadInput), site.uow.begin(INVESTIGATOR) as tx:
            site.exchange.recalling.recall(
                tx, NewRecall(object=nothing, kind=RecallKind.EXPIRED, reason="no id")
            )
    with pytest.raises(NotPermitted), site.uow.begin(partner_user("AA")) as tx:
        site.exchange.recalling.recall(
            tx, NewRecall(object=other.id, kind=RecallKind.WITHDRAWN, reason="not theirs")
        )


def test_what_was_recalled_reaches_nobody_before_it_is_changed(site: Site) -> None:
    site.agree("AA")
    one = site.indicator()
    site.shelf.put(one)
    with site.uow.begin(OFFICER) as tx:
        site.exchange.recalling.recall(
            tx, NewRecall(object=one.id, kind=RecallKind.WITHDRAWN, reason="a shop's number")
        )
    site.sharing.publishing.publish_due()
    site.agree("BB")
    site.sharing.publishing.publish_due()
    assert site.has("AA") == site.has("BB") == []
    assert site.told("AA") == site.told("BB") == []
    later = site.clock.advance(DAY)
    site.shelf.put(msgspec.structs.replace(one, modified=later))
    site.sharing.publishing.publish_due()
    assert site.has("AA") == site.has("BB") == [one.id]


def test_a_correction_leaves_the_object_in_place(site: Site) -> None:
    site.agree("AA")
    one = site.indicator()
    site.offer("AA", one)
    with site.uow.begin(OFFICER) as tx:
        site.exchange.recalling.recall(
            tx, NewRecall(object=one.id, kind=RecallKind.CORRECTED, reason="another bank")
        )
    site.offer("AA", msgspec.structs.replace(one, fields={**one.fields, "status": "review"}))
    assert (site.told("AA"), site.has("AA")) == ([(one.id, "corrected")], [one.id])


def test_what_may_not_be_there_any_more_is_taken_back(site: Site) -> None:
    site.agree("AA")
    raised, victim, wrong = site.indicator(), site.indicator(), site.indicator()
    site.shelf.put(raised, victim, wrong)
    site.sharing.publishing.publish_due()
    site.shelf.put(
        msgspec.structs.replace(raised, marking=Marking.RED),
        msgspec.structs.replace(victim, possible_victim=True),
        msgspec.structs.replace(wrong, revoked=True),
    )
    site.offer("AA", *site.shelf.items)
    assert sorted(site.has("AA")) == sorted(f"-{one.id}" for one in (raised, victim, wrong))
    with site.uow.read(partner_user("AA")) as tx:
        told = {n.object_id: n.reason for n in site.exchange.recalling.notices(tx).notices}
    assert told[raised.id] == told[victim.id] == "withdrawn", "why is not the partner's business"
    assert told[wrong.id] == Reason.REVOKED.value


def test_a_new_member_gets_the_history_it_may_have(site: Site) -> None:
    old = site.indicator()
    site.clock.advance(100 * DAY)
    recent = site.indicator()
    site.clock.advance(30 * DAY)
    site.shelf.put(old, recent, site.indicator(marking=Marking.RED))
    site.agree("AA")
    site.sharing.publishing.publish_due()
    assert site.has("AA") == [recent.id]
    fresh = site.indicator()
    site.shelf.put(fresh)
    site.sharing.publishing.publish_due()
    assert site.has("AA") == [recent.id, fresh.id]
    assert site.sharing.publishing.publish_due() == 0


def test_a_fault_in_one_object_keeps_no_other_back(site: Site) -> None:
    site.agree("AA")
    first, last = site.indicator(), site.indicator()
    site.shelf.put(first, site.indicator(fields={"no_such_field": "x"}), last)
    site.sharing.publishing.publish_due()
    assert site.has("AA") == [first.id, last.id]


def test_a_narrower_version_takes_back_what_it_does_not_grant(site: Site) -> None:
    site.agree("AA")
    phone = site.indicator()
    link = site.indicator(fields={"identifier_kind": "domain", "value": "a.example"})
    site.shelf.put(phone, link)
    site.sharing.publishing.publish_due()
    narrow = Grant(fields={"value": Minimisation.AS_IS}, identifier_kinds=("domain",))
    site.agree("AA", grants={K.INDICATOR: narrow})
    assert site.has("AA") == [], "nothing of the old version is shown under the new one"
    site.sharing.publishing.publish_due()
    assert site.has("AA") == [link.id], "what the old version let be known is not told again"
    assert site.told("AA") == [(phone.id, "withdrawn")]


def test_the_same_under_a_newer_version_stays_where_it_is(site: Site) -> None:
    site.agree("AA")
    one = site.indicator()
    site.shelf.put(one)
    site.sharing.publishing.publish_due()
    site.agree("AA")
    site.sharing.publishing.publish_due()
    assert site.has("AA") == [one.id]
    with site.uow.read(OFFICER) as tx:
        assert len(site.exchange.released(tx).releases) == 1
    never = site.indicator()
    site.clock.advance(20 * DAY)
    site.agree("AA", starts_at=site.clock.now(), history_days=0)
    site.shelf.put(never)
    site.sharing.publishing.publish_due()
    assert site.has("AA") == [one.id], "how far back it receives is of what it does not have"
    assert site.told("AA") == []


def test_the_volume_of_a_day_is_a_ceiling(site: Site) -> None:
    site.agree("AA", daily_objects_max=3)
    objects = [site.indicator() for _ in range(5)]
    site.shelf.put(*objects)
    for _ in range(3):
        site.sharing.publishing.publish_due()
    assert site.has("AA") == [one.id for one in objects[:3]]
    last = site.offer("AA", objects[4])[0]
    assert reasons(last.result) == (Reason.VOLUME_REACHED,)
    site.clock.advance(DAY)
    site.sharing.publishing.publish_due()
    assert site.has("AA") == [one.id for one in objects]


def test_a_full_day_does_not_keep_a_withdrawal(site: Site) -> None:
    site.agree("AA", daily_objects_max=1)
    one = site.indicator()
    site.offer("AA", one)
    site.offer("AA", msgspec.structs.replace(one, revoked=True))
    assert site.has("AA") == [f"-{one.id}"]


def test_retention_ends(site: Site) -> None:
    site.agree("AA", retention_days=10)
    one = site.indicator()
    site.offer("AA", one)
    site.clock.advance(10 * DAY)
    with site.uow.begin(SYSTEM) as tx:
        assert site.exchange.recalling.expire_due(tx) == 1
    with site.uow.begin(SYSTEM) as tx:
        assert site.exchange.recalling.expire_due(tx) == 0
    assert (site.told("AA"), site.has("AA")) == ([(one.id, "expired")], [])


def test_a_reference_to_what_did_not_leave_does_not_leave(site: Site) -> None:
    grants = {
        K.INDICATOR: INDICATOR_GRANT,
        K.RELATIONSHIP: Grant(
            fields={"relationship_type": AS_IS, "source": AS_IS, "target": AS_IS}
        ),
        K.REPORT: Grant(fields={"name": AS_IS, "objects": AS_IS}),
    }
    site.agree("AA", grants=grants)
    seen, hidden = site.indicator(), site.indicator(marking=Marking.RED)

    def made(kind: ObjectKind, **parts: object) -> SharedObject:
        return site.indicator(id=new_object_id(kind), kind=kind, **parts)

    link = made(
        K.RELATIONSHIP,
        fields={"relationship_type": "related-to"},
        refs={"source": (seen.id,), "target": (hidden.id,)},
    )
    report = made(K.REPORT, fields={"name": "r"}, refs={"objects": (seen.id, hidden.id)})
    outcomes = {one.shared.id: one.result for one in site.offer("AA", report, link, hidden, seen)}
    assert reasons(outcomes[link.id]) == (Reason.REFERENCE_HIDDEN,)
    released = outcomes[report.id]
    assert isinstance(released, Released)
    assert released.object.refs == {"objects": (seen.id,)}
    assert hidden.id not in str(released.object)


def test_what_is_asked_between_centres_is_in_the_ledger_and_in_no_view(site: Site) -> None:
    site.agree("AA", grants={K.TRACE_REQUEST: Grant(fields={"amount_minor": AS_IS})})
    asked = site.indicator(
        id=new_object_id(K.TRACE_REQUEST), kind=K.TRACE_REQUEST, fields={"amount_minor": 5}
    )
    with site.uow.begin(SYSTEM) as tx:
        left = site.exchange.release(tx, asked, partner="AA")
    assert left.fields == {"amount_minor": 5}
    assert site.has("AA") == []
    with site.uow.read(OFFICER) as tx:
        assert [row.object_id for row in site.exchange.released(tx).releases] == [asked.id]


def test_what_names_a_person_needs_a_law_and_a_persons_word_each_time(site: Site) -> None:
    grant = Grant(
        fields={**INDICATOR_GRANT.fields, "holder_name": AS_IS}, identifier_kinds=("phone",)
    )
    site.agree("AA", grants={K.INDICATOR: grant}, personal_basis="Anti-Scam Act, section 14")
    one = site.indicator()
    one = msgspec.structs.replace(one, fields={**one.fields, "holder_name": "Somchai"})
    site.shelf.put(one)
    site.sharing.publishing.publish_due()
    new = NewApproval(
        object=one.id,
        partner="AA",
        fields=("holder_name",),
        legal_basis="Anti-Scam Act, section 14, paragraph 2",
        reason="their own case needs it",
    )
    with pytest.raises(NotPermitted), site.uow.begin(INVESTIGATOR) as tx:
        site.sharing.approving.approve(tx, new)
    with pytest.raises(BadInput), site.uow.begin(OFFICER) as tx:
        site.sharing.approving.approve(tx, msgspec.structs.replace(new, fields=("value",)))

    def release() -> dict[str, object]:
        with site.uow.begin(INVESTIGATOR) as tx:
            left = site.exchange.release_published(tx, one.id, partner="AA", why="asked for")
        return dict(left.fields)

    assert "holder_name" not in release()
    with site.uow.begin(SUPERVISOR) as tx:
        site.sharing.approving.approve(tx, new)
    assert release()["holder_name"] == "Somchai"
    assert "holder_name" not in release(), "one word is for one release"
    with site.uow.read(SYSTEM) as tx:
        shown = site.exchange.view(tx, "AA", after=0, limit=10).objects
    assert "Somchai" not in str(shown), "a view that is polled never shows it"
    with site.uow.begin(SUPERVISOR) as tx:
        site.sharing.approving.approve(tx, new)
    site.clock.advance(DAY + timedelta(seconds=1))
    assert "holder_name" not in release(), "a word is for its day"


def test_a_possible_victim_never_leaves(site: Site) -> None:
    site.agree("AA", personal_basis="Anti-Scam Act, section 14")
    one = site.indicator(possible_victim=True)
    site.shelf.put(one)
    site.sharing.publishing.publish_due()
    assert site.has("AA") == []
    new = NewApproval(
        object=one.id,
        partner="AA",
        fields=("value",),
        legal_basis="any law there is",
        reason="no reason",
    )
    with pytest.raises(NoSuchObject), site.uow.begin(SUPERVISOR) as tx:
        site.sharing.approving.approve(tx, new)
    with pytest.raises(NoAgreement), site.uow.begin(SUPERVISOR) as tx:
        site.exchange.release_published(tx, one.id, partner="AA", why="insisted on")


_codes = (f"P{number}" for number in itertools.count())


@st.composite
def some_grant(draw: st.DrawFn) -> dict[ObjectKind, Grant]:
    kind = draw(st.sampled_from([K.INDICATOR, K.CAMPAIGN]))
    names = [n for n, f in FIELDS[kind].items() if f.kind.value != "personal"]
    fields = draw(
        st.dictionaries(
            st.sampled_from(names),
            st.sampled_from([AS_IS, Minimisation.DROPPED]),
            min_size=1,
        )
    )
    kinds = ("phone",) if kind is K.INDICATOR else ()
    return {kind: Grant(fields=fields, identifier_kinds=kinds)}


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    grants=some_grant(),
    marking=st.sampled_from(Marking),
    highest=st.sampled_from(Marking),
    offence=st.sampled_from([Offence.JOB, Offence.LOAN]),
)
def test_what_is_explained_is_what_is_released(
    site: Site,
    grants: dict[ObjectKind, Grant],
    marking: Marking,
    highest: Marking,
    offence: Offence,
) -> None:
    code = next(_codes)
    agreed: Agreement = site.agree(code, grants=grants, highest_marking=highest)
    one = site.indicator(marking=marking, offences=(offence,))
    site.shelf.put(one)
    with site.uow.read(INVESTIGATOR) as tx:
        told = site.exchange.explain(tx, AskedExplanation(object=one.id, partner=code))
    (outcome,) = site.offer(code, one)
    assert told.agreement == agreed.id
    assert told.leaves == isinstance(outcome.result, Released)
    assert told.reasons == [reason.value for reason in reasons(outcome.result)]
    left = outcome.result.object.fields if isinstance(outcome.result, Released) else {}
    assert {f.name: f.value for f in told.fields if f.leaves} == left
    assert {f.name for f in told.fields} == {*one.fields, "case"}
    for field in told.fields:
        assert told.reasons or field.leaves != bool(field.why_not)


def test_explaining_leaves_nothing_and_is_not_the_partners(site: Site) -> None:
    site.agree("AA")
    one = site.indicator()
    site.shelf.put(one)
    asked = AskedExplanation(object=one.id, partner="AA")
    with site.uow.read(OFFICER) as tx:
        assert site.exchange.explain(tx, asked).leaves
    assert site.has("AA") == []
    with pytest.raises(NotPermitted), site.uow.read(partner_user("AA")) as tx:
        site.exchange.explain(tx, asked)


def test_a_partner_sees_what_it_received_and_nothing_of_others(site: Site) -> None:
    site.agree("AA")
    site.agree("BB")
    one, other = site.indicator(), site.indicator()
    site.offer("AA", one)
    site.offer("BB", other)
    with site.uow.read(partner_user("AA")) as tx:
        (row,) = site.exchange.released(tx).releases
        assert (row.why, row.released_by) == ("", ""), "who of us released it is ours"
        assert [row.object_id for row in site.exchange.released(tx).releases] == [one.id]
        assert site.exchange.released(tx, object_id=other.id).releases == []
        assert site.exchange.released(tx, object_id=new_object_id(K.INDICATOR)).releases == []
        assert site.exchange.view(tx, "BB", after=0, limit=9).objects == []
        assert site.exchange.recalling.notices(tx, partner="BB").notices == []


def test_numbers_do_not_tell_how_much_others_receive(site: Site) -> None:
    for code in ("AA", "BB", "CC"):
        site.agree(code)
    alone, beside = numbers(site, "AA", others=0), numbers(site, "CC", others=7)
    assert alone == beside
    view, notices, releases = alone
    assert len(view) == len(notices) == 2
    assert len(set(releases)) == 4


def numbers(site: Site, partner: str, *, others: int) -> list[list[int]]:
    """What a partner is shown of its view, notices and releases while others receive so much."""
    for _ in range(2):
        one = site.indicator()
        site.offer(partner, one)
        with site.uow.begin(INVESTIGATOR) as tx:
            for _ in range(others):
                site.exchange.offer(tx, [site.indicator()], partner="BB")
        with site.uow.begin(INVESTIGATOR) as tx:
            asked = NewRecall(object=one.id, kind=RecallKind.WITHDRAWN, reason="a shop's number")
            site.exchange.recalling.recall(tx, asked)
    with site.uow.read(partner_user(partner)) as tx:
        return [
            [one.sequence for one in site.exchange.view(tx, partner, after=0, limit=9).objects],
            [one.sequence for one in site.exchange.recalling.notices(tx).notices],
            [one.sequence for one in site.exchange.released(tx).releases],
        ]


def test_a_view_goes_on_where_it_stopped(site: Site) -> None:
    site.agree("AA")
    objects = [site.indicator() for _ in range(7)]
    site.offer("AA", *objects)
    found, after, more = [], 0, True
    while more:
        with site.uow.read(SYSTEM) as tx:
            page = site.exchange.view(tx, "AA", after=after, limit=3)
        found += [one.object.id for one in page.objects]
        after, more = page.objects[-1].sequence, page.more
    assert found == [one.id for one in objects]
