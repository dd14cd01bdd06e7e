"""Both banks telling one payment: running ledger, files and a small model say the same."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from openaoc.kernel.clock import ManualClock, from_us, to_us
from openaoc.kernel.errors import Conflict
from openaoc.ledger.arrays import LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.ledger.naming import intern
from openaoc.ledger.refusals import RefusedRows
from openaoc.ledger.schema import SCHEMA, Source, TransferTable
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import resolve_duplicates
from tests.ledger.worlds import NOW, SETTINGS, START_US, assert_pure, ledger, row, table

Row = Mapping[str, object]
Name = tuple[str, str]

WAIT_SECONDS_MAX = 60


class Stands(NamedTuple):
    """A transfer as it stands."""

    transfer_id: str
    reported_by: str
    at_us: int
    debtor: str
    creditor: str | None
    amount: int
    channel: str


class Told(NamedTuple):
    """All transfers in order of arrival, and the place there of every name."""

    transfers: list[Stands]
    names: dict[Name, int]


def model(rows: Sequence[Row]) -> Told | None:
    """The rules of docs/reference/transfers.md, written once more; None: the rows contradict."""
    first: dict[Name, int] = {}
    for place, item in enumerate(rows):
        if item["corrects"] is None:
            first.setdefault(_name(item), place)
    roots = {name: name for name in first}
    corrections = [item for item in rows if item["corrects"] is not None]
    for item in corrections * len(corrections):
        root = roots.get((str(item["reported_by"]), str(item["corrects"])))
        if root is not None and roots.setdefault(_name(item), root) != root:
            return None
    chains: dict[Name, dict[int, Row]] = {root: {0: rows[at]} for root, at in first.items()}
    for item in corrections:
        root = roots.get((str(item["reported_by"]), str(item["corrects"])))
        if root is None:
            return None
        revision = int(str(item["revision"]))
        if _content(chains[root].setdefault(revision, item)) != _content(item):
            return None
    payers = {
        (payee, name): (payer, name)
        for payer, name in chains
        for payee, other in chains
        if name == other and _one_payment(chains[payer, name], chains[payee, name], payer, payee)
    }
    stands = {root: said[max(said)] for root, said in chains.items()}
    if not _consistent(rows, chains, payers, stands):
        return None
    places: dict[Name, int] = dict(first)
    for payee, payer in payers.items():
        places[payer] = min(first[payer], first[payee])
    alone = sorted(chains.keys() - payers.keys(), key=places.__getitem__)
    order = {root: number for number, root in enumerate(alone)}
    return Told(
        [Stands(root[1], root[0], *_content(stands[root])) for root in alone],
        {name: order[payers.get(root, root)] for name, root in roots.items()},
    )


def _consistent(
    rows: Sequence[Row],
    chains: Mapping[Name, Mapping[int, Row]],
    payers: Mapping[Name, Name],
    stands: Mapping[Name, Row],
) -> bool:
    """Both banks stand by each other, and every repeat by what was said."""
    for payee, known in payers.items():
        banks = {
            (str(s["debtor_bank"]), s["creditor_bank"]) for s in (stands[known], stands[payee])
        }
        if banks != {(known[0], payee[0])}:
            return False
    for item in rows:
        said = [*chains.get(_name(item), {}).values()]
        payer = payers.get(_name(item))
        if item["corrects"] is not None or _content(item) in [_content(s) for s in said]:
            continue
        either = [*said, *chains[payer].values()] if payer else []
        if _payment(item) not in [_payment(s) for s in either]:
            return False
    return True


def _one_payment(one: Mapping[int, Row], other: Mapping[int, Row], payer: str, payee: str) -> bool:
    told = [_payment(item) for item in other.values()]
    return payer != payee and any(
        (item["debtor_bank"], item["creditor_bank"]) == (payer, payee) and _payment(item) in told
        for item in one.values()
    )


def _name(item: Row) -> Name:
    return str(item["reported_by"]), str(item["transfer_id"])


def _payment(item: Row) -> tuple[object, ...]:
    return _content(item)[1:4]


def _content(item: Row) -> tuple[int, str, str | None, int, str]:
    creditor = None
    if item["creditor_account"] is not None:
        creditor = f"{item['creditor_bank']}/{item['creditor_account']}"
    debtor = f"{item['debtor_bank']}/{item['debtor_account']}"
    amount = int(str(item["amount_minor"]))
    return int(str(item["booked_at"])), debtor, creditor, amount, str(item["channel"])


def by_files(rows: Sequence[Row]) -> tuple[Told, TransferTable] | None:
    """What a trace over files takes the rows for; None: it refuses them."""
    whole = replace(table(rows), sources=(Source(file="all", rows=len(rows)),))
    try:
        resolved = resolve_duplicates(whole)
    except RefusedRows:
        return None
    columns = resolved.table.to_pydict()
    columns["booked_at"] = [to_us(at) for at in columns["booked_at"]]
    items = [dict(zip(columns, item, strict=True)) for item in zip(*columns.values(), strict=True)]
    names: dict[Name, int] = {}
    for item in rows:
        (names[_name(item)],) = resolved.find(_name(item)[1], reported_by=_name(item)[0])
    return Told([Stands(_name(i)[1], _name(i)[0], *_content(i)) for i in items], names), resolved


def by_ledger(ledger: Ledger, rows: Sequence[Row]) -> Told:
    """What the running ledger takes them for."""
    joined = ledger._store.numbers.joined
    numbers = [
        n for n in range(ledger._store.numbers.sequence(ledger._store.rows)) if n not in joined
    ]
    transfers = []
    for number in numbers:
        said = ledger.transfer(number)
        creditor = f"{said.creditor.bank}/{said.creditor.account}" if said.creditor else None
        debtor = f"{said.debtor.bank}/{said.debtor.account}"
        what = (to_us(said.booked_at), debtor, creditor, said.amount_minor, said.channel)
        transfers.append(Stands(said.transfer_id, said.reported_by, *what))
    names: dict[Name, int] = {}
    for who, what_id in {_name(item) for item in rows}:
        found = ledger.find(reported_by=who, transfer_id=what_id)
        assert found is not None, (who, what_id)
        names[who, what_id] = numbers.index(found)
    for number, into in joined.items():
        assert ledger.transfer(number) == ledger.transfer(into)
    return Told(transfers, names)


def starts(arrays: LedgerArrays, rows: Sequence[int]) -> list[tuple[int, int]]:
    """Where the transfers stand on their accounts' lines."""
    return [(int(arrays.out_start[row]), int(arrays.in_start[row])) for row in rows]


