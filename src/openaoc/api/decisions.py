"""API: the shape most routes share: one transaction of who asks, one verb of a stage, its answer.

`look` reads, a page where it is a list, `act` is a POST that needs no words, `decision` one that
says why or what in its body, `creation` one that makes a thing, once for each
Idempotency-Key. Who may, stands in the stages.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import (
    Any,
    Final,
    NamedTuple,
    ParamSpec,
    Required,
    TypedDict,
    TypeVar,
    Unpack,
    get_type_hints,
)

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from openaoc.api.access import (
    BEARER,
    REPLAYED,
    IdempotencyKey,
    centre_of,
    need_id,
    need_key,
    signed_in,
)
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.bootstrap import Centre
from openaoc.channels import idempotency
from openaoc.kernel.paging import FIRST, PAGE_DEFAULT
from openaoc.kernel.paging import Asked as Part
from openaoc.storage.unit_of_work import Transaction

DECISION_BODY_BYTES_MAX: Final = 16 << 10
Given = ParamSpec("Given")
Asked = TypeVar("Asked", bound=msgspec.Struct)
Told = TypeVar("Told", bound=msgspec.Struct)


class Thing(NamedTuple):
    """What is decided on: its parameter in the path, and the word for it in a refusal.

    `check`: gives the id or raises BadInput, where the thing's ids have a form of their own.
    """

    parameter: str
    word: str
    check: Callable[[str], str] | None = None

    def found(self, text: str) -> str:
        """The id out of the path, before any store is asked. Raises NotFound."""
        return need_id(text, what=self.word) if self.check is None else self.check(text)


CASE: Final = Thing("case_id", "case")
ORDER: Final = Thing("order", "order")
SUSPICION: Final = Thing("suspicion", "hold on suspicion")


class Deciding(NamedTuple):
    """What a route has to work with: the centre, a transaction, the thing's id or nothing.

    `page`: which part of a list is asked for.
    """

    centre: Centre
    tx: Transaction
    id: str
    page: Part = FIRST


class Declared(TypedDict, total=False):
    """What every route says of itself.

    `words` describe the answer; `purpose` is kept in the journal. With `on` the path names a thing;
    without, `Deciding.id` is empty. `tag`: by default the first word of the path.
    """

    on: Thing | None
    words: Required[str]
    purpose: Required[str]
    summary: Required[str]
    description: str | None
    tag: str | None


class DeclaredWithBody(Declared, total=False):
    """`body_bytes_max`: by default DECISION_BODY_BYTES_MAX."""

    body_bytes_max: int


def decision(
    path: str, *, changes: bool = True, **declared: Unpack[DeclaredWithBody]
) -> Callable[[Callable[[Deciding, Asked], Told]], HTTPRouteHandler]:
    """Make a function of a decision and its body the route.

    `changes`: false for what only asks, with more to say than a path holds.
    """

    def route(does: Callable[[Deciding, Asked], Told]) -> HTTPRouteHandler:
        handle = _handler(does, declared, changes=changes)
        return post(**_with_body(path, does, declared, status=200))(handle)

    return route


def creation(
    path: str, **declared: Unpack[DeclaredWithBody]
) -> Callable[[Callable[[Deciding, Asked], Told]], HTTPRouteHandler]:
    """Make a function that makes a thing the route; repeated with its key, it makes no second one.

    Its answer is kept with the key: it holds no secret.
    """

    def route(does: Callable[[Deciding, Asked], Told]) -> HTTPRouteHandler:
        handle = _creator(does, declared)
        return post(**_with_body(path, does, declared, status=201))(handle)

    return route


def act(
    path: str, **declared: Unpack[Declared]
) -> Callable[[Callable[[Deciding], Told]], HTTPRouteHandler]:
    """Make a function that changes something, and needs no words for it, the route."""

    def route(does: Callable[[Deciding], Told]) -> HTTPRouteHandler:
        handle = _handler(does, declared, changes=True)
        return post(**_described(path, does, declared, 404, 409), status_code=200)(handle)

    return route


def look(
    path: str, *, paged: bool = False, **declared: Unpack[Declared]
) -> Callable[[Callable[[Deciding], Told]], HTTPRouteHandler]:
    """Make a function that looks at a thing, or at all of them, the route.

    `paged`: it takes `cursor` and `limit`, and its answer has a `cursor`.
    """

    def route(does: Callable[[Deciding], Told]) -> HTTPRouteHandler:
        handle = _handler(does, declared, changes=False, paged=paged)
        missing = () if declared.get("on") is None else (404,)
        return get(**_described(path, does, declared, *missing))(handle)

    return route


def _with_body(
    path: str, does: Callable[..., Any], declared: DeclaredWithBody, *, status: int
) -> dict[str, Any]:
    """The declaration of a route that takes a body, for Litestar."""
    body, _ = _types(does)
    return {
        **_described(path, does, declared, 404, 409, 413, 415, status=status),
        "dto": Body[body],  # type: ignore[valid-type]  # known now
        "return_dto": None,
        "status_code": status,
        "request_max_body_size": declared.get("body_bytes_max", DECISION_BODY_BYTES_MAX),
    }


def _described(
    path: str, does: Callable[..., Any], declared: Declared, *refusals: int, status: int = 200
) -> dict[str, Any]:
    """The declaration of a route for those who signed in, for Litestar and OpenAPI."""
    _, answer = _types(does)
    good = described(answer, declared["words"], status)
    return {
        "path": path,
        "guards": [signed_in],
        "security": BEARER,
        "tags": [declared.get("tag") or _first_word(path)],
        "summary": declared["summary"],
        "description": declared.get("description"),
        "responses": {**good, **problems(401, 403, *refusals)},
        "sync_to_thread": True,
    }


def _first_word(path: str) -> str:
    """`/v1/holds/…` → `holds`."""
    return path.split("/")[2]


def _types(does: Callable[Given, Told]) -> tuple[Any, type[Told]]:
    """What a route's function takes beside the first, or None, and what it gives: as annotated."""
    hints = get_type_hints(does)
    answer = hints.pop("return")
    _, *bodies = hints.values()
    return bodies[0] if bodies else None, answer


