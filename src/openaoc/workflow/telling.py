"""Workflow: a batch of transfers or openings told over HTTP: whose word it may be, kept once.

Answers only when the ledger has it on disk. Never reads a transfer out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import pyarrow.compute as pc

from openaoc.channels.idempotency import once
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput, Refused
from openaoc.ledger.accounts_file import AccountsTable, read_accounts
from openaoc.ledger.model import IngestReceipt
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import TransferTable, parse_transfers
from openaoc.parties.model import InstitutionKind
from openaoc.parties.permissions import Permission, require
from openaoc.parties.service import Parties
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

SUFFIXES: Final = {
    "application/x-ndjson": ".ndjson",
    "application/ndjson": ".ndjson",
    "application/jsonl": ".ndjson",
    "text/csv": ".csv",
    "application/vnd.apache.arrow.stream": ".arrow",
    "application/vnd.apache.parquet": ".parquet",
}
SHOWN_MAX: Final = 3


class NotYourWord(Refused):
    """An institution tells only what it reports itself."""


class OpeningsReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """How many openings were taken; they are durable."""

    accounts: int


class Telling:
    """What machines and administrators tell the ledger. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        ledger: Ledger,
        parties: Parties,
        wake: Callable[[], None],
        applied: Callable[[], None],
        corrected: Callable[[], None],
    ) -> None:
        """`applied` is called when the ledger has new transfers.

        `corrected` is called when a batch changed what was told before.
        """
        self._uow = uow
        self._ledger = ledger
        self._parties = parties
        self._wake = wake
        self._applied = applied
        self._corrected = corrected

    def transfers(
        self,
        body: bytes,
        content_type: str,
        *,
        actor: Actor,
        key: str,
        live: bool,
        assume_utc: bool,
    ) -> tuple[IngestReceipt, bool]:
        """Take a batch whole or not at all: the receipt, and whether the request was new.

        An institution's machine tells what it reports itself; the machine of a payment switch
        and an administrator tell what anybody reports. Raises RefusedRows, NotYourWord, what
        Ledger.ingest raises, and RepeatedDifferently.
        """
        require(actor, Permission.LEDGER_INGEST)
        asked = once(actor=actor.id, route="ledger/transfers", key=key, content=body)
        with self._uow.read(SYSTEM) as tx:
            earlier = asked.seen(tx, IngestReceipt)
            bound = self._bound_to(actor, tx)
        if earlier is not None:
            return earlier, False
        table = parse_transfers(body, content_type, assume_utc=assume_utc)
        _check_word(table, bound)
        receipt = self._ledger.ingest(table, live=live, told_by=actor.institution or actor.id)
        self._applied()
        if receipt.corrected:
            self._corrected()
        with self._uow.begin(SYSTEM, purpose="keep what a batch was answered") as tx:
            earlier = asked.earlier(tx, IngestReceipt)
            if earlier is not None:
                return earlier, False
            asked.answered(tx, receipt)
            tx.after_commit(self._wake)
        return receipt, True

    def accounts(
        self, body: bytes, content_type: str, *, actor: Actor, key: str, at: datetime
    ) -> tuple[OpeningsReceipt, bool]:
        """Take opening balances as of `at`; an institution's machine tells its own accounts."""
        require(actor, Permission.LEDGER_INGEST)
        asked = once(actor=actor.id, route="ledger/accounts", key=key, content=body)
        with self._uow.read(SYSTEM) as tx:
            earlier = asked.seen(tx, OpeningsReceipt)
            bound = self._bound_to(actor, tx)
        if earlier is not None:
            return earlier, False
        table = _read_accounts(body, content_type)
        if bound is not None:
            others = set(pc.unique(table.table["bank"]).to_pylist()) - {bound}
            _refuse_others(others, where="bank")
        count = self._ledger.set_openings(table, at)
        receipt = OpeningsReceipt(accounts=count)
        with self._uow.begin(SYSTEM, purpose="keep what openings were answered") as tx:
            earlier = asked.earlier(tx, OpeningsReceipt)
            if earlier is not None:
                return earlier, False
            tx.journal(
                action="ledger.openings.taken",
                subject=actor.institution or actor.id,
                after=receipt,
                authority=f"told by {actor.institution or actor.id}",
            )
            asked.answered(tx, receipt)
        return receipt, True

    def _bound_to(self, actor: Actor, tx: Transaction) -> str | None:
        """The only institution the actor may speak for; None for any."""
        if actor.has(Role.ADMINISTRATOR):
            return None
        if actor.institution is None:
            raise NotYourWord("this machine belongs to no institution")
        institution = self._parties.institution(tx, actor.institution)
        return None if institution.kind is InstitutionKind.SWITCH else institution.code


def _check_word(table: TransferTable, bound: str | None) -> None:
    if bound is not None:
        others = set(pc.unique(table.table["reported_by"]).to_pylist()) - {bound}
        _refuse_others(others, where="reported_by")


def _refuse_others(others: set[str | None], *, where: str) -> None:
    if others:
        names = ", ".join(sorted(str(name) for name in others)[:SHOWN_MAX])
        raise NotYourWord(f"told by others: {names}", where=where)


def _read_accounts(body: bytes, content_type: str) -> AccountsTable:
    suffix = SUFFIXES.get(content_type)
    if suffix is None:
        raise BadInput(f"{content_type[:80]!r} is not taken", where="Content-Type")
    with tempfile.TemporaryDirectory(prefix="openaoc-accounts-") as folder:
        path = Path(folder) / f"body{suffix}"
        path.write_bytes(body)
        return read_accounts(path)
