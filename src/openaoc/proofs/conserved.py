"""Proofs: money is conserved: loss = located + held + exited + restituted, to the minor unit."""

from __future__ import annotations

import functools
import random
from collections import defaultdict
from datetime import timedelta
from typing import Final, NamedTuple

from openaoc.holds.model import HOLDING
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import format_time, to_us
from openaoc.ledger.table import TransferRow, transfers_from_rows
from openaoc.proofs.frame import Steps
from openaoc.proofs.scratch import Scratch
from openaoc.proofs.small_centre import (
    CURRENCY,
    SECOND,
    SUPERVISOR,
    SmallCentre,
    machine,
    small_centre,
)
from openaoc.restitution.model import PaymentMade
from openaoc.tracing.model import CaseTrace, Claim, HoldEvent, HoldKind, Rule
from openaoc.tracing.reference.replay import trace_cases
from openaoc.tracing.service import CaseClaim, CaseHold, Tracing

WORLDS: Final = 60
ACCOUNTS: Final = 6
TRANSFERS: Final = 14
CASES: Final = 2
EXITS: Final = 0.15
EVENTS: Final = 4
HOUR: Final = timedelta(hours=1)
MONTH: Final = timedelta(days=31)
KINDS: Final = (HoldKind.HOLD, HoldKind.HOLD, HoldKind.RELEASE, HoldKind.RESTITUTION)


class World(NamedTuple):
    """A little ledger of its own: its rows in the big one, and what is known of its cases."""

    claims: dict[str, list[CaseClaim]]
    holds: dict[str, list[CaseHold]]


def prove(scratch: Scratch, steps: Steps) -> None:
    """Random ledgers under every rule by two ways of tracing, then a case from loss to payment."""
    with small_centre(scratch) as small:
        worlds = _worlds(small, random.Random(5))  # noqa: S311 - a replayable example
        for rule in Rule:
            _trace_all(small, steps, worlds, rule)
    for rule in Rule:
        with small_centre(scratch, name=f"life-{rule}", rule=rule.value) as small:
            _whole_case(small, steps, rule)


def _worlds(small: SmallCentre, chance: random.Random) -> list[World]:
    """All worlds' transfers are told in any order: a late row is replayed at its place."""
    rows: list[TransferRow] = []
    start = small.clock.now() - timedelta(days=2)
    for world in range(WORLDS):
        for number in range(TRANSFERS):
            debtor, creditor = chance.sample(range(ACCOUNTS), 2)
            exit_ = chance.random() < EXITS
            row = TransferRow(
                transfer_id=f"w{world}-{number}",
                booked_at=format_time(start + timedelta(seconds=chance.randint(0, 90))),
                debtor_bank="SCB",
                debtor_account=f"{world}0{debtor}",
                creditor_bank=None if exit_ else "SCB",
                creditor_account=None if exit_ else f"{world}0{creditor}",
                amount_minor=chance.randint(1, 1_000),
                currency=CURRENCY,
                channel="cash_withdrawal" if exit_ else "transfer",
            )
            rows.append(row)
    chance.shuffle(rows)
    small.centre.ledger.ingest(transfers_from_rows(rows), live=False)
    return [_world(small, chance, world) for world in range(WORLDS)]


def _world(small: SmallCentre, chance: random.Random, world: int) -> World:
    """Two cases with one or two origins each, and what institutions did for them."""
    ledger = small.centre.ledger
    found = [ledger.find(reported_by="SCB", transfer_id=f"w{world}-{n}") for n in range(TRANSFERS)]
    rows = [row for row in found if row is not None]
    stays = [row for row in rows if ledger.transfer(row).creditor is not None]
    made = World({}, {})
    for case in range(CASES):
        key = f"w{world}-case{case}"
        made.claims[key] = [
            CaseClaim(row=row, amount_minor=_part(small, chance, row), filed=case)
            for row in chance.sample(stays, chance.randint(1, 2))
        ]
        made.holds[key] = []
        for number in range(chance.randint(0, EVENTS)):
            transfer = ledger.transfer(chance.choice(stays))
            assert transfer.creditor is not None, "it stays"
            account = ledger.account_index(
                transfer.creditor.bank, transfer.creditor.account, CURRENCY
            )
            assert account is not None, "it was told"
            made.holds[key].append(
                CaseHold(
                    order=f"{key}-{number}",
                    kind=chance.choice(KINDS),
                    at_us=to_us(transfer.booked_at) + chance.randint(0, 20_000_000),
                    account=account,
                    amount_minor=chance.randint(1, 800),
                    sequence=number,
                )
            )
    return made


