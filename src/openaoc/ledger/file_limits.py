"""Stage ledger, files: how large a file, a line and a table may be, by name."""

from __future__ import annotations

from typing import Final

FILES_MAX: Final = 1_000
"""Files read together as one table."""
TEXT_BYTES_MAX: Final = 8 << 30
"""A CSV or NDJSON file after decompression; it is read into memory whole."""
TABLE_BYTES_MAX: Final = 32 << 30
"""The columns of a Parquet file or Arrow stream after decompression."""
BODY_TABLE_BYTES_MAX: Final = 4 << 30
"""The same, of the body of a request: a megabyte of it may say that it is a terabyte."""
ROWS_MAX: Final = 200_000_000
"""Rows of all files read together."""
LINE_BYTES_MAX: Final = 64 << 10
"""One line of NDJSON, one record of CSV."""
COLUMNS_MAX: Final = 256
"""Columns of one file, those that are ignored included."""
BATCH_ROWS: Final = 1 << 20
"""Rows that are checked at a time: what the temporary memory grows with."""
ACCOUNTS_MAX: Final = 40_000_000
"""Rows of an accounts file."""
REFUSED_ROWS_WRITTEN_MAX: Final = 5_000_000
"""Refused rows written beside a file; a file with more is refused whole."""
