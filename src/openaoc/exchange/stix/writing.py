"""Exchange, STIX 2.1: a released object as STIX objects of a profile.

What a profile or the standard has no place for is reported, never dropped in silence. Writes what
was released and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.objects import Fields, FieldValue, ObjectKind, ReleasedObject
from openaoc.exchange.stix import ids, model
from openaoc.exchange.stix.extensions import DEFINITIONS, DETAILS, PROJECT, PROPERTY
from openaoc.exchange.stix.markings import MARKING_IDS, definition_of
from openaoc.exchange.stix.model import Lost, Profile, StixObject, stix_time
from openaoc.exchange.stix.observables import Observing, observable_of, observed
from openaoc.exchange.stix.patterns import PATTERN_TYPE, Observed, write_pattern
from openaoc.kernel.clock import parse_time
from openaoc.kernel.markings import Marking

UNNAMED: Final = "(not shared)"
"""Where STIX demands a name and none was released."""
BASED_ON: Final = "based-on"
RELATED: Final = "related-to"
STIX_COUNT_MAX: Final = 999_999_999
LABELS: Final = "scam_types"
"""The field that travels as labels."""
_WORD: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ORDERED: Final = (
    ("first_seen", "last_seen"), ("start_time", "stop_time"), ("valid_from", "valid_until"),
)  # fmt: skip
"""Of each pair STIX wants the second not before the first, and of the last two after it."""

NATIVE: Final[dict[ObjectKind, dict[str, str]]] = {
    ObjectKind.INDICATOR: {
        "description": "description",
        "confidence": "confidence",
        "valid_from": "valid_from",
        "valid_until": "valid_until",
    },
    ObjectKind.SIGHTING: {
        "description": "description",
        "first_seen": "first_seen",
        "last_seen": "last_seen",
        "count": "count",
    },
    ObjectKind.CAMPAIGN: {
        "name": "name",
        "description": "description",
        "aliases": "aliases",
        "objective": "objective",
        "first_seen": "first_seen",
        "last_seen": "last_seen",
    },
    ObjectKind.REPORT: {
        "name": "name",
        "description": "description",
        "report_types": "report_types",
        "published": "published",
    },
    ObjectKind.COURSE_OF_ACTION: {"name": "name", "description": "description"},
    ObjectKind.IDENTITY: {
        "name": "name",
        "description": "description",
        "identity_class": "identity_class",
        "sectors": "sectors",
        "contact": "contact_information",
    },
    ObjectKind.RELATIONSHIP: {
        "relationship_type": "relationship_type",
        "description": "description",
        "start_time": "start_time",
        "stop_time": "stop_time",
    },
}
"""Fields with a property of their own in STIX; the others travel in our extension."""


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """How a partner is written to.

    `producer`: the centre's identity. `value_form`: what the agreement makes of identifiers.
    """

    producer: model.Identity
    observing: Observing
    value_form: Minimisation = Minimisation.AS_IS

    @property
    def profile(self) -> Profile:
        """The partner's profile."""
        return self.observing.profile


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What one object became, and what of it could not be written."""

    objects: tuple[StixObject, ...] = ()
    lost: tuple[Lost, ...] = ()


def write_object(one: ReleasedObject, how: Writing) -> Written:
    """The object with all that belongs to it, none of it before what it refers to."""
    if one.kind not in NATIVE:
        return _unwritten("kind", f"{one.kind.value} is not written as STIX")
    return _WRITERS[one.kind](_Draft(one, how))


def supporting(how: Writing, *, highest: Marking) -> tuple[StixObject, ...]:
    """What all else refers to: who writes, the extensions in use, markings up to the highest."""
    markings = tuple(definition_of(one) for one in Marking if one.within(highest))
    if how.profile is Profile.MISP:
        return (*markings, how.producer)
    return (*markings, PROJECT, *DEFINITIONS.values(), how.producer)


def bundle_of(objects: Iterable[StixObject], *, number: str) -> model.Bundle:
    """The objects as a file; `number` is the bundle's own UUID."""
    unique = {one.id: one for one in objects}
    return model.Bundle(id=f"bundle--{number}", objects=tuple(unique.values()))


