"""Words of the ledger: accounts, transfers as evidence, batches, receipts and this stage's errors.

Answers what the ledger tells others. Never lists transfers: it gives one row, named by its caller.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from openaoc.kernel.errors import BadInput, Busy, Conflict, NotFound, Unavailable
from openaoc.ledger.refusals import RefusedRows

LINE_END_MAX: Final = 2**62
"""No account's line may reach this; the kernels add in 64 bits."""
INSTITUTIONS_MAX: Final = 16_383
"""Bank and reporter codes are numbered in 14 bits of a row."""
CURRENCIES_MAX: Final = 65_535
REVISIONS_PER_TRANSFER_MAX: Final = 1_000
CANDIDATES_MAX: Final = 100
"""At most so many candidates are offered for a reported payment."""
UNJOURNALLED_MAX: Final = 1_000_000
"""Batches that wait for their journal row; past it, ingest is refused until the journal follows."""


class TransferConflict(Conflict):
    """A transfer contradicts what its reporter already told."""


class UnknownCorrection(Conflict):
    """A correction names a transfer that its reporter never told."""


class FromTheFuture(RefusedRows):
    """A transfer is booked in the future."""


class LineTooLong(BadInput):
    """An account's amounts add up to 2^62 or more."""


class LedgerFull(Busy):
    """The hot ledger has no room for more."""


class LedgerStopped(Unavailable):
    """The ledger stopped after a failure; start the centre again."""


class DiskRefused(Unavailable):
    """The disk did not take the ledger's log; nothing of this batch was kept."""


class TransferExpired(NotFound):
    """The transfer expired: it is kept in the cases that cite it, not in the ledger."""


class AccountName(msgspec.Struct, frozen=True, kw_only=True):
    """An account is (bank, account, currency), all as stored and compared."""

    bank: str
    account: str
    currency: str


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """What a transfer said before a correction, in the ledger's own numbers.

    `creditor` is the named creditor, also of an exit; -1 where none was named. `reporter` is the
    number of who told it.
    """

    revision: int
    time_us: int
    debtor: int
    creditor: int
    amount_minor: int
    channel: int
    reporter: int


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer as evidence.

    `reported_by` says whose statement stands, `both_banks` that the other bank told the same,
    `told_by` and `told_at` who delivered the batch it first came in, and when.
    """

    row: int
    transfer_id: str
    reported_by: str
    both_banks: bool
    booked_at: datetime
    debtor: AccountName
    creditor: AccountName | None
    amount_minor: int
    channel: str
    revision: int
    told_by: str
    told_at: datetime
    position: int
    """Sequence number of the batch in the write-ahead log."""


class IngestReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch did, given only when it is durable and applied.

    accepted: new rows; repeated: rows that were known; corrected: rows whose content changed.
    first_row: the row of the first accepted transfer, -1 where none was. position: the sequence
    number of the batch in the log (of the last batch where nothing was new). digest: SHA-256, in
    hex, of the batch as logged.
    """

    accepted: int
    repeated: int
    corrected: int
    first_row: int
    position: int
    digest: str


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One batch that changed the ledger, for its journal row (design §6).

    `subject` names it for good, so that its journal row can be written exactly once.
    """

    position: int
    told_by: str
    accepted: int
    corrected: int
    first_row: int
    digest: str
    told_at: datetime

    @property
    def subject(self) -> str:
        """The batch's name in the journal."""
        return f"ledger_batch_{self.position}"


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """Cold segments that expired, for the journal: how much, never what.

    before_us: all was booked before. segments: the last one's number. accounts: how many have their
    balance at that moment kept.
    """

    position: int
    before_us: int
    segments: int
    transfers: int
    accounts: int
    first_us: int

    @property
    def subject(self) -> str:
        """Its name in the journal."""
        return f"ledger_expiry_{self.position}"


class LedgerStats(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes, for the operator; cheap at any size, health checks read them.

    memory_bytes: arrays as touched (all columns, pools, tables and names); log_bytes: write-ahead
    log on disk since the last snapshot; text_bytes: the file of transfer ids.
    """

    transfers: int
    accounts: int
    batches: int
    unjournalled: int
    position: int
    memory_bytes: int
    log_bytes: int
    text_bytes: int
    snapshot_position: int
