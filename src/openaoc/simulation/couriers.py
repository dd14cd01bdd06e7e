"""Simulation: brings feed, reports, answers and confirmations to the centre until it has them.

Each courier is one loop with one kind of errand; what is not acknowledged is tried again.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import msgspec

from openaoc.holds.model import Answer
from openaoc.kernel.clock import Clock, to_us
from openaoc.kernel.errors import Unavailable
from openaoc.reports.model import ReportReceipt
from openaoc.simulation.centre import ARROW, Centre, Fate, Outcome
from openaoc.simulation.credentials import Credentials
from openaoc.simulation.desk import Desk
from openaoc.simulation.errands import ASK_CODES, SEES_THROUGH, Errand, KnownCase
from openaoc.simulation.nation import Nation
from openaoc.simulation.next_door import NextDoor
from openaoc.simulation.store import WaitingAnswer, WaitingReport
from openaoc.simulation.warnings import Warnings
from openaoc.workflow.confirming import PAYMENT_CONFIRM
from openaoc.workflow.control import CONTROL_CHECK, ControlMessage

LOOK_SECONDS: Final = 0.1
BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MAX_S: Final = 8.0
REPORT_AGAIN_S: Final = 2.0
ANSWER_AGAIN_S: Final = 1.0
ANSWERS_AT_ONCE: Final = 3
ANSWER_ATTEMPTS_MAX: Final = 500
ERRAND_ATTEMPTS_MAX: Final = 30
WARNINGS_SECONDS: Final = 5.0
"""How often banks read what centres release to them."""


class CourierFigures(msgspec.Struct, kw_only=True):
    """Counts since the process started."""

    feed_rows: int = 0
    feed_refused: int = 0
    reports: int = 0
    reports_refused: int = 0
    false_reports: int = 0
    needs_person: int = 0
    answers: int = 0
    applied: int = 0
    """Answers the centre has taken that say that an amount is blocked."""
    answers_refused: int = 0
    confirmed: int = 0
    """Reports the payer's institution confirmed."""
    proven: int = 0
    """Codes the holder of a paying account gave back."""
    last_refusal: str = ""


