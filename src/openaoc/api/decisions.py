"""API: a decision on a thing, a POST that says why in its body; and a look at one, or at all.

The shape of such routes, once: each answers with the thing as it is. Who may decide or look, and
what follows, stand in the stages.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar, get_type_hints

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from openaoc.api.access import BEARER, centre_of, need_id, signed_in
from openaoc.api.bodies import Body
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.bootstrap import Centre
from openaoc.storage.unit_of_work import Transaction

DECISION_BODY_BYTES_MAX: Final = 16 << 10
Asked = TypeVar("Asked", bound=msgspec.Struct)
Told = TypeVar("Told", bound=msgspec.Struct)


class Thing(NamedTuple):
    """What is decided on: its parameter in the path, and the word for it in a refusal."""

    parameter: str
    word: str


CASE: Final = Thing("case_id", "case")
ORDER: Final = Thing("order", "order")
SUSPICION: Final = Thing("suspicion", "hold on suspicion")


class Deciding(NamedTuple):
    """What a decision or a look has to work with: the centre, a transaction, the thing's id."""

    centre: Centre
    tx: Transaction
    id: str


def _id(on: Thing | None, named: dict[str, str]) -> str:
    """The thing's id out of the path; empty where the path names none. Raises NotFound."""
    return "" if on is None else need_id(named[on.parameter], what=on.word)


def decision(
    path: str,
    *,
    on: Thing | None,
    words: str,
    purpose: str,
    summary: str,
    description: str | None = None,
    tag: str | None = None,
) -> Callable[[Callable[[Deciding, Asked], Told]], HTTPRouteHandler]:
    """Make a function of a decision and its body the route, in one transaction of who decides.

    `words` describe the answer; `purpose` is kept in the journal. With `on` the path names a thing,
    checked before any store is asked; without, `Deciding.id` is empty. `tag`: by default the first
    word of the path.
    """

    def route(does: Callable[[Deciding, Asked], Told]) -> HTTPRouteHandler:
        body, answer = _types(does)

        def handle(request: ApiRequest, data: Asked, **named: str) -> Told:
            thing, centre = _id(on, named), centre_of(request)
            with centre.uow.begin(request.user, purpose=purpose) as tx:
                return does(Deciding(centre, tx, thing), data)

        kinds: dict[str, object] = {"request": ApiRequest, "data": body}
        _as_declared(handle, kinds if on is None else {**kinds, on.parameter: str}, answer)
        handle.__name__ = does.__name__
        return post(
            path,
            guards=[signed_in],
            dto=Body[body],  # type: ignore[valid-type]  # known now
            return_dto=None,
            status_code=200,
            request_max_body_size=DECISION_BODY_BYTES_MAX,
            security=BEARER,
            tags=[tag or path.split("/")[2]],
            summary=summary,
            description=description,
            responses={**described(answer, words), **problems(401, 403, 404, 409, 413, 415)},
            sync_to_thread=True,
        )(handle)

    return route


def look(
    path: str,
    *,
    on: Thing | None = None,
    words: str,
    purpose: str,
    summary: str,
    tag: str | None = None,
) -> Callable[[Callable[[Deciding], Told]], HTTPRouteHandler]:
    """Make a function that looks at a thing, or at all of them, the route; as `decision` does."""

    def route(does: Callable[[Deciding], Told]) -> HTTPRouteHandler:
        answer = get_type_hints(does)["return"]

        def handle(request: ApiRequest, **named: str) -> Told:
            thing, centre = _id(on, named), centre_of(request)
            with centre.uow.read(request.user, purpose=purpose) as tx:
                return does(Deciding(centre, tx, thing))

        kinds: dict[str, object] = {"request": ApiRequest}
        _as_declared(handle, kinds if on is None else {**kinds, on.parameter: str}, answer)
        handle.__name__ = does.__name__
        missing = () if on is None else (404,)
        return get(
            path,
            guards=[signed_in],
            security=BEARER,
            tags=[tag or path.split("/")[2]],
            summary=summary,
            responses={**described(answer, words), **problems(401, 403, *missing)},
            sync_to_thread=True,
        )(handle)

    return route


def _types(does: Callable[[Deciding, Asked], Told]) -> tuple[type[Asked], type[Told]]:
    """What the decision takes and gives, as it is annotated."""
    hints = get_type_hints(does)
    answer = hints.pop("return")
    _, body = hints.values()
    return body, answer


def _as_declared(handle: Callable[..., object], kinds: dict[str, object], answer: object) -> None:
    """Give a function the parameters that Litestar reads: those of its own route."""
    handle.__annotations__ = {**kinds, "return": answer}
    handle.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # has it
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
            for name, kind in kinds.items()
        ],
        return_annotation=answer,
    )
