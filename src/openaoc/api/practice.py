"""API: best practice: packages with what came of trying them, and scripts.

Decides nothing: who may, and when a package may go live, stands in the stage.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, Thing, act, creation, decision, look
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.rules import Codes
from openaoc.api.wire import Why
from openaoc.exchange.objects import ReleasedObject
from openaoc.holds.comparing import Comparison
from openaoc.kernel.paging import PAGE_DEFAULT, Asked
from openaoc.parties.permissions import Permission, require
from openaoc.practice.fetching import Fetched
from openaoc.practice.model import (
    NewPackage,
    ObservationList,
    PackageKind,
    PackageList,
    PackageView,
    Standing,
)
from openaoc.practice.script_model import (
    ApprovedScript,
    AskedScript,
    LikeScripts,
    NewScript,
    Script,
    ScriptList,
    ScriptState,
)
from openaoc.workflow.practising import Practising

BODY_BYTES_MAX: Final = 256 << 10
SMALL_BODY_BYTES_MAX: Final = 16 << 10
PACKAGE: Final = Thing("package", "package")
SCRIPT: Final = Thing("script", "script")

OneKind = Annotated[PackageKind | None, QueryParameter(name="kind", required=False)]
OneStanding = Annotated[Standing | None, QueryParameter(name="standing", required=False)]
OneState = Annotated[ScriptState | None, QueryParameter(name="state", required=False)]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]


class PartnerAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partner to ask for what is new."""

    partner: Code


