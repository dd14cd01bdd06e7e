"""One ledger whole, and the same with older days cut off at random: they must tell the same."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import cast
from unittest import mock

import msgspec
import numpy as np
import pyarrow as pa

from openaoc.kernel.clock import ManualClock, from_us
from openaoc.kernel.errors import OpenAOCError
from openaoc.ledger.accounts_file import ACCOUNT_SCHEMA, AccountsTable
from openaoc.ledger.arrays import LedgerArrays
from openaoc.ledger.model import AccountName, Transfer
from openaoc.ledger.service import Ledger
from tests.ledger.worlds import NOW, SETTINGS, START_US, Row, row, table

ACCOUNTS = ["A/1", "A/2", "B/1", "B/2", "B/3", "C/1"]

Told = tuple[object, ...]


def story(draw: Random, number: int, when: list[int]) -> list[list[Row]]:
    """All that is told of one transfer: chains in which each report needs the one before."""
    debtor, creditor = draw.sample(ACCOUNTS, 2)
    if draw.random() < 0.05:
        creditor = debtor
    channel = draw.choice(["transfer"] * 6 + ["cash_withdrawal", "card_purchase"])
    name, amount, at = f"T{number}", draw.randint(1, 1000), when.pop()
    named = None if channel != "transfer" and draw.random() < 0.5 else creditor
    chain: list[Row] = [
        row(name, at=at, amount=amount, debtor=debtor, creditor=named, channel=channel)
    ]
    both = named is not None and debtor[0] != creditor[0] and draw.random() < 0.4
    for revision in range(1, draw.choice([1, 1, 1, 2, 4])):
        parties = [debtor, creditor]
        if not both and draw.random() < 0.5:
            parties = draw.sample(ACCOUNTS, 2)
        chain.append(
            row(
                name if draw.random() < 0.7 else f"{name}-r{revision}",
                at=when.pop(),
                amount=draw.randint(1, 1000),
                reporter=debtor[0],
                corrects=name,
                revision=revision,
                debtor=parties[0],
                creditor=parties[1],
                channel=channel,
            )
        )
    chains = [chain]
    if both:
        other = row(
            name,
            at=at + 1,
            amount=amount,
            debtor=debtor,
            creditor=creditor,
            reporter=creditor[0],
            channel=draw.choice(["transfer", channel]),
        )
        chains.append([other])
    return chains


def stream(draw: Random, count: int) -> list[Row]:
    """What is told of some transfers, mixed, with repeats, ties and contradictions."""
    span = draw.choice([6, 40, 100_000])
    when = [draw.randrange(span) for _ in range(6 * count)]
    chains = [chain for number in range(count) for chain in story(draw, number, when)]
    order = draw.random() < 0.7
    if order:
        chains.sort(key=lambda chain: cast("int", chain[0]["booked_at"]))
    told: list[Row] = []
    while chains:
        chain = draw.choice(chains[: 3 if order else None])
        told.append(chain.pop(0))
        if not chain:
            chains.remove(chain)
        if draw.random() < 0.2:
            told.append(draw.choice(told))
        if draw.random() < 0.03:
            told.append({**draw.choice(told), "amount_minor": 77_777})
    return told


class Twins:
    """The whole ledger and the one that is cut."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name, self.lives = folder, "split", 0
        self.whole = self._open("whole")
        self.split = self._open("split")

    def _open(self, name: str) -> Ledger:
        return Ledger.open(self.folder / name, settings=SETTINGS, clock=ManualClock(NOW))

    def close(self) -> None:
        self.whole.close()
        self.split.close()

    def restart(self) -> None:
        """Only of the one that is cut, and as if it had been killed."""
        self.lives += 1
        shutil.copytree(self.folder / self.name, self.folder / f"split{self.lives}")
        self.split.close()
        shutil.rmtree(self.folder / self.name)
        self.name = f"split{self.lives}"
        self.split = self._open(self.name)

    def cut(self, draw: Random, before_us: int) -> None:
        """Cut, now and then without the snapshot that follows: killed before it is written."""
        if draw.random() < 0.5:
            self.split.cut(from_us(before_us))
            return
        with mock.patch.object(self.split._commits, "snapshot"):
            self.split.cut(from_us(before_us))

    def ingest(self, rows: Sequence[Row]) -> None:
        """Both say the same of a batch."""
        said = [_outcome(ledger, rows) for ledger in (self.whole, self.split)]
        assert said[0] == said[1]

    def open_lines(self, draw: Random, at: int) -> None:
        chosen = draw.sample(ACCOUNTS, draw.randint(1, 3))
        columns = [
            [name.split("/")[0] for name in chosen],
            [name.split("/")[1] for name in chosen],
            [draw.randint(0, 500) for _ in chosen],
            ["THB"] * len(chosen),
        ]
        openings = AccountsTable(
            table=pa.table([pa.array(c) for c in columns], schema=ACCOUNT_SCHEMA)
        )
        for ledger in (self.whole, self.split):
            ledger.set_openings(openings, from_us(START_US + at))

    def compare(self, names: Sequence[tuple[str, str]]) -> None:
        """Every verb that answers about a transfer, and every line."""
        count = self.whole.stats().transfers
        for number in range(count):
            assert evidence(self.split, number) == evidence(self.whole, number)
        for who, what in names:
            found = [x.find(reported_by=who, transfer_id=what) for x in (self.whole, self.split)]
            assert found[0] == found[1]
        lines = [hot_lines(self.whole, since=self.cut_us), hot_lines(self.split, since=0)]
        assert lines[0] == lines[1]

    @property
    def cut_us(self) -> int:
        return self.split._store.hot_from_us

    def candidates(self, draw: Random) -> None:
        """Payments that a victim may mean, around random moments."""
        with self.whole.reading() as arrays:
            amounts = arrays.amount.tolist()
        for _ in range(5):
            names = draw.sample(ACCOUNTS, 2)
            at, amount = START_US + draw.randrange(100_000), draw.choice(amounts or [1])
            found = [
                [asked(ledger, names, creditor, amount, at) for creditor in (True, False)]
                for ledger in (self.whole, self.split)
            ]
            assert found[0] == found[1]


