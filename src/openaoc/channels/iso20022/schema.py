"""Channels: an XML schema of each ISO 20022 message, made from the classes of pyiso20022.

Answers whether a message is valid before it leaves and before it is read. Knows no meaning.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import typing
from decimal import Decimal
from types import UnionType
from typing import Any, Final

from lxml import etree

XS: Final = "http://www.w3.org/2001/XMLSchema"
CLASSES: Final = {
    "camt.056.001.08": "pyiso20022.camt.camt_056_001_08",
    "camt.029.001.09": "pyiso20022.camt.camt_029_001_09",
    "pacs.004.001.09": "pyiso20022.pacs.pacs_004_001_09",
    "pacs.008.001.08": "pyiso20022.pacs.pacs_008_001_08",
}
"""The versions that cross-border and national high-value systems exchange in 2026 (CBPR+)."""
_FACETS: Final = {
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "min_inclusive": "minInclusive",
    "max_inclusive": "maxInclusive",
    "total_digits": "totalDigits",
    "fraction_digits": "fractionDigits",
}
_SIMPLE: Final = {
    "str": "string",
    "bool": "boolean",
    "Decimal": "decimal",
    "XmlDate": "date",
    "XmlDateTime": "dateTime",
    "XmlTime": "time",
    "XmlPeriod": "gYear",
    "int": "integer",
}


@functools.cache
def schema_of(message: str) -> etree.XMLSchema:
    """The schema of a message named as in CLASSES; built once, some tenths of a second."""
    document = importlib.import_module(CLASSES[message]).Document
    return etree.XMLSchema(_Writer(namespace(message)).write(document))


def namespace(message: str) -> str:
    """The XML namespace of a message."""
    return f"urn:iso:std:iso:20022:tech:xsd:{message}"


class _Writer:
    """Writes one schema: a named type for each class that the document reaches.

    Order of elements, how often, lengths, patterns and code lists stand in the classes' fields. A
    class whose name ends in Choice takes one of its elements, as in the standard's own schemas.
    """

    def __init__(self, target: str) -> None:
        self._root = etree.Element(
            f"{{{XS}}}schema",
            {"targetNamespace": target, "elementFormDefault": "qualified"},
            nsmap={"xs": XS, "m": target},
        )
        self._written: set[type] = set()

    def write(self, document: type) -> etree._Element:
        element = etree.SubElement(self._root, f"{{{XS}}}element", {"name": "Document"})
        element.set("type", self._named(document))
        return self._root

    def _named(self, cls: type) -> str:
        if cls not in self._written:
            self._written.add(cls)
            if issubclass(cls, enum.Enum):
                self._codes(cls)
            else:
                self._complex(cls)
        return f"m:{cls.__name__}"

    def _codes(self, cls: type[enum.Enum]) -> None:
        simple = etree.SubElement(self._root, f"{{{XS}}}simpleType", {"name": cls.__name__})
        inner = etree.SubElement(simple, f"{{{XS}}}restriction", {"base": "xs:string"})
        for code in cls:
            etree.SubElement(inner, f"{{{XS}}}enumeration", {"value": str(code.value)})

    def _complex(self, cls: type) -> None:
        hints = typing.get_type_hints(cls)
        fields = dataclasses.fields(cls)
        made = etree.SubElement(self._root, f"{{{XS}}}complexType", {"name": cls.__name__})
        if any("type" not in f.metadata for f in fields):
            self._amount(made, fields, hints)
            return
        if any(f.metadata["type"] == "Wildcard" for f in fields):
            sequence = etree.SubElement(made, f"{{{XS}}}sequence")
            etree.SubElement(
                sequence, f"{{{XS}}}any", {"namespace": "##any", "processContents": "lax"}
            )
            return
        choice = cls.__name__.endswith("Choice")
        group = etree.SubElement(made, f"{{{XS}}}{'choice' if choice else 'sequence'}")
        for field in fields:
            assert field.metadata["type"] == "Element", "attributes stand beside a value only"
            self._element(group, field, hints[field.name], choice=choice)

    def _amount(
        self,
        made: etree._Element,
        fields: tuple[dataclasses.Field[Any], ...],
        hints: dict[str, Any],
    ) -> None:
        """A value with attributes: an amount and its currency. The value stands first."""
        value, *attributes = fields
        base = f"{made.get('name')}_Value"
        simple = etree.SubElement(self._root, f"{{{XS}}}simpleType", {"name": base})
        self._restricted(simple, hints[value.name], value.metadata)
        content = etree.SubElement(made, f"{{{XS}}}simpleContent")
        extension = etree.SubElement(content, f"{{{XS}}}extension", {"base": f"m:{base}"})
        for field in attributes:
            assert field.metadata["type"] == "Attribute", "beside a value stand attributes"
            attribute = etree.SubElement(
                extension, f"{{{XS}}}attribute", {"name": field.metadata["name"]}
            )
            attribute.set("use", "required" if field.metadata.get("required") else "optional")
            self._typed(attribute, _shape(hints[field.name])[0], field.metadata)

    def _element(
        self, group: etree._Element, field: dataclasses.Field[Any], hint: Any, *, choice: bool
    ) -> None:
        meta = field.metadata
        kind, many = _shape(hint)
        element = etree.SubElement(group, f"{{{XS}}}element", {"name": meta["name"]})
        if many:
            element.set("minOccurs", str(meta.get("min_occurs", 0)))
            element.set("maxOccurs", str(meta.get("max_occurs", "unbounded")))
        elif not meta.get("required") and not choice:
            element.set("minOccurs", "0")
        self._typed(element, kind, meta)

    def _typed(self, element: etree._Element, kind: type, meta: Any) -> None:
        if dataclasses.is_dataclass(kind) or issubclass(kind, enum.Enum):
            element.set("type", self._named(kind))
            return
        simple = etree.SubElement(element, f"{{{XS}}}simpleType")
        self._restricted(simple, kind, meta)

    @staticmethod
    def _restricted(simple: etree._Element, kind: type, meta: Any) -> None:
        base = f"xs:{_SIMPLE[kind.__name__]}"
        inner = etree.SubElement(simple, f"{{{XS}}}restriction", {"base": base})
        for name, facet in _FACETS.items():
            if name in meta:
                limit = meta[name]
                text = format(limit, "f") if isinstance(limit, Decimal) else str(limit)
                etree.SubElement(inner, f"{{{XS}}}{facet}", {"value": text})


def _shape(hint: Any) -> tuple[type, bool]:
    """The type of one value, and whether there may be several."""
    if typing.get_origin(hint) is list:
        return typing.get_args(hint)[0], True
    if isinstance(hint, UnionType):
        hint = next(one for one in typing.get_args(hint) if one is not type(None))
    return hint, False
