"""Exchange: the objects that may be shared: their kinds, their fields and how each is classed.

Answers which fields there are. Never says who receives them: that is release.py's.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import uuid
from datetime import datetime
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from openaoc.kernel.clock import parse_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.kernel.randomness import random_bytes

TEXT_CHARACTERS_MAX: Final = 20_000
DOCUMENT_CHARACTERS_MAX: Final = 60_000
TEXTS_MAX: Final = 100
REFS_MAX: Final = 1_000
NUMBER_MAX: Final = 2**53 - 1
"""What every reader of JSON keeps exactly (RFC 8259 §6)."""
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

FieldValue = str | int | tuple[str, ...]
Fields = dict[str, FieldValue]
Refs = dict[str, tuple[str, ...]]
ObjectId = Annotated[str, Meta(max_length=80)]


class ObjectKind(enum.StrEnum):
    """What is shared. From `match` on only between centres: no view that is polled shows it."""

    INDICATOR = "indicator"
    SIGHTING = "sighting"
    CAMPAIGN = "campaign"
    REPORT = "report"
    COURSE_OF_ACTION = "course-of-action"
    IDENTITY = "identity"
    RELATIONSHIP = "relationship"
    MATCH = "match"
    TRACE_REQUEST = "trace-request"
    TRACE_ANSWER = "trace-answer"
    STATISTICS = "statistics"
    """Counts and sums of one month, kind of scam and corridor."""
    OPERATION = "operation"
    OPERATION_ENTRY = "operation-entry"
    """Joint work of centres, and what was done in it."""
    REFERRAL = "referral"
    """A possible trafficking victim, to who protects victims, and to nobody else."""
    PACKAGE = "package"
    """Best practice: a playbook or a typology, signed by the centre that made it."""
    SCRIPT = "script"
    """What scammers say or write, without personal data."""
    TAKE_DOWN = "take-down"
    """A request to one partner that a site, app, account or number goes away."""
    ADVISORY = "advisory"
    """A warning to a sector, or the centre's report of its own incident."""


_KINDS: Final = frozenset(kind.value for kind in ObjectKind)


class FieldClass(enum.StrEnum):
    """How much harm a field can do in wrong hands."""

    PUBLIC = "public"
    OPERATIONAL = "operational"
    PERSONAL = "personal"
    """It names or describes a person: a named legal basis and a person's approval each time."""


class FieldForm(enum.StrEnum):
    """What a field's value is; a time is RFC 3339 text in UTC."""

    TEXT = "text"
    TEXTS = "texts"
    NUMBER = "number"
    TIME = "time"
    DOCUMENT = "document"
    """A longer text that is whole or not at all: its signature holds for no part of it."""


class Field(NamedTuple):
    """One field: its class and the form of its value."""

    kind: FieldClass
    form: FieldForm = FieldForm.TEXT


class Ref(NamedTuple):
    """One kind of reference; without all of a required one, the object says nothing."""

    required: bool = False


_PUBLIC: Final = FieldClass.PUBLIC
_OPERATIONAL: Final = FieldClass.OPERATIONAL
_PERSONAL: Final = FieldClass.PERSONAL
_TIME: Final = Field(_OPERATIONAL, FieldForm.TIME)
_NUMBER: Final = Field(_OPERATIONAL, FieldForm.NUMBER)
_TEXT: Final = Field(_OPERATIONAL)
_TEXTS: Final = Field(_OPERATIONAL, FieldForm.TEXTS)
_NAME: Final = Field(_PUBLIC)
_NAMES: Final = Field(_PUBLIC, FieldForm.TEXTS)
_DOCUMENT: Final = Field(_OPERATIONAL, FieldForm.DOCUMENT)
_PERSON: Final = Field(_PERSONAL)

CASE: Final = "case"
"""The centre's own case number: a field of every kind, that leaves only where it is granted."""