def _part(small: SmallCentre, chance: random.Random, row: int) -> int | None:
    whole = small.centre.ledger.transfer(row).amount_minor
    return chance.choice([None, chance.randint(1, whole)])


def _trace_all(small: SmallCentre, steps: Steps, worlds: list[World], rule: Rule) -> None:
    tracing = Tracing(small.centre.ledger, rule=rule)
    for world in worlds:
        for key, claims in world.claims.items():
            tracing.register(key, claims, world.holds[key])
    traces = {key: tracing.look(key).numbers for world in worlds for key in world.claims}
    lost = sum(trace.loss_minor for trace in traces.values())
    apart = [key for key, trace in traces.items() if trace.accounted_minor() != trace.loss_minor]
    steps.check(
        f"{rule}: traced {len(traces)} cases in {WORLDS} random ledgers, with holds, releases and"
        " restitutions",
        found=f"{lost} lost, {len(apart)} cases whose parts do not add up",
        ok=bool(lost) and not apart,
    )
    leaks = [key for w in worlds for key in w.claims if _leaks(small, w, key, traces[key])]
    steps.check(
        f"{rule}: added up, account by account, what their transfers carried in and out",
        found=f"{len(leaks)} cases with an account that does not balance",
        ok=not leaks,
    )
    other = _replayed(small, worlds, rule)
    differ = [key for key, trace in traces.items() if _said(other[key]) != _said(trace)]
    steps.check(
        f"{rule}: replayed every transfer by plain means and compared",
        found=f"{len(differ)} cases differ",
        ok=not differ,
    )


def _leaks(small: SmallCentre, world: World, key: str, trace: CaseTrace) -> bool:
    """Whether an account keeps more or less of the case than came in and did not go on.

    Left out: where the money becomes the case's (its origins' debtors), and where some is paid
    back.
    """
    kept: dict[int, int] = defaultdict(int, trace.located_minor())
    for account, amount in trace.held:
        kept[account] += amount
    with small.centre.ledger.reading() as arrays:
        for row, amount in trace.transfers:
            kept[int(arrays.debtor[row])] += amount
            kept[int(arrays.creditor[row])] -= amount
        apart = {int(arrays.debtor[claim.row]) for claim in world.claims[key]}
        left = {int(arrays.creditor[row]) for row, _ in trace.exited}
    apart |= {hold.account for hold in world.holds[key] if hold.kind is HoldKind.RESTITUTION}
    return any(amount for account, amount in kept.items() if account not in apart | left)


def _said(trace: CaseTrace) -> tuple[object, ...]:
    """All that a trace says of money; what a hold did not find is numbered differently."""
    sums = (trace.loss_minor, trace.overlap_minor, trace.exited_minor, trace.restituted_minor)
    return (*sums, trace.located, trace.held, trace.exited, trace.transfers)


def _replayed(small: SmallCentre, worlds: list[World], rule: Rule) -> dict[str, CaseTrace]:
    keys = [key for world in worlds for key in world.claims]
    numbers = {key: number for number, key in enumerate(keys)}
    every = [
        (key, claim) for world in worlds for key in world.claims for claim in world.claims[key]
    ]
    every.sort(key=lambda one: (one[1].filed, one[0]))
    events = [(key, hold) for world in worlds for key in world.holds for hold in world.holds[key]]
    events.sort(key=lambda one: (one[1].at_us, one[1].sequence, one[0]))
    with small.centre.ledger.reading() as arrays:
        found = trace_cases(
            arrays,
            [Claim(claim.row, claim.amount_minor, numbers[key]) for key, claim in every],
            rule=rule,
            holds=[
                HoldEvent(
                    kind=hold.kind,
                    at_us=hold.at_us,
                    case=numbers[key],
                    account=hold.account,
                    amount_minor=hold.amount_minor,
                )
                for key, hold in events
            ],
        )
    return dict(zip(keys, found, strict=True))


