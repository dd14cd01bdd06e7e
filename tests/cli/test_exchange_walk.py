"""Agreements by command and over HTTP: from a first contact to the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.server import Server
from tests.cli.world import World, post

EXAMPLE = Path(__file__).parents[2] / "examples/agreement.toml"
PARTNER = (
    "--kind", "centre", "--jurisdiction", "SG", "--contact", "desk", "--email", "d@c.example"
)  # fmt: skip


@pytest.fixture(scope="module")
def people(server: Server) -> dict[str, str]:
    """Keys by role."""
    roles = {"ann": "supervisor", "dan": "data_protection_officer", "ivy": "investigator"}
    return {
        who: server.run_json("user", "add", who, "--role", role)["api_key"]
        for who, role in roles.items()
    }


def refused(server: Server, *words: str, key: str | None = None) -> str:
    """Why a command is refused, in its one line."""
    done = server.run(*words, key=key)
    assert done.returncode == 1, done.stdout
    return done.stderr.decode()


def test_from_a_first_contact_to_the_end(
    server: Server, people: dict[str, str], tmp_path: Path
) -> None:
    run = server.run_json
    run("exchange", "partner", "add", "SG-ASCOM", "--name", "Anti-Scam Command", *PARTNER)
    pair = run("institution", "key", "new", str(tmp_path / "their.key"))
    key = run("exchange", "partner", "key", "SG-ASCOM", pair["public"])
    assert key["verified_at"] is None
    draft = run("exchange", "agreement", "draft", str(EXAMPLE), key=people["dan"])
    assert (draft["id"], draft["state"]) == ("SG-ASCOM.1", "drafted")
    approve = ("exchange", "agreement", "approve", "SG-ASCOM.1")
    assert run(*approve, key=people["dan"])["state"] == "drafted"
    assert "second person" in refused(server, *approve, key=people["dan"])
    assert run(*approve, key=people["ann"])["state"] == "approved"
    verify = ("exchange", "partner", "verify", "SG-ASCOM", key["kid"], "--with", "Ms Tan")
    told = refused(server, *verify, "--fingerprint", "another", key=people["ann"])
    assert "do not use this key" in told
    run(*verify, "--fingerprint", key["fingerprint"], key=people["ann"])
    shown = run("exchange", "partner", "show", "SG-ASCOM")
    assert shown["agreement"] in ("SG-ASCOM.1", None)
    state = run("exchange", "agreement", "show", "SG-ASCOM.1")
    assert (state["state"], len(state["voices"])) == ("active", 2)
    again = run("exchange", "agreement", "draft", str(EXAMPLE), key=people["ann"])
    assert again["id"] == "SG-ASCOM.2"
    suspend = ("exchange", "agreement", "suspend", "SG-ASCOM.1", "--reason", "a leak")
    assert run(*suspend)["state"] == "suspended"
    resume = ("exchange", "agreement", "resume", "SG-ASCOM.1")
    assert run(*resume, key=people["ann"])["state"] == "suspended"
    assert run(*resume, key=people["dan"])["state"] == "active"
    end = ("exchange", "agreement", "end", "SG-ASCOM.1", "--reason", "given up")
    assert run(*end, key=people["dan"])["state"] == "ended"
    assert [a["id"] for a in run("exchange", "agreement", "list")["agreements"]] == [
        "SG-ASCOM.2",
        "SG-ASCOM.1",
    ]


def test_a_wrong_file_is_refused_with_the_place(
    server: Server, people: dict[str, str], tmp_path: Path
) -> None:
    run = ("exchange", "partner", "add", "SG-ASCOM2", "--name", "Another", *PARTNER)
    server.run_json(*run)
    good = EXAMPLE.read_text("utf-8").replace('"SG-ASCOM"', '"SG-ASCOM2"')
    for number, (before, after, place) in enumerate(
        (
            ('value = "as-is"', '"*" = "as-is"', "grants.indicator.fields.*"),
            ('status = "as-is"', 'status = "whole"', "$.grants"),
            ('"romance"', '"journalism"', "$.purposes"),
            ("retention_days = 180", "", "retention_days"),
            ("[transfer]", "[transfers]", "transfers"),
            ('partner = "SG', "partner = SG", "line 4"),
        )
    ):
        file = tmp_path / f"{number}.toml"
        assert before in good
        file.write_text(good.replace(before, after), "utf-8")
        told = refused(server, "exchange", "agreement", "draft", str(file), key=people["dan"])
        assert place in told, told
        assert len(told.strip().splitlines()) == 1
    missing = str(tmp_path / "none.toml")
    assert "none.toml" in refused(server, "exchange", "agreement", "draft", missing)


def test_what_is_not_there_is_said(server: Server, people: dict[str, str]) -> None:
    nothing = "indicator--00000000-0000-4000-8000-000000000000"
    told = refused(server, "exchange", "explain", nothing, "NOBODY", key=people["ivy"])
    assert "no such partner" in told
    recall = ("exchange", "recall", nothing, "--kind", "withdrawn", "--reason", "wrong")
    assert server.run_json(*recall, key=people["ivy"])["partners"] == []
    assert server.run_json("exchange", "released")["releases"] == []
    assert server.run_json("exchange", "notices")["notices"] == []
    seen = server.run_json("exchange", "canary", "seen", "+66812345678", key=people["dan"])
    assert seen["canary"] is False
    assert server.run_json("exchange", "canary", "list", key=people["dan"]) == {"canaries": []}


def test_a_partner_over_http_sees_its_own_alone(server: Server) -> None:
    world = World(server)
    for code in ("KR-PARTNER", "JP-PARTNER"):
        world.add_partner(code)
    mine = world.as_("KR-PARTNER")
    listed = mine.get("/v1/exchange/partners").json()["partners"]
    assert [one["code"] for one in listed] == ["KR-PARTNER"]
    answers: list[Any] = []
    for code in ("JP-PARTNER", "NO-PARTNER"):
        answer = mine.get(f"/v1/exchange/partners/{code}")
        answers.append((answer.status_code, answer.json()))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    hidden = ("cases", "users", "institutions", "journal/rows", "exchange/canaries")
    for path in (f"/v1/{name}" for name in hidden):
        assert mine.get(path).status_code in (403, 404), path
    object_id = "indicator--00000000-0000-4000-8000-000000000000"
    for path, body in (
        ("/v1/exchange/explain", {"object": object_id, "partner": "KR-PARTNER"}),
        ("/v1/exchange/canaries", {"partner": "KR-PARTNER"}),
        ("/v1/exchange/recalls", {"object": object_id, "kind": "expired", "reason": "none"}),
        ("/v1/exchange/partners/KR-PARTNER/users", {"name": "another"}),
    ):
        assert post(mine, path, body).status_code == 403, path
    assert mine.get("/v1/exchange/releases").json() == {"releases": [], "cursor": None}
    delivered = post(mine, "/v1/exchange/notices/delivered", {"sequences": [1]})
    assert (delivered.status_code, delivered.json()) == (200, {"count": 0})
    path = "/v1/exchange/requests/figures"
    assert [client.get(path).status_code for client in (world.as_("nobody"), mine)] == [401, 403]
    assert world.as_("administrator").get(path).json() == {"countries": []}
    world.close()
