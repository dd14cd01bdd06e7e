"""What other centres ask of a running centre, and what its people see of that."""

from __future__ import annotations

import pytest

from openaoc.api.centres import OneIdentifier
from openaoc.exchange.matching.sets import Identifier
from tests.cli.world import World, post


def test_whoever_is_no_partner_is_refused_in_the_same_words(world: World) -> None:
    nobody, said = world.as_("nobody"), set()
    for place in ("hello", "requests", "answers", "match/set", "match/evaluate", "match/hit"):
        for headers in ({}, {"OpenAOC-Centre": "XX-AOC"}, {"OpenAOC-Centre": "*"}):
            answer = nobody.post(f"/v1/centre/{place}", json={}, headers=headers)
            assert answer.status_code == 401, answer.text
            said.add(answer.json()["detail"])
    assert len(said) == 1
    assert nobody.post("/v1/centre/other", json={}).status_code == 404


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("mobile", "081-234-5678", "+66812345678"),
        ("bank_account", "kbank:012-3-45678-9", "KBANK:0123456789"),
        ("website", "hxxps://Shop[.]Example.com/a#b", "https://shop.example.com/a"),
    ],
)
def test_what_is_matched_may_be_written_as_people_write_it(
    kind: str, written: str, value: str
) -> None:
    found = OneIdentifier(kind=kind, value=written).normalised(region="TH")
    assert found.value == value
    assert found == Identifier(kind=found.kind, value=value)


def test_matches_are_asked_for_and_read_by_those_who_work_on_cases(world: World) -> None:
    investigator = world.as_("investigator")
    assert investigator.get("/v1/matches").json() == {"hits": [], "cursor": None}
    assert world.as_("oversight").get("/v1/matches").status_code == 403
    asked = {"partner": "MY-NSRC", "identifiers": [{"kind": "phone", "value": "+66812345678"}]}
    assert post(investigator, "/v1/matches", asked).status_code == 403, "no agreement, no match"
    assert post(investigator, "/v1/matches", {**asked, "partner": "XX"}).status_code == 404
    for kind, value in (("phone", "12"), ("favourite colour", "blue")):
        wrong = {**asked, "identifiers": [{"kind": kind, "value": value}]}
        assert post(investigator, "/v1/matches", wrong).status_code == 400, value
    assert post(investigator, "/v1/matches/hit_none/close", {"reason": "done"}).status_code == 404
