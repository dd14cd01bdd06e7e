"""Best practice over HTTP and by command: made, tried, shared, decided on; scripts found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.server import Server
from tests.cli.world import World, post, report, tell, transfer

PATH = "/v1/practice"
ERROR = {
    "type": "measured",
    "on": "traces of 40 cases",
    "at": "2026-11-01",
    "looked": 400,
    "right": 30,
    "wrong": 2,
    "missed": 9,
}
NONE = {"type": "not-measured", "why": "a law has no measured error"}
TYPOLOGY = {
    "payers_min": 4,
    "window_minutes": 60,
    "passed_on_percent_min": 80,
    "within_minutes": 30,
}
REASON = {"reason": "looked at it"}


def body(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Collecting account",
        "summary": "Several payers, and soon it is gone.",
        "licence": "CC-BY-4.0",
        "offences": ["mule-account"],
        "error": ERROR,
        "typology": TYPOLOGY,
        **changes,
    }


def test_a_typology_is_made_and_acts_only_when_it_was_tried(world: World) -> None:
    investigator, supervisor = world.as_("investigator"), world.as_("supervisor")
    made = post(investigator, PATH, body())
    assert made.status_code == 201
    package = made.json()["package"]
    assert (package["standing"], package["bundle"]["version"]) == ("shadow", 1)
    assert package["bundle"]["error"] == ERROR
    path = f"{PATH}/{package['bundle']['id']}"
    assert "0 of 14 days in shadow" in investigator.get(path).json()["lacking"]
    refused = post(supervisor, f"{path}/take-on", REASON)
    assert (refused.status_code, refused.json()["code"]) == (403, "not-tried-enough")
    for verb in ("take-on", "share", "withdraw"):
        assert post(investigator, f"{path}/{verb}", REASON).status_code == 403, verb
    for who in ("KBANK-machine", "SCB-liaison", "oversight"):
        assert world.as_(who).get(path).status_code == 403, who
    assert world.as_("agent").get(f"{path}/observations").status_code == 403
    assert post(supervisor, f"{path}/share", {}).json()["package"]["shared"] is True
    assert post(supervisor, f"{path}/stop", REASON).json()["package"]["standing"] == "stopped"
    assert post(supervisor, f"{path}/stop", REASON).status_code == 409
    assert post(supervisor, f"{path}/withdraw", REASON).json()["package"]["shared"] is True
    listed = supervisor.get(PATH, params={"standing": "withdrawn"}).json()["packages"]
    assert package["bundle"]["id"] in {one["package"]["bundle"]["id"] for one in listed}


@pytest.mark.parametrize(
    "changes",
    [
        {"error": {"type": "measured", "on": "some", "at": "2026-11-01"}},
        {"error": None},
        {"error": {**ERROR, "looked": 1}},
        {"error": "from-trial"},
        {"typology": {**TYPOLOGY, "passed_on_percent_min": 500}},
        {"typology": None},
        {"offences": []},
        {"offences": ["lèse-majesté"]},
        {"playbook": {"type": "playbook"}},
        {"replaces": "package--1"},
        {"name": "x"},
    ],
)
def test_a_package_without_its_error_or_content_is_refused(
    world: World, changes: dict[str, Any]
) -> None:
    refused = post(world.as_("investigator"), PATH, body(**changes))
    assert refused.status_code == 400
    assert refused.json()["detail"] or refused.json()["errors"]


def test_legal_rules_are_packed_and_compared(server: Server, world: World, tmp_path: Path) -> None:
    key = world.keys["supervisor"]
    words = ["--name", "Law of Singapore", "--summary", "As we know it", "--licence", "CC0-1.0"]
    made = server.run_json("practice", "make", "SG", *words, key=key)["package"]["bundle"]
    assert (made["kind"], made["rules"]["jurisdiction"]) == ("rules", "SG")
    assert made["error"]["type"] == "not-measured"
    shown = server.run("practice", "show", made["id"], key=key).stdout.decode()
    assert "SG-victim" in shown
    refused = post(world.as_("supervisor"), f"{PATH}/{made['id']}/take-on", REASON)
    assert (refused.status_code, refused.json()["code"]) == (403, "never-acts")
    page = tmp_path / "law.html"
    server.run_json("practice", "rules", "TH", "SG", "--out", str(page), key=key)
    assert "Singapore" in page.read_text("utf-8")
    assert world.as_("nobody").get(f"{PATH}/rules").status_code == 401
    assert world.as_("KBANK-machine").get(f"{PATH}/rules").status_code == 403
    agent = world.as_("agent")
    asked = agent.get(f"{PATH}/rules", params={"jurisdiction": ["SG", "TH"]}).json()
    assert [one["column"] for one in asked["jurisdictions"]] == ["SG", "TH"], "ours, once"
    assert agent.get(f"{PATH}/rules", params={"jurisdiction": "ZZ"}).status_code == 404
    for rules in ("ZZ", "../SG", {"jurisdiction": "SG"}):
        wrong = post(world.as_("investigator"), PATH, body(typology=None, rules=rules, error=NONE))
        assert wrong.status_code in (400, 404), rules


@pytest.mark.parametrize("field", ["packages", "scripts"])
def test_lists_come_by_pages_the_last_changed_first(
    server: Server, world: World, number: str, field: str
) -> None:
    investigator, supervisor = world.as_("investigator"), world.as_("supervisor")
    path = PATH if field == "packages" else "/v1/scripts"
    for turn in range(3):
        made = body(name=f"Account {number} {turn}")
        if field == "scripts":
            text = f"They said number {turn}: pay a fee first."
            made = {"language": "en", "medium": "call", "offences": ["mule-account"]}
            made |= {"text": text, "reason": "heard", "names": []}
        assert post(investigator, path, made).status_code == 201
    whole = supervisor.get(path, params={"limit": 200}).json()
    assert whole["cursor"] is None
    found, cursor = list[Any](), None
    while cursor or not found:
        asked: dict[str, Any] = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = supervisor.get(path, params=asked).json()
        assert len(page[field]) <= 2
        found += page[field]
        cursor = page["cursor"]
    assert found == whole[field]
    word = "practice" if field == "packages" else "script"
    key = world.keys["supervisor"]
    assert server.run_json(word, "list", "--limit", "3", key=key)[field] == found[:3]
    assert supervisor.get(path, params={"cursor": "x"}).status_code == 400


def test_what_is_not_there(world: World) -> None:
    supervisor = world.as_("supervisor")
    nobody = "package--00000000-0000-4000-8000-000000000000"
    assert supervisor.get(f"{PATH}/{nobody}").status_code == 404
    assert supervisor.get(f"{PATH}/nothing").status_code == 400
    assert post(supervisor, f"{PATH}/fetch", {"partner": "NOBODY"}).json()["error"]
    assert supervisor.get("/v1/scripts/nothing").status_code == 400


def test_by_command_from_the_shelf_to_a_script_in_other_words(
    server: Server, world: World, number: str, tmp_path: Path
) -> None:
    key = world.keys["supervisor"]
    assert len(server.run_json("practice", "shelf")["shelf"]) == 4
    words = ["--name", "First hour", "--summary", "What people do", "--licence", "CC-BY-4.0"]
    words += ["--offence", "mule-account", "--not-measured", "not timed yet"]
    made = server.run_json("practice", "make", "first-hour", *words, key=key)
    package = made["package"]["bundle"]["id"]
    server.run_json("practice", "take-on", package, "--reason", "read it", key=key)
    shown = server.run("practice", "show", package, key=key).stdout.decode()
    assert "a second person has to" in shown
    assert "not measured: not timed yet" in shown
    assert "Is the payment known to the ledger?" in shown
    exported = tmp_path / "playbook.json"
    exported.write_bytes(server.run("practice", "show", package, "--cacao", key=key).stdout)
    assert server.run_json("practice", "read", str(exported))["playbook"]["type"] == "playbook"
    exported.write_text(exported.read_text().replace('"end--', '"end-'))
    refused = server.run("practice", "read", str(exported))
    assert refused.returncode == 1
    assert b"workflow" in refused.stderr

    row = transfer(number)
    tell(world.as_("KBANK-machine"), row)
    said = f"Mr Anan from the bank said: install the app, send the OTP, call {number}0."
    filed = report(row, narrative=said)
    case = post(world.as_("KBANK-machine"), "/v1/reports", filed).json()["case"]
    words = ["--case", case, "--language", "en", "--medium", "call", "--offence", "remote-control"]
    words += ["--remove", "Anan", "--reason", "new wording"]
    script = server.run_json("script", "draft", *words, key=key)
    assert number not in script["text"]
    assert "Anan" not in script["text"]
    server.run_json("script", "approve", script["id"], "--reason", "read it", key=key)
    asked = "ธนาคารให้ติดตั้งแอปพลิเคชันแล้วขอรหัส OTP".encode()
    found = server.run_json("script", "find", "-", key=key, stdin=asked)["found"]
    assert script["id"] in {one["script"]["id"] for one in found}
    listed = msgspec.json.encode(server.run_json("script", "list", key=key))
    assert number.encode() not in listed
