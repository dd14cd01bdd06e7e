"""Transactions: whole or not at all, errors in our own words, events inside."""

from __future__ import annotations

import contextlib
import threading

import pytest
import sqlalchemy as sa

from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput, Busy, Conflict, OpenAOCError, Refused
from openaoc.kernel.events import Event
from openaoc.storage.database import Database
from openaoc.storage.errors import TryAgain
from openaoc.storage.tables import journal_rows
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying


def rows(uow: UnitOfWork) -> list[str]:
    with uow.read(SYSTEM) as tx:
        query = sa.select(journal_rows.c.subject).order_by(journal_rows.c.id)
        return list(tx.connection.execute(query).scalars())


def event(tx: Transaction, name: str, subject: str = "thing") -> Event:
    return Event(name=name, subject=subject, at=tx.now)


def keep(tx: Transaction, one: Event) -> None:
    """A handler that writes: what it does belongs to the change it hears of."""
    tx.journal(action="test.heard", subject=f"heard {one.subject}")


def test_a_change_its_journal_row_and_what_handlers_do_commit_together(uow: UnitOfWork) -> None:
    uow.subscribe("test.thing.told", keep)
    with uow.begin(SYSTEM, purpose="test") as tx:
        tx.journal(action="test.thing.done", subject="thing")
        tx.emit(event(tx, "test.thing.told"))
        assert rows(uow) == []
    assert rows(uow) == ["thing", "heard thing"]


def test_nothing_of_a_failed_change_stays(uow: UnitOfWork) -> None:
    told = []
    uow.subscribe("test.thing.told", keep)
    with contextlib.suppress(ZeroDivisionError), uow.begin(SYSTEM) as tx:
        tx.journal(action="test.thing.done", subject="thing")
        tx.emit(event(tx, "test.thing.told"))
        tx.after_commit(lambda: told.append("committed"))
        raise ZeroDivisionError
    assert (rows(uow), told) == ([], [])


def test_events_reach_their_handlers_in_order_before_the_commit(uow: UnitOfWork) -> None:
    heard: list[str] = []

    def first(tx: Transaction, one: Event) -> None:
        heard.append(f"first {one.subject}")
        tx.journal(action="test.heard", subject=one.subject)
        if one.subject == "a":
            tx.emit(event(tx, "test.second.told", "b"))

    uow.subscribe("test.first.told", first)
    uow.subscribe("test.first.told", lambda _, one: heard.append(f"other {one.subject}"))
    uow.subscribe("test.second.told", lambda _, one: heard.append(f"second {one.subject}"))
    uow.subscribe("*", lambda _, one: heard.append(f"all {one.name}"))
    with uow.begin(SYSTEM) as tx:
        tx.emit(event(tx, "test.first.told", "a"))
        tx.emit(event(tx, "test.nobody.listens"))
        assert heard == []
    assert heard == [
        "first a",
        "other a",
        "all test.first.told",
        "all test.nobody.listens",
        "second b",
        "all test.second.told",
    ]
    assert rows(uow) == ["a"]


def test_a_handler_that_fails_fails_the_change(uow: UnitOfWork) -> None:
    def refuse(tx: Transaction, one: Event) -> None:
        raise Refused(one.subject)

    uow.subscribe("test.thing.told", refuse)

    def change() -> None:
        with uow.begin(SYSTEM) as tx:
            tx.journal(action="test.thing.done", subject="thing")
            tx.emit(event(tx, "test.thing.told"))

    with pytest.raises(Refused):
        change()
    assert rows(uow) == []


