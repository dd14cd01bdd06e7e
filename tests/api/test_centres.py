"""What other centres ask of a running centre, and what its people see of that."""

from __future__ import annotations

import httpx

from tests.cli.server import Server
from tests.cli.world import World


def test_whoever_is_no_partner_is_refused_in_the_same_words(server: Server, world: World) -> None:
    assert world.server is server
    said = set()
    for place in ("hello", "requests", "answers", "match/set", "match/evaluate", "match/hit"):
        for headers in ({}, {"OpenAOC-Centre": "XX-AOC"}, {"OpenAOC-Centre": "*"}):
            answer = httpx.post(f"{server.url}/v1/centre/{place}", json={}, headers=headers)
            assert answer.status_code == 401, answer.text
            said.add(answer.json()["detail"])
    assert len(said) == 1
    assert httpx.post(f"{server.url}/v1/centre/other", json={}).status_code == 404
