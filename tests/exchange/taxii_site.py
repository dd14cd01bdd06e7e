"""A centre that serves its collections over HTTP, with partners who read and write them."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from psycopg import sql

from openaoc.api import misp as feed_routes
from openaoc.api import taxii as routes
from openaoc.api.problems import HANDLERS as ERROR_HANDLERS
from openaoc.api.sign_ins import SignIns
from openaoc.exchange.agreement import Agreement
from openaoc.exchange.objects import ReleasedObject
from openaoc.exchange.receiving import NotTaken
from openaoc.exchange.stix.model import Profile
from openaoc.exchange.taxii.model import MEDIA_TYPE, CollectionKind
from openaoc.kernel.clock import ManualClock
from openaoc.parties.service import Parties
from openaoc.storage import roles
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.storage.unit_of_work import Transaction
from openaoc.web.rates import RateLimits
from openaoc.workflow.collecting import build_collecting
from tests.conftest import START, TEMPLATE
from tests.exchange.sharing_site import ADMINISTRATOR, Site

END_SECONDS_MAX = 60.0
PATIENT_S = 60.0
_numbers = itertools.count(1)


class Desk:
    """A receiver that notes what it got."""

    def __init__(self) -> None:
        self.got: list[ReleasedObject] = []
        self.refuses: set[str] = set()
        self.error: Exception | None = None

    def receive(
        self, tx: Transaction, *, agreement: Agreement, objects: Sequence[ReleasedObject]
    ) -> Sequence[NotTaken]:
        assert agreement.in_force(tx.now)
        if self.error is not None:
            raise self.error
        self.got += [one for one in objects if one.id not in self.refuses]
        return [NotTaken(path=one.id, reason="no") for one in objects if one.id in self.refuses]


class Reader(httpx.Client):
    """A client whose `../` leads up from its base, as in a page."""

    def _merge_url(self, url: Any) -> httpx.URL:
        return self.base_url.join(str(url))


class TaxiiSite(Site):
    """A centre's exchange behind its TAXII server, on a port of loopback."""

    def __init__(self, database: Any, clock: ManualClock) -> None:
        super().__init__(database, clock)
        self.keys = database.keys
        self.desk = Desk()
        self.collecting = build_collecting(
            uow=self.uow,
            sharing=self.sharing,
            keys=database.keys,
            home="TH",
            name="TH-AOC",
            receiver=self.desk,
        )
        self.url = ""
        self.api_keys: dict[str, str] = {}
        self.monotonic_s = 0.0
        """What rate limits take for the time: it stands still."""

    def app(self) -> Litestar:
        """The routes, as the centre serves them."""
        centre = SimpleNamespace(
            uow=self.uow,
            parties=Parties(keys=self.keys),
            settings=SimpleNamespace(
                base_url=self.url, centre_code="OPENAOC-TH", contact="duty@centre.example"
            ),
            matter=SimpleNamespace(collecting=self.collecting),
        )
        state = {"centre": centre, "rates": RateLimits(self._now_s), "sign_ins": SignIns()}
        return Litestar(
            route_handlers=[*routes.HANDLERS, *feed_routes.HANDLERS],
            exception_handlers=ERROR_HANDLERS,
            state=State(state),
            openapi_config=None,
        )

    def _now_s(self) -> float:
        return self.monotonic_s

    def join(self, code: str, *, profile: Profile = Profile.CORE, **terms: object) -> str:
        """A partner with an agreement, collections and a key; the key."""
        self.agree(code, **terms)
        with self.uow.begin(ADMINISTRATOR) as tx:
            self.collecting.taxii.open_for(tx, code, profile=profile)
            _, key = self.agreements.partners.add_user(tx, code, name=f"analyst of {code}")
        self.api_keys[code] = key
        self.fill()
        return key

    def fill(self) -> None:
        """Write everything that is due into the collections."""
        while self.collecting.filling.fill_due():
            continue

    def hand(self) -> None:
        """Hand on everything that came in."""
        while self.collecting.handing.hand_due():
            continue

    def publish(self, code: str, *objects: Any) -> None:
        """Release the objects to the partner and show them."""
        self.offer(code, *objects)
        self.fill()

    def client(self, code: str, **headers: str) -> httpx.Client:
        """The partner's client."""
        return Reader(
            base_url=f"{self.url}/taxii2/centre/",
            auth=("partner", self.api_keys[code]),
            headers={"Accept": MEDIA_TYPE, **headers},
            trust_env=False,
            timeout=PATIENT_S,
        )

    def collection(self, code: str, kind: CollectionKind) -> str:
        """The id of one of the partner's collections."""
        with self.client(code) as client:
            found = client.get("collections/").json()["collections"]
        writable = kind is CollectionKind.INBOX
        (one,) = [c["id"] for c in found if c["can_write"] is writable]
        return str(one)


@contextlib.contextmanager
def taxii_site(postgres: EmbeddedPostgres) -> Iterator[TaxiiSite]:
    """A served exchange on a fresh database; everything is stopped and dropped afterwards."""
    name = f"taxii_{next(_numbers)}"
    home = Path(tempfile.mkdtemp(prefix="openaoc-taxii-"))
    with postgres.superuser() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE)
            )
        )
    database = connect_database(
        postgres.parameters(database=name), keys=Keyring(home / "keys"), clock=ManualClock(START)
    )
    clock = ManualClock(START)
    database.uow._clock = clock
    site = TaxiiSite(database, clock)
    listener = socket.create_server(("127.0.0.1", 0))
    site.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(site.app(), log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.should_exit = True
        thread.join(END_SECONDS_MAX)
        listener.close()
        database.close()
        with postgres.superuser() as connection:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            connection.execute(drop)
            role = sql.Identifier(roles.application_role(name))
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
        shutil.rmtree(home, ignore_errors=True)


def stix_indicator(number: int = 0, **more: Any) -> dict[str, Any]:
    """An indicator as a partner sends one."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-01-05T03:00:00.000Z",
        "modified": "2026-01-05T03:00:00.000Z",
        "pattern": f"[url:value = 'https://scam{number}.example.com/']",
        "pattern_type": "stix",
        "valid_from": "2026-01-05T03:00:00Z",
    } | more
