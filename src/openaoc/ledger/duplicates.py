"""Stage ledger, files: rows that speak of one transfer become one.

Answers, within one table: exact repeats (dropped), corrections by the same reporter (the highest
revision stands, at the place where the transfer first appeared), and one payment reported by both
banks under one id (the debtor's bank stands). The running ledger does the same on its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.ledger.arrays import CHANNELS
from openaoc.ledger.columns import as_text
from openaoc.ledger.refusals import RefusedRow, RefusedRows
from openaoc.ledger.schema import ALIAS_SCHEMA, SCHEMA, Source, TransferTable
from openaoc.ledger.tellings import (
    NEVER_TOLD,
    Chain,
    Content,
    Contradiction,
    Renaming,
    Said,
    judge,
    targets,
)

_PAYMENT: Final = (
    "debtor_bank",
    "debtor_account",
    "creditor_bank",
    "creditor_account",
    "amount_minor",
    "currency",
)
"""What two banks must agree on for their reports to be one payment; times and channels differ."""
_CONTENT: Final = ("booked_at", *_PAYMENT, "channel")
_SHOWN_MAX: Final = 100
_PLACE_STEPS: Final = 2
"""A repeat points at its first telling, and that at the other bank's: chains are this short."""
Rows = NDArray[np.int64]


class _Keys(NamedTuple):
    """Ids and institutions as numbers; `ids` and `names` translate back, -1 is none."""

    id: Rows
    reporter: Rows
    debtor_bank: Rows
    creditor_bank: Rows
    corrects: Rows
    ids: pa.Array
    names: pa.Array

    def key(self, ids: Rows, reporters: Rows) -> Rows:
        """(id, reporter) as one number."""
        return ids * len(self.names) + reporters


class _State(NamedTuple):
    """What became of each row.

    The row whose place it takes (itself while it stays), the row whose content stands there, the
    number of the id it goes by, and whether corrections settled it.
    """

    place: Rows
    content: Rows
    id: Rows
    settled: NDArray[np.bool_]

    def staying(self) -> Rows:
        """The rows that stay, ascending."""
        return np.flatnonzero(self.place == np.arange(len(self.place)))


def resolve_duplicates(table: TransferTable) -> TransferTable:
    """The table with every transfer once, in order of first appearance.

    Raises RefusedRows naming both rows where one reporter tells one id with different content and
    no correction explains it, and for a correction of a transfer its reporter never told.
    """
    data = table.table.combine_chunks()
    count = data.num_rows
    has_corrections = data["corrects"].null_count < count
    if not has_corrections and pc.count_distinct(data["transfer_id"]).as_py() == count:
        return table
    keys = _number(data)
    state = _State(
        place=np.arange(count),
        content=np.arange(count),
        id=keys.id.copy(),
        settled=np.zeros(count, bool),
    )
    first_told = _first_told(keys)
    _settle_families(table, data, keys=keys, state=state, first_told=first_told)
    repeats = np.flatnonzero(~state.settled)
    state.place[repeats] = first_told[repeats]
    _join_both_banks(data, keys=keys, state=state)
    return _rebuild(table, data, keys=keys, state=state)


def _number(data: pa.Table) -> _Keys:
    count = data.num_rows
    ids, all_ids = _codes([data["transfer_id"], data["corrects"]])
    names, all_names = _codes([data[n] for n in ("reported_by", "debtor_bank", "creditor_bank")])
    return _Keys(
        id=ids[:count],
        reporter=names[:count],
        debtor_bank=names[count : 2 * count],
        creditor_bank=names[2 * count :],
        corrects=ids[count:],
        ids=all_ids,
        names=all_names,
    )


def _codes(columns: list[pa.ChunkedArray]) -> tuple[Rows, pa.Array]:
    """One numbering for several text columns together; null is -1."""
    whole = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
    encoded = pc.dictionary_encode(whole).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    codes = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return codes, as_text(encoded.dictionary)