def _unwritten(path: str, reason: str) -> Written:
    return Written(lost=(Lost(path=path, reason=reason),))


class _Draft:
    """One object on its way: properties that are native, the rest for the extension."""

    def __init__(self, one: ReleasedObject, how: Writing) -> None:
        self.one, self.how = one, how
        self.properties: dict[str, object] = {}
        self.rest: Fields = {}
        self.refs = dict(one.refs)
        self.lost: list[Lost] = []
        self.minimised: str | None = None
        names = NATIVE[one.kind]
        for name, value in one.fields.items():
            native = _native(name, value) if name in names else None
            if name == LABELS and _are_labels(value):
                self.properties["labels"] = value
            elif native is None:
                self.rest[name] = value
            else:
                self.properties[names[name]] = native
        self._keep_order()

    def _keep_order(self) -> None:
        for first, second in _ORDERED:
            begin, end = self.properties.get(first), self.properties.get(second)
            strict = first != "first_seen"
            if begin is None or end is None:
                continue
            begun, ended = parse_time(str(begin)), parse_time(str(end))
            if ended < begun or (strict and ended == begun):
                self.rest[second] = str(self.properties.pop(second))

    def native(self, name: str, otherwise: object) -> object:
        """The property, set to something where STIX demands it and nothing was released."""
        return self.properties.setdefault(name, otherwise)

    def name(self) -> str:
        """The name, or what stands for none."""
        return str(self.properties.pop("name", UNNAMED))

    def take_refs(self, name: str) -> tuple[str, ...]:
        """The references of this name, no longer among those left."""
        return self.refs.pop(name, ())

    def done(
        self, kind: type[model.DomainObject], *extra: StixObject, **properties: object
    ) -> Written:
        """The object, after `extra`, with what has no place of its own in the extension."""
        extensions = self._extension()
        values: dict[str, object] = {
            "spec_version": model.SPEC_VERSION,
            "id": self.one.id,
            "created_by_ref": self.how.producer.id,
            "created": stix_time(self.one.created),
            "modified": stix_time(self.one.modified),
            "revoked": self.one.revoked,
            "object_marking_refs": (MARKING_IDS[self.one.marking],),
            "extensions": extensions,
            **self.properties,
            **properties,
        }
        try:
            written = msgspec.convert(values, kind)
        except msgspec.ValidationError as error:
            return _unwritten("$", str(error))
        return Written(objects=(*extra, written), lost=tuple(self.lost))

    def _extension(self) -> model.Extensions:
        if not (self.rest or self.refs or self.minimised):
            return {}
        if self.how.profile is Profile.MISP:
            self.lost += [
                Lost(path=f"fields.{name}", reason="the profile misp has no place for it")
                for name in (*self.rest, *self.refs)
            ]
            return {}
        return {
            DETAILS: model.Extension(
                extension_type=PROPERTY,
                minimised=self.minimised,
                fields=self.rest,
                refs=self.refs,
            )
        }


def _native(name: str, value: FieldValue) -> FieldValue | None:
    """The value as STIX takes it; None where it does not."""
    if isinstance(value, int):
        ceiling = 100 if name == "confidence" else STIX_COUNT_MAX
        return value if 0 <= value <= ceiling else None
    if isinstance(value, tuple):
        return value if _are_labels(value) else None
    if name in _TIMES:
        return _precise(parse_time(value))
    if name == "relationship_type":
        return value if _WORD.fullmatch(value) and _is_short(value) else None
    if name == "identity_class":
        return value if value and _is_short(value) else None
    return value or None


