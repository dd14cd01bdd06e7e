"""Exchange, files: whether what somebody sent is an object of ours. Believes nothing in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from openaoc.exchange.objects import (
    FIELDS,
    REFS,
    REFS_MAX,
    TEXT_CHARACTERS_MAX,
    TEXTS_MAX,
    FieldForm,
    FieldValue,
    ReleasedObject,
)
from openaoc.kernel.clock import parse_time
from openaoc.kernel.errors import BadInput

ID_CHARACTERS_MAX: Final = 80
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_TYPES: Final = {FieldForm.NUMBER: int, FieldForm.TEXTS: tuple}


def check_received(one: ReleasedObject) -> ReleasedObject:
    """The object itself. Raises BadInput with the place of the first thing wrong."""
    if not one.id.startswith(f"{one.kind.value}--") or len(one.id) > ID_CHARACTERS_MAX:
        raise BadInput(f"not an id of the kind {one.kind.value}", where="id")
    for name, moment in (("created", one.created), ("modified", one.modified)):
        if moment.tzinfo is None or not EARLIEST <= moment < LATEST:
            raise BadInput("not a time with its zone, 1970 to 2200", where=name)
    if one.modified < one.created:
        raise BadInput("before it was created", where="modified")
    for name, value in one.fields.items():
        field = FIELDS[one.kind].get(name)
        if field is None:
            raise BadInput(f"no field of the kind {one.kind.value}", where=f"fields.{name[:40]}")
        check_value(value, field.form, where=f"fields.{name}")
    for name, ids in one.refs.items():
        if name not in REFS.get(one.kind, {}) or len(ids) > REFS_MAX:
            raise BadInput(f"no reference of the kind {one.kind.value}", where=f"refs.{name[:40]}")
        if any(len(text) > ID_CHARACTERS_MAX or "\0" in text for text in ids):
            raise BadInput("not an id", where=f"refs.{name}")
    return one


def check_value(value: FieldValue, form: FieldForm, *, where: str) -> None:
    """Raises BadInput for a value of another form, or too long."""
    if not isinstance(value, _TYPES.get(form, str)) or isinstance(value, bool):
        raise BadInput(f"not a {form.value}", where=where)
    if form is FieldForm.TIME:
        parse_time(str(value), where=where)
    texts = value if isinstance(value, tuple) else (str(value),)
    if len(texts) > TEXTS_MAX or any(len(t) > TEXT_CHARACTERS_MAX or "\0" in t for t in texts):
        raise BadInput(
            f"more than {TEXTS_MAX} texts or {TEXT_CHARACTERS_MAX} characters, or NUL", where=where
        )
