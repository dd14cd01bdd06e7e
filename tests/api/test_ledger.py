"""API: transfers in: every format, durable before answered, and nothing ever read out."""

from __future__ import annotations

import io
import secrets
from typing import Any

import httpx
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.cli.world import World, fresh_key, moment, ndjson, post, report, tell, transfer


def send(client: httpx.Client, content: bytes, kind: str, **query: str) -> httpx.Response:
    headers = {"Content-Type": kind, **fresh_key()}
    return client.post("/v1/ledger/transfers", content=content, headers=headers, params=query)


def as_csv(*rows: dict[str, Any]) -> bytes:
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    return "\n".join(lines).encode() + b"\n"


def as_arrow(*rows: dict[str, Any]) -> bytes:
    table = pa.Table.from_pylist(list(rows))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def as_parquet(*rows: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


FORMATS = {
    "application/x-ndjson": ndjson,
    "text/csv": as_csv,
    "application/vnd.apache.arrow.stream": as_arrow,
    "application/vnd.apache.parquet": as_parquet,
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_taken_and_a_repeat_is_nothing(
    world: World, number: str, kind: str
) -> None:
    rows = [transfer(f"{number}{n}", reported_by="KBANK") for n in range(3)]
    feed = world.as_("feed")
    first = send(feed, FORMATS[kind](*rows), kind)
    assert first.status_code == 201, first.text
    assert (first.json()["accepted"], first.json()["repeated"]) == (3, 0)
    again = send(feed, FORMATS[kind](*rows), kind)
    assert (again.json()["accepted"], again.json()["repeated"]) == (0, 3)


def test_repeated_request_gets_its_first_answer(world: World, number: str) -> None:
    row, key = transfer(number, reported_by="KBANK"), secrets.token_hex(8)
    first = tell(world.as_("feed"), row, **{"Idempotency-Key": key})
    again = tell(world.as_("feed"), row, **{"Idempotency-Key": key})
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = tell(world.as_("feed"), transfer(f"{number}1"), **{"Idempotency-Key": key})
    assert other.status_code == 409


def test_key_is_needed(world: World, number: str) -> None:
    headers = {"Content-Type": "application/x-ndjson"}
    body = ndjson(transfer(number))
    answer = world.as_("feed").post("/v1/ledger/transfers", content=body, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": -5}, "amount_minor"),
        ({"amount_minor": 1.5}, "amount_minor"),
        ({"amount_minor": 2**63}, "amount_minor"),
        ({"booked_at": "2026-01-01T00:00:00"}, "booked_at"),
        ({"booked_at": "soon"}, "booked_at"),
        ({"currency": "THX"}, "currency"),
        ({"transfer_id": "x" * 65}, "transfer_id"),
        ({"debtor_account": ""}, "debtor_account"),
        ({"debtor_account": "1\u0000"}, "debtor_account"),
        ({"channel": "pigeon"}, "channel"),
    ],
)
def test_one_bad_row_refuses_the_batch_and_is_named(
    world: World, number: str, change: dict[str, Any], column: str
) -> None:
    good = transfer(f"{number}1", reported_by="KBANK")
    bad = transfer(f"{number}2", reported_by="KBANK") | change
    feed = world.as_("feed")
    refused = tell(feed, good, bad)
    assert refused.status_code == 400, refused.text
    rows = refused.json()["rows"]
    assert [(row["row"], row["column"]) for row in rows] == [(2, column)]
    assert tell(feed, good).json()["accepted"] == 1


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/x-ndjson", b"{"),
        ("application/x-ndjson", b'{"transfer_id":"\xff"}\n'),
        ("application/x-ndjson", b"[" * 100_000),
        ("application/x-ndjson", b""),
        ("text/csv", b"a,b\n1,2\n"),
        ("text/csv", "transfer_id\n€".encode("utf-16")),
        ("application/vnd.apache.arrow.stream", b"ARROW1"),
        ("application/vnd.apache.arrow.stream", b""),
        ("application/vnd.apache.parquet", b"PAR1" + b"\0" * 50 + b"PAR1"),
        ("application/vnd.apache.parquet", as_parquet({"a": 1})[:-9]),
    ],
)
def test_broken_file_is_refused(world: World, kind: str, content: bytes) -> None:
    refused = send(world.as_("feed"), content, kind)
    assert refused.status_code == 400, refused.text
    assert refused.json()["rows"]


