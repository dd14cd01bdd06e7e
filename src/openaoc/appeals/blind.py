"""Appeals: a random sample of uncontested holds is judged blind, and the rate of wrong ones known.

The draw is made by a seed that was committed to in the journal before the day began. A reviewer
sees facts, never the decision's reasons.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, timedelta
from typing import Final

import msgspec

from openaoc.appeals import blind_store
from openaoc.appeals.blind_store import ReviewRow
from openaoc.appeals.deciding import no_part_in
from openaoc.appeals.draw import commitment_of, is_drawn, seed_of
from openaoc.appeals.model import (
    BlindList,
    BlindTask,
    BlindVerdict,
    BlindView,
    DrawList,
    DrawView,
    NotYourAppeal,
)
from openaoc.appeals.service import Appeals, SecondLook
from openaoc.cases.service import Cases
from openaoc.holds.ending import Ending
from openaoc.holds.lock import hold_matter
from openaoc.holds.record import OrderRecord
from openaoc.kernel.errors import BadInput, Conflict, NotFound
from openaoc.kernel.ids import random_text
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

SHOWN_MAX: Final = 200
DAYS_AHEAD: Final = 1
"""Tomorrow's commitment stands before tomorrow does."""
ID_CHARACTERS: Final = 16
DRAWN_AT_ONCE: Final = 2**31
"""A draw is made whole: what it gives is never a full batch."""


class NoSuchReview(NotFound):
    """There is no such blind review."""


class JudgedAlready(Conflict):
    """This review has its verdict."""


class DrawMark(msgspec.Struct, frozen=True, kw_only=True):
    """A draw in the journal; `orders` is a digest, so that the journal unblinds nobody."""

    day: date
    commitment: str
    seed: str | None = None
    population: int = 0
    drawn: int = 0
    orders: str = ""


