"""Exchange: the gate for other centres: who speaks, under which agreement, and the signed answer.

A message that is not signed by a verified key of a partner with an agreement in force is refused
in the same words, whatever is wrong with it. Knows nothing of HTTP but a path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from openaoc.channels.signing import HEADER, BadSignature
from openaoc.exchange.line import Agreed, Line, without_nul
from openaoc.exchange.model import NoAgreement, NoSuchPartner
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput, NotFound
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

BODY_BYTES_MAX: Final = 64 << 10
Verb = Callable[[Transaction, str, Any], msgspec.Struct]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An answer's bytes and its signature header."""

    body: bytes
    signature: str


class Gate:
    """One instance per centre; stages add what may be asked of them."""

    def __init__(self, *, uow: UnitOfWork, agreed: Agreed, line: Line) -> None:
        self._uow = uow
        self._agreed = agreed
        self._line = line
        self._verbs: dict[str, tuple[type[msgspec.Struct], Verb]] = {}

    def open(self, path: str, kind: type[msgspec.Struct], verb: Verb) -> None:
        """Messages of this kind may be sent to this path; `verb(tx, partner, message)` answers."""
        assert path not in self._verbs, "one verb a path"
        self._verbs[path] = (kind, verb)

    def answer(self, path: str, *, sender: str, header: str | None, body: bytes) -> Answered:
        """The signed answer, its effect committed.

        Raises BadSignature for whoever is not a partner, BadInput for a body that is no message,
        and what the verb raises.
        """
        if path not in self._verbs:
            raise NotFound("no such place")
        kind, verb = self._verbs[path]
        with self._uow.begin(SYSTEM, purpose="asked by a partner's centre") as tx:
            try:
                peer = self._agreed.peer(tx, sender)
            except (NoAgreement, NoSuchPartner, BadInput) as error:
                raise BadSignature("not signed by a partner", where=HEADER) from error
            verified = self._line.accept(tx, peer, header=header, body=body, path=path)
            try:
                message = msgspec.json.decode(without_nul(body), type=kind)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise BadInput(str(error)) from error
            answer = msgspec.json.encode(verb(tx, peer.code, message))
        signature = self._line.answer(answer, to=peer.code, path=path, asked=verified)
        return Answered(body=answer, signature=signature)