def _differing(
    data: pa.Table, columns: tuple[str, ...], *, left: Rows, right: Rows
) -> dict[str, NDArray[np.bool_]]:
    """Per column and pair of rows: whether the two values differ (null equals null)."""
    flags: dict[str, NDArray[np.bool_]] = {}
    for name in columns:
        one, two = data[name].take(pa.array(left)), data[name].take(pa.array(right))
        same = pc.fill_null(pc.equal(one, two), False)
        if one.null_count:
            same = pc.or_(same, pc.and_(pc.is_null(one), pc.is_null(two)))
        flags[name] = ~same.to_numpy()
    return flags


def _any(flags: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Whether any column differs, per pair."""
    found: NDArray[np.bool_] = np.logical_or.reduce(list(flags.values()))
    return found


def _first_told(keys: _Keys) -> Rows:
    """For each row the first one that its reporter told under its id; corrections are apart."""
    first_told = np.arange(len(keys.id))
    rows = np.flatnonzero(keys.corrects < 0)
    own = keys.key(keys.id[rows], keys.reporter[rows])
    _, first, inverse = np.unique(own, return_index=True, return_inverse=True)
    first_told[rows] = rows[first[inverse]]
    return first_told


def _contradicting(table: TransferTable, data: pa.Table, keys: _Keys, *, first_told: Rows) -> Rows:
    """The rows that say something else than the first of their reporter and id.

    Raises RefusedRows for those that neither a correction nor the other bank's report may explain.
    """
    later = np.flatnonzero(first_told != np.arange(len(first_told)))
    earlier = first_told[later]
    if not len(later):
        return later
    flags = _differing(data, _CONTENT, left=later, right=earlier)
    wrong = np.flatnonzero(_any(flags))
    later, earlier = later[wrong], earlier[wrong]
    if not len(later):
        return later
    own, payer = keys.key(keys.id, keys.reporter), keys.debtor_bank[earlier]
    told_by_payee = (keys.reporter[later] == keys.creditor_bank[earlier]) & (
        keys.reporter[later] != payer
    )
    explained = told_by_payee & np.isin(keys.key(keys.id[later], payer), own)
    corrected = np.isin(own[later], _corrected_keys(keys))
    refused = np.flatnonzero(~explained & ~corrected)
    if len(refused):
        shown = [
            _contradiction(
                table,
                keys,
                row=int(later[at]),
                other=int(earlier[at]),
                columns=[name for name, flag in flags.items() if flag[wrong[at]]],
            )
            for at in refused[:_SHOWN_MAX]
        ]
        raise RefusedRows(shown, total=len(refused))
    return later


def _corrected_keys(keys: _Keys) -> Rows:
    """The (id, reporter) that corrections name."""
    rows = np.flatnonzero(keys.corrects >= 0)
    return keys.key(keys.corrects[rows], keys.reporter[rows])


def _contradiction(
    table: TransferTable, keys: _Keys, *, row: int, other: int, columns: list[str]
) -> RefusedRow:
    file, number = table.place(row)
    first_file, first_number = table.place(other)
    where = f"row {first_number}" + (f" of {first_file}" if first_file != file else "")
    return RefusedRow(
        file=file,
        row=number,
        column="transfer_id",
        reason=f"{_name(keys, row)} says something else in {where} ({', '.join(columns)})"
        " and no correction explains it",
    )


def _name(keys: _Keys, row: int) -> str:
    """A row's reporter and id, for a reason."""
    reporter = keys.names[int(keys.reporter[row])].as_py()
    return f"{reporter}/{keys.ids[int(keys.id[row])].as_py()}"


def _join_both_banks(data: pa.Table, *, keys: _Keys, state: _State) -> None:
    """Join a creditor bank's report to the debtor bank's report of one payment under one id.

    Where neither was corrected. The debtor bank's content stands, at the earlier of both places.
    """
    places = state.staying()
    places = places[~state.settled[places]]
    content = state.content[places]
    told_by, payer = keys.reporter[content], keys.debtor_bank[content]
    asked = np.flatnonzero((told_by == keys.creditor_bank[content]) & (told_by != payer))
    if not len(asked):
        return
    key = keys.key(state.id[places], told_by)
    order = np.argsort(key, kind="stable")
    wanted = keys.key(state.id[places[asked]], payer[asked])
    at = np.minimum(np.searchsorted(key[order], wanted), len(order) - 1)
    found = key[order][at] == wanted
    creditor, debtor = asked[found], order[at[found]]
    same = ~_any(_differing(data, _PAYMENT, left=content[creditor], right=content[debtor]))
    creditor, debtor = creditor[same], debtor[same]
    kept = np.minimum(places[creditor], places[debtor])
    state.place[np.maximum(places[creditor], places[debtor])] = kept
    state.content[kept] = content[debtor]


def _settle_families(
    table: TransferTable, data: pa.Table, *, keys: _Keys, state: _State, first_told: Rows
) -> None:
    """Settle every id that somebody corrects or contradicts: rare, so one by one."""
    corrections = np.flatnonzero(keys.corrects >= 0)
    plain = np.flatnonzero(keys.corrects < 0)
    rare = set(keys.id[_contradicting(table, data, keys, first_told=first_told)].tolist())
    own = keys.key(keys.id, keys.reporter)
    told: dict[int, int] = {}
    named = np.concatenate((_corrected_keys(keys), own[corrections]))
    for row in plain[np.isin(own[plain], named)].tolist():
        told.setdefault(int(own[row]), row)
    roots = _roots(table, keys, corrections=corrections, told=told)
    rare |= {int(keys.id[root]) for root in roots}
    if not rare:
        return
    chosen = plain[np.isin(keys.id[plain], np.fromiter(rare, np.int64, len(rare)))]
    families = _Families(data, keys, rows=np.concatenate((chosen, corrections)))
    families.read(chosen, corrections, roots)
    wrong: list[RefusedRow] = []
    for name, family in families.of.items():
        try:
            payers = judge(family)
        except Contradiction as found:
            wrong.append(_explain(table, data, keys, found))
            continue
        families.settle(name, payers, state)
    wrong = [_explain(table, data, keys, found) for found in families.wrong] + wrong
    if wrong:
        raise RefusedRows(wrong[:_SHOWN_MAX], total=len(wrong))


def _roots(
    table: TransferTable, keys: _Keys, *, corrections: Rows, told: dict[int, int]
) -> list[int]:
    """The first row of the transfer that each correction is about.

    Raises RefusedRows for one that leads nowhere.
    """
    width = len(keys.names)
    renamings = [
        Renaming(
            (int(keys.reporter[row]), int(keys.id[row])),
            (int(keys.reporter[row]), int(keys.corrects[row])),
            row,
        )
        for row in corrections.tolist()
    ]
    try:
        return targets(renamings, lambda name: told.get(int(name[1]) * width + int(name[0]), -1))
    except Contradiction as found:
        reason, row = found.reason, found.place
        if reason == NEVER_TOLD:
            text = keys.ids[int(keys.corrects[row])].as_py()
            who = keys.names[int(keys.reporter[row])].as_py()
            reason = f"{text!r} was never told by {who} in these files"
        else:
            reason = f"{_name(keys, row)}: {reason}"
        raise RefusedRows([_refusal(table, row, reason)]) from found


class _Families:
    """What was told under some ids, by id and reporter; all in numbers."""

    def __init__(self, data: pa.Table, keys: _Keys, *, rows: Rows) -> None:
        self._data, self._keys = data, keys
        self._accounts: dict[tuple[str, str, str], int] = {}
        self._said = dict(zip(rows.tolist(), self._statements(rows), strict=True))
        self.of: dict[int, dict[int, Chain]] = {}
        self._rows: dict[tuple[int, int], list[int]] = {}
        self.wrong: list[Contradiction] = []

    def _statements(self, rows: Rows) -> Iterator[Said]:
        taken = self._data.take(pa.array(rows))
        times = taken["booked_at"].cast(pa.int64()).to_pylist()
        for row, at, item in zip(rows.tolist(), times, taken.to_pylist(), strict=True):
            debtor = self._account(item["debtor_bank"], item["debtor_account"], item["currency"])
            named = -1
            if item["creditor_account"] is not None:
                named = self._account(
                    item["creditor_bank"], item["creditor_account"], item["currency"]
                )
            channel = CHANNELS.index(item["channel"])
            yield Said(
                Content(at, debtor, named, item["amount_minor"], channel),
                int(self._keys.debtor_bank[row]),
                int(self._keys.creditor_bank[row]),
                row,
            )

    def _account(self, bank: str, account: str, currency: str) -> int:
        return self._accounts.setdefault((bank, account, currency), len(self._accounts))

    def read(self, plain: Rows, corrections: Rows, roots: list[int]) -> None:
        """Take the rows, in order of the files, then their corrections by revision."""
        keys = self._keys
        for row in plain.tolist():
            self._chain(int(keys.id[row]), row).tell(self._said[row])
        revisions = self._data["revision"].take(pa.array(corrections)).to_pylist()
        told = zip(revisions, corrections.tolist(), roots, strict=True)
        for revision, row, root in sorted(told):
            try:
                self._chain(int(keys.id[root]), row).correct(revision, self._said[row])
            except Contradiction as found:
                self.wrong.append(found)

    def _chain(self, name: int, row: int) -> Chain:
        reporter = int(self._keys.reporter[row])
        self._rows.setdefault((name, reporter), []).append(row)
        return self.of.setdefault(name, {}).setdefault(reporter, Chain(reporter=reporter))

    def settle(self, name: int, payers: Mapping[int, int], state: _State) -> None:
        """Give every row its place: that of the first telling, of either bank where both told."""
        for reporter, chain in self.of[name].items():
            stands = chain if reporter not in payers else self.of[name][payers[reporter]]
            both = {reporter, stands.reporter}
            both |= {payee for payee, payer in payers.items() if payer == reporter}
            first = min(self._rows[name, bank][0] for bank in both)
            rows = self._rows[name, reporter]
            state.place[rows], state.settled[rows] = first, True
            assert stands.standing is not None, "a bank in a family told something"
            state.content[first], state.id[first] = stands.standing.place, name


def _explain(table: TransferTable, data: pa.Table, keys: _Keys, found: Contradiction) -> RefusedRow:
    if found.other is None or found.other.place < 0:
        return _refusal(table, found.place, f"{_name(keys, found.place)}: {found.reason}")
    row, other = found.place, found.other.place
    flags = _differing(data, _CONTENT, left=np.array([row]), right=np.array([other]))
    columns = [name for name, flag in flags.items() if flag[0]]
    return _contradiction(table, keys, row=row, other=other, columns=columns)


def _refusal(table: TransferTable, row: int, reason: str) -> RefusedRow:
    file, number = table.place(row)
    return RefusedRow(file=file, row=number, column="corrects", reason=reason)


def _rebuild(table: TransferTable, data: pa.Table, *, keys: _Keys, state: _State) -> TransferTable:
    """The rows that stay, each with the content that stands, and the other names they go by."""
    place = state.place
    for _ in range(_PLACE_STEPS):
        place = place[place]
    kept = state.staying()
    content = pa.array(state.content[kept])
    arrays = [data[name].take(content) for name in SCHEMA.names]
    arrays[0] = keys.ids.take(pa.array(state.id[kept]))
    rows = pa.table(arrays, schema=SCHEMA)
    own = keys.key(keys.id, keys.reporter)
    stands = keys.key(state.id[place], keys.reporter[state.content[place]])
    other = np.flatnonzero(own != stands)
    _, first = np.unique(own[other], return_index=True)
    other = other[first]
    aliases = pa.table(
        [
            keys.names.take(pa.array(keys.reporter[other])),
            keys.ids.take(pa.array(keys.id[other])),
            pa.array(np.searchsorted(kept, place[other])),
        ],
        schema=ALIAS_SCHEMA,
    )
    return replace(table, table=rows, sources=_sources(table, kept), aliases=aliases)


def _sources(table: TransferTable, kept: Rows) -> tuple[Source, ...]:
    """The same sources, with the rows that stay."""
    made: list[Source] = []
    start = 0
    for source in table.sources:
        inside = kept[(kept >= start) & (kept < start + source.rows)] - start
        numbers = inside + 1 if source.numbers is None else source.numbers[inside]
        made.append(Source(file=source.file, rows=len(inside), numbers=numbers))
        start += source.rows
    return tuple(made)
