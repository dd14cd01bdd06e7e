"""`openaoc prove victims` holds, and notices every way in which a marked person could get out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import conninfo

from openaoc.exchange import recalling
from openaoc.exchange.objects import ReleasedObject
from openaoc.exchange.protection import names
from openaoc.exchange.protection.shield import Shield
from openaoc.proofs import victims
from openaoc.proofs.frame import PROOFS, Steps
from openaoc.proofs.scratch import Scratch

Owner = Callable[[], dict[str, str]]
Patch = pytest.MonkeyPatch


def broken_steps(folder: Path, make_owner: Owner) -> list[str]:
    """What of the proof is not as claimed."""
    steps = Steps()
    victims.prove(Scratch(folder, lambda: conninfo.make_conninfo(**make_owner())), steps)
    assert len(steps.taken) == 11
    return [step.did for step in steps.taken if not step.ok]


def test_it_holds(tmp_path: Path, make_owner: Owner) -> None:
    assert PROOFS["victims"].module == victims.__name__
    assert broken_steps(tmp_path, make_owner) == []


def test_a_gate_that_does_not_ask_is_noticed(
    tmp_path: Path, make_owner: Owner, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(victims, "PARTNER_KINDS", victims.PARTNER_KINDS[:1])
    monkeypatch.setattr(Shield, "protected", lambda _, __, spoken: [False] * len(spoken))
    found = " ".join(broken_steps(tmp_path, make_owner))
    for words in ("offered", "may be matched", "released the account", "approved that the name"):
        assert words in found


def test_texts_that_nobody_reads_are_noticed(
    tmp_path: Path, make_owner: Owner, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(victims, "PARTNER_KINDS", victims.PARTNER_KINDS[:1])
    monkeypatch.setattr(names, "_in_text", lambda _: iter(()))
    assert broken_steps(tmp_path, make_owner)[0].startswith("offered")


def test_a_withdrawal_that_repeats_the_account_is_noticed(
    tmp_path: Path, make_owner: Owner, monkeypatch: Patch
) -> None:
    def whole(body: ReleasedObject | None) -> ReleasedObject | None:
        return body

    monkeypatch.setattr(victims, "PARTNER_KINDS", victims.PARTNER_KINDS[:1])
    monkeypatch.setattr(recalling, "_bare", whole)
    assert broken_steps(tmp_path, make_owner) == ["marked one more, whom partners had received"]
