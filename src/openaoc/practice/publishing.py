"""Practice: what the exchange may offer to partners: our shared packages, our approved scripts.

Tells what there is, whole; which agreement lets it leave is the exchange's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from openaoc.exchange.catalogue import Changed
from openaoc.exchange.objects import Fields, ObjectKind, SharedObject
from openaoc.kernel.clock import format_time
from openaoc.practice import script_store, store
from openaoc.practice.model import Package, Standing
from openaoc.practice.script_model import Script, ScriptState
from openaoc.practice.sealing import bundle_bytes
from openaoc.storage.unit_of_work import Transaction

MARK_DIGITS_MAX: Final = 18


def _start(after: str) -> int:
    return int(after) if after.isdecimal() and len(after) <= MARK_DIGITS_MAX else 0


class PackagePublisher:
    """Our own packages that a person shared. One instance per centre."""

    name = "packages"

    def changed(self, tx: Transaction, *, after: str, limit: int) -> Changed:
        """In the order in which they changed."""
        found = store.own_after(tx.connection, after=_start(after), limit=limit)
        mark = str(found[-1].change) if found else after
        objects = [shared_package(one) for one in found]
        return Changed(objects=objects, mark=mark, more=len(found) == limit)

    def find(self, tx: Transaction, ids: Sequence[str]) -> Sequence[SharedObject]:
        """Those of the ids that are ours and shared."""
        found = store.by_ids(tx.connection, ids)
        return [shared_package(one) for one in found if one.partner is None and one.shared]


class ScriptPublisher:
    """Our own scripts that a person approved. One instance per centre."""

    name = "scripts"

    def changed(self, tx: Transaction, *, after: str, limit: int) -> Changed:
        """In the order in which they changed."""
        found = script_store.own_after(tx.connection, after=_start(after), limit=limit)
        mark = str(found[-1].change) if found else after
        objects = [shared_script(one) for one in found]
        return Changed(objects=objects, mark=mark, more=len(found) == limit)

    def find(self, tx: Transaction, ids: Sequence[str]) -> Sequence[SharedObject]:
        """Those of the ids that are ours and approved."""
        found = script_store.by_ids(tx.connection, ids)
        return [shared_script(one) for one in found if one.partner is None and one.approved_by]


def shared_package(one: Package) -> SharedObject:
    """The package as it may leave; revoked when it was taken back."""
    return SharedObject(
        id=one.id,
        kind=ObjectKind.PACKAGE,
        created=one.bundle.made_at,
        modified=max(one.changed_at, one.bundle.made_at),
        marking=one.marking,
        offences=one.bundle.offences,
        fields={
            "package_kind": one.bundle.kind.value,
            "name": one.bundle.name,
            "version": one.bundle.version,
            "bundle": bundle_bytes(one.bundle).decode("utf-8"),
            "signature": one.signature,
        },
        revoked=one.standing is Standing.WITHDRAWN,
    )


def shared_script(one: Script) -> SharedObject:
    """The script as it may leave; revoked when it was taken back."""
    fields: Fields = {
        "text": one.text,
        "language": one.language,
        "medium": one.medium.value,
        "scam_types": tuple(offence.value for offence in one.offences),
        "removed": sum(one.removed.values()),
        "seen": format_time(one.seen_at),
    }
    return SharedObject(
        id=one.id,
        kind=ObjectKind.SCRIPT,
        created=one.made_at,
        modified=one.changed_at,
        marking=one.marking,
        offences=one.offences,
        fields=fields,
        case=one.case_id,
        revoked=one.state is ScriptState.WITHDRAWN,
    )
