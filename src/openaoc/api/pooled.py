"""API: pooled accounts: listed or confirmed by a person, proposed by institutions and by search."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import delete, post
from litestar.params import FromPath, JSONBody, QueryParameter

from openaoc.api.access import BEARER, centre_of, need_id, signed_in
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, Thing, decision, look
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import REASON_CHARACTERS_MAX, NewPooledAccount, PooledList, PooledSearch
from openaoc.parties.model import PooledAccount

SMALL_BODY_BYTES_MAX: Final = 16 << 10
RemovalReason = Annotated[str, QueryParameter(name="reason", max_length=REASON_CHARACTERS_MAX)]
INSTITUTION: Final = Thing("code", "institution")


@look(
    "/v1/institutions/{code:str}/pooled-accounts",
    on=INSTITUTION,
    words="All of them",
    purpose="list pooled accounts",
    summary="List an institution's pooled accounts",
    description="An institution's people see their own.",
    tag="parties",
)
def list_pooled(on: Deciding) -> PooledList:
    """Pooled accounts, proposed and confirmed."""
    return PooledList(accounts=on.centre.matter.pooled.listed(on.tx, code=on.id))


@decision(
    "/v1/institutions/{code:str}/pooled-accounts",
    on=INSTITUTION,
    words="Listed",
    purpose="list a pooled account",
    summary="List a pooled account, or confirm a proposal",
    description=(
        "Traces stop there at once, and open cases are traced again. An institution's machine "
        "proposes its own; a supervisor or administrator confirms. Again, it changes nothing."
    ),
    tag="parties",
)
def add_pooled(on: Deciding, said: NewPooledAccount) -> PooledAccount:
    """One account on the list."""
    return on.centre.matter.pooled.add(
        on.tx, code=on.id, account=said.account, kind=said.kind, reason=said.reason
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
@again
def remove_pooled(
    request: ApiRequest, code: FromPath[str], account: FromPath[str], reason: RemovalReason
) -> None:
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
def search_pooled(request: ApiRequest, data: JSONBody[PooledSearch]) -> PooledList:
    """Look through the ledger's busiest accounts."""
    found = centre_of(request).matter.pooling.find(
        request.user, counterparties_min=data.counterparties_min
    )
    return PooledList(accounts=found)


HANDLERS: Final = (list_pooled, add_pooled, remove_pooled, search_pooled)
