"""The published figures are what the stages' tables say, and nothing personal."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.kernel.actor import CITIZEN, SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.settings import Settings
from openaoc.parties.permissions import NotPermitted
from openaoc.statistics.model import LiveFigures, Spread
from openaoc.statistics.service import Statistics
from openaoc.storage.unit_of_work import UnitOfWork

STATISTICS = Statistics(Settings())
NOW_WORDS = "the figures of the moment"


def figures(uow: UnitOfWork) -> LiveFigures:
    with uow.read(SYSTEM, purpose=NOW_WORDS) as tx:
        return STATISTICS.live(tx)


def fill(connection: sa.Connection, table: str, rows: list[dict[str, object]]) -> None:
    """Rows with a plain value in every further column that must have one."""
    wanted = connection.execute(
        sa.text(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = :t"
            " AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'"
        ),
        {"t": table},
    ).all()
    plain: dict[str, object] = {
        "text": "x",
        "bytea": b"x",
        "integer": 1,
        "bigint": 0,
        "boolean": False,
        "jsonb": "{}",
    }
    for row in rows:
        values = {name: plain[kind] for name, kind in wanted if name not in row} | row
        names = ", ".join(values)
        places = ", ".join(f":{name}" for name in values)
        statement = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - our own names
        connection.execute(sa.text(statement), values)


def case(number: int, at: datetime, **more: object) -> dict[str, object]:
    return {
        "id": f"case{number}",
        "opened_at": at,
        "state": "pursued",
        "mode": "live",
        "standing": "automatic",
        "currency": "THB",
        "loss_minor": 1_000,
        "located_minor": 250,
        "held_minor": 150,
        **more,
    }


def held(number: int, case_number: int, at: datetime, **more: object) -> dict[str, object]:
    return {
        "id": f"ord{number}",
        "case_id": f"case{case_number}",
        "institution": "BANK1",
        "currency": "THB",
        "amount_minor": 100,
        "ceiling_minor": 100,
        "state": "applied",
        "mode": "live",
        "standing": "automatic",
        "received_at": at,
        "issued_at": at,
        "answer_by": at + timedelta(minutes=5),
        "ends_at": at + timedelta(hours=72),
        **more,
    }


def test_a_fresh_centre_has_figures(uow: UnitOfWork) -> None:
    shown = figures(uow)
    assert (shown.mode, shown.currency, shown.reports, shown.institutions) == (
        "shadow",
        "THB",
        0,
        [],
    )
    assert shown.report_to_first_applied is None


def all_orders(now: datetime, old: datetime) -> list[dict[str, object]]:
    """Orders of those cases."""

    def after(seconds: float) -> dict[str, object]:
        return {
            "answered_at": now + timedelta(seconds=seconds),
            "applied_minor": 100,
            "held_minor": 100,
        }

    return [
        held(1, 1, now, **after(2)),
        held(2, 1, now, **after(5)),
        held(3, 2, now, **after(4)),
        held(4, 2, now, institution="BANK2", state="refused", answered_at=now),
        held(5, 3, old, **after(0)),
        held(6, 4, now, **after(300)),
        held(7, 1, now + timedelta(seconds=60), **after(90)),
        held(8, 2, now, state="released", applied_minor=100, answered_at=now),
        held(9, 2, now, state="drafted"),
        held(10, 6, now, currency="USD", **after(1)),
    ]


def fill_all(uow: UnitOfWork, now: datetime) -> None:
    """Three live cases and what else there may be, some of it old, ended or in other money."""
    old = now - timedelta(hours=30)

    with uow.begin(SYSTEM, purpose="fill") as tx:
        fill(
            tx.connection,
            "institutions",
            [
                {
                    "code": code,
                    "name": code,
                    "kind": "bank",
                    "jurisdiction": "TH",
                    "message_format": "json",
                    "added_at": old,
                }
                for code in ("BANK1", "BANK2")
            ],
        )
        fill(
            tx.connection,
            "live_switches",
            [
                {
                    "scope": scope,
                    "state": state,
                    "changed_at": old,
                    "proposed_by": "a",
                    "proposed_at": old,
                    "approved_by": "b",
                }
                for scope, state in (
                    ("jurisdiction:TH", "live"),
                    ("institution:BANK1", "live"),
                    ("institution:BANK2", "proposed"),
                )
            ],
        )
        fill(
            tx.connection,
            "cases",
            [
                case(1, now),
                case(2, now),
                case(3, old),
                case(4, now, standing="needs_person"),
                case(5, now, state="dropped", loss_minor=10**9),
                case(6, now, currency="USD", standing="needs_person"),
            ],
        )
        fill(
            tx.connection,
            "reports",
            [
                {"id": f"rep{n}", "case_id": f"case{n}", "reported_at": at, "received_at": at}
                for n, at in ((1, now), (2, now), (3, old))
            ],
        )
        fill(tx.connection, "hold_orders", all_orders(now, old))


def test_times_and_sums_are_those_of_the_tables(uow: UnitOfWork, clock: ManualClock) -> None:
    fill_all(uow, clock.now())
    shown = figures(uow)
    assert shown.mode == "live"
    assert (shown.reports, shown.reports_last_hour, shown.cases) == (3, 2, 4)
    assert (shown.loss_minor, shown.located_minor, shown.exited_minor) == (4_000, 1_600, 2_400)
    assert shown.orders_by_state == {"applied": 6, "refused": 1, "released": 1, "drafted": 1}
    assert (shown.orders, shown.held_minor) == (9, 600)
    assert shown.report_to_first_applied == Spread(count=2, p50_s=0.0, p95_s=2.0)
    assert shown.report_to_last_applied == Spread(count=2, p50_s=4.0, p95_s=5.0)
    one, two = shown.institutions
    assert (one.code, one.live, one.orders, one.answered, one.held_minor) == (
        "BANK1",
        True,
        7,
        7,
        600,
    )
    assert (two.code, two.live, two.orders, two.answered, two.held_minor) == (
        "BANK2",
        False,
        1,
        1,
        0,
    )
    assert two.answer == Spread(count=1, p50_s=0.0, p95_s=0.0)


def test_only_who_may_read_the_status_gets_it(uow: UnitOfWork) -> None:
    with uow.read(CITIZEN) as tx:
        assert STATISTICS.live(tx).reports == 0
    nobody = Actor(id="nobody", roles=frozenset())
    with uow.read(nobody) as tx, pytest.raises(NotPermitted):
        STATISTICS.live(tx)


def test_the_figures_name_no_account_and_no_case() -> None:
    names = {field.name for field in msgspec.structs.fields(LiveFigures)}
    assert not names & {"account", "accounts", "case", "case_id", "order", "reporter", "narrative"}
    assert Role.CITIZEN in CITIZEN.roles
