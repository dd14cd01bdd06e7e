"""API: institutions' ISO 20022 messages: answers as camt.029, payments back as pacs.004."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from litestar import post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import RawBody

from openaoc.api.access import BEARER, centre_of, only, signed_in
from openaoc.api.again import again
from openaoc.api.bodies import media_type
from openaoc.api.problems import ApiRequest, UnsupportedType, problems
from openaoc.api.signatures import Signature, check_signature
from openaoc.kernel.actor import Role
from openaoc.workflow.iso_messages import IsoReceipt

DOCUMENT_BODY_BYTES_MAX: Final = 4 << 20
XML: Final = "application/xml"


def _document() -> RequestBody:
    return RequestBody(
        required=True, content={XML: OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))}
    )


@dataclass
class DocumentOperation(Operation):
    """An operation whose body is an XML document."""

    request_body: RequestBody | None = field(default_factory=_document)

    def __post_init__(self) -> None:
        """Litestar passes None for a handler without `data`."""
        self.request_body = _document()


@post(
    "/v1/iso20022",
    guards=[signed_in, only(Role.MACHINE)],
    status_code=200,
    request_max_body_size=DOCUMENT_BODY_BYTES_MAX,
    operation_class=DocumentOperation,
    security=BEARER,
    tags=["holds"],
    summary="Send an ISO 20022 message",
    description=(
        "camt.029.001.09 answers orders, pacs.004.001.09 says that money went back. The same "
        "message again changes nothing. An institution that registered a public key signs it."
    ),
    responses={
        200: ResponseSpec(IsoReceipt, description="What became of it", generate_examples=False),
        **problems(401, 403, 409, 413, 415),
    },
    sync_to_thread=True,
)
@again
def message(request: ApiRequest, body: RawBody, signature: Signature = None) -> IsoReceipt:
    """Take a message, in one transaction with its signature's nonce."""
    if media_type(request) != XML:
        raise UnsupportedType(f"send {XML}", where="Content-Type")
    centre, actor = centre_of(request), request.user
    with centre.uow.begin(actor, purpose="an ISO 20022 message") as tx:
        check_signature(request, tx, body=body, header=signature)
        receipt = centre.matter.iso_messages.take(tx, body, actor=actor)
        for answer in receipt.answers:
            if answer.problem is None:
                centre.channels.settle(tx, subject=answer.order)
        return receipt


HANDLERS: Final = (message,)
