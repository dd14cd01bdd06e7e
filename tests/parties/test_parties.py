"""Institutions, users and their keys: who is let in, who may change what, what is kept."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput, Conflict, NotSignedIn, OpenAOCError, Refused
from openaoc.parties import api_keys
from openaoc.parties.model import (
    KEY_OVERLAP,
    KEYS_PER_USER_MAX,
    InstitutionKind,
    UnknownInstitution,
    UnknownKey,
    UnknownUser,
    check_endpoint,
)
from openaoc.parties.permissions import PERMISSIONS, NotPermitted, Permission, permits, require
from openaoc.parties.public_keys import read_jwk
from openaoc.parties.service import Parties
from openaoc.storage.journal_heads import public_bytes
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from tests.row_order import until_somebody_waits


@pytest.fixture
def parties(keys: Keyring) -> Parties:
    return Parties(keys=keys)


def add_bank(tx: Transaction, parties: Parties, code: str = "KBANK") -> None:
    parties.add_institution(
        tx, code=code, name="A bank", kind=InstitutionKind.BANK, jurisdiction="TH"
    )


def sign_in(uow: UnitOfWork, parties: Parties, text: str) -> Actor:
    with uow.read(SYSTEM) as tx:
        return parties.authenticate(tx, text)


def jwk(key: Ed25519PrivateKey | None = None, **more: str) -> str:
    raw = public_bytes((key or Ed25519PrivateKey.generate()).public_key())
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return json.dumps({"kty": "OKP", "crv": "Ed25519", "x": x, **more})


def journal(uow: UnitOfWork) -> str:
    with uow.read(SYSTEM) as tx:
        bodies = tx.connection.execute(sa.text("SELECT body FROM journal_rows ORDER BY id"))
        return "\n".join(bodies.scalars())


# Institutions


def test_a_code_is_normalised_and_unique(uow: UnitOfWork, parties: Parties) -> None:
    with uow.begin(SYSTEM) as tx:
        add_bank(tx, parties, "kBank")
        assert parties.institution(tx, "KbAnK").code == "KBANK"
        with pytest.raises(Conflict):
            add_bank(tx, parties, "KBANK")
        assert [one.code for one in parties.institutions(tx)] == ["KBANK"]
        with pytest.raises(UnknownInstitution):
            parties.institution(tx, "SCB")
    assert '"action":"parties.institution.added"' in journal(uow)


@pytest.mark.parametrize(
    "change",
    [
        {"code": ""},
        {"code": "x" * 40},
        {"name": " "},
        {"name": "a\nb"},
        {"jurisdiction": "Thailand"},
        {"endpoint": "ftp://bank"},
    ],
)
def test_bad_institutions_are_refused(
    uow: UnitOfWork, parties: Parties, change: dict[str, str]
) -> None:
    given_: dict[str, Any] = {"code": "SCB", "name": "Name", "jurisdiction": "TH", **change}
    with uow.begin(SYSTEM) as tx, pytest.raises(BadInput):
        parties.add_institution(tx, kind=InstitutionKind.BANK, **given_)


@pytest.mark.parametrize(
    "address",
    [
        "http://u:p@bank",
        "https://bank/?a=b",
        "https://bank#x",
        "file:///etc",
        "https://",
        "https://bank/ x",
        "https://" + "b" * 600,
    ],
)
def test_bad_endpoints_are_refused(address: str) -> None:
    with pytest.raises(BadInput):
        check_endpoint(address)


def test_an_endpoint_is_set_and_taken_away(uow: UnitOfWork, parties: Parties) -> None:
    with uow.begin(SYSTEM) as tx:
        add_bank(tx, parties)
        changed = parties.set_endpoint(tx, code="kbank", endpoint="http://127.0.0.1:9000/")
        assert changed.endpoint == "http://127.0.0.1:9000"
        assert parties.institution(tx, "KBANK") == changed
        assert parties.set_endpoint(tx, code="KBANK", endpoint=None).endpoint is None
        with pytest.raises(UnknownInstitution):
            parties.set_endpoint(tx, code="SCB", endpoint=None)


# Public keys


def test_an_institution_registers_and_retires_its_own_keys(
    uow: UnitOfWork, parties: Parties, clock: ManualClock
) -> None:
    with uow.begin(SYSTEM) as tx:
        add_bank(tx, parties)
        add_bank(tx, parties, "SCB")
        _, text = parties.add_user(tx, name="m", role=Role.MACHINE, institution="KBANK")
    machine = sign_in(uow, parties, text)
    with uow.begin(machine) as tx:
        first = parties.register_public_key(tx, code="KBANK", jwk=jwk(kid="one"))
        second = parties.register_public_key(tx, code="KBANK", jwk=jwk())
        with pytest.raises(Conflict):
            parties.register_public_key(tx, code="KBANK", jwk=jwk(kid="one"))
        with pytest.raises(Refused):
            parties.register_public_key(tx, code="SCB", jwk=jwk())
        assert {k.kid for k in parties.public_keys(tx, "kbank")} == {first.kid, second.kid}
    clock.advance(timedelta(seconds=1))
    with uow.begin(machine) as tx:
        parties.retire_public_key(tx, code="KBANK", kid="one")
        with pytest.raises(UnknownKey):
            parties.retire_public_key(tx, code="KBANK", kid="one")
        assert [k.kid for k in parties.public_keys(tx, "KBANK")] == [second.kid]


def test_a_private_key_is_not_accepted() -> None:
    with pytest.raises(BadInput, match="private"):
        read_jwk(jwk(d="AAAA"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"kty":"RSA","n":"x","e":"AQAB"}',
        '{"kty":"OKP","crv":"X25519","x":"AAAA"}',
        '{"kty":"OKP","crv":"Ed25519","x":"AAAA"}',
        '{"kty":"OKP","crv":"Ed25519","x":"!!!"}',
        '{"kty":"OKP","crv":"Ed25519"}',
        "x" * 3_000,
    ],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read_jwk(text)


def test_a_kid_is_short_and_plain() -> None:
    for kid in ("a b", "ü", "x" * 65, "../x"):
        with pytest.raises(BadInput):
            read_jwk(jwk(kid=kid))


def test_a_key_without_id_gets_its_thumbprint() -> None:
    """RFC 8037, appendix A.3."""
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    kid, _ = read_jwk(json.dumps({"kty": "OKP", "crv": "Ed25519", "x": x}))
    assert kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


# Users and API keys


def test_a_user_signs_in_with_their_key(uow: UnitOfWork, parties: Parties) -> None:
    with uow.begin(SYSTEM) as tx:
        add_bank(tx, parties)
        user, text = parties.add_user(
            tx, name="Somchai Jaidee", role=Role.LIAISON, institution="kbank"
        )
    actor = sign_in(uow, parties, text)
    assert actor == Actor(id=user.id, roles=frozenset({Role.LIAISON}), institution="KBANK")


def test_neither_the_key_nor_the_name_is_in_database_or_journal(
    uow: UnitOfWork, parties: Parties
) -> None:
    with uow.begin(SYSTEM) as tx:
        _, text = parties.add_user(tx, name="Somchai Jaidee", role=Role.AGENT)
        rows = tx.connection.execute(sa.text("SELECT api_keys::text FROM api_keys")).scalars().all()
    secret = text.rpartition("_")[2]
    assert secret not in "".join(rows)
    assert secret.encode().hex() not in "".join(rows)
    assert "Somchai" not in journal(uow)
    assert secret not in journal(uow)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text[:-1] + ("1" if text[-1] != "1" else "2"),
        lambda text: text.lower(),
        lambda text: text.replace("oaoc_", "oaoc_0", 1),
        lambda text: "oaoc_" + "0" * 16 + "_" + text.rpartition("_")[2],
        lambda text: text + "\x00",
        lambda _: "x" * 100_000,
    ],
)
def test_a_wrong_key_is_refused_without_saying_why(
    uow: UnitOfWork, parties: Parties, spoil: Callable[[str], str]
) -> None:
    with uow.begin(SYSTEM) as tx:
        _, text = parties.add_user(tx, name="n", role=Role.AGENT)
    with pytest.raises(NotSignedIn) as caught:
        sign_in(uow, parties, spoil(text))
    assert caught.value.detail == "unknown, ended or revoked key"


@given(text=st.text(max_size=80))
def test_no_text_breaks_the_taking_apart_of_keys(text: str) -> None:
    parts = api_keys.take_apart(text)
    assert parts is None or text.startswith("oaoc_")


def test_another_keyring_does_not_let_anybody_in(uow: UnitOfWork, parties: Parties) -> None:
    with uow.begin(SYSTEM) as tx:
        _, text = parties.add_user(tx, name="n", role=Role.AGENT)
    stranger = Parties(keys=Keyring(parties._keys.folder / "other"))
    with pytest.raises(NotSignedIn):
        sign_in(uow, stranger, text)


def test_a_rotated_key_works_for_the_overlap_and_a_revoked_one_not_at_all(
    uow: UnitOfWork, parties: Parties, clock: ManualClock
) -> None:
    with uow.begin(SYSTEM) as tx:
        user, old = parties.add_user(tx, name="n", role=Role.AGENT)
    actor = sign_in(uow, parties, old)
    with uow.begin(actor) as tx:
        new = parties.rotate_key(tx, key_id=parties.keys(tx, user.id)[0].id)
    assert sign_in(uow, parties, old) == sign_in(uow, parties, new) == actor
    clock.advance(KEY_OVERLAP)
    with pytest.raises(NotSignedIn):
        sign_in(uow, parties, old)
    with uow.begin(actor) as tx:
        first, second = parties.keys(tx, user.id)
        assert first.ends_at == clock.now()
        with pytest.raises(Conflict):
            parties.rotate_key(tx, key_id=first.id)
        parties.revoke_key(tx, key_id=second.id, reason="lost")
    with pytest.raises(NotSignedIn):
        sign_in(uow, parties, new)


def test_a_key_that_is_being_revoked_is_not_rotated(uow: UnitOfWork, parties: Parties) -> None:
    """Else who stole it would have a new one."""
    with uow.begin(SYSTEM) as tx:
        user, _ = parties.add_user(tx, name="n", role=Role.AGENT)
    with uow.read(SYSTEM) as tx:
        (key,) = parties.keys(tx, user.id)

    def rotate() -> str:
        with uow.begin(SYSTEM) as tx:
            return parties.rotate_key(tx, key_id=key.id)

    with ThreadPoolExecutor(1) as pool:
        with uow.begin(SYSTEM) as tx:
            parties.revoke_key(tx, key_id=key.id, reason="stolen")
            rotating = pool.submit(rotate)
            until_somebody_waits(tx)
        with pytest.raises(Conflict):
            rotating.result()


def test_a_user_has_a_limited_number_of_keys(uow: UnitOfWork, parties: Parties) -> None:
    with uow.begin(SYSTEM) as tx:
        user, _ = parties.add_user(tx, name="n", role=Role.AGENT)
        for _ in range(KEYS_PER_USER_MAX - 1):
            parties.rotate_key(tx, key_id=parties.keys(tx, user.id)[0].id)
        with pytest.raises(Conflict):
            parties.rotate_key(tx, key_id=parties.keys(tx, user.id)[0].id)


def test_other_peoples_keys_are_not_ones_own(uow: UnitOfWork, parties: Parties) -> None:
    with uow.begin(SYSTEM) as tx:
        _, text = parties.add_user(tx, name="one", role=Role.AGENT)
        other, _ = parties.add_user(tx, name="two", role=Role.AGENT)
        key = parties.keys(tx, other.id)[0]
    actor = sign_in(uow, parties, text)
    with uow.begin(actor) as tx:
        for call in (
            lambda: parties.revoke_key(tx, key_id=key.id),
            lambda: parties.rotate_key(tx, key_id=key.id),
            lambda: parties.rotate_key(tx, key_id="key_unknown"),
            lambda: parties.keys(tx, other.id),
            lambda: parties.users(tx),
            lambda: parties.add_user(tx, name="x", role=Role.ADMINISTRATOR),
            lambda: parties.disable_user(tx, user_id=other.id),
        ):
            with pytest.raises(NotPermitted):
                call()


def test_a_disabled_user_is_out_with_every_key(uow: UnitOfWork, parties: Parties) -> None:
    with uow.begin(SYSTEM) as tx:
        user, text = parties.add_user(tx, name="n", role=Role.AGENT)
        boss, _ = parties.add_user(tx, name="b", role=Role.ADMINISTRATOR)
    actor = Actor(id=boss.id, roles=frozenset(boss.roles))
    with uow.begin(actor) as tx:
        assert parties.disable_user(tx, user_id=user.id, reason="left").disabled_at == tx.now
        with pytest.raises(Refused):
            parties.disable_user(tx, user_id=boss.id)
        with pytest.raises(UnknownUser):
            parties.disable_user(tx, user_id="usr_nobody")
        assert {one.id for one in parties.users(tx)} == {user.id, boss.id}
    with pytest.raises(NotSignedIn):
        sign_in(uow, parties, text)


@pytest.mark.parametrize(
    ("role", "also", "institution"),
    [
        (Role.LIAISON, (), None),
        (Role.MACHINE, (), None),
        (Role.AGENT, (), "KBANK"),
        (Role.LIAISON, (Role.AGENT,), "KBANK"),
        (Role.SYSTEM, (), None),
        (Role.CITIZEN, (), None),
        (Role.AGENT, (Role.SYSTEM,), None),
        (Role.LIAISON, (), "NOBODY"),
    ],
)
def test_roles_and_institutions_that_do_not_fit_are_refused(
    uow: UnitOfWork,
    parties: Parties,
    role: Role,
    also: tuple[Role, ...],
    institution: str | None,
) -> None:
    with uow.begin(SYSTEM) as tx:
        add_bank(tx, parties)
        with pytest.raises(OpenAOCError) as caught:
            parties.add_user(tx, name="n", role=role, also=also, institution=institution)
    assert isinstance(caught.value, BadInput | UnknownInstitution)


def test_the_first_administrator_is_made_once(uow: UnitOfWork, parties: Parties) -> None:
    with uow.begin(SYSTEM) as tx:
        made = parties.ensure_administrator(tx)
    assert made is not None
    assert sign_in(uow, parties, made[1]).has(Role.ADMINISTRATOR)
    with uow.begin(SYSTEM) as tx:
        assert parties.ensure_administrator(tx) is None


# Permissions


def test_every_role_has_a_row_in_the_table() -> None:
    assert set(PERMISSIONS) == set(Role)


def test_nobody_outside_decides_for_the_centre() -> None:
    inside = {Permission.HOLD_APPROVE, Permission.LIVE_SWITCH, Permission.USER_MANAGE}
    for role in (Role.CITIZEN, Role.LIAISON, Role.MACHINE, Role.OVERSIGHT, Role.PARTNER):
        assert inside.isdisjoint(PERMISSIONS[role])


def test_only_those_who_need_it_see_identities() -> None:
    may = {role for role in Role if Permission.IDENTITY_READ in PERMISSIONS[role]}
    assert may == {Role.AGENT, Role.INVESTIGATOR, Role.SUPERVISOR, Role.SYSTEM}


def test_require_agrees_with_permits() -> None:
    for role in Role:
        actor = Actor(id="x", roles=frozenset({role}))
        for permission in Permission:
            if permits(actor, permission):
                require(actor, permission)
            else:
                with pytest.raises(NotPermitted):
                    require(actor, permission)
