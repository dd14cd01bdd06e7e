"""Who takes part: institutions with their keys, users with theirs, and what is live.

Plain facts; nothing here reads a database or decides who may do what.
"""

from __future__ import annotations

import enum
import re
from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.kernel.actor import Role
from openaoc.kernel.errors import BadInput, Conflict, NotFound, Refused
from openaoc.kernel.identifiers.bank_account import normalise_bank
from openaoc.kernel.ids import InstitutionCode, KeyId, UserId

NAME_CHARACTERS_MAX: Final = 200
ENDPOINT_CHARACTERS_MAX: Final = 500
KEYS_PER_USER_MAX: Final = 10
PUBLIC_KEYS_PER_INSTITUTION_MAX: Final = 10
ROLES_PER_USER_MAX: Final = 4
INSTITUTIONS_MAX: Final = 10_000
POOLED_PER_INSTITUTION_MAX: Final = 1_000
POOLED_MAX: Final = 5_000
"""Pooled accounts of all institutions: each is looked for in the ledger."""
PROPOSAL_LIFE: Final = timedelta(hours=24)
"""A switch that nobody approves in this time was not urgent; it has to be proposed anew."""
KEY_OVERLAP: Final = timedelta(hours=24)
"""How long the old key still works after a rotation, so that no system is cut off."""
KEY_OVERLAP_MAX: Final = timedelta(days=30)
_JURISDICTION: Final = re.compile(r"[A-Z]{2}")


class InstitutionKind(enum.StrEnum):
    """What kind of business answers our orders."""

    BANK = "bank"
    WALLET = "wallet"
    EXCHANGE = "exchange"
    ATM_NETWORK = "atm_network"
    TELCO = "telco"
    PLATFORM = "platform"
    SWITCH = "switch"
    """A national payment switch: its machine tells the transfers of every institution."""


class MessageFormat(enum.StrEnum):
    """In which form an institution's system takes orders."""

    JSON = "json"
    ISO20022 = "iso20022"


class Institution(msgspec.Struct, frozen=True, kw_only=True):
    """A bank, wallet, exchange, network, telco or platform, by its code.

    `live`: its own switch; orders go out only when its jurisdiction's switch is live too.
    `endpoint` is None for one without a system: its liaison works over the API.
    """

    code: InstitutionCode
    name: str
    kind: InstitutionKind
    jurisdiction: str
    endpoint: str | None
    live: bool
    added_at: datetime
    message_format: MessageFormat = MessageFormat.JSON


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key an institution signs its answers with: `jwk` is its public JSON Web Key."""

    kid: str
    institution: InstitutionCode
    jwk: str
    added_at: datetime
    retired_at: datetime | None = None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person or a system.

    Machines and liaisons belong to an institution, a partner's analysts and systems to it.
    """

    id: UserId
    name: str
    roles: tuple[Role, ...]
    institution: InstitutionCode | None
    added_at: datetime
    disabled_at: datetime | None = None
    partner: str | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a user as it is kept: without the secret."""

    id: KeyId
    user: UserId
    added_at: datetime
    ends_at: datetime | None = None
    revoked_at: datetime | None = None


class SwitchState(enum.StrEnum):
    """Shadow: computed and shown, not sent. Live: sent."""

    SHADOW = "shadow"
    PROPOSED = "proposed"
    LIVE = "live"


TRANSITIONS: Final[dict[SwitchState, frozenset[SwitchState]]] = {
    SwitchState.SHADOW: frozenset({SwitchState.PROPOSED}),
    SwitchState.PROPOSED: frozenset({SwitchState.LIVE, SwitchState.SHADOW, SwitchState.PROPOSED}),
    SwitchState.LIVE: frozenset({SwitchState.SHADOW}),
}
"""A proposal may be renewed; live is reached from a proposal only."""


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """The live switch of a scope, `jurisdiction:TH` or `institution:CODE`."""

    scope: str
    state: SwitchState
    proposed_by: str | None = None
    proposed_at: datetime | None = None
    approved_by: str | None = None
    changed_at: datetime | None = None


class PooledKind(enum.StrEnum):
    """Whose money lies together there."""

    ACQUIRER = "acquirer"
    """A merchant acquirer's: card and code payments of many shops."""
    OMNIBUS = "omnibus"
    """A wallet's or exchange's: its customers' balances."""
    OWN = "own"
    """The institution's own."""


class PooledState(enum.StrEnum):
    """Proposed: shown. Confirmed by a person: traces stop there."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"


class PooledAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One pooled account. `counterparties`: how many were seen when the centre proposed it."""

    institution: InstitutionCode
    account: str
    kind: PooledKind
    state: PooledState
    reason: str
    proposed_by: str
    proposed_at: datetime
    counterparties: int | None = None
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None


class Crowded(msgspec.Struct, frozen=True, kw_only=True):
    """An account that pays or is paid by so many that it may be a pooled one."""

    institution: str
    account: str
    counterparties: int


class UnknownInstitution(NotFound):
    """There is no such institution."""


class UnknownUser(NotFound):
    """There is no such user."""


class UnknownKey(NotFound):
    """There is no such key."""


class FourEyes(Refused):
    """A second person has to do this."""


class NoProposal(Conflict):
    """There is no open proposal to approve."""


class UnknownPooled(NotFound):
    """This account is not listed as a pooled one."""


class TooManyPooled(Conflict):
    """More pooled accounts than are kept."""


def check_name(text: str, *, where: str) -> str:
    """The name without space around it. Raises BadInput when empty, long or with controls."""
    value = text.strip()
    if not value or len(value) > NAME_CHARACTERS_MAX or not value.isprintable():
        raise BadInput(f"a name of 1 to {NAME_CHARACTERS_MAX} printable characters", where=where)
    return value


def check_jurisdiction(text: str, *, where: str = "jurisdiction") -> str:
    """An ISO 3166 alpha-2 code. Raises BadInput for another form."""
    if not _JURISDICTION.fullmatch(text):
        raise BadInput(f"{text[:16]!r} is not two capital letters", where=where)
    return text


def check_endpoint(text: str | None) -> str | None:
    """An http(s) address without user, query or fragment, no slash at its end; None stays None.

    Raises BadInput. Plain http serves loopback and the simulator; a signature protects the
    content in any case.
    """
    if text is None:
        return None
    value = text.rstrip("/")
    form = re.fullmatch(
        r"https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(/[\w.~/-]*)?", value
    )
    if form is None or len(value) > ENDPOINT_CHARACTERS_MAX:
        raise BadInput("not an http or https address", where="endpoint")
    return value


def parse_scope(scope: str) -> str:
    """The scope with its code normalised. Raises BadInput for another form."""
    kind, separator, code = scope.partition(":")
    if separator and kind == "jurisdiction":
        return f"jurisdiction:{check_jurisdiction(code, where='scope')}"
    if separator and kind == "institution":
        return f"institution:{normalise_bank(code, where='scope')}"
    raise BadInput("a scope is jurisdiction:XX or institution:CODE", where="scope")
