"""Joint operations: an operation and its entries as objects of the exchange, and back. Pure.

What an operation does not share is not in the object at all, whatever the agreement would grant.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Final

from openaoc.exchange.objects import (
    FieldValue,
    ObjectKind,
    ReleasedObject,
    SharedObject,
)
from openaoc.exchange.operations.model import Entry, EntryAction, Operation, OperationState
from openaoc.kernel.clock import format_time, parse_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.storage.canonical import canonical_json

TERMS: Final = (
    "name",
    "scam_types",
    "members",
    "lead",
    "starts_at",
    "ends_at",
    "shares",
    "seen_by",
)
ALWAYS: Final = ("operation", "action", "at")
"""Without these an entry says nothing."""


def digest_of(fields: dict[str, FieldValue]) -> str:
    """Of what was agreed on, the same in every centre. Raises BadInput where something lacks."""
    lacking = [name for name in TERMS if name not in fields]
    if lacking:
        raise BadInput(f"an operation says nothing without {', '.join(lacking)}", where="operation")
    return hashlib.sha256(canonical_json({name: fields[name] for name in TERMS})).hexdigest()


def terms_of(one: Operation) -> dict[str, FieldValue]:
    """What was agreed on, as fields."""
    return {
        "name": one.name,
        "scam_types": tuple(purpose.value for purpose in one.purposes),
        "members": one.members,
        "lead": one.lead,
        "starts_at": format_time(one.starts_at),
        "ends_at": format_time(one.ends_at),
        "shares": one.shares,
        "seen_by": one.seen_by,
    }


def shared_operation(one: Operation, *, now: datetime) -> SharedObject:
    """The operation as the rule of release judges it."""
    return SharedObject(
        id=one.id,
        kind=ObjectKind.OPERATION,
        created=one.opened_at,
        modified=max(now, one.opened_at),
        marking=Marking.AMBER,
        offences=one.purposes,
        fields=terms_of(one),
    )


def shared_entry(operation: Operation, one: Entry, *, now: datetime) -> SharedObject:
    """The entry as the rule of release judges it, with what the operation shares alone."""
    fields: dict[str, FieldValue] = {
        "operation": operation.id,
        "action": one.action.value,
        "at": format_time(one.at),
    }
    given: dict[str, FieldValue] = {
        "text": one.text,
        "count": one.count,
        "amount_minor": one.amount_minor,
        "currency": one.currency,
    }
    fields |= {name: value for name, value in given.items() if value and name in operation.shares}
    if one.corrects is not None:
        fields["corrects"] = one.corrects
    return SharedObject(
        id=one.id,
        kind=ObjectKind.OPERATION_ENTRY,
        created=min(one.at, now),
        modified=now,
        marking=Marking.AMBER,
        offences=operation.purposes,
        fields=fields,
        case=one.case if "case" in operation.shares else None,
    )


def taken_back(operation: Operation, one: Entry) -> ReleasedObject:
    """An entry that a partner has and may not have any more: which it is, and nothing of it."""
    return ReleasedObject(
        id=one.id,
        kind=ObjectKind.OPERATION_ENTRY,
        created=one.at,
        modified=one.at,
        marking=Marking.AMBER,
        fields={"operation": operation.id},
        revoked=True,
    )


def told_operation(left: ReleasedObject, *, now: datetime) -> Operation:
    """What a lead offers. Raises BadInput, with the field, for what cannot be agreed on."""
    if left.kind is not ObjectKind.OPERATION:
        raise BadInput("not an operation", where="operation.kind")
    fields = left.fields
    digest = digest_of(fields)
    known = {purpose.value: purpose for purpose in Offence}
    types = _texts(fields, "scam_types")
    if not types or not all(one in known for one in types):
        raise BadInput("not in the list of scam offences", where="operation.scam_types")
    begins, ends = _time(fields, "starts_at"), _time(fields, "ends_at")
    if ends <= begins:
        raise BadInput("ends before it begins", where="operation.ends_at")
    return Operation(
        id=left.id,
        name=_text(fields, "name"),
        lead=_text(fields, "lead"),
        members=_texts(fields, "members"),
        purposes=tuple(known[one] for one in types),
        shares=_texts(fields, "shares"),
        seen_by=_texts(fields, "seen_by"),
        starts_at=begins,
        ends_at=ends,
        digest=digest,
        state=OperationState.INVITED,
        voices=(),
        opened_at=now,
        changed_at=now,
    )


def told_entry(operation: Operation, left: ReleasedObject, *, origin: str) -> Entry:
    """What another centre did. Raises BadInput for what is no entry of this operation."""
    fields = check_entry(operation, left).fields
    action = _text(fields, "action")
    if action not in frozenset(EntryAction):
        raise BadInput("no such action", where="entry.action")
    corrects, case = fields.get("corrects"), fields.get("case")
    money = "currency" in fields and "currency" in operation.shares
    return Entry(
        id=left.id,
        origin=origin,
        action=EntryAction(action),
        at=_time(fields, "at"),
        text=_text(fields, "text") if "text" in fields and "text" in operation.shares else "",
        currency=_text(fields, "currency")[:3] if money else "",
        case=case if isinstance(case, str) and "case" in operation.shares else None,
        corrects=corrects if isinstance(corrects, str) else None,
        count=_number(operation, fields, "count"),
        # Of no currency it could only be added to what it is not.
        amount_minor=_number(operation, fields, "amount_minor") if money else 0,
    )


def check_entry(operation: Operation, left: ReleasedObject) -> ReleasedObject:
    """The object itself. Raises BadInput for what is no entry of this operation."""
    if left.kind is not ObjectKind.OPERATION_ENTRY or left.fields.get("operation") != operation.id:
        raise BadInput("no entry of this operation", where="entry")
    return left


def proof_of(left: ReleasedObject, *, partner: str, key: bytes) -> str:
    """By which a centre knows its own word again that a partner gives back after a restore."""
    text = partner.encode("utf-8") + b"\0" + canonical_json(left)
    return hmac.digest(key, text, hashlib.sha256).hex()


def _number(operation: Operation, fields: dict[str, FieldValue], name: str) -> int:
    value = fields.get(name, 0) if name in operation.shares else 0
    if not isinstance(value, int) or value < 0:
        raise BadInput("not a count", where=f"entry.{name}")
    return value


def _text(fields: dict[str, FieldValue], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or "\0" in value:
        raise BadInput("is needed", where=name)
    return value


def _texts(fields: dict[str, FieldValue], name: str) -> tuple[str, ...]:
    value = fields.get(name)
    if not isinstance(value, tuple):
        raise BadInput("is needed", where=name)
    return value


def _time(fields: dict[str, FieldValue], name: str) -> datetime:
    return parse_time(_text(fields, name), where=name)
