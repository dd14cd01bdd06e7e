"""The whole way by command line: institutions, people, transfers, report, orders, held, journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from openpyxl import load_workbook

from openaoc.channels.spreadsheet.layout import layout
from tests.cli.server import Server
from tests.cli.world import moment, report, transfer

TH = layout("TH")
HEADER = (
    "transfer_id,booked_at,debtor_bank,debtor_account,creditor_bank,creditor_account,"
    "amount_minor,currency"
)


def line(row: dict[str, Any]) -> str:
    return ",".join(str(row[name]) for name in HEADER.split(","))


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join([HEADER, *map(line, rows)]) + "\n")
    return path


@pytest.fixture(scope="module")
def people(server: Server) -> dict[str, str]:
    """Keys by name; KBANK and SCB are live."""
    keys = {}
    for code in ("KBANK", "SCB"):
        assert server.run_json("institution", "add", code)["live"] is False
    for who, role, bank in (
        ("ann", "supervisor", None),
        ("bob", "supervisor", None),
        ("kbank", "machine", "KBANK"),
        ("scb", "liaison", "SCB"),
    ):
        words = ["user", "add", who, "--role", role]
        added = server.run_json(*words, *(["--institution", bank] if bank else []))
        keys[who] = added["api_key"]
    for scope in ("jurisdiction:TH", "KBANK", "SCB"):
        server.run_json("institution", "live", scope, key=keys["ann"])
        live = server.run_json("institution", "live", "--approve", scope, key=keys["bob"])
        assert live["state"] == "live"
    return keys


def test_from_report_to_held(server: Server, people: dict[str, str], tmp_path: Path) -> None:
    first = transfer("700001")
    second = transfer(
        "700002",
        booked_at=moment(15),
        debtor_bank="SCB",
        debtor_account=first["creditor_account"],
        creditor_account="3700002",
        amount_minor=300_000,
    )
    file = write(tmp_path / "t.csv", first, second)
    assert server.run_json("ledger", "import", str(file))["accepted"] == 2
    assert server.run_json("ledger", "import", str(file))["repeated"] == 2

    paper = tmp_path / "report.json"
    paper.write_bytes(msgspec.json.encode(report(first, source_ref="walk-1")))
    receipt = server.run_json("report", "submit", str(paper), key=people["kbank"])
    again = server.run_json("report", "submit", "-", key=people["kbank"], stdin=paper.read_bytes())
    assert again == receipt
    assert receipt["located_minor"] == 500_000
    assert {order["state"] for order in receipt["orders"]} == {"issued"}

    desk = server.run_json("hold", "list", key=people["scb"])["orders"]
    assert sum(order["amount_minor"] for order in desk) == 500_000
    for order in desk:
        amount = str(order["amount_minor"])
        answered = server.run_json(
            "hold", "answer", order["order"], "--applied", amount, key=people["scb"]
        )
        assert answered["state"] == "applied"
    view = server.run_until(
        "case",
        "show",
        receipt["case"],
        key=people["ann"],
        done=lambda case: case["held_minor"] == 500_000,
    )
    assert (view["held_minor"], view["conserved"]) == (500_000, True)

    released = server.run_json(
        "hold",
        "release",
        desk[0]["order"],
        "--reason",
        "the holder showed a contract",
        key=people["ann"],
    )
    assert released["state"] == "released"
    listed = server.run_json("hold", "list", "--state", "applied", key=people["ann"])["orders"]
    assert [order["order"] for order in listed] == [desk[1]["order"]]
    verdict = server.run_json("journal", "verify")
    assert verdict["ok"] is True
    assert server.run_json("case", "list", key=people["ann"])["cases"][0]["case"] == receipt["case"]


def test_persons_decide_by_command(server: Server, people: dict[str, str], tmp_path: Path) -> None:
    orders = []
    for number in ("700031", "700032"):
        row = transfer(number)
        server.run_json("ledger", "import", str(write(tmp_path / f"{number}.csv", row)))
        paper = msgspec.json.encode(report(row))
        receipt = server.run_json("report", "submit", "-", key=people["kbank"], stdin=paper)
        order = receipt["orders"][0]["order"]
        server.run_json("hold", "answer", order, "--applied", "500000", key=people["scb"])
        orders.append((receipt["case"], order))
    (case, order), (false, _) = orders
    ann = people["ann"]
    told = server.run_json(
        "case", "complain", case, "--at", moment(1), "--reference", "BKK-1/2569", key=ann
    )
    assert told["complaint_at"] is not None
    measure = ("--authority", "Criminal Court 1/2569", "--reason", "seized by the court")
    assert server.run_json("hold", "convert", order, *measure, key=ann)["state"] == "converted"
    for verb, state in (("close", "closed"), ("reopen", "pursued")):
        done = server.run_json("case", verb, case, "--reason", "as told", key=ann)
        assert done["state"] == state
    dropped = server.run_json("case", "drop", false, "--reason", "made up", key=ann)
    assert (dropped["state"], dropped["orders"][0]["state"]) == ("dropped", "released")


def test_a_desk_answers_by_sheet_or_types_in_where_the_money_went(
    server: Server, people: dict[str, str], tmp_path: Path
) -> None:
    row = transfer("700041")
    server.run_json("ledger", "import", str(write(tmp_path / "on.csv", row)))
    paper = msgspec.json.encode(report(row))
    receipt = server.run_json("report", "submit", "-", key=people["kbank"], stdin=paper)
    [order] = [one["order"] for one in receipt["orders"]]
    file = tmp_path / "scb.xlsx"
    server.run_json("hold", "export", str(file), key=people["scb"])
    book = load_workbook(file)
    sheet = book[TH.orders.sheet]
    place = {column.field: number for number, column in enumerate(TH.orders.columns, start=1)}
    [line] = [line for line in sheet.iter_rows() if line[place["order"] - 1].value == order]
    line[place["applied"] - 1].value = 5_000.01
    book.save(file)
    refused = server.run("hold", "import", str(file), "--json", key=people["scb"])
    assert (refused.returncode, b"1 of 1" in refused.stderr) == (1, True)
    assert "500001 applied" in msgspec.json.decode(refused.stdout)["answers"][0]["problem"]
    onward = ("--onward", "S-700041", moment(3), "KBANK:1-700-9041", "490000")
    out = ("--onward", "S-700042", moment(2), "cash_withdrawal", "4000")
    answered = server.run_json(
        "hold", "answer", order, "--applied", "6000", *onward, *out, key=people["scb"]
    )
    assert (answered["state"], answered["held_minor"]) == ("applied_in_part", 6_000)
    view = server.run_until(
        "case",
        "show",
        receipt["case"],
        key=people["ann"],
        done=lambda case: len(case["orders"]) == 2,
    )
    assert (view["held_minor"], view["exited_minor"]) == (6_000, 4_000)
    assert [(one["institution"], one["amount_minor"]) for one in view["orders"][1:]] == [
        ("KBANK", 490_000)
    ]


def test_held_money_is_given_back_by_command(
    server: Server, people: dict[str, str], tmp_path: Path
) -> None:
    row = transfer("700051")
    server.run_json("ledger", "import", str(write(tmp_path / "back.csv", row)))
    paper = msgspec.json.encode(report(row))
    receipt = server.run_json("report", "submit", "-", key=people["kbank"], stdin=paper)
    case, order = receipt["case"], receipt["orders"][0]["order"]
    server.run_json("hold", "answer", order, "--applied", "500000", key=people["scb"])
    ann, bob = people["ann"], people["bob"]
    draft = tmp_path / "complaint.html"
    words = ("case", "complaint-draft", case, "--reason", "the victim calls")
    assert server.run_json(*words, "--html", str(draft), key=ann)["case"] == case
    assert case in draft.read_text("utf-8")
    measure = ("--authority", "AMLO 7/2569", "--reason", "for the victims")
    until = ("--until", moment(-60 * 24 * 40))
    assert server.run_json("hold", "extend", order, *until, *measure, key=ann)["rule"]
    one = server.run_json("restitution", "propose", case, key=ann)["id"]
    assert server.run_json("restitution", "publish", one, key=bob)["state"] == "published"
    says = ("--order", order, "--kind", "holder", "--grounds", "sold fruit", "--amount", "16000")
    assert server.run_json("restitution", "object", one, *says, key=people["scb"])["objections"]
    for who, state in ((ann, "objected"), (bob, "decided")):
        decision = ("decide", one, "1", "--upheld", "16000", "--reason", "receipts")
        assert server.run_json("restitution", *decision, key=who)["state"] == state
    listed = server.run_json("restitution", "list", "--case", case, key=ann)["restitutions"]
    assert listed[0]["lines"][0]["amount_minor"] == 484_000
    shown = server.run("restitution", "show", one, key=ann)
    assert b"4,840.00 THB" in shown.stdout
    early = server.run("restitution", "payable", one, "--to", str(tmp_path / "x.csv"), key=ann)
    assert (early.returncode, b"pays nothing" in early.stderr) == (1, True)
    unpaid = ("confirm", one, "1", "--transfer", "B", "--amount", "1", "--paid-at", moment())
    assert server.run("restitution", *unpaid, key=people["scb"]).returncode == 1
    assert server.run_json("restitution", "end", one, "--reason", "over", key=bob)["ended_at"]
    assert server.run_json("restitution", "returned", key=ann)["jurisdictions"]
    tell = ("--account", "3700051", "--amount", "700", "--held-at", moment(5), "--grounds", "new")
    told = server.run_json("suspicion", "tell", *tell, key=people["scb"])["id"]
    for verb, state in (("extend", "extended"), ("convert", "converted")):
        more = until if verb == "extend" else ()
        done = server.run_json("suspicion", verb, told, *more, *measure, key=ann)
        assert done["state"] == state
    assert server.run("suspicion", "list", key=people["scb"]).stdout.count(b"converted") == 1
    for law in (["list"], ["show", "TH"], ["compare", "TH", "SG"]):
        assert b"TH" in server.run("rules", *law).stdout


def test_person_reads_the_same_without_json(server: Server, people: dict[str, str]) -> None:
    for words in (
        ("hold", "list"),
        ("case", "list"),
        ("institution", "list"),
        ("user", "list"),
        ("journal", "verify"),
    ):
        done = server.run(*words)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
    assert b"at least 2 witnesses" in server.run("journal", "witness", "list").stderr
    case = server.run_json("case", "list")["cases"][0]["case"]
    shown = server.run("case", "show", case)
    assert b"loss 5,000.00 THB = located" in shown.stdout


def test_one_bad_row_stops_the_file(server: Server, tmp_path: Path) -> None:
    good, bad = transfer("700011"), transfer("700012", amount_minor=-1)
    file = write(tmp_path / "bad.csv", good, bad)
    refused = server.run("ledger", "import", str(file), "--json")
    assert refused.returncode == 1
    assert b"bad.csv" in refused.stderr
    document = msgspec.json.decode(refused.stdout)["error"]
    assert [(row["row"], row["column"]) for row in document["rows"]] == [(2, "amount_minor")]
    taken = server.run_json("ledger", "import", str(file), "--skip-bad")
    assert (taken["accepted"], taken["refused"]) == (1, 1)
    assert list(tmp_path.glob("bad*refused*"))


def test_openings_are_imported(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text("bank,account,opening_minor,currency\nKBANK,700021,5,THB\n")
    done = server.run_json("ledger", "accounts", str(file), "--at", moment(5))
    assert done["accounts"] == 1


def test_bank_switches_its_key_and_endpoint(server: Server, tmp_path: Path) -> None:
    from openaoc.channels.signing import new_signing_key

    server.run_json("institution", "add", "BAY", "--kind", "wallet")
    jwk = tmp_path / "key.json"
    jwk.write_bytes(msgspec.json.encode(new_signing_key(kid="bay-1").public()))
    assert server.run_json("institution", "key", "add", "BAY", str(jwk))["key"]["kid"] == "bay-1"
    server.run_json("institution", "key", "retire", "BAY", "bay-1")
    url = "http://127.0.0.1:9"
    assert server.run_json("institution", "endpoint", "BAY", url)["endpoint"] == url
    assert server.run_json("institution", "endpoint", "BAY")["endpoint"] is None
    assert server.run_json("institution", "shadow", "BAY", "--reason", "test")["state"] == "shadow"


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["report", "submit", "/nowhere.json"], 1, b"No such file"),
        (["case", "show", "AOC-0000-0000-0"], 1, b"wrong: AOC-0000-0000-0"),
        (["hold", "release", "ord_x", "--reason", "because"], 1, b""),
        (["hold", "release", "ord_x"], 2, b"--reason"),
        (["hold", "convert", "ord_x", "--reason", "seized"], 2, b"--authority"),
        (["case", "close", "AOC-0000-0000-0", "--reason", "because"], 1, b"cases.work"),
        (["case", "drop", "AOC-0000-0000-0"], 2, b"--reason"),
        (["hold", "answer", "ord_x"], 2, b"exactly one"),
        (["hold", "answer", "ord_x", "--refused", "--onward", "T", "now", "B:1"], 2, b"onward"),
        (["hold", "answer", "ord_x", "--refused", "--onward", "T", "x", "B:1", "5"], 1, b"order"),
        (["prove", "standing", "nonsense"], 1, b"there is no proof 'nonsense'"),
        (["ledger", "import", "/nowhere.csv"], 1, b"nowhere"),
        (["ledger", "import"], 2, b""),
        (["institution", "add", "X", "--endpoint", "ftp://bank.example"], 1, b"http"),
        (["user", "add", "x", "--role", "king"], 1, b"role"),
        (["nonsense"], 2, b"No such command"),
        (["practice", "read", "nothing"], 1, b"no such file"),
        (["hold", "list", "--limit", "0"], 2, b""),
        (["bench", "nonsense"], 2, b"No such command"),
        (["bench", "trace", "--transfers", "0"], 2, b"not in the range"),
    ],
)
def test_refusals_and_wrong_usage(
    server: Server, words: list[str], code: int, reason: bytes
) -> None:
    done = server.run(*words, "--json")
    assert done.returncode == code, (done.stdout, done.stderr)
    assert reason.lower() in done.stderr.lower()
    assert b"Traceback" not in done.stderr
    if code == 1:
        assert msgspec.json.decode(done.stdout)["error"]["detail"], "one document, always"
