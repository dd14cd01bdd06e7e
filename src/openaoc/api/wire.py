"""API: wire forms that belong to no stage: requests and answers of administration and status."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from openaoc.channels.model import LineStatus
from openaoc.channels.signing import KID_CHARACTERS_MAX, PublicJwk
from openaoc.continuity.standby_model import FollowState
from openaoc.holds.model import OnwardTransfer
from openaoc.kernel.actor import Role
from openaoc.kernel.limits import (
    ACCOUNT_CHARACTERS_MAX,
    BANK_CHARACTERS_MAX,
    ONWARD_PER_ANSWER_MAX,
)
from openaoc.parties.model import (
    ENDPOINT_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    Institution,
    InstitutionKind,
    MessageFormat,
    PooledAccount,
    PooledKind,
    Switch,
    User,
)
from openaoc.tracing.crowds import COUNTERPARTIES_MIN

REASON_CHARACTERS_MAX: Final = 1_000
PAGE_DEFAULT: Final = 50
CODE_CHARACTERS_MAX: Final = 32

Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
Code = Annotated[str, Meta(min_length=1, max_length=BANK_CHARACTERS_MAX)]
Reason = Annotated[str, Meta(min_length=1, max_length=REASON_CHARACTERS_MAX)]
Endpoint = Annotated[str, Meta(min_length=8, max_length=ENDPOINT_CHARACTERS_MAX)]


class NewInstitution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An institution that takes part. Without an endpoint its liaison works over the API."""

    code: Code
    name: Name
    kind: InstitutionKind = InstitutionKind.BANK
    jurisdiction: Annotated[str, Meta(pattern="^[A-Z]{2}$")] | None = None
    endpoint: Endpoint | None = None
    message_format: MessageFormat = MessageFormat.JSON


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an institution's system listens; null: the liaison's desk alone."""

    endpoint: Endpoint | None
    message_format: MessageFormat | None = None


class InstitutionList(msgspec.Struct, frozen=True, kw_only=True):
    """Every institution."""

    institutions: list[Institution]


class NewUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who may sign in. Liaisons belong to an institution, and so do its machines.

    A machine without an institution is a switch's feed: it may report transfers of every bank.
    """

    name: Name
    role: Role
    institution: Code | None = None


class AddedUser(msgspec.Struct, frozen=True, kw_only=True):
    """The user and, this once, their key; null when the request is repeated."""

    user: User
    api_key: str | None


class UserList(msgspec.Struct, frozen=True, kw_only=True):
    """Users, and their roles; never their keys."""

    users: list[User]
    cursor: str | None = None


class FreshKey(msgspec.Struct, frozen=True, kw_only=True):
    """A user's new key, shown this once; the one before works for a day."""

    api_key: str


class NewPublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 public key as JSON Web Key (RFC 8037); members not named here are ignored.

    `d` is named only to be refused: a private key stays with its owner.
    """

    kid: Annotated[str, Meta(min_length=1, max_length=KID_CHARACTERS_MAX)]
    x: Annotated[str, Meta(min_length=43, max_length=43)]
    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"
    d: str | None = None


class RegisteredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that signs for the institution."""

    institution: str
    key: PublicJwk


class LiveScope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to switch: `jurisdiction:TH` or `institution:CODE`."""

    scope: Annotated[str, Meta(min_length=4, max_length=64)]


class ShadowScope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to take back to shadow, and why."""

    scope: Annotated[str, Meta(min_length=4, max_length=64)]
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] = ""


class SwitchList(msgspec.Struct, frozen=True, kw_only=True):
    """Every switch anybody ever touched; what is not named is in shadow."""

    switches: list[Switch]


class Why(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; kept in the journal: write no name into it."""

    reason: Reason


class ConversionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose measure takes the hold's place (court or authority, number, date), and why."""

    authority: Reason
    reason: Reason


class ExtensionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose measure makes the hold longer, until when, and why."""

    until: Annotated[datetime, Meta(tz=True)]
    authority: Reason
    reason: Reason


class ComplaintRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the victim complained to the police, and the police's reference for it."""

    complained_at: Annotated[datetime, Meta(tz=True)]
    reference: Reason


class NewPooledAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account on which many people's money lies together."""

    account: Annotated[str, Meta(min_length=1, max_length=2 * ACCOUNT_CHARACTERS_MAX)]
    kind: PooledKind
    reason: Reason


class PooledSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many counterparties make an account worth a person's look."""

    counterparties_min: Annotated[int, Meta(ge=100, le=10_000_000)] = COUNTERPARTIES_MIN


class PooledList(msgspec.Struct, frozen=True, kw_only=True):
    """Pooled accounts: confirmed, traces stop there; proposed, a person has to look."""

    accounts: list[PooledAccount]


class ControlCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code that the paying account's institution showed to its holder."""

    code: Annotated[str, Meta(min_length=1, max_length=CODE_CHARACTERS_MAX)]


class ToldPayments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payments that the payer's institution confirms, where it tells no feed."""

    transfers: Annotated[list[OnwardTransfer], Meta(max_length=ONWARD_PER_ANSWER_MAX)] = []


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the case's orders go out by themselves now that its payment is confirmed."""

    case: str
    standing: Literal["automatic", "needs_person"]


class LineList(msgspec.Struct, frozen=True, kw_only=True):
    """Lines to institutions that fail or have messages waiting."""

    lines: list[LineStatus]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the centre serves, and what it waits for.

    `delivery` is `reconciling` after a restore until a person resumes; `standby` says how it
    stands to its standby: while that is `waiting`, nothing is acknowledged.
    `clock_off_s`: seconds by which the machine's clock was set away and is not believed.
    """

    status: Literal["ok"]
    epoch: int = 1
    delivery: Literal["on", "reconciling"] = "on"
    standby: FollowState = FollowState.NONE
    clock_off_s: int = 0
