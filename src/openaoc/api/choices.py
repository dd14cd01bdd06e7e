"""API: which words would have been right, where a word of a closed list was expected.

Reads types alone; never a value that was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import inspect

SHOWN_MAX: Final = 40
UNKNOWN: Final = "Invalid enum value"
_STEP: Final = re.compile(r"\.(?P<field>\w+)|\[[^\]]*\]")


def with_choices(reason: str, kind: Any, *, path: str = "$") -> str:
    """The reason; of a word that is not on its list, with the list. `path`: where in the type."""
    if not reason.startswith(UNKNOWN):
        return reason
    found = [inspect.type_info(kind)]
    for step in _STEP.finditer(path):
        found = [after for one in found for after in _after(one, step["field"])]
    words = [str(word) for one in found for word in _words(one)]
    listed = ", ".join(words[:SHOWN_MAX])
    return f"{reason}; known: {listed}" if words else reason


def _flat(one: inspect.Type) -> Iterator[inspect.Type]:
    """The type without its wrapping, and each part of a union."""
    if isinstance(one, inspect.Metadata):
        yield from _flat(one.type)
    elif isinstance(one, inspect.UnionType):
        for part in one.types:
            yield from _flat(part)
    else:
        yield one


def _after(one: inspect.Type, field: str | None) -> Iterator[inspect.Type]:
    """What stands at a field, or, without one, at any place of a list or dict."""
    for part in _flat(one):
        if field is not None and isinstance(part, inspect.StructType):
            yield from (each.type for each in part.fields if each.encode_name == field)
        elif field is None and isinstance(part, inspect.DictType):
            yield part.value_type
        elif field is None and isinstance(part, inspect.ListType | inspect.VarTupleType):
            yield part.item_type


def _words(one: inspect.Type) -> Iterator[object]:
    for part in _flat(one):
        if isinstance(part, inspect.EnumType):
            yield from (each.value for each in part.cls)
        elif isinstance(part, inspect.LiteralType):
            yield from part.values
