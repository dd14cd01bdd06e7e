"""Snapshots: the facts of the hot log on disk, written beside the running ledger, and read back.

Answers what the ledger was at one entry of its log. Derived arrays are not stored: they are a
function of the facts. See docs/decisions/ledger-snapshots.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from openaoc.kernel.errors import Corrupt
from openaoc.ledger.batches import Batches
from openaoc.ledger.column_file import ColumnReader, write_columns
from openaoc.ledger.copying import ID_FILES, generation_of
from openaoc.ledger.corrections import Known
from openaoc.ledger.hot import HotLog
from openaoc.ledger.kernels_intern import ROWS_PER_BLOCK, rebuild_rows
from openaoc.ledger.kernels_lines import apply_rows
from openaoc.ledger.kernels_slots import rebuild_accounts
from openaoc.ledger.model import Batch, DiskRefused, Expired, Revision
from openaoc.ledger.numbers import Run
from openaoc.ledger.store import SLICE_ROWS_MAX, Store, Telling
from openaoc.ledger.tellings import Content
from openaoc.ledger.wal import sync_folder

MANIFEST: Final = "ledger.json"
SEGMENTS_MAX: Final = 64
"""With so many parts the next snapshot writes everything into one."""
_UNSORTED_SHARE: Final = 0.02
_CHANGED: Final = 7
"""Numbers per changed row: the row, its content, its reporter."""
_BASED: Final = ("based", "base_in", "base_out", "bare", "unseen")
_ROW_COLUMNS: Final = (
    "time_us",
    "debtor",
    "creditor",
    "amount",
    "flags",
    "channel",
    "reporter",
)


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Where every growing array ended."""

    rows: int = 0
    accounts: int = 0
    name_bytes: int = 0
    id_bytes: int = 0
    batches: int = 0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file of facts: from where every array ended before, to where it ended then."""

    name: str
    start: Sizes
    stop: Sizes


class KnownRow(msgspec.Struct, frozen=True, kw_only=True):
    """A corrected row's history."""

    row: int
    revision: int
    history: tuple[Revision, ...]
    other: tuple[Revision, ...] = ()


class Rename(msgspec.Struct, frozen=True, kw_only=True):
    """A further id under which a row was corrected."""

    reporter: str
    transfer_id: str
    row: int


