"""API: orders and answers by spreadsheet, for institutions whose people work with those."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import QueryParameter, RawBody

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.again import again
from openaoc.api.bodies import media_type
from openaoc.api.exercise import WORDS
from openaoc.api.problems import ApiRequest, UnsupportedType, problems
from openaoc.api.signatures import Signature, check_signature
from openaoc.channels.spreadsheet.model import FILE_BYTES_MAX
from openaoc.kernel.limits import BANK_CHARACTERS_MAX
from openaoc.workflow.spreadsheets import SheetReceipt

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FILE: Final = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)

InstitutionName = Annotated[
    str | None, QueryParameter(name="institution", max_length=BANK_CHARACTERS_MAX, required=False)
]


def _file() -> RequestBody:
    return RequestBody(required=True, content={XLSX: OpenAPIMediaType(schema=_FILE)})


@dataclass
class SpreadsheetOperation(Operation):
    """An operation whose body is a spreadsheet."""

    request_body: RequestBody | None = field(default_factory=_file)

    def __post_init__(self) -> None:
        """Litestar passes None for a handler without `data`."""
        self.request_body = _file()


@get(
    "/v1/spreadsheets/orders",
    guards=[signed_in],
    security=BEARER,
    tags=["holds"],
    summary="The orders an institution has not answered, as a spreadsheet",
    description="An institution's people get their own; others name the institution.",
    media_type=XLSX,
    responses={
        200: ResponseSpec(bytes, description="A spreadsheet", media_type=XLSX),
        **problems(401, 403, 404),
    },
    sync_to_thread=True,
)
def orders(request: ApiRequest, institution: InstitutionName = None) -> Response[bytes]:
    """The spreadsheet, to be filled in and sent back."""
    centre = centre_of(request)
    mark = WORDS if centre.settings.exercise else ""
    with centre.uow.read(request.user, purpose="orders by spreadsheet") as tx:
        data = centre.matter.spreadsheets.orders(tx, institution=institution, mark=mark)
    named = {"Content-Disposition": 'attachment; filename="orders.xlsx"'}
    return Response(data, media_type=XLSX, headers=named)


@post(
    "/v1/spreadsheets/answers",
    guards=[signed_in],
    status_code=200,
    request_max_body_size=FILE_BYTES_MAX,
    operation_class=SpreadsheetOperation,
    security=BEARER,
    tags=["holds"],
    summary="Answer orders by spreadsheet",
    description=(
        "The spreadsheet of orders, filled in. One cell that cannot be read refuses all of it; an "
        "answer that does not fit its order refuses that row alone. The same sheet again changes "
        "nothing. An institution that registered a public key signs it."
    ),
    responses={
        200: ResponseSpec(SheetReceipt, description="What became of it", generate_examples=False),
        **problems(401, 403, 409, 413, 415),
    },
    sync_to_thread=True,
)
@again
def answers(request: ApiRequest, body: RawBody, signature: Signature = None) -> SheetReceipt:
    """Take a filled-in spreadsheet, in one transaction with its signature's nonce."""
    if media_type(request) != XLSX:
        raise UnsupportedType(f"send {XLSX}", where="Content-Type")
    centre, actor = centre_of(request), request.user
    with centre.uow.begin(actor, purpose="answers by spreadsheet") as tx:
        check_signature(request, tx, body=body, header=signature)
        receipt = centre.matter.spreadsheets.take(tx, body, actor=actor)
        for answer in receipt.answers:
            if answer.problem is None:
                centre.channels.settle(tx, subject=answer.order)
        return receipt


HANDLERS: Final = (orders, answers)
