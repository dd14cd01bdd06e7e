"""Workflow: builds the collections of the exchange: served, filled, handed on.

Nothing is handed on before a stage that receives is named by the wiring.
"""

from __future__ import annotations

import msgspec

from openaoc.exchange.objects import ObjectKind, keyed_object_id
from openaoc.exchange.receiving import RECEIVED_AT_ONCE_MAX, Nobody, Receiver
from openaoc.exchange.stix.model import SPEC_VERSION, Identity
from openaoc.exchange.taxii.handing import Handing
from openaoc.exchange.taxii.publishing import WRITTEN_AT_ONCE_MAX, Filling
from openaoc.exchange.taxii.service import Taxii
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import UnitOfWork
from openaoc.workflow.duties import Duty, on_time
from openaoc.workflow.sharing import Sharing

PRODUCER_LABEL = "openaoc exchange identity v1"
FOUNDED = "2026-01-01T00:00:00.000Z"
"""When every centre's identity was created: it has one version."""
STATUSES_AT_ONCE = 1


class Collecting(msgspec.Struct, frozen=True, kw_only=True):
    """The collections, and what of them the clock asks for."""

    taxii: Taxii
    filling: Filling
    handing: Handing
    duties: tuple[Duty, ...]


def build_collecting(
    *,
    uow: UnitOfWork,
    sharing: Sharing,
    keys: Keyring,
    home: str,
    receiver: Receiver | None = None,
) -> Collecting:
    """Build it; without a receiver what partners send is kept and reported as not taken."""
    producer = Identity(
        spec_version=SPEC_VERSION,
        id=keyed_object_id(ObjectKind.IDENTITY, key=keys.derived(PRODUCER_LABEL), name=home),
        created=FOUNDED,
        modified=FOUNDED,
        name=f"OPENAOC-{home}",
        identity_class="organization",
    )
    taxii = Taxii(sharing.agreements)
    filling = Filling(uow=uow, exchange=sharing.exchange, producer=producer, country=home)
    handing = Handing(
        uow=uow, agreements=sharing.agreements, receiver=receiver or Nobody(), country=home
    )
    return Collecting(
        taxii=taxii,
        filling=filling,
        handing=handing,
        duties=(
            Duty(call=filling.fill_due, full=WRITTEN_AT_ONCE_MAX),
            Duty(call=handing.hand_due, full=RECEIVED_AT_ONCE_MAX),
            Duty(call=on_time(uow, taxii.forget_statuses), full=STATUSES_AT_ONCE),
        ),
    )