class RowTelling(msgspec.Struct, frozen=True, kw_only=True):
    """Who told of a row that came back from cold days."""

    row: int
    telling: Telling


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """Which days are cold, and how the rows of the others are numbered."""

    hot_from_us: int = 0
    cuts: int = 0
    generation: int = 0
    runs: tuple[Run, ...] = ()
    recalled: tuple[tuple[int, int], ...] = ()
    tellings: tuple[RowTelling, ...] = ()
    stored: tuple[int, ...] = ()
    joined: tuple[tuple[int, int], ...] = ()
    expired_us: int = 0
    expired_segments: int = 0
    expired: tuple[Expired, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot consists of; the one file that is replaced."""

    version: int = 1
    seed: int
    position: int = 0
    """The ledger is as after this entry of the log."""
    sizes: Sizes = Sizes()
    parts: tuple[Part, ...] = ()
    rare: str = ""
    """File of rows that changed after their part was written, and of opening balances."""
    institutions: tuple[str, ...] = ()
    currencies: tuple[str, ...] = ()
    tellers: tuple[str, ...] = ()
    known: tuple[KnownRow, ...] = ()
    renamed: tuple[Rename, ...] = ()
    waiting: tuple[Batch, ...] = ()
    amount_total: str = "0"
    days: Days = Days()


@dataclass(kw_only=True)
class Capture:
    """The ledger at one instant: its ends, and copies of the little that is not append-only."""

    manifest: Manifest
    rare: dict[str, NDArray[np.generic]]
    whole: bool


class Renumbered(Exception):
    """The rows were numbered anew while a snapshot was written."""


class Changes:
    """Rows below the last snapshot's end that were amended; before the running one, their past."""

    def __init__(self, hot: HotLog) -> None:
        self._hot = hot
        self._lock = threading.Lock()
        self.rows: set[int] = set()
        self._frozen_rows = 0
        self._past: dict[int, tuple[int, ...]] | None = None
        self.snapshot_rows = 0

    def note(self, rows: NDArray[np.int32]) -> None:
        """The rows' facts are about to change."""
        with self._lock:
            end = max(self.snapshot_rows, self._frozen_rows)
            for row in rows[rows < end].tolist():
                if self._past is not None and row < self._frozen_rows and row not in self._past:
                    self._past[row] = self._facts(row)
                self.rows.add(row)

    def renumber(self) -> None:
        """The rows have other numbers now: the next snapshot writes all of them."""
        with self._lock:
            self.rows.clear()
            self._past, self._frozen_rows, self.snapshot_rows = None, 0, 0

    def freeze(self, rows: int) -> None:
        """A snapshot of the first `rows` rows begins."""
        with self._lock:
            self._past, self._frozen_rows = {}, rows

    def thaw(self, *, done: bool) -> None:
        """The snapshot ended; `done`: it stands."""
        with self._lock:
            if done:
                self.snapshot_rows = self._frozen_rows
            self._past = None
            if not done:
                self._frozen_rows = 0

    def overlay(self, rows: set[int]) -> NDArray[np.int64]:
        """Facts of the rows as they were at the freeze, one line each."""
        with self._lock:
            past = self._past or {}
            wanted = sorted(rows | past.keys())
            lines = [past.get(row) or self._facts(row) for row in wanted]
        return np.array(lines, np.int64).reshape(len(lines), _CHANGED)

    def _facts(self, row: int) -> tuple[int, ...]:
        content = self._hot.corrections.content(row)
        return (row, *content, int(self._hot.store.facts.reporter[row]))


def capture(
    hot: HotLog, batches: Batches, changes: Changes, last: Manifest, *, position: int
) -> Capture:
    """Take the instant; the caller holds every writer off. Short: no column is copied."""
    store = hot.store
    whole = len(last.parts) >= SEGMENTS_MAX or last.days.generation != store.generation
    sizes = Sizes(
        rows=store.rows,
        accounts=store.accounts,
        name_bytes=store.name_bytes,
        id_bytes=store.id_bytes,
        batches=batches.count,
    )
    opened = np.flatnonzero(store.opened_from[: store.accounts]).astype(np.int32)
    based = np.flatnonzero(store.unseen[: store.accounts]).astype(np.int32)
    rare: dict[str, NDArray[np.generic]] = {
        "opened": opened,
        "opening": store.opened_minor[opened],
        "opened_from": store.opened_from[opened],
        "opened_bare": store.opened_bare[opened],
        "based": based,
        "base_in": store.lines.base_in[based],
        "base_out": store.lines.base_out[based],
        "bare": store.bare[based],
        "unseen": store.unseen[based],
    }
    start = Sizes() if whole else last.sizes
    part = Part(name=f"facts-{position:020d}.cols", start=start, stop=sizes)
    manifest = Manifest(
        seed=store.seed,
        position=position,
        sizes=sizes,
        parts=(part,) if whole else (*last.parts, part),
        rare=f"rare-{position:020d}.cols",
        institutions=tuple(store.institutions.words),
        currencies=tuple(store.currencies.words),
        tellers=tuple(batches.tellers.words),
        known=tuple(
            KnownRow(row=row, revision=known.revision, history=known.history, other=known.other)
            for row, known in hot.corrections.known.items()
        ),
        renamed=tuple(
            Rename(reporter=who, transfer_id=name, row=row)
            for (who, name), row in hot.corrections.renamed.items()
        ),
        waiting=tuple(batches.waiting.values()),
        amount_total=str(hot.limits.amount_total),
        days=_days(store, batches),
    )
    changes.freeze(store.rows)
    return Capture(manifest=manifest, rare=rare, whole=whole)


def _days(store: Store, batches: Batches) -> Days:
    return Days(
        hot_from_us=store.hot_from_us,
        cuts=store.cuts,
        generation=store.generation,
        runs=tuple(store.numbers.dump()),
        recalled=tuple(store.numbers.recalled.items()),
        tellings=tuple(
            RowTelling(row=row, telling=telling) for row, telling in store.tellings.items()
        ),
        stored=tuple(sorted(store.stored)),
        joined=tuple(store.numbers.joined.items()),
        expired_us=store.expired_us,
        expired_segments=store.expired_segments,
        expired=tuple(batches.expired.values()),
    )


def write(
    folder: Path,
    taken: Capture,
    hot: HotLog,
    batches: Batches,
    changes: Changes,
    *,
    reading: Callable[[], AbstractContextManager[object]],
) -> Manifest:
    """Write what was captured while the ledger goes on; the manifest that now stands.

    `reading()` holds off amendments for a moment. Raises DiskRefused; then the last snapshot
    stands as before; and Renumbered.
    """
    done = False
    try:
        part = taken.manifest.parts[-1]
        with reading():
            columns = _part_columns(hot.store, batches, part)
        write_columns(folder / part.name, columns)
        hot.store.ids.sync()
        rows = set() if taken.whole else {row for row in changes.rows if row < part.start.rows}
        with reading():
            overlay = changes.overlay(rows)
        write_columns(folder / taken.manifest.rare, {**taken.rare, "changed": overlay.ravel()})
        if hot.store.generation != taken.manifest.days.generation:
            raise Renumbered
        _replace(folder / MANIFEST, msgspec.json.encode(taken.manifest))
        done = True
    finally:
        changes.thaw(done=done)
    _tidy(folder, taken.manifest)
    return taken.manifest


def _part_columns(store: Store, batches: Batches, part: Part) -> dict[str, NDArray[np.generic]]:
    a, b = part.start, part.stop
    columns: dict[str, NDArray[np.generic]] = {
        name: getattr(store.facts, name)[a.rows : b.rows] for name in _ROW_COLUMNS
    }
    blocks = slice(_blocks(a.rows), _blocks(b.rows))
    columns["id_block"] = store.facts.id_block[blocks]
    # Corrections insert among the exits: read it in one piece, and let the overlay correct it.
    exit_rows = store.facts.exit_row[: store.exits].copy()
    first, last = np.searchsorted(exit_rows, [a.rows, b.rows])
    columns["exit_row"] = exit_rows[first:last]
    columns["exit_creditor"] = store.facts.exit_creditor[first:last].copy()
    columns["kind"] = store.names.kind[a.accounts : b.accounts]
    columns["offset"] = store.names.offset[a.accounts : b.accounts]
    columns["text"] = store.names.text[a.name_bytes : b.name_bytes]
    for name in ("first_row", "told_at", "teller", "position"):
        columns[name] = getattr(batches, name)[a.batches : b.batches]
    return columns


def _blocks(rows: int) -> int:
    return (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise DiskRefused(f"the snapshot was not written: {error.strerror}") from error


def _tidy(folder: Path, manifest: Manifest) -> None:
    """Delete parts that no snapshot names any more."""
    kept = {part.name for part in manifest.parts} | {manifest.rare}
    for path in folder.glob("*.cols"):
        if path.name not in kept:
            path.unlink()
    for path in folder.glob(ID_FILES):
        if generation_of(path.name) < manifest.days.generation:
            path.unlink()


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest that stands, None for a new ledger. Raises Corrupt."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise Corrupt(f"{error}; put it back from a backup", where=str(path)) from error


def write_first(folder: Path, manifest: Manifest) -> None:
    """Begin a ledger: an empty snapshot."""
    _replace(folder / MANIFEST, msgspec.json.encode(manifest))


def load(folder: Path, manifest: Manifest, hot: HotLog, batches: Batches, changes: Changes) -> None:
    """Fill the empty hot log with what the manifest names and lay the lines anew.

    Raises Corrupt when a file is missing or damaged.
    """
    store = hot.store
    store.institutions.fill(manifest.institutions)
    store.currencies.fill(manifest.currencies)
    batches.tellers.fill(manifest.tellers)
    end = manifest.sizes
    store.ids.ensure(end.id_bytes)
    for part in manifest.parts:
        _read_part(folder, part, store, batches)
    store.rows, store.accounts, store.name_bytes = end.rows, end.accounts, end.name_bytes
    store.id_bytes, batches.count = end.id_bytes, end.batches
    batches.waiting = {batch.position: batch for batch in manifest.waiting}
    hot.limits.amount_total = int(manifest.amount_total)
    hot.corrections.known = {
        known.row: Known(revision=known.revision, history=known.history, other=known.other)
        for known in manifest.known
    }
    hot.corrections.renamed = {
        (rename.reporter, rename.transfer_id): rename.row for rename in manifest.renamed
    }
    changes.snapshot_rows = end.rows
    _fill_days(store, manifest.days)
    batches.expired = {item.position: item for item in manifest.days.expired}
    if manifest.rare:
        _read_rare(folder / manifest.rare, hot, changes)
    if store.hot_from_us:
        store.old_rows = set(
            np.flatnonzero(store.facts.time_us[: store.rows] < store.hot_from_us).tolist()
        )
    _derive(store)


def _fill_days(store: Store, days: Days) -> None:
    store.hot_from_us, store.cuts = days.hot_from_us, days.cuts
    if days.runs:
        store.numbers.fill(list(days.runs), dict(days.recalled))
    store.tellings = {item.row: item.telling for item in days.tellings}
    store.stored = set(days.stored)
    store.numbers.joined = dict(days.joined)
    store.expired_us, store.expired_segments = days.expired_us, days.expired_segments
    store.begin_lines(0)


def _read_part(folder: Path, part: Part, store: Store, batches: Batches) -> None:
    a, b = part.start, part.stop
    reader = ColumnReader(folder / part.name)
    try:
        for name in _ROW_COLUMNS:
            reader.into(name, getattr(store.facts, name)[a.rows : b.rows])
        reader.into("id_block", store.facts.id_block[_blocks(a.rows) : _blocks(b.rows)])
        exits = reader.columns["exit_row"].count
        reader.into("exit_row", store.facts.exit_row[store.exits : store.exits + exits])
        reader.into("exit_creditor", store.facts.exit_creditor[store.exits : store.exits + exits])
        store.exits += exits
        reader.into("kind", store.names.kind[a.accounts : b.accounts])
        reader.into("offset", store.names.offset[a.accounts : b.accounts])
        reader.into("text", store.names.text[a.name_bytes : b.name_bytes])
        for name in ("first_row", "told_at", "teller", "position"):
            reader.into(name, getattr(batches, name)[a.batches : b.batches])
    finally:
        reader.close()


def _read_rare(path: Path, hot: HotLog, changes: Changes) -> None:
    reader = ColumnReader(path)
    try:
        changed = reader.array("changed").reshape(-1, _CHANGED)
        opened = reader.array("opened")
        opening, start = reader.array("opening"), reader.array("opened_from")
        bare = reader.array("opened_bare") if "opened_bare" in reader.columns else 0 * opening
        based = {name: reader.array(name) for name in _BASED if name in reader.columns}
    finally:
        reader.close()
    for row, *content, reporter in changed.tolist():
        hot.rewrite(row, Content(*content), reporter)
        changes.rows.add(row)
    store, lines = hot.store, hot.store.lines
    store.opened_from[opened], store.opened_minor[opened] = start, opening
    store.opened_bare[opened] = bare
    lines.base_in[opened] = lines.in_end[opened] = opening
    lines.line_from[opened] = np.maximum(start, store.hot_from_us)
    if based:
        accounts = based["based"]
        lines.base_in[accounts] = lines.in_end[accounts] = based["base_in"]
        lines.base_out[accounts] = lines.out_end[accounts] = based["base_out"]
        store.bare[accounts], store.unseen[accounts] = based["bare"], based["unseen"]


def _derive(store: Store) -> None:
    """Tables and lines from the facts: two threads, for the two have nothing in common."""
    store.fresh_tables()
    tables = threading.Thread(target=_derive_tables, args=(store,), name="ledger-tables")
    tables.start()
    _derive_lines(store)
    tables.join()


def _derive_tables(store: Store) -> None:
    seed = np.uint64(store.seed)
    rebuild_accounts(store.account_slots, store.names, store.accounts, seed)
    rebuild_rows(store.id_slots, store.facts, store.names, store.ends, seed)


def _derive_lines(store: Store) -> None:
    rows = store.rows
    store.lines.out_start[:rows] = -1
    store.lines.in_start[:rows] = -1
    times = store.facts.time_us[:rows]
    order = np.arange(rows, dtype=np.int32)
    if np.count_nonzero(times[1:] < times[:-1]) > rows * _UNSORTED_SHARE:
        # A few late rows cost less as late rows than a sort of everything does.
        order = np.argsort(times, kind="stable").astype(np.int32)
    for start in range(0, rows, SLICE_ROWS_MAX):
        apply_rows(store.lines, order, start, min(start + SLICE_ROWS_MAX, rows), store.dirty)
    store.applied = store.length = rows
