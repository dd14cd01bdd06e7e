"""API: a citizen proves to control the paying account with the code that the bank showed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from openaoc.channels.signing import PublicJwk
from tests.channels.institution import Stub, serving
from tests.channels.test_delivery import wait_for
from tests.cli.world import World, post, report, tell, transfer

BANK = "UOB"


@pytest.fixture(scope="module")
def bank(world: World) -> Iterator[Stub]:
    """A live bank with a system that shows codes to its customers."""
    with serving(Stub(BANK)) as stub:
        jwks = world.as_("nobody").get("/.well-known/jwks.json").json()
        stub.keys = {jwk["kid"]: msgspec.convert(jwk, PublicJwk) for jwk in jwks["keys"]}
        world.add_institution(BANK, endpoint=stub.url)
        world.go_live(f"institution:{BANK}")
        yield stub


def citizens_case(world: World, number: str, bank: str = BANK) -> dict[str, Any]:
    row = transfer(number, debtor_bank=bank, reported_by=bank)
    assert tell(world.as_("feed"), row).status_code == 201
    body = report(row, channel="web", proof={"kind": "account_control"})
    receipt: dict[str, Any] = post(world.as_("nobody"), "/v1/reports", body).json()
    assert receipt["standing"] == "needs_person"
    return receipt


def send(
    world: World, receipt: dict[str, Any], verb: str, body: object, *, secret: str | None = None
) -> httpx.Response:
    """As the citizen, with the case's secret unless told otherwise."""
    known = receipt["secret"] if secret is None else secret
    path = f"/v1/cases/{receipt['case']}/{verb}"
    return post(world.as_("nobody"), path, body, OpenAOC_Case_Secret=known)


def shown(bank: Stub, number: str) -> dict[str, Any]:
    """What the bank shows to the holder of the account."""

    def found() -> list[dict[str, Any]]:
        return [
            message["body"]
            for message in list(bank.effects.values())
            if message["kind"] == "control.check" and message["body"]["account"] == f"1{number}"
        ]

    assert wait_for(lambda: bool(found()))
    return found()[-1]


def test_the_code_goes_by_way_of_the_bank_and_orders_go_out(
    world: World, bank: Stub, number: str
) -> None:
    receipt = citizens_case(world, number)
    asked = send(world, receipt, "control-checks", {})
    assert asked.status_code == 200, asked.text
    [account] = asked.json()["accounts"]
    assert (account["state"], account["institution"]) == ("asked", BANK)
    assert account["account"].endswith(number[-4:])
    assert number not in account["account"]
    message = shown(bank, number)
    code = message["code"]
    assert len(code) == 8
    assert code.isdigit()
    assert set(message["text"]) == {"th", "en"}
    assert bank.bad_signatures == 0
    wrong = f"{(int(code) + 1) % 10**8:08d}"
    stranger = {**receipt, "case": "AOC-0000-0000-0"}
    refused = [
        send(world, receipt, "control", {"code": wrong}),
        send(world, receipt, "control", {"code": code}, secret="AAAA-AAAA-AAAA-AAAA"),
        send(world, receipt, "control", {"code": code}, secret=""),
        send(world, receipt, "control", {"code": code}, secret="x" * 500),
        send(world, stranger, "control", {"code": code}),
        send(world, {**receipt, "case": "%00"}, "control", {"code": code}),
    ]
    assert {answer.status_code for answer in refused} == {403}
    assert len({answer.text for answer in refused}) == 1
    proven = send(world, receipt, "control", {"code": code})
    assert proven.status_code == 200, proven.text
    assert proven.json() == {"case": receipt["case"], "standing": "automatic", "left": 0}
    view = world.as_("supervisor").get(f"/v1/cases/{receipt['case']}").json()
    assert [order["state"] for order in view["orders"]] == ["issued"]
    assert code not in world.server.log()


def test_who_may_have_codes_sent(world: World, bank: Stub, number: str) -> None:
    receipt = citizens_case(world, number)
    path = f"/v1/cases/{receipt['case']}/control-checks"
    for who in ("administrator", "oversight", "officer", "KBANK-machine", "SCB-liaison"):
        assert post(world.as_(who), path, {}).status_code == 403, who
    assert post(world.as_("nobody"), path, {}).status_code == 404
    assert send(world, receipt, "control-checks", {}, secret="no").status_code == 404
    for who in ("agent", "investigator", "supervisor"):
        assert post(world.as_(who), path, {}).status_code == 200, who
    assert shown(bank, number)["case"] == receipt["case"]


def test_a_bank_without_a_system_is_not_asked(world: World, number: str) -> None:
    receipt = citizens_case(world, number, bank="BBL")
    [account] = send(world, receipt, "control-checks", {}).json()["accounts"]
    assert account["state"] == "not_asked"
    assert "a person looks" in account["why"]


@pytest.mark.parametrize("body", [{}, {"code": 12345678}, {"code": ""}, {"code": "1" * 99}])
def test_what_is_no_code_is_wrong_input(world: World, body: dict[str, Any]) -> None:
    receipt = {"case": "AOC-0000-0000-0", "secret": "x"}
    assert send(world, receipt, "control", body).status_code == 400
