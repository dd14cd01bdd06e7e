"""A small centre for tests: real PostgreSQL, real ledger, real tracing, an outbox that records."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from openaoc.channels.model import NewMessage
from openaoc.holds.legal import check_may_go_live
from openaoc.holds.model import Answer, HolderNotice, Order, OrderEnd, OrderView
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.clock import ManualClock, format_time
from openaoc.kernel.events import Event
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import TransferRow, transfers_from_rows
from openaoc.parties.model import InstitutionKind
from openaoc.parties.service import Parties
from openaoc.reports.model import Channel, Payment, Report, Reporter, ReportReceipt
from openaoc.storage.database import Database
from openaoc.storage.unit_of_work import Transaction
from openaoc.storage.vault import Vault
from openaoc.tracing.service import Tracing
from openaoc.workflow.wiring import Matter, build_matter

ADMIN = Actor(id="usr_admin", roles=frozenset({Role.ADMINISTRATOR}))
SUPERVISOR = Actor(id="usr_super", roles=frozenset({Role.SUPERVISOR}))
SECOND = Actor(id="usr_second", roles=frozenset({Role.SUPERVISOR}))
INVESTIGATOR = Actor(id="usr_inv", roles=frozenset({Role.INVESTIGATOR}))
AGENT = Actor(id="usr_agent", roles=frozenset({Role.AGENT}))
BANKS = ("KBANK", "SCB", "BBL", "WALLET")
numbers = itertools.count(1)


def machine(bank: str) -> Actor:
    """The bank's system under its own key."""
    return Actor(id=f"usr_{bank.lower()}", roles=frozenset({Role.MACHINE}), institution=bank)


def liaison(bank: str) -> Actor:
    """A person at the bank."""
    return Actor(id=f"usr_l_{bank.lower()}", roles=frozenset({Role.LIAISON}), institution=bank)


@dataclass
class RecordingOutbox:
    """Keeps what a transaction enqueued once it is committed."""

    sent: list[NewMessage] = field(default_factory=list)
    heard: list[tuple[int, str]] = field(default_factory=list)
    """How many messages were out when an answer was given, and for which order."""

    def enqueue_many(self, tx: Transaction, fresh: Sequence[NewMessage]) -> list[str]:
        assert all(m.answer_by >= tx.now for m in fresh), "nothing is late before it is sent"
        tx.after_commit(lambda: self.sent.extend(fresh))
        return [message.subject for message in fresh]

    def nth_newest(
        self, tx: Transaction, *, institution: str, kind: str, count: int
    ) -> datetime | None:
        assert tx.now, "asked in a transaction"
        times = [m.answer_by for m in self.sent if (m.institution, m.kind) == (institution, kind)]
        return sorted(times)[-count] if len(times) >= count else None

    def orders(self) -> list[Order]:
        return [m.body for m in self.sent if isinstance(m.body, Order)]

    def ends(self) -> list[OrderEnd]:
        return [m.body for m in self.sent if isinstance(m.body, OrderEnd)]

    def notices(self) -> list[HolderNotice]:
        return [m.body for m in self.sent if isinstance(m.body, HolderNotice)]


