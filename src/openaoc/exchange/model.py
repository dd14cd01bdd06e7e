"""Exchange: partners as others see them, and every error of the stage. Decides nothing."""

from __future__ import annotations

import enum
import re
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.kernel.errors import BadInput, Busy, Conflict, NotFound, Refused
from openaoc.parties.model import ENDPOINT_CHARACTERS_MAX, NAME_CHARACTERS_MAX

PARTNERS_MAX: Final = 1_000
KEYS_PER_PARTNER_MAX: Final = 10
VERSIONS_PER_PARTNER_MAX: Final = 1_000
REASON_CHARACTERS_MAX: Final = 1_000
CONTACT_CHARACTERS_MAX: Final = 200
FINGERPRINT_CHARACTERS_MAX: Final = 200
_CODE: Final = re.compile(r"[A-Z0-9](?:[A-Z0-9-]{0,30}[A-Z0-9])?")

Reason = Annotated[str, Meta(min_length=3, max_length=REASON_CHARACTERS_MAX)]
PartnerCode = Annotated[str, Meta(min_length=1, max_length=32)]


class NoSuchPartner(NotFound):
    """There is no such partner, or nothing of it is shown to you."""


class NoSuchAgreement(NotFound):
    """There is no such agreement, or nothing of it is shown to you."""


class NoSuchObject(NotFound):
    """There is no such object, or nothing of it is shown to you."""


class WrongAgreementStep(Conflict):
    """The agreement's state does not allow this."""


class NotYourAgreement(Refused):
    """This role may not do this with an agreement."""


class SecondPerson(Refused):
    """A second person has to do this."""


class WrongFingerprint(Refused):
    """The fingerprint is not the key's."""


class NoAgreement(Refused):
    """Nothing is in force that would permit this."""


class VolumeReached(Busy):
    """The agreement's volume of this day is reached."""


class PartnerKind(enum.StrEnum):
    """Who shares with us. Researchers receive aggregates only, protection only referrals."""

    CENTRE = "centre"
    REGULATOR = "regulator"
    POLICE = "police"
    BANK = "bank"
    TELCO = "telco"
    PLATFORM = "platform"
    """Social media, messengers, app stores."""
    HOST = "host"
    """Registrars, registries and whoever hosts sites."""
    SECTOR_BODY = "sector_body"
    RESEARCHER = "researcher"
    PROTECTION = "protection"
    """A contact point that protects possible victims of trafficking."""


class Contact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A contact point: a desk that answers, rather than a person who may be away."""

    name: Annotated[str, Meta(min_length=1, max_length=CONTACT_CHARACTERS_MAX)]
    email: Annotated[str, Meta(max_length=CONTACT_CHARACTERS_MAX)] = ""
    telephone: Annotated[str, Meta(max_length=CONTACT_CHARACTERS_MAX)] = ""

    def check(self, *, where: str) -> None:
        """Raises BadInput when nobody could be reached, or for text that is not printable."""
        if not (self.email or self.telephone):
            raise BadInput("an email address or a telephone number", where=where)
        for text in (self.name, self.email, self.telephone):
            if not text.isprintable():
                raise BadInput("not printable", where=where)


class Partner(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation we share with. `endpoint`: where its own centre listens, None for none."""

    code: str
    name: str
    kind: PartnerKind
    jurisdiction: str
    contact: Contact
    endpoint: str | None
    added_at: datetime


class PartnerKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key the partner signs with, and who compared its fingerprint with the partner, how."""

    partner: str
    kid: str
    jwk: str
    fingerprint: str
    added_by: str
    added_at: datetime
    verified_by: str | None = None
    verified_with: str | None = None
    verified_at: datetime | None = None
    retired_at: datetime | None = None


class NewPartner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partner to add."""

    code: PartnerCode
    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    kind: PartnerKind
    jurisdiction: Annotated[str, Meta(min_length=2, max_length=2)]
    contact: Contact
    endpoint: Annotated[str, Meta(max_length=ENDPOINT_CHARACTERS_MAX)] | None = None


class PartnerChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a partner is reached; what is null stays as it is."""

    contact: Contact | None = None
    endpoint: Annotated[str, Meta(max_length=ENDPOINT_CHARACTERS_MAX)] | None = None


class KeyVerification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fingerprint as the partner read it out, and with whom it was compared, how."""

    fingerprint: Annotated[str, Meta(min_length=1, max_length=FINGERPRINT_CHARACTERS_MAX)]
    compared_with: Annotated[str, Meta(min_length=3, max_length=CONTACT_CHARACTERS_MAX)]


class PartnerView(msgspec.Struct, frozen=True, kw_only=True):
    """A partner with its keys and the agreement in force, if any."""

    partner: Partner
    keys: list[PartnerKey]
    agreement: str | None


class PartnerList(msgspec.Struct, frozen=True, kw_only=True):
    """Every partner, by code."""

    partners: list[Partner]


class PartnerMark(msgspec.Struct, frozen=True, kw_only=True):
    """A partner in the journal: no contact, which is of persons."""

    name: str
    kind: str
    jurisdiction: str
    endpoint: str | None

    @classmethod
    def of(cls, one: Partner) -> PartnerMark:
        """The mark of this one."""
        return cls(
            name=one.name,
            kind=one.kind.value,
            jurisdiction=one.jurisdiction,
            endpoint=one.endpoint,
        )


class KeyMark(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's key in the journal."""

    kid: str
    fingerprint: str
    verified: bool = False
    retired: bool = False


def check_partner_code(text: str, *, where: str = "partner") -> str:
    """The code in capitals. Raises BadInput for anything but letters, digits and inner hyphens."""
    value = text.upper()
    if not _CODE.fullmatch(value):
        raise BadInput("1 to 32 letters, digits and inner hyphens", where=where)
    return value
