"""Agreements: who may agree, in which order, and what one alone can stop."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from openaoc.exchange.agreement import (
    TRANSITIONS,
    AgreementState,
    Grant,
    Minimisation,
    Onward,
    OnwardKind,
    Step,
    Transfer,
    TransferKind,
    check_agreement_step,
)
from openaoc.exchange.model import (
    KeyVerification,
    NoSuchAgreement,
    NoSuchPartner,
    NotYourAgreement,
    PartnerKind,
    SecondPerson,
    WrongAgreementStep,
    WrongFingerprint,
)
from openaoc.exchange.objects import ObjectKind
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput, Conflict, OpenAOCError
from openaoc.parties.permissions import NotPermitted
from tests.exchange.sharing_site import (
    ADMINISTRATOR,
    AS_IS,
    BOTH,
    INDICATOR_GRANT,
    INVESTIGATOR,
    OFFICER,
    SECOND_SUPERVISOR,
    SUPERVISOR,
    Site,
    partner_user,
)

S = AgreementState


def test_two_persons_in_two_roles_agree(site: Site) -> None:
    site.partner("SG-SPF")
    site.key("SG-SPF")
    draft = site.draft("SG-SPF")
    assert (draft.id, draft.state) == ("SG-SPF.1", S.DRAFTED)
    with site.uow.begin(SUPERVISOR) as tx:
        assert site.agreements.approve(tx, draft.id).state is S.DRAFTED
    for actor in (SUPERVISOR, SECOND_SUPERVISOR):
        with pytest.raises(SecondPerson), site.uow.begin(actor) as tx:
            site.agreements.approve(tx, draft.id)
    with site.uow.begin(OFFICER) as tx:
        active = site.agreements.approve(tx, draft.id)
    assert active.state is S.ACTIVE
    assert [voice.by for voice in active.voices] == [SUPERVISOR.id, OFFICER.id]


def test_one_person_with_both_roles_is_one_person(site: Site) -> None:
    site.partner("SG-SPF")
    draft = site.draft("SG-SPF")
    with site.uow.begin(BOTH) as tx:
        site.agreements.approve(tx, draft.id)
    with pytest.raises(SecondPerson), site.uow.begin(BOTH) as tx:
        site.agreements.approve(tx, draft.id)


def test_it_is_active_only_with_a_verified_key(site: Site) -> None:
    site.partner("SG-SPF")
    site.key("SG-SPF", verified=False)
    approved = site.approve(site.draft("SG-SPF").id)
    assert approved.state is S.APPROVED
    site.key("SG-SPF")
    with site.uow.read(OFFICER) as tx:
        assert site.agreements.show(tx, approved.id).state is S.ACTIVE


def test_a_key_is_verified_by_another_person_with_somebody_named(site: Site) -> None:
    site.partner("SG-SPF")
    kid = site.key("SG-SPF", verified=False)
    partners = site.agreements.partners
    with site.uow.read(OFFICER) as tx:
        fingerprint = partners.show(tx, "SG-SPF").keys[0].fingerprint
    right = KeyVerification(fingerprint=fingerprint, compared_with="Ms Tan, by telephone")
    wrong = msgspec.structs.replace(right, fingerprint=fingerprint[::-1])
    with pytest.raises(WrongFingerprint), site.uow.begin(SUPERVISOR) as tx:
        partners.verify_key(tx, "SG-SPF", kid=kid, said=wrong)
    with pytest.raises(NotPermitted), site.uow.begin(ADMINISTRATOR) as tx:
        partners.verify_key(tx, "SG-SPF", kid=kid, said=right)
    with site.uow.begin(SUPERVISOR) as tx:
        done = partners.verify_key(tx, "SG-SPF", kid=kid, said=right)
    assert (done.verified_by, done.verified_with) == (SUPERVISOR.id, "Ms Tan, by telephone")
    with pytest.raises(Conflict), site.uow.begin(OFFICER) as tx:
        partners.verify_key(tx, "SG-SPF", kid=kid, said=right)


def test_who_added_a_key_does_not_verify_it(site: Site) -> None:
    site.partner("SG-SPF")
    with site.uow.begin(SUPERVISOR) as tx:
        x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        jwk = f'{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}'
        key = site.agreements.partners.add_key(tx, "SG-SPF", jwk=jwk)
    said = KeyVerification(fingerprint=key.fingerprint, compared_with="Ms Tan")
    with pytest.raises(SecondPerson), site.uow.begin(SUPERVISOR) as tx:
        site.agreements.partners.verify_key(tx, "SG-SPF", kid=key.kid, said=said)


def test_one_person_suspends_and_two_resume(site: Site) -> None:
    agreed = site.agree("SG-SPF")
    with site.uow.begin(ADMINISTRATOR) as tx:
        stopped = site.agreements.suspend(tx, agreed.id, reason="a leak is suspected")
    assert stopped.state is S.SUSPENDED
    with pytest.raises(NotYourAgreement), site.uow.begin(ADMINISTRATOR) as tx:
        site.agreements.resume(tx, agreed.id)
    with site.uow.begin(OFFICER) as tx:
        assert site.agreements.resume(tx, agreed.id).state is S.SUSPENDED
    with pytest.raises(SecondPerson), site.uow.begin(OFFICER) as tx:
        site.agreements.resume(tx, agreed.id)
    with site.uow.begin(SUPERVISOR) as tx:
        assert site.agreements.resume(tx, agreed.id).state is S.ACTIVE
    with site.uow.begin(SUPERVISOR) as tx:
        again = site.agreements.suspend(tx, agreed.id, reason="once more")
    assert [voice.step for voice in again.voices] == [Step.APPROVE, Step.APPROVE]
    with site.uow.begin(OFFICER) as tx:
        assert site.agreements.resume(tx, agreed.id).state is S.SUSPENDED


def test_the_last_verified_key_takes_the_agreement_with_it(site: Site) -> None:
    agreed = site.agree("SG-SPF")
    with site.uow.read(OFFICER) as tx:
        kid = site.agreements.partners.show(tx, "SG-SPF").keys[0].kid
    with site.uow.begin(OFFICER) as tx:
        site.agreements.partners.retire_key(tx, "SG-SPF", kid=kid, reason="lost")
    with site.uow.read(OFFICER) as tx:
        assert site.agreements.show(tx, agreed.id).state is S.SUSPENDED
    with pytest.raises(Conflict), site.uow.begin(OFFICER) as tx:
        site.agreements.resume(tx, agreed.id)


def test_a_newer_version_takes_the_place_of_the_one_before(site: Site) -> None:
    first = site.agree("SG-SPF")
    second = site.draft("SG-SPF")
    with site.uow.read(OFFICER) as tx:
        assert site.agreements.show(tx, first.id).state is S.ACTIVE
    site.approve(second.id)
    with site.uow.read(OFFICER) as tx:
        states = [one.state for one in site.agreements.list(tx, partner="sg-spf").agreements]
    assert (second.id, states) == ("SG-SPF.2", [S.ACTIVE, S.ENDED])


def test_it_ends_by_itself(site: Site) -> None:
    agreed = site.agree("SG-SPF", ends_at=site.clock.now() + timedelta(days=2))
    site.clock.advance(timedelta(days=2))
    with site.uow.read(SYSTEM) as tx:
        assert site.agreements.in_force(tx, "SG-SPF") is None
    with site.uow.begin(SYSTEM) as tx:
        assert site.agreements.end_due(tx) == 1
    with site.uow.begin(SYSTEM) as tx:
        assert site.agreements.end_due(tx) == 0
        assert site.agreements.show(tx, agreed.id).state is S.ENDED


def test_the_table_of_steps() -> None:
    person = Actor(id="p", roles=frozenset(Role))
    for state in S:
        for step in Step:
            known = [t for t in TRANSITIONS if (t.before, t.step) == (state, step)]
            if known:
                assert check_agreement_step(state, step, actor=person) is known[0]
            else:
                with pytest.raises(WrongAgreementStep):
                    check_agreement_step(state, step, actor=person)
    assert {t.before for t in TRANSITIONS if t.after is S.ACTIVE} == {S.APPROVED, S.SUSPENDED}
    assert [t.persons for t in TRANSITIONS if t.step in (Step.APPROVE, Step.RESUME)] == [2, 2]
    for role in (Role.INVESTIGATOR, Role.PARTNER, Role.LIAISON, Role.CITIZEN, Role.AGENT):
        nobody = Actor(id="n", roles=frozenset({role}))
        for one in TRANSITIONS:
            with pytest.raises(NotYourAgreement):
                check_agreement_step(one.before, one.step, actor=nobody)


def test_who_may_draft(site: Site) -> None:
    site.partner("SG-SPF")
    for actor in (ADMINISTRATOR, INVESTIGATOR, SYSTEM, partner_user("SG-SPF")):
        with pytest.raises(NotPermitted), site.uow.begin(actor) as tx:
            site.agreements.draft(tx, site.terms("SG-SPF"))


def grants(kind: ObjectKind, *, of: tuple[str, ...] = (), **fields: Minimisation) -> object:
    return {kind: Grant(fields=fields, identifier_kinds=of)}


PHONE = ("phone",)
K = ObjectKind


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"purposes": ()}, "purposes"),
        ({"grants": {}}, "grants"),
        ({"grants": grants(K.INDICATOR, of=PHONE)}, "grants.indicator.fields"),
        ({"grants": grants(K.INDICATOR, value=AS_IS)}, "grants.indicator.identifier_kinds"),
        ({"grants": grants(K.CAMPAIGN, of=PHONE, name=AS_IS)}, "grants.campaign.identifier_kinds"),
        ({"grants": grants(K.INDICATOR, of=("phone", "all"), value=AS_IS)},
         "grants.indicator.identifier_kinds[1]"),
        ({"grants": grants(K.INDICATOR, of=("phone", "phone"), value=AS_IS)},
         "grants.indicator.identifier_kinds[1]"),
        ({"grants": {K.INDICATOR: Grant(fields={"*": AS_IS}, identifier_kinds=PHONE)}},
         "grants.indicator.fields.*"),
        ({"grants": grants(K.CAMPAIGN, loss_minor=Minimisation.PSEUDONYM)},
         "grants.campaign.fields.loss_minor"),
        ({"grants": grants(K.SIGHTING, count=AS_IS)}, "grants.sighting.fields.sighting_of"),
        ({"grants": grants(K.SIGHTING, sighting_of=Minimisation.MASKED)},
         "grants.sighting.fields.sighting_of"),
        ({"grants": grants(K.REPORT, victim_name=AS_IS)}, "personal_basis"),
        ({"grants": grants(K.MATCH, of=("phone", "person"), token=AS_IS)}, "personal_basis"),
        ({"transfer": None}, "transfer"),
        ({"transfer": Transfer(kind=TransferKind.OTHER_LAW, reference="another country's")},
         "transfer.kind"),
        ({"onward": Onward(kind=OnwardKind.NAMED)}, "onward.to"),
        ({"onward": Onward(to=("somebody",))}, "onward.to"),
    ],
)  # fmt: skip
def test_what_cannot_be_agreed_is_refused_with_its_place(
    site: Site, changes: dict[str, object], where: str
) -> None:
    site.partner("SG-SPF")
    with pytest.raises(BadInput) as refused:
        site.draft("SG-SPF", **changes)
    assert refused.value.where == where
    with site.uow.read(OFFICER) as tx:
        assert site.agreements.list(tx).agreements == []


def test_dates_that_cannot_be(site: Site) -> None:
    site.partner("SG-SPF")
    now = site.clock.now()
    for start, end in ((1, 1), (-10, -1), (0, 6 * 366)):
        starts, ends = now + timedelta(days=start), now + timedelta(days=end)
        with pytest.raises(BadInput) as refused:
            site.draft("SG-SPF", starts_at=starts, ends_at=ends)
        assert refused.value.where == "ends_at"


def test_at_home_no_instrument_is_needed(site: Site) -> None:
    site.partner("TH-BANK", kind=PartnerKind.BANK, jurisdiction="TH")
    assert site.draft("TH-BANK", transfer=None).state is S.DRAFTED


def test_researchers_receive_aggregates_only(site: Site) -> None:
    site.partner("UNI", kind=PartnerKind.RESEARCHER, jurisdiction="TH")
    fine = grants(K.CAMPAIGN, cases=AS_IS, loss_minor=Minimisation.MASKED)
    assert site.draft("UNI", grants=fine).state is S.DRAFTED
    for kind, wrong in (
        ("grants.campaign.fields.description", grants(K.CAMPAIGN, description=AS_IS)),
        ("grants.indicator", {K.INDICATOR: INDICATOR_GRANT}),
    ):
        with pytest.raises(BadInput) as refused:
            site.draft("UNI", grants=wrong)
        assert refused.value.where == kind


def test_a_partner_sees_its_own_and_no_draft(site: Site) -> None:
    mine, other = site.agree("SG-SPF"), site.agree("MY-NSRC")
    draft = site.draft("SG-SPF")
    with site.uow.read(partner_user("SG-SPF")) as tx:
        assert [one.id for one in site.agreements.list(tx).agreements] == [mine.id]
        assert [one.code for one in site.agreements.partners.list(tx).partners] == ["SG-SPF"]
        staff = (OFFICER.id, SUPERVISOR.id, ADMINISTRATOR.id)
        seen_by_it = str([site.agreements.show(tx, mine.id), site.agreements.list(tx)])
        seen_by_it += str(site.agreements.partners.show(tx, "SG-SPF"))
        assert not any(one in seen_by_it for one in staff), "who of us said what is ours"
        seen = []
        for asked in (other.id, draft.id, "MY-NSRC.9", "NOBODY.1"):
            with pytest.raises(NoSuchAgreement) as refused:
                site.agreements.show(tx, asked)
            seen.append(str(refused.value))
        assert len(set(seen)) == 1, "what is hidden looks like what is not there"
        for code in ("MY-NSRC", "NOBODY", "not a code"):
            with pytest.raises(NoSuchPartner) as unknown:
                site.agreements.partners.show(tx, code)
            seen.append(str(unknown.value))
        assert len(set(seen)) == 2
    for verb in (site.agreements.approve, site.agreements.resume):
        with pytest.raises(OpenAOCError), site.uow.begin(partner_user("SG-SPF")) as tx:
            verb(tx, mine.id)
