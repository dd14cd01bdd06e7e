"""The journal: in one commit with the change, placed at once and for ever, checkable by anybody."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time

import msgspec
import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput, Corrupt, Refused
from openaoc.storage import merkle, roles
from openaoc.storage.database import Database
from openaoc.storage.journal import JournalService, Sequencer, UnknownLeaf
from openaoc.storage.journal_heads import Head, key_id
from openaoc.storage.journal_keys import Succession
from openaoc.storage.journal_rows import JournalEntry
from openaoc.storage.tables import journal_leaves
from openaoc.storage.unit_of_work import UnitOfWork
from tests.storage.journal_now import written_now

_subjects = itertools.count()


class Facts(msgspec.Struct, frozen=True):
    """Something a row is about."""

    amount_minor: int
    state: str


def write(uow: UnitOfWork, count: int = 1) -> list[int]:
    with uow.begin(SYSTEM, purpose="test") as tx:
        for _ in range(count):
            tx.journal(action="test.thing.changed", subject=f"thing {next(_subjects)}")
        return written_now(tx)


def leaf_of(uow: UnitOfWork, row_id: int) -> int | None:
    """The leaf of a row, None while it waits for its place."""
    query = sa.select(journal_leaves.c.leaf).where(journal_leaves.c.row_id == row_id)
    with uow.read(SYSTEM) as tx:
        return tx.connection.execute(query).scalar_one_or_none()


def owner(database: Database) -> psycopg.Connection:
    return roles.connect(database.owner)


@pytest.fixture
def sequencer(database: Database) -> Sequencer:
    return Sequencer(database)


@pytest.fixture
def journal(database: Database) -> JournalService:
    return JournalService(database)


def test_a_row_says_who_what_before_after_and_why(
    uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    with uow.begin(SYSTEM, purpose="purpose") as tx:
        tx.journal(
            action="test.thing.changed",
            subject="thing",
            before=Facts(1, "a"),
            after=Facts(2, "b"),
            reason="because",
        )
    sequencer.place()
    [entry] = journal.rows()
    body = msgspec.json.decode(entry.body)
    assert body["who"] == "system"
    assert body["authority"] == "purpose"
    assert body["before"] == {"amount_minor": 1, "state": "a"}
    assert body["after"] == {"amount_minor": 2, "state": "b"}
    assert body["reason"] == "because"
    assert body["at"] == "2026-01-05T03:00:00Z"


def test_many_rows_of_one_change_keep_their_order(
    uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    wanted = [f"thing {n}" for n in range(50)]
    with uow.begin(SYSTEM, purpose="purpose") as tx:
        tx.journal_many(
            [JournalEntry(action="test.thing.changed", subject=subject) for subject in wanted[:-1]]
        )
        tx.journal_many([])
        tx.journal(action="test.thing.changed", subject=wanted[-1])
        ids = written_now(tx)
    sequencer.place()
    bodies = [msgspec.json.decode(row.body) for row in journal.rows()]
    assert [body["subject"] for body in bodies] == wanted
    assert {body["authority"] for body in bodies} == {"purpose"}
    assert [leaf_of(uow, one) for one in ids] == list(range(50))


def test_a_change_that_fails_leaves_no_row(
    uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    with contextlib.suppress(ZeroDivisionError), uow.begin(SYSTEM) as tx:
        tx.journal(action="test.thing.changed", subject="thing")
        raise ZeroDivisionError
    assert sequencer.place() == 0
    with pytest.raises(UnknownLeaf):
        journal.head()
    assert journal.verify().ok


def test_bad_rows_are_refused(uow: UnitOfWork) -> None:
    for action, reason in (("", ""), ("a\x00b", ""), ("test.a", "x" * 5_000)):
        with uow.begin(SYSTEM) as tx, pytest.raises(BadInput):
            tx.journal(action=action, subject="thing", reason=reason)


def test_a_nul_in_the_reason_is_kept_as_text(
    uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    with uow.begin(SYSTEM) as tx:
        tx.journal(action="test.a", subject="thing", reason="a\x00b")
    sequencer.place()
    assert msgspec.json.decode(journal.rows()[0].body)["reason"] == "a\x00b"
    assert journal.verify().ok


def test_the_sequencer_places_a_committed_row_within_a_second(
    uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    sequencer.start()
    try:
        [row] = write(uow)
        deadline = time.monotonic() + 60
        while leaf_of(uow, row) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert leaf_of(uow, row) == 0
    finally:
        sequencer.stop()


def test_a_row_committed_later_with_a_lower_number_is_not_skipped(
    database: Database, uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    with uow.begin(SYSTEM) as slow:
        slow.journal(action="test.slow", subject="slow")
        [first] = written_now(slow)
        [second] = write(uow)
        assert first < second
        assert sequencer.place() == 1
    assert sequencer.place() == 1
    assert (leaf_of(uow, second), leaf_of(uow, first)) == (0, 1)
    assert journal.verify().ok


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(batches=st.lists(st.integers(1, 40), min_size=1, max_size=5), data=st.data())
def test_heads_are_signed_and_extend_each_other(
    uow: UnitOfWork,
    sequencer: Sequencer,
    journal: JournalService,
    batches: list[int],
    data: st.DataObject,
) -> None:
    heads: list[Head] = []
    for count in batches:
        write(uow, count)
        assert sequencer.place() == count
        head = journal.head()
        assert journal.keys().verify(head)
        heads.append(head)
    old, new = heads[0], heads[-1]
    proof = journal.consistency_proof(old.size, new.size)
    assert merkle.verify_consistency(
        old=old.size,
        new=new.size,
        old_root=old.root_hash,
        new_root=new.root_hash,
        path=[bytes.fromhex(step) for step in proof.path],
    )
    leaf = data.draw(st.integers(0, new.size - 1))
    [entry] = journal.rows(after=leaf - 1, limit=1)
    inclusion = journal.inclusion_proof(leaf)
    assert merkle.verify_inclusion(
        merkle.leaf_hash(entry.body.encode()),
        leaf=leaf,
        size=inclusion.size,
        path=[bytes.fromhex(step) for step in inclusion.path],
        root_hash=new.root_hash,
    )
    verdict = journal.verify(witnessed=heads)
    assert verdict.ok, verdict
    assert (verdict.size, verdict.root) == (new.size, new.root)


def test_two_sequencers_and_many_writers_place_every_row_once(
    database: Database, uow: UnitOfWork, journal: JournalService
) -> None:
    sequencers = [Sequencer(database), Sequencer(database)]
    for one in sequencers:
        one.start()
    threads = [
        threading.Thread(target=lambda: [write(uow, 3) for _ in range(15)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in sequencers:
        one.stop()
    verdict = journal.verify()
    assert verdict.ok, verdict
    assert (verdict.size, verdict.waiting) == (180, 0)


def test_the_public_keys_are_of_one_moment_while_the_key_is_replaced(
    database: Database, uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    """Whoever reads the keys in the middle of a replacement waits for its end."""
    write(uow)
    sequencer.place()
    keys = database.journal_keys
    replacing: list[threading.Thread] = []
    before = keys.successions

    def replace_meanwhile() -> list[Succession]:
        if not replacing:
            replacing.append(threading.Thread(target=replace))
            replacing[0].start()
            replacing[0].join(0.2)
        return before()

    def replace() -> None:
        with uow.begin(SYSTEM, purpose="test") as tx:
            journal.rotate_key(tx)

    keys.successions = replace_meanwhile  # type: ignore[method-assign]  # in between
    first = keys.public()
    replacing[0].join()
    assert keys.public().find(key_id(first.current)) is not None
    assert key_id(keys.public().current) != key_id(first.current)


def test_a_forged_head_is_found(
    uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    write(uow)
    sequencer.place()
    head = journal.head()
    for forged in (
        msgspec.structs.replace(head, size=head.size + 1),
        msgspec.structs.replace(head, root="00" * 32),
        msgspec.structs.replace(head, at="2027-01-01T00:00:00Z"),
        msgspec.structs.replace(head, signature="!"),
        msgspec.structs.replace(head, key_id="0" * 16),
    ):
        assert not journal.keys().verify(forged)
    assert not journal.verify(witnessed=[msgspec.structs.replace(head, root="00" * 32)]).ok


SWAP = """
UPDATE journal_leaves SET row_id = -1 WHERE leaf = 5;
UPDATE journal_leaves SET row_id = (SELECT id FROM journal_rows ORDER BY id OFFSET 5 LIMIT 1)
    WHERE leaf = 6;
