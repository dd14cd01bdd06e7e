"""Exchange, MISP: the core format's events as MISP 2.5 writes and reads them. Decides nothing.

Names are MISP's own. Numbers come as texts too: decoding takes both.
"""

from __future__ import annotations

from typing import Final

import msgspec

INHERIT: Final = 5
"""`distribution`: as the event's."""
VALUE_CHARACTERS_MAX: Final = 65_535
"""An attribute's value in MISP's database."""
TAG_CHARACTERS_MAX: Final = 255


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be kept: where it stood, and why."""

    path: str
    reason: str


class MispTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag; a machinetag is `namespace:predicate="value"`."""

    name: str


class MispAttribute(msgspec.Struct, frozen=True, kw_only=True):
    """One value. `to_ids`: whether somebody may look for it; without, it is context.

    Always written out: MISP takes another default for each type.
    """

    uuid: str
    type: str
    value: str
    category: str = "Other"
    to_ids: bool = False
    comment: str = ""
    timestamp: int = 0
    distribution: int = INHERIT
    deleted: bool = False
    disable_correlation: bool = False
    object_relation: str | None = None
    first_seen: str | None = None
    last_seen: str | None = None
    tags: tuple[MispTag, ...] = msgspec.field(name="Tag", default=())


class MispReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From one object to another."""

    uuid: str
    object_uuid: str
    referenced_uuid: str
    relationship_type: str
    comment: str = ""
    timestamp: int = 0
    deleted: bool = False


class MispObject(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes that belong together, by a template."""

    uuid: str
    name: str
    meta_category: str = msgspec.field(name="meta-category", default="misc")
    description: str = ""
    template_uuid: str = ""
    template_version: str = ""
    timestamp: int = 0
    distribution: int = INHERIT
    comment: str = ""
    deleted: bool = False
    first_seen: str | None = None
    last_seen: str | None = None
    attributes: tuple[MispAttribute, ...] = msgspec.field(name="Attribute", default=())
    references: tuple[MispReference, ...] = msgspec.field(name="ObjectReference", default=())


class MispOrg(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation."""

    name: str
    uuid: str


class MispEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as we write it."""

    uuid: str
    info: str
    date: str
    timestamp: int
    publish_timestamp: int
    orgc: MispOrg = msgspec.field(name="Orgc")
    tags: tuple[MispTag, ...] = msgspec.field(name="Tag", default=())
    attributes: tuple[MispAttribute, ...] = msgspec.field(name="Attribute", default=())
    objects: tuple[MispObject, ...] = msgspec.field(name="Object", default=())
    distribution: int = 0
    threat_level_id: int = 4
    analysis: int = 2
    published: bool = True


class MispFile(msgspec.Struct, frozen=True, kw_only=True):
    """An event's file."""

    event: MispEvent = msgspec.field(name="Event")


class RawEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as others write it: each part is looked at for itself."""

    uuid: str
    timestamp: int = 0
    tags: tuple[MispTag, ...] = msgspec.field(name="Tag", default=())
    attributes: tuple[msgspec.Raw, ...] = msgspec.field(name="Attribute", default=())
    objects: tuple[msgspec.Raw, ...] = msgspec.field(name="Object", default=())


class RawFile(msgspec.Struct, frozen=True, kw_only=True):
    """An event's file as others write it."""

    event: RawEvent = msgspec.field(name="Event")


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed's manifest says of one event."""

    info: str
    date: str
    timestamp: int
    analysis: int
    threat_level_id: int
    orgc: MispOrg = msgspec.field(name="Orgc")
    tags: tuple[MispTag, ...] = msgspec.field(name="Tag", default=())
