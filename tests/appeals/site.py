"""The public pages over a real matter, in a test client or for a browser."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Litestar
from litestar.datastructures import State

from openaoc.public.routes import ROUTES
from openaoc.storage.unit_of_work import UnitOfWork
from openaoc.web.rates import RateLimits
from openaoc.workflow.wiring import Matter
from tests.workflow.centre import Centre


@dataclass
class Served:
    """What the pages need of a centre."""

    uow: UnitOfWork
    matter: Matter


def site(centre: Centre) -> Litestar:
    """The pages over this centre; nothing is forgiven with time, however slow the machine."""
    served = Served(uow=centre.database.uow, matter=centre.matter)
    rates = RateLimits(lambda: 0.0)
    return Litestar([*ROUTES], state=State({"centre": served, "rates": rates}))
