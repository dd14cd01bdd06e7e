"""API: the shape most routes share: one transaction of who asks, one verb of a stage, its answer.

`look` reads, a page where it is a list, `act` is a POST that needs no words, `decision` one that
says why or what in its body, `creation` one that makes a thing, once for each
Idempotency-Key. Who may, stands in the stages.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, get_type_hints

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
from openaoc.api.bodies import Body
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.bootstrap import Centre
from openaoc.channels.idempotency import once
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


def decision(
    path: str,
    *,
    on: Thing | None,
    words: str,
    purpose: str,
    summary: str,
    description: str | None = None,
    tag: str | None = None,
    changes: bool = True,
    body_bytes_max: int = DECISION_BODY_BYTES_MAX,
) -> Callable[[Callable[[Deciding, Asked], Told]], HTTPRouteHandler]:
    """Make a function of a decision and its body the route.

    `words` describe the answer; `purpose` is kept in the journal. With `on` the path names a thing;
    without, `Deciding.id` is empty. `tag`: by default the first word of the path. `changes`: false
    for what only asks, with more to say than a path holds.
    """

    def route(does: Callable[[Deciding, Asked], Told]) -> HTTPRouteHandler:
        body, answer = _types(does)
        return post(
            path,
            guards=[signed_in],
            dto=Body[body],  # type: ignore[valid-type]  # known now
            return_dto=None,
            status_code=200,
            request_max_body_size=body_bytes_max,
            security=BEARER,
            tags=[tag or _first_word(path)],
            summary=summary,
            description=description,
            responses={**described(answer, words), **problems(401, 403, 404, 409, 413, 415)},
            sync_to_thread=True,
        )(_handler(does, on=on, purpose=purpose, changes=changes))

    return route


def creation(
    path: str,
    *,
    on: Thing | None = None,
    words: str,
    purpose: str,
    summary: str,
    description: str | None = None,
    tag: str | None = None,
    body_bytes_max: int = DECISION_BODY_BYTES_MAX,
) -> Callable[[Callable[[Deciding, Asked], Told]], HTTPRouteHandler]:
    """Make a function that makes a thing the route; repeated with its key, it makes no second one.

    Its answer is kept with the key: it holds no secret.
    """

    def route(does: Callable[[Deciding, Asked], Told]) -> HTTPRouteHandler:
        body, answer = _types(does)
        return post(
            path,
            guards=[signed_in],
            dto=Body[body],  # type: ignore[valid-type]  # known now
            return_dto=None,
            status_code=201,
            request_max_body_size=body_bytes_max,
            security=BEARER,
            tags=[tag or _first_word(path)],
            summary=summary,
            description=description,
            responses={**described(answer, words, 201), **problems(401, 403, 404, 409, 413, 415)},
            sync_to_thread=True,
        )(_creator(does, on=on, purpose=purpose))

    return route


def act(
    path: str,
    *,
    on: Thing | None,
    words: str,
    purpose: str,
    summary: str,
    description: str | None = None,
    tag: str | None = None,
) -> Callable[[Callable[[Deciding], Told]], HTTPRouteHandler]:
    """Make a function that changes something, and needs no words for it, the route."""

    def route(does: Callable[[Deciding], Told]) -> HTTPRouteHandler:
        _, answer = _types(does)
        return post(
            path,
            guards=[signed_in],
            status_code=200,
            security=BEARER,
            tags=[tag or _first_word(path)],
            summary=summary,
            description=description,
            responses={**described(answer, words), **problems(401, 403, 404, 409)},
            sync_to_thread=True,
        )(_handler(does, on=on, purpose=purpose, changes=True))

    return route


def look(
    path: str,
    *,
    on: Thing | None = None,
    words: str,
    purpose: str,
    summary: str,
    description: str | None = None,
    tag: str | None = None,
    paged: bool = False,
) -> Callable[[Callable[[Deciding], Told]], HTTPRouteHandler]:
    """Make a function that looks at a thing, or at all of them, the route.

    `paged`: it takes `cursor` and `limit`, and its answer has a `cursor`.
    """

    def route(does: Callable[[Deciding], Told]) -> HTTPRouteHandler:
        _, answer = _types(does)
        missing = () if on is None else (404,)
        return get(
            path,
            guards=[signed_in],
            security=BEARER,
            tags=[tag or _first_word(path)],
            summary=summary,
            description=description,
            responses={**described(answer, words), **problems(401, 403, *missing)},
            sync_to_thread=True,
        )(_handler(does, on=on, purpose=purpose, changes=False, paged=paged))

    return route


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
    does: Callable[..., Told],
    *,
    on: Thing | None,
    purpose: str,
    changes: bool,
    paged: bool = False,
) -> Callable[..., Told]:
    """The function over its transaction."""
    body, answer = _types(does)

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


def _creator(
    does: Callable[..., Told], *, on: Thing | None, purpose: str
) -> Callable[..., Response[Told]]:
    """The function over its transaction, at the first request with a key; its answer ever after."""
    body, answer = _types(does)

    def handle(
        request: ApiRequest, data: Any, idempotency_key: str | None, **named: str
    ) -> Response[Told]:
        key, centre = need_key(idempotency_key), centre_of(request)
        thing = "" if on is None else on.found(named[on.parameter])
        asked = once(
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
