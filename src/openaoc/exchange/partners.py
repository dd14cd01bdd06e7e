"""Exchange: the verbs of partners: add, reach, and verify the keys they sign with.

A key counts once a second person compared its fingerprint with the partner by another way.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from openaoc.channels.keys import is_of_exercise
from openaoc.exchange import store
from openaoc.exchange.model import (
    KEYS_PER_PARTNER_MAX,
    PARTNERS_MAX,
    KeyMark,
    KeyVerification,
    NewPartner,
    NoSuchPartner,
    Partner,
    PartnerChange,
    PartnerKey,
    PartnerList,
    PartnerMark,
    PartnerView,
    SecondPerson,
    WrongFingerprint,
    check_partner_code,
)
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.parties.model import User, check_endpoint, check_jurisdiction, check_name
from openaoc.parties.permissions import Permission, permits, require
from openaoc.parties.public_keys import Jwk, read_jwk, thumbprint
from openaoc.parties.service import Parties
from openaoc.storage.unit_of_work import Transaction

KeysChanged = Callable[[Transaction, str], None]


class Partners:
    """The verbs of partners and keys. One instance per centre."""

    def __init__(
        self, *, parties: Parties, home: str, keys_changed: KeysChanged, exercise: bool = False
    ) -> None:
        """`keys_changed(tx, partner)` is told when a key was verified or retired.

        `exercise`: whether this centre is in one; it knows no real centre's key, and else the other
        way round.
        """
        self._exercise = exercise
        self._parties = parties
        self._keys_changed = keys_changed
        self.home = home

    def add(self, tx: Transaction, new: NewPartner) -> Partner:
        """A new partner, with no agreement: nothing leaves. Raises Conflict, BadInput."""
        require(tx.actor, Permission.PARTNER_MANAGE)
        new.contact.check(where="contact")
        one = Partner(
            code=check_partner_code(new.code, where="code"),
            name=check_name(new.name, where="name"),
            kind=new.kind,
            jurisdiction=check_jurisdiction(new.jurisdiction),
            contact=new.contact,
            endpoint=check_endpoint(new.endpoint),
            added_at=tx.now,
        )
        tx.lock("exchange.partners")
        if len(store.list_partners(tx.connection, limit=PARTNERS_MAX)) >= PARTNERS_MAX:
            raise Conflict(f"at most {PARTNERS_MAX} partners")
        if not store.insert_partner(tx.connection, one):
            raise Conflict(f"there is a partner {one.code}", where="code")
        tx.journal(action="exchange.partner.added", subject=one.code, after=PartnerMark.of(one))
        return one

    def change(self, tx: Transaction, code: str, change: PartnerChange) -> Partner:
        """Where it is reached. Raises NoSuchPartner, BadInput."""
        require(tx.actor, Permission.PARTNER_MANAGE)
        before = self.found(tx, code, lock=True)
        if change.contact is not None:
            change.contact.check(where="contact")
        after = msgspec.structs.replace(
            before,
            contact=change.contact or before.contact,
            endpoint=check_endpoint(change.endpoint) or before.endpoint,
        )
        store.update_partner(tx.connection, after)
        tx.journal(
            action="exchange.partner.changed",
            subject=before.code,
            before=PartnerMark.of(before),
            after=PartnerMark.of(after),
        )
        return after

    def add_user(self, tx: Transaction, code: str, *, name: str) -> tuple[User, str]:
        """A user of the partner, a person or a system, and the text of the first API key.

        Raises NoSuchPartner, NotPermitted.
        """
        partner = self.found(tx, code)
        return self._parties.add_user(tx, name=name, role=Role.PARTNER, partner=partner.code)

    def found(self, tx: Transaction, code: str, *, lock: bool = False) -> Partner:
        """One partner, for the stage itself. Raises NoSuchPartner."""
        try:
            one = store.find_partner(tx.connection, check_partner_code(code), lock=lock)
        except BadInput:
            one = None
        if one is None:
            raise NoSuchPartner
        return one

    def all_of(self, tx: Transaction) -> Sequence[Partner]:
        """Every partner, for the stage itself."""
        return store.list_partners(tx.connection, limit=PARTNERS_MAX)

    def list(self, tx: Transaction) -> PartnerList:
        """Every partner; a partner's user sees its own alone."""
        self._require_read(tx)
        return PartnerList(partners=store.list_partners(tx.connection, limit=PARTNERS_MAX))

    def show(self, tx: Transaction, code: str) -> PartnerView:
        """One with its keys. Raises NoSuchPartner, for another's partner too."""
        self._require_read(tx)
        one = self.found(tx, code)
        agreement = store.in_place(tx.connection, one.code)
        in_force = agreement is not None and agreement.in_force(tx.now)
        return PartnerView(
            partner=one,
            keys=[_as_seen(tx.actor, key) for key in store.list_keys(tx.connection, one.code)],
            agreement=agreement.id if agreement is not None and in_force else None,
        )

    @staticmethod
    def _require_read(tx: Transaction) -> None:
        if not permits(tx.actor, Permission.EXCHANGE_RECEIVE):
            require(tx.actor, Permission.EXCHANGE_READ)

    # Keys

    def add_key(self, tx: Transaction, code: str, *, jwk: str) -> PartnerKey:
        """A key the partner will sign with; it counts once it is verified.

        Raises NoSuchPartner, Conflict for a known key id or too many keys, BadInput.
        """
        require(tx.actor, Permission.PARTNER_MANAGE)
        partner = self.found(tx, code, lock=True)
        kid, text = read_jwk(jwk)
        if is_of_exercise(kid) is not self._exercise:
            raise BadInput("an exercise and a real centre know no key of each other", where="jwk")
        held = [key for key in store.list_keys(tx.connection, partner.code) if not key.retired_at]
        if len(held) >= KEYS_PER_PARTNER_MAX:
            raise Conflict("too many keys; retire one first", where="jwk")
        key = PartnerKey(
            partner=partner.code,
            kid=kid,
            jwk=text,
            fingerprint=thumbprint(msgspec.json.decode(text, type=Jwk).x),
            added_by=tx.actor.id,
            added_at=tx.now,
        )
        if not store.insert_key(tx.connection, key):
            raise Conflict(f"there is, or was, a key {kid}", where="jwk.kid")
        self._journal(tx, key, action="exchange.partner_key.added")
        return key

    def verify_key(
        self, tx: Transaction, code: str, *, kid: str, said: KeyVerification
    ) -> PartnerKey:
        """Another person compared the fingerprint with somebody of the partner, who is named.

        An approved agreement becomes active with it. Raises WrongFingerprint, SecondPerson for
        whoever added the key, NoSuchPartner, Conflict for one that is verified or retired.
        """
        require(tx.actor, Permission.PARTNER_VERIFY)
        key = self._key(tx, code, kid=kid)
        if key.verified_at is not None:
            raise Conflict("is verified already", where="kid")
        if key.added_by == tx.actor.id:
            raise SecondPerson("whoever added the key cannot verify it")
        spoken = "".join(said.fingerprint.split())
        if not hmac.compare_digest(spoken.encode(), key.fingerprint.encode()):
            raise WrongFingerprint("do not use this key; ask the partner what happened")
        after = msgspec.structs.replace(
            key,
            verified_by=tx.actor.id,
            verified_with=check_name(said.compared_with, where="compared_with"),
            verified_at=tx.now,
        )
        store.save_key(tx.connection, after)
        self._journal(tx, after, action="exchange.partner_key.verified")
        self._keys_changed(tx, key.partner)
        return after

    def retire_key(self, tx: Transaction, code: str, *, kid: str, reason: str) -> PartnerKey:
        """From now on nothing signed with it is accepted; with the last one, nothing leaves."""
        if not permits(tx.actor, Permission.PARTNER_VERIFY):
            require(tx.actor, Permission.PARTNER_MANAGE)
        key = self._key(tx, code, kid=kid)
        after = msgspec.structs.replace(key, retired_at=tx.now)
        store.save_key(tx.connection, after)
        self._journal(tx, after, action="exchange.partner_key.retired", reason=reason)
        self._keys_changed(tx, key.partner)
        return after

    def _key(self, tx: Transaction, code: str, *, kid: str) -> PartnerKey:
        """A key that is not retired, its partner locked."""
        partner = self.found(tx, code, lock=True)
        for key in store.list_keys(tx.connection, partner.code):
            if key.kid == kid:
                if key.retired_at is not None:
                    raise Conflict("is retired", where="kid")
                return key
        raise NoSuchPartner("there is no such key")

    @staticmethod
    def _journal(tx: Transaction, key: PartnerKey, *, action: str, reason: str = "") -> None:
        mark = KeyMark(
            kid=key.kid,
            fingerprint=key.fingerprint,
            verified=key.verified_at is not None,
            retired=key.retired_at is not None,
        )
        tx.journal(action=action, subject=key.partner, after=mark, reason=reason)

    def verified_keys(self, tx: Transaction, code: str) -> Sequence[PartnerKey]:
        """The keys by which something from the partner is believed to be from it."""
        return _verified(store.list_keys(tx.connection, code), now=tx.now)


def _as_seen(actor: Actor, key: PartnerKey) -> PartnerKey:
    """A partner sees that a key is verified; who of us did it is ours."""
    if actor.partner is None:
        return key
    by = None if key.verified_by is None else ""
    return msgspec.structs.replace(key, added_by="", verified_by=by)


def _verified(keys: list[PartnerKey], *, now: datetime) -> list[PartnerKey]:
    return [
        key
        for key in keys
        if key.verified_at is not None and (key.retired_at is None or key.retired_at > now)
    ]