def test_other_content_types_are_refused(world: World, number: str) -> None:
    refused = send(world.as_("feed"), ndjson(transfer(number)), "application/json")
    assert refused.status_code == 415


def test_same_id_with_other_content_is_a_conflict(world: World, number: str) -> None:
    row = transfer(number, reported_by="KBANK")
    assert tell(world.as_("feed"), row).status_code == 201
    refused = tell(world.as_("feed"), row | {"amount_minor": 1})
    assert refused.status_code == 409, refused.text


def test_future_is_refused_live(world: World, number: str) -> None:
    row = transfer(number, reported_by="KBANK", booked_at=moment(-60))
    assert tell(world.as_("feed"), row).status_code == 400


def test_bank_tells_only_what_it_reports_itself(world: World, number: str) -> None:
    own = transfer(f"{number}1", reported_by="KBANK")
    of_others = transfer(f"{number}2", reported_by="SCB")
    machine = world.as_("KBANK-machine")
    assert tell(machine, own).status_code == 201
    refused = tell(machine, transfer(f"{number}3", reported_by="KBANK"), of_others)
    assert refused.status_code == 403, refused.text
    assert tell(world.as_("feed"), of_others).status_code == 201
    assert tell(world.as_("administrator"), transfer(f"{number}4")).status_code == 201


@pytest.mark.parametrize("who", ["agent", "investigator", "supervisor", "SCB-liaison", "oversight"])
def test_nobody_else_tells_transfers(world: World, number: str, who: str) -> None:
    assert tell(world.as_(who), transfer(number)).status_code == 403
    assert tell(world.as_("nobody"), transfer(number)).status_code == 401


@pytest.mark.parametrize("who", ["administrator", "investigator", "supervisor", "feed"])
@pytest.mark.parametrize(
    "path", ["/v1/ledger/transfers", "/v1/ledger/accounts", "/v1/ledger", "/v1/ledger/transfers/1"]
)
def test_ledger_cannot_be_read(world: World, who: str, path: str) -> None:
    assert world.as_(who).get(path).status_code in (404, 405)


def test_openings_are_taken_for_ones_own_accounts(world: World, number: str) -> None:
    row = {"bank": "KBANK", "account": f"9{number}", "opening_minor": 100, "currency": "THB"}

    def send_accounts(who: str, line: dict[str, Any]) -> httpx.Response:
        headers = {"Content-Type": "text/csv", **fresh_key()}
        return world.as_(who).post(
            "/v1/ledger/accounts", content=as_csv(line), headers=headers, params={"at": moment()}
        )

    done = send_accounts("KBANK-machine", row)
    assert done.status_code == 201, done.text
    assert done.json() == {"accounts": 1}
    assert send_accounts("SCB-machine", row).status_code == 403
    assert send_accounts("KBANK-machine", row | {"opening_minor": -1}).status_code == 400
    assert send_accounts("agent", row).status_code == 403


def test_late_transfer_is_followed(world: World, number: str) -> None:
    first = transfer(number, reported_by="KBANK")
    tell(world.as_("feed"), first)
    receipt = post(world.as_("KBANK-machine"), "/v1/reports", report(first)).json()
    order = receipt["orders"][0]["order"]
    onward = transfer(
        f"{number}1",
        reported_by="SCB",
        booked_at=moment(10),
        debtor_bank="SCB",
        debtor_account=first["creditor_account"],
        creditor_bank="BBL",
        creditor_account=f"3{number}",
    )
    answer = post(
        world.as_("SCB-machine"),
        f"/v1/holds/{order}/answers",
        {"outcome": "applied", "applied_minor": 0, "available_minor": 0, "onward": [onward]},
    )
    assert answer.status_code == 200, answer.text
