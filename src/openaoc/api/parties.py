"""API: institutions, their keys and endpoints, users and theirs, and what is live."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, delete, get, post, put
from litestar.params import FromPath, JSONBody

from openaoc.api.access import (
    BEARER,
    REPLAYED,
    IdempotencyKey,
    centre_of,
    need_id,
    need_key,
    sign_ins_of,
    signed_in,
)
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, creation, look
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import (
    AddedUser,
    FreshKey,
    InstitutionList,
    NewEndpoint,
    NewInstitution,
    NewPublicKey,
    NewUser,
    RegisteredKey,
    UserList,
)
from openaoc.channels.idempotency import once
from openaoc.channels.model import check_endpoint
from openaoc.channels.signing import PublicJwk, check_public_jwk, parse_public_jwk
from openaoc.kernel.errors import BadInput
from openaoc.kernel.ids import is_user_id
from openaoc.parties.model import Institution
from openaoc.parties.permissions import Permission, require

SMALL_BODY_BYTES_MAX: Final = 64 << 10


@creation(
    "/v1/institutions",
    words="Added",
    purpose="add an institution",
    summary="Add an institution, in shadow",
    tag="parties",
    body_bytes_max=SMALL_BODY_BYTES_MAX,
)
def add_institution(on: Deciding, said: NewInstitution) -> Institution:
    """A new institution."""
    require(on.tx.actor, Permission.INSTITUTION_MANAGE)
    return on.centre.parties.add_institution(
        on.tx,
        code=said.code,
        name=said.name,
        kind=said.kind,
        jurisdiction=said.jurisdiction or on.centre.settings.jurisdiction,
        endpoint=None if said.endpoint is None else check_endpoint(said.endpoint),
        message_format=said.message_format,
    )


@look(
    "/v1/institutions",
    words="All of them",
    purpose="list institutions",
    summary="List institutions",
    tag="parties",
)
def list_institutions(on: Deciding) -> InstitutionList:
    """Every institution by code."""
    require(on.tx.actor, Permission.INSTITUTION_READ)
    return InstitutionList(institutions=on.centre.parties.institutions(on.tx))


@put(
    "/v1/institutions/{code:str}/endpoint",
    guards=[signed_in],
    dto=Body[NewEndpoint],
    return_dto=None,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["parties"],
    summary="Set where an institution's system listens",
    responses={**described(Institution, "Set"), **problems(401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
@again
def set_endpoint(
    request: ApiRequest, code: FromPath[str], data: JSONBody[NewEndpoint]
) -> Institution:
    """The endpoint; what waits for the institution is delivered there at once."""
    centre, name = centre_of(request), need_id(code, what="institution")
    endpoint = None if data.endpoint is None else check_endpoint(data.endpoint)
    with centre.uow.begin(request.user, purpose="set an endpoint") as tx:
        changed = centre.parties.set_endpoint(
            tx, code=name, endpoint=endpoint, message_format=data.message_format
        )
        tx.after_commit(lambda: centre.channels.wake(changed.code))
        return changed


@post(
    "/v1/institutions/{code:str}/keys",
    guards=[signed_in],
    dto=Body[NewPublicKey],
    return_dto=None,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["parties"],
    summary="Register a public key that signs for an institution",
    description="From the first key on, every answer of the institution must be signed.",
    responses={**described(RegisteredKey, "Registered", 201), **problems(401, 403, 404, 409, 413)},
    sync_to_thread=True,
)
@again
def register_key(
    request: ApiRequest,
    code: FromPath[str],
    data: JSONBody[NewPublicKey],
    idempotency_key: IdempotencyKey = None,
) -> Response[RegisteredKey]:
    """A public key for the institution's signatures."""
    centre, name = centre_of(request), need_id(code, what="institution")
    asked = once(
        actor=request.user.id,
        route=f"institutions/{name}/keys",
        key=need_key(idempotency_key),
        content=msgspec.json.encode(data),
    )
    if data.d is not None:
        raise BadInput("this is a private key: make a new one, send its public half", where="$.d")
    jwk = check_public_jwk(PublicJwk(kid=data.kid, x=data.x), where="$.x")
    text = msgspec.json.encode(jwk).decode("ascii")
    with centre.uow.begin(request.user, purpose="register a public key") as tx:
        require(tx.actor, Permission.PUBLIC_KEY_REGISTER)
        earlier = asked.earlier(tx, RegisteredKey)
        if earlier is not None:
            return Response(earlier, status_code=201, headers={REPLAYED: "true"})
        key = centre.parties.register_public_key(tx, code=name, jwk=text)
        tx.after_commit(centre.channels.forget_keys)
        added = RegisteredKey(institution=key.institution, key=parse_public_jwk(key.jwk))
        asked.answered(tx, added)
        return Response(added, status_code=201)


