"""API: pooled accounts: who lists, who proposes, who sees; traces stop there at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.world import World, post, report, tell, transfer

PATH = "/v1/institutions/SCB/pooled-accounts"


def entry(number: str, **changes: Any) -> dict[str, Any]:
    return {"account": f"2{number}", "kind": "acquirer", "reason": "settles for shops"} | changes


def mine(world: World, number: str, who: str = "supervisor") -> list[dict[str, Any]]:
    accounts = world.as_(who).get(PATH).json()["accounts"]
    return [one for one in accounts if one["account"] == f"2{number}"]


def test_listed_by_a_person_it_stops_the_next_trace(world: World, number: str) -> None:
    for who in ("agent", "investigator", "oversight", "SCB-liaison", "BBL-machine"):
        assert post(world.as_(who), PATH, entry(number)).status_code == 403, who
    proposed = post(world.as_("SCB-machine"), PATH, entry(number))
    assert (proposed.status_code, proposed.json()["state"]) == (200, "proposed")
    assert mine(world, number, "SCB-machine") == [proposed.json()]
    assert world.as_("BBL-machine").get(PATH).status_code == 403
    confirmed = post(world.as_("supervisor"), PATH, entry(number))
    assert (confirmed.status_code, confirmed.json()["state"]) == (200, "confirmed")
    row = transfer(number)
    assert tell(world.as_("KBANK-machine"), row).status_code == 201
    second = transfer(f"{number}9", creditor_account=f"2{number}")
    assert tell(world.as_("KBANK-machine"), second).status_code == 201
    # Listed again, what it changes is nothing, and what it means is looked up anew.
    assert post(world.as_("supervisor"), PATH, entry(number, kind="own")).status_code == 200
    receipt = post(world.as_("KBANK-machine"), "/v1/reports", report(row)).json()
    assert (receipt["orders"], receipt["located_minor"]) == ([], 500_000)
    gone = world.as_("supervisor").delete(f"{PATH}/2{number}", params={"reason": "one shop's"})
    assert gone.status_code == 204
    later = post(world.as_("KBANK-machine"), "/v1/reports", report(second)).json()
    assert [order["state"] for order in later["orders"]] == ["issued"]


@pytest.mark.parametrize(
    "change", [{"kind": "secret"}, {"reason": ""}, {"account": ""}, {"account": "-"}, {"x": 1}]
)
def test_wrong_input_is_refused(world: World, number: str, change: dict[str, Any]) -> None:
    refused = post(world.as_("supervisor"), PATH, entry(number, **change))
    assert refused.status_code == 400
    assert mine(world, number) == []


def test_what_is_not_there(world: World, number: str) -> None:
    supervisor = world.as_("supervisor")
    unknown = "/v1/institutions/NOBODY/pooled-accounts"
    assert supervisor.get(unknown).status_code == 404
    assert post(supervisor, unknown, entry(number)).status_code == 404
    missing = supervisor.delete(f"{PATH}/2{number}", params={"reason": "not there"})
    assert missing.status_code == 404
    assert supervisor.delete(f"{PATH}/2{number}").status_code == 400


def test_search_proposes_for_persons_of_the_centre(world: World) -> None:
    path = "/v1/pooled-accounts/search"
    assert post(world.as_("SCB-machine"), path, {}).status_code == 403
    assert post(world.as_("supervisor"), path, {"counterparties_min": 5}).status_code == 400
    found = post(world.as_("supervisor"), path, {})
    assert (found.status_code, found.json()) == (200, {"accounts": []})
