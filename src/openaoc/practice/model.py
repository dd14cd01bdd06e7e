"""Practice as others see it: packages with their standing here and what came of trying them.

Decides nothing about who may do what: that is service.py's.
"""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from openaoc.exchange.objects import DOCUMENT_CHARACTERS_MAX, ObjectId, ObjectKind, check_object_id
from openaoc.holds.legal import Rulebook
from openaoc.kernel.errors import BadInput, Conflict, NotFound, Refused
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.practice.cacao import Playbook
from openaoc.practice.typology import Typology

REASON_CHARACTERS_MAX: Final = 1_000
FORMAT: Final = "openaoc-package-1"
BUNDLE_BYTES_MAX: Final = DOCUMENT_CHARACTERS_MAX
OBSERVATIONS_MAX: Final = 100_000
"""Accounts on record for one package; when they are reached the package looks at no more."""
LISTED_MAX: Final = 500

Reason = Annotated[str, Meta(min_length=3, max_length=REASON_CHARACTERS_MAX)]
Line = Annotated[str, Meta(min_length=3, max_length=120)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
PackageId = Annotated[str, Meta(max_length=80)]


class NoSuchPackage(NotFound):
    """There is no such package."""


class WrongPackageStep(Conflict):
    """The package's standing does not allow this."""


class SamePerson(Refused):
    """Two different persons have to say so."""


class NotTriedEnough(Refused):
    """It was not tried enough to act."""


class NeverActs(Refused):
    """Legal rules are read and compared; nobody acts upon another country's."""


class BadPackage(BadInput):
    """The package cannot be taken."""


class NotSignedByPartner(Refused):
    """The package is not signed by a verified key of the centre that made it."""


class PackageKind(enum.StrEnum):
    """What is in a package."""

    PLAYBOOK = "playbook"
    TYPOLOGY = "typology"
    RULES = "rules"
    """A country's legal rules: read and compared, never acted upon from a package."""


class Standing(enum.StrEnum):
    """What a package is here; TRANSITIONS says how that changes."""

    SHADOW = "shadow"
    """It is tried: what it would have done is on record, and nothing happens."""
    LIVE = "live"
    """Two persons took it on. A typology proposes indicators for a person to look at."""
    STOPPED = "stopped"
    """A person here stopped it."""
    REPLACED = "replaced"
    """A newer version of it is live."""
    WITHDRAWN = "withdrawn"
    """Whoever made it took it back."""


class Step(enum.StrEnum):
    """A verb that moves a package."""

    TAKE_ON = "take-on"
    STOP = "stop"
    TRY_AGAIN = "try-again"
    REPLACE = "replace"
    WITHDRAW = "withdraw"


TRANSITIONS: Final = {
    (Standing.SHADOW, Step.TAKE_ON): Standing.LIVE,
    (Standing.SHADOW, Step.STOP): Standing.STOPPED,
    (Standing.LIVE, Step.STOP): Standing.STOPPED,
    (Standing.STOPPED, Step.TRY_AGAIN): Standing.SHADOW,
    (Standing.LIVE, Step.REPLACE): Standing.REPLACED,
    **{
        (before, Step.WITHDRAW): Standing.WITHDRAWN
        for before in (Standing.SHADOW, Standing.LIVE, Standing.STOPPED, Standing.REPLACED)
    },
}
"""What is withdrawn comes back only as a new version, in shadow."""
TRIED: Final = frozenset({Standing.SHADOW, Standing.LIVE})


def after_step(before: Standing, step: Step) -> Standing:
    """The standing after a permitted step. Raises WrongPackageStep."""
    found = TRANSITIONS.get((before, step))
    if found is None:
        raise WrongPackageStep(f"{step.value} is not for one that is {before.value}")
    return found


class Measured(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="measured"
):
    """The error that was measured: on what, when, and how often it was right and wrong.

    `looked`: cases or accounts it was tried on. `right`, `wrong`: of those it named, the ones that
    persons found to be so, and not so. `missed`: those it did not name that were found to be so.
    """

    on: Annotated[str, Meta(min_length=3, max_length=500)]
    at: date
    looked: Count
    right: Count
    wrong: Count
    missed: Count


class NotMeasured(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="not-measured"
):
    """It was not measured, and why."""

    why: Annotated[str, Meta(min_length=3, max_length=500)]


class Bundle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed, as canonical JSON. `author`: the code of the centre that made it."""

    format: Literal["openaoc-package-1"]
    id: PackageId
    kind: PackageKind
    name: Line
    summary: Annotated[str, Meta(min_length=3, max_length=2_000)]
    author: Annotated[str, Meta(min_length=1, max_length=32)]
    version: Annotated[int, Meta(ge=1, le=10_000)]
    licence: Annotated[str, Meta(min_length=2, max_length=80)]
    offences: Annotated[tuple[Offence, ...], Meta(min_length=1, max_length=len(Offence))]
    made_at: Annotated[datetime, Meta(tz=True)]
    error: Measured | NotMeasured
    replaces: PackageId | None = None
    playbook: Playbook | None = None
    typology: Typology | None = None
    rules: Rulebook | msgspec.UnsetType = msgspec.UNSET
    """Not written where there are none: what was signed before there were any stays as it is."""


def check_bundle(bundle: Bundle) -> Bundle:
    """The bundle itself. Raises BadPackage with the place; its playbook is checked elsewhere."""
    check_object_id(bundle.id, kind=ObjectKind.PACKAGE)
    if bundle.replaces is not None:
        check_object_id(bundle.replaces, kind=ObjectKind.PACKAGE, where="replaces")
    for kind in PackageKind:
        given = isinstance(getattr(bundle, kind.value), msgspec.Struct)
        if given != (kind is bundle.kind):
            raise BadPackage("just what its kind says", where=kind.value)
    if bundle.replaces == bundle.id or (bundle.version == 1) != (bundle.replaces is None):
        raise BadPackage("version 1 replaces nothing, each later one another", where="replaces")
    error = bundle.error
    if isinstance(error, Measured) and bundle.kind is PackageKind.RULES:
        raise BadPackage("what a law says has no measured error", where="error")
    if isinstance(error, Measured) and error.right + error.wrong + error.missed > error.looked:
        raise BadPackage("more than it was tried on", where="error.looked")
    return bundle


class NewPackage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person puts into a package. `replaces`: the version of ours it follows.

    `rules`: a jurisdiction; what is sent of it is the file this centre itself goes by.
    """

    name: Line
    summary: Annotated[str, Meta(min_length=3, max_length=2_000)]
    licence: Annotated[str, Meta(min_length=2, max_length=80)]
    offences: Annotated[tuple[Offence, ...], Meta(min_length=1, max_length=len(Offence))]
    error: Measured | NotMeasured | Literal["from-trial"]
    marking: Marking = Marking.GREEN
    replaces: ObjectId | None = None
    playbook: Playbook | None = None
    typology: Typology | None = None
    rules: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")] | None = None


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """One person's word that a package goes live."""

    by: str
    at: datetime
    reason: str


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package here. `partner`: who sent it, None for our own. `shared`: partners may have it.

    `voice`: the first person's word, waiting for a second. `since`: of its standing. `mark` orders
    changes. `full`: it looked at as many accounts as it may.
    """

    bundle: Bundle
    marking: Marking
    standing: Standing
    since: datetime
    signature: str
    digest: str
    partner: str | None = None
    shared: bool = False
    voice: Voice | None = None
    full: bool = False
    reason: str = ""
    changed_at: datetime
    change: int = 0

    @property
    def id(self) -> str:
        """Its id in the exchange, another for each version."""
        return self.bundle.id


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What came of trying a typology here, in accounts.

    `named`: it would have named them, of which `right` were found to be a mule's, `wrong` not;
    `missed`: not named and found to be a mule's. The rest is not known yet.
    """

    looked: int = 0
    named: int = 0
    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def known(self) -> int:
        """Named accounts of which it is known."""
        return self.right + self.wrong


class PackageView(msgspec.Struct, frozen=True, kw_only=True):
    """A package with its figures, and why it may not go live yet; empty: it may."""

    package: Package
    figures: Figures
    lacking: tuple[str, ...]


class PackageList(msgspec.Struct, frozen=True, kw_only=True):
    """Packages, the last changed first, and the cursor of the next page."""

    packages: list[PackageView]
    cursor: str | None = None


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """An account a typology was tried on. `mule`: what persons found since, None: nothing yet.

    `told`: an indicator was proposed for it. Amounts in minor units of the account's currency.
    """

    package_id: str
    institution: str
    account: str
    currency: str
    case_id: str
    named: bool
    payers: int
    received_minor: int
    passed_on_minor: int
    first_at: datetime
    seen_at: datetime
    told: bool = False
    mule: bool | None = None
    known_at: datetime | None = None


class ObservationList(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts a package would have named, the newest first, at most LISTED_MAX."""

    observations: list[Observation]


class PackageMark(msgspec.Struct, frozen=True, kw_only=True):
    """A package in the journal."""

    kind: str
    version: int
    author: str
    standing: str
    shared: bool
    digest: str
    voices: tuple[str, ...] = ()
    figures: Figures | None = None

    @classmethod
    def of(
        cls, one: Package, *, voices: tuple[str, ...] = (), figures: Figures | None = None
    ) -> PackageMark:
        """The mark of this one."""
        return cls(
            kind=one.bundle.kind.value,
            version=one.bundle.version,
            author=one.bundle.author,
            standing=one.standing.value,
            shared=one.shared,
            digest=one.digest,
            voices=voices,
            figures=figures,
        )
