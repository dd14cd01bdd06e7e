"""Exchange, STIX 2.1: the extensions we publish, and who publishes them.

Their ids never change; a new meaning gets a new id.
"""

from __future__ import annotations

from typing import Final

from openaoc.exchange.stix.model import SPEC_VERSION, ExtensionDefinition, Identity

PUBLISHED: Final = "2026-11-01T00:00:00.000Z"
PROJECT_ID: Final = "identity--d047bf8e-bcf8-4b2d-a220-28f04c4a3ffa"
DETAILS: Final = "extension-definition--abf00012-9345-4cce-8999-8e9cc7245ae0"
OBSERVABLES: Final = "extension-definition--48326ebb-b135-4754-94b8-a23cfb88d1a5"
PAYMENT: Final = "extension-definition--0ef9326c-c7d0-404d-9cac-cd1aabb30371"

PROPERTY: Final = "property-extension"
NEW_OBSERVABLE: Final = "new-sco"

PROJECT: Final = Identity(
    spec_version=SPEC_VERSION,
    id=PROJECT_ID,
    created=PUBLISHED,
    modified=PUBLISHED,
    name="OpenAOC",
    identity_class="organization",
    description="An open operation centre against online scams.",
)


def _definition(number: str, *, name: str, schema: str, kind: str) -> ExtensionDefinition:
    return ExtensionDefinition(
        spec_version=SPEC_VERSION,
        id=number,
        created_by_ref=PROJECT_ID,
        created=PUBLISHED,
        modified=PUBLISHED,
        name=name,
        schema=schema,
        version="1.0.0",
        extension_types=(kind,),
    )


DEFINITIONS: Final[dict[str, ExtensionDefinition]] = {
    DETAILS: _definition(
        DETAILS,
        name="OpenAOC details",
        kind=PROPERTY,
        schema=(
            "fields: an object of texts, whole numbers and lists of texts, by the names of the"
            " exchange's fields (identifier_kind, status, tier, reports, …; amounts in minor units"
            " end in _minor). refs: lists of ids by name. minimised: pseudonym or masked, when the"
            " value was not sent as it is."
        ),
    ),
    OBSERVABLES: _definition(
        OBSERVABLES,
        name="OpenAOC observables",
        kind=NEW_OBSERVABLE,
        schema=(
            "phone-number: value, E.164. bank-account: iban (where a country has none, its"
            " surrogate COUNTRY-BANK-ACCOUNT; it alone makes the id), account_number, bic."
            " cryptocurrency-wallet: value, the address."
        ),
    ),
    PAYMENT: _definition(
        PAYMENT,
        name="OpenAOC payment",
        kind=NEW_OBSERVABLE,
        schema=(
            "payment-transaction: amount, a text with a point before the minor units; currency,"
            " ISO 4217; booked_at, a timestamp; reference, as the payer's institution gave it;"
            " debtor_ref and creditor_ref, user-account or bank-account. All make the id."
        ),
    ),
}
"""Every extension of ours, by its id."""
