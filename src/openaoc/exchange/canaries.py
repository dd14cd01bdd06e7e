"""Exchange: canaries: indicators given to one partner alone, that show who passes on what it has.

They look like real ones, in every field and in how they end, and hurt nobody: wallets whose keys
nobody has, and sites under a name nobody has registered. No telephone number or account: each of
those could be somebody's.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, NamedTuple

import msgspec
import sqlalchemy as sa
import structlog
from msgspec import Meta

from openaoc.exchange import canary_store as store
from openaoc.exchange.agreeing import Agreements
from openaoc.exchange.agreement import Agreement, Minimisation
from openaoc.exchange.model import NoAgreement, PartnerCode
from openaoc.exchange.objects import ObjectKind, SharedObject, keyed_object_id
from openaoc.indicators.ageing import valid_until
from openaoc.indicators.model import Status
from openaoc.indicators.weighing import weighing
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import Conflict
from openaoc.kernel.identifiers import base58, tron
from openaoc.kernel.identifiers.kinds import Kind
from openaoc.kernel.ids import CASE_BYTES, case_id_of
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.parties.permissions import Permission, require
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import Transaction

PER_PARTNER_MAX: Final = 1_000
LISTED_MAX: Final = 1_000
KEY_LABEL: Final = "openaoc exchange canaries v1"
LABELS_MAX: Final = 20
_LOG = structlog.get_logger(__name__)
_BRANDS: Final = ("secure", "verify", "account", "support", "bonus", "invest", "wallet", "refund")
_TAILS: Final = ("center", "online", "service", "update", "th", "asia", "portal", "help")
_ENDINGS: Final = ("top", "xyz", "shop", "vip", "cc", "online")
_LETTERS: Final = "bcdfghjkmnpqrstvwxz2345679"
_DRAWN_TIMES: Final = 12
"""Three times four bytes: of what is drawn for a canary they make its times."""
_HEARD_S: Final = 5
"""A first report is taken within so many seconds."""
_LOOKED_S: Final = 2 * 86_400
"""And a person has looked, or others have reported it too, within so many."""


class _Shape(NamedTuple):
    """What a real indicator of so many reports looks like when partners first hear of it."""

    status: Status
    confidence: int
    reports: int


_SHAPES: Final = (
    _Shape(Status.PROPOSED, 50, 1),
    _Shape(Status.CONFIRMED, 90, 1),
    _Shape(Status.PROPOSED, 60, 2),
    _Shape(Status.CONFIRMED, 90, 2),
    _Shape(Status.PROPOSED, 68, 3),
    _Shape(Status.CONFIRMED, 90, 3),
)
"""One institution's word and citizens' beside it, as the shipped rules weigh them."""


class NewCanaries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many canaries to give to a partner."""

    partner: PartnerCode
    count: Annotated[int, Meta(ge=1, le=100)] = 1


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """One canary, and where it was first seen again."""

    object_id: str
    partner: str
    number: int
    identifier_kind: str
    value: str
    planted_by: str
    planted_at: datetime
    seen_at: datetime | None = None
    seen_where: str | None = None


class CanaryList(msgspec.Struct, frozen=True, kw_only=True):
    """Canaries of a partner, in order; or of all those that were seen again, the last first."""

    canaries: list[Canary]