def _handler(
    does: Callable[..., Told], declared: Declared, *, changes: bool, paged: bool = False
) -> Callable[..., Told]:
    """The function over its transaction."""
    on, purpose = declared.get("on"), declared["purpose"]
    body, answer = _types(does)

    @again
    def handle(request: ApiRequest, **given: Any) -> Told:
        centre = centre_of(request)
        thing = "" if on is None else on.found(given[on.parameter])
        said = () if body is None else (given["data"],)
        page = Part(given["cursor"], given["limit"]) if paged else FIRST
        opened = centre.uow.begin if changes else centre.uow.read
        with opened(request.user, purpose=purpose) as tx:
            return does(Deciding(centre, tx, thing, page), *said)

    _declare(handle, _kinds(on, body) | (_PAGED if paged else {}), answer)
    handle.__name__ = does.__name__
    return handle


def _creator(does: Callable[..., Told], declared: Declared) -> Callable[..., Response[Told]]:
    """The function over its transaction, at the first request with a key; its answer ever after."""
    on, purpose = declared.get("on"), declared["purpose"]
    body, answer = _types(does)

    @again
    def handle(
        request: ApiRequest, data: Any, idempotency_key: str | None, **named: str
    ) -> Response[Told]:
        key, centre = need_key(idempotency_key), centre_of(request)
        thing = "" if on is None else on.found(named[on.parameter])
        asked = idempotency.once(
            actor=request.user.id,
            route=request.url.path,
            key=key,
            content=msgspec.json.encode(data),
        )
        with centre.uow.begin(request.user, purpose=purpose) as tx:
            earlier = asked.earlier(tx, answer)
            if earlier is not None:
                return Response(earlier, status_code=201, headers={REPLAYED: "true"})
            made = does(Deciding(centre, tx, thing), data)
            asked.answered(tx, made)
        return Response(made, status_code=201)

    kinds = _kinds(on, body) | {"idempotency_key": IdempotencyKey}
    answered = Response[answer]  # type: ignore[valid-type]  # known now
    _declare(handle, kinds, answered)
    handle.__name__ = does.__name__
    return handle


def _kinds(on: Thing | None, body: Any) -> dict[str, Any]:
    """The parameters of a route, by name."""
    kinds: dict[str, Any] = {"request": ApiRequest}
    if body is not None:
        kinds["data"] = JSONBody[body]  # type: ignore[misc]  # an alias of Annotated
    if on is not None:
        kinds[on.parameter] = FromPath[str]
    return kinds


_PAGED: Final[dict[str, Any]] = {"cursor": Cursor, "limit": Limit}
_DEFAULTS: Final = {"idempotency_key": None, "cursor": None, "limit": PAGE_DEFAULT}
"""Of the parameters that may be left out."""


def _declare(handle: Callable[..., object], kinds: dict[str, Any], answer: Any) -> None:
    """Give a function the parameters that Litestar reads: those of its own route."""
    handle.__annotations__ = {**kinds, "return": answer}
    handle.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # has it
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_DEFAULTS.get(name, inspect.Parameter.empty),
                annotation=kind,
            )
            for name, kind in kinds.items()
        ],
        return_annotation=answer,
    )
