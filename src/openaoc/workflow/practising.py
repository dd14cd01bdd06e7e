"""Workflow: best practice at work: typologies are tried on what traces reach, outcomes come back.

Brings tracing, indicators, appeals and practice together. Looks only at accounts that a trace of an
open case reached, and never holds anything.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog

from openaoc.appeals.model import AppealState
from openaoc.appeals.service import Appeals
from openaoc.cases.service import Cases
from openaoc.channels.keys import CentreKeys
from openaoc.channels.signing import parse_public_jwk
from openaoc.exchange.gate import Gate
from openaoc.exchange.line import Line
from openaoc.exchange.model import NoAgreement
from openaoc.exchange.objects import ReleasedObject
from openaoc.exchange.protection.shield import Shield
from openaoc.holds.comparing import Comparison, compare
from openaoc.holds.model import WAITING, OrderState
from openaoc.holds.service import Holds
from openaoc.indicators.service import Indicators
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput, NotFound, OpenAOCError, Refused
from openaoc.kernel.events import Event
from openaoc.kernel.identifiers.kinds import Kind, account_value
from openaoc.ledger.model import AccountName, Transfer
from openaoc.parties.permissions import Permission, require
from openaoc.practice.fetching import Answering, Fetching
from openaoc.practice.model import LISTED_MAX
from openaoc.practice.publishing import PackagePublisher, ScriptPublisher
from openaoc.practice.scripts import Scripts, Told
from openaoc.practice.service import Packages
from openaoc.practice.trying import TOLD_AT_ONCE_MAX, Reached, Trying
from openaoc.reports.model import Reporter
from openaoc.reports.service import Reports
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from openaoc.storage.vault import NotSealed, Shredded, Vault
from openaoc.tracing.model import CHARGED, POOLED
from openaoc.tracing.service import CaseLook, Tracing
from openaoc.workflow.duties import Duty, on_time
from openaoc.workflow.pursuit import Pursuit
from openaoc.workflow.sharing import Sharing

CASES_WAITING_MAX: Final = 10_000
"""Cases to look at; of more the longest waiting are left out, which is said."""
CASES_AT_ONCE: Final = 20
ACCOUNTS_PER_CASE_MAX: Final = 200
TRANSFERS_PER_CASE_MAX: Final = 1_000
UNANSWERED: Final = WAITING | {OrderState.DRAFTED}
_PURPOSE: Final = "try typologies on accounts that a case's trace reached"
_LOG = structlog.get_logger(__name__)


class AccountNames(Protocol):
    """What is needed of the ledger to go from a transfer to an account's number."""

    def transfer(self, row: int, /) -> Transfer:
        """One transfer. Raises NotFound for one that is over."""
        ...

    def account_index(self, bank: str, account: str, currency: str, /) -> int | None:
        """The number of an account."""
        ...


class _Passed(NamedTuple):
    transfers: tuple[int, ...]
    left_out: frozenset[int]


class CaseTelling:
    """What a case's report tells, for a script: with what is to be taken out of it."""

    def __init__(self, *, reports: Reports, cases: Cases, vault: Vault, shield: Shield) -> None:
        self._reports = reports
        self._cases = cases
        self._vault = vault
        self._shield = shield

    def told(self, tx: Transaction, case_id: str, *, reason: str) -> Told:
        """The first report's narrative. The look at who reported it is in the journal.

        Raises Refused for a report that names a possible trafficking victim.
        """
        require(tx.actor, Permission.REPORT_READ)
        require(tx.actor, Permission.IDENTITY_READ)
        self._cases.row(tx, case_id)
        report = self._reports.of_case(tx, case_id)[0]
        known: dict[str, str] = {}
        named: list[tuple[str, str]] = []
        for payment in self._reports.payments_of(tx, [report.id]):
            known |= {payment.debtor_account: "account", payment.creditor_account: "account"}
            known |= {payment.transfer_id: "id"} if payment.transfer_id else {}
            named += [
                _account(payment.debtor_bank, payment.debtor_account),
                _account(payment.creditor_bank, payment.creditor_account),
            ]
        for row in self._reports.indicators_of(tx, report.id):
            known[row.value] = "handle"
            named.append((row.kind, row.value))
        if self._shield.protected_names(tx, named):
            raise Refused("no words are taken from this report")
        who = self._who(tx, report.id, reason=reason) if report.has_identity else None
        names: tuple[str, ...] = ()
        if who is not None:
            names = (who.name,) if who.name else ()
            parts = ((who.phone, "phone"), (who.email, "email"), (who.national_id, "national-id"))
            known |= {value: kind for value, kind in parts if value}
        return Told(narrative=report.narrative, names=names, known=known, at=report.reported_at)

    def _who(self, tx: Transaction, report_id: str, *, reason: str) -> Reporter | None:
        try:
            sealed = self._vault.open(tx, report_id, reason=f"taken out of a script: {reason}")
        except (NotSealed, Shredded):
            return None  # erased on request: what the text says of it has no known form
        return msgspec.json.decode(sealed, type=Reporter)


