"""Raw transfers expire by rule; what a case under work traces stays; the journal says how much."""

from __future__ import annotations

import json
from datetime import timedelta

import sqlalchemy as sa

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import from_us
from openaoc.storage.tables import journal_rows
from openaoc.workflow.retention import EVERY, JOURNALLED
from tests.workflow.centre import SUPERVISOR, Centre


def marks(centre: Centre) -> list[dict[str, object]]:
    with centre.database.uow.read(SUPERVISOR) as tx:
        chosen = sa.select(journal_rows.c.body).where(journal_rows.c.action == JOURNALLED)
        return [json.loads(body)["after"] for body in tx.connection.execute(chosen).scalars()]


def test_transfers_expire_but_for_those_a_case_needs(centre: Centre) -> None:
    first = centre.pay("KBANK:8", "SCB:9", 50_000, ago=timedelta(days=2))
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    onward = centre.pay("SCB:2", "BBL:3", 40_000)
    case = centre.file(origin).case
    housekeeping, days = centre.matter.housekeeping, centre.settings.ledger_cold_days
    with centre.ledger.reading() as arrays:
        cut_us = int(arrays.time_us[1])
    centre.ledger.cut(from_us(cut_us))
    centre.clock.advance(timedelta(days=days + 3))
    housekeeping.run_due()
    assert centre.ledger.find(reported_by="KBANK", transfer_id=first) is None
    for bank, name in (("KBANK", origin), ("SCB", onward)):
        assert centre.ledger.find(reported_by=bank, transfer_id=name) is not None, "a case needs it"
    [mark] = marks(centre)
    assert (mark["transfers"], mark["accounts"]) == (1, 2)
    assert not {"KBANK", "SCB", "8", "9"} & {str(value) for value in mark.values()}
    with centre.database.uow.begin(SYSTEM) as tx:
        centre.matter.holds.expire_due(tx)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.pursuit.close(tx, case, reason="nothing more to do")
    housekeeping.run_due()
    assert len(marks(centre)) == 1, "not every minute"
    centre.clock.advance(EVERY)
    housekeeping.run_due()
    assert centre.ledger.find(reported_by="SCB", transfer_id=onward) is None
    assert sorted(str(m["transfers"]) for m in marks(centre)) == ["1", "2"]
    housekeeping.run_due()
    assert centre.ledger.expired() == []
