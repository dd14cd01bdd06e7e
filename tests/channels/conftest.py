"""Channels over a real database, with an institution that listens on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openaoc.channels.keys import CentreKeys
from openaoc.channels.service import Channels
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.parties.model import InstitutionKind
from openaoc.parties.service import Parties
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import UnitOfWork
from tests.channels.institution import Stub, serving


@pytest.fixture
def parties(keys: Keyring) -> Parties:
    return Parties(keys=keys)


@pytest.fixture
def centre_keys(tmp_path: Path, clock: ManualClock) -> CentreKeys:
    return CentreKeys(tmp_path / "keys").open(clock.now())


@pytest.fixture
def channels(
    uow: UnitOfWork, parties: Parties, centre_keys: CentreKeys, clock: ManualClock
) -> Iterator[Channels]:
    built = Channels(uow=uow, parties=parties, keys=centre_keys, clock=clock)
    yield built
    built.stop()


@pytest.fixture
def bank(
    uow: UnitOfWork, parties: Parties, centre_keys: CentreKeys, clock: ManualClock
) -> Iterator[Stub]:
    with serving(Stub("KBANK")) as stub:
        stub.keys = {key.kid: key for key in centre_keys.jwks(clock.now()).keys}
        stub.now = clock.now
        with uow.begin(SYSTEM) as tx:
            parties.add_institution(
                tx,
                code="KBANK",
                name="K",
                kind=InstitutionKind.BANK,
                jurisdiction="TH",
                endpoint=stub.url,
            )
        yield stub
