"""Payments of a pacs.008 message are rows like any others; a bad message is refused whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from openaoc.channels.iso20022.pacs008 import Payment, Payments, write
from openaoc.channels.iso20022.xml import Money
from openaoc.ledger.table import RefusedRows, parse_accounts, parse_transfers, read_transfers

NOW = datetime(2026, 3, 2, 3, 15, 0, 123456, tzinfo=UTC)


def _payment(number: int, **changes: object) -> Payment:
    fields: dict[str, object] = {
        "payment_id": f"T{number}",
        "amount": Money(amount_minor=100 + number, currency="THB"),
        "debtor_bank": "kbank",
        "debtor_account": "012-3-45678-9",
        "creditor_bank": "SCB",
        "creditor_account": "99",
        "at": NOW,
    }
    return Payment(**fields | changes)  # type: ignore[arg-type]  # the fields of a payment


def _message(*payments: Payment) -> bytes:
    return write(Payments(message_id="m1", at=NOW, payments=payments))


def test_a_message_gives_the_rows_of_its_payments(tmp_path: Path) -> None:
    path = tmp_path / "payments.xml"
    path.write_bytes(_message(_payment(1), _payment(2, at=None)))
    assert read_transfers([path]).table.select(
        ["transfer_id", "reported_by", "debtor_account", "amount_minor", "booked_at"]
    ).to_pylist() == [
        {
            "transfer_id": f"T{number}",
            "reported_by": "KBANK",
            "debtor_account": "0123456789",
            "amount_minor": 100 + number,
            "booked_at": NOW,
        }
        for number in (1, 2)
    ]
    body = parse_transfers(path.read_bytes(), "application/xml")
    assert body.table.equals(read_transfers([path]).table)


def test_a_bad_row_is_named_and_the_rest_can_be_taken(tmp_path: Path) -> None:
    path = tmp_path / "payments.xml"
    path.write_bytes(
        _message(_payment(1), _payment(2, debtor_bank="A BANK WITH A NAME, TOO LONG, 1234"))
    )
    with pytest.raises(RefusedRows, match="row 2, column debtor_bank"):
        read_transfers([path])
    table = read_transfers([path], skip_bad=True).table
    assert table["transfer_id"].to_pylist() == ["T1"]
    assert '"T2"' in (tmp_path / "payments.refused.ndjson").read_text("utf-8")


@pytest.mark.parametrize("data", [b"<a/>", b"\x00\x01", b'{"transfer_id":1}', b""])
def test_what_is_no_message_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "payments.xml"
    path.write_bytes(data)
    with pytest.raises(RefusedRows, match=r"payments\.xml"):
        read_transfers([path])


def test_openings_do_not_come_by_message() -> None:
    with pytest.raises(RefusedRows, match="not opening balances"):
        parse_accounts(_message(_payment(1)), "application/xml")
