"""A bank as a partner over HTTP and by command: take-downs, advisories, plain JSON, usefulness."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from openaoc.channels.signer import read_signing_key
from openaoc.channels.signing import SigningKey, sign
from tests.api.test_indicators import SECONDS_MAX, named
from tests.cli.world import World, fresh_key, moment, post, report, tell, transfer

CODE = "TH-BANKX"
CENTRE = "OPENAOC-TH"
INDICATOR = ("identifier_kind", "value", "scam_types", "status")
TAKE_DOWN = (
    "identifier_kind", "value", "target", "asks", "reason", "reports", "acknowledge_by", "act_by",
)  # fmt: skip
ADVISORY = (
    "sort", "severity", "title_en", "happening_en", "action_en", "acknowledge_by", "indicators",
)  # fmt: skip
LINK = ("relationship_type", "source", "target")


def terms() -> dict[str, Any]:
    """What a bank at home may have."""
    now = datetime.now(UTC)
    kinds = ["bank_account", "phone"]
    return {
        "partner": CODE,
        "purposes": ["unsorted-scam", "impersonation"],
        "legal_basis": "Royal decree on technology crime, section 4",
        "highest_marking": "amber",
        "daily_objects_max": 1000,
        "retention_days": 90,
        "contact": {"name": "fraud desk", "email": "fraud@bank.example"},
        "starts_at": (now - timedelta(days=1)).isoformat(),
        "ends_at": (now + timedelta(days=300)).isoformat(),
        "grants": {
            "indicator": {"fields": dict.fromkeys(INDICATOR, "as-is"), "identifier_kinds": kinds},
            "take-down": {"fields": dict.fromkeys(TAKE_DOWN, "as-is"), "identifier_kinds": kinds},
            "advisory": {"fields": dict.fromkeys(ADVISORY, "as-is")},
            "campaign": {"fields": {"name": "as-is", "scam_types": "as-is"}},
            "relationship": {"fields": dict.fromkeys(LINK, "as-is")},
        },
    }


@pytest.fixture(scope="module")
def bank(world: World, tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """A bank with a key of its own and an agreement in force; reachable as `as_(CODE)`."""
    run, folder = world.server.run_json, tmp_path_factory.mktemp("bank")
    admin = world.as_("administrator")
    body = {
        "code": CODE,
        "name": "A bank",
        "kind": "bank",
        "jurisdiction": "TH",
        "contact": {"name": "fraud desk", "email": "fraud@bank.example"},
    }
    assert post(admin, "/v1/exchange/partners", body).status_code == 201
    made = post(admin, f"/v1/exchange/partners/{CODE}/users", {"name": CODE})
    world.keys[CODE] = made.json()["api_key"]
    pair = run("institution", "key", "new", str(folder / "their.key"))
    key = run("exchange", "partner", "key", CODE, pair["public"])
    verify = ("exchange", "partner", "verify", CODE, key["kid"], "--with", "Ms Tan, by phone")
    run(*verify, "--fingerprint", key["fingerprint"], key=world.keys["supervisor"])
    file = folder / "terms.json"
    file.write_bytes(msgspec.json.encode(terms()))
    draft = run("exchange", "agreement", "draft", str(file), key=world.keys["officer"])
    for who in ("officer", "supervisor"):
        run("exchange", "agreement", "approve", draft["id"], key=world.keys[who])
    return read_signing_key(folder / "their.key")


@pytest.fixture
def account(world: World, bank: SigningKey, number: str) -> dict[str, Any]:
    """An account that a bank's report named and a person confirmed, as an indicator."""
    assert bank.kid
    row = transfer(number)
    assert tell(world.as_("KBANK-machine"), row).status_code == 201
    assert post(world.as_("KBANK-machine"), "/v1/reports", report(row)).status_code == 201
    found = named(world, f"{row['creditor_bank']}:{row['creditor_account']}")
    body = {"reason": "the holder's statement agrees"}
    path = f"/v1/indicators/{found['id']}/confirm"
    confirmed: dict[str, Any] = post(world.as_("supervisor"), path, body).json()
    return confirmed


