"""API: indicators: what a report named is there soon; who may look and decide."""

from __future__ import annotations

import time
from typing import Any

from openaoc.workflow.duties import UNHURRIED_SECONDS_MAX
from tests.cli.world import World, post, report, tell, transfer

PATH = "/v1/indicators"
SECONDS_MAX = 3 * UNHURRIED_SECONDS_MAX
"""What nobody hurries comes so late on a machine whose rounds are long, and a round later."""


def named(world: World, value: str) -> dict[str, Any]:
    """The indicator of this value, once the centre has taken the report."""
    until = time.monotonic() + SECONDS_MAX
    while time.monotonic() < until:
        page = world.as_("investigator").get(PATH, params={"kind": "bank_account"}).json()
        for one in page["indicators"]:
            if one["value"] == value:
                return dict(one)
        time.sleep(0.5)
    raise AssertionError(value)


def test_a_reports_account_is_proposed_and_a_person_decides(world: World, number: str) -> None:
    row = transfer(number)
    assert tell(world.as_("KBANK-machine"), row).status_code == 201
    filed = post(world.as_("KBANK-machine"), "/v1/reports", report(row)).json()
    found = named(world, f"{row['creditor_bank']}:{row['creditor_account']}")
    path = f"{PATH}/{found['id']}"
    assert found["status"] == "proposed"
    shown = world.as_("agent").get(path).json()
    assert [s["source"] for s in shown["sources"]] == ["institution:KBANK"]
    assert shown["sources"][0]["case_id"] == filed["case"]
    for who in ("KBANK-machine", "SCB-liaison", "oversight"):
        assert world.as_(who).get(path).status_code == 403, who
    body = {"reason": "the holder's statement agrees"}
    assert post(world.as_("agent"), f"{path}/confirm", body).status_code == 403
    assert post(world.as_("supervisor"), f"{path}/confirm", {"reason": ""}).status_code == 400
    confirmed = post(world.as_("supervisor"), f"{path}/confirm", body)
    assert confirmed.json()["status"] == "confirmed"
    assert post(world.as_("supervisor"), f"{path}/confirm", body).status_code == 409
    withdrawn = post(world.as_("investigator"), f"{path}/withdraw", body).json()
    assert (withdrawn["status"], withdrawn["confidence"]) == ("withdrawn", 0)


def test_what_is_not_there(world: World) -> None:
    assert world.as_("supervisor").get(f"{PATH}/indicator--none").status_code == 404
    assert world.as_("supervisor").get(PATH, params={"kind": "fax"}).status_code == 400
    assert world.as_("supervisor").get(PATH, params={"cursor": "x"}).status_code == 400
