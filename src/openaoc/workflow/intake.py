"""Workflow: a report in; case, trace and orders committed before the answer goes out.

Never answers before everything the answer names is on disk. Reports that arrive together share
one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from openaoc.cases.model import CaseState, ClaimRecord
from openaoc.cases.secret import hash_secret, make_secret
from openaoc.cases.service import CaseRow, Cases
from openaoc.channels.replay import accept_together
from openaoc.channels.signing import Verified
from openaoc.holds.continuing import Takeover
from openaoc.holds.lock import hold_matter
from openaoc.holds.model import OrderState
from openaoc.holds.service import Holds
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import OpenAOCError, Unavailable
from openaoc.kernel.ids import new_case_id, new_report_id
from openaoc.kernel.settings import Settings
from openaoc.parties.permissions import Permission, require
from openaoc.reports.model import Channel, PaymentMatch, Report, ReportReceipt
from openaoc.reports.service import (
    Earlier,
    Filed,
    IndicatorRow,
    PaymentRow,
    ReportRow,
    Reports,
    check_key,
    decode_receipt,
    digest_of,
    normalised,
    same_report,
    source_of,
)
from openaoc.storage.errors import DatabaseDown
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying
from openaoc.storage.vault import Vault
from openaoc.tracing.service import CaseClaim, Tracing
from openaoc.workflow.batcher import Batcher
from openaoc.workflow.figures import figures_of
from openaoc.workflow.incoming import Incoming, Numbers, Opened
from openaoc.workflow.placing import plan_case
from openaoc.workflow.pursuit import Pursuit
from openaoc.workflow.rhythm import next_after
from openaoc.workflow.standings import Standings

_LOG = structlog.get_logger(__name__)
CASE_NUMBERS_SPARE: Final = 8
"""Case numbers drawn beyond those needed: one in a million million is taken already."""


Taken = tuple[ReportReceipt, bool]


class Intake:
    """The first verb of the centre: `receive`."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        reports: Reports,
        cases: Cases,
        holds: Holds,
        tracing: Tracing,
        pursuit: Pursuit,
        standings: Standings,
        vault: Vault,
        settings: Settings,
        secret_key: bytes,
        tell_own: Callable[..., int] | None = None,
    ) -> None:
        """`tell_own` tells the ledger what an institution's report says of its own payments."""
        self._uow = uow
        self._reports = reports
        self._cases = cases
        self._holds = holds
        self._tracing = tracing
        self._pursuit = pursuit
        self._standings = standings
        self._vault = vault
        self._settings = settings
        self._secret_key = secret_key
        self._tell_own = tell_own
        self._batcher: Batcher[Incoming, Taken] = Batcher(self._take_together)

    def receive(
        self,
        report: Report,
        *,
        sender: Actor,
        idempotency_key: str,
        verified: Verified | None = None,
    ) -> Taken:
        """The receipt, and whether the report was new.

        `verified` is who signed it, if it had to be signed. The same `source_ref` from the same
        sender, or the same idempotency key with the same body, gives the same receipt. Raises
        RepeatedDifferently for the same key with another body, BadInput for what cannot be a
        report, BadSignature for a signature that was used before, Busy when too many wait.
        """
        require(sender, Permission.REPORT_SUBMIT)
        clean = normalised(report)
        incoming = Incoming(
            report_id=new_report_id(),
            report=clean,
            sender=sender,
            key=check_key(idempotency_key),
            source=source_of(clean, sender),
            digest=digest_of(clean),
            verified=verified,
        )
        if self._tell_own is not None:
            self._tell_own(clean, sender=sender)
        sealed = self._seal(incoming)
        filed = False
        try:
            receipt, filed = self._batcher.submit(incoming)
        except Unavailable:
            filed = True  # perhaps: nobody knows what a database kept that did not answer
            raise
        finally:
            if sealed and not filed:
                self._shred(incoming)
        return receipt, filed

    def _shred(self, incoming: Incoming) -> None:
        """Nothing was filed under this identity: a repeat that came meanwhile, or a refusal."""
        with self._uow.begin(SYSTEM, purpose="an identity without its report") as tx:
            # Filed, and taken for a repeat of itself: nobody had heard of the commit.
            if not self._reports.filed(tx, [incoming.report_id]):
                self._vault.shred(tx, incoming.report_id, reason="the report was not filed")

    def _seal(self, incoming: Incoming) -> bool:
        """Seal the reporter's identity before the report is committed; whether there is one.

        Each caller for itself: a key reaches the disk, and that must not make the others wait.
        A crash before the report is committed leaves an identity nobody refers to.
        """
        reporter = incoming.report.reporter
        if reporter is None:
            return False
        with self._uow.read(SYSTEM, purpose="is the report a repeat") as tx:
            if self._known(tx, [incoming]):
                return False
        with self._uow.begin(SYSTEM, purpose="seal a reporter's identity") as tx:
            self._vault.seal(tx, incoming.report_id, msgspec.json.encode(reporter))
        return True

    def _take_together(self, batch: Sequence[Incoming]) -> list[Taken | Exception]:
        try:
            # Ahead of the moment from which everybody waits for us.
            self._tracing.settle()
            return retrying(lambda: self._transact(batch))
        except Exception as error:  # noqa: BLE001 - each waiting caller gets it
            if len(batch) == 1 or isinstance(error, DatabaseDown):
                return [error] * len(batch)  # of a commit nobody heard of each asks again
            _LOG.warning("workflow.intake.batch_failed", reports=len(batch), error=repr(error))
        alone: list[Taken | Exception] = []
        for incoming in batch:  # one bad report must not refuse its neighbours
            alone += self._take_together([incoming])
        return alone

    def _transact(self, batch: Sequence[Incoming]) -> list[Taken | Exception]:
        with self._uow.begin(SYSTEM, purpose="take reports in") as tx:
            # Nobody but us files reports: what concerns them alone comes before the matter.
            refused = accept_together(tx, [incoming.verified for incoming in batch])
            known = self._known(tx, batch)
            free = self._free_numbers(tx, len(batch))
            hold_matter(tx)
            self._pursuit.registry.refresh(tx)
            numbers = self._numbers(tx, batch, free)
            return self._take(tx, batch, refused=refused, known=known, numbers=numbers)

    def _take(
        self,
        tx: Transaction,
        batch: Sequence[Incoming],
        *,
        refused: Sequence[Exception | None],
        known: dict[tuple[str, str, str], Earlier],
        numbers: Numbers,
    ) -> list[Taken | Exception]:
        results: list[Taken | Exception | Opened] = []
        fresh: dict[tuple[str, str, str], Opened] = {}
        for incoming, error in zip(batch, refused, strict=True):
            if error is not None:
                results.append(error)
                continue
            try:
                results.append(self._one(tx, incoming, known=known, fresh=fresh, numbers=numbers))
            except OpenAOCError as wrong:
                results.append(wrong)
        opened = list({id(o): o for o in results if isinstance(o, Opened)}.values())
        takeovers = self._plan(tx, opened)
        receipts = self._keep(tx, opened, takeovers)
        answers: list[Taken | Exception] = []
        first: set[str] = set()
        for result in results:
            if not isinstance(result, Opened):
                answers.append(result)
                continue
            answers.append((receipts[result.case_id], result.case_id not in first))
            first.add(result.case_id)
        return answers

    def _known(
        self, tx: Transaction, batch: Sequence[Incoming]
    ) -> dict[tuple[str, str, str], Earlier]:
        names = {name for incoming in batch for name in incoming.names()}
        found = self._reports.earlier(
            tx,
            refs=sorted((sender, ref) for kind, sender, ref in names if kind == "ref"),
            keys=sorted((sender, key) for kind, sender, key in names if kind == "key"),
        )
        known: dict[tuple[str, str, str], Earlier] = {}
        for earlier in found:
            if earlier.source_ref is not None:
                known["ref", earlier.sender, earlier.source_ref] = earlier
            if earlier.idempotency_key is not None:
                known["key", earlier.sender, earlier.idempotency_key] = earlier
        return known

    def _one(
        self,
        tx: Transaction,
        incoming: Incoming,
        *,
        known: dict[tuple[str, str, str], Earlier],
        fresh: dict[tuple[str, str, str], Opened],
        numbers: Numbers,
    ) -> Taken | Opened:
        """The receipt of a repeat, or a new case with its claims registered."""
        for name in reversed(incoming.names()):
            if name in known:
                earlier = same_report(known[name], key=incoming.key, digest=incoming.digest)
                secret = make_secret(earlier.case_id, key=self._secret_key)
                return decode_receipt(earlier.receipt, secret=secret), False
            if name in fresh:
                before = fresh[name].incoming
                same_report(_as_earlier(before), key=incoming.key, digest=incoming.digest)
                return fresh[name]
        opened = self._open(tx, incoming, numbers)
        if opened.claims and opened.standing.automatic:
            self._pursuit.registry.file(opened.case_id, [claim for *_, claim in opened.claims])
        fresh.update(dict.fromkeys(incoming.names(), opened))
        return opened

    def _open(self, tx: Transaction, incoming: Incoming, numbers: Numbers) -> Opened:
        report, report_id = incoming.report, incoming.report_id
        matches = [self._reports.match(payment) for payment in report.payments]
        payments, claims = [], []
        claimed: set[int] = set()
        for no, (payment, match) in enumerate(zip(report.payments, matches, strict=True)):
            name: tuple[str | None, str | None] = (None, None)
            if match.row is not None and match.row not in claimed:
                claimed.add(match.row)
                name = self._reports.named(match.row)
                amount = payment.amount_minor
                record = ClaimRecord(reported_by=name[0], transfer_id=name[1], amount_minor=amount)
                filed = next(numbers.filing)
                claim = CaseClaim(row=match.row, amount_minor=amount, filed=filed)
                claims.append((filed, record, claim))
            payments.append(
                PaymentRow(
                    report_id=report_id,
                    no=no,
                    matched_by=name[0],
                    matched_id=name[1],
                    candidates=match.candidates,
                    **{f: getattr(payment, f) for f in payment.__struct_fields__},
                )
            )
        if claims:
            self._tracing.check([claim for *_, claim in claims])
        row = self._row(tx, incoming, case_id="", report_id=report_id, receipt=b"")
        return Opened(
            incoming=incoming,
            case_id=next(numbers.cases),
            report_id=report_id,
            matches=matches,
            payments=payments,
            standing=self._standings.of([row], payments, on_rule=tx),
            claims=claims,
        )

    def _free_numbers(self, tx: Transaction, count: int) -> Sequence[str]:
        """At least so many case numbers that nobody has."""
        wanted = {new_case_id() for _ in range(2 * count + CASE_NUMBERS_SPARE)}
        free = sorted(wanted - self._cases.taken(tx, sorted(wanted)))
        assert len(free) >= count, "random numbers are almost never taken"
        return free

    def _numbers(self, tx: Transaction, batch: Sequence[Incoming], free: Sequence[str]) -> Numbers:
        """Enough numbers for all of a batch; the filing numbers in the order of the matter."""
        payments = sum(len(incoming.report.payments) for incoming in batch)
        return Numbers(cases=iter(free), filing=iter(self._cases.filing_numbers(tx, payments)))

    def _plan(self, tx: Transaction, opened: Sequence[Opened]) -> list[Takeover]:
        """Trace every new case with all others of the batch registered, and plan its orders."""
        traced = [o for o in opened if o.claims]
        self._look(traced)
        takeovers = self._succeed(tx, traced)
        if takeovers:
            self._look(traced)
        around = self._pursuit.surroundings(tx, [c.look for c in traced if c.look is not None])
        for case in opened:
            if case.look is not None:
                grounds = self._pursuit.grounds(self._case_row(tx, case), tx.now)
                case.plan = plan_case(case.look, [], grounds, around)
            modes = {order.mode for order in (*case.continuing, *case.orders)}
            bank = case.incoming.report.payments[0].debtor_bank
            live = "live" in modes or (not modes and around.mode_of(bank) == "live")
            case.mode = "live" if live else "shadow"
        return takeovers

    def _look(self, traced: Sequence[Opened]) -> None:
        for case in traced:
            claims = [claim for *_, claim in case.claims]
            proven = case.case_id in self._pursuit.registry
            case.look = (
                self._tracing.look(case.case_id)
                if proven
                else self._tracing.preview(case.case_id, claims)
            )
            case.figures = figures_of(case.look)

    def _succeed(self, tx: Transaction, traced: Sequence[Opened]) -> list[Takeover]:
        """Blocks of later payments reported before that go over to a new case, or another."""
        fresh = {case.case_id: case for case in traced}

        def row_of(case_id: str) -> CaseRow:
            known = fresh.get(case_id)
            return self._cases.row(tx, case_id) if known is None else self._case_row(tx, known)

        looks = [case.look for case in traced if case.look is not None]
        takeovers = self._pursuit.foresee(tx, looks, row_of=row_of)
        for one in takeovers:
            if one.fresh.case_id in fresh:
                fresh[one.fresh.case_id].continuing.append(one.fresh)
        return takeovers

    def _keep(
        self, tx: Transaction, opened: Sequence[Opened], takeovers: Sequence[Takeover]
    ) -> dict[str, ReportReceipt]:
        """Write everything the receipts name; the receipts by case."""
        receipts = {case.case_id: self._receipt(case) for case in opened}
        authority = {case.case_id: f"report by {case.incoming.sender.id}" for case in opened}
        self._cases.open(
            tx,
            [self._case_row(tx, case) for case in opened],
            claims=[(n, case.case_id, record) for case in opened for n, record, _ in case.claims],
            authority=authority,
        )
        self._reports.keep(tx, [self._filed(tx, c, receipts[c.case_id]) for c in opened])
        self._pursuit.succession.carry_out(tx, takeovers)
        self._holds.issue(
            tx, [(order, authority[case.case_id]) for case in opened for order in case.orders]
        )
        looks = {case.case_id: case.look for case in opened if case.look is not None}
        open_ended = {o.case_id for c in opened for o in c.orders if o.state is OrderState.DRAFTED}
        open_ended |= {c.case_id for c in opened if c.plan is not None and c.plan.held_back}
        unproven = [case_id for case_id in looks if case_id not in self._pursuit.registry]
        self._pursuit.followed.note(tx, looks, open_ended=open_ended, unproven=unproven)
        concerned = {c for one in takeovers for c in one.cases} - receipts.keys()
        others = sorted(concerned.union(self._pursuit.prevailed_on(looks)))
        if others:
            self._pursuit.retrace(tx, others)
        return receipts

    def _receipt(self, case: Opened) -> ReportReceipt:
        return ReportReceipt(
            case=case.case_id,
            secret=make_secret(case.case_id, key=self._secret_key),
            mode=case.mode,
            standing=case.standing.kind,
            payments=[
                PaymentMatch(matched=row.matched_id, candidates=match.candidates)
                for row, match in zip(case.payments, case.matches, strict=True)
            ],
            located_minor=case.figures.located_minor,
            exited_minor=case.figures.exited_minor,
            orders=[order.line() for order in (*case.continuing, *case.orders)],
        )

    def _case_row(self, tx: Transaction, case: Opened) -> CaseRow:
        row = CaseRow(
            id=case.case_id,
            opened_at=tx.now,
            opened_by=case.incoming.sender.id,
            channel=case.incoming.report.channel.value,
            state=CaseState.PURSUED if case.standing.automatic else CaseState.NEEDS_PERSON,
            mode=case.mode,
            standing=case.standing.kind,
            standing_why=list(case.standing.why),
            approvals_needed=case.standing.approvals_needed,
            approvals=[],
            jurisdiction=self._settings.jurisdiction,
            currency=case.incoming.report.payments[0].currency,
            rule=self._tracing.rule.value,
            secret_hash=hash_secret(make_secret(case.case_id, key=self._secret_key)),
            figures=msgspec.json.encode(case.figures),
            loss_minor=case.figures.loss_minor,
            located_minor=case.figures.located_minor,
            held_minor=case.figures.held_minor,
            traced_at=tx.now if case.look is not None else None,
        )
        return msgspec.structs.replace(row, retrace_at=next_after(row.opened_at, now=tx.now))

    def _filed(self, tx: Transaction, case: Opened, receipt: ReportReceipt) -> Filed:
        unsecret = msgspec.structs.replace(receipt, secret="")
        report = case.incoming.report
        return Filed(
            row=self._row(
                tx,
                case.incoming,
                case_id=case.case_id,
                report_id=case.report_id,
                receipt=msgspec.json.encode(unsecret),
            ),
            payments=case.payments,
            indicators=[
                IndicatorRow(report_id=case.report_id, no=no, kind=i.kind, value=i.value)
                for no, i in enumerate(report.indicators)
            ],
            authority=f"report by {case.incoming.sender.id}",
        )

    @staticmethod
    def _row(
        tx: Transaction, incoming: Incoming, *, case_id: str, report_id: str, receipt: bytes
    ) -> ReportRow:
        report, sender = incoming.report, incoming.sender
        return ReportRow(
            id=report_id,
            case_id=case_id,
            sender=sender.id,
            sender_institution=sender.institution,
            own_key=sender.has(Role.MACHINE) and sender.institution is not None,
            source_ref=incoming.source,
            idempotency_key=incoming.key,
            digest=incoming.digest,
            channel=Channel(report.channel).value,
            reported_at=report.reported_at,
            received_at=tx.now,
            language=report.language,
            narrative=report.narrative,
            scam_type=report.scam_type,
            proof_kind=report.proof.kind,
            bank_case_id=report.proof.bank_case_id,
            has_identity=report.reporter is not None,
            receipt=receipt,
        )


def _as_earlier(incoming: Incoming) -> Earlier:
    return Earlier(
        sender=incoming.sender.id,
        source_ref=incoming.source,
        idempotency_key=incoming.key,
        digest=incoming.digest,
        case_id="",
        receipt=b"",
    )
