"""Simulation, trials: who acts on the centre: its own people, and institutions' systems.

Nobody here has a right that such a person or system has not in a running centre.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

from openaoc.channels.service import Channels
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.clock import Clock, ManualClock
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.parties.service import Parties
from openaoc.storage.unit_of_work import UnitOfWork
from openaoc.tracing.service import Tracing
from openaoc.workflow.between import Between
from openaoc.workflow.wiring import Matter

ADMINISTRATOR: Final = Actor(id="usr_admin", roles=frozenset({Role.ADMINISTRATOR}))
HOTLINE: Final = Actor(id="usr_hotline", roles=frozenset({Role.AGENT}))
OFFICER: Final = Actor(id="usr_officer", roles=frozenset({Role.SUPERVISOR}))
SECOND: Final = Actor(id="usr_second", roles=frozenset({Role.SUPERVISOR}))
INVESTIGATOR: Final = Actor(id="usr_investigator", roles=frozenset({Role.INVESTIGATOR}))


def machine(code: str) -> Actor:
    """An institution's system under its own key."""
    return Actor(id=f"usr_{code.lower()}", roles=frozenset({Role.MACHINE}), institution=code)


class OpenCentre(Protocol):
    """A centre that is built and does nothing by itself; `bootstrap.Centre.opened` is one."""

    settings: Settings
    clock: Clock
    uow: UnitOfWork
    parties: Parties
    channels: Channels
    ledger: Ledger
    tracing: Tracing
    matter: Matter
    between: Between


OpenWith = Callable[[Settings, ManualClock], AbstractContextManager[OpenCentre]]
