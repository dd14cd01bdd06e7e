"""API: best practice: packages with what came of trying them, and scripts.

Decides nothing: who may, and when a package may go live, stands in the stage.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.params import Parameter

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.bodies import Body
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.rules import Codes
from openaoc.api.wire import CaseDecision
from openaoc.exchange.objects import ReleasedObject
from openaoc.holds.comparing import Comparison
from openaoc.parties.permissions import Permission, require
from openaoc.practice.fetching import Fetched
from openaoc.practice.model import (
    NewPackage,
    NoSuchPackage,
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
    NoSuchScript,
    Script,
    ScriptList,
    ScriptState,
)
from openaoc.workflow.practising import Practising

BODY_BYTES_MAX: Final = 256 << 10
SMALL_BODY_BYTES_MAX: Final = 16 << 10
ID_CHARACTERS_MAX: Final = 80

OneKind = Annotated[PackageKind | None, Parameter(query="kind", required=False)]
OneStanding = Annotated[Standing | None, Parameter(query="standing", required=False)]
OneState = Annotated[ScriptState | None, Parameter(query="state", required=False)]
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


def _package(name: str) -> str:
    if len(name) > ID_CHARACTERS_MAX or not name.isprintable():
        raise NoSuchPackage
    return name


def _script(name: str) -> str:
    if len(name) > ID_CHARACTERS_MAX or not name.isprintable():
        raise NoSuchScript
    return name


@get(
    "/v1/practice",
    guards=[signed_in],
    security=BEARER,
    tags=["practice"],
    summary="Packages of best practice, ours and partners', the last changed first",
    responses={**described(PackageList, "At most 500"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_packages(
    request: ApiRequest, kind: OneKind = None, standing: OneStanding = None
) -> PackageList:
    """With what came of trying them."""
    with centre_of(request).uow.read(request.user, purpose="list packages") as tx:
        return _practising(request).packages.listed(tx, kind=kind, standing=standing)


@post(
    "/v1/practice",
    guards=[signed_in],
    dto=Body[NewPackage],
    return_dto=None,
    status_code=201,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Make a package of a playbook, a typology or legal rules, signed by this centre",
    description=(
        "It says its measured error, or that it was not measured. It begins in shadow. `rules` "
        "names a jurisdiction: what is sent is the file this centre goes by."
    ),
    responses={
        **described(PackageView, "Signed, in shadow", 201),
        **problems(400, 401, 403, 404, 413, 415),
    },
    sync_to_thread=True,
)
def make_package(request: ApiRequest, data: NewPackage) -> PackageView:
    """Our own."""
    with centre_of(request).uow.begin(request.user, purpose="make a package") as tx:
        return _practising(request).packages.make(tx, data)


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


@get(
    "/v1/practice/{package:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["practice"],
    summary="One package, its figures, and what it lacks before it may go live",
    responses={**described(PackageView, "The package"), **problems(400, 401, 403, 404)},
    sync_to_thread=True,
)
def show_package(request: ApiRequest, package: str) -> PackageView:
    """One package."""
    with centre_of(request).uow.read(request.user, purpose="show a package") as tx:
        return _practising(request).packages.show(tx, _package(package))


@get(
    "/v1/practice/{package:str}/observations",
    guards=[signed_in],
    security=BEARER,
    tags=["practice"],
    summary="Accounts a typology names or would have named, the newest first",
    responses={**described(ObservationList, "At most 500"), **problems(400, 401, 403, 404)},
    sync_to_thread=True,
)
def observed(request: ApiRequest, package: str) -> ObservationList:
    """For who works with it."""
    with centre_of(request).uow.read(request.user, purpose="what a typology named") as tx:
        return _practising(request).packages.observed(tx, _package(package))


@post(
    "/v1/practice/{package:str}/share",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["practice"],
    summary="Let partners have a package of ours, where an agreement permits it",
    description="Again, it is signed with the key that signs now.",
    responses={
        **described(PackageView, "Shared"),
        **problems(400, 401, 403, 404, 409),
    },
    sync_to_thread=True,
)
def share_package(request: ApiRequest, package: str) -> PackageView:
    """It leaves by itself to everybody whose agreement lets it."""
    with centre_of(request).uow.begin(request.user, purpose="share a package") as tx:
        return _practising(request).packages.share(tx, _package(package))


@post(
    "/v1/practice/{package:str}/take-on",
    guards=[signed_in],
    dto=Body[CaseDecision],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Say that a package may act; with a second person's word it does",
    responses={
        **described(PackageView, "Waiting for a second person, or live"),
        **problems(400, 401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def take_on(request: ApiRequest, package: str, data: CaseDecision) -> PackageView:
    """Only what was tried enough."""
    with centre_of(request).uow.begin(request.user, purpose="take a package live") as tx:
        return _practising(request).packages.take_on(tx, _package(package), reason=data.reason)


@post(
    "/v1/practice/{package:str}/stop",
    guards=[signed_in],
    dto=Body[CaseDecision],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Stop a package; what it proposed is taken back",
    responses={
        **described(PackageView, "Stopped"),
        **problems(400, 401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def stop_package(request: ApiRequest, package: str, data: CaseDecision) -> PackageView:
    """One person is enough."""
    with centre_of(request).uow.begin(request.user, purpose="stop a package") as tx:
        return _practising(request).packages.stop(tx, _package(package), reason=data.reason)


@post(
    "/v1/practice/{package:str}/try-again",
    guards=[signed_in],
    dto=Body[CaseDecision],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Put a stopped package back into shadow",
    responses={
        **described(PackageView, "In shadow"),
        **problems(400, 401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def try_again(request: ApiRequest, package: str, data: CaseDecision) -> PackageView:
    """Its days begin anew."""
    with centre_of(request).uow.begin(request.user, purpose="try a package again") as tx:
        return _practising(request).packages.try_again(tx, _package(package), reason=data.reason)


@post(
    "/v1/practice/{package:str}/withdraw",
    guards=[signed_in],
    dto=Body[CaseDecision],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Take a package of ours back, here and from everybody who received it",
    responses={
        **described(PackageView, "Withdrawn"),
        **problems(400, 401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def withdraw_package(request: ApiRequest, package: str, data: CaseDecision) -> PackageView:
    """It comes back only as another version."""
    with centre_of(request).uow.begin(request.user, purpose="withdraw a package") as tx:
        return _practising(request).packages.withdraw(tx, _package(package), reason=data.reason)


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
def fetch(request: ApiRequest, data: PartnerAsked) -> Fetched:
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
def bring(request: ApiRequest, data: Brought) -> Taken:
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
    responses={**described(ScriptList, "At most 500"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_scripts(request: ApiRequest, wanted: OneState = None) -> ScriptList:
    """Without personal data."""
    with centre_of(request).uow.read(request.user, purpose="list scripts") as tx:
        return _practising(request).scripts.listed(tx, state=wanted)


@post(
    "/v1/scripts",
    guards=[signed_in],
    dto=Body[NewScript],
    return_dto=None,
    status_code=201,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Draft a script from a report or a text; personal data that has a form is taken out",
    responses={
        **described(Script, "For a person to read", 201),
        **problems(400, 401, 403, 404, 413, 415),
    },
    sync_to_thread=True,
)
def draft_script(request: ApiRequest, data: NewScript) -> Script:
    """The look at who reported is in the journal."""
    with centre_of(request).uow.begin(request.user, purpose="draft a script") as tx:
        return _practising(request).scripts.draft(tx, data)


@get(
    "/v1/scripts/{script:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["practice"],
    summary="One script, and how many places of each kind stand in it",
    responses={**described(Script, "The script"), **problems(400, 401, 403, 404)},
    sync_to_thread=True,
)
def show_script(request: ApiRequest, script: str) -> Script:
    """One script."""
    with centre_of(request).uow.read(request.user, purpose="show a script") as tx:
        return _practising(request).scripts.show(tx, _script(script))


@post(
    "/v1/scripts/{script:str}/approve",
    guards=[signed_in],
    dto=Body[ApprovedScript],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Say that nobody can be told from a script; it may leave by agreement",
    responses={
        **described(Script, "Approved"),
        **problems(400, 401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def approve_script(request: ApiRequest, script: str, data: ApprovedScript) -> Script:
    """A person read it."""
    with centre_of(request).uow.begin(request.user, purpose="approve a script") as tx:
        return _practising(request).scripts.approve(tx, _script(script), data)


@post(
    "/v1/scripts/{script:str}/withdraw",
    guards=[signed_in],
    dto=Body[CaseDecision],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Take a script of ours back, here and from everybody who received it",
    responses={
        **described(Script, "Withdrawn"),
        **problems(400, 401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def withdraw_script(request: ApiRequest, script: str, data: CaseDecision) -> Script:
    """It is found no more."""
    with centre_of(request).uow.begin(request.user, purpose="withdraw a script") as tx:
        return _practising(request).scripts.withdraw(tx, _script(script), reason=data.reason)


@post(
    "/v1/scripts/find",
    guards=[signed_in],
    dto=Body[AskedScript],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["practice"],
    summary="Find scripts that are alike, in other words or another language",
    description="Nothing found does not mean that it is harmless. What is asked is not kept.",
    responses={
        **described(LikeScripts, "The most alike first"),
        **problems(400, 401, 403, 413, 415),
    },
    sync_to_thread=True,
)
def find_scripts(request: ApiRequest, data: AskedScript) -> LikeScripts:
    """By wording, and by what they speak of."""
    with centre_of(request).uow.read(request.user, purpose="find scripts alike") as tx:
        return _practising(request).scripts.find(tx, data)


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
