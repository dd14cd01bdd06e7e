"""Practice: the verbs of scripts: draft without personal data, approve, find again, take back.

Works in the caller's transaction. What leaves was read by a person; what is asked is not kept.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

import msgspec

from openaoc.exchange.objects import ObjectKind, check_object_id, new_object_id
from openaoc.kernel.errors import BadInput
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.kernel.paging import FIRST, Asked
from openaoc.parties.permissions import Permission, require
from openaoc.practice import script_store
from openaoc.practice.likeness import SCRIPTS_MAX, Shelf
from openaoc.practice.redact import redact
from openaoc.practice.script_model import (
    FOUND_MAX,
    ApprovedScript,
    AskedScript,
    LikeScript,
    LikeScripts,
    Medium,
    NewScript,
    NoSuchScript,
    Script,
    ScriptList,
    ScriptMark,
    ScriptState,
    check_script_step,
)
from openaoc.practice.service import LOCK
from openaoc.practice.trial import Likeness, practice_rules
from openaoc.storage.unit_of_work import Transaction

NOTHING_KNOWN: Final[Mapping[str, str]] = {}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a case's report says: its narrative, names of persons, values and what each is."""

    narrative: str
    names: tuple[str, ...]
    known: Mapping[str, str]
    at: datetime


class CaseTelling(Protocol):
    """Who knows what was reported; looking at who reported it is in the journal."""

    def told(self, tx: Transaction, case_id: str, *, reason: str) -> Told:
        """What the case's first report says. Raises NoSuchCase, NotPermitted."""
        ...


