"""Exchange: taking back: correction, withdrawal and expiry reach everybody who received an object.

A notice carries no content: which object, and what to do. It goes also to a partner whose agreement
is suspended or over: who has something wrong must hear of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from openaoc.exchange import notice_store, release_store, store
from openaoc.exchange.ledger_model import (
    NewRecall,
    Notice,
    NoticeList,
    Recalled,
    RecallKind,
    RecallMark,
)
from openaoc.exchange.model import check_partner_code
from openaoc.exchange.objects import Fields, ReleasedObject, check_object_id
from openaoc.exchange.release_store import CurrentRow
from openaoc.kernel.events import Event
from openaoc.kernel.limits import PAGE_MAX
from openaoc.parties.permissions import Permission, permits, require
from openaoc.storage.unit_of_work import Transaction

OBJECT_RECALLED: Final = "exchange.object.recalled"
EXPIRED_AT_ONCE_MAX: Final = 1_000
REFERRING_MAX: Final = 10_000
"""Of one object at one partner; more than that go when what they belong to is next offered."""
NOTHING_LEFT: Final = "withdrawn"
"""In place of an identifier that is not shown even as withdrawn."""
RETENTION: Final = "the time for which it may be kept is over"
REFERRED: Final = "what it refers to was taken back"


def _bare(body: ReleasedObject | None) -> ReleasedObject | None:
    """Only what a reader needs to find the object again, whatever its format."""
    if body is None:
        return None
    fields: Fields = {}
    if "identifier_kind" in body.fields:
        fields = {"identifier_kind": body.fields["identifier_kind"], "value": NOTHING_LEFT}
    return msgspec.structs.replace(body, fields=fields)


def _is_bare(row: CurrentRow) -> bool:
    """Whether it was taken back before and says nothing any more."""
    return row.body is not None and row.body.revoked and row.body == _bare(row.body)


def _bared(row: CurrentRow) -> CurrentRow:
    return msgspec.structs.replace(row, body=_bare(row.body), speaks_of=frozenset())


class Recalling:
    """The verbs of taking back. One instance per centre."""

    def recall(self, tx: Transaction, asked: NewRecall) -> Recalled:
        """Tell everybody who has the object, and nobody else; who was told.

        Withdrawn and expired, it is in their views once more, revoked, and nobody gets it before
        its stage has changed it; relationships and sightings of it go with it. Nobody has it:
        nobody is told, and the journal says so.
        Raises BadInput for what is no object's id.
        """
        require(tx.actor, Permission.EXCHANGE_RECALL)
        check_object_id(asked.object, where="object")
        store.lock_partners(tx.connection)
        rows = [
            row
            for row in release_store.receivers(tx.connection, asked.object)
            if row.body is None or not row.body.revoked
        ]
        notice_store.add(
            tx.connection,
            [(row.partner, row.object_id) for row in rows],
            kind=asked.kind,
            reason=asked.reason,
            at=tx.now,
        )
        if asked.kind is not RecallKind.CORRECTED:
            release_store.set_recalled(tx.connection, asked.object, kind=asked.kind, at=tx.now)
            for row in rows:
                self._revoke(tx, row.partner, [row], kind=asked.kind)
                bound = release_store.referring(
                    tx.connection, row.partner, asked.object, limit=REFERRING_MAX
                )
                self.withdraw(tx, row.partner, bound, kind=asked.kind, reason=REFERRED)
        partners = [row.partner for row in rows]
        self._told(tx, asked.object, kind=asked.kind, partners=partners, reason=asked.reason)
        return Recalled(object_id=asked.object, kind=asked.kind, partners=partners)

    def withdraw(
        self,
        tx: Transaction,
        partner: str,
        ids: Sequence[str],
        *,
        kind: RecallKind,
        reason: str,
        bare: bool = False,
    ) -> None:
        """Take these objects back from one partner.

        `bare`: the revoked object that stays in its view says nothing any more but which it is.
        """
        store.lock_partners(tx.connection, [partner])
        rows = release_store.of_partner(tx.connection, partner, ids)
        if bare:
            rows = [_bared(row) for row in rows if not _is_bare(row)]
        told = [(partner, row.object_id) for row in rows]
        notice_store.add(tx.connection, told, kind=kind, reason=reason, at=tx.now)
        self._revoke(tx, partner, rows, kind=kind)
        for row in rows:
            self._told(tx, row.object_id, kind=kind, partners=[partner], reason=reason, bare=bare)

    def expire_due(self, tx: Transaction) -> int:
        """End what partners may not keep any longer, and tell them to delete it; how many."""
        partners = release_store.who_kept_too_long(tx.connection, now=tx.now)
        store.lock_partners(tx.connection, partners)
        rows = release_store.kept_too_long(
            tx.connection, partners, now=tx.now, limit=EXPIRED_AT_ONCE_MAX
        )
        told = [
            (row.partner, row.object_id) for row in rows if row.body is None or not row.body.revoked
        ]
        notice_store.add(tx.connection, told, kind=RecallKind.EXPIRED, reason=RETENTION, at=tx.now)
        for partner in sorted({row.partner for row in rows}):
            ids = [row.object_id for row in rows if row.partner == partner]
            expired = RecallKind.EXPIRED.value
            release_store.end(tx.connection, partner, ids, as_kind=expired, at=tx.now)
            mark = RecallMark(kind=expired, partners=(partner,))
            tx.journal(
                action="exchange.objects.expired", subject=partner, after=mark, reason=RETENTION
            )
        return len(rows)

    def _revoke(
        self, tx: Transaction, partner: str, rows: Sequence[CurrentRow], *, kind: RecallKind
    ) -> None:
        """End the present releases; each object comes once more, revoked, where content is left."""
        ids = [row.object_id for row in rows]
        release_store.end(tx.connection, partner, ids, as_kind=kind.value, at=tx.now)
        release_store.add(
            tx.connection,
            partner,
            [
                release_store.NewRelease(
                    body=msgspec.structs.replace(row.body, revoked=True, modified=tx.now),
                    fields=(*row.body.fields, *row.body.refs),
                    digest=b"",
                    purpose=row.purpose,
                    agreement=row.agreement,
                    confirmed=row.confirmed,
                    keep_until=row.keep_until,
                    speaks_of=row.speaks_of,
                )
                for row in rows
                if row.body is not None
            ],
            why=release_store.RECALLED,
            by=tx.actor.id,
            at=tx.now,
        )

    @staticmethod
    def _told(
        tx: Transaction,
        object_id: str,
        *,
        kind: RecallKind,
        partners: Sequence[str],
        reason: str,
        bare: bool = False,
    ) -> None:
        mark = RecallMark(kind=kind.value, partners=tuple(partners))
        tx.journal(action="exchange.object.recalled", subject=object_id, after=mark, reason=reason)
        facts: dict[str, str | int] = {
            "kind": kind.value,
            "partners": len(partners),
            "bare": int(bare),
        }
        tx.emit(Event(name=OBJECT_RECALLED, subject=object_id, at=tx.now, facts=facts))

    # The queue that channels read.

    def notices(
        self, tx: Transaction, *, partner: str | None = None, after: int = 0, waiting: bool = False
    ) -> NoticeList:
        """Notices after a number, at most PAGE_MAX; a partner's user sees its own alone."""
        if not permits(tx.actor, Permission.EXCHANGE_RECEIVE):
            require(tx.actor, Permission.EXCHANGE_READ)
        asked = partner or tx.actor.partner
        code = None if asked is None else check_partner_code(asked)
        found: list[Notice] = notice_store.after_number(
            tx.connection, code, after=after, waiting=waiting, limit=PAGE_MAX
        )
        return NoticeList(notices=found)

    def delivered(self, tx: Transaction, partner: str, sequences: Sequence[int]) -> int:
        """The partner has these notices; how many were still open. For the centre's channels."""
        require(tx.actor, Permission.EXCHANGE_RELEASE)
        return notice_store.delivered(
            tx.connection, partner, sequences=sequences[:PAGE_MAX], at=tx.now
        )
