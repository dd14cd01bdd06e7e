"""API: whether an institution's request is signed, where its word moves money.

The rule itself stands in channels; here it is given the request.
"""

from __future__ import annotations

from typing import Annotated

from litestar.params import HeaderParameter

from openaoc.api.access import centre_of
from openaoc.api.again import again
from openaoc.api.problems import ApiRequest
from openaoc.channels.signing import HEADER, Verified
from openaoc.storage.unit_of_work import Transaction

Signature = Annotated[
    str | None,
    HeaderParameter(
        name=HEADER,
        required=False,
        description="Detached JWS over the body; required once the institution registered a key.",
    ),
]


def check_signature(
    request: ApiRequest, tx: Transaction, *, body: bytes, header: str | None
) -> None:
    """Take the signature's nonce in this transaction.

    Raises BadSignature where the actor's institution has keys and the request is not signed by
    one of them, or not for this body, method and path, or not now, or not for the first time.
    """
    institution = request.user.institution
    if institution is not None:
        centre_of(request).channels.verify_incoming(
            tx,
            institution=institution,
            header=header,
            body=body,
            method=request.method,
            path=_path_of(request),
        )


def read_signature(request: ApiRequest, *, body: bytes, header: str | None) -> Verified | None:
    """Who signed the request, for a verb that takes the nonce in the transaction of its effect.

    Raises as `check_signature`, but for a signature that was used before.
    """
    institution = request.user.institution
    if institution is None:
        return None
    return centre_of(request).channels.read_signature(
        institution=institution,
        header=header,
        body=body,
        method=request.method,
        path=_path_of(request),
    )


def _path_of(request: ApiRequest) -> str:
    """The path as it was sent, with its query."""
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.url.path}?{query}" if query else request.url.path


@again
def check_sender(request: ApiRequest, *, body: bytes, header: str | None) -> None:
    """As `check_signature`, committed before what follows: that has transactions of its own.

    A request that fails afterwards is sent again under a fresh signature.
    """
    if request.user.institution is not None:
        with centre_of(request).uow.begin(request.user, purpose="check who signed") as tx:
            check_signature(request, tx, body=body, header=header)
