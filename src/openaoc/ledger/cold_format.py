"""Stage ledger, cold: what a cold segment looks like on disk, and how one is written.

Answers which files a segment has and in which order its rows stand. Reads nothing back.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from openaoc.ledger.columns import as_text, buffers
from openaoc.ledger.encode import Text
from openaoc.ledger.kernels_cold import mix_pairs
from openaoc.ledger.kernels_text import hash_column
from openaoc.ledger.schema import SCHEMA
from openaoc.ledger.wal import sync_folder

HISTORY_SCHEMA: Final = pa.schema(
    [
        *SCHEMA,
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("both_banks", pa.bool_(), nullable=False),
        pa.field("told_by", pa.string(), nullable=False),
        pa.field("told_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("memo", pa.binary()),
    ]
)
"""Transfers with their arrival number: ledger order is (booked_at, sequence). Who told us and when
is kept with them; `memo` (memo.py) is what a corrected transfer said before."""
NAME_SCHEMA: Final = pa.schema(
    [("reported_by", pa.string()), ("transfer_id", pa.string()), ("sequence", pa.int64())]
)
MANIFEST: Final = "cold.json"
_ROW_GROUP_ROWS: Final = 1 << 15
"""What a lookup of one account reads at least."""
_HASH_SEED: Final = np.uint64(0x0A0C_1441)
"""Part of the format: keys are stored."""
_SEPARATOR: Final = "\x1f"
_REPORTER_FACTOR: Final = np.uint64(0xD6E8FEB86659FD93)
_FEW_VALUES: Final = (
    "reported_by",
    "debtor_bank",
    "creditor_bank",
    "currency",
    "channel",
    "told_by",
)


class SegmentFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a segment, as it was written."""

    name: str
    bytes: int
    sha256: str


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One cold segment.

    `sides`: every transfer once per account that is in the ledger, sorted by account, time,
    sequence. `names`: (reporter, id) of every transfer, sorted by hash; `keys`: those hashes alone.
    `amends`: its rows replace those of the same sequence in earlier segments. `cut`: it counts once
    the ledger has made its cut of this number. `told_us`: when the last of its rows was told.
    """

    number: int
    transfers: int
    first_us: int
    last_us: int
    first_sequence: int
    last_sequence: int
    sides: SegmentFile
    names: SegmentFile
    keys: SegmentFile
    amends: bool = False
    cut: int = 0
    told_us: int = 0

    @property
    def files(self) -> tuple[SegmentFile, SegmentFile, SegmentFile]:
        """All its files."""
        return (self.sides, self.names, self.keys)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All segments there are; a file that is not named here does not exist."""

    version: int = 1
    next_number: int = 1
    segments: tuple[Segment, ...] = ()


def hash_texts(array: pa.Array) -> NDArray[np.uint64]:
    """The stored 64-bit hash of each text; 0 characters for null."""
    text = buffers(as_text(array))
    out = np.zeros(len(array), np.uint64)
    hash_column(text.data, text.offsets.astype(np.int64), _HASH_SEED, out)
    return out


def account_keys(bank: pa.Array, account: pa.Array, currency: pa.Array) -> NDArray[np.uint64]:
    """The stored key of each account; two accounts may share one, so names are compared too."""
    return hash_texts(pc.binary_join_element_wise(bank, account, currency, _SEPARATOR))


def name_keys(reported_by: pa.Array, transfer_id: pa.Array) -> NDArray[np.uint64]:
    """The stored key of each (reporter, transfer id)."""
    return join_keys(hash_texts(reported_by), hash_texts(transfer_id))