@delete(
    "/v1/institutions/{code:str}/keys/{kid:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["parties"],
    summary="Retire an institution's public key at once",
    responses=problems(401, 403, 404),
    sync_to_thread=True,
)
@again
def retire_key(request: ApiRequest, code: FromPath[str], kid: FromPath[str]) -> None:
    """Nothing signed with the key is accepted any more."""
    centre, name = centre_of(request), need_id(code, what="institution")
    with centre.uow.begin(request.user, purpose="retire a public key") as tx:
        centre.parties.retire_public_key(tx, code=name, kid=need_id(kid, what="key"))
        tx.after_commit(centre.channels.forget_keys)


@post(
    "/v1/users",
    guards=[signed_in],
    dto=Body[NewUser],
    return_dto=None,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["parties"],
    summary="Add a user; the key is shown this once",
    responses={**described(AddedUser, "Added", 201), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
@again
def add_user(
    request: ApiRequest, data: JSONBody[NewUser], idempotency_key: IdempotencyKey = None
) -> Response[AddedUser]:
    """A new user with a first key; a repeated request does not show the key again."""
    centre, key = centre_of(request), need_key(idempotency_key)
    asked = once(actor=request.user.id, route="users", key=key, content=msgspec.json.encode(data))
    with centre.uow.begin(request.user, purpose="add a user") as tx:
        require(tx.actor, Permission.USER_MANAGE)
        earlier = asked.earlier(tx, AddedUser)
        if earlier is not None:
            return Response(earlier, status_code=201, headers={REPLAYED: "true"})
        user, api_key = centre.parties.add_user(
            tx, name=data.name, role=data.role, institution=data.institution
        )
        asked.answered(tx, AddedUser(user=user, api_key=None))
        return Response(AddedUser(user=user, api_key=api_key), status_code=201)


@get(
    "/v1/users",
    guards=[signed_in],
    security=BEARER,
    tags=["parties"],
    summary="List users",
    responses={**described(UserList, "A page of them"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_users(request: ApiRequest, cursor: Cursor = None, limit: Limit = 50) -> UserList:
    """Users by id, a page at a time."""
    if cursor is not None and not is_user_id(cursor):
        raise BadInput("not a cursor of this list", where="cursor")
    centre = centre_of(request)
    with centre.uow.read(request.user) as tx:
        users = centre.parties.users(tx, after=cursor or "", limit=limit)
    full = len(users) == limit
    return UserList(users=users, cursor=users[-1].id if full else None)


@post(
    "/v1/keys/{key_id:str}/rotate",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["parties"],
    summary="Replace an API key; the old one works for a day",
    responses={**described(FreshKey, "Replaced"), **problems(401, 403, 404, 409)},
    sync_to_thread=True,
)
@again
def rotate_key(request: ApiRequest, key_id: FromPath[str]) -> FreshKey:
    """A new key for the same user."""
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="rotate an API key") as tx:
        tx.after_commit(sign_ins_of(request).forget)
        return FreshKey(api_key=centre.parties.rotate_key(tx, key_id=need_id(key_id, what="key")))


@delete(
    "/v1/keys/{key_id:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["parties"],
    summary="Revoke an API key at once",
    responses=problems(401, 403, 404),
    sync_to_thread=True,
)
@again
def revoke_key(request: ApiRequest, key_id: FromPath[str]) -> None:
    """The key does not work any more."""
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="revoke an API key") as tx:
        tx.after_commit(sign_ins_of(request).forget)
        centre.parties.revoke_key(tx, key_id=need_id(key_id, what="key"))


HANDLERS: Final = (
    add_institution,
    list_institutions,
    set_endpoint,
    register_key,
    retire_key,
    add_user,
    list_users,
    rotate_key,
    revoke_key,
)