class Practising:
    """The work of practice. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        sharing: Sharing,
        packages: Packages,
        scripts: Scripts,
        indicators: Indicators,
        holds: Holds,
        appeals: Appeals,
        tracing: Tracing,
        ledger: AccountNames,
        pursuit: Pursuit,
    ) -> None:
        self.packages = packages
        self.scripts = scripts
        self.trying = Trying(packages=packages, indicators=indicators)
        self._uow = uow
        self._sharing = sharing
        self._holds = holds
        self._appeals = appeals
        self._tracing = tracing
        self._ledger = ledger
        self._lock = threading.Lock()
        self._waiting: dict[str, _Passed] = {}
        self.fetching: Fetching
        pursuit.followed.listen(self.noted)
        sharing.catalogue.register(PackagePublisher())
        sharing.catalogue.register(ScriptPublisher())
        self._listen()

    @property
    def duties(self) -> tuple[Duty, ...]:
        """What the clock asks for."""
        return (
            Duty(call=self.try_due, full=CASES_AT_ONCE),
            Duty(call=on_time(self._uow, self.trying.take_back_due), full=LISTED_MAX),
            Duty(call=on_time(self._uow, self.propose_due), full=TOLD_AT_ONCE_MAX),
            Duty(call=on_time(self._uow, self.trying.forget_due), full=1),
        )

    def connect(self, *, gate: Gate, line: Line, keys: CentreKeys) -> None:
        """The centre's keys and its line to others, which are built after the stages."""
        self.packages.sign_with(keys)
        Answering(self._sharing.exchange).open(gate)
        self.fetching = Fetching(
            uow=self._uow,
            exchange=self._sharing.exchange,
            agreed=self._sharing.agreed,
            line=line,
            packages=self.packages,
            scripts=self.scripts,
        )

    def bring(self, tx: Transaction, partner: str, one: ReleasedObject) -> bool:
        """A person brings what a partner handed over as a file: checked as what is fetched.

        Raises NoAgreement, NotSignedByPartner, BadInput.
        """
        require(tx.actor, Permission.PRACTICE_WORK)
        agreements = self._sharing.agreements
        agreement = agreements.in_force(tx, agreements.partners.found(tx, partner).code)
        if agreement is None:
            raise NoAgreement
        verified = agreements.partners.verified_keys(tx, agreement.partner)
        keys = {key.kid: parse_public_jwk(key.jwk) for key in verified}
        return self.fetching.take(tx, one, agreement=agreement, keys=keys)

    def rules(self, tx: Transaction, codes: Sequence[str] = ()) -> Comparison:
        """Our legal rules and those that partners sent of theirs, side by side, as of today.

        Raises NoSuchRule.
        """
        sent = self.packages.sent_rules(tx, partners=self._partners(tx))
        return compare(codes, on=tx.now.date(), sent=sent)

    # Trying.

    def noted(self, looks: Mapping[str, CaseLook]) -> None:
        """These cases were traced: what they reached is looked at soon."""
        with self._lock:
            for case_id, look in looks.items():
                self._waiting.pop(case_id, None)
                self._waiting[case_id] = _passed(look)
            over = len(self._waiting) - CASES_WAITING_MAX
            for case_id in list(self._waiting)[: max(over, 0)]:
                del self._waiting[case_id]
        if over > 0:
            _LOG.warning("practice.trial.behind", cases=over)

    def try_due(self) -> int:
        """Try every typology on what the waiting cases reached; how many cases."""
        with self._lock:
            cases = list(self._waiting.items())[:CASES_AT_ONCE]
            for case_id, _ in cases:
                del self._waiting[case_id]
        if not cases:
            return 0
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            packages = self.trying.tried(tx, partners=self._partners(tx))
            now = tx.now
        if packages:
            facts = {
                (one.institution, one.account, one.currency): one
                for case_id, passed in cases
                for one in self._facts(case_id, passed, before=now)
            }
            with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
                found = self._unprotected(tx, list(facts.values()))
                named = self.trying.try_on(tx, packages, found)
            _LOG.info("practice.tried", packages=len(packages), accounts=len(found), named=named)
        return len(cases)

    def _unprotected(self, tx: Transaction, found: Sequence[Reached]) -> list[Reached]:
        """Without the accounts of possible trafficking victims."""
        names = {one: _account(one.institution, one.account) for one in found}
        shield = self._sharing.exchange.shield
        protected = shield.protected_names(tx, list(names.values()))
        return [one for one in found if names[one] not in protected]

    def _facts(self, case_id: str, passed: _Passed, *, before: datetime) -> list[Reached]:
        """Of each account the case's money came to, all that went through it."""
        places: dict[int, AccountName] = {}
        for row in passed.transfers:
            try:
                name = self._ledger.transfer(row).creditor
            except NotFound:
                continue  # expired by rule meanwhile
            index = None if name is None else self._ledger.account_index(*_parts(name))
            if name is not None and index is not None and index not in passed.left_out:
                places[index] = name
            if len(places) == ACCOUNTS_PER_CASE_MAX:
                break
        until = before + timedelta(microseconds=1)
        return [
            Reached(
                institution=name.bank,
                account=name.account,
                currency=name.currency,
                case_id=case_id,
                flows=self._tracing.flows(index, before=until),
            )
            for index, name in places.items()
        ]

    def propose_due(self, tx: Transaction) -> int:
        """What live typologies named is proposed, for a person to look at; how many."""
        partners = self._partners(tx)
        cases = self.trying.cases_to_tell(tx, partners=partners)
        orders = self._holds.orders_of(tx, cases) if cases else ()
        pursued = {order.case_id for order in orders if order.state in UNANSWERED}
        return self.trying.propose_due(tx, partners=partners, pursued=pursued)

    def _partners(self, tx: Transaction) -> frozenset[str]:
        in_force = self._sharing.agreements.all_in_force(tx)
        return frozenset(one.partner for one in in_force)

    # What is heard.

    def _listen(self) -> None:
        def decided(tx: Transaction, event: Event) -> None:
            self.trying.indicator_decided(tx, event.subject)

        def contested(tx: Transaction, event: Event) -> None:
            if event.facts["state"] == AppealState.UPHELD.value:
                shown = self._appeals.show(tx, event.subject)
                for order in self._holds.orders_of(tx, [shown.case]):
                    if order.id == shown.order:
                        self.trying.holder_was_right(
                            tx, institution=order.institution, account=order.account
                        )

        for name in ("confirmed", "withdrawn"):
            self._uow.subscribe(f"indicators.indicator.{name}", decided)
        self._uow.subscribe("appeals.appeal.decided", contested)

    def fetch_due(self) -> None:
        """Ask every partner with whom it was agreed on for what is new."""
        try:
            self.fetching.run()
        except OpenAOCError as error:
            _LOG.warning("practice.fetch.put_off", why=error.code)


def _parts(name: AccountName) -> tuple[str, str, str]:
    return name.bank, name.account, name.currency


def _account(bank: str, account: str) -> tuple[str, str]:
    """An account as the shield knows it; one without a form is nobody's."""
    try:
        return Kind.BANK_ACCOUNT.value, account_value(bank=bank, account=account)
    except BadInput:
        return Kind.BANK_ACCOUNT.value, ""


def _passed(look: CaseLook) -> _Passed:
    """What carried the case's money, and accounts that are not looked at.

    These are the payer's own, and those on which many people's money lies.
    """
    left_out = CHARGED | POOLED
    rows = look.numbers.accounts[:, :5].tolist()
    return _Passed(
        transfers=tuple(one.row for one in look.numbers.transfers[:TRANSFERS_PER_CASE_MAX]),
        left_out=frozenset(row[0] for row in rows if row[4] & left_out),
    )
