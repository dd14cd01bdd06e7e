"""Witnesses: who rewrites the journal with every right there is, is found out by them alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from openaoc.cli.witness import command
from openaoc.continuity.witness import (
    BadHead,
    Behind,
    Cosigned,
    HeadOffer,
    HistoryRewritten,
    UnknownCentre,
    Witness,
    WitnessRuns,
    alone,
    verify_cosigned,
)
from openaoc.continuity.witness_check import WitnessFinding, compare
from openaoc.continuity.witness_client import (
    WitnessClient,
    WitnessLied,
    append_head,
    check_url,
    read_heads,
)
from openaoc.continuity.witness_http import serving
from openaoc.continuity.witnessing import Witnessing
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput, Conflict, Corrupt, NotFound, Unavailable
from openaoc.storage.database import Database
from openaoc.storage.journal import JournalService, Sequencer
from openaoc.storage.journal_keys import decode_public
from tests.cli.server import free_port
from tests.continuity.rewriter import cut_off, rewrite


@pytest.fixture
def journal(database: Database) -> JournalService:
    write(database, "first", 7)
    return JournalService(database)


@pytest.fixture
def witnessing(database: Database, journal: JournalService) -> Witnessing:
    return Witnessing(uow=database.uow, journal=journal)


@pytest.fixture
def witness(tmp_path: Path, clock: ManualClock, witnessing: Witnessing) -> Witness:
    made = Witness(tmp_path / "witness", clock=clock)
    made.trust(witnessing.identity().first_key)
    return made


@pytest.fixture
def url(witness: Witness) -> Iterator[str]:
    with serving(witness) as address:
        yield address


def write(database: Database, name: str, rows: int) -> None:
    with database.uow.begin(SYSTEM, purpose="test") as tx:
        for number in range(rows):
            tx.journal(action="test.thing.done", subject=f"{name}{number}")
    Sequencer(database).place()


def join(database: Database, witnessing: Witnessing, url: str, key: str = "") -> None:
    if not key and url.startswith("http"):
        key = WitnessClient(url).info().key
    with database.uow.begin(SYSTEM) as tx:
        witnessing.add(tx, url=url, key=key)
    Sequencer(database).place()


def finding(journal: JournalService, witnessing: Witnessing, url: str) -> WitnessFinding:
    """As `openaoc journal verify --witness` compares."""
    return compare(
        url,
        key="",
        centre=witnessing.identity().centre,
        keys=journal.keys(),
        head=journal.head(),
        proof=lambda old, new: journal.consistency_proof(old, new).path,
    )


def test_heads_reach_every_witness_and_come_back_signed(
    database: Database, journal: JournalService, witnessing: Witnessing, url: str, tmp_path: Path
) -> None:
    file = f"file:{tmp_path / 'paper.jsonl'}"
    join(database, witnessing, url)
    join(database, witnessing, file)
    for turn in range(3):
        write(database, f"turn{turn}-", 5)
        assert witnessing.offer_all() == 2
    with database.uow.read(SYSTEM) as tx:
        listed = witnessing.list(tx)
    assert {one.size for one in listed} == {journal.head().size}
    client = WitnessClient(url)
    assert len([r for r in client.book(witnessing.identity().centre) if r.kind == "head"]) == 3
    assert finding(journal, witnessing, url).ok
    assert finding(journal, witnessing, file).ok
    silent = finding(journal, witnessing, "http://127.0.0.1:1")
    assert (silent.ok, silent.answered) == (False, False)
    write(database, "later", 40)
    assert finding(journal, witnessing, url).ok, "an older kept head is extended"
    newest = client.newest(witnessing.identity().centre)
    assert verify_cosigned(newest, decode_public(client.info().key))
    changed = msgspec.structs.replace(newest, head=msgspec.structs.replace(newest.head, size=1))
    assert not verify_cosigned(changed, decode_public(client.info().key))


def test_an_administrator_who_rewrites_everything_is_found_out(
    database: Database, journal: JournalService, witnessing: Witnessing, url: str, tmp_path: Path
) -> None:
    file = f"file:{tmp_path / 'paper.jsonl'}"
    join(database, witnessing, url)
    join(database, witnessing, file)
    assert witnessing.offer_all() == 2
    write(database, "more", 9)
    rewrite(database, subject="first3", into="nothing")
    assert journal.verify().ok, "the centre's own check has nothing to hold against it"
    for place in (url, file):
        found = finding(journal, witnessing, place)
        assert not found.ok
        assert "does not extend" in found.problem
    assert witnessing.offer_all() == 0
    with database.uow.read(SYSTEM) as tx:
        failing = {one.url: str(one.last_error) for one in witnessing.list(tx)}
    assert "does not extend" in failing[url]
    assert "ours denies" in failing[file]
    kept = WitnessClient(url).book(witnessing.identity().centre)
    assert [one.kind for one in kept] == ["head", "evidence"]
    assert journal.keys().verify(kept[1].head), "the centre's own signature is the evidence"


def test_a_journal_that_was_cut_off_is_found_out(
    database: Database, journal: JournalService, witnessing: Witnessing, url: str
) -> None:
    join(database, witnessing, url)
    write(database, "shameful", 5)
    witnessing.offer_all()
    cut_off(database, keep=6)
    assert journal.verify().ok
    found = finding(journal, witnessing, url)
    assert not found.ok
    assert "cut off" in found.problem
    assert witnessing.offer_all() == 0


def test_evidence_is_not_forgotten_when_the_rows_are_put_back(
    database: Database, journal: JournalService, witnessing: Witnessing, url: str
) -> None:
    join(database, witnessing, url)
    witnessing.offer_all()
    rewrite(database, subject="first3", into="nothing")
    write(database, "more", 2)
    witnessing.offer_all()
    rewrite(database, subject="nothing", into="first3")
    write(database, "more", 2)
    assert witnessing.offer_all() == 1
    found = finding(journal, witnessing, url)
    assert not found.ok
    assert "shown otherwise" in found.problem


def test_after_a_restore_a_person_at_the_witness_lets_it_go_on(
    database: Database, journal: JournalService, witnessing: Witnessing, witness: Witness, url: str
) -> None:
    join(database, witnessing, url)
    witnessing.offer_all()
    early = journal.head().size
    write(database, "lost", 5)
    witnessing.offer_all()
    cut_off(database, keep=early)
    write(database, "after", 9)
    assert witnessing.offer_all() == 0
    centre = witnessing.identity().centre
    with pytest.raises(BadInput):
        witness.branch(centre, size=early, reason=" ")
    with pytest.raises(NotFound):
        witness.branch(centre, size=early + 1, reason="restored")
    witness.branch(centre, size=early, reason="restored; told by telephone, called back")
    assert witnessing.offer_all() == 1
    found = finding(journal, witnessing, url)
    assert (found.ok, found.branches) == (True, 1)
    kinds = [one.kind for one in witness.book(centre)]
    assert kinds == ["head", "head", "evidence", "branch", "head"]


def test_the_signing_key_is_replaced_and_old_heads_still_hold(
    database: Database, journal: JournalService, witnessing: Witnessing, url: str
) -> None:
    join(database, witnessing, url)
    witnessing.offer_all()
    old = journal.head()
    centre = witnessing.identity().centre
    for turn in range(2):
        with database.uow.begin(SYSTEM) as tx:
            journal.rotate_key(tx)
        write(database, f"turn{turn}-", 4)
        assert witnessing.offer_all() == 1
    assert journal.head().key_id != old.key_id
    assert journal.verify(witnessed=[old]).ok
    assert witnessing.identity().centre == centre
    assert finding(journal, witnessing, url).ok
    assert journal.keys().find(old.key_id) is not None
    names = [path.name for path in database.keys.folder.glob("journal-signing*")]
    assert names == ["journal-signing-000002.pem"], "replaced private halves are gone"
    forged = msgspec.structs.replace(old, size=journal.head().size)
    assert not journal.keys().verify(forged)


def test_a_successor_that_the_old_key_did_not_name_is_refused(
    database: Database, journal: JournalService, witnessing: Witnessing, witness: Witness
) -> None:
    with database.uow.begin(SYSTEM) as tx:
        word = journal.rotate_key(tx)
    write(database, "x", 3)
    head, centre = journal.head(), witnessing.identity().centre
    wrong = msgspec.structs.replace(word, until_size=0)
    offer = HeadOffer(centre=centre, head=head, old_size=0, path=[], successions=[wrong])
    with pytest.raises(BadHead, match="no word"):
        witness.take(offer)
    with pytest.raises(BadHead, match="no key"):
        witness.take(msgspec.structs.replace(offer, successions=[]))
    assert witness.take(msgspec.structs.replace(offer, successions=[word])).head == head
    path = database.keys.folder / "journal-keys" / "000001.json"
    path.write_bytes(msgspec.json.encode(wrong))
    with pytest.raises(Corrupt):
        journal.keys()


def test_what_a_witness_refuses(
    database: Database, journal: JournalService, witnessing: Witnessing, witness: Witness
) -> None:
    head, centre = journal.head(), witnessing.identity().centre
    offer = HeadOffer(centre=centre, head=head, old_size=0, path=[])
    with pytest.raises(UnknownCentre):
        witness.take(msgspec.structs.replace(offer, centre="0" * 16))
    lie = msgspec.structs.replace(head, size=head.size + 1)
    with pytest.raises(BadHead):
        witness.take(msgspec.structs.replace(offer, head=lie))
    first = witness.take(offer)
    assert witness.take(offer).signature == first.signature, "a repeat is nothing new"
    assert len(witness.book(centre)) == 1
    write(database, "more", 3)
    newer = msgspec.structs.replace(offer, head=journal.head())
    with pytest.raises(Behind, match=str(head.size)):
        witness.take(newer)
    bad = msgspec.structs.replace(newer, old_size=head.size, path=["zz"])
    with pytest.raises(BadHead):
        witness.take(bad)
    with pytest.raises(HistoryRewritten):
        witness.take(msgspec.structs.replace(bad, path=["00" * 32]))


def test_a_witness_keeps_its_book_through_a_torn_line_and_a_restart(
    tmp_path: Path, clock: ManualClock, database: Database, witnessing: Witnessing, witness: Witness
) -> None:
    journal = JournalService(database)
    centre = witnessing.identity().centre
    offer = HeadOffer(centre=centre, head=journal.head(), old_size=0, path=[])
    witness.take(offer)
    path = tmp_path / "witness" / f"{centre}.jsonl"
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"kind": "head", "at"')
    again = Witness(tmp_path / "witness", clock=clock)
    assert again.newest(centre).head == offer.head
    assert again.public_key == witness.public_key
    with path.open("ab") as file:
        file.write(b': "of another process that is writing it"}')
    assert path.read_bytes().startswith(whole + b'{"kind"'), "who only reads changes nothing"
    kept = again.branch(centre, size=offer.head.size, reason="restored")
    assert path.read_bytes() == whole + msgspec.json.encode(kept) + b"\n"
    assert Witness(tmp_path / "witness", clock=clock).book(centre)[-1] == kept
    path.write_bytes(b"nonsense\n")
    with pytest.raises(Corrupt):
        Witness(tmp_path / "witness", clock=clock)


def test_one_process_keeps_a_witnesss_books(tmp_path: Path, witness: Witness) -> None:
    folder, centre = tmp_path / "witness", witness.centres()[0]
    words = ["accept-restore", str(folder), centre, "--size", "7", "--reason", "asked"]
    with alone(folder):
        with pytest.raises(WitnessRuns), alone(folder):
            pass
        refused = CliRunner().invoke(command, words)
        assert isinstance(refused.exception, WitnessRuns)
        assert CliRunner().invoke(command, ["book", str(folder), centre]).exit_code == 0
    assert isinstance(CliRunner().invoke(command, words).exception, NotFound), (
        "no head of that size"
    )


def test_a_witness_that_runs_takes_up_whom_trust_adds(
    database: Database, witnessing: Witnessing, tmp_path: Path, clock: ManualClock
) -> None:
    """`openaoc witness trust` is another process's."""
    folder = tmp_path / "running"
    with serving(Witness(folder, clock=clock)) as url:
        join(database, witnessing, url)
        assert witnessing.offer_all() == 0
        centre = Witness(folder, clock=clock).trust(witnessing.identity().first_key)
        assert WitnessClient(url).info().centres == [centre]
        assert witnessing.offer_all() == 1
        assert len(WitnessClient(url).book(centre)) == 1


