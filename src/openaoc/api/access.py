"""API: who asks? Guards that run before a body is read, and the small parts of a request.

What the actor may do is decided in the stages; a guard only refuses early what is certain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.params import HeaderParameter

from openaoc.api.metrics import Metrics
from openaoc.api.problems import KeyMissing
from openaoc.api.rates import FAILED_SIGN_INS, PARTNER_GUESSES
from openaoc.api.sign_ins import SignIns
from openaoc.bootstrap import Centre
from openaoc.kernel.actor import CITIZEN, SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput, NotFound, NotSignedIn, Refused
from openaoc.kernel.ids import read_number
from openaoc.parties.permissions import Permission, require
from openaoc.web.rates import Rate, RateLimits

Connection = ASGIConnection[Any, Any, Any, State]
Guard = Callable[[Connection, BaseRouteHandler], None]

BEARER: Final[list[dict[str, list[str]]]] = [{"bearer": []}]
"""OpenAPI security of routes that need a key."""
API_KEY_CHARACTERS_MAX: Final = 256
IDEMPOTENCY_KEY_CHARACTERS_MAX: Final = 128
REPLAYED: Final = "Idempotency-Replayed"
"""Header of an answer that was given before, under the same key."""
ID_CHARACTERS_MAX: Final = 64

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        required=False,
        description=(
            "Required. The same key with the same request has its effect once and gets the same "
            f"answer; 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} printable ASCII characters."
        ),
    ),
]


def centre_of(connection: Connection) -> Centre:
    """The running centre."""
    centre: Centre = connection.app.state.centre
    return centre


def limits_of(connection: Connection) -> RateLimits:
    """The application's rate limits."""
    limits: RateLimits = connection.app.state.rates
    return limits


def sign_ins_of(connection: Connection) -> SignIns:
    """Who was looked up a moment ago."""
    sign_ins: SignIns = connection.app.state.sign_ins
    return sign_ins


def metrics_of(connection: Connection) -> Metrics:
    """The application's counters."""
    metrics: Metrics = connection.app.state.metrics
    return metrics


def address_of(connection: Connection) -> str:
    """The client's address, for rate limits alone; never logged."""
    return connection.client.host if connection.client else "unknown"


def _bearer(connection: Connection) -> str | None:
    header = connection.headers.get("authorization")
    if header is None:
        return None
    scheme, _, key = header.partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(key) <= API_KEY_CHARACTERS_MAX:
        raise NotSignedIn("send `Authorization: Bearer <key>`")
    return key.strip()


def sign_in(connection: Connection, key: str) -> Actor:
    """Whose key it is. Raises NotSignedIn, at a limited rate for each address.

    Raises RateLimited for a partner that has tried too many ids.
    """
    centre = centre_of(connection)

    def look_up() -> Actor:
        with centre.uow.read(SYSTEM) as tx:
            return centre.parties.authenticate(tx, key)

    try:
        actor = sign_ins_of(connection).actor(key, look_up)
    except NotSignedIn:
        # A good key always passes: nobody is locked out by a neighbour behind the same address.
        limits_of(connection).take(FAILED_SIGN_INS, address_of(connection))
        raise
    if actor.partner is not None:
        # Refused before it is answered: else a refusal would say that the id is not there.
        limits_of(connection).check(PARTNER_GUESSES, actor.partner)
    return actor


def signed_in(connection: Connection, _: BaseRouteHandler) -> None:
    """A valid API key is needed; afterwards `request.user` is the actor."""
    key = _bearer(connection)
    if key is None:
        raise NotSignedIn("send `Authorization: Bearer <key>`")
    connection.scope["user"] = sign_in(connection, key)


def key_or_citizen(rate: Rate) -> Guard:
    """With a key the actor is its owner; without one it is a citizen, at a limited rate."""

    def guard(connection: Connection, _: BaseRouteHandler) -> None:
        key = _bearer(connection)
        if key is None:
            limits_of(connection).take(rate, address_of(connection))
            connection.scope["user"] = CITIZEN
        else:
            connection.scope["user"] = sign_in(connection, key)

    return guard


def limited(rate: Rate) -> Guard:
    """Anybody may ask, at a limited rate."""

    def guard(connection: Connection, _: BaseRouteHandler) -> None:
        limits_of(connection).take(rate, address_of(connection))
        connection.scope["user"] = CITIZEN

    return guard


def only(*roles: Role) -> Guard:
    """Refuse other roles before a large body is read; follows `signed_in`."""

    def guard(connection: Connection, _: BaseRouteHandler) -> None:
        actor = connection.scope["user"]
        if not actor.roles & set(roles):
            raise Refused(f"this is for {', '.join(roles)}")

    return guard


def need_key(key: str | None) -> str:
    """The Idempotency-Key. Raises KeyMissing, or BadInput for an unusable one."""
    if not key:
        raise KeyMissing("send a fresh Idempotency-Key with each new request")
    if len(key) > IDEMPOTENCY_KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable():
        raise BadInput(
            f"must be 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} printable ASCII characters",
            where="Idempotency-Key",
        )
    return key


def need_id(text: str, *, what: str) -> str:
    """An id from the path, a number as we write it. Raises NotFound for what cannot be one."""
    if not 0 < len(text) <= ID_CHARACTERS_MAX or not text.isascii() or not text.isprintable():
        raise NotFound(f"no such {what}")
    return read_number(text)


def own_partner(connection: Connection) -> str:
    """The partner whose user asks. Raises NotPermitted, BadInput for anybody else."""
    actor: Actor = connection.scope["user"]
    require(actor, Permission.EXCHANGE_RECEIVE)
    if actor.partner is None:
        raise BadInput("for a partner's own users")
    return actor.partner
