"""API: an institution that speaks ISO 20022 gets its orders so, and answers so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from openaoc.channels.iso20022 import camt029, camt056, pacs004, pacs008
from openaoc.channels.iso20022.camt029 import IsoAnswer
from openaoc.channels.iso20022.xml import Money
from openaoc.channels.signing import HEADER, new_signing_key, sign
from tests.api.test_holds import order_at
from tests.channels.institution import Stub, serving
from tests.channels.test_delivery import wait_for
from tests.cli.world import World, fresh_key, post, shown

PATH = "/v1/iso20022"
XML = {"Content-Type": "application/xml"}


class IsoStub(Stub):
    """A bank's system that takes camt.056, and JSON for what that has no form for."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.asked: list[camt056.Request] = []

    def take(self, path: str, headers: Any, body: bytes) -> int:
        if path != PATH:
            return super().take(path, headers, body)
        assert headers["content-type"] == "application/xml"
        message = camt056.read(body)
        assert (message.centre, message.institution) == ("OPENAOC-TH", self.code)
        with self.lock:
            self.asked += message.requests
        return 202

    def order(self, order: dict[str, Any]) -> camt056.HoldRequest | None:
        return next(
            (
                one
                for one in self.asked
                if isinstance(one, camt056.HoldRequest) and one.order == order["order"]
            ),
            None,
        )

    def end(self, order: dict[str, Any]) -> camt056.EndRequest | None:
        return next(
            (
                one
                for one in self.asked
                if isinstance(one, camt056.EndRequest) and one.order == order["order"]
            ),
            None,
        )


@pytest.fixture(scope="module")
def bank(world: World) -> Iterator[IsoStub]:
    with serving(IsoStub("ISOB")) as stub:
        assert isinstance(stub, IsoStub)
        body = {
            "code": "ISOB",
            "name": "ISOB",
            "endpoint": stub.url,
            "message_format": "iso20022",
        }
        added = post(world.as_("administrator"), "/v1/institutions", body)
        assert (added.status_code, added.json()["message_format"]) == (201, "iso20022")
        world.add_user("ISOB-machine", "machine", "ISOB")
        world.go_live("institution:ISOB")
        yield stub


def _send(world: World, *answers: IsoAnswer, who: str = "ISOB-machine") -> httpx.Response:
    document = camt029.write(
        camt029.Answers(
            message_id="m",
            institution="ISOB",
            centre="OPENAOC-TH",
            at=datetime.now(UTC),
            answers=answers,
        )
    )
    return world.as_(who).post(PATH, content=document, headers=XML)


def _view(world: World, order: dict[str, Any]) -> dict[str, Any]:
    page = world.as_("ISOB-machine").get("/v1/holds", params={"limit": "200"}).json()
    found: dict[str, Any] = next(o for o in page["orders"] if o["order"] == order["order"])
    return found


def test_an_order_goes_out_as_camt_056_and_its_end_too(
    world: World, bank: IsoStub, number: str
) -> None:
    order = order_at(world, number, "ISOB")
    assert wait_for(lambda: bank.order(order) is not None)
    asked = bank.order(order)
    assert asked is not None
    assert (asked.account, asked.amount_minor, asked.currency) == (f"2{number}", 500_000, "THB")
    assert wait_for(lambda: _view(world, order)["state"] == "acknowledged")

    took = _send(world, IsoAnswer(order=order["order"], outcome="applied", bank_case_id="B-77"))
    assert took.status_code == 200, took.text
    assert took.json()["answers"] == [
        {"order": order["order"], "state": "applied", "problem": None}
    ]
    assert _view(world, order)["held_minor"] == 500_000
    again = _send(world, IsoAnswer(order=order["order"], outcome="applied", bank_case_id="B-77"))
    assert again.json() == took.json()

    path = f"/v1/holds/{order['order']}/release"
    assert post(world.as_("investigator"), path, {"reason": "mistaken"}).status_code == 200
    assert wait_for(lambda: bank.end(order) is not None)
    end = bank.end(order)
    assert end is not None
    assert (end.amount_minor, end.remaining_minor) == (500_000, 0)


def test_part_pending_and_refused(world: World, bank: IsoStub, number: str) -> None:
    order = order_at(world, number, "ISOB")
    assert wait_for(lambda: _view(world, order)["state"] == "acknowledged")
    name = order["order"]
    waiting = _send(world, IsoAnswer(order=name, outcome="pending", code="ARPL"))
    assert waiting.json()["answers"][0]["state"] == "acknowledged"
    dollars = Money(amount_minor=1, currency="USD")
    wrong = _send(world, IsoAnswer(order=name, outcome="applied", applied=dollars))
    assert "THB" in wrong.json()["answers"][0]["problem"]
    above = Money(amount_minor=500_001, currency="THB")
    more = _send(world, IsoAnswer(order=name, outcome="applied", applied=above))
    assert "500001 applied" in more.json()["answers"][0]["problem"]
    part = Money(amount_minor=123, currency="THB")
    taken = _send(
        world,
        IsoAnswer(order="ord_none", outcome="applied"),
        IsoAnswer(order=name, outcome="applied", applied=part),
    )
    assert [one["state"] for one in taken.json()["answers"]] == [None, "applied_in_part"]
    assert _view(world, order)["held_minor"] == 123

    other = order_at(world, f"9{number[1:]}", "ISOB")
    assert wait_for(lambda: _view(world, other)["state"] == "acknowledged")
    nothing = IsoAnswer(
        order=other["order"], outcome="refused", code="AM04", nothing_available=True
    )
    assert _send(world, nothing).json()["answers"][0]["state"] == "refused"
    assert _view(world, other)["available_minor"] == 0


