"""A backup that is not whole, not ours or not for here is refused, and nothing is changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from psycopg import conninfo

from openaoc.continuity import backup, keys_backup
from openaoc.continuity.backup import make_backup
from openaoc.continuity.files import DiskFull, fresh_folder
from openaoc.continuity.model import (
    BackupManifest,
    BadTarget,
    DamagedBackup,
    NotABackup,
    SealedManifest,
    WrongKeys,
    WrongVersion,
)
from openaoc.continuity.restore import FORGOTTEN_MAX, REMEMBERED, check, restore
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput, OpenAOCError, Unavailable
from openaoc.kernel.settings import Settings
from openaoc.storage import roles
from openaoc.storage.journal import JournalService
from openaoc.storage.marks import RESTORE_MARK, NotACentre, check_marks
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.storage.vault import Vault
from tests.conftest import START
from tests.continuity.small import fill, opened, settings_for, tiny_disk

WORDS = "a long enough passphrase"


class Kept(NamedTuple):
    """A backup and the folder of the centre it is of."""

    backup: Path
    settings: Settings


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("damage")
    settings = settings_for(folder)
    with opened(settings) as (database, ledger):
        fill(database, ledger)
        ledger.snapshot()
        make_backup(
            folder / "bak",
            database=database,
            ledger=ledger,
            apart_from=(settings.data_path, settings.keys_path),
        )
    return Kept(folder / "bak", settings)


@pytest.fixture
def copy(kept: Kept, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept.backup, tmp_path / "copy"))


def cut(folder: Path) -> None:
    path = next(folder.glob("ledger/facts-*"))
    path.write_bytes(path.read_bytes()[:-1])


def flip(folder: Path) -> None:
    path = folder / "database.dump"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def lose(folder: Path) -> None:
    (folder / "ledger" / "ledger.json").unlink()


def add(folder: Path) -> None:
    (folder / "ledger" / "wal-00000000000000000099.log").write_bytes(b"")


def link(folder: Path) -> None:
    path = folder / "ledger" / "ledger.json"
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


def unsay(folder: Path) -> None:
    (folder / "backup.json").unlink()


def blur(folder: Path) -> None:
    (folder / "backup.json").write_bytes(b'{"manifest": "{}"')


def say_otherwise(**changes: object) -> Callable[[Path], None]:
    """A manifest with other words under the old signature."""

    def change(folder: Path) -> None:
        path = folder / "backup.json"
        sealed = msgspec.json.decode(path.read_bytes(), type=SealedManifest)
        manifest = msgspec.json.decode(sealed.manifest, type=BackupManifest)
        text = msgspec.json.encode(msgspec.structs.replace(manifest, **changes)).decode()
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(sealed, manifest=text)))

    return change


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (cut, DamagedBackup),
        (flip, DamagedBackup),
        (lose, DamagedBackup),
        (add, DamagedBackup),
        (link, DamagedBackup),
        (unsay, NotABackup),
        (blur, DamagedBackup),
        (say_otherwise(ledger_position=3), DamagedBackup),
        (say_otherwise(format=9, version="9.0.0"), WrongVersion),
        (say_otherwise(revision="9999"), WrongVersion),
        (say_otherwise(files=[]), DamagedBackup),
        (say_otherwise(purpose="another"), DamagedBackup),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_touched(
    kept: Kept,
    copy: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    error: type[OpenAOCError],
) -> None:
    damage(copy)
    target = settings_for(tmp_path / "new")
    target = msgspec.structs.replace(target, keys_dir=kept.settings.keys_dir)
    with pytest.raises(error):
        restore(copy, settings=target, clock=ManualClock(START))
    assert not (tmp_path / "new").exists()


def test_a_whole_backup_passes(kept: Kept, copy: Path) -> None:
    assert check(copy, settings=kept.settings).ledger_transfers == 8


def test_other_keys_and_no_keys_are_refused(kept: Kept, copy: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongKeys, match="no master key"):
        check(copy, settings=settings_for(tmp_path / "none"))
    other = settings_for(tmp_path / "other")
    with opened(other):
        pass
    with pytest.raises(WrongKeys, match="another master key"):
        check(copy, settings=other)
    shutil.copytree(kept.settings.keys_path, tmp_path / "half" / "keys")
    half = settings_for(tmp_path / "half")
    (half.keys_path / "journal-signing.pem").unlink()
    with pytest.raises(WrongKeys, match="sealed with a key"):
        check(copy, settings=half)


def test_restored_with_its_sealed_keys_it_is_the_same_centre(
    kept: Kept, copy: Path, tmp_path: Path
) -> None:
    sealed = tmp_path / "keys.sealed"
    keys_backup.seal_keys(kept.settings.keys_path, sealed, passphrase=WORDS, now=START)
    target = settings_for(tmp_path / "new")
    keys_backup.open_keys(sealed, target.keys_path, passphrase=WORDS)
    receipt = restore(copy, settings=target, clock=ManualClock(START))
    assert (receipt.ledger_transfers, receipt.unjournalled, receipt.epoch) == (8, 4, 2)
    with opened(target) as (database, ledger):
        assert JournalService(database).verify().ok
        assert ledger.stats().transfers == 8
        assert len(ledger.unjournalled()) == 4
        with roles.connect(database.owner) as connection:
            named = "SELECT nextval(pg_get_serial_sequence(%s, 'sequence'))"
            for table in REMEMBERED:
                row = connection.execute(named, [table]).fetchone()
                assert row is not None
                assert row[0] > FORGOTTEN_MAX, "partners read on from a later number"
        vault = Vault(keys=database.keys, uow=database.uow)
        with database.uow.begin(SYSTEM, purpose="test") as tx:
            known = vault.open(tx, "victim", reason="a test of the restore")
        assert known.startswith(b"Somchai")
    with pytest.raises(BadTarget):
        restore(copy, settings=target, clock=ManualClock(START))


def test_another_server_takes_the_backup_and_a_filled_one_does_not(
    kept: Kept, tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    with postgres.superuser() as connection:
        connection.execute("DROP DATABASE IF EXISTS test_elsewhere WITH (FORCE)")
        connection.execute("CREATE DATABASE test_elsewhere")
    dsn = conninfo.make_conninfo(**postgres.parameters(database="test_elsewhere"))
    shutil.copytree(kept.settings.keys_path, tmp_path / "new" / "keys")
    target = msgspec.structs.replace(settings_for(tmp_path / "new"), dsn=dsn)
    try:
        assert restore(kept.backup, settings=target, clock=ManualClock(START)).epoch == 2
        shutil.copytree(kept.settings.keys_path, tmp_path / "again" / "keys")
        again = msgspec.structs.replace(settings_for(tmp_path / "again"), dsn=dsn)
        with pytest.raises(BadTarget, match="database is not empty"):
            restore(kept.backup, settings=again, clock=ManualClock(START))
        assert not again.data_path.exists()
    finally:
        with postgres.superuser() as connection:
            connection.execute("DROP DATABASE test_elsewhere WITH (FORCE)")


def test_an_erased_identity_stays_erased_after_a_restore_of_older_keys(
    kept: Kept, tmp_path: Path
) -> None:
    """The keys came back with an older file; the database knows that this one is destroyed."""
    sealed = tmp_path / "keys.sealed"
    folder = tmp_path / "centre"
    shutil.copytree(kept.settings.keys_path, folder / "keys")
    settings = settings_for(folder)
    restore(kept.backup, settings=settings, clock=ManualClock(START))
    keys_backup.seal_keys(settings.keys_path, sealed, passphrase=WORDS, now=START)
    with opened(settings) as (database, ledger):
        vault = Vault(keys=database.keys, uow=database.uow)
        with database.uow.begin(SYSTEM, purpose="test") as tx:
            vault.shred(tx, "victim", reason="the victim asked")
        apart = (settings.data_path, settings.keys_path)
        make_backup(tmp_path / "bak", database=database, ledger=ledger, apart_from=apart)
    again = settings_for(tmp_path / "again")
    keys_backup.open_keys(sealed, again.keys_path, passphrase=WORDS)
    assert list((again.keys_path / "identities").rglob("*.key"))
    restore(tmp_path / "bak", settings=again, clock=ManualClock(START))
    assert not list((again.keys_path / "identities").rglob("*.key"))


def test_two_backups_into_one_folder_do_not_harm_each_other(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found the folder empty; the second to begin is refused and removes nothing."""
    (tmp_path / "bak").mkdir(mode=0o755)
    inner: list[Path] = []

    def at_once(folder: Path, *, apart_from: tuple[Path, ...] = ()) -> Path:
        place = fresh_folder(folder, apart_from=apart_from)
        if not inner:
            inner.append(place)
            make_backup(folder, database=database, ledger=ledger, apart_from=())
        return place

    monkeypatch.setattr(backup, "fresh_folder", at_once)
    with (
        opened(kept.settings) as (database, ledger),
        pytest.raises(BadTarget, match="another backup"),
    ):
        make_backup(tmp_path / "bak", database=database, ledger=ledger, apart_from=())
    check(tmp_path / "bak", settings=kept.settings)
    for path in (tmp_path / "bak").rglob("*"):
        assert not path.stat().st_mode & 0o077, path


