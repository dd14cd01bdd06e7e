"""Proofs: the journal, against somebody with every right in the database and the centre's keys."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Final, LiteralString

import psycopg
from psycopg import conninfo, sql

from openaoc.continuity.witness import Witness
from openaoc.continuity.witness_check import compare
from openaoc.continuity.witness_http import serving
from openaoc.continuity.witnessing import Witnessing
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import SystemClock, parse_time
from openaoc.proofs.frame import Steps
from openaoc.proofs.scratch import Scratch, scratch_database, scratch_settings
from openaoc.storage import merkle
from openaoc.storage.database import Database
from openaoc.storage.journal import JournalService, Sequencer
from openaoc.storage.journal_heads import sign_head
from openaoc.storage.roles import EMBEDDED_DATABASE

ROWS: Final = 200
WITNESSES: Final = 2
LATER: Final = 40
_TABLES: Final = ("journal_rows", "journal_nodes", "journal_heads")
TAMPERINGS: Final[dict[str, str]] = {
    "a row's text was changed": (
        "UPDATE journal_rows SET body = replace(body, '\"thing7\"', '\"another\"')"
    ),
    "a row's column was changed": (
        "UPDATE journal_rows SET who = 'nobody' WHERE subject = 'thing9'"
    ),
    "a row was deleted": "DELETE FROM journal_rows WHERE subject = 'thing11'",
    "a node was changed": (
        "UPDATE journal_nodes SET hash = sha256('x') WHERE level = 3 AND position = 2"
    ),
    "a head was changed": "UPDATE journal_heads SET root = sha256('x')",
    "a row was put in beside the log": (
        "INSERT INTO journal_rows (at, who, action, subject, body)"
        " SELECT at, who, action, subject, body FROM journal_rows LIMIT 1"
    ),
}
"""What somebody with the superuser's password may do, one at a time."""


def prove(place: Scratch, steps: Steps) -> None:
    """Tamper in every way, then rewrite everything, and look who notices."""
    scratch = place.folder
    settings = scratch_settings(scratch / "centre")
    with scratch_database(settings) as database:
        _write(database, "thing", ROWS)
        journal = JournalService(database)
        verdict = journal.verify()
        steps.check(
            f"wrote {ROWS} changes and verified", found=f"{verdict.size} rows", ok=verdict.ok
        )
        for words, statement in TAMPERINGS.items():
            _tamper(database, journal, steps, words=words, statement=statement)
        _rewrite(scratch, database, journal, steps)


def _write(database: Database, name: str, rows: int) -> None:
    with database.uow.begin(SYSTEM, purpose="proof") as tx:
        for number in range(rows):
            tx.journal(action="proof.thing.done", subject=f"{name}{number}")
    Sequencer(database).place()


def _tamper(
    database: Database, journal: JournalService, steps: Steps, *, words: str, statement: str
) -> None:
    """As the superuser; what was done is undone afterwards."""
    with _superuser(database) as connection:
        for name in _TABLES:
            connection.execute(_on("CREATE TEMP TABLE {kept} AS TABLE {table}", name))
        connection.execute(statement.encode())
        verdict = journal.verify()
        found = verdict.fault.reason if verdict.fault else "nothing"
        steps.check(f"as the superuser: {words}", found=found, ok=not verdict.ok)
        for name in _TABLES:
            connection.execute(_on("DELETE FROM {table}", name))
            over = " OVERRIDING SYSTEM VALUE" if name == "journal_rows" else ""
            connection.execute(_on("INSERT INTO {table}" + over + " TABLE {kept}", name))


def _on(statement: LiteralString, table: str) -> sql.Composed:
    names = {"table": sql.Identifier(table), "kept": sql.Identifier(f"kept_{table}")}
    return sql.SQL(statement).format(**names)


def _superuser(database: Database) -> psycopg.Connection:
    assert database.server is not None, "a scratch centre has its own server"
    parameters = database.server.parameters(database=EMBEDDED_DATABASE)
    return psycopg.connect(conninfo.make_conninfo(**parameters), autocommit=True)


def _rewrite(scratch: Path, database: Database, journal: JournalService, steps: Steps) -> None:
    """Heads to two witnesses, then a history made anew and signed with the centre's own key."""
    witnessing = Witnessing(uow=database.uow, journal=journal)
    identity = witnessing.identity()
    kept = [Witness(scratch / f"w{number}", clock=SystemClock()) for number in range(WITNESSES)]
    for witness in kept:
        witness.trust(identity.first_key)
    with serving(kept[0]) as first, serving(kept[1]) as second:
        urls = (first, second)
        for url, witness in zip(urls, kept, strict=True):
            with database.uow.begin(SYSTEM, purpose="proof") as tx:
                witnessing.add(tx, url=url, key=witness.public_key)
        Sequencer(database).place()
        steps.check(
            "offered the head to two witnesses",
            found=f"{witnessing.offer_all()} signed it",
            ok=all(_agrees(journal, witnessing, url)[0] for url in urls),
        )
        _write(database, "later", LATER)
        _rebuild(database, old="thing5", new="another")
        verdict = journal.verify()
        steps.check(
            "rewrote a row, the whole tree and every head, signed with the centre's own key",
            found="the centre's own check sees nothing" if verdict.ok else "its own check fails",
            ok=verdict.ok,
        )
        for number, url in enumerate(urls, 1):
            agrees, problem = _agrees(journal, witnessing, url)
            steps.check(f"compared with witness {number}", found=problem, ok=not agrees)
        steps.check(
            "offered the new head to both witnesses",
            found=f"{witnessing.offer_all()} signed it",
            ok=all(witness.book(identity.centre)[-1].kind == "evidence" for witness in kept),
        )


def _agrees(journal: JournalService, witnessing: Witnessing, url: str) -> tuple[bool, str]:
    def proof(old: int, new: int) -> list[str]:
        return journal.consistency_proof(old, new).path

    found = compare(
        url,
        key="",
        centre=witnessing.identity().centre,
        keys=journal.keys(),
        head=journal.head(),
        proof=proof,
    )
    return found.ok, found.problem


def _rebuild(database: Database, *, old: str, new: str) -> None:
    """Everything an administrator who has the database and the keys can do."""
    with _superuser(database) as connection:
        connection.execute(
            "UPDATE journal_rows SET subject = %s, body = replace(body, %s, %s) WHERE subject = %s",
            [new, f'"{old}"', f'"{new}"', old],
        )
        bodies = connection.execute(
            "SELECT body FROM journal_leaves JOIN journal_rows ON id = row_id ORDER BY leaf"
        ).fetchall()
        nodes: dict[tuple[int, int], bytes] = {}
        lookup: Callable[[int, int], bytes] = lambda *place: nodes[place]  # noqa: E731 - one use
        for leaf, (body,) in enumerate(bodies):
            for node in merkle.append(leaf, [merkle.leaf_hash(str(body).encode())], lookup):
                nodes[node.level, node.position] = node.hash
        for (level, position), value in nodes.items():
            connection.execute(
                "UPDATE journal_nodes SET hash = %s WHERE (level, position) = (%s, %s)",
                [value, level, position],
            )
        signer = database.journal_keys.signer()
        for size, at in connection.execute("SELECT size, at FROM journal_heads").fetchall():
            head = sign_head(signer, size=size, root_hash=merkle.root(size, lookup), at=at)
            connection.execute(
                "UPDATE journal_heads SET root = %s, at = %s, signature = %s WHERE size = %s",
                [head.root_hash, parse_time(head.at), base64.b64decode(head.signature), size],
            )
