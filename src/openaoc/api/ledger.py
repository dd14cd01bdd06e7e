"""API: transfers and openings in. Nothing of the ledger is ever read out here (design §4.9)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Final

from litestar import Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import QueryParameter, RawBody

from openaoc.api.access import (
    BEARER,
    REPLAYED,
    IdempotencyKey,
    centre_of,
    need_key,
    only,
    signed_in,
)
from openaoc.api.bodies import media_type
from openaoc.api.problems import ApiRequest, UnsupportedType, problems
from openaoc.api.signatures import Signature, check_sender
from openaoc.kernel.actor import Role
from openaoc.kernel.clock import EPOCH, parse_time
from openaoc.kernel.errors import Busy
from openaoc.kernel.limits import TRANSFERS_BODY_BYTES_MAX
from openaoc.ledger.model import IngestReceipt
from openaoc.ledger.table import CONTENT_TYPES
from openaoc.workflow.telling import OpeningsReceipt

ACCOUNTS_BODY_BYTES_MAX: Final = 256 << 20
BATCHES_AT_ONCE_MAX: Final = 8
"""Bodies that are parsed and stored at the same time; more are told to come again."""

_TYPES: Final = tuple(sorted(CONTENT_TYPES))
_FILE: Final = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)


@dataclass
class FileOperation(Operation):
    """An operation whose body is a file of one of the known types."""

    request_body: RequestBody | None = field(
        default_factory=lambda: RequestBody(
            required=True,
            content={name: OpenAPIMediaType(schema=_FILE) for name in _TYPES},
        )
    )

    def __post_init__(self) -> None:
        """Litestar passes None for a handler without `data`."""
        self.request_body = RequestBody(
            required=True,
            content={name: OpenAPIMediaType(schema=_FILE) for name in _TYPES},
        )


_at_once = threading.BoundedSemaphore(BATCHES_AT_ONCE_MAX)


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _at_once.acquire(blocking=False):
        raise Busy(f"{BATCHES_AT_ONCE_MAX} batches are being taken; try again")
    try:
        yield
    finally:
        _at_once.release()


def _known_type(request: ApiRequest) -> str:
    kind = media_type(request)
    if kind not in CONTENT_TYPES:
        raise UnsupportedType(f"send one of {', '.join(_TYPES)}", where="Content-Type")
    return kind


Live = Annotated[
    bool,
    QueryParameter(
        name="live",
        required=False,
        description="False for the import of history; a live batch may not be from the future.",
    ),
]
At = Annotated[
    str | None,
    QueryParameter(
        name="at", required=False, max_length=40, description="RFC 3339; the balances' moment."
    ),
]
AssumeUtc = Annotated[
    bool,
    QueryParameter(
        name="assume_utc", required=False, description="Take times without zone as UTC."
    ),
]


@post(
    "/v1/ledger/transfers",
    guards=[signed_in, only(Role.MACHINE, Role.ADMINISTRATOR)],
    request_max_body_size=TRANSFERS_BODY_BYTES_MAX,
    operation_class=FileOperation,
    security=BEARER,
    tags=["ledger"],
    summary="Tell transfers",
    description=(
        "The transfers format as NDJSON, CSV, Parquet or Arrow stream. The answer comes when all "
        "of it is durable and applied; a batch with one refused row is refused whole. An "
        "institution's machine tells what it reports itself (`reported_by` is its own code); the "
        "machine of a payment switch and an administrator may tell what others report. An "
        "institution that registered a public key signs each request, query included."
    ),
    responses={
        201: ResponseSpec(IngestReceipt, description="Durable", generate_examples=False),
        **problems(401, 403, 409, 413, 415),
    },
    sync_to_thread=True,
)
def transfers(
    request: ApiRequest,
    body: RawBody,
    idempotency_key: IdempotencyKey = None,
    live: Live = True,  # noqa: FBT002 - a query parameter
    assume_utc: AssumeUtc = False,  # noqa: FBT002 - a query parameter
    signature: Signature = None,
) -> Response[IngestReceipt]:
    """Take a batch of transfers."""
    key, kind = need_key(idempotency_key), _known_type(request)
    with _one_of_few():
        check_sender(request, body=body, header=signature)
        receipt, created = centre_of(request).telling.transfers(
            body, kind, actor=request.user, key=key, live=live, assume_utc=assume_utc
        )
    headers = {} if created else {REPLAYED: "true"}
    return Response(receipt, status_code=201, headers=headers)


@post(
    "/v1/ledger/accounts",
    guards=[signed_in, only(Role.MACHINE, Role.ADMINISTRATOR)],
    request_max_body_size=ACCOUNTS_BODY_BYTES_MAX,
    operation_class=FileOperation,
    security=BEARER,
    tags=["ledger"],
    summary="Tell opening balances",
    description=(
        "The accounts format: bank, account, opening_minor, currency. Transfers before `at` stand "
        "outside of these accounts' lines; without `at` the balances stand before every transfer. "
        "An institution's machine tells its own accounts, signed like transfers."
    ),
    responses={
        201: ResponseSpec(OpeningsReceipt, description="Durable", generate_examples=False),
        **problems(401, 403, 409, 413, 415),
    },
    sync_to_thread=True,
)
def accounts(
    request: ApiRequest,
    body: RawBody,
    idempotency_key: IdempotencyKey = None,
    at: At = None,
    signature: Signature = None,
) -> Response[OpeningsReceipt]:
    """Take opening balances."""
    key, kind = need_key(idempotency_key), _known_type(request)
    since = EPOCH if at is None else parse_time(at, where="at")
    with _one_of_few():
        check_sender(request, body=body, header=signature)
        receipt, created = centre_of(request).telling.accounts(
            body, kind, actor=request.user, key=key, at=since
        )
    headers = {} if created else {REPLAYED: "true"}
    return Response(receipt, status_code=201, headers=headers)


HANDLERS: Final = (transfers, accounts)