class Centre:
    """One running ledger, stopped, cut and snapshotted between batches."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ledger = self._open()
        self.taken: list[Row] = []
        self._expected = Told([], {})
        self._files = self._expected, TransferTable(table=SCHEMA.empty_table())

    def _open(self) -> Ledger:
        return Ledger.open(self._folder, settings=SETTINGS, clock=ManualClock(NOW))

    def restart(self) -> None:
        self.ledger.close()
        self.ledger = self._open()

    def tell(self, rows: Sequence[Row]) -> bool:
        """Taken by all, or refused by all and nothing changed."""
        expected = model([*self.taken, *rows])
        files = by_files([*self.taken, *rows])
        assert (expected is None) == (files is None)
        if expected is None:
            before = self.ledger.stats()
            with pytest.raises(Conflict) as refused:
                self.ledger.ingest(table(rows), live=False)
            assert refused.value.where.startswith("row ")
            assert self.ledger.stats() == before
            return False
        receipt = self.ledger.ingest(table(rows), live=False)
        assert receipt.accepted + receipt.repeated + receipt.corrected == len(rows)
        assert files is not None
        self.taken += rows
        self._expected, self._files = expected, files
        return True

    def compare(self) -> None:
        """What stands, under which names, and where on the lines."""
        expected, (read, files) = self._expected, self._files
        told = by_ledger(self.ledger, self.taken)
        assert told == expected
        assert read == expected
        if self.ledger._store.hot_from_us or not self.taken:
            return
        assert_pure(self.ledger)
        columns, _ = intern(files)
        joined = self.ledger._store.numbers.joined
        with self.ledger.reading() as hot:
            rows = [row for row in range(len(hot.time_us)) if row not in joined]
            laid = build_arrays(**columns._asdict())
            assert starts(hot, rows) == starts(laid, range(files.rows))


ACCOUNTS = ["A/1", "A/2", "B/1", "B/2", "C/1"]


@st.composite
def tellings(draw: st.DrawFn) -> Row:
    """A row about one of few transfers, mostly by one of its banks and mostly consistent."""
    debtor, creditor = "A/1", "B/1"
    if draw(st.integers(0, 3)) == 0:
        debtor, creditor = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from(ACCOUNTS))
    who = draw(st.sampled_from([debtor[0]] * 4 + [creditor[0]] * 4 + ["A", "S"]))
    name = draw(st.sampled_from(["T1", "T1", "T2"]))
    corrects = draw(st.sampled_from([None, None, name, name, "K1"]))
    exits = draw(st.integers(0, 5)) == 0
    revision, amount, at = None, 100 if who == debtor[0] or name == "T1" else 90, 0
    if corrects is not None:
        name = draw(st.sampled_from([corrects] * 4 + ["K1", "K2"]))
        revision = draw(st.integers(1, 3))
        amount = 90 if revision == 2 else 100
    elif draw(st.integers(0, 3)) == 0:
        amount = 90
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(1, 2))
    return row(
        name,
        at=at,
        debtor=debtor,
        creditor=None if exits and amount == 90 else creditor,
        amount=amount,
        reporter=who,
        channel="cash_withdrawal" if exits else "transfer",
        corrects=corrects,
        revision=revision,
    )


def live_through_and_check(batches: Sequence[tuple[Sequence[Row], str]]) -> int:
    """Tell the batches, with what happens after each; how many were taken."""
    taken = 0
    with tempfile.TemporaryDirectory() as folder:
        centre = Centre(Path(folder))
        try:
            for rows, then in batches:
                taken += centre.tell(rows)
                if then == "cut":
                    centre.ledger.cut(from_us(START_US + 2))
                elif then == "snapshot":
                    centre.ledger.snapshot()
                if then in ("restart", "snapshot"):
                    centre.restart()
                centre.compare()
        finally:
            centre.ledger.close()
    return taken


BATCHES = st.lists(
    st.tuples(
        st.lists(tellings(), min_size=1, max_size=3),
        st.sampled_from(["", "", "", "", "restart", "snapshot", "cut"]),
    ),
    max_size=14,
)


@settings(max_examples=15, deadline=None)
@given(BATCHES)
def test_any_tellings_in_any_batches(batches: list[tuple[list[Row], str]]) -> None:
    live_through_and_check(batches)


def of(who: str, **said: object) -> Row:
    """The bank's row about T1: 100 from A/1 to B/1 unless it says something else."""
    return row(**{"creditor": "B/1", "reporter": who} | said)  # type: ignore[arg-type]  # fields


