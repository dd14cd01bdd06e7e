"""Workflow: does the reporter control the paying account? A code goes out, and comes back.

It goes to the account's holder by way of the institution alone and comes back with the case's
secret. Tells nobody which of case, secret and code was wrong.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec

from openaoc.cases.model import UNDER_WORK, NoSuchCase, WrongCaseTransition
from openaoc.cases.secret import matches
from openaoc.cases.service import CaseRow, Cases
from openaoc.channels.model import NewMessage
from openaoc.holds.book import Outbox
from openaoc.holds.lock import hold_matter
from openaoc.holds.model import Words
from openaoc.kernel.actor import CITIZEN, SYSTEM, Actor
from openaoc.kernel.identifiers.bank_account import mask_account
from openaoc.kernel.ids import is_case_id
from openaoc.parties.model import UnknownInstitution
from openaoc.parties.permissions import Permission, require
from openaoc.parties.service import Parties
from openaoc.reports.control import CheckRow, ControlChecks, ControlNotProven, code_of, plain_code
from openaoc.reports.service import Reports
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying
from openaoc.workflow.pursuit import Pursuit
from openaoc.workflow.standings import Standings, facts_of, paying_key

CODE_LABEL: Final = "openaoc account control codes v1"
CONTROL_CHECK: Final = "control.check"
ACCOUNTS_PER_CASE_MAX: Final = 5
"""Paying accounts of one case that are asked for codes; a case with more is a person's work."""
TEXT: Final = Words(
    th=(
        "ศูนย์ปฏิบัติการต่อต้านภัยหลอกลวงได้รับแจ้งว่าท่านถูกหลอกให้โอนเงินจากบัญชีนี้"
        " หากท่านเป็นผู้แจ้ง ให้กรอกรหัสนี้พร้อมหมายเลขคดีและรหัสลับของคดีที่ศูนย์เท่านั้น"
        " ห้ามบอกรหัสแก่ผู้ที่โทรมาหา หากท่านไม่ได้แจ้ง ไม่ต้องทำอะไร"
    ),
    en=(
        "The operation centre against scams was told that you were deceived into a payment from"
        " this account. If you reported it, give this code to the centre with your case number and"
        " its secret, and to nobody who calls you. If you reported nothing, do nothing."
    ),
)
_NOT_HERE: Final = "its institution is not connected: it may confirm the payment, or a person looks"


class ControlMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What the paying account's institution shows to its holder, and to nobody else, until the end.

    `code` is put in when the message is signed and sent: it rests nowhere.
    """

    check: str
    case: str
    institution: str
    account: str
    code: str
    text: Words
    issued_at: datetime
    ends_at: datetime


class AccountControl(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one paying account; the account but for its end is hidden.

    `stands`: nothing more is needed; `asked`: a code is on its way; `not_asked`: see `why`.
    """

    institution: str
    account: str
    state: Literal["stands", "asked", "not_asked"]
    ends_at: datetime | None = None
    why: str | None = None


class ControlAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Every paying account of a case, and whether a code for it is on its way."""

    case: str
    accounts: list[AccountControl]


class ControlProven(msgspec.Struct, frozen=True, kw_only=True):
    """The code was right. `left`: paying accounts that are not proven or confirmed yet."""

    case: str
    standing: Literal["automatic", "needs_person"]
    left: int


class Control:
    """The verbs of account control. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        cases: Cases,
        reports: Reports,
        parties: Parties,
        outbox: Outbox,
        pursuit: Pursuit,
        standings: Standings,
        key: bytes,
    ) -> None:
        self._uow = uow
        self._cases = cases
        self._reports = reports
        self._parties = parties
        self._outbox = outbox
        self._pursuit = pursuit
        self._standings = standings
        self._key = key
        self._checks = ControlChecks(key=key)

    def ask(self, case_id: str, *, actor: Actor, secret: str | None = None) -> ControlAsked:
        """Ask the institutions of the case's paying accounts to show their holders a code.

        An account that was asked and whose time is not over is not asked again. By whoever has the
        case's secret, or a person of the centre. Raises NoSuchCase, NotPermitted,
        WrongCaseTransition for a case that has ended.
        """
        return retrying(lambda: self._ask(case_id, actor, secret))

    def prove(self, case_id: str, *, secret: str, code: str) -> ControlProven:
        """The reporter gives the code back: standing is decided again, drafted orders may go out.

        Raises ControlNotProven, in the same words for a wrong case, secret or code, or one whose
        time or attempts are used up.
        """
        digits = plain_code(code) if is_case_id(case_id) else None
        right = None if digits is None else retrying(lambda: self._look(case_id, secret, digits))
        if digits is None or right is None:
            raise ControlNotProven
        with self._uow.begin(SYSTEM, purpose="control of the paying account proven") as tx:
            hold_matter(tx)
            found = self._checks.matching(self._checks.usable(tx, case_id, lock=True), digits)
            if found is None or self._cases.row(tx, case_id).state not in UNDER_WORK:
                raise ControlNotProven
            self._checks.note_proven(tx, found)
            standing = self._standings.decide_again(tx, case_id)
            self._pursuit.retrace_one(tx, case_id)
            left = sum(not stands for stands in self._accounts(tx, case_id).values())
        return ControlProven(case=case_id, standing=standing.kind, left=left)

    def with_code(self, body: bytes) -> bytes:
        """The message with its code, for the moment it is signed and sent."""
        message = msgspec.json.decode(body, type=ControlMessage)
        code = code_of(message.check, key=self._key)
        return msgspec.json.encode(msgspec.structs.replace(message, code=code))

    def _ask(self, case_id: str, actor: Actor, secret: str | None) -> ControlAsked:
        with self._uow.begin(SYSTEM, purpose=f"control check asked by {actor.id}") as tx:
            case = self._permitted(tx, case_id, actor, secret)
            if case.state not in UNDER_WORK:
                raise WrongCaseTransition(f"nothing is proven for a case that is {case.state}")
            tx.lock("workflow.control.ask")  # the limits count over all cases
            accounts = self._accounts(tx, case_id)
            pending = {(c.bank, c.account): c for c in self._checks.usable(tx, case_id)}
            sender = case_id if secret is not None else actor.id
            found = []
            asked = 0
            for (bank, account), stands in sorted(accounts.items()):
                check = pending.get((bank, account))
                why = None
                if stands:
                    check = None
                elif check is None and asked < ACCOUNTS_PER_CASE_MAX:
                    why = self._unreachable(tx, bank) or self._checks.refusal(
                        tx, case_id=case_id, bank=bank, account=account, asked_by=sender
                    )
                    if why is None:
                        check = self._open(tx, case_id, bank=bank, account=account, by=sender)
                elif check is None:
                    why = "too many paying accounts: a person looks"
                asked += check is not None
                found.append(
                    AccountControl(
                        institution=bank,
                        account=mask_account(account),
                        state="stands" if stands else "asked" if check else "not_asked",
                        ends_at=check.ends_at if check else None,
                        why=why,
                    )
                )
        return ControlAsked(case=case_id, accounts=found)

    def _permitted(
        self, tx: Transaction, case_id: str, actor: Actor, secret: str | None
    ) -> CaseRow:
        case = self._cases.row(tx, case_id)
        if secret is not None:
            if not matches(secret, case.secret_hash):
                raise NoSuchCase(case_id[:32])
        elif actor.id == CITIZEN.id:
            raise NoSuchCase(case_id[:32])
        else:
            require(actor, Permission.CONTROL_ASK)
        return case

    def _open(self, tx: Transaction, case_id: str, *, bank: str, account: str, by: str) -> CheckRow:
        check = self._checks.open(tx, case_id=case_id, bank=bank, account=account, asked_by=by)
        message = ControlMessage(
            check=check.id,
            case=case_id,
            institution=bank,
            account=account,
            code="",
            text=TEXT,
            issued_at=check.asked_at,
            ends_at=check.ends_at,
        )
        self._outbox.enqueue_many(
            tx,
            [
                NewMessage(
                    institution=bank,
                    kind=CONTROL_CHECK,
                    subject=check.id,
                    body=message,
                    answer_by=check.ends_at,
                )
            ],
        )
        return check

    def _unreachable(self, tx: Transaction, bank: str) -> str | None:
        """Why no code can be sent to the institution's customers; None when it can."""
        try:
            institution = self._parties.institution(tx, bank)
        except UnknownInstitution:
            return _NOT_HERE
        if institution.endpoint is None:
            return _NOT_HERE
        if self._pursuit.mode_at(tx, bank) != "live":
            return "its institution is in shadow, nothing is sent to it: a person looks"
        return None

    def _accounts(self, tx: Transaction, case_id: str) -> dict[tuple[str, str], bool]:
        """The case's paying accounts with a payment in the ledger, and whether all of theirs stand.

        A payment that no transfer was found for is not claimed, and nobody is asked for it: a
        report that names accounts at random reaches nobody.
        """
        reports = self._reports.of_case(tx, case_id)
        own_key = paying_key(reports)
        found: dict[tuple[str, str], bool] = {}
        for payment in self._reports.payments_of(tx, [r.id for r in reports]):
            facts = facts_of(payment)
            if facts.in_ledger:
                place = (payment.debtor_bank, payment.debtor_account)
                found[place] = found.get(place, True) and facts.stands(own_key)
        return found

    def _look(self, case_id: str, secret: str, digits: str) -> CheckRow | None:
        """The check this code is for; a wrong one is counted, which is committed whatever follows.

        Only who has the secret uses up attempts: a stranger with the case's number cannot.
        """
        with self._uow.begin(SYSTEM, purpose="a code for account control") as tx:
            try:
                case = self._cases.row(tx, case_id)
            except NoSuchCase:
                return None
            if not matches(secret, case.secret_hash):
                return None
            usable = self._checks.usable(tx, case_id, lock=True)
            found = self._checks.matching(usable, digits)
            if found is None:
                self._checks.note_wrong(tx, usable)
            return found
