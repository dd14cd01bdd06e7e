"""An exercise is marked under every signature, and never taken for what is real."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest

from openaoc.channels.keys import EXERCISE, CentreKeys, is_of_exercise
from openaoc.channels.signing import sign
from openaoc.kernel.errors import BadInput
from openaoc.parties.service import Parties
from openaoc.storage.database import Database
from openaoc.workflow.sharing import build_sharing
from tests.conftest import START
from tests.exchange.sharing_site import ADMINISTRATOR, Site


def test_every_signature_of_an_exercise_says_so(tmp_path: Path) -> None:
    keys = CentreKeys(tmp_path, exercise=True).open(START)
    signed = sign(b"{}", key=keys.current(), method="POST", path="/", now=START)
    head = base64.urlsafe_b64decode(signed.partition(".")[0] + "==")
    assert msgspec.json.decode(head)["kid"].startswith(EXERCISE)
    assert is_of_exercise(keys.rotate(START).kid)
    with pytest.raises(BadInput, match="share no keys"):
        CentreKeys(tmp_path).open(START)


def test_a_real_folder_of_keys_is_no_exercises(tmp_path: Path) -> None:
    assert not is_of_exercise(CentreKeys(tmp_path).open(START).current().kid)
    with pytest.raises(BadInput, match="share no keys"):
        CentreKeys(tmp_path, exercise=True).open(START)


@pytest.mark.parametrize("exercise", [True, False])
def test_neither_knows_a_key_of_the_other(
    site: Site, database: Database, tmp_path: Path, *, exercise: bool
) -> None:
    code = site.partner("VN")
    sharing = build_sharing(
        uow=site.uow,
        parties=Parties(keys=database.keys),
        keys=database.keys,
        home="TH",
        exercise=exercise,
    )
    partners = sharing.agreements.partners
    for there in (True, False):
        keys = CentreKeys(tmp_path / str(there), exercise=there).open(START)
        jwk = msgspec.json.encode(keys.current().public()).decode()
        with site.uow.begin(ADMINISTRATOR) as tx:
            if there is exercise:
                assert partners.add_key(tx, code, jwk=jwk).kid == keys.current().kid
            else:
                with pytest.raises(BadInput, match="no key of each other"):
                    partners.add_key(tx, code, jwk=jwk)