class Brought(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a partner handed over otherwise: an object as it was released, unchanged."""

    partner: Code
    object: ReleasedObject


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: the object's id, and whether anything is new."""

    id: str
    taken: bool


def _practising(request: ApiRequest) -> Practising:
    return centre_of(request).matter.practising


@get(
    "/v1/practice",
    guards=[signed_in],
    security=BEARER,
    tags=["practice"],
    summary="Packages of best practice, ours and partners', the last changed first",
    responses={**described(PackageList, "One page"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_packages(
    request: ApiRequest,
    kind: OneKind = None,
    standing: OneStanding = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> PackageList:
    """With what came of trying them."""
    with centre_of(request).uow.read(request.user, purpose="list packages") as tx:
        packages = _practising(request).packages
        return packages.listed(tx, Asked(cursor, limit), kind=kind, standing=standing)


@creation(
    "/v1/practice",
    words="Signed, in shadow",
    purpose="make a package",
    summary="Make a package of a playbook, a typology or legal rules, signed by this centre",
    description=(
        "It says its measured error, or that it was not measured. It begins in shadow. `rules` "
        "names a jurisdiction: what is sent is the file this centre goes by."
    ),
    body_bytes_max=BODY_BYTES_MAX,
)
def make_package(on: Deciding, said: NewPackage) -> PackageView:
    """Our own."""
    return on.centre.matter.practising.packages.make(on.tx, said)


@get(
    "/v1/practice/rules",
    guards=[signed_in],
    security=BEARER,
    tags=["practice"],
    summary="Legal rules side by side: ours, and what partners sent of theirs",
    description="A partner's sheet is its own word: it is read, and lets nothing go live here.",
    responses={**described(Comparison, "The rules in force today"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def compare_rules(request: ApiRequest, jurisdiction: Codes = None) -> Comparison:
    """By jurisdiction; of each partner the newest."""
    with centre_of(request).uow.read(request.user, purpose="compare legal rules") as tx:
        return _practising(request).rules(tx, jurisdiction or ())


@look(
    "/v1/practice/{package:str}",
    on=PACKAGE,
    words="The package",
    purpose="show a package",
    summary="One package, its figures, and what it lacks before it may go live",
)
def show_package(on: Deciding) -> PackageView:
    """One package."""
    return on.centre.matter.practising.packages.show(on.tx, on.id)


@look(
    "/v1/practice/{package:str}/observations",
    on=PACKAGE,
    words="At most 500",
    purpose="what a typology named",
    summary="Accounts a typology names or would have named, the newest first",
)
def observed(on: Deciding) -> ObservationList:
    """For who works with it."""
    return on.centre.matter.practising.packages.observed(on.tx, on.id)


@act(
    "/v1/practice/{package:str}/share",
    on=PACKAGE,
    words="Shared",
    purpose="share a package",
    summary="Let partners have a package of ours, where an agreement permits it",
    description="Again, it is signed with the key that signs now.",
)
def share_package(on: Deciding) -> PackageView:
    """It leaves by itself to everybody whose agreement lets it."""
    return on.centre.matter.practising.packages.share(on.tx, on.id)


@decision(
    "/v1/practice/{package:str}/take-on",
    on=PACKAGE,
    words="Waiting for a second person, or live",
    purpose="take a package live",
    summary="Say that a package may act; with a second person's word it does",
)
def take_on(on: Deciding, said: Why) -> PackageView:
    """Only what was tried enough."""
    return on.centre.matter.practising.packages.take_on(on.tx, on.id, reason=said.reason)


@decision(
    "/v1/practice/{package:str}/stop",
    on=PACKAGE,
    words="Stopped",
    purpose="stop a package",
    summary="Stop a package; what it proposed is taken back",
)
def stop_package(on: Deciding, said: Why) -> PackageView:
    """One person is enough."""
    return on.centre.matter.practising.packages.stop(on.tx, on.id, reason=said.reason)


@decision(
    "/v1/practice/{package:str}/try-again",
    on=PACKAGE,
    words="In shadow",
    purpose="try a package again",
    summary="Put a stopped package back into shadow",
)
def try_again(on: Deciding, said: Why) -> PackageView:
    """Its days begin anew."""
    return on.centre.matter.practising.packages.try_again(on.tx, on.id, reason=said.reason)


@decision(
    "/v1/practice/{package:str}/withdraw",
    on=PACKAGE,
    words="Withdrawn",
    purpose="withdraw a package",
    summary="Take a package of ours back, here and from everybody who received it",
)
def withdraw_package(on: Deciding, said: Why) -> PackageView:
    """It comes back only as another version."""
    return on.centre.matter.practising.packages.withdraw(on.tx, on.id, reason=said.reason)


@post(
    "/v1/practice/fetch",
    guards=[signed_in],
    dto=Body[PartnerAsked],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Ask a partner's centre now for packages and scripts we may have",
    description="It is asked every five minutes by itself.",
    responses={**described(Fetched, "What came of it"), **problems(401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
def fetch(request: ApiRequest, data: JSONBody[PartnerAsked]) -> Fetched:
    """Ask now."""
    require(request.user, Permission.PRACTICE_WORK)
    return _practising(request).fetching.fetch(data.partner)


@post(
    "/v1/practice/bring",
    guards=[signed_in],
    dto=Body[Brought],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Bring a package or script that a partner handed over as a file",
    description="Checked like what is fetched: the author's signature, and the agreement.",
    responses={**described(Taken, "In shadow"), **problems(400, 401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
@again
def bring(request: ApiRequest, data: JSONBody[Brought]) -> Taken:
    """The object as the partner released it."""
    with centre_of(request).uow.begin(request.user, purpose="a partner's package") as tx:
        taken = _practising(request).bring(tx, data.partner, data.object)
    return Taken(id=data.object.id, taken=taken)


@get(
    "/v1/scripts",
    guards=[signed_in],
    security=BEARER,
    tags=["practice"],
    summary="What scammers say and write, ours and partners', the last changed first",
    responses={**described(ScriptList, "One page"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_scripts(
    request: ApiRequest,
    wanted: OneState = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> ScriptList:
    """Without personal data."""
    with centre_of(request).uow.read(request.user, purpose="list scripts") as tx:
        return _practising(request).scripts.listed(tx, Asked(cursor, limit), state=wanted)


@creation(
    "/v1/scripts",
    words="For a person to read",
    purpose="draft a script",
    summary="Draft a script from a report or a text; personal data that has a form is taken out",
    tag="practice",
    body_bytes_max=BODY_BYTES_MAX,
)
def draft_script(on: Deciding, said: NewScript) -> Script:
    """The look at who reported is in the journal."""
    return on.centre.matter.practising.scripts.draft(on.tx, said)


@look(
    "/v1/scripts/{script:str}",
    on=SCRIPT,
    words="The script",
    purpose="show a script",
    summary="One script, and how many places of each kind stand in it",
    tag="practice",
)
def show_script(on: Deciding) -> Script:
    """One script."""
    return on.centre.matter.practising.scripts.show(on.tx, on.id)


@decision(
    "/v1/scripts/{script:str}/approve",
    on=SCRIPT,
    words="Approved",
    purpose="approve a script",
    summary="Say that nobody can be told from a script; it may leave by agreement",
    tag="practice",
)
def approve_script(on: Deciding, said: ApprovedScript) -> Script:
    """A person read it."""
    return on.centre.matter.practising.scripts.approve(on.tx, on.id, said)


@decision(
    "/v1/scripts/{script:str}/withdraw",
    on=SCRIPT,
    words="Withdrawn",
    purpose="withdraw a script",
    summary="Take a script of ours back, here and from everybody who received it",
    tag="practice",
)
def withdraw_script(on: Deciding, said: Why) -> Script:
    """It is found no more."""
    return on.centre.matter.practising.scripts.withdraw(on.tx, on.id, reason=said.reason)


@decision(
    "/v1/scripts/find",
    on=None,
    words="The most alike first",
    purpose="find scripts alike",
    summary="Find scripts that are alike, in other words or another language",
    description="Nothing found does not mean that it is harmless. What is asked is not kept.",
    tag="practice",
    body_bytes_max=BODY_BYTES_MAX,
    changes=False,
)
def find_scripts(on: Deciding, said: AskedScript) -> LikeScripts:
    """By wording, and by what they speak of."""
    return on.centre.matter.practising.scripts.find(on.tx, said)


HANDLERS: Final = (
    list_packages,
    make_package,
    compare_rules,
    show_package,
    observed,
    share_package,
    take_on,
    stop_package,
    try_again,
    withdraw_package,
    fetch,
    bring,
    list_scripts,
    draft_script,
    show_script,
    approve_script,
    withdraw_script,
    find_scripts,
)
