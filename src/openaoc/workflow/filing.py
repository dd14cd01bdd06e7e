"""Workflow: builds the exchange's files: what partners may have, and what they bring."""

from __future__ import annotations

from openaoc.channels.keys import CentreKeys
from openaoc.exchange.files.service import Files
from openaoc.kernel.settings import Settings
from openaoc.storage.database import Database
from openaoc.workflow.collecting import producer_of
from openaoc.workflow.wiring import Matter


def build_files(
    *, database: Database, matter: Matter, keys: CentreKeys, settings: Settings
) -> Files:
    """Build it; signed with the centre's own keys, received as everything partners send."""
    return Files(
        uow=database.uow,
        exchange=matter.sharing.exchange,
        receiver=matter.receiver,
        keys=keys,
        name=settings.centre_code,
        producer=producer_of(database.keys, home=settings.jurisdiction),
        country=settings.jurisdiction,
        desk=settings.contact,
    )
