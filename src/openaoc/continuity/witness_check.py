"""Continuity: does what the centre says now extend what a witness kept? Decided away from both.

Computes with heads and proofs only; believes neither side's verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from openaoc.continuity.witness import Record
from openaoc.continuity.witness_client import (
    WitnessClient,
    WitnessLied,
    is_file,
    largest,
    read_heads,
)
from openaoc.kernel.errors import OpenAOCError
from openaoc.storage import merkle
from openaoc.storage.journal_heads import Head
from openaoc.storage.journal_keys import KeySet

Proof = Callable[[int, int], Sequence[str]]
"""Asks the centre for the consistency proof of two sizes; hashes in hexadecimal."""


class WitnessFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison with one witness found.

    `size` is the largest head it holds; `problem` is empty when the centre's log extends it;
    `branches` counts restores that a person at the witness accepted. Not `answered`: nothing was
    compared, and `problem` says why.
    """

    witness: str
    size: int
    ok: bool
    problem: str = ""
    branches: int = 0
    answered: bool = True


def compare(
    url: str, *, key: str, centre: str, keys: KeySet, head: Head, proof: Proof
) -> WitnessFinding:
    """The finding for one witness. Never raises for what a witness or the centre says."""
    try:
        if is_file(url):
            heads = read_heads(Path(url.removeprefix("file:")))
            return _judge(url, largest(heads), keys=keys, head=head, proof=proof)
        client = WitnessClient(url, key=key)
        kept = client.newest(centre).head
        book = client.book(centre)
    except WitnessLied as error:
        return WitnessFinding(witness=url, size=0, ok=False, problem=str(error))
    except OpenAOCError as error:
        return WitnessFinding(witness=url, size=0, ok=False, problem=str(error), answered=False)
    found = _judge(url, kept, keys=keys, head=head, proof=proof)
    return _with_book(found, book, keys=keys)


def _judge(
    url: str, kept: Head | None, *, keys: KeySet, head: Head, proof: Proof
) -> WitnessFinding:
    if kept is None:
        return WitnessFinding(witness=url, size=0, ok=False, problem="it has kept no head yet")
    problem = ""
    if not keys.verify(kept):
        problem = "it keeps a head that no key of this centre signed"
    elif kept.size > head.size:
        problem = (
            f"it knows {kept.size} rows and the centre shows {head.size}: the journal was cut off,"
            " or restored from a backup"
        )
    elif kept.size == head.size:
        problem = "" if kept.root == head.root else f"its {kept.size} rows are other rows"
    elif not _extends(kept, head, proof):
        problem = f"the centre's journal does not extend the {kept.size} rows it was shown"
    return WitnessFinding(witness=url, size=kept.size, ok=not problem, problem=problem)


def _extends(kept: Head, head: Head, proof: Proof) -> bool:
    try:
        path = [bytes.fromhex(step) for step in proof(kept.size, head.size)]
    except (OpenAOCError, ValueError):
        return False
    return merkle.verify_consistency(
        old=kept.size, new=head.size, old_root=kept.root_hash, new_root=head.root_hash, path=path
    )


def _with_book(found: WitnessFinding, book: Sequence[Record], *, keys: KeySet) -> WitnessFinding:
    """A contradiction that the centre signed stays one, unless a person accepted it afterwards."""
    branches = sum(record.kind == "branch" for record in book)
    found = msgspec.structs.replace(found, branches=branches)
    open_evidence: list[Record] = []
    for record in book:
        if record.kind == "branch":
            open_evidence.clear()
        elif record.kind == "evidence" and keys.verify(record.head):
            open_evidence.append(record)
    if found.ok and open_evidence:
        last = open_evidence[-1]
        problem = f"it was shown otherwise at {last.at}: {last.reason}"
        return msgspec.structs.replace(found, ok=False, problem=problem)
    return found