CASH: dict[str, object] = {"channel": "cash_withdrawal"}
LESS: dict[str, object] = CASH | {"amount": 90, "creditor": None}


@pytest.mark.parametrize(
    ("batches", "taken"),
    [
        pytest.param(
            [
                [of("A", **LESS), of("A", **CASH, corrects="T1", revision=1)],
                [of("B", **CASH), of("B", **LESS)],
            ],
            2,
            id="the payee repeats what the payer said before a correction, with no creditor",
        ),
        pytest.param(
            [[of("B")], [of("A"), of("A", amount=90)], [of("A", amount=90)], [of("A")]],
            2,
            id="the payer joins the payee and contradicts itself in one batch",
        ),
        pytest.param(
            [[of("B")], [of("A"), of("A", **LESS)]],
            1,
            id="and its second row names no other bank",
        ),
        pytest.param(
            [[of("A")], [of("B"), of("B", debtor="B/2", creditor="B/2")], [of("B")]],
            2,
            id="the payee joins the payer and contradicts itself in one batch",
        ),
        pytest.param(
            [[of("B")], [of("A", at=1), of("A", at=2)], [of("A", at=1), of("A", at=1)]],
            2,
            id="the payer joins the payee at two moments in one batch",
        ),
        pytest.param(
            [[of("B"), of("A", **CASH), of("A", **CASH, amount=90)], [of("B"), of("A", **CASH)]],
            1,
            id="both banks are new, by two channels, and the payer contradicts itself",
        ),
        pytest.param(
            [[of("A")], [of("B", at=1), of("B", at=2), of("B", **CASH)]],
            2,
            id="the payee's times and channels do not count within a batch either",
        ),
    ],
)
def test_stories_of_two_banks(batches: list[list[Row]], taken: int) -> None:
    assert live_through_and_check([(rows, "") for rows in batches]) == taken


def test_batches_of_one_write_know_of_each_other() -> None:
    """The first changes nothing that stands; the second contradicts it all the same."""
    with ledger() as centre:
        centre.ingest(table([of("A"), of("A", amount=90, corrects="T1", revision=2)]), live=False)
        told: dict[int, int | str] = {}

        def tell(amount: int) -> None:
            item = of("A", amount=amount, corrects="T1", revision=1)
            try:
                told[amount] = centre.ingest(table([item]), live=False).repeated
            except Conflict as refused:
                told[amount] = str(refused)

        queue, callers = centre._commits._queue, []
        with centre._commits._commit:
            for amount in (80, 70):
                callers.append(threading.Thread(target=tell, args=(amount,)))
                callers[-1].start()
                asked = time.monotonic()
                while len(queue) < len(callers):
                    assert time.monotonic() - asked < WAIT_SECONDS_MAX
                    time.sleep(0.001)
        for caller in callers:
            caller.join()
        assert told[80] == 1
        assert "revision 1 was told before with other content" in str(told[70])


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_a_thousand_tellings_in_many_batches(block: int) -> None:
    @settings(max_examples=100, deadline=None)
    @given(BATCHES)
    def tell(batches: list[tuple[list[Row], str]]) -> None:
        live_through_and_check(batches)

    if settings.default is not None and settings.default.derandomize:
        tell = seed(block)(tell)  # other stories than those of the other blocks
    tell()
