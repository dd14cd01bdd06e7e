"""API: the payer's institution confirms, and tells the payment where no feed did."""

from __future__ import annotations

from typing import Any

from tests.cli.world import World, post, report, transfer


def _case(world: World, number: str) -> tuple[str, dict[str, Any]]:
    """A case of an agent, about a payment nobody told."""
    row = transfer(number)
    told = report(row, channel="hotline", proof={"kind": "none"})
    for payment in told["payments"]:
        del payment["transfer_id"], payment["reported_by"]
    receipt = post(world.as_("agent"), "/v1/reports", told)
    assert receipt.status_code == 201, receipt.text
    assert (receipt.json()["standing"], receipt.json()["orders"]) == ("needs_person", [])
    return receipt.json()["case"], row


def test_a_confirmation_may_tell_the_payment(world: World, number: str) -> None:
    case, row = _case(world, number)
    path = f"/v1/cases/{case}/confirmation"
    machine = world.as_("KBANK-machine")
    foreign = {"transfers": [{**row, "debtor_bank": "SCB"}]}
    assert post(machine, path, foreign).status_code == 400
    assert post(machine, path, {"transfer": []}).status_code == 400
    assert post(world.as_("SCB-machine"), path, {"transfers": [row]}).status_code == 400
    assert post(world.as_("KBANK-liaison"), path, {"transfers": [row]}).status_code == 403
    done = post(machine, path, {"transfers": [row]})
    assert (done.status_code, done.json()["standing"]) == (200, "automatic"), done.text
    orders = world.as_("SCB-liaison").get("/v1/holds", params={"case": case}).json()["orders"]
    assert [(o["account"], o["amount_minor"]) for o in orders] == [(f"2{number}", 500_000)]
    again = machine.post(path, headers={"Idempotency-Key": "k" * 8})
    assert again.json() == done.json(), "without a body it confirms alone"