def _whole_case(small: SmallCentre, steps: Steps, rule: Rule) -> None:
    """One loss: part exits, part is held, released, given back; the rest lies there."""
    small.pay("BBL:5", "SCB:1", 40_000, ago=9 * HOUR)
    origin = small.pay("KBANK:1", "SCB:1", 100_000, ago=8 * HOUR)
    small.pay("SCB:1", "WALLET:2", 60_000, ago=7 * HOUR)
    small.pay("WALLET:2", None, 50_000, ago=6 * HOUR, channel="cash_withdrawal")
    case = small.file(origin).case
    told = [_figures(small, case)]
    for order in small.orders(case):
        small.answer(order, order.amount_minor - 1_000)
    small.turn()
    told.append(_figures(small, case))
    for order in [o for o in small.orders(case) if o.state in HOLDING]:
        _extend(small, order.order)
    last = next(o for o in small.orders(case) if o.held_minor)
    small.does(
        SUPERVISOR,
        lambda tx: small.matter.holds.release(tx, last.order, "half is hers", amount_minor=2_000),
    )
    small.turn()
    told.append(_figures(small, case))
    _give_back(small, case)
    small.turn()
    told.append(_figures(small, case))
    apart = [one for one in told if one.loss_minor != one.sum_minor]
    end = told[-1]
    steps.check(
        f"{rule}: followed one case through its report, holds, a release and its restitution",
        found=f"{end.loss_minor} = {end.located_minor} located + {end.held_minor} held"
        f" + {end.exited_minor} exited + {end.restituted_minor} restituted",
        ok=not apart
        and end.exited_minor > 0
        and end.restituted_minor > 0
        and told[1].held_minor > 0,
    )


class Parts(NamedTuple):
    """A case's figures as its row keeps them."""

    loss_minor: int
    located_minor: int
    held_minor: int
    exited_minor: int
    restituted_minor: int

    @property
    def sum_minor(self) -> int:
        """What the loss must be."""
        return self.located_minor + self.held_minor + self.exited_minor + self.restituted_minor


def _figures(small: SmallCentre, case: str) -> Parts:
    with small.centre.uow.begin(SUPERVISOR, purpose="a proof") as tx:
        view = small.matter.cases.show(tx, case)
    return Parts(*(getattr(view, name) for name in Parts._fields))


def _extend(small: SmallCentre, order: str) -> None:
    """An authority's measure, so that third parties have their thirty days."""
    until = small.clock.now() + 2 * MONTH
    small.does(
        SUPERVISOR,
        lambda tx: small.matter.holds.extend(
            tx, order, until=until, authority="order 7/2569", reason="for the victims"
        ),
    )


def _give_back(small: SmallCentre, case: str) -> None:
    """Proposed, published, nobody objects, paid."""
    returning = small.matter.returning
    one = small.does(SUPERVISOR, lambda tx: returning.restitutions.propose(tx, case))
    small.does(SECOND, lambda tx: returning.restitutions.publish(tx, one.id))
    small.turn(MONTH)
    for line in one.lines:
        debtor = f"{line.institution}:{line.account}"
        creditor = f"{line.payee_bank}:{line.payee_account}"
        paid = small.pay(debtor, creditor, line.amount_minor, ago=timedelta(0))
        made = PaymentMade(
            transfer_id=paid, amount_minor=line.amount_minor, paid_at=small.clock.now()
        )
        confirmed = functools.partial(
            returning.payments.confirm, restitution_id=one.id, no=line.no, made=made
        )
        small.does(SYSTEM, functools.partial(confirmed, actor=machine(line.institution)))