def test_what_runs_after_the_commit_sees_it_and_cannot_undo_it(uow: UnitOfWork) -> None:
    seen: list[list[str]] = []
    with uow.begin(SYSTEM) as tx:
        tx.journal(action="test.thing.done", subject="thing")
        tx.after_commit(lambda: 1 // 0)
        tx.after_commit(lambda: seen.append(rows(uow)))
    assert seen == [["thing"]]


def test_what_is_gathered_is_written_once_in_order_with_the_change(uow: UnitOfWork) -> None:
    written: list[list[str]] = []

    def write(tx: Transaction, subjects: list[str]) -> None:
        written.append(subjects)
        for subject in subjects:
            tx.journal(action="test.gathered", subject=subject)

    def later(tx: Transaction, one: Event) -> None:
        tx.gather("test", [f"heard {one.subject}"], write)

    uow.subscribe("test.thing.told", later)
    with uow.begin(SYSTEM) as tx:
        tx.gather("test", ["a", "b"], write)
        tx.emit(event(tx, "test.thing.told"))
        tx.gather("test", ["c"], write)
        assert written == []
    assert written == [["a", "b", "c", "heard thing"]]
    assert rows(uow) == ["a", "b", "c", "heard thing"]
    with contextlib.suppress(ZeroDivisionError), uow.begin(SYSTEM) as tx:
        tx.gather("test", ["never"], write)
        raise ZeroDivisionError
    assert len(written) == 1


def test_what_is_written_later_is_there_for_who_looks(uow: UnitOfWork) -> None:
    insert = sa.text("INSERT INTO vault_items (subject_id, key_id, ciphertext, sealed_at)"
                     " VALUES (:one, :one, '', now())")  # fmt: skip
    look = sa.text("SELECT count(*) FROM vault_items")
    with uow.begin(SYSTEM) as tx:
        tx.write(insert, {"one": "a"})
        tx.write(insert, {"one": "b"})
        assert tx.connection.execute(look).scalar_one() == 2
        tx.write(insert, {"one": "c"})
    with uow.read(SYSTEM) as tx:
        assert tx.connection.execute(look).scalar_one() == 3

    def write_all(*names: str) -> None:
        with uow.begin(SYSTEM) as tx:
            for name in names:
                tx.write(insert, {"one": name})

    with pytest.raises(Conflict, match="vault_items"):
        write_all("d", "a", "e")
    with uow.begin(SYSTEM) as tx:
        assert tx.connection.execute(look).scalar_one() == 3
        tx.write(insert, {"one": "f"})
    with uow.read(SYSTEM) as tx:
        assert tx.connection.execute(look).scalar_one() == 4


def test_one_transaction_has_one_moment(uow: UnitOfWork, clock: ManualClock) -> None:
    with uow.begin(SYSTEM) as tx:
        assert tx.now == clock.now()


def test_reading_writes_nothing_and_sees_one_moment(uow: UnitOfWork) -> None:
    with uow.read(SYSTEM) as tx:
        count = sa.select(sa.func.count()).select_from(journal_rows)
        assert tx.connection.execute(count).scalar_one() == 0
        with uow.begin(SYSTEM) as other:
            other.journal(action="test.thing.done", subject="thing")
        assert tx.connection.execute(count).scalar_one() == 0
        with pytest.raises(AssertionError):
            tx.journal(action="test.thing.done", subject="thing")
    with pytest.raises(Refused), uow.read(SYSTEM) as tx:
        tx.connection.execute(sa.text("DELETE FROM journal_waiting"))


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("INSERT INTO journal_waiting VALUES (1), (1)", Conflict),
        ("INSERT INTO journal_waiting VALUES (NULL)", BadInput),
        ("INSERT INTO api_keys VALUES ('k', 'nobody', '', now())", Conflict),
        ("INSERT INTO live_switches VALUES ('s', 'secret', NULL, NULL, NULL, now())", BadInput),
        ("SELECT 'secret'::int", BadInput),
        ("SELECT 1 / 0", BadInput),
        ("SET LOCAL statement_timeout = 20; SELECT pg_sleep(5)", Busy),
        ("CREATE TABLE secret (n int)", Refused),
        ("ALTER TABLE users DISABLE ROW LEVEL SECURITY", Refused),
    ],
)
def test_the_databases_refusals_come_in_our_words(
    uow: UnitOfWork, statement: str, kind: type[OpenAOCError]
) -> None:
    def run() -> None:
        with uow.begin(SYSTEM) as tx:
            for part in statement.split(";"):
                tx.connection.execute(sa.text(part))

    with pytest.raises(kind) as caught:
        run()
    text = str(caught.value)
    assert "secret" not in text
    assert "INSERT" not in text
    assert "SELECT" not in text


def test_an_actor_without_a_proper_id_is_refused(uow: UnitOfWork) -> None:
    for bad in ("", "a\x00b"):
        actor = Actor(id=bad, roles=frozenset({Role.AGENT}))
        with pytest.raises(BadInput), uow.begin(actor):
            pass


def test_who_decides_on_a_name_waits_for_the_other(uow: UnitOfWork) -> None:
    order: list[str] = []
    inside, go = threading.Event(), threading.Event()

    def first() -> None:
        with uow.begin(SYSTEM) as tx:
            tx.lock("test.name")
            inside.set()
            assert go.wait(60)
            order.append("first")

    def second() -> None:
        with uow.begin(SYSTEM) as tx:
            tx.lock("test.name")
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(60)
    threads[1].start()
    with uow.begin(SYSTEM) as tx:
        tx.lock("another name")
    go.set()
    for thread in threads:
        thread.join()
    assert order == ["first", "second"]


def test_of_two_changes_that_lock_each_other_one_may_try_again(uow: UnitOfWork) -> None:
    meet = threading.Barrier(2)
    refusals: list[OpenAOCError] = []
    done: list[int] = []

    def change(names: tuple[str, str]) -> None:
        first_time = [True]

        def once() -> None:
            with uow.begin(SYSTEM) as tx:
                tx.lock(names[0])
                if first_time:
                    first_time.clear()
                    meet.wait(60)
                try:
                    tx.lock(names[1])
                except sa.exc.DBAPIError:
                    refusals.append(TryAgain())
                    raise
                done.append(1)

        retrying(once)

    threads = [threading.Thread(target=change, args=(names,)) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2, "both are done in the end"
    assert len(refusals) == 1, "one of them at the second attempt"


def test_trying_again_has_an_end() -> None:
    calls = []

    def never() -> None:
        calls.append(1)
        raise TryAgain

    with pytest.raises(TryAgain):
        retrying(never, attempts=3)
    assert len(calls) == 3


def test_connections_have_limits(database: Database) -> None:
    with database.engine.connect() as connection:
        found = {
            name: connection.execute(sa.text(f"SHOW {name}")).scalar_one()
            for name in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "transaction_isolation",
            )
        }
    assert found == {
        "statement_timeout": "1min",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "2min",
        "transaction_isolation": "read committed",
    }
