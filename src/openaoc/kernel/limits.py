"""Every limit that more than one stage must agree on, by name.

At a limit the centre says so; it never cuts silently.
"""

from __future__ import annotations

from typing import Final

TRANSFER_ID_CHARACTERS_MAX: Final = 64
BANK_CHARACTERS_MAX: Final = 32
ACCOUNT_CHARACTERS_MAX: Final = 64
REPORTER_CHARACTERS_MAX: Final = 32
FIELD_BYTES_MAX: Final = 1024
"""One cell of a transfers file; anything longer is refused, not stored."""
NARRATIVE_CHARACTERS_MAX: Final = 20_000
PAYMENTS_PER_REPORT_MAX: Final = 200
INDICATORS_PER_REPORT_MAX: Final = 100
ONWARD_PER_ANSWER_MAX: Final = 1_000
REPORT_BODY_BYTES_MAX: Final = 1 << 20
TRANSFERS_BODY_BYTES_MAX: Final = 256 << 20
TRANSFERS_PER_BATCH_MAX: Final = 2_000_000
PAGE_MAX: Final = 200
TRACE_TRANSFERS_MAX: Final = 1_000_000
TRACE_ACCOUNTS_MAX: Final = 200_000
TRACE_LOTS_MAX: Final = 2_000_000
ORIGINS_PER_TRACE_MAX: Final = 10_000
REFUSED_ROWS_SHOWN_MAX: Final = 1_000
