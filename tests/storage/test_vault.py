"""Identities: unreadable without their keys, every look on record, gone when shredded."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput, Corrupt, TooLarge, Unavailable
from openaoc.storage import roles
from openaoc.storage.database import Database, connect_database
from openaoc.storage.journal import JournalService, Sequencer
from openaoc.storage.journal_rows import JournalRow
from openaoc.storage.keyring import Keyring
from openaoc.storage.tables import vault_items
from openaoc.storage.unit_of_work import UnitOfWork
from openaoc.storage.vault import CONTENT_BYTES_MAX, FOLDER_NAME, NotSealed, Shredded, Vault

AGENT = Actor(id="usr_agent", roles=frozenset({Role.AGENT}))
SECRET = b'{"name":"Somchai Jaidee","phone":"0812345678"}'
WHY = "calls back about the report"


@pytest.fixture
def vault(keys: Keyring, uow: UnitOfWork) -> Vault:
    return Vault(keys=keys, uow=uow)


def seal(uow: UnitOfWork, vault: Vault, subject: str = "rep_1", content: bytes = SECRET) -> str:
    with uow.begin(SYSTEM) as tx:
        return vault.seal(tx, subject, content).hmac_sha256


def key_files(keys: Keyring) -> list[Path]:
    return sorted((keys.folder / FOLDER_NAME).rglob("*.key"))


def journalled(database: Database) -> list[JournalRow]:
    Sequencer(database).place()
    rows = JournalService(database).rows()
    return [msgspec.json.decode(row.body, type=JournalRow) for row in rows]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=3_000), subject=st.text(min_size=1, max_size=20))
def test_what_is_sealed_is_opened_again(
    uow: UnitOfWork, vault: Vault, content: bytes, subject: str
) -> None:
    if "\x00" in subject:
        return
    first = seal(uow, vault, subject, content)
    with uow.read(AGENT) as tx:
        assert vault.open(tx, subject, reason=WHY) == content
        assert vault.commitment(tx, subject, content).hmac_sha256 == first
        assert vault.commitment(tx, subject, content + b"x").hmac_sha256 != first


def test_nothing_readable_is_in_the_database_or_the_key_folder(
    database: Database, uow: UnitOfWork, vault: Vault, keys: Keyring
) -> None:
    seal(uow, vault)
    with roles.connect(database.owner) as connection:
        kept = connection.execute("SELECT ciphertext FROM vault_items").fetchone()
        text = connection.execute("SELECT string_agg(body, '') FROM journal_rows").fetchone()
    assert kept is not None
    assert text is not None
    held = bytes(kept[0]) + str(text[0]).encode()
    held += b"".join(path.read_bytes() for path in keys.folder.rglob("*") if path.is_file())
    for part in (b"Somchai", b"0812345678"):
        assert part not in held


def test_the_same_identity_twice_looks_different(
    database: Database, uow: UnitOfWork, vault: Vault
) -> None:
    one, two = seal(uow, vault, "rep_1"), seal(uow, vault, "rep_2")
    assert one != two, "a commitment is keyed: equal people cannot be matched by it"
    with uow.read(SYSTEM) as tx:
        found = tx.connection.execute(sa.select(vault_items.c.ciphertext)).scalars().all()
    assert found[0] != found[1]


def test_every_look_is_on_record_with_who_and_why(
    database: Database, uow: UnitOfWork, vault: Vault
) -> None:
    seal(uow, vault)
    with uow.read(AGENT, purpose="call back") as tx:
        vault.open(tx, "rep_1", reason=WHY)
    row = journalled(database)[-1]
    assert row.action == "storage.identity.opened"
    assert (row.who, row.subject, row.reason) == ("usr_agent", "rep_1", WHY)


def test_a_look_stays_on_record_when_the_change_around_it_fails(
    database: Database, uow: UnitOfWork, vault: Vault
) -> None:
    seal(uow, vault)
    with contextlib.suppress(ZeroDivisionError), uow.begin(AGENT) as tx:
        vault.open(tx, "rep_1", reason=WHY)
        raise ZeroDivisionError
    assert journalled(database)[-1].action == "storage.identity.opened"


def test_whoever_keeps_keys_too_hears_of_each_that_is_made_and_erased(
    uow: UnitOfWork, vault: Vault, keys: Keyring
) -> None:
    told: list[tuple[str, bool]] = []
    keys.changed = lambda path: told.append((path.name, path.exists()))
    for subject in ("rep_1", "rep_2"):
        seal(uow, vault, subject)
    (first, _), (second, _) = told
    assert {path.name for path in key_files(keys)} == {first, second}
    with uow.begin(SYSTEM) as tx:
        vault.shred(tx, "rep_1", reason="the victim asked")
        assert len(told) == 2, "not before it is committed"
    assert told[2:] == [(first, False)]
    with uow.read(SYSTEM) as tx:
        names = [f"identities/{first[:2]}/{first}", f"identities/{second[:2]}/{second}"]
        assert vault.erased(tx, [*names, "identities/no/nobodys.key"]) == names[:1]


def test_without_a_reason_nothing_is_opened_or_destroyed(uow: UnitOfWork, vault: Vault) -> None:
    seal(uow, vault)
    for reason in ("", "  ", "x"):
        with uow.begin(AGENT) as tx:
            with pytest.raises(BadInput):
                vault.open(tx, "rep_1", reason=reason)
            with pytest.raises(BadInput):
                vault.shred(tx, "rep_1", reason=reason)


def test_sealing_again_replaces(uow: UnitOfWork, vault: Vault, keys: Keyring) -> None:
    seal(uow, vault)
    seal(uow, vault, content=b"other")
    with uow.read(SYSTEM) as tx:
        assert vault.open(tx, "rep_1", reason=WHY) == b"other"
    assert len(key_files(keys)) == 1


def test_a_shredded_identity_is_gone_for_ever(
    database: Database, uow: UnitOfWork, vault: Vault, keys: Keyring
) -> None:
    seal(uow, vault)
    with uow.read(SYSTEM) as tx:
        backup = tx.connection.execute(sa.select(vault_items)).one()
    with uow.begin(SYSTEM) as tx:
        vault.shred(tx, "rep_1", reason="asked for by the person")
        assert key_files(keys), "not before it is committed"
    assert key_files(keys) == []
    with uow.begin(SYSTEM) as tx:
        vault.shred(tx, "rep_1", reason="asked for again")
        with pytest.raises(Shredded):
            vault.open(tx, "rep_1", reason=WHY)
        with pytest.raises(Shredded):
            vault.seal(tx, "rep_1", b"new")
        with pytest.raises(Shredded):
            vault.commitment(tx, "rep_1", SECRET)
    assert [row.action for row in journalled(database)].count("storage.identity.shredded") == 1
    with roles.connect(database.owner) as connection:
        connection.execute(
            "UPDATE vault_items SET ciphertext = %s, shredded_at = NULL", [backup.ciphertext]
        )
    with uow.read(SYSTEM) as tx, pytest.raises(Corrupt):
        vault.open(tx, "rep_1", reason=WHY)


def test_a_shredding_that_fails_keeps_the_identity(uow: UnitOfWork, vault: Vault) -> None:
    seal(uow, vault)
    with contextlib.suppress(ZeroDivisionError), uow.begin(SYSTEM) as tx:
        vault.shred(tx, "rep_1", reason="asked for")
        raise ZeroDivisionError
    with uow.read(SYSTEM) as tx:
        assert vault.open(tx, "rep_1", reason=WHY) == SECRET


def test_a_crash_between_the_shredding_and_its_key_is_made_good(
    database: Database,
    uow: UnitOfWork,
    vault: Vault,
    keys: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seal(uow, vault, "rep_1")
    seal(uow, vault, "rep_2")

    def crash(_: Path) -> bool:
        raise OSError

    monkeypatch.setattr("openaoc.storage.keyring.destroy", crash)
    with uow.begin(SYSTEM) as tx:
        vault.shred(tx, "rep_1", reason="asked for")
    monkeypatch.undo()
    assert len(key_files(keys)) == 2
    database.migrate()
    assert len(key_files(keys)) == 1, "every start finishes what was interrupted"
    with uow.read(SYSTEM) as tx:
        assert vault.reconcile(tx) == 0
        assert vault.open(tx, "rep_2", reason=WHY) == SECRET


def test_a_change_that_is_lost_leaves_a_key_and_no_row(
    uow: UnitOfWork, vault: Vault, keys: Keyring
) -> None:
    with contextlib.suppress(ZeroDivisionError), uow.begin(SYSTEM) as tx:
        vault.seal(tx, "rep_1", SECRET)
        assert len(key_files(keys)) == 1, "on disk before anything relies on it"
        raise ZeroDivisionError
    with uow.read(SYSTEM) as tx, pytest.raises(NotSealed):
        vault.open(tx, "rep_1", reason=WHY)
    seal(uow, vault)


def test_moved_or_changed_ciphertext_is_found(
    database: Database, uow: UnitOfWork, vault: Vault
) -> None:
    seal(uow, vault, "rep_1", b"one")
    seal(uow, vault, "rep_2", b"two")
    with roles.connect(database.owner) as connection:
        connection.execute(
            "UPDATE vault_items a SET ciphertext = b.ciphertext FROM vault_items b"
            " WHERE a.subject_id = 'rep_1' AND b.subject_id = 'rep_2'"
        )
    with uow.read(SYSTEM) as tx, pytest.raises(Corrupt):
        vault.open(tx, "rep_1", reason=WHY)


def test_a_changed_key_file_is_found(uow: UnitOfWork, vault: Vault, keys: Keyring) -> None:
    seal(uow, vault)
    [path] = key_files(keys)
    for broken in (b"", b"x" * 60):
        path.write_bytes(broken)
        with uow.read(SYSTEM) as tx, pytest.raises(Corrupt):
            vault.open(tx, "rep_1", reason=WHY)


def test_too_much_and_nothing_are_refused(uow: UnitOfWork, vault: Vault) -> None:
    with uow.begin(SYSTEM) as tx:
        with pytest.raises(TooLarge):
            vault.seal(tx, "rep_1", b"x" * (CONTENT_BYTES_MAX + 1))
        with pytest.raises(BadInput):
            vault.seal(tx, "", b"x")
        with pytest.raises(NotSealed):
            vault.open(tx, "rep_1", reason=WHY)
        with pytest.raises(NotSealed):
            vault.shred(tx, "rep_1", reason=WHY)


def test_keys_are_for_their_owner_alone(uow: UnitOfWork, vault: Vault, keys: Keyring) -> None:
    old = os.umask(0)
    try:
        seal(uow, vault)
    finally:
        os.umask(old)
    for path in keys.folder.rglob("*"):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_another_master_key_is_noticed_before_anything_is_lost(
    database: Database, uow: UnitOfWork, keys: Keyring, tmp_path: Path
) -> None:
    database.migrate()
    seal(uow, Vault(keys=keys, uow=uow))
    moved = keys.folder.rename(tmp_path / "elsewhere")
    fresh = connect_database(database.owner, keys=Keyring(keys.folder), clock=database.clock)
    with pytest.raises(Unavailable, match="missing"):
        fresh.migrate()
    assert not (keys.folder / "master.key").exists(), "no new key is made in its place"
    Keyring(keys.folder).master_key()
    with pytest.raises(Unavailable, match="not the one"):
        fresh.migrate()
    fresh.close()
    right = connect_database(database.owner, keys=Keyring(moved), clock=database.clock)
    right.migrate()
    with right.uow.read(SYSTEM) as tx:
        assert Vault(keys=right.keys, uow=right.uow).open(tx, "rep_1", reason=WHY) == SECRET
    right.close()
