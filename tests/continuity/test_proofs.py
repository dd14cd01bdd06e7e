"""The proofs hold, and each of them would notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from openaoc.kernel.errors import NotFound
from openaoc.proofs import frame, identity, kept
from openaoc.proofs.frame import PROOFS, Steps, run_proof
from openaoc.storage.vault import Vault


@pytest.mark.parametrize(
    "name", ["journal", pytest.param("kept", marks=pytest.mark.long), "identity"]
)
def test_it_holds(name: str) -> None:
    proof = run_proof(name)
    assert proof.holds, [step for step in proof.steps if not step.ok]
    assert len(proof.steps) >= 4


def test_a_proof_without_findings_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    place = frame.Place("tests.continuity.test_proofs", "nothing")
    monkeypatch.setitem(PROOFS, "nothing", place)
    assert not run_proof("nothing").holds
    with pytest.raises(NotFound):
        run_proof("of the pudding")


def prove(scratch: Path, steps: Steps) -> None:
    """What a proof without a check looks like."""
    assert scratch.is_dir()
    assert not steps.taken


def test_an_erasure_that_leaves_the_key_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openaoc.storage.vault.destroy", lambda _: False)
    steps = Steps()
    identity.prove(tmp_path, steps)
    assert not all(step.ok for step in steps.taken)
    assert Vault is not None


def test_a_ledger_that_loses_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(scratch: Path, **_: object) -> list[str]:
        assert scratch == tmp_path
        return ["L1", "D1"]

    monkeypatch.setattr(kept, "_acknowledged", told)
    (tmp_path / "centre" / "data").mkdir(parents=True)
    steps = Steps()
    kept.prove(tmp_path, steps)
    assert [step.ok for step in steps.taken][:1] == [False]
