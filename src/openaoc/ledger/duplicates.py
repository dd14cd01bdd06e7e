"""Stage ledger, files: rows that speak of one transfer become one.

Answers, within one table: exact repeats (dropped), corrections by the same reporter (the highest
revision stands, at the place where the transfer first appeared), and one payment reported by both
banks under one id (the debtor's bank stands). The running ledger does the same on its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.ledger.columns import as_text
from openaoc.ledger.refusals import RefusedRow, RefusedRows
from openaoc.ledger.schema import ALIAS_SCHEMA, SCHEMA, Source, TransferTable

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
_PLACE_STEPS: Final = 3
"""A repeat may point at a corrected row, and that at the other bank's: chains are this short."""
Rows = NDArray[np.int64]
Groups = dict[tuple[int, int], list[int]]
"""All statements of each corrected transfer, by (id, reporter)."""


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
    groups: Groups = {}
    if has_corrections:
        groups = _apply_corrections(table, data, keys=keys, state=state)
    _drop_repeats(table, data, keys=keys, state=state)
    _join_both_banks(data, keys=keys, state=state)
    for key, rows in groups.items():
        _join_corrected(table, data, keys=keys, state=state, groups=groups, key=key, rows=rows)
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


def _refuse_contradictions(
    table: TransferTable, data: pa.Table, keys: _Keys, *, later: Rows, earlier: Rows
) -> None:
    """Raises RefusedRows when the contents of a pair differ."""
    flags = _differing(data, _CONTENT, left=later, right=earlier)
    wrong = np.flatnonzero(_any(flags))
    if not len(wrong):
        return
    shown = [
        _contradiction(
            table,
            keys,
            row=int(later[at]),
            other=int(earlier[at]),
            columns=[name for name, flag in flags.items() if flag[at]],
        )
        for at in wrong[:_SHOWN_MAX]
    ]
    raise RefusedRows(shown, total=len(wrong))


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


def _drop_repeats(table: TransferTable, data: pa.Table, *, keys: _Keys, state: _State) -> None:
    """Of rows that one reporter tells under one id, the first stays; they must be equal."""
    rows = np.flatnonzero(~state.settled)
    key = keys.key(keys.id[rows], keys.reporter[rows])
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    if len(first) == len(rows):
        return
    original = rows[first[inverse]]
    again = rows != original
    later, earlier = rows[again], original[again]
    _refuse_contradictions(table, data, keys, later=later, earlier=earlier)
    state.place[later] = earlier


