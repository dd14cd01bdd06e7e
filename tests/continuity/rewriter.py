"""An administrator with every right: the database's superuser and the centre's own keys."""

from __future__ import annotations

import base64
from datetime import datetime

import psycopg
from psycopg import conninfo

from openaoc.kernel.clock import parse_time
from openaoc.storage import merkle
from openaoc.storage.database import Database
from openaoc.storage.journal_heads import sign_head

Place = tuple[int, int]


def rewrite(database: Database, *, subject: str, into: str) -> None:
    """Make every row about one subject speak of another, then build and sign everything anew."""
    with psycopg.connect(conninfo.make_conninfo(**database.owner), autocommit=True) as connection:
        connection.execute(
            "UPDATE journal_rows SET subject = %s, body = replace(body, %s, %s) WHERE subject = %s",
            [into, f'"{subject}"', f'"{into}"', subject],
        )
        rebuild(connection, database)


def cut_off(database: Database, *, keep: int) -> None:
    """Take the newest rows away with their heads, and sign what is left."""
    with psycopg.connect(conninfo.make_conninfo(**database.owner), autocommit=True) as connection:
        connection.execute(
            "DELETE FROM journal_rows USING journal_leaves"
            " WHERE journal_leaves.row_id = journal_rows.id AND leaf >= %s",
            [keep],
        )
        connection.execute("DELETE FROM journal_leaves WHERE leaf >= %s", [keep])
        rebuild(connection, database)


def rebuild(connection: psycopg.Connection, database: Database) -> None:
    """The whole Merkle log over the rows as they are now, every head signed at its old time."""
    heads = connection.execute("SELECT size, at FROM journal_heads ORDER BY size").fetchall()
    bodies = [
        str(row[0])
        for row in connection.execute(
            "SELECT body FROM journal_leaves JOIN journal_rows ON id = row_id ORDER BY leaf"
        )
    ]
    nodes: dict[Place, bytes] = {}
    for leaf, body in enumerate(bodies):
        content = merkle.leaf_hash(body.encode())
        for node in merkle.append(leaf, [content], lambda *place: nodes[place]):
            nodes[node.level, node.position] = node.hash
    connection.execute("DELETE FROM journal_nodes")
    connection.execute("DELETE FROM journal_heads")
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO journal_nodes VALUES (%s, %s, %s)",
            [(level, position, value) for (level, position), value in nodes.items()],
        )
    sizes = sorted({min(int(size), len(bodies)) for size, _ in heads} | {len(bodies)})
    moments: dict[int, datetime] = dict(heads)
    signer = database.journal_keys.signer()
    for size in sizes:
        root = merkle.root(size, lambda *place: nodes[place])
        at = moments[size] if size in moments else heads[-1][1]
        head = sign_head(signer, size=size, root_hash=root, at=at)
        connection.execute(
            "INSERT INTO journal_heads VALUES (%s, %s, %s, %s, %s)",
            [size, root, parse_time(head.at), head.key_id, base64.b64decode(head.signature)],
        )