def until(world: World, path: str, field: str, wanted: str) -> dict[str, Any]:
    """What the bank reads, once the object is there."""
    end = time.monotonic() + SECONDS_MAX
    while time.monotonic() < end:
        answer = world.as_(CODE).get(path)
        assert answer.status_code == 200, answer.text
        for one in answer.json()[field]:
            if wanted in (one.get("id"), one.get("object", {}).get("id")):
                return dict(one)
        time.sleep(0.3)
    raise AssertionError(wanted)


def test_a_take_down_by_command_and_a_signed_receipt(
    world: World, bank: SigningKey, account: dict[str, Any]
) -> None:
    run, investigator = world.server.run_json, world.keys["investigator"]
    words = [
        *("takedown", "draft", account["id"], CODE, "--basis", "Decree, section 4"),
        *("--reason", "money of a victim came to it"),
    ]
    wrong = world.server.run(*words, "--target", "number", key=investigator)
    assert wrong.returncode == 1
    assert b"is no number" in wrong.stderr
    one = run(*words, "--target", "money-account", key=investigator)
    assert (one["state"], one["asks"]) == ("drafted", ["reviewed", "account-restricted"])
    for who in ("agent", "officer", "KBANK-machine"):
        path = f"/v1/takedowns/{one['id']}/approve"
        assert post(world.as_(who), path, {"reason": "mine"}).status_code == 403, who
    run("takedown", "approve", one["id"], "--reason", "looked at it", key=investigator)
    asked = until(world, "/v1/exchange/takedowns", "takedowns", one["id"])
    assert asked["request"]["fields"]["value"] == account["value"]
    assert "legal_basis" not in asked["request"]["fields"]
    said = {"takedown": one["id"], "number": 1, "outcome": "done", "done": ["account-frozen"]}
    body = msgspec.json.encode(said)
    now = datetime.now(UTC)
    signature = sign(body, key=bank, method="RECEIPT", path=one["id"], now=now, audience=CENTRE)
    path = f"/v1/exchange/takedowns/{one['id']}/receipts"
    bad = post(world.as_(CODE), path, said | {"number": 2}, Receipt_Signature=signature)
    assert bad.status_code == 401
    assert post(world.as_("MY-NSRC"), path, said).status_code == 404
    assert post(world.as_("supervisor"), path, said).status_code == 403
    done = post(world.as_(CODE), path, said, Receipt_Signature=signature)
    assert (done.status_code, done.json()["state"]) == (200, "done")
    shown = run("takedown", "show", one["id"], key=investigator)
    assert shown["receipts"][0]["kid"] == bank.kid
    assert shown["receipts"][0]["signature"] == signature
    look = ("takedown", "look", one["id"], "--gone", "--reason", "no payment goes in")
    assert run(*look, key=investigator)["state"] == "verified"
    paper = world.server.run("takedown", "document", one["id"], key=investigator)
    assert b"OPENAOC_CONTACT" in paper.stderr
    listed = run("takedown", "list", "--state", "verified", key=investigator)["takedowns"]
    assert one["id"] in [each["id"] for each in listed]
    assert run("takedown", "received", key=investigator) == {"takedowns": []}
    taken = ("takedown", "withdraw", one["id"], "--wrong", "--reason", "a shop's account")
    assert run(*taken, key=investigator)["state"] == "withdrawn"
    back = until(world, "/v1/exchange/takedowns", "takedowns", one["id"])
    assert (back["restore"], back["request"]["revoked"]) == (True, True)


