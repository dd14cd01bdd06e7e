"""Channels: ISO 20022 documents as bytes: written valid, read with limits and only when valid.

Never fetches anything that a document names, and takes none with a document type of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec
from lxml import etree

from openaoc.channels.iso20022.schema import CLASSES, namespace, schema_of
from openaoc.kernel.errors import BadInput, OpenAOCError, TooLarge
from openaoc.kernel.money import AMOUNT_MINOR_MAX, check_currency, exponents

DOCUMENT_BYTES_MAX: Final = 32 << 20
ERROR_CHARACTERS_MAX: Final = 300


class BadMessage(BadInput):
    """This is not a valid ISO 20022 message of a kind that is read here."""


class NotValid(OpenAOCError):
    """A message of our own does not follow its schema: it does not leave."""


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An amount in minor units."""

    amount_minor: int
    currency: str

    @property
    def text(self) -> str:
        """The decimal of major units, as ISO 20022 writes it."""
        return format(Decimal(self.amount_minor).scaleb(-exponents()[self.currency]), "f")


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """An element of another vocabulary, for supplementary data."""

    element: etree.ElementBase


Node = tuple[str, str | Money | Foreign | Sequence["Node"] | None]
"""An element's name with its text, amount, foreign content or children; None leaves it out."""


def render(message: str, content: Node) -> bytes:
    """The document, valid by its schema. Raises NotValid."""
    root = etree.Element(f"{{{namespace(message)}}}Document", nsmap={None: namespace(message)})
    try:
        _append(root, content, space=namespace(message))
    except ValueError as error:  # a character that XML cannot carry
        raise NotValid(str(error), where=message) from error
    schema = schema_of(message)
    if not schema.validate(root):
        raise NotValid(_first_error(schema), where=message)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def _append(parent: etree._Element, node: Node, *, space: str) -> None:
    name, value = node
    if value is None:
        return
    element = etree.SubElement(parent, f"{{{space}}}{name}")
    if isinstance(value, str):
        element.text = value
    elif isinstance(value, Money):
        element.set("Ccy", value.currency)
        element.text = value.text
    elif isinstance(value, Foreign):
        element.append(value.element)
    else:
        for child in value:
            _append(element, child, space=space)


def parse(data: bytes, *, among: Collection[str]) -> tuple[str, Reader]:
    """Which of these messages it is, and its content. Raises BadMessage or TooLarge."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise TooLarge(f"{len(data)} bytes, at most {DOCUMENT_BYTES_MAX}")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadMessage(str(error)[:ERROR_CHARACTERS_MAX]) from error
    if root.getroottree().docinfo.doctype:
        raise BadMessage("a document type is not taken")
    message = _kind(root)
    if message is None or message not in among:
        raise BadMessage(f"{str(root.tag)[:80]} is not one of {', '.join(sorted(among))}")
    schema = schema_of(message)
    if not schema.validate(root):
        raise BadMessage(_first_error(schema), where=message)
    return message, Reader(root[0])


def _kind(root: etree._Element) -> str | None:
    known = {f"{{{namespace(message)}}}Document": message for message in CLASSES}
    return known.get(str(root.tag))


class Reader:
    """One element of a valid document, read by paths such as `Assgnmt/Id`."""

    def __init__(self, element: etree._Element) -> None:
        self._element = element
        self._space = etree.QName(element).namespace

    def all(self, path: str) -> list[Reader]:
        """The elements at a path, in order."""
        return [Reader(found) for found in self._element.findall(self._qualified(path))]

    def first(self, *paths: str) -> Reader | None:
        """The first element that is at one of the paths."""
        for path in paths:
            found = self._element.find(self._qualified(path))
            if found is not None:
                return Reader(found)
        return None

    def text(self, *paths: str) -> str | None:
        """The text at the first of the paths that is there."""
        found = self.first(*paths)
        return None if found is None else (found.content or None)

    def needed(self, *paths: str) -> str:
        """The text, which has to be there. Raises BadMessage."""
        found = self.text(*paths)
        if found is None:
            raise BadMessage(f"{' or '.join(paths)} is missing", where=self.place)
        return found

    def money(self, *paths: str) -> Money | None:
        """The amount at the first of the paths that is there. Raises BadMessage, BadInput."""
        found = self.first(*paths)
        if found is None:
            return None
        currency = check_currency(found.attribute("Ccy"), where=found.place)
        try:
            minor = Decimal(found.content).scaleb(exponents()[currency])
        except InvalidOperation as error:  # the schema lets nothing else through
            raise BadMessage(found.content, where=found.place) from error
        if minor != minor.to_integral_value() or minor > AMOUNT_MINOR_MAX:
            raise BadMessage(f"{found.content} is no amount of {currency}", where=found.place)
        return Money(amount_minor=int(minor), currency=currency)

    def foreign(self, name: str) -> etree._Element | None:
        """The first element of another vocabulary with this qualified name, anywhere below."""
        return next(self._element.iter(name), None)

    @property
    def content(self) -> str:
        """Its own text."""
        return (self._element.text or "").strip()

    @property
    def place(self) -> str:
        """Where it stands, for a person."""
        return f"{etree.QName(self._element).localname}, line {self._element.sourceline}"

    def attribute(self, name: str) -> str:
        """An attribute that the schema requires."""
        return str(self._element.attrib[name])

    def _qualified(self, path: str) -> str:
        return "/".join(f"{{{self._space}}}{step}" for step in path.split("/"))


def _first_error(schema: etree.XMLSchema) -> str:
    error = schema.error_log[0]
    return f"line {error.line}: {error.message}"[:ERROR_CHARACTERS_MAX]
