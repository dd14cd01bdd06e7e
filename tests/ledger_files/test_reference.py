"""The page on transfers files says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from openaoc.kernel import limits
from openaoc.ledger import file_limits
from openaoc.ledger.arrays import CHANNELS
from openaoc.ledger.schema import COLUMNS
from openaoc.ledger.skipped import REASON_COLUMNS
from openaoc.ledger.table import CONTENT_TYPES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "transfers.md").read_text("utf-8")


def test_every_column_channel_and_carrier_is_on_the_page() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| .* \| .* \|$", PAGE, re.MULTILINE)
    assert tuple(rows) == COLUMNS
    for word in (*CHANNELS, *REASON_COLUMNS):
        assert f"`{word}`" in PAGE
    shown = set(re.findall(r"\| `([a-z]+/[a-z.\-]+)` \|$", PAGE, re.MULTILINE))
    assert shown <= set(CONTENT_TYPES)
    assert {CONTENT_TYPES[one] for one in shown} == set(CONTENT_TYPES.values())


def test_the_limits_are_those_of_the_code() -> None:
    table = PAGE[PAGE.index("## Limits") :]
    for number in (
        file_limits.COLUMNS_MAX,
        file_limits.ROWS_MAX,
        file_limits.FILES_MAX,
        file_limits.ACCOUNTS_MAX,
        file_limits.REFUSED_ROWS_WRITTEN_MAX,
        limits.REFUSED_ROWS_SHOWN_MAX,
        limits.FIELD_BYTES_MAX,
        limits.TRANSFERS_PER_BATCH_MAX,
    ):
        assert f"{number:,}" in table
    assert f"{file_limits.TEXT_BYTES_MAX >> 30} GiB" in table
    assert f"{file_limits.TABLE_BYTES_MAX >> 30} GiB" in table
    assert f"{file_limits.LINE_BYTES_MAX >> 10} KiB" in table
    assert f"{limits.TRANSFERS_BODY_BYTES_MAX >> 20} MiB" in table