def _precise(moment: datetime) -> str:
    """Always six digits after the second: some readers compare times as texts."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


_TIMES: Final = frozenset({"published", *(name for pair in _ORDERED for name in pair)})


def _is_short(text: str) -> bool:
    return len(text) <= model.SHORT_CHARACTERS_MAX


def _are_labels(value: FieldValue) -> bool:
    return (
        isinstance(value, tuple)
        and 0 < len(value) <= model.LISTED_MAX
        and all(text and _is_short(text) for text in value)
    )


def _indicator(draft: _Draft) -> Written:
    """The indicator, what it observes, and that it is based on it."""
    one, how = draft.one, draft.how
    kind, value = draft.rest.pop("identifier_kind", ""), draft.rest.pop("value", "")
    if not (isinstance(kind, str) and isinstance(value, str) and kind and value):
        return _unwritten("fields.value", "nothing to look for was released")
    form = how.value_form
    if form is Minimisation.AS_IS:
        found = observed(kind, value, how=how.observing)
    else:
        name = "user_id" if form is Minimisation.PSEUDONYM else "display_name"
        found = Observed("user-account", {"account_type": kind, name: value})
        draft.minimised = form.value
    pattern = write_pattern(found)
    if len(kind) > model.SHORT_CHARACTERS_MAX or len(pattern) > model.PATTERN_CHARACTERS_MAX:
        return _unwritten("fields.value", f"longer than {model.PATTERN_CHARACTERS_MAX} characters")
    draft.native("valid_from", _precise(one.created))
    draft._keep_order()  # noqa: SLF001 - the draft is this module's own
    more: tuple[StixObject, ...] = ()
    if form is Minimisation.AS_IS and how.profile is not Profile.MISP and not one.revoked:
        more = (observable_of(found, marking=MARKING_IDS[one.marking]),)
    written = draft.done(
        model.Indicator,
        *more,
        name=f"{kind}: {value}",
        indicator_types=("malicious-activity",),
        pattern=pattern,
        pattern_type=PATTERN_TYPE,
    )
    if not (more and written.objects):
        return written
    link = model.Relationship(
        spec_version=model.SPEC_VERSION,
        id=ids.derived_id("relationship", one.id, more[0].id),
        created_by_ref=how.producer.id,
        created=stix_time(one.created),
        modified=stix_time(one.created),
        relationship_type=BASED_ON,
        source_ref=one.id,
        target_ref=more[0].id,
        object_marking_refs=(MARKING_IDS[one.marking],),
    )
    return Written(objects=(*written.objects, link), lost=written.lost)


def _sighting(draft: _Draft) -> Written:
    seen = draft.take_refs("sighting_of")
    if not seen or seen[0].startswith(("relationship--", "sighting--")):
        return _unwritten("refs.sighting_of", "what was seen is not shared")
    if len(seen) > 1:
        draft.refs["sighting_of"] = seen[1:]
    where = draft.take_refs("where_sighted")
    places = tuple(one for one in where if one.startswith("identity--"))
    if len(places) < len(where):
        draft.refs["where_sighted"] = tuple(one for one in where if one not in places)
    return draft.done(model.Sighting, sighting_of_ref=seen[0], where_sighted_refs=places)


def _relationship(draft: _Draft) -> Written:
    ends = {}
    for name in ("source", "target"):
        refs = draft.take_refs(name)
        if not refs or refs[0].startswith(("relationship--", "sighting--")):
            return _unwritten(f"refs.{name}", "this end of it is not shared")
        if len(refs) > 1:
            draft.refs[name] = refs[1:]
        ends[name] = refs[0]
    draft.native("relationship_type", RELATED)
    return draft.done(model.Relationship, source_ref=ends["source"], target_ref=ends["target"])


def _report(draft: _Draft) -> Written:
    draft.native("published", _precise(draft.one.created))
    about = draft.take_refs("objects") or (draft.how.producer.id,)
    return draft.done(model.Report, object_refs=about, name=draft.name())


def _named(kind: type[model.DomainObject]) -> Callable[[_Draft], Written]:
    return lambda draft: draft.done(kind, name=draft.name())


_WRITERS: Final[dict[ObjectKind, Callable[[_Draft], Written]]] = {
    ObjectKind.INDICATOR: _indicator,
    ObjectKind.SIGHTING: _sighting,
    ObjectKind.CAMPAIGN: _named(model.Campaign),
    ObjectKind.REPORT: _report,
    ObjectKind.COURSE_OF_ACTION: _named(model.CourseOfAction),
    ObjectKind.IDENTITY: _named(model.Identity),
    ObjectKind.RELATIONSHIP: _relationship,
}
