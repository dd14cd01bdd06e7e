"""API: a request's JSON body as a struct, strictly: right types, no unknown field, no NUL.

Raises errors with the JSON path; never lets a body decide a type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from openaoc.api.choices import with_choices
from openaoc.api.problems import UnsupportedType
from openaoc.kernel.errors import BadInput

Value = TypeVar("Value")

JSON_TYPE: Final = "application/json"
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""A time outside of this is a mistake, and some of them no calendar can bring to UTC."""
_PLACE: Final = re.compile(r"^(?P<reason>.*) - at `(?P<path>[^`]*)`$", re.DOTALL)


_decoders: dict[object, msgspec.json.Decoder[Any]] = {}
"""One per wire type of the routes; bounded by the program itself."""


def decode(body: bytes, kind: type[Value]) -> Value:
    """The body as `kind`. Raises BadInput with the JSON path of the first thing wrong."""
    try:
        decoder = _decoders.get(kind) or _decoders.setdefault(kind, msgspec.json.Decoder(kind))
        value: Value = decoder.decode(body)
    except msgspec.ValidationError as error:
        match = _PLACE.match(str(error))
        reason, path = (match["reason"], match["path"]) if match else (str(error), "$")
        raise BadInput(with_choices(reason, kind, path=path), where=path) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"not valid JSON in UTF-8: {error}", where="$") from error
    except RecursionError as error:
        raise BadInput("nested too deeply", where="$") from error
    _check(value, "$")
    return value


def _check(value: object, path: str) -> None:
    """Refuse NUL in any string and times outside of the calendar we work with."""
    if isinstance(value, str):
        if "\0" in value:
            raise BadInput("contains a NUL character", where=path)
    elif isinstance(value, datetime):
        if value.tzinfo is None or not EARLIEST <= value < LATEST:
            raise BadInput("is not between the years 1970 and 2200 (of the common era)", where=path)
    else:
        for place, item in _parts(value):
            _check(item, path + place)


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """What a value is made of, with each part's place in it."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield f".{name}", getattr(value, name)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield f"[{place}]", item
    elif isinstance(value, dict):
        for key, item in value.items():
            yield "", key
            yield f".{key}", item


def media_type(connection: ASGIConnection[Any, Any, Any, State]) -> str:
    """The body's type without parameters, lower case; empty when none was named."""
    return connection.headers.get("content-type", "").partition(";")[0].strip().lower()


class Body(AbstractDTO[Value]):
    """Decodes with `decode` in place of Litestar's lenient conversion, and documents the same type.

    Used as `dto=Body[Report]` on a handler with `data: Report`.
    """

    def decode_bytes(self, value: bytes) -> Any:
        """The body as the handler's type. Raises UnsupportedType or BadInput."""
        if media_type(self.asgi_connection) != JSON_TYPE:
            raise UnsupportedType(f"send {JSON_TYPE}", where="Content-Type")
        return decode(value, self.model_type)

    @classmethod
    def create_for_field_definition(
        cls,
        field_definition: FieldDefinition,
        handler_id: str,
        backend_cls: Any = None,
    ) -> None:
        """Nothing to generate: the struct is its own transfer type."""

    @classmethod
    def create_openapi_schema(
        cls,
        field_definition: FieldDefinition,  # noqa: ARG003 - the base's signature
        handler_id: str,  # noqa: ARG003 - the base's signature
        schema_creator: Any,
    ) -> Reference | Schema:
        """The struct's own schema."""
        schema: Reference | Schema = schema_creator.for_field_definition(
            FieldDefinition.from_annotation(cls.model_type)
        )
        return schema

    @classmethod
    def generate_field_definitions(cls, model_type: Any) -> Any:  # noqa: ARG003 - the base's
        """Not used: see create_for_field_definition."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: Any) -> bool:  # noqa: ARG003 - the base's
        """Not used: see create_for_field_definition."""
        return False