FIELDS: Final[dict[ObjectKind, dict[str, Field]]] = {
    ObjectKind.INDICATOR: {
        "identifier_kind": _NAME,
        "value": _TEXT,
        "institution": _TEXT,
        "status": _TEXT,
        "confidence": _NUMBER,
        "tier": _TEXT,
        "scam_types": _NAMES,
        "tactics": _NAMES,
        "valid_from": _TIME,
        "valid_until": _TIME,
        "first_seen": _TIME,
        "last_seen": _TIME,
        "reports": _NUMBER,
        "source": _TEXT,
        "description": _TEXT,
        "holder_name": _PERSON,
        CASE: _TEXT,
    },
    ObjectKind.SIGHTING: {
        "first_seen": _TIME,
        "last_seen": _TIME,
        "count": _NUMBER,
        "description": _TEXT,
        CASE: _TEXT,
    },
    ObjectKind.CAMPAIGN: {
        "name": _NAME,
        "description": _TEXT,
        "aliases": _NAMES,
        "objective": _TEXT,
        "scam_types": _NAMES,
        "tactics": _NAMES,
        "first_seen": _TIME,
        "last_seen": _TIME,
        "cases": _NUMBER,
        "loss_minor": _NUMBER,
        "currency": _NAME,
        CASE: _TEXT,
    },
    ObjectKind.REPORT: {
        "name": _NAME,
        "description": _TEXT,
        "report_types": _NAMES,
        "published": _TIME,
        "scam_types": _NAMES,
        "narrative": _TEXT,
        "loss_minor": _NUMBER,
        "currency": _NAME,
        "language": _NAME,
        "victim_name": _PERSON,
        "victim_contact": _PERSON,
        CASE: _TEXT,
    },
    ObjectKind.COURSE_OF_ACTION: {
        "name": _NAME,
        "description": _NAME,
        "action": _TEXT,
        "scam_types": _NAMES,
        CASE: _TEXT,
    },
    ObjectKind.IDENTITY: {
        "identity_class": _NAME,
        "name": _NAME,
        "description": _TEXT,
        "sectors": _NAMES,
        "jurisdiction": _NAME,
        "contact": _TEXT,
        "national_id": _PERSON,
        "birth_date": _PERSON,
        "nationality": _PERSON,
        CASE: _TEXT,
    },
    ObjectKind.RELATIONSHIP: {
        "relationship_type": _NAME,
        "description": _TEXT,
        "start_time": _TIME,
        "stop_time": _TIME,
        CASE: _TEXT,
    },
    ObjectKind.MATCH: {
        "identifier_kind": _NAME,
        "token": _TEXT,
        "contact": _TEXT,
        "scam_types": _NAMES,
        CASE: _TEXT,
    },
    ObjectKind.TRACE_REQUEST: {
        "institution": _TEXT,
        "account": _TEXT,
        "amount_minor": _NUMBER,
        "sent_minor": _NUMBER,
        "currency": _NAME,
        "received_at": _TIME,
        "transfer": _TEXT,
        "legal_basis": _NAME,
        "scam_types": _NAMES,
        "reason": _TEXT,
        "state": _NAME,
        "revision": _NUMBER,
        "victim_name": _PERSON,
        "holder_name": _PERSON,
        CASE: _TEXT,
    },
    ObjectKind.TRACE_ANSWER: {
        "outcome": _NAME,
        "held_minor": _NUMBER,
        "located_minor": _NUMBER,
        "exited_minor": _NUMBER,
        "released_minor": _NUMBER,
        "restituted_minor": _NUMBER,
        "not_found_minor": _NUMBER,
        "currency": _NAME,
        "as_of": _TIME,
        "legal_basis": _NAME,
        "reason": _TEXT,
        "revision": _NUMBER,
        CASE: _TEXT,
    },
    ObjectKind.PACKAGE: {
        "package_kind": _NAME,
        "name": _NAME,
        "version": _NUMBER,
        "bundle": _DOCUMENT,
        "signature": _DOCUMENT,
        CASE: _TEXT,
    },
    ObjectKind.SCRIPT: {
        "text": _DOCUMENT,
        "language": _NAME,
        "medium": _NAME,
        "scam_types": _NAMES,
        "removed": _NUMBER,
        "seen": _TIME,
        CASE: _TEXT,
    },
    ObjectKind.TAKE_DOWN: {
        "identifier_kind": _NAME,
        "value": _TEXT,
        "target": _NAME,
        "asks": _NAMES,
        "reason": _TEXT,
        "scam_types": _NAMES,
        "first_seen": _TIME,
        "last_seen": _TIME,
        "reports": _NUMBER,
        "legal_basis": _NAME,
        "acknowledge_by": _TIME,
        "act_by": _TIME,
        CASE: _TEXT,
    },
    ObjectKind.ADVISORY: {
        "sort": _NAME,
        "sectors": _NAMES,
        "severity": _NAME,
        "title_th": _NAME,
        "title_en": _NAME,
        "happening_th": _TEXT,
        "happening_en": _TEXT,
        "action_th": _TEXT,
        "action_en": _TEXT,
        "scam_types": _NAMES,
        "published": _TIME,
        "valid_until": _TIME,
        "acknowledge_by": _TIME,
        "revision": _NUMBER,
        "incident": _NAME,
        "from": _TIME,
        "until": _TIME,
        "people": _NUMBER,
        "accounts": _NUMBER,
        "institutions": _NUMBER,
        CASE: _TEXT,
    },
    ObjectKind.STATISTICS: {
        "month": _NAME,
        "scam_type": _NAME,
        "corridor": _NAME,
        "currency": _NAME,
        "reports": _NUMBER,
        "lost_minor": _NUMBER,
        "held_minor": _NUMBER,
        "returned_minor": _NUMBER,
        "wrong_holds": _NUMBER,
        CASE: _TEXT,
    },
    ObjectKind.OPERATION: {
        "name": _TEXT,
        "scam_types": _NAMES,
        "members": _NAMES,
        "lead": _NAME,
        "starts_at": _TIME,
        "ends_at": _TIME,
        "shares": _NAMES,
        "seen_by": _NAMES,
        CASE: _TEXT,
    },
    ObjectKind.OPERATION_ENTRY: {
        "operation": _NAME,
        "action": _NAME,
        "at": _TIME,
        "text": _TEXT,
        "count": _NUMBER,
        "amount_minor": _NUMBER,
        "currency": _NAME,
        "corrects": _NAME,
        CASE: _TEXT,
    },
    ObjectKind.REFERRAL: {
        "signs": Field(_PERSONAL, FieldForm.TEXTS),
        "identifiers": Field(_PERSONAL, FieldForm.TEXTS),
        "person_name": _PERSON,
        "nationality": _PERSON,
        "languages": _PERSON,
        "last_known_place": _PERSON,
        "situation": _PERSON,
        "raised_at": Field(_PERSONAL, FieldForm.TIME),
        CASE: _TEXT,
    },
}
"""Every field there is. What is not listed cannot be shared, whatever an agreement says."""