def test_half_a_file_of_sealed_keys_does_not_stay(kept: Kept, tmp_path: Path) -> None:
    keys = shutil.copytree(kept.settings.keys_path, tmp_path / "keys")
    (keys / "zz-not-a-key").write_bytes(bytes(keys_backup.FILE_BYTES_MAX + 1))
    with pytest.raises(BadInput, match="no keys folder"):
        keys_backup.seal_keys(keys, tmp_path / "sealed", passphrase=WORDS, now=START)
    assert not (tmp_path / "sealed").exists()


def test_a_full_disk_stops_a_backup_and_leaves_nothing(kept: Kept, tmp_path: Path) -> None:
    with (
        tiny_disk(tmp_path / "disk", kib=64) as disk,
        opened(kept.settings) as (database, ledger),
    ):
        with pytest.raises(Unavailable, match=r"(?i)no space|could not write"):
            make_backup(disk / "bak", database=database, ledger=ledger, apart_from=())
        assert not [path for path in disk.rglob("*") if path.is_file()]
        before = ledger.stats().transfers
        fill(database, ledger, batches=0)
        assert ledger.stats().transfers == before


def test_a_full_disk_stops_a_restore_and_no_centre_starts_on_it(kept: Kept, tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", kib=64) as disk:
        target = msgspec.structs.replace(
            settings_for(disk / "new"), keys_dir=kept.settings.keys_dir
        )
        with pytest.raises((DiskFull, Unavailable)):
            restore(kept.backup, settings=target, clock=ManualClock(START))
        assert (target.data_path / RESTORE_MARK).exists()
        with pytest.raises(NotACentre, match="did not finish"):
            check_marks(target.data_path)


def test_sealed_keys_that_were_changed_or_cut_are_refused(kept: Kept, tmp_path: Path) -> None:
    sealed = tmp_path / "keys.sealed"
    keys_backup.seal_keys(kept.settings.keys_path, sealed, passphrase=WORDS, now=START)
    content = sealed.read_bytes()
    assert b"PRIVATE" not in content
    target = tmp_path / "keys"
    with pytest.raises(keys_backup.WrongPassphrase):
        keys_backup.open_keys(sealed, target, passphrase="not the passphrase")
    for wrong in (content[:-1], content + b"x", content[:80], b"else" + content[4:]):
        sealed.write_bytes(wrong)
        with pytest.raises((DamagedBackup, NotABackup, keys_backup.WrongPassphrase)):
            keys_backup.open_keys(sealed, target, passphrase=WORDS)
    assert not target.exists()
    with pytest.raises(BadInput, match="12 characters"):
        keys_backup.seal_keys(
            kept.settings.keys_path, tmp_path / "x", passphrase="short", now=START
        )
    with pytest.raises(BadTarget, match="exists"):
        keys_backup.seal_keys(kept.settings.keys_path, sealed, passphrase=WORDS, now=START)


def test_many_keys_are_sealed_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_backup, "CHUNK_BYTES_MAX", 512)
    folder = tmp_path / "keys"
    (folder / "identities").mkdir(parents=True)
    (folder / "master.key").write_bytes(b"m" * 44)
    for number in range(40):
        (folder / "identities" / f"{number}.key").write_bytes(bytes([number]) * 60)
    sealed = tmp_path / "sealed"
    assert keys_backup.seal_keys(folder, sealed, passphrase=WORDS, now=START).keys == 41
    keys_backup.open_keys(sealed, tmp_path / "back", passphrase=WORDS)
    for path in folder.rglob("*.key"):
        assert (tmp_path / "back" / path.relative_to(folder)).read_bytes() == path.read_bytes()
