"""API: partners of the exchange, their keys and users, and the agreements with them.

Decides nothing: who may agree stands in the stage. A partner's user sees its own.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter, RawBody

from openaoc.api.access import (
    BEARER,
    IdempotencyKey,
    centre_of,
    need_id,
    need_key,
    sign_ins_of,
    signed_in,
)
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, Thing, act, creation, decision, look
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import Why
from openaoc.channels.idempotency import once
from openaoc.exchange.agreeing import Agreements
from openaoc.exchange.agreement import Agreement, AgreementList, Terms
from openaoc.exchange.model import (
    KeyVerification,
    NewPartner,
    Partner,
    PartnerChange,
    PartnerKey,
    PartnerList,
    PartnerView,
)

PARTNER: Final = Thing("partner", "partner")
AGREEMENT: Final = Thing("agreement", "agreement")

BODY_BYTES_MAX: Final = 64 << 10
PartnerFilter = Annotated[str | None, QueryParameter(name="partner", max_length=32, required=False)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class PartnerJwk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partner's public key: one JSON Web Key (Ed25519) as text."""

    jwk: Annotated[str, msgspec.Meta(max_length=2_000)]


class PartnerUserName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user of a partner to add."""

    name: Name


class PartnerUser(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's new user and the API key, shown this once."""

    user: str
    partner: str
    api_key: str


def _agreements(request: ApiRequest) -> Agreements:
    return centre_of(request).matter.sharing.agreements


# Partners and their keys


@creation(
    "/v1/exchange/partners",
    words="Added",
    purpose="add a partner",
    summary="Add a partner; nothing leaves to it without an agreement",
    body_bytes_max=BODY_BYTES_MAX,
)
def add_partner(on: Deciding, said: NewPartner) -> Partner:
    """Nobody is told."""
    return on.centre.matter.sharing.agreements.partners.add(on.tx, said)


@look(
    "/v1/exchange/partners",
    words="By code",
    purpose="list partners",
    summary="List partners",
)
def list_partners(on: Deciding) -> PartnerList:
    """Every partner; a partner's user sees its own."""
    return on.centre.matter.sharing.agreements.partners.list(on.tx)


@look(
    "/v1/exchange/partners/{partner:str}",
    on=PARTNER,
    words="It",
    purpose="show a partner",
    summary="Show a partner with its keys",
)
def show_partner(on: Deciding) -> PartnerView:
    """One partner."""
    return on.centre.matter.sharing.agreements.partners.show(on.tx, on.id)


@decision(
    "/v1/exchange/partners/{partner:str}/reach",
    on=PARTNER,
    words="It now",
    purpose="change a partner",
    summary="Change where a partner is reached",
    body_bytes_max=BODY_BYTES_MAX,
)
def change_partner(on: Deciding, said: PartnerChange) -> Partner:
    """Its contact point and endpoint."""
    return on.centre.matter.sharing.agreements.partners.change(on.tx, on.id, said)


