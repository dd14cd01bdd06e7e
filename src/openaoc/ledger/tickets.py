"""A batch on its way through the writer, and the forms in which the log keeps what it needs.

Answers what a caller gets in the end. Decides nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openaoc.kernel.errors import OpenAOCError
from openaoc.ledger.encode import Prepared
from openaoc.ledger.hot import Staged
from openaoc.ledger.model import Batch, IngestReceipt


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the log keeps of a batch beside its rows."""

    told_by: str
    told_at_us: int


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What the log keeps of openings beside their table."""

    from_us: int


@dataclass(kw_only=True, eq=False)
class Ticket:
    """A batch and the caller that waits for it."""

    batch: Prepared
    payload: bytes | memoryview
    digest: str
    told_at: datetime
    told_by: str
    locate: Callable[[int], str]
    done: threading.Event = field(default_factory=threading.Event)
    taken: bool = False
    staged: Staged | None = None
    first: int = -1
    """Arrival number of its first new transfer."""
    position: int = 0
    error: OpenAOCError | None = None

    def receipt(self) -> IngestReceipt:
        """What the caller gets. Raises what went wrong."""
        if self.error is not None:
            raise self.error
        assert self.staged is not None, "a ticket without an error was staged"
        return IngestReceipt(
            accepted=self.staged.accepted,
            repeated=self.staged.repeated,
            corrected=self.staged.corrected,
            first_row=self.first,
            position=self.position,
            digest=self.digest,
        )

    def record(self) -> Batch:
        """What is kept of a batch that changed something, for its journal row."""
        assert self.staged is not None, "only staged tickets are kept"
        return Batch(
            position=self.position,
            told_by=self.told_by,
            accepted=self.staged.accepted,
            corrected=self.staged.corrected,
            first_row=self.first,
            digest=self.digest,
            told_at=self.told_at,
        )


def place_of(ticket: Ticket, where: str) -> str:
    """The place in the sender's file for a place in the batch."""
    word, _, number = where.partition(" ")
    return ticket.locate(int(number) - 1) if word == "row" and number.isdigit() else where


def size_of(offsets: NDArray[np.int32]) -> int:
    """Bytes of a text column."""
    return int(offsets[-1]) - int(offsets[0])


class Needs(NamedTuple):
    """What room batches take at most."""

    rows: int
    id_bytes: int
    name_bytes: int


def needs(group: Sequence[Ticket]) -> Needs:
    """The room that these batches take at most."""
    rows = names = ids = 0
    for ticket in group:
        batch = ticket.batch
        rows += batch.rows
        ids += size_of(batch.transfer_id.offsets)
        names += size_of(batch.debtor_account.offsets) + size_of(batch.creditor_account.offsets)
    return Needs(rows, ids, names + 4 * rows)


def write_table(table: pa.Table) -> bytes:
    """The table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def read_table(payload: bytes) -> pa.Table:
    """What `write_table` wrote."""
    with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
        return reader.read_all()
