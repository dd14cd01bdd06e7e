"""Exchange: partners, their keys and agreements in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.exchange.agreement import Agreement, AgreementState, Terms, Voice
from openaoc.exchange.model import Contact, Partner, PartnerKey, PartnerKind
from openaoc.storage.tables import metadata, moment

partners: Final = sa.Table(
    "exchange_partners",
    metadata,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("jurisdiction", sa.Text, nullable=False),
    sa.Column("contact", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text),
    sa.Column("added_at", moment, nullable=False),
)
partner_keys: Final = sa.Table(
    "exchange_partner_keys",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("jwk", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
    sa.Column("added_at", moment, nullable=False),
    sa.Column("verified_by", sa.Text),
    sa.Column("verified_with", sa.Text),
    sa.Column("verified_at", moment),
    sa.Column("retired_at", moment),
)
agreements: Final = sa.Table(
    "exchange_agreements",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("terms", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("drafted_by", sa.Text, nullable=False),
    sa.Column("drafted_at", moment, nullable=False),
    sa.Column("changed_at", moment, nullable=False),
    sa.Column("ends_at", moment, nullable=False),
    sa.Column("voices", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

_TERMS: Final = msgspec.json.Decoder(Terms)
_VOICES: Final = msgspec.json.Decoder(tuple[Voice, ...])
IN_PLACE: Final = (AgreementState.ACTIVE.value, AgreementState.SUSPENDED.value)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode("utf-8")


def _partner(row: sa.Row[*tuple[object, ...]]) -> Partner:
    return Partner(
        code=row.code,
        name=row.name,
        kind=PartnerKind(row.kind),
        jurisdiction=row.jurisdiction,
        contact=msgspec.json.decode(row.contact, type=Contact),
        endpoint=row.endpoint,
        added_at=row.added_at,
    )


def _key(row: sa.Row[*tuple[object, ...]]) -> PartnerKey:
    return PartnerKey(
        partner=row.partner,
        kid=row.kid,
        jwk=row.jwk,
        fingerprint=row.fingerprint,
        added_by=row.added_by,
        added_at=row.added_at,
        verified_by=row.verified_by,
        verified_with=row.verified_with,
        verified_at=row.verified_at,
        retired_at=row.retired_at,
    )


def _agreement(row: sa.Row[*tuple[object, ...]]) -> Agreement:
    return Agreement(
        id=row.id,
        partner=row.partner,
        version=row.version,
        state=AgreementState(row.state),
        terms=_TERMS.decode(row.terms),
        digest=row.digest,
        drafted_by=row.drafted_by,
        drafted_at=row.drafted_at,
        changed_at=row.changed_at,
        voices=_VOICES.decode(row.voices),
        reason=row.reason,
    )


def insert_partner(connection: Connection, one: Partner) -> bool:
    """False when the code is taken."""
    made = connection.execute(
        insert(partners)
        .values(
            code=one.code,
            name=one.name,
            kind=one.kind.value,
            jurisdiction=one.jurisdiction,
            contact=_text(one.contact),
            endpoint=one.endpoint,
            added_at=one.added_at,
        )
        .on_conflict_do_nothing()
        .returning(partners.c.code)
    )
    return made.first() is not None


def update_partner(connection: Connection, one: Partner) -> None:
    """How it is reached."""
    connection.execute(
        sa.update(partners)
        .where(partners.c.code == one.code)
        .values(contact=_text(one.contact), endpoint=one.endpoint)
    )


def find_partner(connection: Connection, code: str, *, lock: bool = False) -> Partner | None:
    """One partner; with `lock` its row is held to the end."""
    query = sa.select(partners).where(partners.c.code == code)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _partner(row)


def lock_partners(connection: Connection, codes: Collection[str] | None = None) -> None:
    """Hold these partners' rows, or all, to the end; by code, whoever asks, so nobody waits round.

    Whoever writes into what partners have holds them first.
    """
    query = sa.select(partners.c.code).order_by(partners.c.code).with_for_update()
    connection.execute(query if codes is None else query.where(partners.c.code.in_(codes)))


def list_partners(connection: Connection, *, limit: int) -> list[Partner]:
    """By code."""
    query = sa.select(partners).order_by(partners.c.code).limit(limit)
    return [_partner(row) for row in connection.execute(query)]


def insert_key(connection: Connection, key: PartnerKey) -> bool:
    """False when the partner has, or had, a key of that id."""
    made = connection.execute(
        insert(partner_keys)
        .values(**msgspec.structs.asdict(key))
        .on_conflict_do_nothing()
        .returning(partner_keys.c.kid)
    )
    return made.first() is not None


def list_keys(connection: Connection, partner: str) -> list[PartnerKey]:
    """All keys the partner ever had, oldest first."""
    query = sa.select(partner_keys).where(partner_keys.c.partner == partner)
    rows = connection.execute(query.order_by(partner_keys.c.added_at, partner_keys.c.kid))
    return [_key(row) for row in rows]


def save_key(connection: Connection, key: PartnerKey) -> None:
    """Who verified it, and when it was retired."""
    connection.execute(
        sa.update(partner_keys)
        .where(partner_keys.c.partner == key.partner, partner_keys.c.kid == key.kid)
        .values(
            verified_by=key.verified_by,
            verified_with=key.verified_with,
            verified_at=key.verified_at,
            retired_at=key.retired_at,
        )
    )


def insert_agreement(connection: Connection, one: Agreement) -> None:
    """A new version."""
    connection.execute(
        sa.insert(agreements).values(
            id=one.id,
            partner=one.partner,
            version=one.version,
            state=one.state.value,
            terms=_text(one.terms),
            digest=one.digest,
            drafted_by=one.drafted_by,
            drafted_at=one.drafted_at,
            changed_at=one.changed_at,
            ends_at=one.terms.ends_at,
            voices=_text(one.voices),
            reason=one.reason,
        )
    )


def save_agreement(connection: Connection, one: Agreement) -> None:
    """Its state, voices and reason; terms never change."""
    connection.execute(
        sa.update(agreements)
        .where(agreements.c.id == one.id)
        .values(
            state=one.state.value,
            changed_at=one.changed_at,
            voices=_text(one.voices),
            reason=one.reason,
        )
    )


def find_agreement(
    connection: Connection, agreement_id: str, *, lock: bool = False
) -> Agreement | None:
    """One version; with `lock` its row is held to the end."""
    query = sa.select(agreements).where(agreements.c.id == agreement_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _agreement(row)


def in_place(connection: Connection, partner: str) -> Agreement | None:
    """The partner's active or suspended agreement."""
    query = sa.select(agreements).where(
        agreements.c.partner == partner, agreements.c.state.in_(IN_PLACE)
    )
    row = connection.execute(query).first()
    return None if row is None else _agreement(row)


