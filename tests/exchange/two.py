"""Two centres that speak with each other over HTTP on loopback, each with a ledger of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
from psycopg import sql

from openaoc.api.problems import problem_of
from openaoc.channels.keys import CentreKeys
from openaoc.channels.signing import HEADER
from openaoc.channels.transport import HttpTransport, Reply
from openaoc.exchange.agreement import Grant, Minimisation, Terms, Transfer, TransferKind
from openaoc.exchange.crossborder.model import ReceivedRequest, SentRequest
from openaoc.exchange.line import SENDER
from openaoc.exchange.model import Contact, KeyVerification, NewPartner, PartnerChange, PartnerKind
from openaoc.exchange.objects import FIELDS, ObjectKind
from openaoc.holds.legal import check_may_go_live
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.parties.service import Parties
from openaoc.storage.centre_state import begin_epoch, end_reconciling
from openaoc.storage.database import Database, connect_database
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.storage.vault import Vault
from openaoc.workflow.between import Between, build_between
from tests.workflow.centre import ADMIN, BANKS, SUPERVISOR, Centre, RecordingOutbox

OFFICER = Actor(id="usr_officer", roles=frozenset({Role.DATA_PROTECTION_OFFICER}))
KINDS = (ObjectKind.TRACE_REQUEST, ObjectKind.TRACE_ANSWER, ObjectKind.MATCH)
PERSONAL = {"victim_name", "holder_name"}
SLOW_S = 0.3
PATIENT_S = 60.0
DESK = Contact(name="Desk", email="desk@centre.example")


class Country(Centre):
    """A live centre of a country, its gate on loopback. `fault` is what its next answers suffer."""

    def __init__(self, database: Database, folder: Path, clock: ManualClock, *, code: str) -> None:
        self.database, self.clock, self.code = database, clock, code
        self.settings = Settings(
            data_dir=str(folder),
            centre=code,
            contact=f"duty@{code.lower()}.example",
            ledger_rows_max=20_000,
            ledger_accounts_max=5_000,
        )
        self.folder = folder / "ledger"
        self.keys = CentreKeys(folder / "keys").open(clock.now())
        self.ledger = Ledger.open(self.folder, settings=self.settings, clock=clock)
        self.fault: Callable[[], str | None] = lambda: None
        self.asked: list[str] = []
        self.transport = HttpTransport(connections_max=8)
        self.server = _serve(self)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.begin(database)

    def begin(self, database: Database) -> None:
        """Start the centre's program on this database."""
        self.database = database
        self.parties = Parties(keys=database.keys, may_go_live=check_may_go_live)
        self.vault = Vault(keys=database.keys, uow=database.uow)
        self.outbox = RecordingOutbox()
        self.matter = self.build()
        self.between: Between = build_between(
            database=database,
            ledger=self.ledger,
            tracing=self.tracing,
            matter=self.matter,
            keys=self.keys,
            clock=self.clock,
            settings=self.settings,
            transport=self.transport,
        )
        self.matter.pursuit.start()
        self.between.crossing.look_at_all()

    def renew(self, database: Database) -> None:
        """The program ends, and begins again on this database."""
        self.between.close()
        self.database.close()
        self.transport = HttpTransport(connections_max=8)
        self.begin(database)

    def close(self) -> None:
        """End everything."""
        self.server.shutdown()
        self.server.server_close()
        self.between.close()
        super().close()

    def copied(self, postgres: EmbeddedPostgres, *, name: str) -> dict[str, str]:
        """A copy of its database as it is now: the owner's connection parameters."""
        owner = dict(self.database.owner)
        self.between.close()
        self.database.close()
        with postgres.superuser() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(owner["dbname"])
                )
            )
        self.transport = HttpTransport(connections_max=8)
        self.begin(connect_database(owner, keys=self.database.keys, clock=self.clock))
        return {**owner, "dbname": name}

    def restored(self, owner: dict[str, str]) -> None:
        """It goes on from a copy of its database, and a person has let it deliver again."""
        fresh = connect_database(owner, keys=self.database.keys, clock=self.clock)
        with fresh.uow.begin(SYSTEM) as tx:
            begin_epoch(tx, why="restored", backup_at=tx.now)
        with fresh.uow.begin(SUPERVISOR) as tx:
            end_reconciling(tx, reason="nothing is uncertain")
        self.renew(fresh)

    def befriend(self, other: Country, *, country: str, **changes: object) -> None:
        """A partner with a verified key, and an agreement in force."""
        partners = self.matter.sharing.agreements.partners
        new = NewPartner(
            code=other.code,
            name=other.code,
            kind=PartnerKind.CENTRE,
            jurisdiction=country,
            contact=DESK,
            endpoint=other.address,
        )
        with self.database.uow.begin(ADMIN) as tx:
            partners.add(tx, new)
        self.learn_key(other)
        self.agree(other, **changes)

    def agree(self, other: Country, **changes: object) -> None:
        """An agreement in force, in place of the one before."""
        agreements = self.matter.sharing.agreements
        with self.database.uow.begin(OFFICER) as tx:
            draft = agreements.draft(tx, self.terms(other, **changes))
        for actor in (OFFICER, SUPERVISOR):
            with self.database.uow.begin(actor) as tx:
                agreements.approve(tx, draft.id)

    def learn_key(self, other: Country) -> None:
        """Register and verify the key the other signs with now."""
        partners = self.matter.sharing.agreements.partners
        jwk = msgspec.json.encode(other.keys.current().public()).decode()
        with self.database.uow.begin(ADMIN) as tx:
            key = partners.add_key(tx, other.code, jwk=jwk)
        said = KeyVerification(fingerprint=key.fingerprint, compared_with="Ms Tan, by phone")
        with self.database.uow.begin(SUPERVISOR) as tx:
            partners.verify_key(tx, other.code, kid=key.kid, said=said)

    def terms(self, other: Country, **changes: object) -> Terms:
        """Terms under which requests, answers and matches may leave."""
        usual = Terms(
            partner=other.code,
            purposes=tuple(Offence),
            legal_basis="Anti-Scam Act, section 12, and the memorandum of 2026",
            grants={kind: grant(kind) for kind in KINDS},
            highest_marking=Marking.AMBER,
            daily_objects_max=10_000,
            retention_days=30,
            contact=DESK,
            starts_at=self.clock.now() - timedelta(days=1),
            ends_at=self.clock.now() + timedelta(days=365),
            transfer=Transfer(kind=TransferKind.SAFEGUARDS, reference="Memorandum, article 7"),
        )
        return msgspec.structs.replace(usual, **changes)

    def move_to(self, other: Country) -> None:
        """The other centre listens somewhere else now."""
        with self.database.uow.begin(ADMIN) as tx:
            partners = self.matter.sharing.agreements.partners
            partners.change(tx, other.code, PartnerChange(endpoint=other.address))

    def hurry(self, other: Country, fault: Callable[[], str | None]) -> None:
        """Ask the other centre, whose answers suffer this, and wait for no slow one."""
        ask = self.transport.post

        def post(url: str, *, body: bytes, headers: dict[str, str]) -> Reply:
            turn = fault()
            other.fault = lambda: turn
            self.transport._client.timeout = SLOW_S / 3 if turn == "slow" else PATIENT_S
            return ask(url, body=body, headers=headers)

        self.transport.post = post  # type: ignore[method-assign]  # a hurried messenger

    def step(self) -> None:
        """One round of everything that happens by itself, but for waiting."""
        self.matter.pursuit.pursue()
        self.matter.pursuit.retrace_due()
        while self.between.crossing.run():
            continue
        for partner in self.between.carrier.due():
            self.between.carrier.run(partner)

    def sent(self) -> list[SentRequest]:
        """Our requests, newest first."""
        with self.database.uow.read(SUPERVISOR) as tx:
            return self.between.crossing.requests(tx).sent

    def received(self) -> list[ReceivedRequest]:
        """The partners' requests, newest first."""
        with self.database.uow.read(SUPERVISOR) as tx:
            return self.between.crossing.requests(tx).received


