"""Small ledgers by hand and at random, for the tests of tracing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np

from openaoc.ledger.arrays import EXIT, SELF, LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.tracing.model import CaseTrace, Claim, HoldEvent, HoldKind, Rule


class Tracer(Protocol):
    """The kernels' engine or the plain reference."""

    def __call__(
        self,
        arrays: LedgerArrays,
        claims: Sequence[Claim],
        *,
        rule: Rule,
        at_us: int | None = None,
        holds: Sequence[HoldEvent] = (),
        hubs: frozenset[int] = frozenset(),
        dust_minor: int = 0,
        openings_unknown: bool = False,
    ) -> list[CaseTrace]: ...


class Pay(msgspec.Struct, frozen=True):
    """One transfer by hand: at a second, from, to (with `exit`: named or not), how much."""

    at: int
    debtor: str
    creditor: str
    amount: int
    exit: bool = False


@dataclass(frozen=True)
class Small:
    """A ledger by hand and the numbers of its accounts."""

    arrays: LedgerArrays
    numbers: dict[str, int]

    def located(self, trace: CaseTrace) -> dict[str, int]:
        """Located amounts by name."""
        names = {number: name for name, number in self.numbers.items()}
        return {names[item.account]: item.amount_minor for item in trace.located}

    def layers(self, trace: CaseTrace) -> dict[str, int]:
        """Layers of the located accounts by name."""
        names = {number: name for name, number in self.numbers.items()}
        return {names[item.account]: item.layer for item in trace.located}

    def held(self, trace: CaseTrace) -> dict[str, int]:
        """Held amounts by name."""
        names = {number: name for name, number in self.numbers.items()}
        return {names[item.account]: item.amount_minor for item in trace.held}


def small(rows: Sequence[Pay], opening: Mapping[str, int] | None = None) -> Small:
    """Build a ledger by hand; rows in arrival order."""
    names = dict.fromkeys(opening or {})
    for row in rows:
        names[row.debtor] = None
        if row.creditor:
            names[row.creditor] = None
    numbers = {name: number for number, name in enumerate(names)}
    return Small(
        build_arrays(
            time_us=np.array([row.at for row in rows], np.int64),
            debtor=np.array([numbers[row.debtor] for row in rows], np.int32),
            creditor=np.array([numbers.get(row.creditor, -1) for row in rows], np.int32),
            amount=np.array([row.amount for row in rows], np.int64),
            flags=np.array(
                [EXIT if r.exit else SELF if r.debtor == r.creditor else 0 for r in rows], np.uint8
            ),
            channel=np.array([int(row.exit) for row in rows], np.uint8),
            opening=np.array([(opening or {}).get(name, 0) for name in names], np.int64),
        ),
        numbers,
    )


@dataclass(frozen=True)
class Asked:
    """A random ledger and what is asked of it."""

    arrays: LedgerArrays
    claims: list[Claim]
    cases: int
    at_us: int | None
    holds: list[HoldEvent]
    hubs: frozenset[int]
    dust_minor: int

    def trace(
        self, tracer: Tracer, rule: Rule, *, openings_unknown: bool = False
    ) -> list[CaseTrace]:
        """Ask it."""
        return tracer(
            self.arrays,
            self.claims,
            rule=rule,
            at_us=self.at_us,
            holds=self.holds,
            hubs=self.hubs,
            dust_minor=self.dust_minor,
            openings_unknown=openings_unknown,
        )


def random_columns(rng: np.random.Generator) -> dict[str, Any]:
    """Columns of few accounts, small amounts, many ties in time, self-transfers and exits.

    An exit may name a creditor, its own debtor too; one amount in a few ledgers is nothing (a
    removed transfer); in one of twenty the amounts need 128-bit products.
    """
    rows, accounts = int(rng.integers(1, 60)), int(rng.integers(1, 8))
    top = int(rng.integers(2, 30))
    scale = 1 if rng.random() < 0.95 else int(rng.integers(1, 2**49))
    debtor = rng.integers(0, accounts, rows).astype(np.int32)
    creditor = rng.integers(0, accounts, rows).astype(np.int32)
    exits = rng.random(rows) < 0.12
    flags = np.where(exits, EXIT, np.where(debtor == creditor, SELF, 0)).astype(np.uint8)
    amount = rng.integers(1, top, rows)
    if scale > 1:
        amount = amount * scale + rng.integers(0, scale, rows)
    elif rng.random() < 0.1:
        amount[rng.integers(0, rows)] = 0
    opening = np.where(rng.random(accounts) < 0.5, rng.integers(0, top, accounts) * scale, 0)
    return {
        "time_us": rng.integers(0, int(rng.integers(1, 40)), rows),
        "debtor": debtor,
        "creditor": creditor,
        "amount": amount,
        "flags": flags,
        "channel": exits.astype(np.uint8),
        "opening": opening,
    }


def random_claims(rng: np.random.Generator, arrays: LedgerArrays, *, whole: bool) -> list[Claim]:
    """A few claims of up to three cases, some on one transfer, some partial."""
    rows = np.flatnonzero((arrays.flags & SELF) == 0)
    if not len(rows):
        return []
    cases = int(rng.integers(1, 4))
    claims = []
    for row in rng.choice(rows, int(rng.integers(1, 6))).tolist():
        amount = int(arrays.amount[row])
        every = whole or amount == 0 or rng.random() < 0.5
        claimed = None if every else int(rng.integers(1, amount + 1))
        claims.append(Claim(row, claimed, int(rng.integers(0, cases))))
    return claims


def random_holds(rng: np.random.Generator, arrays: LedgerArrays, *, cases: int) -> list[HoldEvent]:
    """A few hold events on any account; half of the restitutions name the transfer that pays."""
    top = int(arrays.amount.max(initial=1)) + 1
    events = []
    for _ in range(int(rng.integers(1, 9))):
        account = int(rng.integers(0, len(arrays.base_in)))
        kind = list(HoldKind)[int(rng.choice([0, 0, 1, 2]))]
        paid = np.flatnonzero((arrays.debtor == account) & ((arrays.flags & SELF) == 0))
        named = kind is HoldKind.RESTITUTION and len(paid) > 0 and rng.random() < 0.5
        event = HoldEvent(
            kind=kind,
            at_us=int(rng.integers(0, 40)),
            case=int(rng.integers(0, cases)),
            account=account,
            amount_minor=int(rng.integers(1, top + 1)),
            transfer_row=int(rng.choice(paid)) if named else None,
        )
        events.append(event)
    return events


def random_asked(seed: int, *, plain: bool = False) -> Asked:
    """A random ledger by seed; `plain`: whole claims, no holds, hubs, dust or time."""
    rng = np.random.default_rng(seed)
    arrays = build_arrays(**random_columns(rng))
    claims = random_claims(rng, arrays, whole=plain)
    cases = max((claim.case for claim in claims), default=-1) + 1
    busy = not plain
    accounts = len(arrays.base_in)
    return Asked(
        arrays=arrays,
        claims=claims,
        cases=cases,
        at_us=int(rng.integers(0, 40)) if busy and rng.random() < 0.4 else None,
        holds=random_holds(rng, arrays, cases=cases)
        if busy and cases and rng.random() < 0.7
        else [],
        hubs=frozenset(rng.integers(0, accounts, 1).tolist())
        if busy and rng.random() < 0.3
        else frozenset(),
        dust_minor=int(rng.integers(1, 6)) if busy and rng.random() < 0.3 else 0,
    )
