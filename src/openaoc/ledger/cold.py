"""Stage ledger: the older days, as sorted Parquet segments read by DuckDB.

Answers with all transfers of named accounts, or the one of a named id; there is no verb that lists
what it was not asked for by name.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Self

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.kernel.clock import from_us, to_us
from openaoc.kernel.errors import Corrupt, TooLarge
from openaoc.kernel.limits import TRACE_ACCOUNTS_MAX
from openaoc.ledger.cold_format import (
    HISTORY_SCHEMA,
    MANIFEST,
    NAME_SCHEMA,
    Manifest,
    Segment,
    account_keys,
    name_keys,
    names_of,
    one,
    sides_of,
    write_manifest,
    write_parquet,
)
from openaoc.ledger.model import AccountName

SEGMENT_ROWS_MAX: Final = 10_000_000
"""Transfers of one segment: what writing one takes in memory grows with it."""
SEGMENTS_MAX: Final = 10_000
LOOKUP_ROWS_MAX: Final = 20_000_000
"""Transfers that one lookup may bring into memory."""
_THREADS: Final = 2
_MEMORY: Final = "2GB"


class ColdStats(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes, for the operator. Times are None while there is nothing."""

    segments: int
    transfers: int
    bytes: int
    first_at: datetime | None
    last_at: datetime | None


class _Found(NamedTuple):
    """Rows of a lookup and the number of the segment each comes from."""

    table: pa.Table
    segment: NDArray[np.int64]