def _join_both_banks(data: pa.Table, *, keys: _Keys, state: _State) -> None:
    """Join a creditor bank's report to the debtor bank's report of one payment under one id.

    Where neither was corrected.

    The debtor bank's content stands, at the earlier of the two places.
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


def _join_corrected(
    table: TransferTable,
    data: pa.Table,
    *,
    keys: _Keys,
    state: _State,
    groups: Groups,
    key: tuple[int, int],
    rows: list[int],
) -> None:
    """Join both banks' reports where one of them was corrected.

    What the creditor's bank told may equal any statement of the debtor's bank: the last one
    stands. Raises RefusedRows where the creditor's bank corrects a payment that both banks told,
    and where a correction names other banks for it.
    """
    transfer, reporter = key
    for row in rows:
        debtor, creditor = int(keys.debtor_bank[row]), int(keys.creditor_bank[row])
        if debtor == creditor or reporter not in (debtor, creditor):
            continue
        other = creditor if reporter == debtor else debtor
        statements = (
            groups.get((transfer, other))
            or np.flatnonzero(
                (state.id == transfer) & (keys.reporter == other) & ~state.settled
            ).tolist()
        )
        pairs = np.array(statements, np.int64)
        flags = _differing(data, _PAYMENT, left=np.full(len(pairs), row), right=pairs)
        if not len(pairs) or _any(flags).all():
            continue
        corrected = rows if reporter == creditor else groups.get((transfer, other))
        if corrected is not None:
            last = next(r for r in reversed(corrected) if keys.corrects[r] >= 0)
            name = keys.ids[transfer].as_py()
            reason = f"both banks told {name!r}; only the debtor's bank corrects it"
            raise RefusedRows([_refusal(table, last, reason)])
        final = int(state.content[state.place[rows[0]]])
        if (keys.debtor_bank[final], keys.creditor_bank[final]) != (debtor, creditor):
            reason = "both its banks told this transfer; a correction cannot change the banks"
            raise RefusedRows([_refusal(table, final, reason)])
        first, second = sorted((rows[0], int(state.place[pairs[0]])))
        state.place[second] = first
        state.content[first], state.id[first] = final, transfer
        return


def _apply_corrections(
    table: TransferTable, data: pa.Table, *, keys: _Keys, state: _State
) -> Groups:
    """Settle every transfer that somebody corrects: rare, so one by one."""
    corrections = np.flatnonzero(keys.corrects >= 0)
    told: Groups = {}
    width = len(keys.names)
    named = keys.key(keys.corrects[corrections], keys.reporter[corrections])
    own = keys.key(keys.id, keys.reporter)
    concerned = np.isin(own, np.concatenate((named, own[corrections])))
    originals = np.flatnonzero(concerned & (keys.corrects < 0))
    for row in originals.tolist():
        told.setdefault(divmod(int(own[row]), width), []).append(row)
    targets = _targets(table, keys, corrections=corrections, told=told)
    groups: Groups = {}
    for row, target in targets.items():
        groups.setdefault(target, []).append(row)
    for target, rows in groups.items():
        groups[target] = sorted(told[target] + rows)
        _settle(table, data, keys=keys, state=state, rows=groups[target])
        state.id[groups[target][0]] = target[0]
    return groups


def _targets(
    table: TransferTable,
    keys: _Keys,
    *,
    corrections: Rows,
    told: Groups,
) -> dict[int, tuple[int, int]]:
    """The (id, reporter) that each correction is about in the end.

    A correction may come under an id of its own and be corrected by that. Raises RefusedRows for
    one that leads nowhere.
    """
    step: dict[tuple[int, int], int] = {}
    for row in corrections.tolist():
        own = (int(keys.id[row]), int(keys.reporter[row]))
        wanted = int(keys.corrects[row])
        if wanted == own[0]:
            continue
        if own in told or step.setdefault(own, wanted) != wanted:
            reason = f"{_name(keys, row)} is the id of another transfer or correction already"
            raise RefusedRows([_refusal(table, row, reason)])
    targets: dict[int, tuple[int, int]] = {}
    for row in corrections.tolist():
        reporter = int(keys.reporter[row])
        at, seen = int(keys.corrects[row]), 0
        while (at, reporter) in step and seen <= len(step):
            at, seen = step[at, reporter], seen + 1
        if seen > len(step):
            raise RefusedRows([_refusal(table, row, "the corrections go round in a circle")])
        if (at, reporter) not in told:
            text = keys.ids[at].as_py()
            reason = f"{text!r} was never told by {keys.names[reporter].as_py()} in these files"
            raise RefusedRows([_refusal(table, row, reason)])
        targets[row] = (at, reporter)
    return targets


def _refusal(table: TransferTable, row: int, reason: str) -> RefusedRow:
    file, number = table.place(row)
    return RefusedRow(file=file, row=number, column="corrects", reason=reason)


def _settle(
    table: TransferTable, data: pa.Table, *, keys: _Keys, state: _State, rows: list[int]
) -> None:
    """Of all statements of one transfer the highest revision stands, at the first one's place.

    Statements of one revision must be equal. An original without a revision is revision 0.
    """
    numbers = [data["revision"][row].as_py() or 0 for row in rows]
    first: dict[int, int] = {}
    for row, number in zip(rows, numbers, strict=True):
        earlier = first.setdefault(number, row)
        if earlier != row:
            _refuse_contradictions(
                table, data, keys, later=np.array([row]), earlier=np.array([earlier])
            )
    state.place[rows] = rows[0]
    state.content[rows[0]] = first[max(numbers)]
    state.settled[rows] = True


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