def test_another_institutions_order_is_no_order(world: World, bank: IsoStub, number: str) -> None:
    order = order_at(world, number, "SCB")
    foreign = _send(world, IsoAnswer(order=order["order"], outcome="applied"))
    assert foreign.json()["answers"][0]["problem"] == "There is no such order"


@pytest.mark.parametrize("body", [b"", b"<a/>", b'{"a":1}', b"\x00", b"<!DOCTYPE a><a/>"])
def test_what_is_no_message_is_refused(world: World, bank: IsoStub, body: bytes) -> None:
    answer = world.as_("ISOB-machine").post(PATH, content=body, headers=XML)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-message"), answer.text


def test_only_xml_of_an_institutions_machine(world: World, bank: IsoStub) -> None:
    machine = world.as_("ISOB-machine")
    json = {"Content-Type": "application/json"}
    assert machine.post(PATH, content=b"{}", headers=json).status_code == 415
    for who in ("supervisor", "administrator", "SCB-liaison"):
        assert _send(world, IsoAnswer(order="o", outcome="applied"), who=who).status_code == 403


def _returned(number: str, **changes: str) -> bytes:
    one = pacs004.Return(
        return_id=f"R-{number}",
        original_id=f"T-{number}",
        amount=Money(amount_minor=500_000, currency="THB"),
        code="FOCR",
        debtor_bank=changes.get("debtor_bank", "KBANK"),
        debtor_account=f"1{number}",
        creditor_bank=changes.get("creditor_bank", "ISOB"),
        creditor_account=f"2{number}",
    )
    return pacs004.write(pacs004.Returns(message_id="m", at=datetime.now(UTC), returns=[one]))


def test_money_given_back_is_seen_where_it_went(world: World, bank: IsoStub, number: str) -> None:
    order = order_at(world, number, "ISOB")
    foreign = world.as_("ISOB-machine").post(
        PATH, content=_returned(number, creditor_bank="SCB"), headers=XML
    )
    assert foreign.status_code == 403, foreign.text
    took = world.as_("ISOB-machine").post(PATH, content=_returned(number), headers=XML)
    assert (took.status_code, took.json()["returns"]) == (200, 1), took.text

    def back() -> bool:
        located = shown(world.as_("investigator"), _view(world, order)["case"])["located"]
        return [one["account"] for one in located] == [f"1{number}"]

    assert wait_for(back)


def test_payments_come_as_pacs_008(world: World, number: str) -> None:
    payment = pacs008.Payment(
        payment_id=f"P-{number}",
        amount=Money(amount_minor=77, currency="THB"),
        debtor_bank="KBANK",
        debtor_account=f"1{number}",
        creditor_bank="SCB",
        creditor_account=f"2{number}",
    )
    document = pacs008.write(
        pacs008.Payments(message_id="m", at=datetime.now(UTC), payments=[payment])
    )
    feed = world.as_("feed")
    told = feed.post("/v1/ledger/transfers", content=document, headers={**XML, **fresh_key()})
    assert (told.status_code, told.json()["accepted"]) == (201, 1), told.text
    again = feed.post("/v1/ledger/transfers", content=document, headers={**XML, **fresh_key()})
    assert again.json()["repeated"] == 1
    bad = document.replace(b"<NbOfTxs>1<", b"<NbOfTxs>2<")
    refused = feed.post("/v1/ledger/transfers", content=bad, headers={**XML, **fresh_key()})
    assert refused.status_code == 400
    assert "2 payments announced" in refused.text


def test_a_bank_with_keys_signs(world: World, bank: IsoStub, number: str) -> None:
    code = f"I{number}"
    world.add_institution(code)
    world.add_user(f"{code}-machine", "machine", code)
    machine = world.as_(f"{code}-machine")
    key = new_signing_key(kid=f"k{number}")
    assert post(machine, f"/v1/institutions/{code}/keys", key.public()).status_code == 201
    document = _returned(number, creditor_bank=code)
    assert machine.post(PATH, content=document, headers=XML).status_code == 401
    header = sign(document, key=key, method="POST", path=PATH, now=datetime.now(UTC))
    signed = machine.post(PATH, content=document, headers={**XML, HEADER: header})
    assert signed.status_code == 200, signed.text
