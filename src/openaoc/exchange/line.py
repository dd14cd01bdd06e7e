"""Exchange: a signed request from one centre to another, and its signed answer.

Both bind method, path, audience and time, and the answer binds the request it answers. Never says
what may be asked: that is the agreement's.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from openaoc.channels.delivery import METHOD_OF_REPLY
from openaoc.channels.keys import CentreKeys
from openaoc.channels.model import check_endpoint
from openaoc.channels.replay import Replay
from openaoc.channels.signing import HEADER, BadSignature, PublicJwk, Verified, sign, verify
from openaoc.channels.transport import NotReached, Transport
from openaoc.exchange.agreement import Grant
from openaoc.exchange.objects import ObjectKind, ReleasedObject, SharedObject
from openaoc.kernel.clock import Clock
from openaoc.kernel.errors import BadInput, Refused, Unavailable
from openaoc.kernel.offences import Offence
from openaoc.storage.unit_of_work import Transaction

SENDER: Final = "OpenAOC-Centre"
"""The HTTP header in which a centre says who it is; its signature proves it."""
NONCE_BYTES: Final = 16
PROBLEM_CHARACTERS_MAX: Final = 200
NUL: Final = b"\\u0000"
"""How JSON says it; by itself it is not valid there."""
_METHOD: Final = "POST"
Body = TypeVar("Body", bound=msgspec.Struct)


class PeerRefused(Refused):
    """The other centre refuses the request."""

    def __init__(self, detail: str = "", *, where: str = "", status: int = 0) -> None:
        self.status = status
        super().__init__(detail, where=where)


class PeerBusy(Unavailable):
    """The other centre cannot answer now."""


class BadAnswer(Unavailable):
    """The other centre's answer is not whole, or not its own."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's centre: its code, where it listens, and its verified keys by kid."""

    code: str
    endpoint: str | None
    keys: Mapping[str, PublicJwk]


class Agreed(Protocol):
    """Who knows the partners and what was agreed with them, as matching and requests use it."""

    def peer(self, tx: Transaction, code: str) -> Peer:
        """The partner's centre. Raises NoAgreement unless an agreement is in force."""
        ...

    def grant(self, tx: Transaction, code: str, kind: ObjectKind) -> Grant:
        """What of this kind may leave. Raises NoAgreement where none of it may."""
        ...

    def release(self, tx: Transaction, shared: SharedObject, *, partner: str) -> ReleasedObject:
        """What leaves of the object, entered in the ledger of releases. Raises NoAgreement."""
        ...

    def taken_back(self, tx: Transaction, code: str, ids: Sequence[str]) -> set[str]:
        """Those of the objects that left to the partner and were withdrawn from it."""
        ...

    def contact(self, tx: Transaction, code: str) -> str:
        """Whom to ask at the partner."""
        ...

    def legal_basis(self, tx: Transaction, code: str) -> str:
        """Under which law it was agreed. Raises NoAgreement."""
        ...

    def purpose(self, tx: Transaction, code: str, offences: Sequence[Offence]) -> Offence:
        """The first purpose agreed on that is among these. Raises NoAgreement for none."""
        ...

    def jurisdiction(self, tx: Transaction, code: str) -> str:
        """The partner's country."""
        ...

    def protected(self, tx: Transaction, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the identifiers (kind, value) that nobody is told: of possible victims."""
        ...

    def partners_with(self, tx: Transaction, kind: ObjectKind) -> Sequence[str]:
        """The partners in force with a grant of this kind, by code."""
        ...

    def spoken_with(self, tx: Transaction, kinds: Collection[ObjectKind]) -> Sequence[str]:
        """The partners in force with a grant of any of these kinds, and every centre, by code."""
        ...


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    code: str = ""
    detail: str = ""


class Line:
    """Speaks with other centres under this centre's key. One instance per centre."""

    def __init__(self, *, name: str, keys: CentreKeys, clock: Clock, transport: Transport) -> None:
        """`name`: the code under which partners know this centre."""
        self.name = name
        self._keys = keys
        self._clock = clock
        self._transport = transport
        self._replay = Replay()

    def ask(self, peer: Peer, path: str, body: msgspec.Struct, kind: type[Body]) -> Body:
        """The other centre's answer.

        Raises NotReached, PeerRefused for a 4xx, PeerBusy for what may work later, BadAnswer for
        an answer that is cut off, not signed by the peer, or not to this request.
        """
        if peer.endpoint is None:
            raise NotReached("the partner has no endpoint", where=peer.code)
        url = check_endpoint(peer.endpoint) + path
        sent = msgspec.json.encode(body)
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        place = urlsplit(url).path
        signature = sign(
            sent,
            key=self._keys.current(),
            method=_METHOD,
            path=place,
            now=self._clock.now(),
            audience=peer.code,
            nonce=nonce,
        )
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            SENDER: self.name,
            HEADER: signature,
        }
        reply = self._transport.post(url, body=sent, headers=headers)
        if reply.status != HTTPStatus.OK:
            raise _problem(reply.body, status=reply.status, where=peer.code)
        try:
            verify(
                reply.body,
                header=reply.signature,
                keys=peer.keys,
                method=METHOD_OF_REPLY,
                path=_answer_path(place, nonce),
                now=self._clock.now(),
                audience=self.name,
            )
            return msgspec.json.decode(without_nul(reply.body), type=kind)
        except (BadInput, BadSignature, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadAnswer(str(error)[:PROBLEM_CHARACTERS_MAX], where=peer.code) from error

    def accept(
        self, tx: Transaction, peer: Peer, *, header: str | None, body: bytes, path: str
    ) -> Verified:
        """Who signed a request, accepted once, in the transaction of its effect.

        Raises BadSignature for a forged, stale, misdirected or repeated one.
        """
        verified = verify(
            body,
            header=header,
            keys=peer.keys,
            method=_METHOD,
            path=path,
            now=tx.now,
            audience=self.name,
        )
        self._replay.remember(tx, verified)
        return verified

    def answer(self, body: bytes, *, to: str, path: str, asked: Verified) -> str:
        """The signature header of the answer to that request."""
        return sign(
            body,
            key=self._keys.current(),
            method=METHOD_OF_REPLY,
            path=_answer_path(path, asked.nonce),
            now=self._clock.now(),
            audience=to,
        )


def without_nul(body: bytes) -> bytes:
    """The body itself. Raises BadInput for a NUL, which JSON can say and no database keeps."""
    if NUL in body:
        raise BadInput("contains a NUL character")
    return body


def _answer_path(path: str, nonce: str) -> str:
    return f"{path}#{nonce}"


def _problem(body: bytes, *, status: int, where: str) -> PeerRefused | PeerBusy:
    """What another status than 200 says; its words are the other centre's, cut short."""
    try:
        said = msgspec.json.decode(body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = _Problem()
    words = f"HTTP {status} {said.code} {said.detail}".replace("\0", "")
    detail = words.strip()[:PROBLEM_CHARACTERS_MAX]
    passing = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.UNAUTHORIZED}
    if status in passing or status >= HTTPStatus.INTERNAL_SERVER_ERROR or status < HTTPStatus.OK:
        return PeerBusy(detail, where=where)
    return PeerRefused(detail, where=where, status=status)