def test_an_advisory_by_command_is_acknowledged(
    world: World, bank: SigningKey, tmp_path: Path
) -> None:
    assert bank.kid
    run = world.server.run_json
    file = tmp_path / "advisory.toml"
    text = (Path(__file__).parents[2] / "examples/advisory.toml").read_text("utf-8")
    until_when = (datetime.now(UTC) + timedelta(days=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    file.write_text(text.replace("2027-01-31T00:00:00Z", until_when), "utf-8")
    one = run("advisory", "draft", str(file), key=world.keys["investigator"])
    for who in ("supervisor", "officer"):
        words = ("advisory", "approve", one["id"], "--reason", "read it")
        published = run(*words, key=world.keys[who])
    assert published["state"] == "published"
    read = until(world, "/v1/exchange/advisories", "advisories", one["id"])
    assert "title_th" not in read["advisory"]["fields"]
    assert read["advisory"]["fields"]["title_en"].startswith("False banking apps")
    path = f"/v1/exchange/advisories/{one['id']}/acknowledge"
    assert post(world.as_("MY-NSRC"), path, {"by": "desk"}).status_code == 404
    answer = post(world.as_(CODE), path, {"by": "fraud desk"})
    assert answer.json()["acknowledged"]["by"] == "fraud desk"
    view = run("advisory", "show", one["id"], key=world.keys["officer"])
    assert CODE not in view["unread"]
    sectors = run("advisory", "sectors", key=world.keys["officer"])["sectors"]
    assert CODE in next(s["partners"] for s in sectors if s["code"] == "banking")
    gone = ("advisory", "withdraw", one["id"], "--reason", "the app is gone")
    assert run(*gone, key=world.keys["supervisor"])["state"] == "withdrawn"
    assert run("advisory", "received", key=world.keys["officer"]) == {"advisories": []}


def test_a_campaign_by_command_is_read_with_its_indicator(
    world: World, account: dict[str, Any]
) -> None:
    def run(*words: str, who: str = "investigator") -> Any:
        return world.server.run_json("campaign", *words, key=world.keys[who])

    seen = ("--first-seen", moment(60), "--scam", "unsorted-scam", "--marking", "green")
    one = run("name", "False tax refunds", "--description", "A call, then an app.", *seen)
    assert (one["state"], one["words"]) == ("named", None)
    why = ("--reason", "the same app")
    view = run("attach", one["id"], account["id"], *why)
    assert [each["indicator"] for each in view["indicators"]] == [account["id"]]
    again = run("correct", one["id"], "--name", "Tax refunds")
    assert again["proposed"]["description"] == "A call, then an app."
    assert run("approve", one["id"], *why, who="supervisor")["state"] == "published"
    read = until(world, "/v1/exchange/objects", "objects", one["id"])
    assert read["object"]["fields"] == {"name": "Tax refunds", "scam_types": ["unsorted-scam"]}
    link = until(world, "/v1/exchange/objects", "objects", view["indicators"][0]["relationship"])
    assert link["object"]["refs"] == {"source": [account["id"]], "target": [one["id"]]}
    explain = ("exchange", "explain", one["id"], CODE)
    told = world.server.run_json(*explain, key=world.keys["investigator"])
    assert told["leaves"]
    assert {f["name"] for f in told["fields"] if not f["leaves"]} == {"description", "first_seen"}
    assert run("detach", one["id"], account["id"], *why)["indicators"] == []
    assert run("withdraw", one["id"], *why)["state"] == "withdrawn"


def test_a_campaign_is_made_once_however_often_it_is_sent(world: World) -> None:
    investigator, key = world.as_("investigator"), fresh_key()
    said = {
        "name": "False parcels",
        "description": "A message, then a form.",
        "scam_types": ["unsorted-scam"],
        "marking": "green",
        "first_seen": moment(60),
    }
    first = post(investigator, "/v1/campaigns", said, **key)
    again = post(investigator, "/v1/campaigns", said, **key)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = post(investigator, "/v1/campaigns", {**said, "name": "Parcels"}, **key)
    assert (other.status_code, other.json()["code"]) == (409, "repeated-differently")
    bare = investigator.post("/v1/campaigns", json=said)
    assert (bare.status_code, bare.json()["code"]) == (400, "key-missing")
    listed = investigator.get("/v1/campaigns").json()["campaigns"]
    waiting = [one["proposed"]["name"] for one in listed if one["state"] == "named"]
    assert waiting.count("False parcels") == 1


PAGED = {
    "/v1/advisories": ("supervisor", "advisories"),
    "/v1/advisories/received": ("supervisor", "advisories"),
    "/v1/campaigns": ("supervisor", "campaigns"),
    "/v1/cases": ("supervisor", "cases"),
    "/v1/matches": ("supervisor", "hits"),
    "/v1/operations": ("supervisor", "operations"),
    "/v1/protection/marks": ("officer", "marks"),
    "/v1/protection/referrals": ("officer", "referrals"),
    "/v1/takedowns": ("supervisor", "takedowns"),
    "/v1/takedowns/received": ("supervisor", "takedowns"),
}


def test_lists_are_paged_alike(world: World) -> None:
    for path, (who, field) in PAGED.items():
        client = world.as_(who)
        page = client.get(path, params={"limit": 1}).json()
        assert set(page) == {field, "cursor"}, path
        assert len(page[field]) <= 1, path
        for wrong in ({"limit": 0}, {"limit": 201}, {"cursor": "no-such"}, {"cursor": "9" * 300}):
            answer = client.get(path, params=wrong)
            assert answer.status_code == 400, (path, wrong)
    key = world.keys["supervisor"]
    assert len(world.server.run_json("campaign", "list", "--limit", "1", key=key)["campaigns"]) == 1


def test_plain_json_in_and_out(
    world: World, bank: SigningKey, account: dict[str, Any], number: str, tmp_path: Path
) -> None:
    assert bank.kid
    ours = until(world, "/v1/exchange/objects", "objects", account["id"])
    assert ours["object"]["fields"]["value"] == account["value"]
    after = {"after": ours["sequence"]}
    behind = world.as_(CODE).get("/v1/exchange/objects", params=after).json()["objects"]
    assert account["id"] not in [one["object"]["id"] for one in behind]
    assert world.as_("MY-NSRC").get("/v1/exchange/objects").json()["objects"] == []
    value = f"+6681{number[-7:]}"
    batch = {
        "indicators": [
            {"ref": "p-1", "identifier_kind": "phone", "value": value, "scam_types": ["job"]},
            {"ref": "p-2", "identifier_kind": "phone", "value": value,
             "scam_types": ["unsorted-scam"]},
        ],
        "sightings": [{"ref": "s-1", "of": account["id"], "last_seen": moment(5), "count": 2}],
    }  # fmt: skip
    file = tmp_path / "batch.json"
    file.write_bytes(msgspec.json.encode(batch))
    told = world.server.run_json("exchange", "tell", str(file), key=world.keys[CODE])
    assert (told["objects"], told["taken"], told["signed_by"]) == (3, 2, None)
    assert [one["ref"] for one in told["not_taken"]] == ["p-1"]
    assert "purpose" in told["not_taken"][0]["reason"]
    wrong = post(world.as_(CODE), "/v1/exchange/objects", {"indicators": [{"ref": "x"}]})
    assert wrong.status_code == 400
    assert post(world.as_("supervisor"), "/v1/exchange/objects", batch).status_code == 403
    rows = world.server.run_json("exchange", "usefulness", key=world.keys["officer"])["partners"]
    mine = next(one for one in rows if one["partner"] == CODE)
    assert (mine["gave"]["given"], mine["got"]["sighted"]) == (1, 1)
    own = world.as_(CODE).get("/v1/exchange/usefulness").json()
    assert [one["partner"] for one in own["partners"]] == [CODE]
    shown = world.server.run_json("exchange", "objects", CODE, key=world.keys["officer"])
    assert account["id"] in [one["object"]["id"] for one in shown["objects"]]
    assert world.as_("agent").get("/v1/exchange/usefulness").status_code == 403