def approved(connection: Connection, partner: str) -> Agreement | None:
    """The newest of the partner's agreements that are approved and not active yet."""
    query = (
        sa.select(agreements)
        .where(agreements.c.partner == partner, agreements.c.state == AgreementState.APPROVED.value)
        .order_by(agreements.c.version.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _agreement(row)


def last_version(connection: Connection, partner: str) -> int:
    """The highest version drafted so far, 0 for none."""
    query = sa.select(sa.func.coalesce(sa.func.max(agreements.c.version), 0)).where(
        agreements.c.partner == partner
    )
    return int(connection.execute(query).scalar_one())


def list_agreements(connection: Connection, *, partner: str | None, limit: int) -> list[Agreement]:
    """By partner, the newest version first."""
    query = sa.select(agreements).order_by(agreements.c.partner, agreements.c.version.desc())
    if partner is not None:
        query = query.where(agreements.c.partner == partner)
    return [_agreement(row) for row in connection.execute(query.limit(limit))]


def active(connection: Connection) -> Sequence[Agreement]:
    """Every active agreement, by partner."""
    query = (
        sa.select(agreements)
        .where(agreements.c.state == AgreementState.ACTIVE.value)
        .order_by(agreements.c.partner)
    )
    return [_agreement(row) for row in connection.execute(query)]


def over(connection: Connection, *, now: datetime, limit: int) -> Sequence[Agreement]:
    """Agreements whose time is over and that have not ended, locked."""
    query = (
        sa.select(agreements)
        .where(agreements.c.ends_at <= now, agreements.c.state != AgreementState.ENDED.value)
        .order_by(agreements.c.ends_at, agreements.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_agreement(row) for row in connection.execute(query)]
