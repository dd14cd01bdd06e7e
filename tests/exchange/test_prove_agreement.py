"""`openaoc prove agreement` holds, and notices a rule that lets too much leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import conninfo

from openaoc.exchange import judging
from openaoc.exchange.objects import SharedObject
from openaoc.exchange.release import Asked, Released, Withheld, judge
from openaoc.proofs import agreement
from openaoc.proofs.frame import PROOFS, Steps
from openaoc.proofs.scratch import Scratch


def test_it_is_one_of_the_proofs() -> None:
    assert PROOFS["agreement"].module == agreement.__name__


def test_it_holds(tmp_path: Path, make_owner: Callable[[], dict[str, str]]) -> None:
    steps = Steps()
    agreement.prove(Scratch(tmp_path, lambda: conninfo.make_conninfo(**make_owner())), steps)
    assert len(steps.taken) == 7
    assert [step for step in steps.taken if not step.ok] == []


def test_a_rule_that_lets_everything_leave_is_noticed(
    tmp_path: Path, make_owner: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def generous(shared: SharedObject, asked: Asked) -> Released | Withheld:
        result = judge(shared, asked)
        if isinstance(result, Released):
            result.object.fields.update(shared.fields)
        return result

    monkeypatch.setattr(judging, "judge", generous)
    monkeypatch.setattr(agreement, "PARTNERS", 3)
    steps = Steps()
    agreement.prove(Scratch(tmp_path, lambda: conninfo.make_conninfo(**make_owner())), steps)
    assert [step.did[:12] for step in steps.taken if not step.ok] == ["offered them"]
