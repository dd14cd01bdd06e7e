"""Safety: takes back everything that a faulty rule, reporter or partner caused.

Shown first, then proposed by one person and agreed to by another; carried out in small
transactions that a crash may interrupt anywhere. Lists who was touched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from openaoc.cases.service import Cases
from openaoc.holds.ending import Ending
from openaoc.holds.lock import hold_matter
from openaoc.holds.model import HOLDING, SamePerson
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput
from openaoc.kernel.ids import random_text
from openaoc.kernel.limits import PAGE_MAX
from openaoc.parties.permissions import Permission, require
from openaoc.safety import store
from openaoc.safety.breakers import Breakers
from openaoc.safety.model import (
    NoSuchRun,
    Preview,
    RunList,
    RunState,
    RunView,
    Selection,
    TouchedPage,
    UndoRequest,
    WrongRunState,
)
from openaoc.safety.store import Chosen, Run
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying

BATCH_MAX: Final = 50
"""Orders ended in one transaction: others wait for the matter no longer than that takes."""
SHOWN_MAX: Final = 200
SOURCES_MAX: Final = 100
"""Senders stopped by one undo; beyond it, it is the rule or the centre that is at fault."""
RUNS_SHOWN_MAX: Final = 100
ID_CHARACTERS: Final = 16
_ENDLESS: Final = 2**62


class RunMark(msgspec.Struct, frozen=True, kw_only=True):
    """An undo in the journal."""

    selection: Selection
    state: str
    orders: int
    released_minor: int
    withdrawn_minor: int

    @classmethod
    def of(cls, run: Run) -> RunMark:
        """The mark of this undo."""
        return cls(
            selection=run.selection,
            state=run.state.value,
            orders=run.orders,
            released_minor=run.released_minor,
            withdrawn_minor=run.withdrawn_minor,
        )


class Undo:
    """The verbs of undo. One instance per centre."""

    def __init__(
        self, *, uow: UnitOfWork, ending: Ending, cases: Cases, breakers: Breakers
    ) -> None:
        self._uow = uow
        self._ending = ending
        self._cases = cases
        self._breakers = breakers
        self._again: Callable[[], None] | None = None

    def go_on_with(self, wake: Callable[[], None]) -> None:
        """Call this when an undo has more to do: a large one must not wait for the clock."""
        self._again = wake

    def preview(self, tx: Transaction, selection: Selection) -> Preview:
        """What it would touch now. Changes nothing. Raises BadInput for no selection."""
        require(tx.actor, Permission.UNDO_PROPOSE)
        selection.check()
        found = store.sums(tx.connection, selection)
        first = store.chosen(tx.connection, selection, place=0, last=_ENDLESS, limit=SHOWN_MAX)
        return Preview(
            orders=found.orders,
            cases=found.cases,
            accounts=found.accounts,
            held_minor=found.held_minor,
            waiting_minor=found.waiting_minor,
            first=[one.touched for one in first],
        )

    def propose(self, tx: Transaction, request: UndoRequest) -> RunView:
        """Say what should be taken back; nothing happens before a second person agrees."""
        require(tx.actor, Permission.UNDO_PROPOSE)
        request.selection.check()
        run = Run(
            id="und_" + random_text(ID_CHARACTERS).lower(),
            selection=request.selection,
            reason=request.reason,
            state=RunState.PROPOSED,
            proposed_by=tx.actor.id,
            proposed_at=tx.now,
        )
        store.add_run(tx.connection, run)
        tx.journal(
            action="safety.undo.proposed",
            subject=run.id,
            after=RunMark.of(run),
            reason=run.reason,
        )
        return _view(run)

    def approve(self, tx: Transaction, run_id: str) -> RunView:
        """Agree as the second person: what caused it is stopped at once, the rest follows.

        Breakers open for the rule, the senders or the institution, so that nothing of the kind
        goes out by itself again before a person closes them. Raises SamePerson, WrongRunState.
        """
        require(tx.actor, Permission.UNDO_APPROVE)
        hold_matter(tx)
        run = self._locked(tx, run_id, RunState.PROPOSED)
        if run.proposed_by == tx.actor.id:
            raise SamePerson("whoever proposed it cannot agree to it")
        for scope in self._scopes(tx, run.selection):
            self._breakers.trip(tx, scope, why=f"undo {run.id}: {run.reason}", by=tx.actor.id)
        started = msgspec.structs.replace(
            run,
            state=RunState.RUNNING,
            approved_by=tx.actor.id,
            approved_at=tx.now,
            last=store.last_place(tx.connection),
        )
        self._save(tx, run, started, action="safety.undo.approved")
        return _view(started)

    def drop(self, tx: Transaction, run_id: str, *, reason: str) -> RunView:
        """Take a proposal back. What is running runs to its end: half an undo helps nobody."""
        require(tx.actor, Permission.UNDO_PROPOSE)
        run = self._locked(tx, run_id, RunState.PROPOSED)
        dropped = msgspec.structs.replace(run, state=RunState.DROPPED, finished_at=tx.now)
        self._save(tx, run, dropped, action="safety.undo.dropped", reason=reason)
        return _view(dropped)

    def show(self, tx: Transaction, run_id: str) -> RunView:
        """How far an undo is. Raises NoSuchRun."""
        require(tx.actor, Permission.HOLD_READ)
        run = store.get_run(tx.connection, run_id)
        if run is None or tx.actor.institution is not None:
            raise NoSuchRun(run_id[:32])
        return _view(run)

    def list(self, tx: Transaction) -> RunList:
        """The newest undos."""
        require(tx.actor, Permission.HOLD_READ)
        found = store.newest_runs(tx.connection, limit=RUNS_SHOWN_MAX)
        return RunList(runs=[_view(run) for run in found])

    def touched(
        self, tx: Transaction, run_id: str, *, cursor: str | None = None, limit: int = 50
    ) -> TouchedPage:
        """Whom an undo touched, one page. Raises NoSuchRun, BadInput."""
        self.show(tx, run_id)
        if not 1 <= limit <= PAGE_MAX:
            raise BadInput(f"between 1 and {PAGE_MAX}", where="limit")
        if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
            raise BadInput("not a cursor of this list", where="cursor")
        after = 0 if cursor is None else min(int(cursor), _ENDLESS)
        found = store.touched(tx.connection, run_id, after=after, limit=limit + 1)
        more = len(found) > limit
        shown = found[:limit]
        return TouchedPage(
            touched=[one.touched for one in shown],
            cursor=str(shown[-1].place) if more else None,
        )

    # What the clock does.

    def run_due(self) -> int:
        """Carry running undos on by one batch each; how many orders were ended."""
        with self._uow.read(SYSTEM, purpose="which undos are running") as tx:
            running = store.running(tx.connection)
        return sum(retrying(functools.partial(self._batch, run_id)) for run_id in running)

    def _batch(self, run_id: str) -> int:
        """End the next orders, and say so in the run, in one transaction."""
        with self._uow.begin(SYSTEM, purpose=f"undo {run_id}") as tx:
            hold_matter(tx)
            run = store.get_run(tx.connection, run_id, lock=True)
            if run is None or run.state is not RunState.RUNNING:
                return 0
            found = store.chosen(
                tx.connection, run.selection, place=run.place, last=run.last, limit=BATCH_MAX
            )
            if not found:
                done = msgspec.structs.replace(run, state=RunState.DONE, finished_at=tx.now)
                self._save(tx, run, done, action="safety.undo.done")
                return 0
            released = withdrawn = 0
            ended: list[Chosen] = []
            for one in found:
                touched, held = self._end(tx, run, one)
                released += touched.touched.amount_minor if held else 0
                withdrawn += 0 if held else touched.touched.amount_minor
                ended.append(touched)
            store.add_items(tx.connection, run.id, ended)
            if run.selection.reporter or run.selection.partner:
                for case_id in sorted({one.touched.case for one in ended}):
                    self._cases.stop_automatic(tx, case_id, why=f"undone: {run.reason}")
            onward = msgspec.structs.replace(
                run,
                place=found[-1].place,
                orders=run.orders + len(ended),
                released_minor=run.released_minor + released,
                withdrawn_minor=run.withdrawn_minor + withdrawn,
            )
            self._save(tx, run, onward, action="safety.undo.went_on")
            if self._again is not None:
                tx.after_commit(self._again)
            return len(ended)

    def _end(self, tx: Transaction, run: Run, one: Chosen) -> tuple[Chosen, bool]:
        """One order ended, and whether money was held under it."""
        order = self._ending.order(tx, one.touched.order, lock=True)
        assert order is not None, "orders are not deleted"
        held = order.state in HOLDING
        freed = self._ending.end(tx, order, kind="undone", reason=run.id)
        done = msgspec.structs.replace(
            one.touched,
            state=order.state.value,
            amount_minor=freed,
            done="released" if held else "withdrawn",
            at=tx.now,
        )
        return Chosen(one.place, done), held

    def _scopes(self, tx: Transaction, selection: Selection) -> Sequence[str]:
        found = selection.scopes()
        if selection.reporter or selection.partner:
            senders = store.sources(tx.connection, selection, limit=SOURCES_MAX + 1)
            if len(senders) > SOURCES_MAX:
                raise BadInput(f"more than {SOURCES_MAX} senders: name one", where="reporter")
            found += [f"source:{sender}" for sender in senders]
        return found

    def _locked(self, tx: Transaction, run_id: str, state: RunState) -> Run:
        run = store.get_run(tx.connection, run_id, lock=True)
        if run is None:
            raise NoSuchRun(run_id[:32])
        if run.state is not state:
            raise WrongRunState(f"it is {run.state}")
        return run

    def _save(
        self, tx: Transaction, before: Run, after: Run, *, action: str, reason: str = ""
    ) -> None:
        store.save_run(tx.connection, after)
        tx.journal(
            action=action,
            subject=after.id,
            before=RunMark.of(before),
            after=RunMark.of(after),
            reason=reason or after.reason,
        )


def _view(run: Run) -> RunView:
    names = set(RunView.__struct_fields__) - {"undo"}
    return RunView(undo=run.id, **{name: getattr(run, name) for name in names})