def join_keys(reporters: NDArray[np.uint64], ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`name_keys` from the hashes of both texts."""
    keys = np.empty(len(ids), np.uint64)
    mix_pairs(reporters * _REPORTER_FACTOR, ids, keys)
    return keys


def id_hashes(text: Text) -> NDArray[np.uint64]:
    """`hash_texts` of a prepared batch's ids."""
    out = np.zeros(len(text.offsets) - 1, np.uint64)
    hash_column(text.data, text.offsets, _HASH_SEED, out)
    return out


def one(column: pa.ChunkedArray) -> pa.Array:
    """A column of few chunks as one array."""
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def sides_of(table: pa.Table) -> pa.Table:
    """Every row once for its debtor and once for its creditor, with `account_key`.

    The creditor only where it is another account in the ledger. Sorted by (key, time, sequence).
    """
    banks, accounts = one(table["debtor_bank"]), one(table["debtor_account"])
    payees, targets = one(table["creditor_bank"]), one(table["creditor_account"])
    currency = one(table["currency"])
    debtor = account_keys(banks, accounts, currency)
    same = pc.and_(pc.equal(banks, payees), pc.equal(accounts, targets))
    inside = pc.and_(pc.equal(table["channel"], "transfer"), pc.is_valid(table["creditor_account"]))
    arrives = pc.and_not(one(inside), pc.fill_null(same, False))
    rows = np.flatnonzero(arrives.to_numpy(zero_copy_only=False))
    chosen = pa.array(rows)
    creditor = account_keys(payees.take(chosen), targets.take(chosen), currency.take(chosen))
    keys = np.concatenate((debtor, creditor))
    source = np.concatenate((np.arange(table.num_rows), rows))
    times = one(table["booked_at"]).view(pa.int64()).to_numpy()[source]
    sequences = one(table["sequence"]).to_numpy()[source]
    order = np.lexsort((sequences, times, keys))
    sides = table.take(pa.array(source[order]))
    return sides.append_column("account_key", pa.array(keys[order]))


def names_of(table: pa.Table, names: pa.Table) -> pa.Table:
    """NAME_SCHEMA rows with `name_key`, sorted by it, and the account key of the debtor.

    `names` are those of transfers of the table.
    """
    keys = name_keys(one(names["reported_by"]), one(names["transfer_id"]))
    sequences = one(table["sequence"]).to_numpy()
    by_sequence = np.argsort(sequences)
    place = np.searchsorted(sequences[by_sequence], one(names["sequence"]).to_numpy())
    debtors = account_keys(
        one(table["debtor_bank"]), one(table["debtor_account"]), one(table["currency"])
    )[by_sequence][place]
    order = np.argsort(keys, kind="stable")
    names = names.append_column("name_key", pa.array(keys))
    return names.append_column("debtor_key", pa.array(debtors)).take(pa.array(order))


def write_keys(keys: NDArray[np.uint64], path: Path) -> SegmentFile:
    """Write the sorted hashes of a segment's names, as they are read: mapped, not loaded."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as stream:
        np.save(stream, keys)
    return _finish(draft, path)


def write_parquet(table: pa.Table, path: Path) -> SegmentFile:
    """Write the file whole and durable under its name, or not at all."""
    draft = path.with_name(f".{path.name}.draft")
    pq.write_table(
        table,
        draft,
        row_group_size=_ROW_GROUP_ROWS,
        compression="zstd",
        use_dictionary=[name for name in _FEW_VALUES if name in table.column_names],
    )
    return _finish(draft, path)


def _finish(draft: Path, path: Path) -> SegmentFile:
    digest = hashlib.sha256()
    with draft.open("r+b") as stream:
        while chunk := stream.read(1 << 22):
            digest.update(chunk)
        size = stream.tell()
        os.fsync(stream.fileno())
    draft.rename(path)
    sync_folder(path.parent)
    return SegmentFile(name=path.name, bytes=size, sha256=digest.hexdigest())


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in place of the last one, durable and whole."""
    draft = folder / f".{MANIFEST}.draft"
    with draft.open("wb") as stream:
        stream.write(msgspec.json.encode(manifest))
        stream.flush()
        os.fsync(stream.fileno())
    draft.rename(folder / MANIFEST)
    sync_folder(folder)
