"""The verbs of parties: add and change institutions, users and keys; sign in; switch live.

Each checks the permission, changes rows and writes the journal in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final

import msgspec

from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput, Conflict, NotSignedIn, Refused
from openaoc.kernel.identifiers.bank_account import normalise_bank
from openaoc.kernel.ids import InstitutionCode, KeyId, UserId, new_user_id
from openaoc.kernel.limits import PAGE_MAX
from openaoc.parties import api_keys, live, model, store
from openaoc.parties.model import (
    ApiKey,
    Institution,
    InstitutionKind,
    MessageFormat,
    PublicKey,
    Switch,
    User,
)
from openaoc.parties.permissions import Permission, require
from openaoc.parties.public_keys import read_jwk
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import BOUND_ROLES, Transaction

UNADDABLE: Final = frozenset({Role.SYSTEM, Role.CITIZEN})
"""Nobody gets a key for these: one is the program, the other everybody."""
FIRST_NAME: Final = "Administrator"


class JournalledUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user in the journal: no name, which is personal and could never be taken out again."""

    roles: tuple[Role, ...]
    institution: InstitutionCode | None
    disabled: bool = False
    partner: str | None = None


class JournalledKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key in the journal."""

    user: UserId
    ends_at: datetime | None = None
    revoked: bool = False


def _journalled(user: User) -> JournalledUser:
    return JournalledUser(
        roles=user.roles,
        institution=user.institution,
        disabled=user.disabled_at is not None,
        partner=user.partner,
    )


class Parties:
    """Institutions, users, keys and live switches; needs the keyring for hashing API keys.

    `may_go_live(scope, day)` raises for a scope whose law is not confirmed; later stages know it.
    """

    def __init__(
        self, *, keys: Keyring, may_go_live: Callable[[str, date], None] | None = None
    ) -> None:
        self._keys = keys
        self._may_go_live = may_go_live

    @cached_property
    def _pepper(self) -> bytes:
        return self._keys.derived(api_keys.HASH_LABEL)

    # Institutions

    def add_institution(
        self,
        tx: Transaction,
        *,
        code: str,
        name: str,
        kind: InstitutionKind,
        jurisdiction: str,
        endpoint: str | None = None,
        message_format: MessageFormat = MessageFormat.JSON,
    ) -> Institution:
        """A new institution, in shadow. Raises Conflict when the code is taken, BadInput."""
        require(tx.actor, Permission.INSTITUTION_MANAGE)
        one = Institution(
            code=InstitutionCode(normalise_bank(code, where="code")),
            name=model.check_name(name, where="name"),
            kind=kind,
            jurisdiction=model.check_jurisdiction(jurisdiction),
            endpoint=model.check_endpoint(endpoint),
            live=False,
            added_at=tx.now,
            message_format=message_format,
        )
        if not store.insert_institution(tx.connection, one):
            raise Conflict(f"there is an institution {one.code}", where="code")
        tx.journal(action="parties.institution.added", subject=one.code, after=one)
        return one

    def institution(self, tx: Transaction, code: str) -> Institution:
        """One institution by its code in any case. Raises UnknownInstitution."""
        found = store.find_institution(tx.connection, normalise_bank(code))
        if found is None:
            raise model.UnknownInstitution(normalise_bank(code))
        return found

    def institutions(self, tx: Transaction) -> list[Institution]:
        """All institutions by code, at most INSTITUTIONS_MAX."""
        return store.list_institutions(tx.connection, limit=model.INSTITUTIONS_MAX)

    def set_endpoint(
        self,
        tx: Transaction,
        *,
        code: str,
        endpoint: str | None,
        message_format: MessageFormat | None = None,
    ) -> Institution:
        """Where its system listens, None for none, and in which form it takes orders.

        The form stays as it is when none is given. Raises UnknownInstitution, BadInput.
        """
        require(tx.actor, Permission.INSTITUTION_MANAGE)
        before = self._locked(tx, code)
        after = msgspec.structs.replace(
            before,
            endpoint=model.check_endpoint(endpoint),
            message_format=message_format or before.message_format,
        )
        store.update_endpoint(tx.connection, after)
        tx.journal(
            action="parties.institution.endpoint_set",
            subject=before.code,
            before=before,
            after=after,
        )
        return after

    def _locked(self, tx: Transaction, code: str) -> Institution:
        found = store.find_institution(tx.connection, normalise_bank(code), lock=True)
        if found is None:
            raise model.UnknownInstitution(normalise_bank(code))
        return found

    # Public keys

    def register_public_key(self, tx: Transaction, *, code: str, jwk: str) -> PublicKey:
        """A key the institution will sign with; its own machine or an administrator adds it.

        Raises Conflict for a known key id or too many keys, Refused for another's institution.
        """
        require(tx.actor, Permission.PUBLIC_KEY_REGISTER)
        self._refuse_stranger(tx.actor, code)
        institution = self._locked(tx, code)
        kid, text = read_jwk(jwk)
        held = store.list_public_keys(tx.connection, institution.code, now=tx.now)
        if len(held) >= model.PUBLIC_KEYS_PER_INSTITUTION_MAX:
            raise Conflict("too many keys; retire one first", where="jwk")
        key = PublicKey(kid=kid, institution=institution.code, jwk=text, added_at=tx.now)
        if not store.insert_public_key(tx.connection, key):
            raise Conflict(f"there is a key {kid}", where="jwk.kid")
        tx.journal(action="parties.public_key.registered", subject=institution.code, after=key)
        return key

    def public_keys(self, tx: Transaction, code: str) -> list[PublicKey]:
        """The institution's keys in force now, oldest first."""
        return store.list_public_keys(tx.connection, normalise_bank(code), now=tx.now)

    def retire_public_key(self, tx: Transaction, *, code: str, kid: str) -> None:
        """From now on nothing signed with it is accepted. Raises UnknownKey."""
        require(tx.actor, Permission.PUBLIC_KEY_REGISTER)
        self._refuse_stranger(tx.actor, code)
        institution = self._locked(tx, code)
        if not store.retire_public_key(tx.connection, institution.code, kid=kid, at=tx.now):
            raise model.UnknownKey(kid)
        tx.journal(action="parties.public_key.retired", subject=institution.code, reason=kid)

    @staticmethod
    def _refuse_stranger(actor: Actor, code: str) -> None:
        if actor.institution is not None and actor.institution != normalise_bank(code):
            raise Refused("this is another institution")

    # Users and their keys

    def add_user(
        self,
        tx: Transaction,
        *,
        name: str,
        role: Role,
        institution: str | None = None,
        also: Sequence[Role] = (),
        partner: str | None = None,
    ) -> tuple[User, str]:
        """A new user and the text of their first API key, which is kept nowhere.

        Liaisons and machines belong to an institution, a partner's users to it, everybody else to
        none. Raises BadInput for a mixture, UnknownInstitution. The caller knows the partner.
        """
        require(tx.actor, Permission.USER_MANAGE)
        roles = tuple(sorted({role, *also}))
        if not UNADDABLE.isdisjoint(roles) or len(roles) > model.ROLES_PER_USER_MAX:
            raise BadInput("these roles cannot be given", where="role")
        bound = [one for one in roles if one in BOUND_ROLES]
        if bound and len(bound) != len(roles):
            raise BadInput("an institution's user has no role of the centre", where="role")
        if bool(bound) != (institution is not None):
            raise BadInput(
                "liaisons and machines need an institution, nobody else has one",
                where="institution",
            )
        if (Role.PARTNER in roles) != (partner is not None) or (partner and len(roles) > 1):
            raise BadInput("a partner's user has that role alone, nobody else", where="role")
        code = None if institution is None else self.institution(tx, institution).code
        user = User(
            id=new_user_id(),
            name=model.check_name(name, where="name"),
            roles=roles,
            institution=code,
            added_at=tx.now,
            partner=partner,
        )
        store.insert_user(tx.connection, user)
        tx.journal(action="parties.user.added", subject=user.id, after=_journalled(user))
        return user, self._issue_key(tx, user.id)

    def ensure_administrator(self, tx: Transaction) -> tuple[User, str] | None:
        """The first administrator with their key, made when nobody was ever added; else None."""
        tx.lock("parties.first_administrator")
        if store.any_user(tx.connection):
            return None
        return self.add_user(tx, name=FIRST_NAME, role=Role.ADMINISTRATOR)

    def user(self, tx: Transaction, user_id: str) -> User:
        """One user. Raises UnknownUser."""
        require(tx.actor, Permission.USER_READ)
        return self._user(tx, user_id)

    def users(self, tx: Transaction, *, after: str = "", limit: int = PAGE_MAX) -> list[User]:
        """Users by id after the given one, a page at a time."""
        require(tx.actor, Permission.USER_READ)
        return store.list_users(tx.connection, after=after, limit=min(max(limit, 1), PAGE_MAX))

    def disable_user(self, tx: Transaction, *, user_id: str, reason: str = "") -> User:
        """No key of theirs works from now on. Raises UnknownUser, Refused for oneself."""
        require(tx.actor, Permission.USER_MANAGE)
        if user_id == tx.actor.id:
            raise Refused("nobody disables themselves")
        before = self._user(tx, user_id, lock=True)
        after = msgspec.structs.replace(before, disabled_at=before.disabled_at or tx.now)
        store.disable_user(tx.connection, before.id, at=after.disabled_at or tx.now)
        tx.journal(
            action="parties.user.disabled",
            subject=before.id,
            before=_journalled(before),
            after=_journalled(after),
            reason=reason,
        )
        return after

    def _user(self, tx: Transaction, user_id: str, *, lock: bool = False) -> User:
        found = store.find_user(tx.connection, user_id, lock=lock)
        if found is None:
            raise model.UnknownUser
        return found

    def authenticate(self, tx: Transaction, api_key: str) -> Actor:
        """Whoever holds the key. The transaction is the centre's own (SYSTEM), a read will do.

        Raises NotSignedIn, always with the same words: whether the id exists, the secret is
        wrong, or the key has ended is nobody's business.
        """
        refusal = NotSignedIn("unknown, ended or revoked key")
        parts = api_keys.take_apart(api_key)
        stored = None if parts is None else store.find_key(tx.connection, parts.id)
        if parts is None or stored is None:
            raise refusal
        good = api_keys.matches(parts.secret, stored=stored.hash, pepper=self._pepper)
        ended = stored.key.ends_at is not None and stored.key.ends_at <= tx.now
        if not good or ended or stored.key.revoked_at or stored.user.disabled_at:
            raise refusal
        return Actor(
            id=stored.user.id,
            roles=frozenset(stored.user.roles),
            institution=stored.user.institution,
            partner=stored.user.partner,
        )

    def keys(self, tx: Transaction, user_id: str) -> list[ApiKey]:
        """A user's keys, oldest first; one's own, or with the permission to read users."""
        if user_id != tx.actor.id:
            require(tx.actor, Permission.USER_READ)
        return list(store.list_keys(tx.connection, user_id))

    def rotate_key(
        self, tx: Transaction, *, key_id: str, overlap: timedelta = model.KEY_OVERLAP
    ) -> str:
        """A new key for the same user; the old one still works for `overlap`.

        One's own, or with the permission to manage users. Raises UnknownKey, BadInput.
        """
        if not timedelta(0) <= overlap <= model.KEY_OVERLAP_MAX:
            raise BadInput(f"0 to {model.KEY_OVERLAP_MAX.days} days", where="overlap")
        key = self._own_key(tx, key_id)
        ends = tx.now + overlap
        if key.revoked_at or (key.ends_at is not None and key.ends_at <= tx.now):
            raise Conflict("this key has ended", where="key")
        text = self._issue_key(tx, key.user)
        ends = ends if key.ends_at is None else min(ends, key.ends_at)
        store.end_key(tx.connection, key.id, at=ends)
        tx.journal(
            action="parties.api_key.rotated",
            subject=key.id,
            before=JournalledKey(user=key.user, ends_at=key.ends_at),
            after=JournalledKey(user=key.user, ends_at=ends),
        )
        return text

    def revoke_key(self, tx: Transaction, *, key_id: str, reason: str = "") -> None:
        """The key does not work from now on. Raises UnknownKey."""
        key = self._own_key(tx, key_id)
        store.revoke_key(tx.connection, key.id, at=tx.now)
        tx.journal(
            action="parties.api_key.revoked",
            subject=key.id,
            before=JournalledKey(user=key.user, ends_at=key.ends_at),
            after=JournalledKey(user=key.user, ends_at=key.ends_at, revoked=True),
            reason=reason,
        )

    def _own_key(self, tx: Transaction, key_id: str) -> ApiKey:
        """The key, its user locked: as it is once nobody else changes the user's keys."""
        stored = store.find_key(tx.connection, key_id)
        if stored is None or stored.key.user != tx.actor.id:
            require(tx.actor, Permission.USER_MANAGE)
        if stored is None:
            raise model.UnknownKey
        self._user(tx, stored.key.user, lock=True)
        locked = store.find_key(tx.connection, key_id)
        assert locked is not None, "no key is ever deleted"
        return locked.key

    def _issue_key(self, tx: Transaction, user_id: UserId) -> str:
        working = [
            key
            for key in store.list_keys(tx.connection, user_id)
            if not key.revoked_at and (key.ends_at is None or key.ends_at > tx.now)
        ]
        if len(working) >= model.KEYS_PER_USER_MAX:
            raise Conflict("too many keys; revoke one first")
        key_id, secret, text = api_keys.new_key()
        key = ApiKey(id=KeyId(key_id), user=user_id, added_at=tx.now)
        store.insert_key(
            tx.connection, key, keyed_hash=api_keys.keyed_hash(secret, pepper=self._pepper)
        )
        tx.journal(
            action="parties.api_key.issued", subject=key.id, after=JournalledKey(user=user_id)
        )
        return text

    # From shadow to live and back

    def propose_live(self, tx: Transaction, scope: str) -> Switch:
        """The first person's word. See live.py for what it raises, and what `may_go_live` does."""
        return live.propose(tx, self._ready_scope(tx, scope))

    def approve_live(self, tx: Transaction, scope: str) -> Switch:
        """The second person's word, which switches live; what is not ready is refused again."""
        return live.approve(tx, self._ready_scope(tx, scope))

    def back_to_shadow(self, tx: Transaction, scope: str, *, reason: str = "") -> Switch:
        """One person is enough to stop."""
        return live.back_to_shadow(tx, self._known_scope(tx, scope), reason=reason)

    def switches(self, tx: Transaction) -> list[Switch]:
        """Every switch somebody ever touched."""
        require(tx.actor, Permission.INSTITUTION_READ)
        return store.list_switches(tx.connection, limit=model.INSTITUTIONS_MAX)

    def is_live(self, tx: Transaction, *, jurisdiction: str, institution: str) -> bool:
        """Whether orders really go out: the jurisdiction's and the institution's switch are live.

        An unknown institution is not live.
        """
        scopes = [f"jurisdiction:{jurisdiction}", f"institution:{normalise_bank(institution)}"]
        return store.live_scopes(tx.connection, scopes) == len(scopes)

    def live_among(
        self, tx: Transaction, *, jurisdiction: str, institutions: Iterable[str]
    ) -> frozenset[str]:
        """Those of these institutions to which orders really go out, in one look."""
        scopes = {f"institution:{normalise_bank(one)}": one for one in institutions}
        whole = f"jurisdiction:{jurisdiction}"
        live = store.which_live(tx.connection, [whole, *scopes])
        return frozenset(scopes[one] for one in live & scopes.keys() if whole in live)

    def _ready_scope(self, tx: Transaction, scope: str) -> str:
        require(tx.actor, Permission.LIVE_SWITCH)
        parsed = self._known_scope(tx, scope)
        if self._may_go_live is not None:
            self._may_go_live(parsed, tx.now.date())
        return parsed

    def _known_scope(self, tx: Transaction, scope: str) -> str:
        parsed = model.parse_scope(scope)
        kind, _, code = parsed.partition(":")
        if kind == "institution":
            self.institution(tx, code)
        return parsed
