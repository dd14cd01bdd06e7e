"""Stage tracing: linked cases traced together in one pass, and the doubt of their amounts.

Answers for every case of the group at once. Knows nothing of which cases are linked: links.py does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import msgspec
import numpy as np

from openaoc.ledger.archive import Archive
from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing.across import Asked, View, follow
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.links import CaseFile, in_acting_order, in_filing_order
from openaoc.tracing.model import CaseTrace, Claim, HoldEvent, Rule, TraceLimits
from openaoc.tracing.names import ExitSide, exit_sides

DOUBT_LIMITS: Final = TraceLimits(transfers_max=20_000, accounts_max=5_000, lots_max=100_000)
"""How far a trace may go that only says how sure another one is."""
DOUBT_DUST_SHARE: Final = 1_000
"""Pro-rata spreads single units over whole towns. For doubt, a transfer that would bring an account
less than this share of the loss is not followed: it can only make the amounts there smaller."""

Reading = Callable[[], AbstractContextManager[LedgerArrays]]


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """How sure the amount on one account is: a case's free money there under each rule.

    `opening_unknown_minor`: under the centre's rule, with every opening balance unknown. Where a
    trace for doubt reached one of DOUBT_LIMITS its amount is not known, and counts as 0: `unknown`
    names those figures. `pro_rata_minor` leaves out what DOUBT_DUST_SHARE drops.
    """

    fifo_minor: int
    lifo_minor: int
    pro_rata_minor: int
    opening_unknown_minor: int
    unknown: tuple[str, ...] = ()


class Group:
    """Cases traced together, by one rule, over one reading of the ledger.

    `files` in a fixed order; all lists stand in that order. Keeps no view of the ledger. The
    doubt is traced when it is asked for, over the reading that is given then.
    """

    def __init__(
        self,
        arrays: LedgerArrays,
        files: Sequence[CaseFile],
        *,
        rule: Rule,
        hubs: frozenset[int],
        limits: TraceLimits,
        at_us: int | None = None,
        archive: Archive | None = None,
    ) -> None:
        self.files = tuple(files)
        self.rule = rule
        self.whole = True
        """False when more cases are linked than may be traced together."""
        self.at_us = at_us
        self._hubs, self._archive = hubs, archive
        self._number = {file.key: number for number, file in enumerate(files)}
        self.orders = tuple(hold.order for _, hold in in_acting_order(files))
        view, traces = self._trace(arrays, self.files, rule, limits=limits)
        self.traces = [view.lift(trace) for trace in traces]
        self._charged: list[tuple[int, ...]] = []
        self._stood: list[frozenset[int]] = []
        self.reached: list[frozenset[int]] = []
        """By case: the accounts its money stood on or its origins were charged to; no hub."""
        self._exits: list[tuple[ExitSide, ...]] = []
        debtor, creditor = view.arrays.debtor, view.arrays.creditor
        for file, trace in zip(self.files, traces, strict=True):
            charged = tuple(view.account(int(debtor[view.row(c.row)])) for c in file.claims)
            self._charged.append(charged)
            rows = np.array([item.row for item in trace.transfers], np.int64)
            payees = creditor[rows]
            self._stood.append(frozenset(view.accounts(payees[payees >= 0]).tolist()))
            payers = frozenset(view.accounts(debtor[rows]).tolist())
            self.reached.append((payers.union(charged) | self._stood[-1]) - hubs)
            self._exits.append(
                tuple(
                    ExitSide(side.channel, view.account(side.debtor))
                    for side in exit_sides(trace, view.arrays)
                )
            )
        self._doubts: dict[tuple[str, Rule, bool], CaseTrace | None] = {}

    @functools.cached_property
    def in_excess(self) -> tuple[tuple[str, str, int], ...]:
        """(case, order, amount) of every hold that found less than it held."""
        return tuple(
            (file.key, self.orders[item.hold], item.amount_minor)
            for file, trace in zip(self.files, self.traces, strict=True)
            for item in trace.excess
        )

    def of(self, key: str) -> CaseTrace:
        """The trace of one of the cases."""
        return self.traces[self._number[key]]

    def exits(self, key: str) -> tuple[ExitSide, ...]:
        """What a document needs of the transfers that took its money out."""
        return self._exits[self._number[key]]

    def payer(self, key: str) -> int:
        """The account that its first origin was charged to."""
        return self._charged[self._number[key]][0]

    def linked(self, key: str) -> tuple[str, ...]:
        """The other cases."""
        return tuple(file.key for file in self.files if file.key != key)

    def prevailing(self, key: str) -> list[CaseFile]:
        """The case, and those whose money stood where its origins were charged, and so on.

        Only their marks can take anything from its loss: others share its accounts, not its money.
        """
        found = [self._number[key]]
        for member in found:
            payers = frozenset(self._charged[member])
            found += [
                other
                for other, stood in enumerate(self._stood)
                if other not in found and not payers.isdisjoint(stood)
            ]
        return [self.files[number] for number in found]

    def doubt(self, reading: Reading, key: str, account: int, *, with_held: bool = False) -> Doubt:
        """The doubt of a case's amount on one account: free money, or what is held there too.

        Traced with the cases that prevail on it, not with all that are linked. `reading` is called
        for each trace not asked for yet; a reading later than the group's own only changes figures
        that are estimates already.
        """
        found = {
            rule.value: self._amount(reading, key, account, rule)
            for rule in Rule
            if rule is not self.rule
        }
        found[self.rule.value] = _on_account(self.of(key), account)
        unknown = "opening-unknown"
        found[unknown] = self._amount(reading, key, account, self.rule, openings_unknown=True)
        amounts = {
            name: None if pair is None else (sum(pair) if with_held else pair[0])
            for name, pair in found.items()
        }
        return Doubt(
            fifo_minor=amounts[Rule.FIFO] or 0,
            lifo_minor=amounts[Rule.LIFO] or 0,
            pro_rata_minor=amounts[Rule.PRO_RATA] or 0,
            opening_unknown_minor=amounts[unknown] or 0,
            unknown=tuple(name for name, amount in amounts.items() if amount is None),
        )

    def _amount(
        self,
        reading: Reading,
        key: str,
        account: int,
        rule: Rule,
        *,
        openings_unknown: bool = False,
    ) -> tuple[int, int] | None:
        """A case's free and held money on an account in a trace for doubt; None: cut short."""
        asked = (key, rule, openings_unknown)
        if asked not in self._doubts:
            dust = doubt_dust(self.of(key).loss_minor) if rule is Rule.PRO_RATA else 0
            files = self.prevailing(key)
            with reading() as arrays:
                view, traces = self._trace(
                    arrays,
                    files,
                    rule,
                    limits=DOUBT_LIMITS,
                    dust=dust,
                    openings_unknown=openings_unknown,
                )
                trace = view.lift(traces[0])
            self._doubts[asked] = None if trace.truncated is not None else trace
        found = self._doubts[asked]
        return None if found is None else _on_account(found, account)

    def _trace(
        self,
        arrays: LedgerArrays,
        files: Sequence[CaseFile],
        rule: Rule,
        *,
        limits: TraceLimits,
        dust: int = 0,
        openings_unknown: bool = False,
    ) -> tuple[View, list[CaseTrace]]:
        claims, holds = in_filing_order(files), in_acting_order(files)
        asked = Asked(
            [
                *(claim.row for _, claim in claims),
                *(hold.transfer_row for _, hold in holds if hold.transfer_row is not None),
            ],
            {hold.account for _, hold in holds},
            self._hubs,
        )

        def trace(view: View) -> list[CaseTrace]:
            return trace_cases(
                view.arrays,
                [Claim(view.row(claim.row), claim.amount_minor, case) for case, claim in claims],
                rule=rule,
                at_us=self.at_us,
                holds=[
                    HoldEvent(
                        kind=hold.kind,
                        at_us=hold.at_us,
                        case=case,
                        account=view.number(hold.account),
                        amount_minor=hold.amount_minor,
                        transfer_row=None
                        if hold.transfer_row is None
                        else view.row(hold.transfer_row),
                    )
                    for case, hold in holds
                ],
                hubs=view.numbers(self._hubs),
                dust_minor=dust,
                openings_unknown=openings_unknown,
                limits=limits,
            )

        return follow(arrays, self._archive, asked, trace, accounts_max=limits.accounts_max)


def _on_account(trace: CaseTrace, account: int) -> tuple[int, int]:
    """A case's money on an account: free, held."""
    return (
        sum(item.amount_minor for item in trace.located if item.account == account),
        sum(item.amount_minor for item in trace.held if item.account == account),
    )


def doubt_dust(loss_minor: int) -> int:
    """DOUBT_DUST_SHARE of a loss."""
    return loss_minor // DOUBT_DUST_SHARE
