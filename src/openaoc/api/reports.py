"""API: reports in. A 201 names only what is committed."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, RawBody

from openaoc.api.access import BEARER, REPLAYED, IdempotencyKey, centre_of, key_or_citizen, need_key
from openaoc.api.bodies import Body
from openaoc.api.problems import ApiRequest, problems
from openaoc.api.rates import CITIZEN_REPORTS
from openaoc.api.signatures import Signature, read_signature
from openaoc.kernel.actor import CITIZEN
from openaoc.kernel.errors import NotSignedIn
from openaoc.kernel.limits import REPORT_BODY_BYTES_MAX
from openaoc.reports.model import Channel, Report, ReportReceipt


@post(
    "/v1/reports",
    guards=[key_or_citizen(CITIZEN_REPORTS)],
    dto=Body[Report],
    return_dto=None,
    request_max_body_size=REPORT_BODY_BYTES_MAX,
    security=[*BEARER, {}],
    tags=["reports"],
    summary="Report a scam",
    description=(
        "Report, case, trace and hold orders are committed before the answer. Without a key a "
        "report comes over the channel `web` and has no standing of its own: a person looks "
        "first, and `source_ref` is not kept. An institution that registered a public key signs "
        "each request anew."
    ),
    responses={
        201: ResponseSpec(ReportReceipt, description="Committed", generate_examples=False),
        **problems(401, 403, 409, 413, 415),
    },
    sync_to_thread=True,
)
def submit(
    request: ApiRequest,
    data: JSONBody[Report],
    body: RawBody,
    idempotency_key: IdempotencyKey = None,
    signature: Signature = None,
) -> Response[ReportReceipt]:
    """Take a report; a repeat of it gets the same receipt."""
    key = need_key(idempotency_key)
    verified = read_signature(request, body=body, header=signature)
    report = data
    if request.user == CITIZEN:
        if report.channel is not Channel.WEB:
            raise NotSignedIn("without a key only the channel `web` is open")
        # A source_ref is the same report again only for a sender we can tell from others.
        report = msgspec.structs.replace(report, source_ref=None)
    receipt, created = centre_of(request).matter.intake.receive(
        report, sender=request.user, idempotency_key=key, verified=verified
    )
    headers = {} if created else {REPLAYED: "true"}
    return Response(receipt, status_code=201, headers=headers)


HANDLERS: Final = (submit,)
