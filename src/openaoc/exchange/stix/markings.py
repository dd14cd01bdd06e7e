"""Exchange, STIX 2.1: TLP 2.0 as its extension writes it; the ids of TLP 1 are read too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from openaoc.exchange.stix.model import SPEC_VERSION, Extension, MarkingDefinition
from openaoc.kernel.markings import Marking, strictest

TLP_EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
TLP_CREATED: Final = "2022-10-01T00:00:00.000Z"
_PREFIX: Final = "marking-definition--"

MARKING_IDS: Final[dict[Marking, str]] = {
    Marking.CLEAR: _PREFIX + "94868c89-83c2-464b-929b-a1a8aa3c8487",
    Marking.GREEN: _PREFIX + "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    Marking.AMBER: _PREFIX + "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    Marking.AMBER_STRICT: _PREFIX + "939a9414-2ddd-4d32-a0cd-375ea402b003",
    Marking.RED: _PREFIX + "e828b379-4e03-4974-9ac4-e53a884c97c1",
}
"""TLP 2.0, as its authors publish it."""

_FIRST: Final[dict[str, Marking]] = {
    _PREFIX + "613f2e26-407d-48c7-9eca-b8e91df99dc9": Marking.CLEAR,
    _PREFIX + "34098fce-860f-48ae-8e50-ebd3cc5e41da": Marking.GREEN,
    _PREFIX + "f88d31f6-486f-44da-b317-01333bde0b82": Marking.AMBER,
    _PREFIX + "826578e1-40ad-459f-bc73-ede076f81f37": Marking.AMBER_STRICT,
    _PREFIX + "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": Marking.RED,
}
"""TLP 1 of the standard itself, and what OpenCTI sends for amber+strict."""

PERMITTING: Final = frozenset(
    {
        _PREFIX + "ad15a0cd-55b6-4588-a14c-a66105329b92",
        _PREFIX + "a3bea94c-b469-41dc-9cfe-d6e7daba7730",
        _PREFIX + "c43594d1-4b11-4c59-93ab-1c9b14d53ce9",
    }
)
"""PAP:CLEAR, WHITE and GREEN (Permissible Actions Protocol): one may act on it; of passing on they
say nothing. AMBER and RED ask for more than is kept here: unknown."""

KNOWN: Final[dict[str, Marking]] = {
    **{number: marking for marking, number in MARKING_IDS.items()},
    **_FIRST,
}


def definition_of(marking: Marking) -> MarkingDefinition:
    """The marking's own object, word for word as it is published."""
    return MarkingDefinition(
        spec_version=SPEC_VERSION,
        id=MARKING_IDS[marking],
        created=TLP_CREATED,
        name=f"TLP:{marking.value.upper()}",
        extensions={
            TLP_EXTENSION: Extension(extension_type="property-extension", tlp_2_0=marking.value)
        },
    )


def marking_of(refs: Sequence[str], *, otherwise: Marking) -> tuple[Marking, list[str]]:
    """The strictest marking that is named, and the ids of those we do not know.

    `otherwise` holds where none is named. One we do not know may ask for anything: RED then.
    """
    unknown = [ref for ref in refs if ref not in KNOWN and ref not in PERMITTING]
    known = [KNOWN[ref] for ref in refs if ref in KNOWN]
    if unknown:
        return Marking.RED, unknown
    return (strictest(*known) if known else otherwise), unknown
