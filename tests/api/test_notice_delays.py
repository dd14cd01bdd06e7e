"""API and commands: a holder is told later by two persons' word, and told after all."""

from __future__ import annotations

from tests.api.test_decisions import citizens_case
from tests.cli.server import Server
from tests.cli.world import World, moment, post


def test_from_proposal_to_the_holders_notice(world: World, server: Server, number: str) -> None:
    receipt = citizens_case(world, number)
    case, order = receipt["case"], receipt["orders"][0]["order"]
    new = {"until": moment(-60), "authority": "Cyber police 9/2569", "reason": "a raid at dawn"}
    path = f"/v1/cases/{case}/notice-delays"
    for who in ("agent", "oversight", "SCB-liaison", "SCB-machine", "administrator"):
        assert post(world.as_(who), path, new).status_code == 403, who
    assert post(world.as_("investigator"), path, {**new, "until": "soon"}).status_code == 400
    delay = post(world.as_("investigator"), path, new).json()["id"]
    assert post(world.as_("investigator"), path, new).status_code == 409
    agree = f"/v1/notice-delays/{delay}/agree"
    why = {"reason": "seen the letter"}
    assert post(world.as_("investigator"), agree, why).status_code == 403
    assert post(world.as_("supervisor"), agree, why).json()["state"] == "in_force"
    assert world.as_("SCB-liaison").get(path).status_code == 403
    assert post(world.as_("supervisor"), f"/v1/holds/{order}/approve", {}).status_code == 200
    liaison = world.as_("SCB-liaison")
    [seen] = liaison.get("/v1/holds", params={"case": case}).json()["orders"]
    assert seen["notice_delayed_until"] is not None
    refused = liaison.get(f"/v1/holds/{order}/notice")
    assert (refused.status_code, "until" in refused.json()["detail"]) == (403, True)
    [kept] = world.as_("supervisor").get(path).json()["delays"]
    assert (kept["id"], kept["waiting"]) == (delay, 1)
    key = world.keys["supervisor"]
    shown = server.run_json("case", "notice", "list", case, key=key)["delays"]
    assert [(one["id"], one["state"]) for one in shown] == [(delay, "in_force")]
    ended = server.run_json("case", "notice", "end", delay, "--reason", "it is over", key=key)
    assert (ended["state"], ended["waiting"]) == ("ended", 0)
    told = liaison.get(f"/v1/holds/{order}/notice")
    assert told.json()["contest_code"]
    again = ("--until", moment(-60), "--authority", "Cyber police 10/2569", "--reason", "another")
    proposed = server.run_json("case", "notice", "delay", case, *again, key=key)
    agreed = ("case", "notice", "agree", proposed["id"], "--reason", "I agree with myself")
    assert server.run(*agreed, "--json", key=key).returncode == 1
