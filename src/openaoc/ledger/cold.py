"""Stage ledger: the older days, as sorted Parquet segments read by DuckDB.

Answers with all transfers of named accounts, or the one of a named id; there is no verb that lists
what it was not asked for by name.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Self

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.kernel.clock import from_us
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
    write_keys,
    write_manifest,
    write_parquet,
)
from openaoc.ledger.model import AccountName, DiskRefused
from openaoc.ledger.name_filter import NameFilter

SEGMENT_ROWS_MAX: Final = 10_000_000
"""Transfers of one segment: what writing one takes in memory grows with it."""
SEGMENTS_MAX: Final = 10_000
LOOKUP_ROWS_MAX: Final = 20_000_000
"""Transfers that one lookup may bring into memory."""
_NAMES_READ: Final = NAME_SCHEMA.append(pa.field("debtor_key", pa.uint64()))
_TIMES: Final = ("booked_at", "told_at")
_NO_KEYS: Final = np.zeros(0, np.uint64)
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
        self.cut = max((segment.cut for segment in manifest.segments), default=0)
        """Segments of later cuts do not count yet."""
        self._amended = self._load_amended()
        self._keys: dict[int, NDArray[np.uint64]] = {}
        self._filter = NameFilter()
        for segment in manifest.segments:
            self._know(segment)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The store in `folder`, which is made if need be. Files no manifest names are removed.

        All segments count until `adopt` says otherwise. Raises Corrupt when the manifest cannot be
        read or a segment is missing or cut.
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
            for file in segment.files:
                known.add(file.name)
                stored = folder / file.name
                if not stored.exists() or stored.stat().st_size != file.bytes:
                    raise Corrupt("a cold segment is missing or cut", where=str(stored))
        for entry in folder.iterdir():
            if entry.name not in known and entry.suffix in (".parquet", ".npy", ".draft"):
                entry.unlink()
        return cls(folder, manifest)

    def close(self) -> None:
        """Let go of the reader and the mapped files; everything written is durable already."""
        self._connection.close()
        self._keys.clear()

    def write_segment(
        self,
        table: pa.Table,
        *,
        aliases: pa.Table | None = None,
        amends: bool = False,
        cut: int | None = None,
    ) -> Segment:
        """Keep transfers (HISTORY_SCHEMA, any order) for good; durable when it returns.

        `aliases` (NAME_SCHEMA): further names of them, such as the other bank's. With `amends` the
        rows replace those of the same sequence in earlier segments (a late correction). They count
        once the cut is adopted, without one at once. Raises TooLarge past SEGMENT_ROWS_MAX or
        SEGMENTS_MAX, DiskRefused.
        """
        if not 0 < table.num_rows <= SEGMENT_ROWS_MAX:
            raise TooLarge(f"{table.num_rows} rows; a segment has 1 to {SEGMENT_ROWS_MAX}")
        table = table.select(HISTORY_SCHEMA.names).cast(HISTORY_SCHEMA).combine_chunks()
        names = table.select(NAME_SCHEMA.names).cast(NAME_SCHEMA)
        if aliases is not None:
            names = pa.concat_tables([names, aliases.cast(NAME_SCHEMA)]).combine_chunks()
        times = one(table["booked_at"]).view(pa.int64()).to_numpy()
        sequences = one(table["sequence"]).to_numpy()
        told = one(table["told_at"]).view(pa.int64()).to_numpy()
        with self._lock:
            number = self._manifest.next_number
            if len(self._manifest.segments) >= SEGMENTS_MAX:
                raise TooLarge(f"there are {SEGMENTS_MAX} cold segments already")
            stem, sorted_names = self._folder / f"{number:06d}", names_of(table, names)
            try:
                sides = write_parquet(sides_of(table), Path(f"{stem}-sides.parquet"))
                named = write_parquet(sorted_names, Path(f"{stem}-names.parquet"))
                keys = write_keys(
                    one(sorted_names["name_key"]).to_numpy(), Path(f"{stem}-keys.npy")
                )
            except OSError as error:
                raise DiskRefused(f"a cold segment was not written: {error.strerror}") from error
            segment = Segment(
                number=number,
                transfers=table.num_rows,
                first_us=int(times.min()),
                last_us=int(times.max()),
                first_sequence=int(sequences.min()),
                last_sequence=int(sequences.max()),
                sides=sides,
                names=named,
                keys=keys,
                amends=amends,
                cut=self.cut if cut is None else cut,
                told_us=int(told.max()),
            )
            self._put((*self._manifest.segments, segment), next_number=number + 1)
            self._know(segment)
            if amends and segment.cut <= self.cut:
                self._amended.update(dict.fromkeys(sequences.tolist(), number))
        return segment

    def adopt(self, cut: int) -> None:
        """Segments up to this cut count, later ones do not."""
        with self._lock:
            self.cut = cut
            self._amended = self._load_amended()

    def forget_after(self, cut: int) -> None:
        """Remove the segments of later cuts: those were never made."""
        with self._lock:
            self._remove([s for s in self._manifest.segments if s.cut > cut])

    def _know(self, segment: Segment) -> None:
        keys = np.load(self._folder / segment.keys.name, mmap_mode="r")
        self._keys[segment.number] = keys
        self._filter.add(keys, [*self._keys.values()])

    def may_name(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Whether each of these names (name_keys) may be a cold transfer's; no is certain."""
        found = self._filter.ask(keys)
        places = np.flatnonzero(found)
        if places.size:
            asked, exact = keys[places], np.zeros(places.size, np.bool_)
            for known in [*self._keys.values()]:
                at = np.searchsorted(known, asked)
                at[at == known.size] = 0
                exact |= known[at] == asked
            found[places] = exact
        return found

    def expiring(self, before_us: int, *, told_before_us: int) -> list[Segment]:
        """The oldest segments, as far as all they hold was booked and told before.

        In the order in which they were written: what amends a transfer never goes before it.
        """
        with self._lock:
            counting = [s for s in self._manifest.segments if s.cut <= self.cut]
        found: list[Segment] = []
        for segment in sorted(counting, key=lambda s: s.number):
            if segment.last_us >= before_us or segment.told_us >= told_before_us:
                break
            found.append(segment)
        return found

    def accounts_in(self, segments: Sequence[Segment]) -> pa.Table:
        """The different (bank, account, currency) on a side of these segments' transfers."""
        files = [str(self._folder / segment.sides.name) for segment in segments]
        with closing(self._connection.cursor()) as connection:
            return connection.sql(
                "SELECT debtor_bank AS bank, debtor_account AS account, currency"
                " FROM read_parquet(?) UNION"
                " SELECT creditor_bank, creditor_account, currency FROM read_parquet(?)"
                " WHERE channel = 'transfer' ORDER BY ALL",
                params=[files, files],
            ).to_arrow_table()

    def drop(self, number: int) -> None:
        """Remove the segments up to this number, where there are any left."""
        with self._lock:
            self._remove([s for s in self._manifest.segments if s.number <= number])

    def _remove(self, segments: list[Segment]) -> None:
        if not segments:
            return
        kept = tuple(s for s in self._manifest.segments if s not in segments)
        self._put(kept, next_number=self._manifest.next_number)
        for segment in segments:
            self._keys.pop(segment.number, None)
            for file in segment.files:
                (self._folder / file.name).unlink(missing_ok=True)
        self._amended = self._load_amended()

    def _put(self, segments: tuple[Segment, ...], *, next_number: int) -> None:
        manifest = Manifest(next_number=next_number, segments=segments)
        try:
            write_manifest(self._folder, manifest)
        except OSError as error:
            raise DiskRefused(f"the cold manifest was not written: {error.strerror}") from error
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
        return self.find_names([(reported_by, transfer_id)])

    def find_names(self, names: Sequence[tuple[str, str]]) -> pa.Table:
        """The transfers (HISTORY_SCHEMA) of these (reporter, transfer id), each once."""
        who, what = pa.array([n[0] for n in names], pa.string()), pa.array([n[1] for n in names])
        keys = name_keys(who, what)
        keys = np.unique(keys[self.may_name(keys)])
        if not keys.size:
            return HISTORY_SCHEMA.empty_table()
        found = self._read("names", "name_key", keys).table
        wanted = pa.array([f"{a}\x1f{b}" for a, b in names])
        told = pc.binary_join_element_wise(
            one(found["reported_by"]), one(found["transfer_id"]), "\x1f"
        )
        transfers = self._transfers(found.filter(pc.is_in(told, wanted)))
        # Rows that turned out to be another transfer's are nobody's.
        return transfers.filter(pc.not_equal(one(transfers["reported_by"]), ""))

    def by_sequences(self, sequences: Sequence[int]) -> pa.Table:
        """The transfers (HISTORY_SCHEMA) with these arrival numbers, each once."""
        if not sequences:
            return HISTORY_SCHEMA.empty_table()
        return self._transfers(
            self._read("names", "sequence", np.unique(np.array(sequences, np.int64))).table
        )

    def _transfers(self, names: pa.Table) -> pa.Table:
        """The transfers of rows of `names`, looked for also where amendments put them."""
        if not names.num_rows:
            return HISTORY_SCHEMA.empty_table()
        sequences = np.unique(one(names["sequence"]).to_numpy())
        if not self._amended.keys().isdisjoint(sequences.tolist()):
            names = self._read("names", "sequence", sequences).table
        found = self._read("sides", "account_key", np.unique(one(names["debtor_key"]).to_numpy()))
        places = np.flatnonzero(np.isin(one(found.table["sequence"]).to_numpy(), sequences))
        return self._current(
            _Found(found.table.take(pa.array(places)), found.segment[places]), None
        )

    def _read(
        self,
        kind: str,
        key: str,
        keys: NDArray[np.uint64 | np.int64],
        *,
        until_us: int | None = None,
    ) -> _Found:
        """The rows of all segments with one of these keys; columns as stored."""
        while True:
            with self._lock:
                manifest, connection = self._manifest, self._connection.cursor()
            with closing(connection):
                try:
                    return self._read_from(connection, kind, key, keys, until_us=until_us)
                except duckdb.IOException:
                    if manifest is self._manifest:
                        raise
                    # A segment expired meanwhile; read what is left.

    def _read_from(
        self,
        connection: duckdb.DuckDBPyConnection,
        kind: str,
        key: str,
        keys: NDArray[np.uint64 | np.int64],
        *,
        until_us: int | None,
    ) -> _Found:
        segments = tuple(s for s in self._manifest.segments if s.cut <= self.cut)
        if key == "sequence":
            low, high = int(keys.min()), int(keys.max())
            segments = tuple(
                s for s in segments if s.first_sequence <= high and low <= s.last_sequence
            )
        elif key == "name_key":
            segments = tuple(s for s in segments if self._names_any(s, keys))
        schema = HISTORY_SCHEMA if kind == "sides" else _NAMES_READ
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

    def _names_any(self, segment: Segment, keys: NDArray[np.uint64 | np.int64]) -> bool:
        known = self._keys.get(segment.number, _NO_KEYS)
        if not known.size:
            return False
        at = np.searchsorted(known, keys)
        at[at == known.size] = 0
        return bool((known[at] == keys).any())

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
            if segment.amends and segment.cut <= self.cut:
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
            bytes=sum(file.bytes for s in segments for file in s.files),
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
        f"epoch_us({name}) AS {name}" if name in _TIMES else name for name in schema.names
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
