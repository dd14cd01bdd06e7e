"""What a life of pursuits rests on, kept as plainly as can be, and its replay from scratch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import numpy as np
import sqlalchemy as sa

from openaoc.holds.model import OnwardTransfer
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import format_time, to_us
from openaoc.ledger.arrays import CHANNELS, EXIT, SELF, LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.ledger.table import TransferRow
from openaoc.tracing.model import CaseTrace, Claim, HoldEvent, HoldKind, Rule
from openaoc.tracing.reference import trace_cases
from tests.workflow.centre import Centre


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer as it is known now; accounts are written `BANK:NUMBER`."""

    name: str
    reporter: str
    at: datetime
    debtor: str
    creditor: str | None
    amount: int
    channel: str = "transfer"

    def row(self, *, corrects: str | None = None, revision: int | None = None) -> TransferRow:
        """The transfer as it is told; under a name of its own where it corrects."""
        bank, account = self.debtor.split(":")
        other = self.creditor.split(":") if self.creditor else (None, None)
        return TransferRow(
            transfer_id=self.name if revision is None else f"{self.name}-r{revision}",
            reported_by=self.reporter,
            booked_at=format_time(self.at),
            debtor_bank=bank,
            debtor_account=account,
            creditor_bank=other[0],
            creditor_account=other[1],
            amount_minor=self.amount,
            currency="THB",
            channel=self.channel,
            corrects=corrects,
            revision=revision,
        )

    def onward(self) -> OnwardTransfer:
        """The transfer as part of an institution's answer."""
        told = msgspec.to_builtins(self.row())
        kept = {name: told[name] for name in OnwardTransfer.__struct_fields__ if name in told}
        return msgspec.convert(kept, OnwardTransfer, strict=False)

    @property
    def flags(self) -> int:
        """As the ledger marks it."""
        if self.channel != "transfer" or self.creditor is None:
            return EXIT
        return SELF if self.creditor == self.debtor else 0


@dataclass
class Facts:
    """Every transfer in order of arrival, and how often each was corrected."""

    known: list[Fact] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)

    def arrays(self, accounts: Sequence[str]) -> LedgerArrays:
        """All of it laid out at once; accounts numbered as in the list."""
        number = {name: place for place, name in enumerate(accounts)}
        flags = [fact.flags for fact in self.known]
        return build_arrays(
            time_us=np.array([to_us(fact.at) for fact in self.known], np.int64),
            debtor=np.array([number[fact.debtor] for fact in self.known], np.int32),
            creditor=np.array(
                [
                    -1 if mark & EXIT or fact.creditor is None else number[fact.creditor]
                    for fact, mark in zip(self.known, flags, strict=True)
                ],
                np.int32,
            ),
            amount=np.array([fact.amount for fact in self.known], np.int64),
            flags=np.array(flags, np.uint8),
            channel=np.array([CHANNELS.index(fact.channel) for fact in self.known], np.uint8),
            opening=np.zeros(len(accounts), np.int64),
        )

    def place(self, reporter: str, name: str) -> int:
        """The arrival number of a transfer; -1 for one that nobody told."""
        for place, fact in enumerate(self.known):
            if (fact.reporter, fact.name) == (reporter, name):
                return place
        return -1

    def overdrawn(self) -> set[str]:
        """Accounts that ever spent money nobody saw come in."""
        balance: dict[str, int] = defaultdict(int)
        found: set[str] = set()
        for fact in sorted(self.known, key=lambda fact: fact.at):
            if fact.flags & SELF:
                continue
            if balance[fact.debtor] < fact.amount:
                found.add(fact.debtor)
            balance[fact.debtor] = max(balance[fact.debtor] - fact.amount, 0)
            if not fact.flags & EXIT and fact.creditor is not None:
                balance[fact.creditor] += fact.amount
        return found


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """One case's replay with names: amounts by `BANK:NUMBER`."""

    loss: int
    overlap: int
    exited: int
    restituted: int
    located: dict[str, tuple[int, int, bool, bool]]
    """(amount, layer, hub, returned)"""
    held: dict[str, int]


def replay(
    centre: Centre, facts: Facts, hubs: frozenset[str], *, at: datetime | None = None
) -> dict[str, Replayed]:
    """Every pursued case, from the facts, the filed claims and what institutions did alone.

    `at` tells what was so at an earlier moment, as all that is known now says.
    """
    with centre.database.uow.read(SYSTEM) as tx:
        claimed = tx.connection.execute(
            sa.text(
                "select c.case_id, c.reported_by, c.transfer_id, c.amount_minor from case_claims c"
                " join cases on cases.id = c.case_id where cases.state = 'pursued'"
                " order by c.sequence"
            )
        ).all()
        happened = tx.connection.execute(
            sa.text("select * from hold_events order by at, sequence")
        ).all()
    names = sorted({row.case_id for row in claimed})
    if not names:
        return {}
    number = {name: place for place, name in enumerate(names)}
    accounts = sorted(
        {fact.debtor for fact in facts.known}
        | {fact.creditor for fact in facts.known if fact.creditor}
        | {f"{row.bank}:{row.account}" for row in happened}
        | hubs
    )
    traces = trace_cases(
        facts.arrays(accounts),
        [
            Claim(facts.place(row.reported_by, row.transfer_id), row.amount_minor,
                  number[row.case_id])
            for row in claimed
        ],
        rule=Rule.FIFO,
        at_us=None if at is None else to_us(at),
        holds=_events(facts, [row for row in happened if row.case_id in number], number, accounts),
        hubs=frozenset(accounts.index(hub) for hub in hubs),
    )  # fmt: skip
    return {name: _named(traces[number[name]], accounts) for name in names}


def _events(
    facts: Facts, happened: Sequence[sa.Row[tuple[object, ...]]], number: dict[str, int],
    accounts: Sequence[str],
) -> list[HoldEvent]:  # fmt: skip
    """What a hold never found was never held, and cannot be released either."""
    never: dict[str, int] = defaultdict(int)
    for row in happened:
        if row.kind == "excess":
            never[row.order_id] += row.amount_minor
    left = dict.fromkeys((row.order_id for row in happened), 0)
    events = []
    for row in happened:
        amount = row.amount_minor
        if row.kind == "hold":
            amount = left[row.order_id] = max(amount - never[row.order_id], 0)
        elif row.kind != "excess":
            amount = min(amount, left[row.order_id])
            left[row.order_id] -= amount
        if row.kind == "excess" or not amount:
            continue
        paid, account = None, f"{row.bank}:{row.account}"
        if row.paid_id is not None:
            place = facts.place(row.paid_by, row.paid_id)
            fact = facts.known[place] if place >= 0 else None
            if fact and (fact.debtor, fact.amount) == (account, row.amount_minor):
                paid = place
        events.append(
            HoldEvent(
                kind=HoldKind(row.kind),
                at_us=to_us(row.at),
                case=number[row.case_id],
                account=accounts.index(account),
                amount_minor=amount,
                transfer_row=paid,
            )
        )
    return events


def _named(trace: CaseTrace, accounts: Sequence[str]) -> Replayed:
    return Replayed(
        loss=trace.loss_minor,
        overlap=trace.overlap_minor,
        exited=sum(item.amount_minor for item in trace.exited),
        restituted=trace.restituted_minor,
        located={
            accounts[item.account]: (item.amount_minor, item.layer, item.hub, item.returned)
            for item in trace.located
        },
        held={accounts[item.account]: item.amount_minor for item in trace.held},
    )
