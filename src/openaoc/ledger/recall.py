"""Stage ledger: cold transfers that are named again come back into the hot arrays.

There the usual rules judge what is told of them. They stand on no line: their days are cold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openaoc.kernel.clock import to_us
from openaoc.kernel.errors import Corrupt
from openaoc.ledger.arrays import CHANNELS
from openaoc.ledger.cold import ColdStore
from openaoc.ledger.cold_format import hash_texts, id_hashes, join_keys, name_keys, one
from openaoc.ledger.corrections import Known
from openaoc.ledger.encode import Prepared, Words, text_of
from openaoc.ledger.hot import HotLog
from openaoc.ledger.kernels_intern import BOTH, REVISED, id_tag
from openaoc.ledger.kernels_slots import clear_slots, put_slot
from openaoc.ledger.memo import Memo, Past
from openaoc.ledger.model import AccountName, Revision, Transfer
from openaoc.ledger.store import Store, Telling
from openaoc.ledger.tellings import Content

_NONE: Final = np.uint64(0)


@dataclass(kw_only=True)
class Recalled:
    """What undoes it: the ledger's ends before, and what was noted of the rows."""

    rows: range
    id_bytes: int
    exits: int
    numbers: object
    slots: list[int] = field(default_factory=list)
    renames: list[tuple[str, str]] = field(default_factory=list)


def named_again(batch: Prepared, cold: ColdStore, hot: HotLog) -> list[tuple[str, str]]:
    """The (reporter, id) by which the batch may speak of cold transfers."""
    ids, reporters = id_hashes(batch.transfer_id), _hashes(batch.reporter)
    payers, payees = _hashes(batch.debtor_bank), _hashes(batch.creditor_bank)
    others = np.where(reporters == payers, payees, np.where(reporters == payees, payers, _NONE))
    names = []
    for side, words in ((reporters, None), (others, (batch.debtor_bank, batch.creditor_bank))):
        for place in np.flatnonzero(cold.may_name(join_keys(side, ids))).tolist():
            told = _word(batch.reporter, place)
            who = {_word(column, place) for column in words} - {told, ""} if words else {told}
            what = batch.transfer_id.value(place).decode()
            names += [(name, what) for name in who]
    asked = [(_word(batch.reporter, c.index), c.corrects) for c in batch.corrections]
    asked += _of_other_bank(batch, lambda name: _own_id(hot, name))
    if asked:
        known = cold.may_name(name_keys(*(pa.array(part) for part in zip(*asked, strict=True))))
        names += [asked[place] for place in np.flatnonzero(known).tolist()]
    return names


def also_named(batch: Prepared, table: pa.Table) -> list[tuple[str, str]]:
    """Further names by which corrections may speak of cold transfers, once these are found."""
    ids: dict[str, set[str]] = defaultdict(set)
    for row in table.select(["reported_by", "transfer_id", "memo"]).to_pylist():
        renames = Memo.decode(row["memo"]).renames if row["memo"] is not None else ()
        for _, name in renames:
            ids[name].add(row["transfer_id"])
    return _of_other_bank(batch, lambda name: sorted(ids.get(name[1], ())))


def _of_other_bank(
    batch: Prepared, own_ids: Callable[[tuple[str, str]], list[str]]
) -> list[tuple[str, str]]:
    """What the bank at the other end may have told of transfers that the batch corrects.

    A correction may make the two the same payment. `own_ids`: the ids under which that which has a
    name was told first.
    """
    step = {
        (_word(batch.reporter, c.index), batch.transfer_id.value(c.index).decode()): c.corrects
        for c in batch.corrections
    }
    names: set[tuple[str, str]] = set()
    for item in batch.corrections:
        who, wanted = _word(batch.reporter, item.index), item.corrects
        seen = {wanted}
        while (who, wanted) in step and step[who, wanted] not in seen:
            wanted = step[who, wanted]
            seen.add(wanted)
        banks = {_word(side, item.index) for side in (batch.debtor_bank, batch.creditor_bank)}
        others = banks - {who, ""} if who in banks else set()
        own = {name for told in seen for name in own_ids((who, told))}
        names |= {(other, name) for other in others for name in seen | own}
    return sorted(names)


def _own_id(hot: HotLog, name: tuple[str, str]) -> list[str]:
    row = hot.corrections.renamed.get(name, -1)
    return [hot.store.transfer_id(row)] if row >= 0 else []


def _hashes(words: Words) -> NDArray[np.uint64]:
    """The hash of each row's word; 0 where it says nothing."""
    table = np.append(hash_texts(pa.array(words.values, pa.string())), _NONE)
    found: NDArray[np.uint64] = table[words.codes]
    return found


def _word(words: Words, place: int) -> str:
    code = int(words.codes[place])
    return words.values[code] if code >= 0 else ""