class Centre:
    """The matter on a fresh database and an empty ledger, live for all of BANKS unless told."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        clock: ManualClock,
        *,
        questions_per_hour: int = 600,
    ) -> None:
        self.database, self.clock = database, clock
        self.settings = Settings(
            data_dir=str(folder),
            ledger_rows_max=200_000,
            ledger_accounts_max=50_000,
            questions_per_hour=questions_per_hour,
        )
        self.folder = folder / "ledger"
        self.ledger = Ledger.open(self.folder, settings=self.settings, clock=clock)
        self.parties = Parties(keys=database.keys, may_go_live=check_may_go_live)
        self.vault = Vault(keys=database.keys, uow=database.uow)
        self.outbox = RecordingOutbox()
        database.uow.subscribe("holds.order.answered", self._hear)
        self.matter = self.build()

    def build(self) -> Matter:
        """The matter as at a start of the process."""
        self.tracing = Tracing(self.ledger, archive=self.ledger.archive)
        return build_matter(
            database=self.database,
            ledger=self.ledger,
            tracing=self.tracing,
            parties=self.parties,
            outbox=self.outbox,
            vault=self.vault,
            settings=self.settings,
        )

    def _hear(self, tx: Transaction, event: Event) -> None:
        place = len(self.outbox.sent)  # what this change sends comes after
        tx.after_commit(lambda: self.outbox.heard.append((place, event.subject)))

    def close(self) -> None:
        """Close the ledger; the database is the fixture's."""
        self.ledger.close()

    def go_live(self, *banks: str) -> None:
        """Add the banks and switch them and the jurisdiction live by two people."""
        uow = self.database.uow
        with uow.begin(ADMIN) as tx:
            for bank in banks:
                self.parties.add_institution(
                    tx, code=bank, name=bank, kind=InstitutionKind.BANK, jurisdiction="TH"
                )
        for scope in ("jurisdiction:TH", *(f"institution:{bank}" for bank in banks)):
            with uow.begin(SUPERVISOR) as tx:
                self.parties.propose_live(tx, scope)
            with uow.begin(SECOND) as tx:
                self.parties.approve_live(tx, scope)

    def pay(
        self,
        debtor: str,
        creditor: str | None,
        amount_minor: int,
        *,
        ago: timedelta = timedelta(minutes=1),
        name: str | None = None,
        channel: str = "transfer",
    ) -> str:
        """One transfer between accounts written `BANK:NUMBER`; its id."""
        row = self.row(
            debtor, creditor, amount_minor, at=self.clock.now() - ago, name=name, channel=channel
        )
        self.ledger.ingest(transfers_from_rows([row]), live=True)
        return row.transfer_id

    @staticmethod
    def row(
        debtor: str,
        creditor: str | None,
        amount_minor: int,
        *,
        at: datetime,
        name: str | None = None,
        channel: str = "transfer",
    ) -> TransferRow:
        """A transfer's row."""
        bank, account = debtor.split(":")
        other = creditor.split(":") if creditor else (None, None)
        return TransferRow(
            transfer_id=name or f"t{next(numbers)}",
            booked_at=format_time(at),
            debtor_bank=bank,
            debtor_account=account,
            creditor_bank=other[0],
            creditor_account=other[1],
            amount_minor=amount_minor,
            currency="THB",
            channel=channel,
        )

    def report(self, transfer_id: str, **changes: object) -> Report:
        """A report of one transfer in the ledger, by its bank."""
        row = next(
            r
            for bank in BANKS
            if (r := self.ledger.find(reported_by=bank, transfer_id=transfer_id)) is not None
        )
        transfer = self.ledger.transfer(row)
        assert transfer.creditor is not None
        payment = Payment(
            transfer_id=transfer_id,
            booked_at=transfer.booked_at,
            debtor_bank=transfer.debtor.bank,
            debtor_account=transfer.debtor.account,
            creditor_bank=transfer.creditor.bank,
            creditor_account=transfer.creditor.account,
            amount_minor=transfer.amount_minor,
            currency="THB",
        )
        report = Report(
            channel=Channel.INSTITUTION,
            reported_at=self.clock.now(),
            narrative="They said they were from the police.",
            reporter=Reporter(name="Somchai Jaidee", phone="+66812345678"),
            payments=[payment],
        )
        return msgspec.structs.replace(report, **changes)

    def file(
        self, transfer_id: str, *, sender: Actor | None = None, key: str = "", **changes: object
    ) -> ReportReceipt:
        """File a report of one transfer as the payer's bank; the receipt."""
        report = self.report(transfer_id, **changes)
        who = sender or machine(report.payments[0].debtor_bank)
        return self.matter.intake.receive(report, sender=who, idempotency_key=key)[0]

    def answer(self, order_id: str, bank: str, applied: int, **more: object) -> OrderView:
        """The bank's answer to an order."""
        answer = Answer(outcome="applied", applied_minor=applied)
        if more:
            answer = msgspec.structs.replace(answer, **more)
        with self.database.uow.begin(machine(bank)) as tx:
            return self.matter.holds.answer(tx, order_id, answer)

    def orders(self, case: str) -> list[OrderView]:
        """All orders of a case, oldest first."""
        with self.database.uow.read(SUPERVISOR) as tx:
            return self.matter.holds.list(tx, case=case, limit=200).orders[::-1]
