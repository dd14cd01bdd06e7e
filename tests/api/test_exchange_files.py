"""Files of the exchange by command and over HTTP: out by agreement, in as a partner's word."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from openaoc.channels.signer import read_signing_key
from openaoc.channels.signing import sign
from tests.cli.world import World

EXAMPLE = Path(__file__).parents[2] / "examples/agreement.toml"
CODE = "SG-FILES"
VALUE = "+6591234567"


@pytest.fixture(scope="module")
def agreed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A partner with a verified key and an agreement in force; the file of its key."""
    run, folder = world.server.run_json, tmp_path_factory.mktemp("files")
    world.add_partner(CODE)
    world.add_user("files-dpo", "data_protection_officer")
    world.add_user("files-super", "supervisor")
    dpo, supervisor = world.keys["files-dpo"], world.keys["files-super"]
    key_file = folder / "their.key"
    pair = run("institution", "key", "new", str(key_file))
    key = run("exchange", "partner", "key", CODE, pair["public"])
    verify = ("exchange", "partner", "verify", CODE, key["kid"], "--with", "Ms Tan, by phone")
    run(*verify, "--fingerprint", key["fingerprint"], key=supervisor)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
    text = EXAMPLE.read_text("utf-8").replace("SG-ASCOM", CODE)
    terms = folder / "terms.toml"
    terms.write_text(text.replace("2026-12-01T00:00:00Z", yesterday), "utf-8")
    draft = run("exchange", "agreement", "draft", str(terms), key=dpo)
    for who in (dpo, supervisor):
        run("exchange", "agreement", "approve", draft["id"], key=who)
    return key_file


def theirs(name: str) -> tuple[bytes, str]:
    """A file as the partner writes it, and its object's id."""
    at = datetime.now(UTC).isoformat()
    object_id = f"indicator--{uuid.uuid4()}"
    head = {"source": CODE, "to": name, "agreement": f"{CODE}.1", "made_at": at, "objects": 1}
    body = {
        "id": object_id,
        "kind": "indicator",
        "created": at,
        "modified": at,
        "marking": "green",
        "fields": {"identifier_kind": "phone", "value": VALUE, "scam_types": ["job"]},
    }
    return "".join(json.dumps(line) + "\n" for line in (head, body)).encode(), object_id


def test_files_go_out_signed(world: World, agreed: Path, tmp_path: Path) -> None:
    assert agreed.is_file()
    supervisor = world.keys["files-super"]
    for form in ("jsonl", "xlsx", "misp", "stix"):
        file = tmp_path / f"out.{form}"
        words = ("exchange", "export", CODE, str(file), "--format", form)
        made = world.server.run_json(*words, key=supervisor)
        assert made["more"] is False
        assert file.stat().st_size > 0
        assert Path(made["signature"]).read_text("ascii").count("..") == 1
        again = world.server.run(*words, key=supervisor)
        assert again.returncode == 1
        assert b"is there already" in again.stderr
    own = world.as_(CODE).get(f"/v1/exchange/files/{CODE}", params={"form": "jsonl"})
    assert own.status_code == 200
    assert json.loads(own.content.splitlines()[0])["to"] == CODE
    assert world.as_(CODE).get("/v1/exchange/files/XX", params={"form": "jsonl"}).status_code == 403
    strange = world.as_(CODE).get(f"/v1/exchange/files/{CODE}", params={"form": "pdf"})
    assert strange.status_code == 400
    for who in ("KBANK-machine", "agent", "oversight"):
        answer = world.as_(who).get(f"/v1/exchange/files/{CODE}", params={"form": "jsonl"})
        assert answer.status_code == 403, who


def test_a_partners_file_comes_in_by_command(world: World, agreed: Path, tmp_path: Path) -> None:
    supervisor = world.keys["files-super"]
    data, object_id = theirs("OPENAOC-TH")
    file = tmp_path / "in.jsonl"
    file.write_bytes(data)
    words = ("exchange", "import", CODE, str(file))
    refused = world.server.run(*words, key=supervisor)
    assert refused.returncode == 1
    assert b"signature" in refused.stderr
    signature = sign(
        data,
        key=read_signing_key(agreed),
        method="FILE",
        path="jsonl",
        now=datetime.now(UTC),
        audience="OPENAOC-TH",
    )
    (tmp_path / "in.jsonl.sig").write_text(signature + "\n", "ascii")
    receipt = world.server.run_json(*words, key=supervisor)
    assert (receipt["taken"], receipt["objects"], receipt["lost"]) == (1, 1, [])
    assert receipt["signed_by"]
    found: list[dict[str, Any]] = world.server.run_json(
        "indicator", "list", "--kind", "phone", key=supervisor
    )["indicators"]
    (one,) = [one for one in found if one["value"] == VALUE]
    assert (one["status"], one["confidence"]) == ("proposed", 30)
    shown = world.server.run_json("indicator", "show", one["id"], key=supervisor)
    assert [s["ref"] for s in shown["sources"]] == [object_id]
    decide = ("indicator", "withdraw", one["id"], "--reason", "a shop's number")
    assert world.server.run_json(*decide, key=supervisor)["status"] == "withdrawn"
    confirm = ("indicator", "confirm", one["id"], "--reason", "a second look")
    assert world.server.run_json(*confirm, key=supervisor)["status"] == "confirmed"


def test_a_wrong_file_is_refused_with_the_place(world: World, agreed: Path, tmp_path: Path) -> None:
    assert agreed.is_file()
    data, _ = theirs("OPENAOC-TH")
    file = tmp_path / "wrong.jsonl"
    file.write_bytes(data.replace(b'"green"', b'"pink"'))
    vouched = ("exchange", "import", CODE, str(file), "--vouched", "handed over by Ms Tan")
    done = world.server.run(*vouched, key=world.keys["files-super"])
    assert done.returncode == 1
    assert b"line 2, marking" in done.stderr
    answer = world.as_(CODE).post(
        f"/v1/exchange/files/{CODE}",
        params={"form": "jsonl"},
        content=data,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 415


def test_a_misp_feed_is_fetched_and_named_by_command(
    agreed: Path, world: World, tmp_path: Path
) -> None:
    assert agreed.exists()
    own = world.as_(CODE).get("/misp/manifest.json")
    assert (own.status_code, own.headers["content-type"]) == (200, "application/json")
    assert isinstance(own.json(), dict)
    for who, status in (("nobody", 401), ("KBANK-machine", 403), ("supervisor", 403)):
        assert world.as_(who).get("/misp/manifest.json").status_code == status, who
    secret = tmp_path / "key.txt"
    secret.write_text("their-key\n")
    add = ("exchange", "feed", "add", CODE, "http://127.0.0.1:9/feed")
    where = ("--secret-file", str(secret), "--every", "86400")
    made = world.server.run_json(*add, "--misp", *where)
    assert (made["form"], made["collection"]) == ("misp", "")
    listed = world.server.run("exchange", "feed", "list").stdout.decode()
    assert "misp" in listed
    assert "their-key" not in listed
    for wrong in (where, ("c1", "--misp", *where), ("--misp", "--publish", *where)):
        assert world.server.run(*add, *wrong).returncode != 0, wrong
    assert world.server.run("exchange", "feed", "remove", made["id"]).returncode == 0
