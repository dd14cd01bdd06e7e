"""Letters to partners: what one answers does not keep the others waiting."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from openaoc.exchange.letters import REFUSED_AGAIN, Letters
from openaoc.exchange.line import Agreed, Line
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput
from openaoc.storage.unit_of_work import Transaction
from tests.exchange.sharing_site import Site

PATH = "/v1/centre/test"


class Word(msgspec.Struct, frozen=True, kw_only=True):
    text: str


class Everybody:
    """Whoever is named is a partner."""

    def peer(self, tx: Transaction, code: str) -> str:
        assert tx.now
        return code


class Echo:
    """A line on which every partner answers what it was told."""

    def ask(self, peer: str, path: str, message: Word, kind: type[Word]) -> Word:
        assert (path, kind) == (PATH, Word), peer
        return message


def test_an_answer_that_cannot_be_is_heard_again_later_and_keeps_nobody_waiting(site: Site) -> None:
    agreed, line = cast("Agreed", Everybody()), cast("Line", Echo())
    letters = Letters(uow=site.uow, agreed=agreed, line=line)
    heard: list[str] = []

    def taken(tx: Transaction, partner: str, matter: str, answer: Any) -> None:
        assert (tx.now, matter) == (site.clock.now(), "m")
        heard.append(partner)
        if partner == "AA" and heard.count(partner) == 1:
            raise BadInput(f"{answer.text} was not sent yet")

    for partner in ("AA", "BB"):
        site.partner(partner)
    letters.place(PATH, says=Word, answers=Word, taken=taken)
    with site.uow.begin(SYSTEM, purpose="letters") as tx:
        for partner in ("AA", "BB"):
            letters.write(tx, partner, path=PATH, matter="m", message=Word(text="it"))
    assert letters.run() == 2
    assert heard == ["AA", "BB"]
    assert letters.run() == 0
    site.clock.advance(REFUSED_AGAIN)
    assert letters.run() == 1
    assert heard == ["AA", "BB", "AA"]
    assert letters.run() == 0