class CanarySeen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that was seen, and where."""

    value: Annotated[str, Meta(min_length=1, max_length=2_000)]
    where: Annotated[str, Meta(max_length=1_000)] = ""


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """Whose canary a value is; no partner for one that is none."""

    canary: bool
    partner: str | None = None
    planted_at: datetime | None = None
    seen_at: datetime | None = None


class CanaryMark(msgspec.Struct, frozen=True, kw_only=True):
    """Canaries in the journal: how many, not which."""

    partner: str
    canaries: int


class Canaries:
    """The verbs of canaries. One instance per centre."""

    name: Final = "canaries"

    def __init__(self, *, agreements: Agreements, keys: Keyring) -> None:
        self._agreements = agreements
        self._keys = keys

    def plant(self, tx: Transaction, new: NewCanaries) -> CanaryList:
        """Make canaries for a partner; they leave with its next objects.

        Raises NoAgreement when the agreement would not let one leave as it is, Conflict.
        """
        require(tx.actor, Permission.EXCHANGE_CANARY)
        partner = self._agreements.partners.found(tx, new.partner, lock=True).code
        agreement = self._agreements.in_force(tx, partner)
        kinds = usable_kinds(agreement)
        if agreement is None or not kinds:
            raise NoAgreement("no wallet or site leaves to this partner as it is")
        last = store.last_number(tx.connection, partner)
        if last + new.count > PER_PARTNER_MAX:
            raise Conflict(f"at most {PER_PARTNER_MAX} canaries a partner")
        key = self._keys.derived(KEY_LABEL)
        made = []
        for number in range(last + 1, last + new.count + 1):
            kind = kinds[number % len(kinds)]
            name = f"{partner}\0{number}"
            made.append(
                Canary(
                    object_id=keyed_object_id(ObjectKind.INDICATOR, key=key, name=name),
                    partner=partner,
                    number=number,
                    identifier_kind=kind,
                    value=canary_value(kind, key=key, name=name),
                    planted_by=tx.actor.id,
                    planted_at=tx.now,
                )
            )
        store.add(tx.connection, [msgspec.structs.asdict(one) for one in made])
        mark = CanaryMark(partner=partner, canaries=last + new.count)
        tx.journal(action="exchange.canary.planted", subject=partner, after=mark)
        return CanaryList(canaries=made)

    def list(self, tx: Transaction, partner: str | None = None) -> CanaryList:
        """A partner's canaries; without a partner those that were seen again."""
        require(tx.actor, Permission.EXCHANGE_CANARY)
        if partner is None:
            rows = store.seen_again(tx.connection, limit=LISTED_MAX)
            return CanaryList(canaries=[_canary(row) for row in rows])
        code = self._agreements.partners.found(tx, partner).code
        return CanaryList(canaries=[*self._of(tx, code)])

    def seen(self, tx: Transaction, said: CanarySeen) -> Leak:
        """Whose canary a value is that was seen somewhere else; the journal keeps that it was."""
        require(tx.actor, Permission.EXCHANGE_CANARY)
        found = self.whose(tx, said.value)
        if found is None:
            return Leak(canary=False)
        store.seen(tx.connection, found.object_id, at=tx.now, where=said.where)
        tx.journal(
            action="exchange.canary.seen",
            subject=found.partner,
            after=CanaryMark(partner=found.partner, canaries=1),
            reason=said.where,
        )
        return Leak(
            canary=True,
            partner=found.partner,
            planted_at=found.planted_at,
            seen_at=found.seen_at or tx.now,
        )

    def whose(self, tx: Transaction, value: str) -> Canary | None:
        """The canary of that value, for who receives indicators: it came back from somebody."""
        text = value.strip()
        rows = store.by_value(tx.connection, [text, text.lower(), *_hosts(text)])
        return _canary(rows) if rows is not None else None

    def came_back(self, tx: Transaction, value: str, *, sender: str) -> bool:
        """Whether a partner's word is about a canary: it is our invention, and is not kept.

        From another partner than it was given to, it was passed on: that is noted.
        """
        found = self.whose(tx, value)
        if found is None:
            return False
        if found.partner != sender:
            self.seen(tx, CanarySeen(value=value, where=f"sent by {sender}"))
            _LOG.warning("exchange.canary.seen", given_to=found.partner, sent_by=sender)
        return True

    @staticmethod
    def planted(tx: Transaction, ids: Sequence[str]) -> set[str]:
        """Those of the objects that are canaries, for who receives indicators."""
        return store.among(tx.connection, ids)

    def objects(self, tx: Transaction, partner: str) -> Sequence[SharedObject]:
        """The partner's canaries as any publisher would give them."""
        agreement = self._agreements.in_force(tx, partner)
        if agreement is None:
            return []
        key = self._keys.derived(KEY_LABEL)
        return [_object(one, agreement, key=key, now=tx.now) for one in self._of(tx, partner)]

    @staticmethod
    def _of(tx: Transaction, partner: str) -> Sequence[Canary]:
        return [_canary(row) for row in store.of(tx.connection, partner, limit=PER_PARTNER_MAX)]


