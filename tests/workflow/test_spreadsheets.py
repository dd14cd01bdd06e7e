"""Which orders an institution finds in its spreadsheet when more wait than one file holds."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from openpyxl import load_workbook

from openaoc.channels.spreadsheet.layout import layout
from openaoc.workflow import spreadsheets
from tests.workflow.centre import AGENT, Centre

TH = layout("TH")
ORDER = [column.field for column in TH.orders.columns].index("order")


def asked(centre: Centre, institution: str) -> list[object]:
    """The orders of one export."""
    with centre.database.uow.read(AGENT) as tx:
        data = centre.matter.spreadsheets.orders(tx, institution=institution)
    rows = load_workbook(io.BytesIO(data))[TH.orders.sheet].iter_rows(min_row=2, values_only=True)
    return [row[ORDER] for row in rows]


def test_the_oldest_wait_no_longer_than_the_newest(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreadsheets, "ROWS_MAX", 2)
    issued = []
    for number in range(4):
        origin = centre.pay("KBANK:1", f"SCB:{number}", 1_000)
        issued.append(centre.file(origin).orders[0].order)
        centre.clock.advance(timedelta(minutes=1))
    assert sorted(map(str, asked(centre, "SCB"))) == sorted(issued[:2])
    centre.answer(issued[0], "SCB", 1_000)
    assert sorted(map(str, asked(centre, "scb"))) == sorted(issued[1:3])
    assert asked(centre, "BBL") == []