class VerdictMark(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict in the journal."""

    verdict: str
    wrong_minor: int


class BlindReviews:
    """The verbs of blind review. One instance per centre."""

    def __init__(
        self,
        *,
        appeals: Appeals,
        ending: Ending,
        cases: Cases,
        second_look: SecondLook,
        key: bytes,
    ) -> None:
        self._appeals = appeals
        self._ending = ending
        self._cases = cases
        self._look = second_look
        self._key = key

    # What the clock does.

    def draw_due(self, tx: Transaction) -> int:
        """Commit to the days ahead, draw for the days that are over; how many were drawn."""
        today = tx.now.astimezone(UTC).date()
        for ahead in range(DAYS_AHEAD + 1):
            self._commit(tx, today + timedelta(days=ahead))
        return sum(
            self._draw(tx, row.day) for row in blind_store.undrawn(tx.connection, before=today)
        )

    def _commit(self, tx: Transaction, day: date) -> None:
        commitment = commitment_of(seed_of(day, key=self._key))
        if blind_store.commit(tx.connection, day, commitment=commitment, at=tx.now):
            tx.journal(
                action="appeals.draw.committed",
                subject=day.isoformat(),
                after=DrawMark(day=day, commitment=commitment.hex()),
            )

    def _draw(self, tx: Transaction, day: date) -> int:
        seed = seed_of(day, key=self._key)
        population, chosen = 0, []
        for order_id in blind_store.uncontested(tx.connection, day):
            population += 1
            if is_drawn(order_id, seed=seed):
                chosen.append(order_id)
        fresh = [("blr_" + random_text(ID_CHARACTERS).lower(), order) for order in chosen]
        blind_store.add(tx.connection, fresh, day=day, at=tx.now)
        blind_store.drawn(
            tx.connection, day, seed=seed, at=tx.now, population=population, count=len(chosen)
        )
        tx.journal(
            action="appeals.draw.made",
            subject=day.isoformat(),
            after=DrawMark(
                day=day,
                commitment=commitment_of(seed).hex(),
                seed=seed.hex(),
                population=population,
                drawn=len(chosen),
                orders=hashlib.sha256("\n".join(chosen).encode("utf-8")).hexdigest(),
            ),
        )
        return len(chosen)

    # What reviewers do.

    def list(self, tx: Transaction) -> BlindList:
        """Drawn holds, those without a verdict first."""
        require(tx.actor, Permission.APPEAL_READ)
        rows = blind_store.waiting_first(tx.connection, limit=SHOWN_MAX)
        return BlindList(reviews=[_view(row) for row in rows])

    def draws(self, tx: Transaction) -> DrawList:
        """The newest draws, with the seeds of those that are made."""
        require(tx.actor, Permission.APPEAL_READ)
        rows = blind_store.newest_draws(tx.connection, limit=SHOWN_MAX)
        return DrawList(
            draws=[
                DrawView(
                    day=row.day,
                    commitment=row.commitment.hex(),
                    seed=None if row.seed is None else row.seed.hex(),
                    drawn_at=row.drawn_at,
                    population=row.population,
                    drawn=row.drawn,
                )
                for row in rows
            ]
        )

    def take(self, tx: Transaction, review_id: str) -> BlindTask:
        """The facts of one drawn hold, for who takes it now and for nobody else after.

        Raises NoSuchReview, JudgedAlready, NotYourAppeal, SamePerson.
        """
        require(tx.actor, Permission.BLIND_REVIEW)
        hold_matter(tx)
        row, order = self._found(tx, review_id)
        no_part_in(order, self._cases.opened_by(tx, order.case_id), who=tx.actor.id)
        if row.reviewed_by not in (None, tx.actor.id):
            raise NotYourAppeal("another reviewer has taken it")
        blind_store.save(tx.connection, msgspec.structs.replace(row, reviewed_by=tx.actor.id))
        tx.journal(action="appeals.blind.taken", subject=row.id)
        facts = self._look.facts(tx, order)
        return BlindTask(
            review=row.id,
            day=row.day,
            institution=order.institution,
            currency=order.currency,
            ordered_minor=order.applied_minor,
            received_at=order.received_at,
            amounts=facts.amounts,
            history_missing=facts.history_missing,
            facts=list(facts.verdict.why),
        )

    def judge(self, tx: Transaction, review_id: str, verdict: BlindVerdict) -> BlindView:
        """Record what the reviewer found; a hold found wrong is contested for its holder.

        Raises NoSuchReview, JudgedAlready, NotYourAppeal, BadInput.
        """
        require(tx.actor, Permission.BLIND_REVIEW)
        hold_matter(tx)
        row, order = self._found(tx, review_id)
        if row.reviewed_by != tx.actor.id:
            raise NotYourAppeal("take it first: who judges has seen the facts")
        wrong = verdict.verdict == "wrong"
        if wrong != (verdict.wrong_minor > 0) or verdict.wrong_minor > order.applied_minor:
            raise BadInput(f"1 to {order.applied_minor} exactly when wrong", where="$.wrong_minor")
        done = msgspec.structs.replace(
            row,
            verdict=verdict.verdict,
            wrong_minor=verdict.wrong_minor,
            note=verdict.note,
            reviewed_at=tx.now,
        )
        blind_store.save(tx.connection, done)
        tx.journal(
            action="appeals.blind.judged",
            subject=row.id,
            after=VerdictMark(verdict=verdict.verdict, wrong_minor=verdict.wrong_minor),
            reason=verdict.note,
        )
        if wrong:
            self._appeals.open_own(tx, order)
        return _view(done)

    def _found(self, tx: Transaction, review_id: str) -> tuple[ReviewRow, OrderRecord]:
        seen = blind_store.get(tx.connection, review_id)
        if seen is None:
            raise NoSuchReview(review_id[:32])
        order = self._ending.order(tx, seen.order_id, lock=True)
        row = blind_store.get(tx.connection, review_id, lock=True)
        assert order is not None, "a drawn hold has its order"
        assert row is not None, "reviews are not deleted"
        if row.verdict is not None:
            raise JudgedAlready(row.verdict)
        return row, order


def _view(row: ReviewRow) -> BlindView:
    return BlindView(
        review=row.id,
        day=row.day,
        drawn_at=row.drawn_at,
        verdict=row.verdict,
        wrong_minor=row.wrong_minor,
        reviewed_by=row.reviewed_by,
        reviewed_at=row.reviewed_at,
    )