def grant(kind: ObjectKind) -> Grant:
    """Every field that names no person, as it is; case numbers as pseudonyms."""
    fields = {name: Minimisation.AS_IS for name in FIELDS[kind] if name not in PERSONAL}
    fields["case"] = Minimisation.PSEUDONYM
    kinds = ("bank_account", "phone") if kind is ObjectKind.MATCH else ()
    return Grant(fields=fields, identifier_kinds=kinds)


def settle(*countries: Country, rounds: int = 4, wait: timedelta = timedelta(minutes=6)) -> None:
    """Let time go by and everything happen, until both have said what they have to say."""
    for _ in range(rounds):
        for one in countries:
            one.step()
        for clock in {id(one.clock): one.clock for one in countries}.values():
            clock.advance(wait)


def _serve(country: Country) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fault = country.fault()
            country.asked.append(self.path)
            if fault == "down":
                self.close_connection = True
                return
            if fault == "slow":
                time.sleep(SLOW_S)
            status, headers, answer = _answer(country, self.path, dict(self.headers), body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if fault == "lost":
                self.close_connection = True
                return
            self.wfile.write(answer[: len(answer) // 2] if fault == "cut" else answer)
            self.close_connection = fault == "cut"

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _answer(
    country: Country, path: str, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    try:
        answered = country.between.gate.answer(
            path, sender=headers.get(SENDER, ""), header=headers.get(HEADER), body=body
        )
    except OpenAOCError as error:
        problem = problem_of(error)
        return problem.status, {}, msgspec.json.encode(problem)
    return 200, {HEADER: answered.signature}, answered.body


__all__ = ["BANKS", "SYSTEM", "Country", "settle"]