REFS: Final[dict[ObjectKind, dict[str, Ref]]] = {
    ObjectKind.SIGHTING: {"sighting_of": Ref(required=True), "where_sighted": Ref()},
    ObjectKind.REPORT: {"objects": Ref()},
    ObjectKind.RELATIONSHIP: {"source": Ref(required=True), "target": Ref(required=True)},
    ObjectKind.ADVISORY: {"indicators": Ref()},
}
"""References of a kind to others; granted by name like fields, as they are or not at all."""

PRACTICE: Final = frozenset({ObjectKind.PACKAGE, ObjectKind.SCRIPT})
"""Published, and fetched by centres alone: nobody else could check what a package says."""

BETWEEN_CENTRES: Final = PRACTICE | {
    ObjectKind.MATCH,
    ObjectKind.TRACE_REQUEST,
    ObjectKind.TRACE_ANSWER,
    ObjectKind.REFERRAL,
    ObjectKind.STATISTICS,
    ObjectKind.OPERATION,
    ObjectKind.OPERATION_ENTRY,
    ObjectKind.TAKE_DOWN,
    ObjectKind.ADVISORY,
}
"""Sent to one partner and answered: in the ledger of releases, in no view that is polled."""

IDENTIFIER_FIELDS: Final = frozenset({ObjectKind.INDICATOR, ObjectKind.MATCH, ObjectKind.TAKE_DOWN})
"""Kinds about an identifier: a grant also names which kinds of identifier."""

PERSONAL_IDENTIFIERS: Final = frozenset(
    {"national_id", "passport", "person", "person_name", "tax_id"}
)
"""An indicator of one of these names a person: its value is of class personal.

To match them an agreement names the law that permits it, though nothing but hits is learnt.
"""


