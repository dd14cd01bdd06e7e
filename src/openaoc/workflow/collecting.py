"""Workflow: builds the collections and feeds of the exchange: served, filled, handed on.

Nothing is handed on before a stage that receives is named by the wiring.
"""

from __future__ import annotations

from openaoc.exchange.context import KINDS
from openaoc.exchange.indicators import IndicatorReceiver
from openaoc.exchange.misp.client import MispClient
from openaoc.exchange.misp.polling import EventFeeds
from openaoc.exchange.misp.serving import MispServing
from openaoc.exchange.objects import ObjectKind, keyed_object_id
from openaoc.exchange.recalling import OBJECT_RECALLED
from openaoc.exchange.receiving import Nobody, Receiver
from openaoc.exchange.service import OBJECTS_RELEASED
from openaoc.exchange.sightings import ByKind, SightingReceiver
from openaoc.exchange.stix.model import SPEC_VERSION, Identity
from openaoc.exchange.taxii.client import TaxiiClient
from openaoc.exchange.taxii.handing import Handing
from openaoc.exchange.taxii.polling import Polling
from openaoc.exchange.taxii.publishing import Filling
from openaoc.exchange.taxii.service import Taxii
from openaoc.indicators.service import Indicators
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.events import Event
from openaoc.storage.keyring import Keyring
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from openaoc.workflow.sharing import Sharing

PRODUCER_LABEL = "openaoc exchange identity v1"
FOUNDED = "2026-01-01T00:00:00.000Z"
"""When every centre's identity was created: it has one version."""
WORK_SECONDS = 5.0
POLL_SECONDS = 5.0
ROUNDS_MAX = 200
"""Rounds of work before the threads look whether they shall stop."""


class Collecting:
    """The collections, and the two threads that work for them: neither holds up a hold order."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        taxii: Taxii,
        misp: MispServing,
        filling: Filling,
        handing: Handing,
        polling: Polling,
    ) -> None:
        self.taxii, self.filling, self.handing, self.polling = taxii, filling, handing, polling
        self.misp = misp
        self._uow = uow
        self._shown = Ticker("collections", self.work, every_s=WORK_SECONDS)
        self._read = Ticker("feeds", polling.poll_due, every_s=POLL_SECONDS)
        taxii.wake_with(self._shown.wake)
        for name in (OBJECTS_RELEASED, OBJECT_RECALLED):
            uow.subscribe(name, self._changed)

    def start(self) -> None:
        """Begin to work by itself."""
        self._shown.start()
        self._read.start()

    def stop(self) -> None:
        """Let what is under way end."""
        self._read.stop()
        self._shown.stop()

    def work(self) -> int:
        """Show what was released and hand on what came in, to the end or ROUNDS_MAX times."""
        done = 0
        for _ in range(ROUNDS_MAX):
            found = self.filling.fill_due() + self.handing.hand_due()
            done += found
            if not found:
                break
        with self._uow.begin(SYSTEM, purpose="forget what nobody asks for") as tx:
            self.taxii.forget_statuses(tx)
            self.taxii.forget_received(tx)
        return done

    def _changed(self, tx: Transaction, event: Event) -> None:
        assert event.subject, "a partner, or an object"
        tx.after_commit(self._shown.wake)


def producer_of(keys: Keyring, *, home: str) -> Identity:
    """The centre as others see it: the same id for as long as its keys are the same."""
    return Identity(
        spec_version=SPEC_VERSION,
        id=keyed_object_id(ObjectKind.IDENTITY, key=keys.derived(PRODUCER_LABEL), name=home),
        created=FOUNDED,
        modified=FOUNDED,
        name=f"OPENAOC-{home}",
        identity_class="organization",
    )


def build_collecting(
    *,
    uow: UnitOfWork,
    sharing: Sharing,
    keys: Keyring,
    home: str,
    name: str,
    receiver: Receiver | None = None,
    surrogates: bool = True,
    exercise: bool = False,
) -> Collecting:
    """Build it; without a receiver what partners send is kept and reported as not taken.

    `name`: the code under which partners know this centre. `surrogates`: whether the profile
    opencti has them. `exercise`: whether the centre is in one.
    """
    receiver = receiver or Nobody()
    producer = producer_of(keys, home=home)
    taxii = Taxii(sharing.agreements)
    filling = Filling(
        uow=uow,
        exchange=sharing.exchange,
        producer=producer,
        country=home,
        surrogates=surrogates,
    )
    handing = Handing(uow=uow, agreements=sharing.agreements, receiver=receiver, country=home)
    events = EventFeeds(
        uow=uow,
        agreements=sharing.agreements,
        client=MispClient(exercise=exercise),
        receiver=receiver,
        country=home,
    )
    polling = Polling(
        uow=uow,
        agreements=sharing.agreements,
        client=TaxiiClient(exercise=exercise),
        events=events,
        keys=keys,
    )
    misp = MispServing(sharing.exchange, name=name)
    return Collecting(
        uow=uow, taxii=taxii, misp=misp, filling=filling, handing=handing, polling=polling
    )


def build_receiver(sharing: Sharing, indicators: Indicators, *, region: str) -> Receiver:
    """Who takes whatever partners send, by whichever channel."""
    told = IndicatorReceiver(indicators, canaries=sharing.canaries, region=region)
    taken: dict[ObjectKind, Receiver] = {
        ObjectKind.INDICATOR: told,
        ObjectKind.SIGHTING: SightingReceiver(),
        **dict.fromkeys(KINDS, sharing.context),
    }
    return ByKind(taken, otherwise=Nobody())