@post(
    "/v1/exchange/partners/{partner:str}/users",
    guards=[signed_in],
    dto=Body[PartnerUserName],
    return_dto=None,
    status_code=201,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="Add a user of a partner; the API key is shown this once",
    responses={**described(PartnerUser, "Added", 201), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
@again
def add_partner_user(
    request: ApiRequest,
    partner: FromPath[str],
    data: JSONBody[PartnerUserName],
    body: RawBody,
    idempotency_key: IdempotencyKey = None,
) -> PartnerUser:
    """An analyst of the partner, or its system; repeated, the key is not shown again."""
    key, code = need_key(idempotency_key), need_id(partner, what="partner")
    route = f"exchange/partners/{code}/users"
    asked = once(actor=request.user.id, route=route, key=key, content=body)
    with centre_of(request).uow.begin(request.user, purpose="add a partner's user") as tx:
        earlier = asked.earlier(tx, PartnerUser)
        if earlier is not None:
            return earlier
        user, text = _agreements(request).partners.add_user(tx, code, name=data.name)
        made = PartnerUser(user=user.id, partner=user.partner or "", api_key=text)
        asked.answered(tx, msgspec.structs.replace(made, api_key=""))
    sign_ins_of(request).forget()
    return made


@creation(
    "/v1/exchange/partners/{partner:str}/keys",
    on=PARTNER,
    words="Added, not verified",
    purpose="add a partner's key",
    summary="Add a key a partner signs with; it counts once it is verified",
    body_bytes_max=BODY_BYTES_MAX,
)
def add_partner_key(on: Deciding, said: PartnerJwk) -> PartnerKey:
    """Its fingerprint is to be compared with the partner by another way."""
    return on.centre.matter.sharing.agreements.partners.add_key(on.tx, on.id, jwk=said.jwk)


@post(
    "/v1/exchange/partners/{partner:str}/keys/{kid:str}/verify",
    guards=[signed_in],
    dto=Body[KeyVerification],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="Verify a partner's key, as another person than the one who added it",
    responses={**described(PartnerKey, "Verified"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
@again
def verify_partner_key(
    request: ApiRequest, partner: FromPath[str], kid: FromPath[str], data: JSONBody[KeyVerification]
) -> PartnerKey:
    """The fingerprint as somebody of the partner read it out, who is named."""
    code, key = need_id(partner, what="partner"), need_id(kid, what="key")
    with centre_of(request).uow.begin(request.user, purpose="verify a partner's key") as tx:
        return _agreements(request).partners.verify_key(tx, code, kid=key, said=data)


@delete(
    "/v1/exchange/partners/{partner:str}/keys/{kid:str}",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["exchange"],
    summary="Retire a partner's key; with the last one nothing leaves any more",
    responses={**described(PartnerKey, "Retired"), **problems(401, 403, 404, 409)},
    sync_to_thread=True,
)
@again
def retire_partner_key(
    request: ApiRequest,
    partner: FromPath[str],
    kid: FromPath[str],
    reason: Annotated[str, QueryParameter(name="reason", max_length=1_000, required=False)] = "",
) -> PartnerKey:
    """Nothing signed with it is accepted from now on."""
    code, key = need_id(partner, what="partner"), need_id(kid, what="key")
    with centre_of(request).uow.begin(request.user, purpose="retire a partner's key") as tx:
        partners = _agreements(request).partners
        return partners.retire_key(tx, code, kid=key, reason=reason)


# Agreements


@creation(
    "/v1/exchange/agreements",
    words="Drafted",
    purpose="draft an agreement",
    summary="Draft an agreement: a new version, which two persons approve",
    body_bytes_max=BODY_BYTES_MAX,
)
def draft(on: Deciding, said: Terms) -> Agreement:
    """Nothing leaves by it."""
    return on.centre.matter.sharing.agreements.draft(on.tx, said)


@get(
    "/v1/exchange/agreements",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="List agreements, by partner, the newest version first",
    responses={**described(AgreementList, "They"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_agreements(request: ApiRequest, partner: PartnerFilter = None) -> AgreementList:
    """Agreements; a partner's user sees its own, without drafts."""
    with centre_of(request).uow.read(request.user, purpose="list agreements") as tx:
        return _agreements(request).list(tx, partner=partner)


@look(
    "/v1/exchange/agreements/{agreement:str}",
    on=AGREEMENT,
    words="It",
    purpose="show an agreement",
    summary="Show one version of an agreement",
)
def show_agreement(on: Deciding) -> Agreement:
    """One version with its terms, and who approved it."""
    return on.centre.matter.sharing.agreements.show(on.tx, on.id)


@act(
    "/v1/exchange/agreements/{agreement:str}/approve",
    on=AGREEMENT,
    words="It now",
    purpose="approve an agreement",
    summary="Approve an agreement: the data protection officer and a supervisor, two persons",
)
def approve_agreement(on: Deciding) -> Agreement:
    """One of the two words; active with the second, once a key is verified."""
    return on.centre.matter.sharing.agreements.approve(on.tx, on.id)


@decision(
    "/v1/exchange/agreements/{agreement:str}/suspend",
    on=AGREEMENT,
    words="It now",
    purpose="suspend an agreement",
    summary="Suspend an agreement at once; one person is enough",
)
def suspend(on: Deciding, said: Why) -> Agreement:
    """Nothing leaves under it from now on."""
    return on.centre.matter.sharing.agreements.suspend(on.tx, on.id, reason=said.reason)


@act(
    "/v1/exchange/agreements/{agreement:str}/resume",
    on=AGREEMENT,
    words="It now",
    purpose="resume an agreement",
    summary="Resume a suspended agreement: two persons again",
)
def resume(on: Deciding) -> Agreement:
    """One of the two words."""
    return on.centre.matter.sharing.agreements.resume(on.tx, on.id)


@decision(
    "/v1/exchange/agreements/{agreement:str}/end",
    on=AGREEMENT,
    words="It now",
    purpose="end an agreement",
    summary="End an agreement",
)
def end_agreement(on: Deciding, said: Why) -> Agreement:
    """It is over; recalls still reach whoever received something."""
    return on.centre.matter.sharing.agreements.end(on.tx, on.id, reason=said.reason)


HANDLERS: Final = (
    add_partner,
    list_partners,
    show_partner,
    change_partner,
    add_partner_user,
    add_partner_key,
    verify_partner_key,
    retire_partner_key,
    draft,
    list_agreements,
    show_agreement,
    approve_agreement,
    suspend,
    resume,
    end_agreement,
)
