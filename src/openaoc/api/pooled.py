"""API: pooled accounts: listed or confirmed by a person, proposed by institutions and by search."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import delete, get, post
from litestar.params import Parameter

from openaoc.api.access import BEARER, centre_of, need_id, signed_in
from openaoc.api.bodies import Body
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import REASON_CHARACTERS_MAX, NewPooledAccount, PooledList, PooledSearch
from openaoc.parties.model import PooledAccount

SMALL_BODY_BYTES_MAX: Final = 16 << 10
RemovalReason = Annotated[str, Parameter(query="reason", max_length=REASON_CHARACTERS_MAX)]


@get(
    "/v1/institutions/{code:str}/pooled-accounts",
    guards=[signed_in],
    security=BEARER,
    tags=["parties"],
    summary="List an institution's pooled accounts",
    description="An institution's people see their own.",
    responses={**described(PooledList, "All of them"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def list_pooled(request: ApiRequest, code: str) -> PooledList:
    """Pooled accounts, proposed and confirmed."""
    centre, name = centre_of(request), need_id(code, what="institution")
    with centre.uow.read(request.user, purpose="list pooled accounts") as tx:
        return PooledList(accounts=centre.matter.pooled.listed(tx, code=name))


@post(
    "/v1/institutions/{code:str}/pooled-accounts",
    guards=[signed_in],
    dto=Body[NewPooledAccount],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["parties"],
    summary="List a pooled account, or confirm a proposal",
    description=(
        "Traces stop there at once, and open cases are traced again. An institution's machine "
        "proposes its own; a supervisor or administrator confirms. Again, it changes nothing."
    ),
    responses={**described(PooledAccount, "Listed"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def add_pooled(request: ApiRequest, code: str, data: NewPooledAccount) -> PooledAccount:
    """One account on the list."""
    centre, name = centre_of(request), need_id(code, what="institution")
    with centre.uow.begin(request.user, purpose="list a pooled account") as tx:
        return centre.matter.pooled.add(
            tx, code=name, account=data.account, kind=data.kind, reason=data.reason
        )


@delete(
    "/v1/institutions/{code:str}/pooled-accounts/{account:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["parties"],
    summary="Take an account off the list, or drop a proposal",
    responses=problems(401, 403, 404),
    sync_to_thread=True,
)
def remove_pooled(request: ApiRequest, code: str, account: str, reason: RemovalReason) -> None:
    """Traces go on through the account again."""
    centre, name = centre_of(request), need_id(code, what="institution")
    number = need_id(account, what="pooled account")
    with centre.uow.begin(request.user, purpose="remove a pooled account") as tx:
        centre.matter.pooled.remove(tx, code=name, account=number, reason=reason)


@post(
    "/v1/pooled-accounts/search",
    guards=[signed_in],
    dto=Body[PooledSearch],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["parties"],
    summary="Propose accounts with very many counterparties",
    description="What is found is proposed; a shop has thousands of payers too, so a person looks.",
    responses={**described(PooledList, "New proposals"), **problems(401, 403, 409, 413, 415)},
    sync_to_thread=True,
)
def search_pooled(request: ApiRequest, data: PooledSearch) -> PooledList:
    """Look through the ledger's busiest accounts."""
    found = centre_of(request).matter.pooling.find(
        request.user, counterparties_min=data.counterparties_min
    )
    return PooledList(accounts=found)


HANDLERS: Final = (list_pooled, add_pooled, remove_pooled, search_pooled)
