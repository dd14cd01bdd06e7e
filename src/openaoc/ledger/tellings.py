"""Stage ledger: what one bank, or both, told under one transfer id.

Answers which statement stands, whether two banks speak of one payment, and what contradicts. Pure:
the files and the running ledger ask it the same. The rules stand in docs/reference/transfers.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from openaoc.ledger.model import REVISIONS_PER_TRANSFER_MAX

Name = tuple[str | int, str | int]
"""(reporter, transfer id), as texts or as numbers."""

NEVER_TOLD: Final = "was never told"
GOES_ROUND: Final = "the corrections go round in a circle"
IN_USE: Final = "is the id of another transfer or correction already"
BANKS_FIXED: Final = "both its banks told this transfer; a correction cannot change the banks"


class Content(NamedTuple):
    """What a transfer says, in numbers; `named` is the named creditor, also of an exit, or -1."""

    time_us: int
    debtor: int
    named: int
    amount_minor: int
    channel: int

    @property
    def payment(self) -> tuple[int, int, int]:
        """What two banks agree on when they tell of one payment; the currency is the accounts'."""
        return self.debtor, self.named, self.amount_minor


class Said(NamedTuple):
    """One statement. `payer` and `payee` are its banks (-1: no creditor).

    `place` is its row in the batch or the files, -1 where it was known before.
    """

    content: Content
    payer: int
    payee: int
    place: int = -1


class Contradiction(Exception):
    """Two statements cannot both be taken; the caller says where `place` and `other` are."""

    def __init__(self, reason: str, *, place: int, other: Said | None = None) -> None:
        super().__init__(reason)
        self.reason, self.place, self.other = reason, place, other


@dataclass(kw_only=True)
class Chain:
    """All that one reporter told of one transfer.

    said: its statements by revision; the first telling is revision 0. again: what it told as no
    correction beyond the first telling. partner: the debtor's bank whose transfer this is known to
    be; of this bank's first telling then no more may be known than that.
    """

    reporter: int
    said: dict[int, Said] = field(default_factory=dict)
    again: list[Said] = field(default_factory=list)
    partner: int = -1

    def tell(self, said: Said) -> None:
        """Take a row that is no correction."""
        if self.partner < 0 and 0 not in self.said:
            self.said[0] = said
        else:
            self.again.append(said)

    def correct(self, revision: int, said: Said) -> None:
        """Take a correction. Raises Contradiction."""
        known = self.said.get(revision)
        if known is None:
            if len(self.said) > REVISIONS_PER_TRANSFER_MAX:
                raise Contradiction(
                    f"corrected {REVISIONS_PER_TRANSFER_MAX} times already", place=said.place
                )
            self.said[revision] = said
        elif known.content != said.content:
            raise Contradiction(
                f"revision {revision} was told before with other content",
                place=said.place,
                other=known,
            )

    @property
    def standing(self) -> Said | None:
        """The statement of the highest revision."""
        return self.said[max(self.said)] if self.said else None

    def payments(self) -> set[tuple[int, int, int]]:
        """The payments that it ever stated."""
        return {said.content.payment for said in self.said.values()}

    @property
    def newest(self) -> int:
        """Its last row in the batch or the files."""
        return max((said.place for said in (*self.said.values(), *self.again)), default=-1)


def judge(chains: Mapping[int, Chain]) -> dict[int, int]:
    """Of all chains of one id: the creditor's bank → the debtor's bank that told the same payment.

    They did when a statement of the one, corrected since or not, is the same payment as one of the
    other. Raises Contradiction when a bank then stands by other banks than these two, and when a
    repeat equals nothing that was said.
    """
    pairs = {(c.partner, c.reporter) for c in chains.values() if c.partner >= 0}
    for payer in chains.values():
        for said in payer.said.values():
            payee = chains.get(said.payee)
            if said.payer != payer.reporter or said.payee == said.payer or payee is None:
                continue
            if said.content.payment in payee.payments():
                pairs.add((payer.reporter, payee.reporter))
    for pair in sorted(pairs):
        both = [chains[reporter] for reporter in pair]
        for chain in both:
            standing = chain.standing
            if standing is not None and (standing.payer, standing.payee) != pair:
                place = standing.place if standing.place >= 0 else max(c.newest for c in both)
                raise Contradiction(BANKS_FIXED, place=place)
    payers = {payee: payer for payer, payee in pairs}
    for chain in chains.values():
        told_too = payers.get(chain.reporter)
        _check_repeats(chain, None if told_too is None else chains[told_too])
    return payers


def _check_repeats(chain: Chain, payer: Chain | None) -> None:
    """A repeat equals a statement of its own.

    Of the creditor's bank, where both told, a statement of either, whatever its time and channel.
    """
    contents = {said.content for said in chain.said.values()}
    payments = chain.payments() | payer.payments() if payer else set()
    for said in chain.again:
        if said.content not in contents and said.content.payment not in payments:
            other = next(iter(chain.said.values()), None)
            raise Contradiction("", place=said.place, other=other)


class Renaming(NamedTuple):
    """A correction: the name it was told under, the name it corrects, and its row."""

    name: Name
    corrects: Name
    place: int


def targets(corrections: Sequence[Renaming], known: Callable[[Name], int]) -> list[int]:
    """The transfer that each correction is about in the end; `known` says what a name is, or -1.

    A correction may come under an id of its own and be corrected by that. Raises Contradiction for
    one that leads nowhere, and for an id that is another transfer's.
    """
    names = {name for item in corrections for name in item[:2]}
    found = {name: transfer for name in names if (transfer := known(name)) >= 0}
    follow: dict[Name, list[Name]] = defaultdict(list)
    for item in corrections:
        follow[item.corrects].append(item.name)
    waiting = [*found]
    while waiting:
        name = waiting.pop()
        for own in follow[name]:
            if own not in found:
                found[own] = found[name]
                waiting.append(own)
    for item in corrections:
        if item.corrects not in found:
            lost = [other for other in corrections if other.corrects not in found]
            renamed = {other.name for other in lost if other.name != other.corrects}
            circle = {other.corrects for other in lost} <= renamed
            raise Contradiction(GOES_ROUND if circle else NEVER_TOLD, place=item.place)
        if found[item.name] != found[item.corrects]:
            raise Contradiction(IN_USE, place=item.place)
    return [found[item.corrects] for item in corrections]


def newest_place(chains: Iterable[Chain]) -> int:
    """The last row in the batch or the files that any of the chains has."""
    return max((chain.newest for chain in chains), default=-1)