def recall(hot: HotLog, table: pa.Table) -> Recalled:
    """Put the transfers (HISTORY_SCHEMA) behind the ledger's end; nothing else may be staged.

    Raises LedgerFull, DiskRefused.
    """
    store, count = hot.store, table.num_rows
    text = text_of(one(table["transfer_id"]), store.seed)
    store.ensure_room(
        rows=2 * count, accounts=0, id_bytes=int(text.offsets[-1] - text.offsets[0]), name_bytes=0
    )
    sequences = one(table["sequence"]).to_pylist()
    first = store.rows
    undo = Recalled(
        rows=range(first, first + count),
        id_bytes=store.id_bytes,
        exits=store.exits,
        numbers=store.numbers.recall(first, sequences),
    )
    for place, row in enumerate(table.to_pylist()):
        number = first + place
        store.put_text(number, row["transfer_id"])
        store.rows = number + 1
        debtor = _number(store, row["debtor_bank"], row["debtor_account"], row["currency"])
        named = -1
        if row["creditor_account"] is not None:
            named = _number(store, row["creditor_bank"], row["creditor_account"], row["currency"])
        reporter = store.institutions.find(row["reported_by"])
        memo = Memo.decode(row["memo"]) if row["memo"] is not None else Memo()
        content = Content(
            to_us(row["booked_at"]), debtor, named, row["amount_minor"],
            CHANNELS.index(row["channel"]),
        )  # fmt: skip
        revised = memo.history or memo.other
        marks = (BOTH if row["both_banks"] else 0) | (REVISED if revised else 0)
        hot.rewrite(number, content, reporter | marks)
        store.facts.out_start[number] = store.facts.in_start[number] = -1
        slot = put_slot(store.id_slots, int(id_tag(text.hashes[place], reporter)), number)
        undo.slots.append(int(slot))
        if row["both_banks"]:
            banks = {row["debtor_bank"], row["creditor_bank"]} - {row["reported_by"]}
            other = store.institutions.find(banks.pop())
            slot = put_slot(store.id_slots, int(id_tag(text.hashes[place], other)), number)
            undo.slots.append(int(slot))
        store.tellings[number] = Telling(
            told_by=row["told_by"], told_at_us=to_us(row["told_at"]), position=row["position"]
        )
        store.stored.add(sequences[place])
        if revised:
            hot.corrections.known[number] = Known(
                revision=memo.revision,
                history=tuple(_revision(store, past) for past in memo.history),
                other=tuple(_revision(store, past) for past in memo.other),
            )
        for name in memo.renames:
            hot.corrections.renamed[name] = number
            undo.renames.append(name)
    store.id_count += len(undo.slots)
    store.old_rows.update(undo.rows)
    store.length = store.applied = store.rows
    return undo


def undo_recall(hot: HotLog, undo: Recalled) -> None:
    """Take them out again: nothing new was told of them, and nothing came behind them."""
    store = hot.store
    assert store.rows == undo.rows.stop, "nothing came since"
    store.stored.difference_update(store.numbers.recalled[row] for row in undo.rows)
    clear_slots(store.id_slots, np.array(undo.slots, np.int64))
    store.id_count -= len(undo.slots)
    store.old_rows.difference_update(undo.rows)
    for row in undo.rows:
        del store.tellings[row]
        hot.corrections.known.pop(row, None)
    for name in undo.renames:
        del hot.corrections.renamed[name]
    store.rows = store.length = store.applied = undo.rows.start
    store.id_bytes, store.exits = undo.id_bytes, undo.exits
    store.numbers.undo(undo.numbers)


def cold_transfer(table: pa.Table) -> Transfer:
    """The one transfer of a table (HISTORY_SCHEMA), as evidence."""
    (row,) = table.to_pylist()
    creditor = None
    if row["creditor_account"] is not None:
        creditor = AccountName(
            bank=row["creditor_bank"], account=row["creditor_account"], currency=row["currency"]
        )
    return Transfer(
        row=row["sequence"],
        transfer_id=row["transfer_id"],
        reported_by=row["reported_by"],
        both_banks=row["both_banks"],
        booked_at=row["booked_at"],
        debtor=AccountName(
            bank=row["debtor_bank"], account=row["debtor_account"], currency=row["currency"]
        ),
        creditor=creditor,
        amount_minor=row["amount_minor"],
        channel=row["channel"],
        revision=row["revision"] or 0,
        told_by=row["told_by"],
        told_at=row["told_at"],
        position=row["position"],
    )


def _number(store: Store, bank: str, account: str, currency: str) -> int:
    number = store.find_account(bank, account, currency)
    if number < 0:
        raise Corrupt("a cold transfer names an account that the ledger does not know")
    return number


def _revision(store: Store, past: Past) -> Revision:
    def number(name: AccountName) -> int:
        return _number(store, name.bank, name.account, name.currency)

    return Revision(
        revision=past.revision,
        time_us=past.time_us,
        debtor=number(past.debtor),
        creditor=number(past.creditor) if past.creditor else -1,
        amount_minor=past.amount_minor,
        channel=past.channel,
        reporter=store.institutions.find(past.reporter),
    )