def test_a_witness_that_is_away_is_tried_again(
    database: Database, witnessing: Witnessing, witness: Witness
) -> None:
    port = free_port()
    with serving(witness, port=port) as url:
        join(database, witnessing, url)
    assert witnessing.offer_all() == 0
    with database.uow.read(SYSTEM) as tx:
        (away,) = witnessing.list(tx)
    assert away.failing_since is not None
    with serving(witness, port=port):
        assert witnessing.offer_all() == 1
    with database.uow.read(SYSTEM) as tx:
        (back,) = witnessing.list(tx)
    assert (back.failing_since, back.last_error) == (None, None)


def test_a_witness_that_answers_nonsense_does_not_keep_heads_from_others(
    database: Database,
    witnessing: Witnessing,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nonsense(*_: object, **__: object) -> None:
        raise ValueError("no number")

    join(database, witnessing, url)
    kept = tmp_path / "heads.jsonl"
    join(database, witnessing, f"file:{kept}")
    monkeypatch.setattr(WitnessClient, "offer", nonsense)
    assert witnessing.offer_all() == 1
    assert read_heads(kept)
    with database.uow.read(SYSTEM) as tx:
        failing = {one.url: one.last_error for one in witnessing.list(tx)}
    assert "ValueError" in str(failing[url])
    assert failing[f"file:{kept}"] is None
    monkeypatch.setattr("openaoc.continuity.witness_client.ANSWER_BYTES_MAX", 10)
    with pytest.raises(Unavailable, match="does not end"):
        WitnessClient(url).info()


@pytest.mark.parametrize("torn", [b'{"size":9', b"", None])
def test_a_file_witness_goes_on_after_a_torn_line(
    journal: JournalService, tmp_path: Path, torn: bytes | None
) -> None:
    """Torn in the middle, whole, or whole but for its end of line: each head is there once."""
    kept, head = tmp_path / "heads.jsonl", journal.head()
    append_head(kept, head)
    whole = kept.read_bytes()
    kept.write_bytes(whole.rstrip(b"\n") if torn is None else whole + torn)
    assert read_heads(kept) == [head]
    append_head(kept, head)
    assert kept.read_bytes() == 2 * whole


def test_another_witness_under_the_same_address_is_not_believed(
    database: Database, journal: JournalService, witnessing: Witnessing, witness: Witness,
    tmp_path: Path, clock: ManualClock,
) -> None:  # fmt: skip
    other = Witness(tmp_path / "other", clock=clock)
    other.trust(witnessing.identity().first_key)
    with serving(other) as url:
        join(database, witnessing, url, key=witness.public_key)
        assert witnessing.offer_all() == 0
        with pytest.raises(WitnessLied):
            WitnessClient(url, key=witness.public_key).newest(witnessing.identity().centre)
    with database.uow.begin(SYSTEM) as tx, pytest.raises(Conflict):
        witnessing.add(tx, url=url, key=other.public_key)
    with database.uow.begin(SYSTEM) as tx:
        for wrong in ("", "bm90IGEga2V5", "%%%"):
            with pytest.raises(BadInput):
                witnessing.add(tx, url="http://127.0.0.1:1", key=wrong)
    with pytest.raises(Unavailable):
        WitnessClient("http://127.0.0.1:1").info()
    with database.uow.begin(SYSTEM) as tx:
        witnessing.remove(tx, url=url, reason="it was another")
    with database.uow.read(SYSTEM) as tx:
        assert witnessing.list(tx) == []


@pytest.mark.parametrize("url", ["ftp://x", "file:relative", "http://", "http://a:b@c/", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        check_url(url)


def test_a_cosignature_is_for_one_centre_only(
    journal: JournalService, witnessing: Witnessing, witness: Witness
) -> None:
    centre = witnessing.identity().centre
    offer = HeadOffer(centre=centre, head=journal.head(), old_size=0, path=[])
    signed = witness.take(offer)
    moved = msgspec.structs.replace(signed, centre="another")
    assert isinstance(signed, Cosigned)
    assert not verify_cosigned(moved, decode_public(witness.public_key))