def asked(ledger: Ledger, names: list[str], creditor: object, amount: int, at: int) -> list[int]:
    """Candidates between two accounts, or from one."""
    payer, payee = (ledger.account_index(name[0], name[2:], "THB") for name in names)
    if payer is None or payee is None:
        return []
    return ledger.candidates(
        debtor=payer,
        creditor=payee if creditor else None,
        amount_minor=amount,
        around_us=at,
        window_us=50_000,
    )


def evidence(ledger: Ledger, number: int) -> Transfer:
    """A transfer, but for the log's positions: a cut takes one of its own."""
    return msgspec.structs.replace(ledger.transfer(number), position=0)


def _outcome(ledger: Ledger, rows: Sequence[Row]) -> Told:
    try:
        receipt = ledger.ingest(table(rows), live=False)
    except OpenAOCError as error:
        return (type(error), error.detail, error.where)
    return (receipt.accepted, receipt.repeated, receipt.corrected, receipt.first_row)


def account_names(ledger: Ledger) -> dict[int, AccountName]:
    """All accounts of a small ledger by number."""
    with ledger.reading() as arrays:
        return {number: ledger.account(number) for number in range(len(arrays.out_len))}


def hot_lines(ledger: Ledger, *, since: int) -> dict[int, Told]:
    """Each account's line from a moment on, by arrival numbers; and where it stood just before."""
    with ledger.reading() as arrays:
        numbers = ledger._store.numbers.sequences(np.arange(len(arrays.time_us)))
        return {
            account: _line(arrays, numbers, account, since)
            for account in range(len(arrays.out_len))
        }


def _line(arrays: LedgerArrays, numbers: np.ndarray, account: int, since: int) -> Told:
    outs = arrays.out_rows[arrays.out_off[account] :][: arrays.out_len[account]]
    starts = arrays.out_starts[arrays.out_off[account] :][: arrays.out_len[account]]
    ins = arrays.in_rows[arrays.in_off[account] :][: arrays.in_len[account]]
    base_in, base_out = int(arrays.base_in[account]), int(arrays.base_out[account])
    before_out, before_in = arrays.time_us[outs] < since, arrays.time_us[ins] < since
    if before_out.any():
        last = np.flatnonzero(before_out)[-1]
        base_out = int(starts[last] + arrays.amount[outs[last]])
    if before_in.any():
        last = ins[np.flatnonzero(before_in)[-1]]
        base_in = int(arrays.in_start[last] + arrays.amount[last])
    assert (arrays.out_start[outs] == starts).all()
    outs, starts, ins = outs[~before_out], starts[~before_out], ins[~before_in]
    return (
        base_in,
        base_out,
        numbers[outs].tolist(),
        starts.tolist(),
        numbers[ins].tolist(),
        arrays.in_start[ins].tolist(),
    )