class Scripts:
    """The verbs. One instance per centre."""

    def __init__(self, *, telling: CaseTelling, likeness: Likeness | None = None) -> None:
        self._telling = telling
        self._likeness = likeness or practice_rules().likeness
        self._lock = threading.Lock()
        self._shelf: tuple[int, list[str], Shelf] | None = None

    # Looking.

    def show(self, tx: Transaction, script_id: str) -> Script:
        """One. Raises NoSuchScript."""
        require(tx.actor, Permission.PRACTICE_READ)
        return self._found(tx, script_id)

    def listed(
        self, tx: Transaction, asked: Asked = FIRST, *, state: ScriptState | None = None
    ) -> ScriptList:
        """A page, the last changed first. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.PRACTICE_READ)
        rows = script_store.page(tx.connection, asked, state=state)
        shown, more = asked.cut(rows, lambda one: str(one.change))
        return ScriptList(scripts=shown, cursor=more)

    def find(self, tx: Transaction, asked: AskedScript) -> LikeScripts:
        """Approved scripts that are alike, ours and partners'; nothing found is not "harmless"."""
        require(tx.actor, Permission.PRACTICE_READ)
        ids, shelf = self._compared(tx)
        found = shelf.like(
            redact(asked.text).text,
            wording_min=self._likeness.wording_min,
            meaning_min=self._likeness.meaning_min,
            limit=FOUND_MAX,
        )
        rows = script_store.by_ids(tx.connection, [ids[one.place] for one in found])
        scripts = {one.id: one for one in rows}
        return LikeScripts(
            found=[
                LikeScript(
                    script=scripts[ids[one.place]],
                    wording=one.wording,
                    meaning=one.meaning,
                    shared=one.shared,
                )
                for one in found
                if ids[one.place] in scripts
            ],
            compared=len(ids),
        )

    def _compared(self, tx: Transaction) -> tuple[list[str], Shelf]:
        newest = script_store.newest_change(tx.connection)
        with self._lock:
            if self._shelf is None or self._shelf[0] != newest:
                rows = script_store.approved(tx.connection, limit=SCRIPTS_MAX)
                ids = [number for number, _ in rows]
                self._shelf = (newest, ids, Shelf([text for _, text in rows]))
            return self._shelf[1], self._shelf[2]

    # Our own.

    def draft(self, tx: Transaction, new: NewScript) -> Script:
        """Words without what has the form of personal data, for a person to read.

        From a case, its reporter's names and all that its report names go too. Raises BadInput.
        """
        require(tx.actor, Permission.PRACTICE_WORK)
        if new.case is None and new.text is None:
            raise BadInput("a text, or the case whose report tells it", where="text")
        names, known, seen_at, text = new.names, NOTHING_KNOWN, tx.now, new.text
        if new.case is not None:
            told = self._telling.told(tx, new.case, reason=new.reason)
            names, known, seen_at = (*names, *told.names), told.known, min(told.at, tx.now)
            text = text or told.narrative
        assert text is not None, "a case has a narrative"
        redacted = redact(text, names=names, known=known)
        one = Script(
            id=new_object_id(ObjectKind.SCRIPT),
            state=ScriptState.DRAFTED,
            text=redacted.text,
            language=new.language,
            medium=new.medium,
            offences=new.offences,
            marking=new.marking,
            removed=redacted.removed,
            seen_at=seen_at,
            made_by=tx.actor.id,
            made_at=tx.now,
            changed_at=tx.now,
            case_id=new.case,
            reason=new.reason,
        )
        return self._added(tx, one, action="drafted")

    def approve(self, tx: Transaction, script_id: str, said: ApprovedScript) -> Script:
        """A person read it: it may leave by agreement. More names may be taken out here."""
        require(tx.actor, Permission.PRACTICE_DECIDE)
        before = self._own(tx, script_id)
        check_script_step(before.state, ScriptState.APPROVED)
        again = redact(before.text, names=said.names)
        kinds = sorted({*before.removed, *again.removed})
        removed = {k: before.removed.get(k, 0) + again.removed.get(k, 0) for k in kinds}
        after = msgspec.structs.replace(
            before,
            state=ScriptState.APPROVED,
            text=again.text,
            removed=removed,
            approved_by=tx.actor.id,
            reason=said.reason,
        )
        return self._saved(tx, before, after)

    def withdraw(self, tx: Transaction, script_id: str, *, reason: str) -> Script:
        """Our own was wrong: everybody who received it is told."""
        require(tx.actor, Permission.PRACTICE_WORK)
        return self._withdrawn(tx, self._own(tx, script_id), reason=reason)

    # Partners'.

    def take(self, tx: Transaction, partner: str, one: Script) -> Script:
        """A partner's script; the same again, or a newer word of it, takes its place.

        It is cleaned here again: what a partner overlooked does not stay. Raises BadInput.
        """
        require(tx.actor, Permission.PRACTICE_WORK)
        tx.lock(LOCK)
        check_object_id(one.id, kind=ObjectKind.SCRIPT)
        text = redact(one.text).text
        fresh = msgspec.structs.replace(one, partner=partner, text=text, changed_at=tx.now)
        for there in script_store.by_ids(tx.connection, [one.id], lock=True):
            if there.partner != partner:
                raise BadInput("another script has this id")
            if there.state is ScriptState.WITHDRAWN or there.text == text:
                return there
            return self._saved(tx, there, fresh)
        return self._added(tx, fresh, action="received")

    def taken_back(self, tx: Transaction, partner: str, script_id: str, *, reason: str) -> bool:
        """The partner takes it back: it is found no more; whether it was here."""
        require(tx.actor, Permission.PRACTICE_WORK)
        tx.lock(LOCK)
        for one in script_store.by_ids(tx.connection, [script_id], lock=True):
            if one.partner == partner and one.state is not ScriptState.WITHDRAWN:
                self._withdrawn(tx, one, reason=reason)
                return True
        return False

    # How a change is written.

    def _found(self, tx: Transaction, script_id: str, *, lock: bool = False) -> Script:
        check_object_id(script_id, kind=ObjectKind.SCRIPT, where="script")
        found = script_store.by_ids(tx.connection, [script_id], lock=lock)
        if not found:
            raise NoSuchScript(script_id)
        return found[0]

    def _own(self, tx: Transaction, script_id: str) -> Script:
        tx.lock(LOCK)
        one = self._found(tx, script_id, lock=True)
        if one.partner is not None:
            raise BadInput(f"{one.partner} sent it", where="script")
        return one

    def _withdrawn(self, tx: Transaction, one: Script, *, reason: str) -> Script:
        check_script_step(one.state, ScriptState.WITHDRAWN)
        after = msgspec.structs.replace(one, state=ScriptState.WITHDRAWN, reason=reason)
        return self._saved(tx, one, after)

    @staticmethod
    def _added(tx: Transaction, one: Script, *, action: str) -> Script:
        tx.lock(LOCK)
        kept = script_store.add(tx.connection, one)
        tx.journal(
            action=f"practice.script.{action}",
            subject=one.id,
            after=ScriptMark.of(one),
            reason=one.reason,
            authority=one.partner or "",
        )
        return kept

    @staticmethod
    def _saved(tx: Transaction, before: Script, after: Script) -> Script:
        kept = script_store.save(tx.connection, msgspec.structs.replace(after, changed_at=tx.now))
        tx.journal(
            action=f"practice.script.{kept.state.value}",
            subject=kept.id,
            before=ScriptMark.of(before),
            after=ScriptMark.of(kept),
            reason=kept.reason,
        )
        return kept


def script_of(
    *,
    script_id: str,
    partner: str,
    text: str,
    language: str,
    medium: Medium,
    offences: tuple[Offence, ...],
    marking: Marking,
    seen_at: datetime,
    at: datetime,
    removed: int,
) -> Script:
    """A partner's script as we keep it; how many places of each kind is its own business."""
    return Script(
        id=script_id,
        state=ScriptState.APPROVED,
        text=text,
        language=language,
        medium=medium,
        offences=offences,
        marking=marking,
        removed={"all": removed},
        seen_at=min(seen_at, at),
        made_by=partner,
        made_at=at,
        changed_at=at,
        partner=partner,
        approved_by=partner,
    )
