"""API: a word that is not on its list is refused with the list, wherever it stood."""

from __future__ import annotations

import msgspec
import pytest

from openaoc.api.bodies import decode
from openaoc.api.choices import with_choices
from openaoc.api.wire import NewInstitution
from openaoc.exchange.agreement import Terms
from openaoc.holds.model import OrderState
from openaoc.kernel.errors import BadInput
from openaoc.reports.model import Report
from tests.cli.world import World

REPORT = {"reported_at": "2026-01-01T00:00:00Z", "language": "th", "narrative": "x"}
GRANTS = {"partner": "A", "grants": {"indicator": {"fields": {"value": "shown"}}}}


@pytest.mark.parametrize(
    ("kind", "said", "where", "known"),
    [
        (NewInstitution, {"code": "A", "name": "A", "kind": "bnak"}, "$.kind", "bank, wallet"),
        (Report, {**REPORT, "channel": "fax"}, "$.channel", "hotline, web, institution"),
        (Terms, {"partner": "A", "purposes": ["job", "jobs"]}, "$.purposes[1]", "job, loan"),
        (Terms, GRANTS, "$.grants[...].fields[...]", "as-is, masked, pseudonym, dropped"),
    ],
)
def test_a_body(kind: type, said: dict[str, object], where: str, known: str) -> None:
    with pytest.raises(BadInput) as refused:
        decode(msgspec.json.encode(said), kind)
    assert refused.value.where == where
    assert known in refused.value.detail


def test_what_is_wrong_otherwise_is_told_as_it_is() -> None:
    assert with_choices("Expected `int`, got `str`", Report, path="$.payments") == (
        "Expected `int`, got `str`"
    )
    assert with_choices("Invalid enum value 'x'", Report, path="$.nowhere") == (
        "Invalid enum value 'x'"
    )
    told = with_choices("Invalid enum value 'x'", OrderState | None)
    assert told.endswith(", ".join(state.value for state in OrderState))


def test_a_query(world: World) -> None:
    refused = world.as_("agent").get("/v1/holds", params={"state": "held"})
    assert refused.status_code == 400
    [fault] = refused.json()["errors"]
    assert fault["path"] == "state"
    assert "drafted, issued, acknowledged" in fault["reason"]