class Couriers:
    """The threads. `stop` ends them; what is under way is finished or tried again next time."""

    def __init__(
        self,
        nation: Nation,
        desk: Desk,
        credentials: Credentials,
        *,
        clock: Clock,
        stop: threading.Event,
        next_door: NextDoor | None = None,
        warnings: Warnings | None = None,
    ) -> None:
        self.figures = CourierFigures()
        self._nation = nation
        self._desk = desk
        self._credentials = credentials
        self._clock = clock
        self._stop = stop
        self._next_door = next_door
        self._warnings = warnings
        self._read_at = 0.0
        self._centre = Centre(credentials.centre, clock=clock)
        self._signers = {
            code: known.signing_key() for code, known in credentials.institutions.items()
        }
        self._reports_lock = threading.Lock()
        self._reports_taken: set[int] = set()
        self._threads: list[threading.Thread] = []

    def start_feed(self) -> None:
        """Start what brings the institutions' transfers and answers."""
        for code in self._credentials.institutions:
            self._run(f"feed-{code}", partial(self._feed, code))
        self._run("answers", self._answers)

    def start_reports(self) -> None:
        """Start what brings the victims' reports, and what is said of them later."""
        for number in range(2):
            self._run(f"reports-{number}", self._reports)
        self._run("errands", self._errands)
        self._run("next-door", self._tell_next_door)
        self._run("warnings", self._read_warnings)

    def join(self, *, timeout_s: float) -> None:
        """Wait for the couriers to come home, at most so long; the others are left on the way.

        What they carry is on disk until it is acknowledged.
        """
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))

    def _run(self, name: str, errand: Callable[[], bool]) -> None:
        """Repeat the errand: at once after success, after a while when there was none."""

        def loop() -> None:
            failures = 0
            while not self._stop.is_set():
                try:
                    worked = errand()
                    failures = 0
                except _TryLaterError:
                    failures += 1
                    pause = min(BACKOFF_FIRST_S * 2 ** (failures - 1), BACKOFF_MAX_S)
                    self._stop.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 # jitter
                    continue
                except sqlite3.ProgrammingError:
                    if self._stop.is_set():
                        return  # the file was closed while this one was on the way
                    raise
                if not worked:
                    self._stop.wait(LOOK_SECONDS)

        thread = threading.Thread(target=loop, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _refused(self, status: int, body: bytes) -> None:
        self.figures.last_refusal = f"{status} {body[:300].decode('utf-8', 'replace')}"

    def _feed(self, code: str) -> bool:
        batch = self._nation.store.feed_batch(code)
        if batch is None:
            return False
        outcome = self._centre.post(
            "/v1/ledger/transfers",
            batch.body,
            key=self._credentials.institutions[code].api_key,
            idempotency_key=f"feed-{self._nation.founded_us}-{batch.number}",
            content_type=ARROW,
            signer=self._signers[code],
        )
        if outcome.fate is Fate.LATER:
            raise _TryLaterError
        if outcome.fate is Fate.REFUSED:
            self.figures.feed_refused += batch.rows
            self._refused(outcome.status, outcome.body)
        else:
            self.figures.feed_rows += batch.rows
        self._nation.store.feed_done(batch.number)
        return True

    def _tell_next_door(self) -> bool:
        if self._next_door is None:
            return False
        try:
            return self._next_door.tell()
        except Unavailable as error:
            raise _TryLaterError from error

    def _read_warnings(self) -> bool:
        if self._warnings is None or time.monotonic() < self._read_at:
            return False
        self._read_at = time.monotonic() + WARNINGS_SECONDS
        try:
            return self._warnings.read()
        except Unavailable as error:
            raise _TryLaterError from error

    def _reports(self) -> bool:
        now_us = to_us(self._clock.now())
        with self._reports_lock:
            report = self._nation.store.report(now_us=now_us, skip=self._reports_taken)
            if report is None:
                return False
            self._reports_taken.add(report.scam)
        try:
            self._hand_in(report, now_us)
        finally:
            with self._reports_lock:
                self._reports_taken.discard(report.scam)
        return True

    def _hand_in(self, report: WaitingReport, now_us: int) -> None:
        """By the victim's bank under its own key, else by the hotline's agent."""
        bank = report.by_bank
        known = self._credentials.institutions.get(bank) if bank is not None else None
        outcome = self._centre.post(
            "/v1/reports",
            report.body,
            key=known.api_key if known is not None else self._credentials.hotline_key,
            idempotency_key=f"report-{self._nation.founded_us}-{report.scam}",
            signer=self._signers[bank] if known is not None and bank is not None else None,
        )
        if outcome.fate is Fate.LATER:
            again_us = now_us + int(REPORT_AGAIN_S * 1e6)
            self._nation.store.report_later(report.scam, due_us=again_us)
            raise _TryLaterError
        if outcome.fate is Fate.REFUSED:
            self.figures.reports_refused += 1
            self._refused(outcome.status, outcome.body)
        else:
            self._receipt(report, msgspec.json.decode(outcome.body, type=ReportReceipt))
        self._nation.store.report_done(report.scam)

    def _receipt(self, report: WaitingReport, receipt: ReportReceipt) -> None:
        """Count it; the hotline has codes sent for what does not stand by itself."""
        self.figures.reports += 1
        self.figures.false_reports += self._nation.is_false(report.scam)
        if receipt.standing == "automatic":
            return
        self.figures.needs_person += 1
        errands = self._desk.errands
        errands.note_case(receipt.case, KnownCase(report.scam, receipt.secret))
        if report.by_bank is None:
            errands.add(
                f"ask-{receipt.case}",
                institution="",
                kind=ASK_CODES,
                case=receipt.case,
                body=b"",
                due_us=to_us(self._clock.now()),
            )

    def _errands(self) -> bool:
        due = self._desk.errands.due(now_us=to_us(self._clock.now()))
        for errand in due:
            outcome = self._run_errand(errand)
            again_us = to_us(self._clock.now()) + int(ANSWER_AGAIN_S * 1e6)
            if outcome.fate is Fate.LATER and errand.attempts < ERRAND_ATTEMPTS_MAX:
                self._desk.errands.later(errand.key, due_us=again_us)
                continue
            if outcome.fate is not Fate.TAKEN:
                self._refused(outcome.status, outcome.body)
            elif outcome.status:
                self.figures.confirmed += errand.kind == PAYMENT_CONFIRM
                self.figures.proven += errand.kind == CONTROL_CHECK
            self._desk.errands.done(errand.key)
        return bool(due)

    def _run_errand(self, errand: Errand) -> Outcome:
        """Tell the centre; TAKEN with status 0 when there is nothing to tell after all."""
        known = self._desk.errands.case(errand.case)
        if known is None:
            return Outcome(fate=Fate.LATER)  # the victim has not heard of it yet
        if errand.kind == PAYMENT_CONFIRM:
            false = self._nation.is_false(known.scam)
            if false and random.random() < SEES_THROUGH:  # noqa: S311 # a simulated person
                return Outcome(fate=Fate.TAKEN)
            return self._centre.post(
                f"/v1/cases/{errand.case}/confirmation",
                b"{}",
                key=self._credentials.institutions[errand.institution].api_key,
                idempotency_key=errand.key,
                signer=self._signers[errand.institution],
            )
        path, body = f"/v1/cases/{errand.case}/control-checks", b""
        if errand.kind == CONTROL_CHECK:
            code = msgspec.json.decode(errand.body, type=ControlMessage).code
            path, body = f"/v1/cases/{errand.case}/control", msgspec.json.encode({"code": code})
        return self._centre.post(
            path,
            body,
            key=self._credentials.hotline_key,
            idempotency_key=errand.key,
            secret=known.secret,
        )

    def _answers(self) -> bool:
        due = self._desk.orders.due_answers(now_us=to_us(self._clock.now()))
        if not due:
            return False
        with ThreadPoolExecutor(ANSWERS_AT_ONCE) as pool:
            list(pool.map(self._answer, due))
        return True

    def _answer(self, answer: WaitingAnswer) -> None:
        orders = self._desk.orders
        again_us = to_us(self._clock.now()) + int(ANSWER_AGAIN_S * 1e6)
        if self._stop.is_set() or not self._desk.reachable(answer.institution):
            orders.answer_later(answer.order, due_us=again_us)
            return
        outcome = self._centre.post(
            f"/v1/holds/{answer.order}/answers",
            answer.body,
            key=self._credentials.institutions[answer.institution].api_key,
            idempotency_key=f"answer-{answer.order}",
            signer=self._signers[answer.institution],
        )
        if outcome.fate is Fate.LATER and answer.attempts < ANSWER_ATTEMPTS_MAX:
            orders.answer_later(answer.order, due_us=again_us)
            return
        if outcome.fate is Fate.TAKEN:
            self.figures.answers += 1
            said = msgspec.json.decode(answer.body, type=Answer)
            self.figures.applied += said.applied_minor > 0
        else:
            self.figures.answers_refused += 1
            self._refused(outcome.status, outcome.body)
        orders.answer_done(answer.order)


class _TryLaterError(Exception):
    """The centre could not be reached or was busy."""
