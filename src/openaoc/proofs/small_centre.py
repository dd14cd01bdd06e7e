"""Proofs: a whole centre with a clock that is set by hand, and banks that take its messages.

Everything goes through the verbs that a real centre's people and banks use. Nothing runs by itself:
`turn` does what the clock asks for and delivers what is due.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa

from openaoc.bootstrap import Centre, build_centre
from openaoc.channels.model import Delivery
from openaoc.channels.transport import Reply
from openaoc.holds.model import Answer, HolderNotice, Order, OrderEnd, OrderView
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock, SystemClock, format_time
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.settings import Settings
from openaoc.ledger.table import TransferRow, transfers_from_rows
from openaoc.parties.model import InstitutionKind
from openaoc.proofs.scratch import Scratch
from openaoc.reports.model import Channel, Payment, Report, ReportReceipt
from openaoc.storage.unit_of_work import Transaction

ADMINISTRATOR: Final = Actor(id="usr_admin", roles=frozenset({Role.ADMINISTRATOR}))
SUPERVISOR: Final = Actor(id="usr_first", roles=frozenset({Role.SUPERVISOR}))
SECOND: Final = Actor(id="usr_second", roles=frozenset({Role.SUPERVISOR}))
INVESTIGATOR: Final = Actor(id="usr_investigator", roles=frozenset({Role.INVESTIGATOR}))
BANKS: Final = ("KBANK", "SCB", "BBL", "WALLET")
ENDPOINT: Final = "http://127.0.0.1:1/{}"
"""Nobody listens there: messages are taken in this process."""
CURRENCY: Final = "THB"
ORDER: Final = "hold.order"
ENDS: Final = frozenset({"hold.withdrawal", "hold.release"})
NOTICE: Final = "holder.notice"
OK: Final = 200
ROWS_MAX: Final = 200_000
T = TypeVar("T")


def machine(bank: str) -> Actor:
    """A bank's system under its own key."""
    return Actor(id=f"usr_{bank.lower()}", roles=frozenset({Role.MACHINE}), institution=bank)


class Sent(NamedTuple):
    """A message as it reached an institution's system."""

    institution: str
    kind: str
    body: bytes
    at: datetime


