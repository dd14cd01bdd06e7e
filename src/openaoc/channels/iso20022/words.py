"""Channels: what every ISO 20022 message of ours says the same way: parties, times, free text.

Free text goes into lines of at most 105 characters, broken between words where there are any.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from openaoc.channels.iso20022.xml import BadMessage, Money, Node, Reader
from openaoc.kernel.clock import format_time

LINE_CHARACTERS_MAX: Final = 105
"""`AddtlInf`: Max105Text, as often as needed."""
LINES_MAX: Final = 40
MARKS: Final = frozenset({"Mn", "Mc"})
"""Thai vowels and tones that stand on the letter before them."""
ID_CHARACTERS_MAX: Final = 35
"""Max35Text."""
ACCOUNT_CHARACTERS_MAX: Final = 34
"""Max34Text: some wallets' addresses are longer."""


def institution(name: str, code: str) -> Node:
    """An institution under its code here; a BIC is written as one where the code is a BIC."""
    return name, [("Agt", [("FinInstnId", [("Othr", [("Id", code)])])])]


def agent(name: str, code: str) -> Node:
    """As `institution`, where the standard takes agents alone."""
    return name, [("FinInstnId", [("Othr", [("Id", code)])])]


def account(name: str, number: str) -> Node:
    """An account by its number as the institution writes it."""
    return name, [("Id", [("Othr", [("Id", number)])])]


def when(name: str, at: datetime) -> Node:
    """A moment."""
    return name, format_time(at)


def lines(name: str, text: str) -> Iterator[Node]:
    """The text in as many elements as it needs; what is beyond LINES_MAX ends with an ellipsis."""
    words = text.split()
    line = ""
    made: list[str] = []
    for word in words:
        rest = word
        while rest:
            room = LINE_CHARACTERS_MAX - (len(line) + 1 if line else 0)
            if len(rest) <= room:
                line = f"{line} {rest}" if line else rest
                rest = ""
            elif line:
                made.append(line)
                line = ""
            else:  # Thai is written without spaces
                cut = LINE_CHARACTERS_MAX
                while unicodedata.category(rest[cut]) in MARKS and cut > 1:
                    cut -= 1
                made.append(rest[:cut])
                rest = rest[cut:]
    if line:
        made.append(line)
    if len(made) > LINES_MAX:
        made = [*made[: LINES_MAX - 1], "…"]
    for one in made:
        yield name, one


def check_announced(content: Reader, amounts: Sequence[Money]) -> None:
    """Whether as many payments came, and as much, as the header says. Raises BadMessage."""
    said = content.needed("GrpHdr/NbOfTxs")
    if int(said) != len(amounts):
        raise BadMessage(f"{said} payments announced, {len(amounts)} there", where="GrpHdr/NbOfTxs")
    total = content.text("GrpHdr/CtrlSum")
    found = sum(Decimal(amount.text) for amount in amounts)
    if total is not None and Decimal(total) != found:
        raise BadMessage(f"{total} announced, {found} there", where="GrpHdr/CtrlSum")


def agent_code(reader: Reader, path: str) -> str | None:
    """An agent's code: the one given it here, else its clearing system's, else its BIC."""
    start = f"{path}/FinInstnId"
    return reader.text(f"{start}/Othr/Id", f"{start}/ClrSysMmbId/MmbId", f"{start}/BICFI")


def account_number(reader: Reader, path: str) -> str | None:
    """An account's IBAN or its other number."""
    return reader.text(f"{path}/Id/IBAN", f"{path}/Id/Othr/Id")
