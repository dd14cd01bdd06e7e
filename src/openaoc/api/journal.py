"""API: the journal's signed heads and proofs, so that anybody entitled can check a row.

Never shows what a row says beyond what the journal itself may hold: no identity is in it.
"""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.problems import ApiRequest, problems
from openaoc.parties.permissions import Permission, require
from openaoc.storage.journal import Consistency, Inclusion
from openaoc.storage.journal_heads import Head
from openaoc.storage.journal_verify import Verdict

LEAF_MAX: Final = 2**62
Size = Annotated[int, QueryParameter(ge=0, le=LEAF_MAX, required=True)]


@get(
    "/v1/journal/head",
    guards=[signed_in],
    security=BEARER,
    tags=["journal"],
    summary="The newest signed head",
    responses={
        200: ResponseSpec(Head, description="The head", generate_examples=False),
        **problems(401, 403, 404),
    },
    sync_to_thread=True,
)
def head(request: ApiRequest) -> Head:
    """Size, root, time and signature of the newest head."""
    require(request.user, Permission.JOURNAL_READ)
    return centre_of(request).journal.head()


@get(
    "/v1/journal/leaves/{leaf:int}/proof",
    guards=[signed_in],
    security=BEARER,
    tags=["journal"],
    summary="That a row is in the newest head",
    responses={
        200: ResponseSpec(Inclusion, description="The proof", generate_examples=False),
        **problems(401, 403, 404),
    },
    sync_to_thread=True,
)
def inclusion(request: ApiRequest, leaf: FromPath[int]) -> Inclusion:
    """The inclusion proof of a leaf (RFC 6962 section 2.1.1)."""
    require(request.user, Permission.JOURNAL_READ)
    return centre_of(request).journal.inclusion_proof(leaf)


@get(
    "/v1/journal/consistency",
    guards=[signed_in],
    security=BEARER,
    tags=["journal"],
    summary="That one head extends another",
    responses={
        200: ResponseSpec(Consistency, description="The proof", generate_examples=False),
        **problems(401, 403, 404),
    },
    sync_to_thread=True,
)
def consistency(request: ApiRequest, old: Size, new: Size) -> Consistency:
    """The consistency proof of two sizes (RFC 6962 section 2.1.2)."""
    require(request.user, Permission.JOURNAL_READ)
    return centre_of(request).journal.consistency_proof(old, new)


@post(
    "/v1/journal/verify",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["journal"],
    summary="Verify every row, node and head",
    responses={
        200: ResponseSpec(Verdict, description="What was found", generate_examples=False),
        **problems(401, 403),
    },
    sync_to_thread=True,
)
def verify(request: ApiRequest) -> Verdict:
    """Compute everything again and compare."""
    require(request.user, Permission.JOURNAL_READ)
    return centre_of(request).journal.verify()


HANDLERS: Final = (head, inclusion, consistency, verify)