def usable_kinds(agreement: Agreement | None) -> tuple[str, ...]:
    """The kinds of identifiers in which a canary reaches the partner as it is."""
    grant = None if agreement is None else agreement.terms.grants.get(ObjectKind.INDICATOR)
    if grant is None or grant.fields.get("value") is not Minimisation.AS_IS:
        return ()
    return tuple(kind for kind in ("tron", "domain") if kind in grant.identifier_kinds)


def canary_value(kind: str, *, key: bytes, name: str) -> str:
    """The same value for the same name each time; without the key it looks like any other."""
    digest = hmac.digest(key, f"{kind}\0{name}".encode(), hashlib.sha256)
    if kind == "tron":
        return base58.encode(bytes([tron.VERSION]) + digest[:20])
    assert kind == "domain", "the two kinds that hurt nobody"
    word = "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[3:11])
    brand, tail, ending = (
        words[byte % len(words)]
        for words, byte in zip((_BRANDS, _TAILS, _ENDINGS), digest, strict=False)
    )
    return f"{brand}-{tail}-{word}.{ending}"


def _hosts(text: str) -> list[str]:
    """The host of a link or a longer name, and the names it lies under."""
    bare = text.lower().partition("://")[2] or text.lower()
    labels = bare.partition("/")[0].partition(":")[0].split(".")[:LABELS_MAX]
    return [".".join(labels[at:]) for at in range(len(labels) - 1)]


def _canary(row: sa.Row[*tuple[object, ...]]) -> Canary:
    return Canary(
        object_id=row.object_id,
        partner=row.partner,
        number=row.number,
        identifier_kind=row.identifier_kind,
        value=row.value,
        planted_by=row.planted_by,
        planted_at=row.planted_at,
        seen_at=row.seen_at,
        seen_where=row.seen_where,
    )


def _object(one: Canary, agreement: Agreement, *, key: bytes, now: datetime) -> SharedObject:
    """As a real indicator: its fields, its case, its times, and its end."""
    purposes = agreement.terms.purposes
    usual = Offence.INVESTMENT if Offence.INVESTMENT in purposes else purposes[0]
    green = Marking.GREEN.within(agreement.terms.highest_marking)
    drawn = hmac.digest(key, f"shape\0{one.object_id}".encode(), hashlib.sha256)
    shape = _SHAPES[drawn[_DRAWN_TIMES] % len(_SHAPES)]
    first, last, created = _times(one.planted_at, shape, drawn=drawn)
    rules = weighing()
    sure = shape.status is Status.CONFIRMED
    until = valid_until(
        Kind(one.identifier_kind),
        one.planted_at if sure else last,
        status=shape.status,
        rules=rules,
    )
    return SharedObject(
        id=one.object_id,
        kind=ObjectKind.INDICATOR,
        created=created,
        modified=one.planted_at,
        marking=Marking.GREEN if green else Marking.CLEAR,
        offences=(usual,),
        fields={
            "identifier_kind": one.identifier_kind,
            "value": one.value,
            "status": shape.status.value,
            "confidence": shape.confidence,
            "scam_types": (usual.value,),
            "valid_from": format_time(first),
            "valid_until": format_time(until),
            "first_seen": format_time(first),
            "last_seen": format_time(last),
            "reports": shape.reports,
        },
        case=case_id_of(drawn[-CASE_BYTES:]),
        revoked=until <= now,
    )


def _times(
    planted_at: datetime, shape: _Shape, *, drawn: bytes
) -> tuple[datetime, datetime, datetime]:
    """First seen, last seen and created, as they come about for a real one."""
    heard, looked, between = (
        int.from_bytes(drawn[at : at + 4], "big") / 2**32 for at in range(0, _DRAWN_TIMES, 4)
    )
    taken = timedelta(seconds=round(heard * _HEARD_S, 6))
    whole = timedelta(seconds=round(looked * _LOOKED_S, 6))
    if shape.reports == 1 and shape.status is Status.PROPOSED:
        return planted_at - taken, planted_at - taken, planted_at
    first = planted_at - taken - whole
    if shape.reports == 1:
        return first, first, first + taken
    if shape.status is Status.PROPOSED:
        return first, planted_at - taken, first + taken
    return first, first + between * whole, first + taken