class Desks:
    """Every institution's system: takes what is sent, and blocks what it answered it blocks.

    A channels.transport.Transport.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._seen: set[str] = set()
        self.sent: list[Sent] = []
        self.blocked: dict[str, int] = {}
        """By order: what the institution blocks, from its own answers and what it was told."""

    def post(self, url: str, *, body: bytes, headers: dict[str, str]) -> Reply:
        """Take a delivery; a message that comes again is taken once."""
        del headers
        institution = url.removesuffix("/v1/holds").rpartition("/")[2]
        for message in msgspec.json.decode(body, type=Delivery).messages:
            if message.idempotency_key in self._seen:
                continue
            self._seen.add(message.idempotency_key)
            content = bytes(message.body)
            self.sent.append(Sent(institution, message.kind, content, self._clock.now()))
            if message.kind in ENDS:
                end = msgspec.json.decode(content, type=OrderEnd)
                if end.order in self.blocked:
                    before = self.blocked[end.order]
                    self.blocked[end.order] = min(before, end.remaining_minor)
        return Reply(status=OK, body=b"", signature=None)

    def close(self) -> None:
        """Nothing is open."""

    def orders(self) -> list[Order]:
        """Every order that was sent, each revision."""
        return [msgspec.json.decode(m.body, type=Order) for m in self.sent if m.kind == ORDER]

    def ends(self) -> list[OrderEnd]:
        """Every withdrawal and release that was sent."""
        return [msgspec.json.decode(m.body, type=OrderEnd) for m in self.sent if m.kind in ENDS]

    def notices(self) -> list[HolderNotice]:
        """Every notice for a holder that was sent."""
        found = [m.body for m in self.sent if m.kind == NOTICE]
        return [msgspec.json.decode(body, type=HolderNotice) for body in found]


class SmallCentre:
    """The centre and the short words a proof uses. Accounts are written `BANK:NUMBER`."""

    def __init__(self, centre: Centre, clock: ManualClock) -> None:
        self.centre, self.clock = centre, clock
        self.matter = centre.matter
        self.desks = Desks(clock)
        self._numbers = itertools.count(1)
        self._woken: set[str] = set()
        self._delivery = centre.channels.by_hand(transport=self.desks, woken=self._woken.add)

    # The clock.

    def turn(self, step: timedelta = timedelta(0)) -> None:
        """Let so much time pass, do what is due then, and deliver."""
        self.clock.advance(step)
        self.matter.duties.run_due()
        self.deliver()

    def deliver(self) -> None:
        """Bring what is due to the institutions."""
        for institution in sorted(self._woken):
            while self._delivery.deliver(institution):
                pass
        self._woken.clear()

    # People and institutions.

    def does(self, actor: Actor, verb: Callable[[Transaction], T]) -> T:
        """One verb in a transaction of its actor's."""
        with self.centre.uow.begin(actor, purpose="a proof") as tx:
            return verb(tx)

    def join(self, *codes: str, jurisdiction: str = "TH") -> None:
        """Institutions with a system of their own, in shadow."""
        for code in codes:
            self.does(
                ADMINISTRATOR,
                functools.partial(
                    self.centre.parties.add_institution,
                    code=code,
                    name=code,
                    kind=InstitutionKind.BANK,
                    jurisdiction=jurisdiction,
                    endpoint=ENDPOINT.format(code),
                ),
            )

    def propose_live(self, scope: str, actor: Actor = SUPERVISOR) -> None:
        """The first person's word."""
        self.does(actor, lambda tx: self.centre.parties.propose_live(tx, scope))

    def approve_live(self, scope: str, actor: Actor = SECOND) -> None:
        """The second person's word."""
        self.does(actor, lambda tx: self.centre.parties.approve_live(tx, scope))

    def go_live(self, *scopes: str) -> None:
        """Two people switch these live."""
        for scope in scopes:
            self.propose_live(scope)
            self.approve_live(scope)

    # Money.

    def row(
        self,
        debtor: str,
        creditor: str | None,
        amount_minor: int,
        *,
        ago: timedelta = timedelta(minutes=1),
        name: str | None = None,
        channel: str = "transfer",
    ) -> TransferRow:
        """A transfer, not told yet."""
        bank, account = debtor.split(":")
        other = creditor.split(":") if creditor else (None, None)
        return TransferRow(
            transfer_id=name or f"t{next(self._numbers)}",
            booked_at=format_time(self.clock.now() - ago),
            debtor_bank=bank,
            debtor_account=account,
            creditor_bank=other[0],
            creditor_account=other[1],
            amount_minor=amount_minor,
            currency=CURRENCY,
            channel=channel,
        )

    def tell(self, rows: Sequence[TransferRow]) -> None:
        """The feed tells transfers; the centre looks whether they move a case's money."""
        self.centre.ledger.ingest(transfers_from_rows(list(rows)), live=True)

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
        """One transfer, told; its id."""
        row = self.row(debtor, creditor, amount_minor, ago=ago, name=name, channel=channel)
        self.tell([row])
        return row.transfer_id

    def trade(self, shop: str, *, customers: int = 40, amount_minor: int = 50_000) -> list[str]:
        """Ten days of a shop that sells to many and buys from one; the customers' transfers."""
        rows: list[TransferRow] = []
        sold: list[str] = []
        for number in range(customers):
            ago = timedelta(days=1 + number % 10, minutes=number)
            rows.append(self.row(f"BBL:7{number:04}", shop, amount_minor, ago=ago))
            sold.append(rows[-1].transfer_id)
        for day in range(1, 11):
            ago = timedelta(days=day) - timedelta(hours=3)
            rows.append(self.row(shop, "BBL:9999", amount_minor * 2, ago=ago))
        self.tell(rows)
        return sold

    # Reports and orders.

    def report(self, transfer_id: str, **changes: object) -> Report:
        """A report of one transfer in the ledger, as its payer's bank would write it."""
        found = (self.centre.ledger.find(reported_by=b, transfer_id=transfer_id) for b in BANKS)
        transfer = self.centre.ledger.transfer(next(row for row in found if row is not None))
        assert transfer.creditor is not None, "an origin has a creditor"
        payment = Payment(
            transfer_id=transfer_id,
            booked_at=transfer.booked_at,
            debtor_bank=transfer.debtor.bank,
            debtor_account=transfer.debtor.account,
            creditor_bank=transfer.creditor.bank,
            creditor_account=transfer.creditor.account,
            amount_minor=transfer.amount_minor,
            currency=CURRENCY,
        )
        report = Report(
            channel=Channel.INSTITUTION,
            reported_at=self.clock.now(),
            narrative="They said they were from the police.",
            payments=[payment],
        )
        return msgspec.structs.replace(report, **changes)

    def file(
        self, transfer_id: str, *, sender: Actor | None = None, **changes: object
    ) -> ReportReceipt:
        """File a report of one transfer, as the payer's bank unless told; deliver its orders."""
        report = self.report(transfer_id, **changes)
        receipt, _ = self.matter.intake.receive(
            report,
            sender=sender or machine(report.payments[0].debtor_bank),
            idempotency_key=f"proof-{next(self._numbers)}",
        )
        self.deliver()
        return receipt

    def answer(self, order: OrderView, applied_minor: int, **more: object) -> OrderView:
        """The institution blocks so much and says so."""
        answer = Answer(
            outcome="applied" if applied_minor else "refused", applied_minor=applied_minor
        )
        answer = msgspec.structs.replace(answer, **more)
        given = self.does(
            machine(order.institution), lambda tx: self.matter.holds.answer(tx, order.order, answer)
        )
        self.desks.blocked.setdefault(order.order, applied_minor)
        self.deliver()
        return given

    def orders(self, case: str | None = None) -> list[OrderView]:
        """All orders, oldest first."""
        found: list[OrderView] = []
        cursor: str | None = None
        with self.centre.uow.read(SUPERVISOR, purpose="a proof") as tx:
            while True:
                page = self.matter.holds.list(tx, case=case, cursor=cursor, limit=PAGE_MAX)
                found += page.orders
                cursor = page.cursor
                if cursor is None:
                    return found[::-1]

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Rows of a statement of the proof's own, past every verb of the centre."""
        with self.centre.uow.read(SYSTEM, purpose="a proof") as tx:
            return [tuple(row) for row in tx.connection.execute(sa.text(statement))]


@contextlib.contextmanager
def small_centre(
    scratch: Scratch, *, live: bool = True, name: str = "centre", **changes: object
) -> Iterator[SmallCentre]:
    """An empty centre with four banks, live unless told; `changes` of its settings."""
    folder: Path = scratch.folder / name
    settings = Settings(
        data_dir=str(folder / "data"),
        keys_dir=str(folder / "keys"),
        dsn=scratch.fresh_dsn(),
        ledger_rows_max=ROWS_MAX,
        ledger_accounts_max=ROWS_MAX,
    )
    clock = ManualClock(SystemClock().now().replace(microsecond=0))
    settings = msgspec.structs.replace(settings, **changes)
    with build_centre(settings, clock=clock).opened() as centre:
        small = SmallCentre(centre, clock)
        small.join(*BANKS)
        if live:
            small.go_live("jurisdiction:TH", *(f"institution:{bank}" for bank in BANKS))
        yield small
