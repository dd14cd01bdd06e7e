"""Kept, journal and identity: they hold, and each would notice."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from openaoc.kernel.errors import NotFound
from openaoc.proofs import frame, identity, journal, kept
from openaoc.proofs.frame import PROOFS, Steps, run_proof
from openaoc.proofs.scratch import Scratch
from openaoc.storage.journal import JournalService
from openaoc.storage.journal_verify import Verdict


@pytest.mark.parametrize(
    "name", ["journal", pytest.param("kept", marks=pytest.mark.long), "identity"]
)
def test_it_holds(name: str) -> None:
    proof = run_proof(name)
    assert proof.holds, [step for step in proof.steps if not step.ok]
    assert len(proof.steps) >= 4


def test_a_proof_without_findings_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    place = frame.Place("tests.proofs.test_kept_journal_identity", "nothing")
    monkeypatch.setitem(PROOFS, "nothing", place)
    assert not run_proof("nothing").holds
    with pytest.raises(NotFound):
        run_proof("of the pudding")


def prove(scratch: Scratch, steps: Steps) -> None:
    """What a proof without a check looks like."""
    assert scratch.folder.is_dir()
    assert not steps.taken


def no_dsn() -> str:
    """These start servers of their own."""
    raise AssertionError


def test_an_erasure_that_leaves_the_key_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openaoc.storage.keyring.destroy", lambda _: False)
    steps = Steps()
    identity.prove(Scratch(tmp_path, no_dsn), steps)
    assert not all(step.ok for step in steps.taken)


def test_a_ledger_that_loses_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(scratch: Path, **_: object) -> list[str]:
        assert scratch == tmp_path
        return ["L1", "D1"]

    monkeypatch.setattr(kept, "_acknowledged", told)
    (tmp_path / "centre" / "data").mkdir(parents=True)
    steps = Steps()
    kept.prove(Scratch(tmp_path, no_dsn), steps)
    assert [step.ok for step in steps.taken][:1] == [False]


def test_a_journal_that_believes_everything_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = JournalService.verify

    def blind(self: JournalService) -> Verdict:
        return msgspec.structs.replace(honest(self), ok=True, fault=None)

    monkeypatch.setattr(JournalService, "verify", blind)
    steps = Steps()
    monkeypatch.setattr(journal, "_rewrite", lambda *_: None)
    journal.prove(Scratch(tmp_path, no_dsn), steps)
    assert not any(step.ok for step in steps.taken if step.did.startswith("as the superuser"))