class SharedObject(msgspec.Struct, frozen=True, kw_only=True):
    """Something a stage could share, as the centre itself sees it: never sent as it is.

    `offences`: what it was gathered for. `possible_victim`: it is about somebody who may be a
    trafficking victim; it does not leave. `revoked`: it was wrong or is withdrawn. `about`: the
    kind and value of identifiers it is about and does not name in its fields.
    """

    id: ObjectId
    kind: ObjectKind
    created: datetime
    modified: datetime
    marking: Marking
    offences: tuple[Offence, ...]
    fields: Fields = {}
    refs: Refs = {}
    case: str | None = None
    revoked: bool = False
    possible_victim: bool = False
    about: tuple[tuple[str, str], ...] = ()


class ReleasedObject(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves: only granted fields, minimised. Channels carry these and nothing else."""

    id: ObjectId
    kind: ObjectKind
    created: datetime
    modified: datetime
    marking: Marking
    fields: Fields = {}
    refs: Refs = {}
    revoked: bool = False


def class_of(shared: SharedObject, name: str) -> FieldClass:
    """The class of one of the object's fields; a person's identifier or name is personal."""
    field = FIELDS[shared.kind][name]
    person = (
        shared.kind is ObjectKind.INDICATOR
        and name == "value"
        and shared.fields.get("identifier_kind", "person") in PERSONAL_IDENTIFIERS
    ) or (
        shared.kind is ObjectKind.IDENTITY
        and name in ("name", "description", "contact")
        and shared.fields.get("identity_class") in (None, "individual", "unknown")
    )
    return FieldClass.PERSONAL if person else field.kind


def new_object_id(kind: ObjectKind) -> str:
    """A fresh random id."""
    return f"{kind.value}--{uuid.UUID(bytes=random_bytes(16), version=4)}"


def keyed_object_id(kind: ObjectKind, *, key: bytes, name: str) -> str:
    """The same id for the same name each time, which nobody without the key can try out.

    A hash of a telephone number alone would be found in minutes: there are not many.
    """
    digest = hmac.digest(key, f"{kind.value}\0{name}".encode(), hashlib.sha256)
    return f"{kind.value}--{uuid.UUID(bytes=digest[:16], version=4)}"


def check_object(shared: SharedObject) -> SharedObject:
    """The object itself. Raises BadInput, with the place, for what no publisher may give."""
    check_object_id(shared.id, kind=shared.kind)
    if shared.modified < shared.created:
        raise BadInput("before it was created", where="modified")
    for name, value in shared.fields.items():
        field = FIELDS[shared.kind].get(name)
        if field is None or name == CASE:
            raise BadInput(f"no field of {shared.kind.value}", where=f"fields.{name[:40]}")
        _check_value(value, field.form, where=f"fields.{name}")
    for name, ids in shared.refs.items():
        if name not in REFS.get(shared.kind, {}):
            raise BadInput(f"no reference of {shared.kind.value}", where=f"refs.{name[:40]}")
        if len(ids) > REFS_MAX:
            raise BadInput(f"at most {REFS_MAX} ids", where=f"refs.{name}")
        for one in ids:
            check_object_id(one, where=f"refs.{name}")
    return shared


def check_object_id(text: str, *, kind: ObjectKind | None = None, where: str = "id") -> str:
    """The id itself: `kind--uuid`, random or keyed (version 4), never a hash anybody can repeat.

    Raises BadInput.
    """
    found, separator, number = text.partition("--")
    known = found == kind.value if kind is not None else found in _KINDS
    if not (separator and known and _UUID.fullmatch(number)):
        raise BadInput(f"{text[:80]!r} is not an object's id", where=where)
    return text


def _check_value(value: FieldValue, form: FieldForm, *, where: str) -> None:
    texts: tuple[str, ...] = ()
    if form is FieldForm.NUMBER:
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > NUMBER_MAX:
            raise BadInput("not a whole number", where=where)
    elif form is FieldForm.TEXTS:
        if not isinstance(value, tuple) or len(value) > TEXTS_MAX:
            raise BadInput(f"not at most {TEXTS_MAX} texts", where=where)
        texts = value
    elif not isinstance(value, str):
        raise BadInput("not a text", where=where)
    elif form is FieldForm.TIME:
        parse_time(value, where=where)
    else:
        texts = (value,)
    longest = DOCUMENT_CHARACTERS_MAX if form is FieldForm.DOCUMENT else TEXT_CHARACTERS_MAX
    for text in texts:
        if len(text) > longest or "\0" in text:
            raise BadInput(f"longer than {longest} characters, or NUL", where=where)