UPDATE journal_leaves SET row_id = (SELECT id FROM journal_rows ORDER BY id OFFSET 6 LIMIT 1)
    WHERE leaf = 5;
"""
CUT = """
DELETE FROM journal_rows WHERE id IN (SELECT row_id FROM journal_leaves WHERE leaf > 2);
DELETE FROM journal_leaves WHERE leaf > 2;
DELETE FROM journal_heads WHERE size > 3;
DELETE FROM journal_nodes WHERE ((position + 1) << level) > 3;
"""
TAMPERED = {
    "row changed": (
        "UPDATE journal_rows SET body = replace(body, 'thing', 'other') WHERE {row}",
        5,
    ),
    "column changed": ("UPDATE journal_rows SET who = 'nobody' WHERE {row}", 5),
    "row deleted": ("DELETE FROM journal_rows WHERE {row}", 5),
    "row not one": ("UPDATE journal_rows SET body = 'x' WHERE {row}", 5),
    "leaf deleted": ("DELETE FROM journal_leaves WHERE leaf = 5", 5),
    "node changed": (
        "UPDATE journal_nodes SET hash = sha256('x') WHERE level = 1 AND position = 2",
        5,
    ),
    "node deleted": ("DELETE FROM journal_nodes WHERE level = 0 AND position = 5", 5),
    "head changed": ("UPDATE journal_heads SET root = sha256('x') WHERE size = 20", 19),
    "head deleted": ("DELETE FROM journal_heads WHERE size = 20", 10),
    "rows swapped": (SWAP, 5),
    "node added": ("INSERT INTO journal_nodes VALUES (0, 20, sha256('x'))", 20),
    "node added above": ("INSERT INTO journal_nodes VALUES (9, 0, sha256('x'))", 20),
    "row at no time": ("UPDATE journal_rows SET at = 'infinity' WHERE {row}", 0),
    "head at no time": ("UPDATE journal_heads SET at = '20000-01-01' WHERE size = 20", 0),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_an_owner_tampers_with_is_found_and_named(
    name: str, database: Database, uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    rows = []
    for _ in range(2):
        rows += write(uow, 10)
        sequencer.place()
    assert journal.verify().ok
    statement, leaf = TAMPERED[name]
    with owner(database) as connection:
        connection.execute(statement.format(row=f"id = {rows[5]}").encode())
    verdict = journal.verify()
    assert not verdict.ok
    assert verdict.fault is not None
    assert verdict.fault.leaf == leaf, verdict.fault
    if leaf == 5:
        assert verdict.fault.row in (rows[5], None, rows[6])


def test_an_owner_who_recomputes_the_tree_still_lacks_the_signature(
    database: Database, uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    rows = write(uow, 1)
    sequencer.place()
    with owner(database) as connection:
        body = connection.execute("SELECT body FROM journal_rows").fetchone()
        assert body is not None
        forged = body[0].replace("system", "nobody")
        root = merkle.leaf_hash(forged.encode())
        connection.execute(
            "UPDATE journal_rows SET body = %s, who = 'nobody' WHERE id = %s", [forged, rows[0]]
        )
        connection.execute("UPDATE journal_nodes SET hash = %s", [root])
        connection.execute("UPDATE journal_heads SET root = %s", [root])
    verdict = journal.verify()
    assert not verdict.ok
    assert verdict.fault is not None
    assert "signature" in verdict.fault.reason
    write(uow)
    assert sequencer.place() == 1, "the tree is whole, so it grows; the signature tells"
    assert not journal.verify().ok


def test_a_row_that_was_hidden_from_the_sequencer_is_found(
    database: Database, uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    [row] = write(uow)
    with owner(database) as connection:
        connection.execute("DELETE FROM journal_waiting")
    sequencer.place()
    verdict = journal.verify()
    assert verdict.fault is not None
    assert verdict.fault.row == row


def test_a_log_cut_off_at_its_end_shows_against_a_witnessed_head(
    database: Database, uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    for _ in range(2):
        write(uow, 3)
        sequencer.place()
    kept = journal.head()
    with owner(database) as connection:
        connection.execute(CUT.encode())
    assert journal.verify().ok
    verdict = journal.verify(witnessed=[kept])
    assert verdict.fault is not None
    assert "cut off" in verdict.fault.reason


def test_nothing_is_signed_over_a_broken_log(
    database: Database, uow: UnitOfWork, sequencer: Sequencer
) -> None:
    write(uow, 4)
    sequencer.place()
    with owner(database) as connection:
        connection.execute("UPDATE journal_nodes SET hash = sha256('x') WHERE level = 2")
    write(uow)
    with pytest.raises(Corrupt):
        sequencer.place()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal_rows SET who = 'x'",
        "DELETE FROM journal_rows",
        "TRUNCATE journal_rows",
        "UPDATE journal_leaves SET row_id = 0",
        "DELETE FROM journal_leaves",
        "UPDATE journal_nodes SET hash = ''",
        "DELETE FROM journal_nodes",
        "UPDATE journal_heads SET root = ''",
        "DELETE FROM journal_heads",
        "ALTER TABLE journal_rows ADD COLUMN x int",
        "DROP TABLE journal_rows",
        "UPDATE vault_master SET fingerprint = ''",
    ],
)
def test_the_application_may_not_rewrite_the_journal(uow: UnitOfWork, statement: str) -> None:
    write(uow)
    with pytest.raises(Refused), uow.begin(SYSTEM) as tx:
        tx.connection.execute(sa.text(statement))


def test_proofs_outside_of_the_log_are_refused(
    uow: UnitOfWork, sequencer: Sequencer, journal: JournalService
) -> None:
    write(uow, 2)
    sequencer.place()
    for leaf, size in ((2, None), (-1, None), (0, 3), (0, 0)):
        with pytest.raises(UnknownLeaf):
            journal.inclusion_proof(leaf, size=size)
    with pytest.raises(UnknownLeaf):
        journal.consistency_proof(1, 3)
    with pytest.raises(BadInput):
        journal.consistency_proof(2, 1)
    with pytest.raises(UnknownLeaf):
        journal.head(size=1)
