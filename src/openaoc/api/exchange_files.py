"""API: what a partner may have as a signed file, and the files partners bring.

Decides nothing: who may take and bring stands in the stage. A partner's user has its own alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import FromPath, HeaderParameter, QueryParameter, RawBody

from openaoc.api.access import BEARER, centre_of, need_id, signed_in
from openaoc.api.again import again
from openaoc.api.bodies import media_type
from openaoc.api.problems import ApiRequest, UnsupportedType, problems
from openaoc.exchange.files.model import FILE_BYTES_MAX, SUFFIXES, FileReceipt, Form
from openaoc.exchange.files.service import Given

BYTES: Final = "application/octet-stream"
SIGNATURE: Final = "File-Signature"
MARK: Final = "File-Mark"
MORE: Final = "File-More"
SIGNATURE_CHARACTERS_MAX: Final = 4_096
VOUCHED_CHARACTERS_MAX: Final = 500
_FILE: Final = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)

OneForm = Annotated[Form, QueryParameter(name="form", description="In which form the file is.")]
After = Annotated[int, QueryParameter(name="after", ge=0, le=2**63 - 1, required=False)]
FileSignature = Annotated[
    str | None,
    HeaderParameter(name=SIGNATURE, max_length=SIGNATURE_CHARACTERS_MAX, required=False),
]
Vouched = Annotated[
    str, QueryParameter(name="vouched", max_length=VOUCHED_CHARACTERS_MAX, required=False)
]


def _body() -> RequestBody:
    return RequestBody(required=True, content={BYTES: OpenAPIMediaType(schema=_FILE)})


@dataclass
class FileOperation(Operation):
    """An operation whose body is a file."""

    request_body: RequestBody | None = field(default_factory=_body)

    def __post_init__(self) -> None:
        """Litestar passes None for a handler without `data`."""
        self.request_body = _body()


@get(
    "/v1/exchange/files/{partner:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="What a partner may have, as a signed file",
    description=(
        f"`{SIGNATURE}`: its detached signature; `{MARK}`: pass it as `after` for what comes "
        f"behind; `{MORE}`: whether there is more now."
    ),
    media_type=BYTES,
    responses={
        200: ResponseSpec(bytes, description="The file", media_type=BYTES),
        **problems(401, 403, 404),
    },
    sync_to_thread=True,
)
@again
def export_file(
    request: ApiRequest, partner: FromPath[str], form: OneForm, after: After = 0
) -> Response[bytes]:
    """The partner's view from behind a mark on, at most 20,000 objects."""
    code, centre = need_id(partner, what="partner"), centre_of(request)
    with centre.uow.begin(request.user, purpose="make a file for a partner") as tx:
        made = centre.files.export(tx, code, form, after=after)
    headers = {
        SIGNATURE: made.signature,
        MARK: str(made.mark),
        MORE: "yes" if made.more else "no",
        "File-Objects": str(made.objects),
        "File-Lost": str(made.lost),
        "Content-Disposition": f'attachment; filename="objects.{SUFFIXES[form]}"',
    }
    return Response(made.data, media_type=BYTES, headers=headers)


@post(
    "/v1/exchange/files/{partner:str}",
    guards=[signed_in],
    status_code=200,
    request_max_body_size=FILE_BYTES_MAX,
    operation_class=FileOperation,
    security=BEARER,
    tags=["exchange"],
    summary="Bring a partner's file: it is taken whole or not at all",
    description=(
        "Signed by a verified key of the partner, or brought by its own user, or vouched for by "
        "whoever brings it. What is wrong with it is named by line and field. The same file again "
        "changes nothing."
    ),
    responses={
        200: ResponseSpec(FileReceipt, description="What became of it", generate_examples=False),
        **problems(401, 403, 404, 413, 415),
    },
    sync_to_thread=True,
)
def import_file(
    request: ApiRequest,
    partner: FromPath[str],
    body: RawBody,
    form: OneForm,
    signature: FileSignature = None,
    vouched: Vouched = "",
) -> FileReceipt:
    """Each object is taken as its sender's word."""
    if media_type(request) != BYTES:
        raise UnsupportedType(f"send {BYTES}", where="Content-Type")
    given = Given(
        partner=need_id(partner, what="partner"),
        form=form,
        data=body,
        signature=signature,
        vouched=vouched,
    )
    return centre_of(request).files.take(request.user, given)


HANDLERS: Final = (export_file, import_file)