class ColdStore:
    """The cold segments in one folder, written by one process, read by many threads."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest
        self._lock = threading.Lock()
        self._connection = duckdb.connect(
            config={
                "threads": _THREADS,
                "memory_limit": _MEMORY,
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            }
        )
        self._amended = self._load_amended()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The store in `folder`, which is made if need be. Files no manifest names are removed.

        Raises Corrupt when the manifest cannot be read or a segment is missing or cut.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / MANIFEST
        manifest = Manifest()
        if path.exists():
            try:
                manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
            except msgspec.MsgspecError as error:
                raise Corrupt(str(error), where=str(path)) from error
        known = {MANIFEST}
        for segment in manifest.segments:
            for file in (segment.sides, segment.names):
                known.add(file.name)
                stored = folder / file.name
                if not stored.exists() or stored.stat().st_size != file.bytes:
                    raise Corrupt("a cold segment is missing or cut", where=str(stored))
        for entry in folder.iterdir():
            if entry.name not in known and (entry.suffix in (".parquet", ".draft")):
                entry.unlink()
        return cls(folder, manifest)

    def close(self) -> None:
        """Let go of the reader; everything written is durable already."""
        self._connection.close()

    def write_segment(
        self, table: pa.Table, *, aliases: pa.Table | None = None, amends: bool = False
    ) -> Segment:
        """Keep transfers (HISTORY_SCHEMA, any order) for good; durable when it returns.

        `aliases` (NAME_SCHEMA): further names of them, such as the other bank's. With `amends` the
        rows replace those of the same sequence in earlier segments (a late correction). Raises
        TooLarge past SEGMENT_ROWS_MAX or SEGMENTS_MAX.
        """
        if not 0 < table.num_rows <= SEGMENT_ROWS_MAX:
            raise TooLarge(f"{table.num_rows} rows; a segment has 1 to {SEGMENT_ROWS_MAX}")
        table = table.select(HISTORY_SCHEMA.names).cast(HISTORY_SCHEMA).combine_chunks()
        names = table.select(NAME_SCHEMA.names).cast(NAME_SCHEMA)
        if aliases is not None:
            names = pa.concat_tables([names, aliases.cast(NAME_SCHEMA)]).combine_chunks()
        times = one(table["booked_at"]).view(pa.int64()).to_numpy()
        sequences = one(table["sequence"]).to_numpy()
        with self._lock:
            number = self._manifest.next_number
            if len(self._manifest.segments) >= SEGMENTS_MAX:
                raise TooLarge(f"there are {SEGMENTS_MAX} cold segments already")
            sides = write_parquet(sides_of(table), self._folder / f"{number:06d}-sides.parquet")
            named = write_parquet(names_of(names), self._folder / f"{number:06d}-names.parquet")
            segment = Segment(
                number=number,
                transfers=table.num_rows,
                first_us=int(times.min()),
                last_us=int(times.max()),
                first_sequence=int(sequences.min()),
                last_sequence=int(sequences.max()),
                sides=sides,
                names=named,
                amends=amends,
            )
            self._put((*self._manifest.segments, segment), next_number=number + 1)
            if amends:
                self._amended.update(dict.fromkeys(sequences.tolist(), number))
        return segment

    def expire(self, before: datetime) -> int:
        """Drop the segments whose transfers are all older; how many transfers that were.

        What a case cites must be kept with the case before.
        """
        limit = to_us(before)
        with self._lock:
            old = [s for s in self._manifest.segments if s.last_us < limit]
            kept = tuple(s for s in self._manifest.segments if s.last_us >= limit)
            if old:
                self._put(kept, next_number=self._manifest.next_number)
            for segment in old:
                for file in (segment.sides, segment.names):
                    (self._folder / file.name).unlink(missing_ok=True)
            self._amended = self._load_amended()
        return sum(segment.transfers for segment in old)

    def _put(self, segments: tuple[Segment, ...], *, next_number: int) -> None:
        manifest = Manifest(next_number=next_number, segments=segments)
        write_manifest(self._folder, manifest)
        self._manifest = manifest

    def accounts_history(
        self, accounts: Sequence[AccountName], *, until_us: int | None = None
    ) -> pa.Table:
        """All cold transfers (HISTORY_SCHEMA) from or to these accounts, each once.

        In ledger order; `until_us`, inclusive, leaves later ones out.
        Raises TooLarge past TRACE_ACCOUNTS_MAX accounts or LOOKUP_ROWS_MAX transfers.
        """
        if len(accounts) > TRACE_ACCOUNTS_MAX:
            raise TooLarge(f"{len(accounts)} accounts; at most {TRACE_ACCOUNTS_MAX} at once")
        if not accounts:
            return HISTORY_SCHEMA.empty_table()
        wanted = pa.table(
            {
                "bank": pa.array([account.bank for account in accounts], pa.string()),
                "account": pa.array([account.account for account in accounts], pa.string()),
                "currency": pa.array([account.currency for account in accounts], pa.string()),
            }
        )
        keys = np.unique(account_keys(*(one(column) for column in wanted.columns)))
        found = self._read("sides", "account_key", keys, until_us=until_us)
        return self._current(found, wanted)

    def find(self, *, reported_by: str, transfer_id: str) -> pa.Table:
        """The transfer that the reporter told under this id (HISTORY_SCHEMA), one row or none."""
        keys = name_keys(pa.array([reported_by]), pa.array([transfer_id]))
        names = self._read("names", "name_key", keys).table
        same = pc.and_(
            pc.equal(names["reported_by"], reported_by), pc.equal(names["transfer_id"], transfer_id)
        )
        sequences = names.filter(same)["sequence"].unique().to_pylist()
        if not sequences:
            return HISTORY_SCHEMA.empty_table()
        found = self._read("sides", "sequence", np.array(sequences[:1], np.int64))
        return self._current(found, None)

    def _read(
        self,
        kind: str,
        key: str,
        keys: NDArray[np.uint64 | np.int64],
        *,
        until_us: int | None = None,
    ) -> _Found:
        """The rows of all segments with one of these keys; columns as stored."""
        with self._lock:
            segments = self._manifest.segments
            connection = self._connection.cursor()
        if key == "sequence":
            segments = tuple(
                s for s in segments if s.first_sequence <= int(keys[0]) <= s.last_sequence
            )
        schema = HISTORY_SCHEMA if kind == "sides" else NAME_SCHEMA
        tables, numbers, total = [schema.empty_table()], [np.zeros(0, np.int64)], 0
        for segment in segments:
            if until_us is not None and segment.first_us > until_us:
                continue
            file = self._folder / (segment.sides if kind == "sides" else segment.names).name
            table = _query(connection, file, schema, key=key, keys=keys, until_us=until_us)
            total += table.num_rows
            if total > LOOKUP_ROWS_MAX:
                raise TooLarge(f"the accounts have more than {LOOKUP_ROWS_MAX} cold transfers")
            tables.append(table)
            numbers.append(np.full(table.num_rows, segment.number))
        return _Found(pa.concat_tables(tables).combine_chunks(), np.concatenate(numbers))

    def _current(self, found: _Found, accounts: pa.Table | None) -> pa.Table:
        """Each transfer once, as last amended, of these accounts by full name, in ledger order."""
        table = found.table
        sequences = one(table["sequence"]).to_numpy()
        if self._amended:
            latest = [self._amended.get(number, 0) for number in sequences.tolist()]
            keep = np.flatnonzero(found.segment >= np.array(latest, np.int64))
            table, sequences = table.take(pa.array(keep)), sequences[keep]
        _, first = np.unique(sequences, return_index=True)
        table = table.take(pa.array(first))
        if accounts is not None:
            table = table.filter(pa.array(_touches(table, accounts)))
        times = one(table["booked_at"]).view(pa.int64()).to_numpy()
        order = np.lexsort((one(table["sequence"]).to_numpy(), times))
        return table.take(pa.array(order)).combine_chunks()

    def _load_amended(self) -> dict[int, int]:
        """For each amended sequence the segment that says how it is now; there are few."""
        amended: dict[int, int] = {}
        for segment in self._manifest.segments:
            if segment.amends:
                file = str(self._folder / segment.names.name)
                rows = self._connection.execute("SELECT sequence FROM read_parquet(?)", [file])
                amended.update({int(row[0]): segment.number for row in rows.fetchall()})
        return amended

    def stats(self) -> ColdStats:
        """Sizes, for the operator."""
        segments = self._manifest.segments
        return ColdStats(
            segments=len(segments),
            transfers=sum(s.transfers for s in segments if not s.amends),
            bytes=sum(s.sides.bytes + s.names.bytes for s in segments),
            first_at=from_us(min(s.first_us for s in segments)) if segments else None,
            last_at=from_us(max(s.last_us for s in segments)) if segments else None,
        )


def _query(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    schema: pa.Schema,
    *,
    key: str,
    keys: NDArray[np.uint64 | np.int64],
    until_us: int | None,
) -> pa.Table:
    """The rows of one file with one of the keys; few keys are looked up by row group."""
    columns = ", ".join(
        "epoch_us(booked_at) AS booked_at" if name == "booked_at" else name for name in schema.names
    )
    connection.register("wanted", pa.table({"key": pa.array(keys)}))
    bounds = f"{key} BETWEEN {int(keys.min())} AND {int(keys.max())}"
    until = "" if until_us is None else f" AND epoch_us(booked_at) <= {int(until_us)}"
    statement = (
        f"SELECT {columns} FROM read_parquet(?) "  # noqa: S608 - names and numbers of our own
        f"WHERE {bounds} AND {key} IN (SELECT key FROM wanted){until}"
    )
    table = connection.sql(statement, params=[str(file)]).to_arrow_table()
    return table.cast(schema)


def _touches(table: pa.Table, accounts: pa.Table) -> NDArray[np.bool_]:
    """Whether the debtor or the creditor of each row is one of these accounts, by full name."""
    wanted = pc.binary_join_element_wise(*(one(c) for c in accounts.columns), "\x1f")
    found = np.zeros(table.num_rows, bool)
    for side in ("debtor", "creditor"):
        names = pc.binary_join_element_wise(
            one(table[f"{side}_bank"]),
            one(table[f"{side}_account"]),
            one(table["currency"]),
            "\x1f",
        )
        found |= pc.fill_null(pc.is_in(names, wanted), False).to_numpy(zero_copy_only=False)
    return found
