"""An application of the public pages alone, over made-up figures."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from litestar import Litestar
from litestar.datastructures import State

from openaoc.kernel.clock import ManualClock
from openaoc.public.routes import ROUTES
from openaoc.statistics.model import InstitutionFigures, LiveFigures, Spread

FIGURES = LiveFigures(
    at=datetime(2026, 11, 21, 20, 30, tzinfo=UTC),
    mode="live",
    currency="THB",
    window_hours=24,
    reports=1_284,
    reports_last_hour=412,
    cases=1_279,
    orders=3_911,
    orders_by_state={"applied": 2_804, "applied_in_part": 310, "refused": 640, "drafted": 157},
    order_to_answer=Spread(count=901, p50_s=0.084, p95_s=0.21),
    report_to_first_applied=Spread(count=840, p50_s=0.62, p95_s=3.94),
    report_to_last_applied=Spread(count=840, p50_s=1.35, p95_s=12.4),
    loss_minor=10_432_887_500,
    located_minor=1_377_141_000,
    held_minor=1_103_221_050,
    exited_minor=9_055_746_500,
    institutions=[
        InstitutionFigures(
            code="BANK1",
            name="Chao Phraya Bank",
            live=True,
            orders=902,
            answered=901,
            held_minor=303_221_050,
            answer=Spread(count=901, p50_s=0.31, p95_s=4.2),
        ),
        InstitutionFigures(
            code="WALLET2", name="<Mango> Wallet", live=False, orders=0, answered=0, held_minor=0
        ),
    ],
)
EMPTY = LiveFigures(
    at=datetime(2026, 11, 21, 20, 30, tzinfo=UTC), mode="shadow", currency="THB", window_hours=24
)


class FakeCentre:
    """Has figures; they can be exchanged while the page is open."""

    def __init__(self, figures: LiveFigures) -> None:
        self.shown = figures
        self.clock = ManualClock(FIGURES.at)

    def figures(self) -> LiveFigures:
        """What the page shows."""
        return self.shown

    def another_report(self) -> None:
        """One more report has come in."""
        self.shown = msgspec.structs.replace(self.shown, reports=self.shown.reports + 1)


def public_app(centre: FakeCentre) -> Litestar:
    """The pages over these figures."""
    return Litestar([*ROUTES], state=State({"centre": centre}), openapi_config=None)
