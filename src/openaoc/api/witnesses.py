"""API: the journal's outside witnesses and its signing keys.

Shows heads and keys only; what a witness keeps is asked of the witness.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, decision, look
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import Reason
from openaoc.continuity.model import WitnessStatus
from openaoc.parties.permissions import Permission, require
from openaoc.storage.journal_keys import Succession

BODY_BYTES_MAX: Final = 16 << 10
Url = Annotated[str, Meta(min_length=1, max_length=512)]


class WitnessList(msgspec.Struct, frozen=True, kw_only=True):
    """The witnesses of the journal."""

    witnesses: list[WitnessStatus]


class NewWitness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A witness to add: where it is, and its public key (base64) as its operator told it."""

    url: Url
    key: Annotated[str, Meta(max_length=64)] = ""


class FormerWitness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A witness to remove, and why."""

    url: Url
    reason: Reason


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """The witness that is offered nothing more."""

    url: str


class JournalKeyList(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that sign heads: the first (base64), its id, and every replacement since."""

    centre: str
    first_key: str
    successions: list[Succession]


@look(
    "/v1/journal/witnesses",
    words="Now",
    purpose="look at the witnesses",
    summary="The journal's witnesses, and how far each has signed",
)
def witnesses(on: Deciding) -> WitnessList:
    """Every witness."""
    return WitnessList(witnesses=on.centre.witnessing.list(on.tx))


@decision(
    "/v1/journal/witnesses",
    on=None,
    words="The witness",
    purpose="add a witness",
    summary="Offer heads to a witness from now on",
)
def add(on: Deciding, said: NewWitness) -> WitnessStatus:
    """Add a witness."""
    return on.centre.witnessing.add(on.tx, url=said.url, key=said.key)


@post(
    "/v1/journal/witnesses/remove",
    guards=[signed_in],
    dto=Body[FormerWitness],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["journal"],
    summary="Offer a witness nothing more",
    responses={**described(Removed, "Removed"), **problems(401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
@again
def remove(request: ApiRequest, data: JSONBody[FormerWitness]) -> Removed:
    """Remove a witness; what it kept, it keeps."""
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="remove a witness") as tx:
        centre.witnessing.remove(tx, url=data.url, reason=data.reason)
    return Removed(url=data.url)


@get(
    "/v1/journal/keys",
    guards=[signed_in],
    security=BEARER,
    tags=["journal"],
    summary="The keys that sign the journal's heads",
    responses={**described(JournalKeyList, "First to last"), **problems(401, 403)},
    sync_to_thread=True,
)
def keys(request: ApiRequest) -> JournalKeyList:
    """What a witness's operator is given, and what checks every head."""
    require(request.user, Permission.JOURNAL_READ)
    centre = centre_of(request)
    identity = centre.witnessing.identity()
    return JournalKeyList(
        centre=identity.centre,
        first_key=identity.first_key,
        successions=centre.journal.successions(),
    )


@post(
    "/v1/journal/keys/rotate",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["journal"],
    summary="Sign heads with a fresh key; the old one vouches for it",
    responses={**described(Succession, "The old key's word"), **problems(401, 403)},
    sync_to_thread=True,
)
def rotate(request: ApiRequest) -> Succession:
    """Replace the journal's signing key."""
    require(request.user, Permission.JOURNAL_KEY_ROTATE)
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="replace the journal's signing key") as tx:
        return centre.journal.rotate_key(tx)


HANDLERS: Final = (witnesses, add, remove, keys, rotate)
