"""Files with random damage: the fast way through Arrow and the slow way record by record agree."""

from __future__ import annotations

import numpy as np
import pytest

from openaoc.ledger import csv_reader, ndjson_reader
from openaoc.ledger.refusals import RefusedRows
from openaoc.ledger.table import parse_transfers
from tests.ledger_files.rows import as_csv, as_ndjson, row

JSON_BYTES = b'{}[]",:\\u0041 \t\n\r-+.eE0123456789tfn\xc3\xa9'
CSV_BYTES = b',"\n\r x0"'
TRIES = 1500


def damaged(data: bytes, alphabet: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with a few characters replaced, added or taken out."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        at, kind = int(rng.integers(len(changed))), rng.random()
        character = alphabet[int(rng.integers(len(alphabet)))]
        if kind < 0.4:
            changed[at] = character
        elif kind < 0.8:
            changed.insert(at, character)
        else:
            del changed[at : at + int(rng.integers(1, 4))]
    return bytes(changed)


def outcome(data: bytes, content_type: str) -> object:
    """The table, or the places of all faults."""
    try:
        return parse_transfers(data, content_type).table.to_pylist()
    except RefusedRows as error:
        return sorted((r.row or 0, r.line or 0, r.column or "") for r in error.rows)


@pytest.mark.parametrize("content_type", ["text/csv", "application/x-ndjson"])
def test_both_ways_say_the_same(content_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(transfer_id=f"T{n}", channel="transfer") for n in range(4)]
    is_csv = content_type == "text/csv"
    data = as_csv(rows) if is_csv else as_ndjson(rows)
    rng = np.random.default_rng(9)
    taken = 0
    for _ in range(TRIES):
        broken = damaged(data, CSV_BYTES if is_csv else JSON_BYTES, rng)
        fast = outcome(broken, content_type)
        with monkeypatch.context() as patch:
            patch.setattr(csv_reader, "_read_fast", lambda *_: None)
            patch.setattr(ndjson_reader, "is_flat", lambda _: False)
            slow = outcome(broken, content_type)
        assert fast == slow, broken
        taken += bool(fast) and isinstance(fast[0], dict) if isinstance(fast, list) else 0
    assert 0 < taken < TRIES
