"""Holds: the codes that stand on an order's papers: for its holder, and for the telephone.

Derived from a key outside the database, so nothing is stored that could be copied, and a wrong
code is refused before anything is looked up.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from openaoc.holds.model import Words
from openaoc.holds.record import OrderRecord
from openaoc.holds.words import ending
from openaoc.kernel.ids import ALPHABET, as_spoken

CONTEST_CHARACTERS: Final = 12
"""60 bits: whoever has it was given the notice; at the limited rate nobody guesses it."""
TELEPHONE_CHARACTERS: Final = 8
"""40 bits: read aloud and checked online, at a limited rate."""
CODE_CHARACTERS_MAX: Final = 32
KEY_BYTES_MIN: Final = 32
_BITS: Final = 5
_GROUP: Final = 4


class Codes:
    """Makes and checks the codes of orders. `page`: where a holder contests."""

    def __init__(self, *, key: bytes, page: str) -> None:
        assert len(key) >= KEY_BYTES_MIN, "a key of 256 bits"
        self._key = key
        self.page = page

    def contest(self, order_id: str) -> str:
        """What the holder's notice carries, such as `7K3M-9QX2-4DRT`: the same for an order."""
        return self._code("contest", order_id, characters=CONTEST_CHARACTERS)

    def telephone(self, order: OrderRecord) -> str:
        """What is read to the institution with this revision of the order; another has another.

        Bound to what was read: institution, account, amount and end.
        """
        said = "\n".join(
            (
                order.id,
                str(order.revision),
                order.institution,
                order.account,
                str(order.amount_minor),
                order.currency,
                order.ends_at.isoformat(),
            )
        )
        return self._code("telephone", said, characters=TELEPHONE_CHARACTERS)

    def notice(self, order_id: str) -> Words:
        """The sentence on the holder's notice that says where and with what to contest."""
        code = self.contest(order_id)
        words = ending("contest")
        return Words(
            th=words.th.format(page=self.page, order=order_id, code=code),
            en=words.en.format(page=self.page, order=order_id, code=code),
        )

    def _code(self, use: str, said: str, *, characters: int) -> str:
        message = f"{use}\n{said}".encode()
        digest = int.from_bytes(hmac.digest(self._key, message, hashlib.sha256), "big")
        letters = "".join(ALPHABET[(digest >> (_BITS * i)) & 31] for i in range(characters))
        return "-".join(letters[i : i + _GROUP] for i in range(0, characters, _GROUP))


def same_code(given: str, right: str) -> bool:
    """Whether they are the same as a person writes them, in time that tells nothing."""
    return hmac.compare_digest(_plain(given), _plain(right))


def _plain(code: str) -> bytes:
    return as_spoken(code[:CODE_CHARACTERS_MAX]).encode("utf-8")
