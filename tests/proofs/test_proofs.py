"""The proofs hold on the product, and each fails on a product that is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import pytest
import sqlalchemy as sa
from litestar import get

from openaoc.api import app
from openaoc.api.problems import ApiRequest
from openaoc.cases.model import CaseView
from openaoc.cases.service import Cases
from openaoc.holds.doubt import Doubt, certain
from openaoc.holds.plan import PlannedCut, PlannedOrder, plan_place
from openaoc.holds.service import Holds
from openaoc.holds.standing import Standing
from openaoc.indicators import store
from openaoc.indicators.model import Status
from openaoc.indicators.service import Indicators
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.identifiers.kinds import Identifier
from openaoc.parties.service import Parties
from openaoc.proofs import (
    amount_only,
    bounded,
    conserved,
    doubt,
    ends,
    no_model_decides,
    not_browsable,
    replay,
    safe_to_stop,
    standing,
    unknown,
)
from openaoc.proofs.frame import PROOFS, Proof
from openaoc.proofs.small_centre import SmallCentre
from openaoc.reports.model import Report
from openaoc.reports.service import normalised
from openaoc.safety.breakers import Gate
from openaoc.safety.undo import Undo
from openaoc.storage.unit_of_work import Transaction
from openaoc.tracing.group import Group
from openaoc.tracing.model import CaseTrace
from tests.proofs.conftest import Run

Patch = pytest.MonkeyPatch
FEW = ("nobody", "administrator", "investigator", "machine of BBL")


def small(patch: Patch, *, roles: tuple[str, ...] = FEW) -> None:
    """Smaller crowds and fewer examples: what is shown stays the same."""
    patch.setattr(amount_only, "MOVES", 20)
    patch.setattr(standing, "REPORTS", 60)
    patch.setattr(conserved, "WORLDS", 12)
    patch.setattr(no_model_decides, "EXAMPLES", 200)
    patch.setattr(not_browsable, "FOREIGN", 4)
    patch.setattr(unknown, "STRANGERS", 20)
    every = not_browsable._keys

    def few(small: SmallCentre) -> dict[str, str]:
        return {who: key for who, key in every(small).items() if who in roles}

    patch.setattr(not_browsable, "_keys", few)


def without(patch: Patch, proof: object, *parts: str) -> None:
    """Leave out what the sabotage at hand has nothing to do with."""
    for part in parts:
        patch.setattr(proof, part, lambda *_: None)


def failed(proof: Proof) -> list[str]:
    """What was not as claimed."""
    assert not proof.holds
    return [step.did for step in proof.steps if not step.ok]


SHORT = sorted(PROOFS.keys() - {"journal", "kept", "identity"})


@pytest.mark.parametrize("name", SHORT)
def test_it_holds(run: Run, monkeypatch: Patch, name: str) -> None:
    small(monkeypatch)
    proof = run(name)
    assert proof.holds, [step for step in proof.steps if not step.ok]
    assert len(proof.steps) >= 6


@pytest.mark.long
@pytest.mark.parametrize("name", SHORT)
def test_it_holds_at_full_size(run: Run, name: str) -> None:
    proof = run(name)
    assert proof.holds, [step for step in proof.steps if not step.ok]


def test_an_order_over_more_than_was_stolen_is_noticed(run: Run, monkeypatch: Patch) -> None:
    def greedy(*given: object, **named: object) -> PlannedOrder | PlannedCut | None:
        found = plan_place(*given, **named)  # type: ignore[arg-type]  # passed on
        if isinstance(found, PlannedOrder):
            return msgspec.structs.replace(found, amount_minor=found.amount_minor + 1)
        return found

    monkeypatch.setattr("openaoc.workflow.placing.plan_place", greedy)
    without(monkeypatch, amount_only, "_at_random")
    assert any("100,000" in did for did in failed(run("amount-only")))


def test_a_hold_that_grows_in_its_row_is_noticed(run: Run, monkeypatch: Patch) -> None:
    told = replay.over_amounts

    def grown(small: SmallCentre) -> list[str]:
        raised = (
            "UPDATE hold_orders SET held_minor = held_minor + 1, applied_minor = applied_minor + 1,"
            " amount_minor = amount_minor + 1, ceiling_minor = ceiling_minor + 1"
            " WHERE state LIKE 'applied%'"
        )
        small.does(SYSTEM, lambda tx: tx.connection.execute(sa.text(raised)))
        return told(small)

    monkeypatch.setattr(amount_only, "over_amounts", grown)
    without(monkeypatch, amount_only, "_at_random")
    assert failed(run("amount-only"))


def test_a_claim_that_is_believed_is_noticed(run: Run, monkeypatch: Patch) -> None:
    believed = Standing(kind="automatic", why=(), approvals_needed=0)
    monkeypatch.setattr("openaoc.workflow.standings.decide", lambda **_: believed)
    monkeypatch.setattr(standing, "REPORTS", 10)
    without(monkeypatch, standing, "_other_keys", "_guesses", "_persons")
    wrong = failed(run("standing"))
    assert any("false reports" in did for did in wrong)
    assert any("proof" in did for did in wrong)


def test_doubt_that_favours_nobody_is_noticed(run: Run, monkeypatch: Patch) -> None:
    def sure(*, located_minor: int, **_: object) -> Doubt:
        return certain(located_minor)

    monkeypatch.setattr("openaoc.workflow.placing.weigh", sure)
    wrong = " ".join(failed(run("doubt")))
    for words in ("stolen from honest commerce", "clock", "in all", "history is missing"):
        assert words in wrong


def test_a_holder_who_is_not_told_is_noticed(run: Run, monkeypatch: Patch) -> None:
    without(monkeypatch, doubt, "_least", "_living_money")
    monkeypatch.setattr("openaoc.proofs.small_centre.Desks.notices", lambda _: [])
    assert any("notice" in did for did in failed(run("doubt")))


def test_holds_that_nobody_ends_are_noticed(run: Run, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Holds, "expire_due", lambda *_: 0)
    wrong = " ".join(failed(run("ends")))
    assert "clock" in wrong
    assert "year" in wrong


def test_an_end_that_was_moved_is_noticed(run: Run, monkeypatch: Patch) -> None:
    fill = ends._fill

    def doctored(small: SmallCentre) -> None:
        fill(small)
        moved = sa.text("UPDATE hold_orders SET ends_at = ends_at + interval '1 hour'")
        small.does(SYSTEM, lambda tx: tx.connection.execute(moved))

    monkeypatch.setattr(ends, "_fill", doctored)
    without(monkeypatch, ends, "_prolong", "_clock", "_asleep")
    assert any("rules of law" in did for did in failed(run("ends")))


def everything_live(
    _: Parties, tx: object, *, jurisdiction: str, institutions: Iterable[str]
) -> frozenset[str]:
    """Switches that nobody asks."""
    assert tx
    assert jurisdiction
    return frozenset(institutions)


def test_a_centre_that_begins_live_is_noticed(run: Run, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Parties, "live_among", everything_live)
    without(monkeypatch, safe_to_stop, "_breaker", "_undo", "_unconfirmed")
    wrong = " ".join(failed(run("safe-to-stop")))
    assert "nobody switched live" in wrong
    assert "back to shadow" in wrong


@pytest.mark.parametrize(
    ("broken", "part", "words"),
    [
        ((Gate, "pause"), "_breaker", "within the hour"),
        ((Undo, "_batch"), "_undo", "a second supervisor agreed"),
    ],
)
def test_what_does_not_stop_is_noticed(
    run: Run, monkeypatch: Patch, broken: tuple[type, str], part: str, words: str
) -> None:
    monkeypatch.setattr(*broken, lambda *_, **__: 0 if part == "_undo" else None)
    others = {"_shadow", "_breaker", "_undo", "_stop", "_unconfirmed"} - {part}
    without(monkeypatch, safe_to_stop, *others)
    assert any(words in did for did in failed(run("safe-to-stop")))


def test_a_rule_that_counts_as_confirmed_is_noticed(run: Run, monkeypatch: Patch) -> None:
    monkeypatch.setattr("openaoc.workflow.placing._live_rule", lambda _: True)
    parts = ("_shadow", "_two_persons", "_breaker", "_undo", "_stop")
    without(monkeypatch, safe_to_stop, *parts)
    assert any("wrote into the database" in did for did in failed(run("safe-to-stop")))


def test_a_minor_unit_that_vanishes_is_noticed(run: Run, monkeypatch: Patch) -> None:
    honest: Callable[[Group, str], CaseTrace] = Group.of

    def leaky(self: Group, key: str) -> CaseTrace:
        trace = honest(self, key)
        return msgspec.structs.replace(trace, loss_minor=trace.loss_minor + 1)

    monkeypatch.setattr(Group, "of", leaky)
    monkeypatch.setattr(conserved, "WORLDS", 3)
    without(monkeypatch, conserved, "_whole_case")
    wrong = failed(run("conserved"))
    assert any("traced" in did for did in wrong)
    assert any("replayed" in did for did in wrong)


def test_a_route_that_reads_the_ledger_is_noticed(run: Run, monkeypatch: Patch) -> None:
    @get("/v1/ledger/newest", sync_to_thread=True)
    def newest(request: ApiRequest) -> list[str]:
        centre = request.app.state.centre
        return [centre.ledger.transfer(row).transfer_id for row in range(3)]

    monkeypatch.setattr(app, "ROUTES", (*app.ROUTES, newest))
    small(monkeypatch, roles=FEW[2:3])
    assert any("by wildcard" in did for did in failed(run("not-browsable")))


def test_a_look_that_is_not_journalled_is_noticed(run: Run, monkeypatch: Patch) -> None:
    def silent(self: Cases, tx: object, case_id: str, *, secret: str | None = None) -> CaseView:
        case = self.row(tx, case_id)  # type: ignore[arg-type]  # the transaction
        return self._view(tx, case, accounts=secret is None)  # type: ignore[arg-type]  # the same

    monkeypatch.setattr(Cases, "show", silent)
    small(monkeypatch, roles=FEW[2:3])
    assert any("journal" in did for did in failed(run("not-browsable")))


def test_a_guess_that_raises_an_amount_is_noticed(run: Run, monkeypatch: Patch) -> None:
    def generous(*, located_minor: int, **_: object) -> Doubt:
        return certain(located_minor + 1)

    small(monkeypatch)
    monkeypatch.setattr(no_model_decides, "weigh", generous)
    monkeypatch.setattr("openaoc.appeals.deciding.persons_needed", lambda *_, **__: 1)
    wrong = " ".join(failed(run("no-model-decides")))
    assert "guessed" in wrong
    assert "one reviewer refuses" in wrong


def test_a_report_that_is_cut_off_is_noticed(run: Run, monkeypatch: Patch) -> None:
    def cut(report: Report) -> Report:
        return msgspec.structs.replace(normalised(report), narrative=report.narrative[:100])

    monkeypatch.setattr("openaoc.workflow.intake.normalised", cut)
    without(monkeypatch, bounded, "_trace", "_transfers")
    assert failed(run("bounded")) == ["read the longest narrative back"]


def test_a_public_answer_that_shows_a_pursuit_is_noticed(run: Run, monkeypatch: Patch) -> None:
    def frank(_: Indicators, tx: Transaction, identifier: Identifier) -> Status:
        found = store.find(tx.connection, [identifier], lock=False)
        return found[0].status if found else Status.EXPIRED

    small(monkeypatch)
    monkeypatch.setattr(Indicators, "public_status", frank)
    without(monkeypatch, unknown, "_answered", "_withdrawn")
    wrong = " ".join(failed(run("unknown")))
    for words in ("nobody named", "voices", "orders go out", "a person confirms it"):
        assert words in wrong
