"""Stage ledger, files: the one shape in which transfers leave the readers.

Answers which columns there are and of which type; checks nothing.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.ledger.refusals import RefusedRow

SCHEMA: Final = pa.schema(
    [
        pa.field("transfer_id", pa.string(), nullable=False),
        pa.field("reported_by", pa.string(), nullable=False),
        pa.field("booked_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("debtor_bank", pa.string(), nullable=False),
        pa.field("debtor_account", pa.string(), nullable=False),
        pa.field("creditor_bank", pa.string()),
        pa.field("creditor_account", pa.string()),
        pa.field("amount_minor", pa.int64(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("corrects", pa.string()),
        pa.field("revision", pa.int64()),
    ]
)
"""Validated and normalised; null creditor: there is none. Rows stand in the order of the files."""

ALIAS_SCHEMA: Final = pa.schema(
    [("reported_by", pa.string()), ("transfer_id", pa.string()), ("row", pa.int64())]
)

COLUMNS: Final = tuple(SCHEMA.names)
REQUIRED: Final = (
    "transfer_id",
    "booked_at",
    "debtor_bank",
    "debtor_account",
    "creditor_bank",
    "creditor_account",
    "amount_minor",
    "currency",
)
OPTIONAL: Final = tuple(name for name in COLUMNS if name not in REQUIRED)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a stretch of rows comes from.

    `numbers` holds the data row in the file of each row; None: they are 1, 2, 3 ….
    """

    file: str
    rows: int
    numbers: NDArray[np.int64] | None = None

    def number(self, offset: int) -> int:
        """The data row, from 1, of the row `offset` rows into this source."""
        return offset + 1 if self.numbers is None else int(self.numbers[offset])


@dataclass(frozen=True, kw_only=True)
class TransferTable:
    """Transfers that passed every check of their own row, in file order, in SCHEMA.

    `aliases` (ALIAS_SCHEMA) names the row that stands for a reporter's id where that is not the
    row's own name: the other bank's report of the same payment, or a correction under a new id.
    `resolve_duplicates` fills it.
    """

    table: pa.Table
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    """What a person should know though nothing was refused."""
    refused: tuple[RefusedRow, ...] = ()
    """Rows left out on request (`skip_bad`)."""
    aliases: pa.Table = field(default_factory=ALIAS_SCHEMA.empty_table)

    @property
    def rows(self) -> int:
        """Number of transfers."""
        return int(self.table.num_rows)

    def numpy(self, name: str) -> NDArray[np.int64]:
        """`booked_at` (microseconds since the epoch) or `amount_minor`; one chunk is not copied."""
        column = self.table[name]
        chunks = [chunk.view(pa.int64()).to_numpy() for chunk in column.chunks]
        if len(chunks) == 1:
            only: NDArray[np.int64] = chunks[0]
            return only
        return np.concatenate(chunks) if chunks else np.zeros(0, np.int64)

    def place(self, row: int) -> tuple[str, int]:
        """The file and the data row (from 1) that table row `row` was read from."""
        ends = list(np.cumsum([source.rows for source in self.sources]))
        index = bisect.bisect_right(ends, row)
        source = self.sources[index]
        return source.file, source.number(row - (int(ends[index - 1]) if index else 0))

    def find(self, transfer_id: str, *, reported_by: str | None = None) -> list[int]:
        """The rows of that id (one per reporter), or of that reporter's id; aliases included."""
        rows = self._named(self.table, transfer_id, reported_by)
        aliases = self._named(self.aliases, transfer_id, reported_by)
        rows += [self.aliases["row"][row].as_py() for row in aliases]
        return sorted(set(rows))

    @staticmethod
    def _named(table: pa.Table, transfer_id: str, reported_by: str | None) -> list[int]:
        same = pc.equal(table["transfer_id"], transfer_id)
        if reported_by is not None:
            same = pc.and_(same, pc.equal(table["reported_by"], reported_by))
        rows: list[int] = pc.indices_nonzero(same).to_pylist()
        return rows
